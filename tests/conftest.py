"""Fixtures of the whole suite: the engines, and which of them this run has."""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import shlex
import shutil
import signal
import socket
import ssl
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from authorities import Authority
    from stages import Stage

MODULES = {"c": "fasthio._parser", "py": "fasthio._pyparser"}


def _missing_c() -> str | None:
    """Tell why the C engine cannot run, or None when it can."""
    try:
        importlib.import_module(MODULES["c"])
    except ImportError as error:
        return str(error)
    return None


def compiler_at_hand() -> bool:
    """Tell whether this machine could have built the C engine for this Python."""
    if os.environ.get("FASTHIO_BUILD") == "pure":
        return False
    command = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    headers = Path(sysconfig.get_path("include"), "Python.h")
    return shutil.which(command[0]) is not None and headers.exists()


if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # so a shell starts what runs in its background, and all that is started from there would
    # ignore Ctrl-C too: the tests that send it would wait in vain
    signal.signal(signal.SIGINT, signal.default_int_handler)

MISSING_C = _missing_c()
ENGINES = ["c", "py"] if MISSING_C is None else ["py"]
if MISSING_C is not None:
    # auto would warn at its first use, and warnings are errors here
    os.environ.setdefault("FASTHIO_ENGINE", "py")


def pytest_report_header() -> str:
    """Say which engines are tested, so that a missing one is seen."""
    client = os.environ.get("FASTHIO_ENGINE") or "auto"
    if MISSING_C is None:
        return f"fasthio engines: c, py; the client runs on {client}"
    return f"fasthio engines: py ALONE, no C engine ({MISSING_C}); the client runs on {client}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs on each engine by itself, to tell it from what runs on the chosen one."""
    for item in items:
        names = getattr(item, "fixturenames", ())
        if any(name == "engine" or name.endswith("_engine") for name in names):
            item.add_marker("engines")


@pytest.fixture
def no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no name resolve, without asking any resolver."""

    def refuse(host: object, *_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, f"no name resolves in this test: {host!r}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> ModuleType:
    """Give each engine's module in turn."""
    return importlib.import_module(MODULES[request.param])


@pytest.fixture
def respondents(engine: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Let what a test makes of respondents and event sources run on the engine under test."""
    from fasthio import eventing, responding  # conftest itself is read where no engine is

    monkeypatch.setattr(responding, "ResponseParser", engine.ResponseParser)
    monkeypatch.setattr(responding, "Publisher", engine.Publisher)
    kind = responding.Respondent
    monkeypatch.setattr(kind, "publisher", responding._publisher_of(kind))
    monkeypatch.setattr(eventing.EventSource, "Engine", engine.EventParser)
    return engine


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    from authorities import Authority

    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """Have the shared context trust the authority, as if it were the system's."""
    from fasthio import tlsing

    context = ssl.create_default_context(cafile=authority.cafilepath)
    monkeypatch.setattr(tlsing, "_shared", [context])
    monkeypatch.setattr(tlsing.shared_sessions, "_kept", type(tlsing.shared_sessions._kept)())
    return authority


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Give servers and pollers on one tyme, closed when the test is over."""
    from stages import Stage

    with contextlib.ExitStack() as stack:
        yield Stage(stack)


@pytest.fixture(params=["best", "selectors"])
def readiness(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run on epoll, where there is one, and on what takes its place elsewhere."""
    if request.param == "selectors":
        from fasthio.waiting import SelectorReadiness

        monkeypatch.setattr("fasthio.waiting.make_readiness", SelectorReadiness)
        monkeypatch.setattr("fasthio.polling.make_readiness", SelectorReadiness)
        monkeypatch.delattr(select, "EPOLLET", raising=False)
    return str(request.param)

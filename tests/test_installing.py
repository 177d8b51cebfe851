"""installing: every way programs reach hio's client gives ours, and hio's again after."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hio.core import http
from hio.core import tcp as hio_tcp
from hio.core.http import clienting as early_module
from hio.core.http import httping
from hio.core.tcp import clienting as tcp_clienting

import fasthio
from fasthio import clienting as ours
from fasthio.installing import NAMES
from servers import OK, Loop, Request, Server

EARLY_DOER = early_module.ClientDoer
EARLY_RESPONDENT = early_module.Respondent
EARLY_CLIENT = http.Client
MODULES = [name for name in sys.modules if name == "hio" or name.startswith("hio.")]


def state() -> dict[tuple[str, str], int]:
    """Take down which object stands behind each name of each of hio's modules."""
    return {
        (module, name): id(value)
        for module in MODULES
        for name, value in vars(sys.modules[module]).items()
        if name != "__builtins__"
    }


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """Leave nothing installed behind, whatever fails."""
    yield
    fasthio.uninstall()


@pytest.fixture
def installed() -> None:
    """Install for one test."""
    fasthio.install()


@pytest.mark.usefixtures("installed")
class TestStyles:
    """Each import style of real programs, with fasthio installed."""

    def test_attribute_of_the_package(self) -> None:
        for name in NAMES:
            assert getattr(http.clienting, name) is getattr(ours, name)

    def test_reexports_of_the_package(self) -> None:
        assert http.Client is ours.Client
        assert http.ClientDoer is ours.ClientDoer
        assert http.openClient is ours.openClient

    def test_from_package_import(self) -> None:
        from hio.core.http import Client, ClientDoer, openClient

        assert (Client, ClientDoer, openClient) == (ours.Client, ours.ClientDoer, ours.openClient)

    def test_from_module_import(self) -> None:
        from hio.core.http.clienting import Client, Requester, Respondent, Response, backendRequest

        assert Client is ours.Client
        assert Requester is ours.Requester
        assert Respondent is ours.Respondent
        assert Response is ours.Response
        assert backendRequest is ours.backendRequest

    def test_from_package_import_module(self) -> None:
        from hio.core.http import clienting

        assert clienting.Client is ours.Client

    def test_module_taken_before(self) -> None:
        assert early_module.Client is ours.Client
        assert sys.modules["hio.core.http.clienting"] is early_module
        assert importlib.import_module("hio.core.http.clienting") is early_module

    def test_name_taken_before_is_not_reached(self) -> None:
        assert EARLY_CLIENT is not ours.Client

    def test_httping_and_tcp_are_untouched(self) -> None:
        assert httping.Parsent.__module__ == "hio.core.http.httping"
        assert tcp_clienting.Client.__module__ == "hio.core.tcp.clienting"
        assert hio_tcp.Client is tcp_clienting.Client
        assert hio_tcp.clienting is tcp_clienting

    def test_server_is_untouched(self) -> None:
        assert http.Server.__module__ == "hio.core.http.serving"

    def test_response_is_one_type_under_both_names(self) -> None:
        values = ((1, 1), 200, "OK", {}, b"", None, {}, False, None)
        assert type(http.clienting.Response(*values)) is ours.Response is fasthio.Response
        assert http.clienting.Response(*values) == ours.Response(*values)

    def test_a_method_patched_on_hios_name_is_patched_on_ours(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls: list[Any] = []
        with monkeypatch.context() as patch:
            patch.setattr(early_module.Client, "service", lambda self: calls.append(self))
            client = http.Client(hostname="127.0.0.1", port=1)
            client.service()
            client.close()
        assert calls == [client]

    def test_D80_rebound_name_of_the_module_is_the_programs_alone(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Mine(ours.Respondent):  # type: ignore[misc]
            pass

        monkeypatch.setattr(early_module, "Respondent", Mine)
        assert http.clienting.Respondent is Mine
        client = http.Client(hostname="127.0.0.1", port=1)
        assert type(client.respondent) is ours.Respondent
        client.close()
        monkeypatch.setattr(ours, "Respondent", Mine)
        client = http.Client(hostname="127.0.0.1", port=1)
        assert type(client.respondent) is Mine
        client.close()

    def test_D81_classes_name_their_own_module(self) -> None:
        assert http.Client.__module__.startswith("fasthio.")
        assert http.clienting.Requester.__module__.startswith("fasthio.")

    def test_open_client_makes_ours(self) -> None:
        with http.openClient(hostname="127.0.0.1", port=1) as client:
            assert type(client) is ours.Client

    def test_other_names_of_the_module_stay(self) -> None:
        assert early_module.CRLF == b"\r\n"
        assert early_module.httping is httping


def test_uninstall_restores_all() -> None:
    before = state()
    fasthio.install()
    after = state()
    own = {("hio.core.http.clienting", f"{name} of hio") for name in ("Respondent", "ClientDoer")}
    assert after.keys() - before.keys() == own  # what hio's own find themselves by
    changed = {key for key, value in after.items() if key not in own and before[key] != value}
    # Response is hio's own type and so stays what it is
    assert {name for module, name in changed if module == "hio.core.http.clienting"} == {*NAMES} - {
        "Response"
    }
    assert {name for module, name in changed if module == "hio.core.http"} == {
        "Client",
        "ClientDoer",
        "openClient",
    }
    assert {module for module, _ in changed} == {"hio.core.http", "hio.core.http.clienting"}
    fasthio.uninstall()
    assert state() == before
    assert EARLY_CLIENT is http.Client


class TestMadeBefore:
    """What a program has of hio's goes on, although hio's methods name their own classes."""

    @pytest.mark.parametrize("again", [False, True], ids=["installed", "uninstalled again"])
    def test_client_goes_on(self, again: bool) -> None:
        class Own(EARLY_RESPONDENT):  # type: ignore[misc, valid-type]
            pass

        with Server([Request(), OK] * 3, [Request(), OK]) as server, Loop(server) as loop:
            about = {"hostname": "127.0.0.1", "port": server.port, "tymth": loop.tymth}
            client = EARLY_CLIENT(**about)
            other = EARLY_CLIENT(respondent=Own(), **about)
            for each in (client, other):
                each.reopen()
            client.request(path="/1")
            loop.run(client, until=lambda: len(client.responses) == 1)
            fasthio.install()
            client.request(path="/2")
            loop.run(client, until=lambda: len(client.responses) == 2)
            if again:
                fasthio.uninstall()
            client.request(path="/3")
            other.request(path="/4")
            loop.run(client, other, until=lambda: len(client.responses) == 3 and other.responses)
            assert [response["status"] for response in client.responses] == [200] * 3
            for each in (client, other):
                each.respondent.close()
                each.close()

    def test_subclasses_go_on(self, installed: None) -> None:
        class MyDoer(EARLY_DOER):  # type: ignore[misc, valid-type]
            pass

        class MyRespondent(EARLY_RESPONDENT):  # type: ignore[misc, valid-type]
            pass

        client = EARLY_CLIENT(hostname="127.0.0.1", port=1)
        doer = MyDoer(client=client)
        doer.wind(lambda: 1.5)
        assert client.connector.tyme == 1.5
        client.close()
        ours_with_it = http.Client(hostname="127.0.0.1", port=1, respondent=MyRespondent())
        assert type(ours_with_it.respondent) is MyRespondent
        ours_with_it.close()


def test_both_are_idempotent() -> None:
    before = state()
    fasthio.uninstall()
    assert state() == before
    fasthio.install()
    after = state()
    fasthio.install()
    fasthio.install(lazy=True)
    assert state() == after
    fasthio.uninstall()
    fasthio.uninstall()
    assert state() == before


def test_installed_tells() -> None:
    assert not fasthio.installed()
    fasthio.install()
    assert fasthio.installed()
    fasthio.uninstall()
    assert not fasthio.installed()


def test_lazy_with_hio_loaded_installs_at_once() -> None:
    fasthio.install(lazy=True)
    assert http.Client is ours.Client
    fasthio.uninstall()


def test_a_copy_made_while_installed_goes_back_inside_hio(
    installed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # what hio itself copies while we are installed must not keep ours alive after
    monkeypatch.setattr(sys.modules["hio.core.http.serving"], "Client", http.Client, raising=False)
    fasthio.uninstall()
    assert sys.modules["hio.core.http.serving"].Client is EARLY_CLIENT


# In a process of its own, where hio is not loaded yet ---------------------------


def run(code: str, *options: str) -> str:
    """Run code in a fresh Python; give what it prints."""
    done = subprocess.run(
        [sys.executable, *options, "-W", "error::RuntimeWarning", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(
    "statement",
    [
        "from hio.core import http; Client = http.clienting.Client",
        "from hio.core import http; Client = http.Client",
        "from hio.core.http import Client",
        "from hio.core.http import clienting; Client = clienting.Client",
        "from hio.core.http.clienting import Client",
        "import hio.core.http.clienting; Client = hio.core.http.clienting.Client",
        "import importlib; Client = importlib.import_module('hio.core.http.clienting').Client",
    ],
)
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("first", ["", "import fasthio.errors", "import fasthio.clienting"])
def test_installed_before_hio_is_imported(statement: str, lazy: bool, first: str) -> None:
    # `first` loads hio from inside one of our own modules, half made at that time
    code = f"""
    import sys, fasthio
    fasthio.install(lazy={lazy})
    assert fasthio.installed()
    {first or "pass"}
    {statement}
    import fasthio.clienting, hio.core.http, hio.core.tcp
    assert Client is fasthio.clienting.Client is hio.core.http.Client
    assert hio.core.tcp.Client is not Client
    assert not [f for f in sys.meta_path if type(f).__module__ == "fasthio.installing"]
    for module in list(sys.modules.values()):
        spec = getattr(module, "__spec__", None)
        loader = getattr(spec, "loader", None)
        assert type(loader).__module__ != "fasthio.installing", module
    fasthio.uninstall()
    assert hio.core.http.Client is not Client
    print("ok")
    """
    assert run(code) == "ok\n"


def test_lazy_can_be_taken_back_before_it_happens() -> None:
    code = """
    import sys, fasthio
    before = list(sys.meta_path)
    fasthio.install(lazy=True)
    fasthio.install(lazy=True)
    assert len(sys.meta_path) == len(before) + 1
    fasthio.uninstall()
    assert sys.meta_path == before and not fasthio.installed()
    from hio.core import http
    print(http.Client.__module__)
    """
    assert run(code) == "hio.core.http.clienting\n"


def test_lazy_becomes_eager_when_asked() -> None:
    code = """
    import sys, fasthio
    fasthio.install(lazy=True)
    fasthio.install()
    assert "hio.core.http" in sys.modules
    assert not [f for f in sys.meta_path if type(f).__module__ == "fasthio.installing"]
    from hio.core import http
    print(http.Client is fasthio.Client)
    """
    assert run(code) == "True\n"


def test_lazy_from_many_threads() -> None:
    code = """
    import fasthio, threading
    fasthio.install(lazy=True)
    seen = []
    def work():
        from hio.core import http
        seen.append(http.Client)
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print(len(seen), set(seen) == {fasthio.Client})
    """
    assert run(code) == "8 True\n"


def test_pth_recipe(tmp_path: Path) -> None:
    # the line of docs/install.md, in a site directory of its own
    document = Path(__file__).parent.parent / "docs" / "install.md"
    line = "import fasthio; fasthio.install(lazy=True)"
    assert line in document.read_text()
    (tmp_path / "fasthio-install.pth").write_text(line + "\n")
    code = f"""
    import sys
    before = "hio" in sys.modules
    import site
    site.addsitedir({str(tmp_path)!r})
    assert "fasthio" in sys.modules and "hio" not in sys.modules and not before
    from hio.core.http import Client
    print(Client.__module__)
    """
    assert run(code) == "fasthio.clienting\n"

"""Other interpreters in one process: the C engine refuses with a reason, the Python engine runs.

The C engine keeps its tables and Python objects once for the process. A second
interpreter must not have them, so importing it there fails, and `auto` takes the
Python engine with its usual warning. Threads of one interpreter are no such thing:
the C engine runs on free-threaded CPython, where its tests are the same.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import fasthio
from cases import CASES, Run, run
from conftest import MISSING_C
from fasthio.errors import ParseError

SUB = """
import warnings
warnings.simplefilter("ignore")
try:
    import hio.core.http
except ImportError as error:
    print("no hio:", error, flush=True)
    raise SystemExit
try:
    import fasthio._parser
except ImportError as error:
    print("refused:", error, flush=True)
from fasthio.engine import ENGINE, ResponseParser
parser = ResponseParser()
parser.parse(bytearray(b"HTTP/1.1 204 No Content\\r\\n\\r\\n"))
print(ENGINE, parser.status, parser.state, flush=True)
"""

MAIN = f"""
import sys
import fasthio._parser
if sys.version_info >= (3, 13):
    import _interpreters
    inner = _interpreters.create("legacy")
    failed = _interpreters.exec(inner, {SUB!r})
    assert failed is None, failed
    _interpreters.destroy(inner)
else:
    import _xxsubinterpreters
    inner = _xxsubinterpreters.create(isolated=False)
    _xxsubinterpreters.run_string(inner, {SUB!r})
    _xxsubinterpreters.destroy(inner)
from fasthio.engine import ENGINE
print(ENGINE)
"""


@pytest.mark.skipif(MISSING_C is not None, reason=f"no C engine: {MISSING_C}")
@pytest.mark.skipif(sys.version_info >= (3, 15), reason="the private module is another one there")
def test_a_second_interpreter_takes_the_python_engine() -> None:
    """The C engine says why it cannot be had there; fasthio works all the same."""
    path = str(Path(fasthio.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", MAIN], env={**os.environ, "PYTHONPATH": path, "FASTHIO_ENGINE": ""},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if done.stdout.startswith("no hio:"):
        # hio 0.7 imports lmdb, which free-threaded CPython lets into one interpreter alone
        pytest.skip(f"hio itself cannot be had there: {done.stdout.splitlines()[0]}")
    assert done.returncode == 0, done.stderr
    refused, inner, outer = done.stdout.splitlines()
    assert refused.startswith("refused: ")
    assert "one interpreter per process" in refused or "subinterpreters" in refused
    assert inner == "py 204 done"
    assert outer == "c"


@pytest.mark.skipif(MISSING_C is not None, reason=f"no C engine: {MISSING_C}")
def test_the_c_engine_needs_no_lock() -> None:
    """A free-threaded interpreter goes on without its lock when the C engine is imported."""
    path = str(Path(fasthio.__file__).parent.parent)
    code = (
        "import sys, warnings; warnings.simplefilter('ignore'); import fasthio.errors\n"
        "locked = getattr(sys, '_is_gil_enabled', lambda: True)\n"
        "before = locked(); import fasthio._parser; print(before == locked())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == "True\n", done.stderr


def together(work: Callable[[int], None], threads: int = 4) -> None:
    """Let threads do the same at the same time.

    Raises:
        BaseException: what one of them raised.
    """
    ready = threading.Barrier(threads)
    failed: list[BaseException] = []

    def run_one(number: int) -> None:
        try:
            ready.wait(30)
            work(number)
        except BaseException as error:
            failed.append(error)

    workers = [threading.Thread(target=run_one, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert not any(worker.is_alive() for worker in workers)
    if failed:
        raise failed[0]


@pytest.mark.skipif(MISSING_C is not None, reason=f"no C engine: {MISSING_C}")
def test_threads_with_one_parser() -> None:
    """A parser that threads fight over breaks its messages alone; then it is as good as new."""
    engine = importlib.import_module("fasthio._parser")
    parser = engine.ResponseParser()
    cases = [case for case in CASES if not case.limits and len(case.octets) < 400][::7]
    attributes = [name for name in dir(parser) if not name.startswith("_")]

    def work(number: int) -> None:
        for index in range(300):
            octets = cases[(index + number * 17) % len(cases)].octets
            try:
                if index % 5 == number % 5:
                    parser.start(("GET", "HEAD")[index & 1])
                if number & 1:
                    parser.feed(octets[: index % 50])
                else:
                    parser.take(bytearray(octets[: index % 50]))
                parser.received(min(1, max(0, parser.wanted)))
            except (ParseError, RuntimeError, ValueError, BufferError):
                pass  # in which order they come is up to the threads
            for name in attributes:
                getattr(parser, name)

    together(work)
    for case in cases:
        result = run(parser, [case.octets], case.method, case.eof)
        assert result == run(engine.ResponseParser(), [case.octets], case.method, case.eof)


@pytest.mark.skipif(MISSING_C is not None, reason=f"no C engine: {MISSING_C}")
def test_threads_with_one_event_parser() -> None:
    """The same for event streams: no event is lost or doubled that came whole."""
    engine = importlib.import_module("fasthio._parser")
    parser = engine.EventParser()
    events: list[dict[str, object]] = []

    def work(number: int) -> None:
        for index in range(300):
            parser.feed(bytearray(b""), [])
            raw = bytearray(b"data: %d\n\n" % (number * 1000 + index))
            parser.feed(raw, events)
            assert not raw
            assert (parser.leid, parser.retry, parser.bom, parser.error) == (None, None, None, None)

    together(work)
    want = sorted(str(number * 1000 + index) for number in range(4) for index in range(300))
    assert sorted(str(event["data"]) for event in events) == want
    assert parser.count == len(want)


def test_threads_with_parsers_of_their_own(engine: ModuleType) -> None:
    """Parsers share tables alone: threads do not disturb each other."""
    cases = [case for case in CASES if not case.limits and len(case.octets) < 400][::5]
    want = [run(engine.ResponseParser(), [it.octets], it.method, it.eof) for it in cases]
    got: dict[int, list[Run]] = {}

    def work(number: int) -> None:
        parser = engine.ResponseParser()
        results = []
        for index in range(len(cases)):
            it = cases[(index + number * 17) % len(cases)]
            pieces = [
                it.octets[at : at + 1 + number] for at in range(0, len(it.octets), 1 + number)
            ]
            results.append(run(parser, pieces, it.method, it.eof))
        start = -number * 17 % len(cases)
        got[number] = results[start:] + results[:start]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(interval)
    assert sorted(got) == list(range(6))
    assert all(results == want for results in got.values())

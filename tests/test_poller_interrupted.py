"""Ctrl-C at any line of the poller's modules: no target is lost, each poll is told once."""

from __future__ import annotations

import gc
import socket
import sys
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any

import pytest

from fasthio import (
    admitting,
    attempting,
    dispatching,
    judging,
    lines,
    pacing,
    polling,
    results,
    scheduling,
    shortcut,
)
from fasthio.demo import serving
from fasthio.polling import Poller

MODULES = (
    admitting, attempting, dispatching, judging, lines,
    pacing, polling, results, scheduling, shortcut,
)  # fmt: skip
FILES = frozenset(module.__file__ for module in MODULES)
COUNT = 2
#: Turns in which a poller must be done; it waits for a few of them only.
TURNS = 2000

Line = tuple[CodeType, int]


@pytest.fixture(scope="module")
def root() -> Iterator[str]:
    with serving() as root:
        yield root


@pytest.fixture(scope="module")
def closed() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


class Tracer:
    """Note the lines that are run, and raise KeyboardInterrupt at one of them."""

    def __init__(self, at: Line | None = None) -> None:
        self.lines: dict[Line, int] = {}
        self.at = at

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Any:
        if frame.f_code.co_filename not in FILES:
            return None
        if event == "line":
            line = (frame.f_code, frame.f_lineno)
            self.lines[line] = self.lines.get(line, 0) + 1
            if line == self.at and self.lines[line] == 1:
                raise KeyboardInterrupt
        return self

    def __enter__(self) -> Tracer:
        self.before = sys.gettrace()  # that of coverage, where lines are counted
        sys.settrace(self)
        return self

    def __exit__(self, *error: object) -> bool:
        sys.settrace(self.before)
        return isinstance(error[1], KeyboardInterrupt)


def make_poller(root: str, closed: int, kind: str) -> Poller:
    options: dict[str, Any] = {"each": {}, "shared": {"connections_per_origin": 1}}.get(kind, {})
    poller = Poller(openings=1e6, **options)
    urls = [f"{root}/json", f"{root}/redirect/1", f"{root}/chunked", f"{root}/status/503"]
    for url in [*urls, f"http://127.0.0.1:{closed}/"]:
        every = 0.001 if url is not urls[2] else 0.0
        poller.add(url, every=every, count=COUNT, timeout=0.25)
    return poller


def turn(poller: Poller) -> None:
    for _ in range(TURNS):
        if poller.done:
            return
        poller.service()
        poller.wait(0.02)
    raise AssertionError(f"not done: {[(each.label, each.state) for each in poller]}")


def told(poller: Poller) -> None:
    """See that each poll of each target was told once."""
    numbers: dict[Any, list[int]] = {target: [] for target in poller}
    for result in poller.results:
        numbers[result.target] += range(result.number, result.number + result.count)
    for target, each in numbers.items():
        assert sorted(each) == list(range(COUNT)), target
    assert sum(poller.counts.values()) == COUNT * len(poller)
    assert {target.state for target in poller} == {"done"}
    assert (poller.flying, poller.waiting, len(poller._admission)) == (0, 0, 0)


def lines_of(root: str, closed: int, kind: str) -> dict[Line, int]:
    """Give the lines that are run from the first service to the end of close."""
    poller = make_poller(root, closed, kind)
    with Tracer() as tracer:
        turn(poller)
        poller.close()
    return tracer.lines


# an interrupt may drop a socket that was just made before anybody knows of it
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("kind", "half"), [("each", 0), ("shared", 1)])
def test_interrupted_at_each_line(root: str, closed: int, kind: str, half: int) -> None:
    """Half of the lines with each kind of poller, as a run for each takes its time."""
    lines = lines_of(root, closed, kind)
    assert len(lines) > 300
    failed: list[str] = []
    for line in list(lines)[half::2]:
        poller = make_poller(root, closed, kind)
        with Tracer(line):
            turn(poller)
            poller.close()
        where = f"{line[0].co_qualname if hasattr(line[0], 'co_qualname') else line[0].co_name}"
        try:
            turn(poller)
            poller.close()
            told(poller)
            assert poller.connections == 0
        except Exception as error:
            failed.append(f"{where}:{line[1]}: {error!r:.300}")
            poller._unsound = True
            poller.close()
    gc.collect()  # such sockets are to be told of here, not in a later test
    assert not failed, "\n".join(failed)

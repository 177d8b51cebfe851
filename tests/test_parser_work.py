"""Linear work, counted and not timed: twice the octets, at most twice the work.

On the Python engine each line run of its modules is counted, and each octet that is
looked at through the buffer; on both engines the calls into Python. What the C engine
does inside is counted in instructions by `tools/linear.py`.
"""

from __future__ import annotations

import sys
from types import FrameType, ModuleType
from typing import Any

import pytest

from fasthio import _pyparser
from fasthio.errors import ParseError
from growing import GROWS, WIDE

SIZES = (2048, 4096)


class Watched(bytearray):
    """A buffer that counts the octets that are looked at through it."""

    seen = 0

    def find(self, what: Any, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]
        """Find as bytearray does; count what lies between."""
        end = len(self) if end is None else min(end, len(self))
        place = super().find(what, start, end)
        self.seen += max(0, (end if place < 0 else place) - start)
        return place

    def __getitem__(self, place: Any) -> Any:
        """Take as bytearray does; count what is taken."""
        got = super().__getitem__(place)
        self.seen += len(got) if isinstance(place, slice) else 1
        return got

    def startswith(self, what: Any, *place: int) -> bool:  # type: ignore[override]
        """Compare as bytearray does; count what is compared."""
        self.seen += len(what)
        return super().startswith(what, *place)


MODULES = [f"fasthio.{name}" for name in ("_pylines", "_pyhead", "_pybody", "_pyparser", "syntax")]
COUNTED = {sys.modules[name].__file__ for name in MODULES}


def work(octets: bytes, step: int) -> int:
    """Count the lines the Python engine runs and the octets it looks at."""
    lines = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal lines
        if frame.f_code.co_filename not in COUNTED:
            return None
        if event == "line":
            lines += 1
        return trace

    parser = _pyparser.ResponseParser(limits=WIDE)
    rx = Watched()
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for at in range(0, len(octets), step):
            rx += octets[at : at + step]
            held = len(rx)
            count = parser.parse(rx)
            assert 0 <= count <= held
            bytearray.__delitem__(rx, slice(0, count))
    except ParseError:
        pass
    finally:
        sys.settrace(before)
    return lines + rx.seen


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
@pytest.mark.parametrize("what", GROWS)
def test_work_of_the_python_engine(what: str, step: int) -> None:
    """Twice as much of anything, in pieces of any size, is at most twice the work."""
    small, large = (work(GROWS[what](size), step) for size in SIZES)
    assert large <= 2.2 * small + 200, f"{small} to {large}"


def calls(engine: ModuleType, octets: bytes, step: int) -> int:
    """Count the calls into Python and built-in functions that parsing makes."""
    count = 0

    def profile(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    parser = engine.ResponseParser(limits=WIDE)
    rx = bytearray()
    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        for at in range(0, len(octets), step):
            rx += octets[at : at + step]
            del rx[: parser.parse(rx)]
    except ParseError:
        pass
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("step", [1, 1 << 20])
@pytest.mark.parametrize("what", GROWS)
def test_calls(engine: ModuleType, what: str, step: int) -> None:
    """Twice as much of anything is at most twice as many calls, on both engines."""
    small, large = (calls(engine, GROWS[what](size), step) for size in SIZES)
    assert large <= 2.2 * small + 60, f"{small} to {large}"

"""What every fuzz target checks of an input.

An input is two octets of settings and a response. The first octet: bit 0 small limits,
bit 1 the peer closes behind it, bits 2 and 3 the method, bit 4 the body alone. The
second moves the places where the response is split. `tools/corpus.py seeds` writes the
corpus in this form.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from cases import Run, run, snapshot  # noqa: E402
from fasthio.errors import ParseError  # noqa: E402
from fasthio.grammar import Limits  # noqa: E402

__all__ = ["METHODS", "Checker"]

METHODS = ("GET", "HEAD", "CONNECT", "POST")
SMALL = Limits(
    line=40, fields=3, head=1024, interims=1, empty_lines=1, extensions=4, trailers=20, body=12
)
BODIES = (("chunked", None), ("close", None), ("fixed", 7))


class Checker:
    """Hold engines to the law: the same at every split, and the same as each other.

    Args:
        engines: modules of the engines.
    """

    def __init__(self, *engines: Any) -> None:
        # parsers are used again and again: what they have done before must not matter
        self.parsers = [
            [engine.ResponseParser() for engine in engines],
            [engine.ResponseParser(limits=SMALL) for engine in engines],
        ]

    def __call__(self, data: bytes) -> None:
        """Check one input.

        Raises:
            AssertionError: the law is broken.
            Exception: whatever else an engine raised, which breaks it too.
        """
        if len(data) < 2:
            return
        settings, place, octets = data[0], data[1], data[2:]
        method, eof = METHODS[settings >> 2 & 3], bool(settings & 2)
        parsers = self.parsers[settings & 1]
        if settings & 16:
            self.bodies(parsers, octets, place, eof)
            return
        want: Run | None = None
        for parser in parsers:
            for pieces in splits(octets, place):
                result = run(parser, pieces, method, eof)
                if want is None:
                    want = result
                    bounded(parser, octets)
                if result != want:
                    raise AssertionError(f"{data!r}: {result} is not {want}")
                # the same through the buffer that is emptied, or as octets come
                way = ("take", "feed")[place & 1]
                result = run(parser, pieces, method, eof, way)
                if way == "feed" and not parser.done:
                    result = Run(result.snapshot, want.rest)  # it keeps them itself
                if result != want:
                    raise AssertionError(f"{data!r}: {way}: {result} is not {want}")

    def bodies(self, parsers: list[Any], octets: bytes, place: int, eof: bool) -> None:
        """Check a body without its head."""
        framing, length = BODIES[place % len(BODIES)]
        want = None
        for parser in parsers:
            for pieces in splits(octets, place):
                parser.start_body(framing, length)
                rx = bytearray()
                for index, piece in enumerate([*pieces, b""]):
                    rx += piece
                    before = parser.consumed
                    try:
                        parser.parse(rx, eof and index == len(pieces))
                    except ParseError as error:
                        if error is not parser.error:
                            raise AssertionError("another error than it keeps") from error
                    del rx[: parser.consumed - before]
                result = Run(snapshot(parser), bytes(rx))
                want = want or result
                if result != want:
                    raise AssertionError(f"{octets!r}: {result} is not {want}")


def splits(octets: bytes, place: int) -> list[list[bytes]]:
    """Give some ways to split: whole, octet by octet, in two and in pieces of one size."""
    at = place * (len(octets) + 1) // 256
    size = place % 13 + 2
    ways = [[octets], [octets[:at], octets[at:]]]
    if len(octets) <= 2048:
        ways.append([octets[index : index + 1] for index in range(len(octets))])
    ways.append([octets[index : index + size] for index in range(0, len(octets), size)])
    return ways


def bounded(parser: Any, octets: bytes) -> None:
    """Hold what a parser kept to what it was given."""
    kept = len(parser.body)
    for mapping in (parser.headers, parser.trailers, parser.extensions):
        for name, value in mapping.items() if mapping is not None else ():
            kept += len(name) + len(value or "")
    if not kept <= parser.consumed <= len(octets):
        raise AssertionError(f"{octets!r}: {kept} octets kept of {parser.consumed}")

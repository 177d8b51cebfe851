"""The law: both engines tell the same about every case, however it is split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import combinations
from types import ModuleType
from typing import Any

import pytest

from cases import CASES, FOLDER, Run, log_of, parser_of, run, snapshot
from fasthio import _pyparser
from fasthio.errors import ParseError
from fasthio.grammar import ERRORS, STATES

SHORT = 60  # octets of a case that is tried at every three-way split
LONG = 1500  # octets of a case from which on the two-way splits are a sample

#: What a parser may have done before: ended well, failed, been cut off, been left half way.
PASTS = (
    (b"HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: x, chunked\r\nContent-Length: 1\r\n\r\n"
     b"1;e=f\r\nx\r\n0\r\nT: u\r\n\r\nrest", "HEAD", False),
    (b"HTTP/1.0 404 Not Found\r\nContent-Length: 3\r\n\r\nabc", "GET", True),
    (b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: x\r\nTransfer-Encoding: a\r\nbad\r\n",
     "GET", False),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n", "CONNECT", True),
    (b"\r\n\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhel", "POST", False),
    (b"HTTP/1.1 103 Early\r\nA: b\r\n c", "GET", False),
)  # fmt: skip


@cache
def reference(index: int) -> Run:
    """Give what the Python engine makes of a case in one piece: all else must be the same."""
    case = CASES[index]
    return run(parser_of(_pyparser, case), [case.octets], case.method, case.eof)


@pytest.mark.parametrize("index", range(len(CASES)), ids=[case.name for case in CASES])
def test_case(engine: ModuleType, index: int) -> None:
    """A case is as its log says, in whatever pieces and after whatever came before."""
    case = CASES[index]
    parser = parser_of(engine, case)
    result = run(parser, [case.octets], case.method, case.eof)
    assert log_of(parser, result.rest) == case.log
    want = reference(index)
    assert result == want, "the engines differ"
    assert_sticky(parser, result)
    for pieces in splits(case.octets):
        result = run(parser, pieces, case.method, case.eof)
        assert result == want, f"split into {[len(piece) for piece in pieces][:9]}"
    for pieces in splits(case.octets):
        if len(pieces) == 3:
            break
        for way in ("take", "feed"):
            result = run(parser, pieces, case.method, case.eof, way)
            same = result.snapshot == want.snapshot
            assert same, f"{way}: split into {[len(piece) for piece in pieces][:9]}"
            if way == "take" or parser.done:
                assert result.rest == want.rest, way
    for octets, method, eof in PASTS:
        run(parser, [octets], method, eof)
        result = run(parser, [case.octets], case.method, case.eof)
        assert result == want, f"after {octets!r}"
    if want.snapshot[0] in ("done", "failed") and not case.eof:
        for behind in (b"x", b"\r\n", b"HTTP/1.1 200 OK\r\n\r\n"):
            result = run(parser, [case.octets + behind], case.method)
            assert result == Run(want.snapshot, want.rest + behind), f"{behind!r} behind it"


def splits(octets: bytes) -> Iterator[list[bytes]]:
    """Give the ways to split: octet by octet, every two pieces, every three of what is short."""
    size = len(octets)
    yield [octets[at : at + 1] for at in range(size)]
    places: Iterable[int] = range(size + 1)
    if size > LONG:
        places = sorted({*places[:80], *places[-80:], *places[:: size // 80]})
    for at in places:
        yield [octets[:at], octets[at:]]
    if size <= LONG:
        yield [piece for at in range(size) for piece in (octets[at : at + 1], b"")]
    if size <= SHORT:
        for one, two in combinations(range(1, size), 2):
            yield [octets[:one], octets[one:two], octets[two:]]


def assert_sticky(parser: Any, result: Run) -> None:
    """After the end nothing is consumed; after a failure the same error is raised again."""
    for eof in (False, True, False):
        rx = bytearray(b"HTTP/1.1 200 OK\r\n\r\n")
        for again in (parser.parse, parser.parse_head):
            if parser.done:
                assert again(rx, eof) == 0
            elif parser.error is not None:
                with pytest.raises(ParseError) as caught:
                    again(rx, eof)
                assert caught.value is parser.error
            else:
                return
        assert Run(snapshot(parser), result.rest) == result


# the corpus itself -----------------------------------------------------------


def test_enough_cases() -> None:
    """The corpus has the cases it is meant to have, each with a log and no two alike."""
    assert len(CASES) >= 700
    names = Counter(it.name for it in CASES)
    assert [name for name, count in names.items() if count > 1] == []
    assert [it.name for it in CASES if not it.log] == []
    inputs: dict[object, list[str]] = {}
    for it in CASES:
        key = (it.octets, it.method, it.eof, tuple(sorted(it.limits.items())))
        inputs.setdefault(key, []).append(it.name)
    assert [names for names in inputs.values() if len(names) > 1] == []


def test_files_are_read() -> None:
    """Each heading of each file is a case: none is lost by a slip in its form."""
    for path in FOLDER.glob("[a-z]*.md"):
        headings = [line for line in path.read_text("utf-8").split("\n") if line.startswith("### ")]
        assert len(headings) == sum(it.file == path.stem for it in CASES), path.name


def test_every_code() -> None:
    """Each error a response can have is in the corpus, and each state a case can end in."""
    told = {line.split()[1] for it in CASES for line in it.log if line.startswith("error ")}
    assert {code for code, spec in ERRORS.items() if spec.rfc.startswith("RFC")} - told == set()
    assert set(STATES) - {it.log[0].removeprefix("state ") for it in CASES} == set()

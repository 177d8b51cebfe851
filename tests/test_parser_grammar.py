"""Every octet at every place of the grammar, and every edge of the state machine."""

from __future__ import annotations

from types import ModuleType

import pytest

from cases import CASES, run
from fasthio.errors import ParseError
from fasthio.grammar import TRANSITIONS
from heads import CHUNKED, HEAD

# every octet at every place --------------------------------------------------

TCHAR = frozenset(
    b"!#$%&'*+-.^_`|~0123456789" + bytes(range(0x41, 0x5B)) + bytes(range(0x61, 0x7B))
)
TEXT = frozenset([9, *range(0x20, 0x7F), *range(0x80, 0x100)])
DIGITS = frozenset(b"0123456789")
HEX = DIGITS | frozenset(b"abcdefABCDEF")
OWS = frozenset(b" \t")
END = b"Content-Length: 0\r\n\r\n"
LINE = HEAD + b"A: b\r\n"

#: Octets before and behind, and those that make a response with the ABNF as it is written.
PLACES = {
    "HTTP-name": (b"H", b"TP/1.1 200 OK\r\n" + END, b"T"),
    "major digit": (b"HTTP/", b".1 200 OK\r\n" + END, b"1"),
    "dot": (b"HTTP/1", b"1 200 OK\r\n" + END, b"."),
    "minor digit": (b"HTTP/1.", b" 200 OK\r\n" + END, DIGITS),
    "space behind the version": (b"HTTP/1.1", b"200 OK\r\n" + END, b" "),
    "first digit of the status": (b"HTTP/1.1 ", b"00 OK\r\n" + END, DIGITS - {0x30, 0x31}),
    "last digit of the status": (b"HTTP/1.1 20", b" OK\r\n" + END, DIGITS),
    "space behind the status": (b"HTTP/1.1 200", b"OK\r\n" + END, b" "),
    "end of the status": (b"HTTP/1.1 200", b"\r\n" + END, b" "),
    "reason": (b"HTTP/1.1 200 O", b"K\r\n" + END, TEXT),
    "end of the reason": (b"HTTP/1.1 200 O", b"\r\n" + END, TEXT),
    "first of a name": (HEAD, b"A: b\r\n" + END, TCHAR),
    "inside a name": (HEAD + b"A", b"B: b\r\n" + END, TCHAR | {0x3A}),
    "end of a name": (HEAD + b"A", b": b\r\n" + END, TCHAR | {0x3A}),
    "first of a second line": (LINE, b"A: b\r\n" + END, TCHAR | OWS),
    "before a value": (HEAD + b"A:", b"b\r\n" + END, TEXT),
    "inside a value": (HEAD + b"A: b", b"c\r\n" + END, TEXT),
    "end of a value": (HEAD + b"A: b", b"\r\n" + END, TEXT),
    "a value": (HEAD + b"A:", b"\r\n" + END, TEXT),
    "a fold": (LINE + b" ", b"\r\n" + END, TEXT),
    "before a length": (HEAD + b"Content-Length:", b"3\r\n\r\nabc", OWS | {0x30}),
    "behind a length": (HEAD + b"Content-Length: 3", b"\r\n\r\nabc", OWS),
    "before chunked": (HEAD + b"Transfer-Encoding:", b"chunked\r\n\r\n0\r\n\r\n", OWS | {0x2C}),
    "inside chunked": (HEAD + b"Transfer-Encoding: chun", b"ked\r\n\r\n0\r\n\r\n", b""),
    "behind chunked": (HEAD + b"Transfer-Encoding: chunked", b"\r\n\r\n0\r\n\r\n", OWS | {0x2C}),
    "between codings": (HEAD + b"Transfer-Encoding: a", b"chunked\r\n\r\n0\r\n\r\n", b","),
    "before a chunk size": (CHUNKED, b"3\r\nabc\r\n0\r\n\r\n", b"0"),
    "behind a chunk size": (CHUNKED + b"3", b"\r\nabc\r\n0\r\n\r\n", OWS | {0x3B}),
    "last chunk size": (CHUNKED, b"\r\n\r\n", b"0"),
    "CR behind a chunk size": (CHUNKED + b"3", b"\nabc\r\n0\r\n\r\n", b"\r"),
    "LF behind a chunk size": (CHUNKED + b"3\r", b"abc\r\n0\r\n\r\n", b"\n"),
    "first of an extension": (CHUNKED + b"3;", b"a\r\nabc\r\n0\r\n\r\n", TCHAR | OWS | {0x3B}),
    "inside an extension": (CHUNKED + b"3;a", b"b\r\nabc\r\n0\r\n\r\n", TCHAR | {0x3B, 0x3D}),
    "value of an extension": (CHUNKED + b"3;a=", b"\r\nabc\r\n0\r\n\r\n", TCHAR),
    "behind an extension": (CHUNKED + b"3;a=b", b"\r\nabc\r\n0\r\n\r\n", TCHAR | OWS | {0x3B}),
    "inside quotes": (CHUNKED + b'3;a="b', b'c"\r\nabc\r\n0\r\n\r\n', TEXT - {0x22}),
    "escaped in quotes": (CHUNKED + b'3;a="\\', b'"\r\nabc\r\n0\r\n\r\n', TEXT),
    "CR behind the data": (CHUNKED + b"3\r\nabc", b"\n0\r\n\r\n", b"\r"),
    "LF behind the data": (CHUNKED + b"3\r\nabc\r", b"0\r\n\r\n", b"\n"),
    "end of a trailer name": (CHUNKED + b"0\r\nA", b": b\r\n\r\n", TCHAR | {0x3A}),
    "inside a trailer value": (CHUNKED + b"0\r\nA: b", b"c\r\n\r\n", TEXT),
    "CR of the last line": (CHUNKED + b"0\r\n", b"\n", b"\r\n"),
}

#: LF is no octet of these, but ends the line there, and what is left of it is right too.
ENDED = {
    "end of the status", "end of the reason", "end of a value", "a value", "a fold",
    "behind a length", "first of a second line",
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_every_octet(engine: ModuleType, place: str) -> None:
    """At a place in a response exactly those octets are taken that the grammar has there."""
    before, behind, right = PLACES[place]
    taken = set()
    parser = engine.ResponseParser()
    for octet in range(256):
        result = run(parser, [before + bytes([octet]) + behind])
        if result.snapshot[0] == "done":
            taken.add(octet)
    extra = set()
    if place in ENDED:
        extra = {0x0A} & taken  # LF CRLF is the end of the head: what follows is left over
    assert taken - extra == set(right)


# the state machine -----------------------------------------------------------


def test_every_edge(engine: ModuleType) -> None:
    """The corpus walks each edge that the grammar declares, and no other."""
    declared = {(before, after) for before, after, _ in TRANSITIONS}
    walked = set()
    for case in CASES:
        parser = engine.ResponseParser(limits=case.bounds)
        parser.start(case.method)
        rx = bytearray()
        octets = case.octets
        if len(octets) > 4096:  # what is long is long in one of its lines
            octets = b""
        steps = [(octets[at : at + 1], False) for at in range(len(octets))]
        for octet, eof in [*steps, (b"", case.eof)]:
            before, consumed = parser.state, parser.consumed
            rx += octet
            try:
                del rx[: parser.parse(rx, eof)]
            except ParseError:
                pass
            if parser.state != before:
                walked.add((before, parser.state))
            elif parser.consumed > consumed and (before, before) in declared:
                walked.add((before, before))
            if parser.error is not None or parser.done:
                break
    assert walked == declared

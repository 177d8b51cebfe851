"""Messages built and broken by hypothesis: the engines against a model and each other."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cases import CASES, Run, run, snapshot
from conftest import ENGINES, MODULES
from fasthio.errors import ParseError
from fasthio.grammar import ERRORS, Limits

MODULE = {name: importlib.import_module(MODULES[name]) for name in ENGINES}
PARSERS = {name: module.ResponseParser() for name, module in MODULE.items()}
SMALL = Limits(
    line=40, fields=3, head=1024, interims=1, empty_lines=1, extensions=4, trailers=20, body=12
)
SMALL_PARSERS = {name: MODULE[name].ResponseParser(limits=SMALL) for name in ENGINES}

RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


# building messages -----------------------------------------------------------


@dataclass
class Message:
    """A response as it was built, and what a parser must make of it."""

    octets: bytes
    method: str
    version: tuple[int, int]
    status: int
    reason: str
    fields: list[tuple[str, str]]
    framing: str
    body: bytes
    extensions: dict[str, str | None] = field(default_factory=dict)
    trailers: list[tuple[str, str]] = field(default_factory=list)
    interims: int = 0


TCHAR = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
tokens = st.text(TCHAR, min_size=1, max_size=12)
#: field content without white space at its ends
contents = st.text([chr(o) for o in (9, *range(32, 127), *range(128, 256))], max_size=24).map(
    lambda text: text.strip(" \t")
)
ows = st.text(" \t", max_size=3)
line_ends = st.sampled_from([b"\r\n", b"\r\n", b"\n"])
names = tokens.filter(lambda name: name.lower() not in ("content-length", "transfer-encoding"))
fields = st.lists(st.tuples(names, contents), max_size=5)
digits_0 = st.sampled_from(["", "0", "000"])


@st.composite
def field_lines(draw: st.DrawFn, pairs: list[tuple[str, str]]) -> bytes:
    """Write fields as lines, some of them folded, with any white space and line end."""
    octets = b""
    for name, value in pairs:
        octets += f"{name}:{draw(ows)}".encode()
        words = value.split(" ")
        for index, word in enumerate(words):
            # a single space between words may be written as a fold
            foldable = (
                word and words[index - 1] and word[0] != "\t" and words[index - 1][-1] != "\t"
            )
            if index and foldable and draw(st.integers(0, 5)) == 0:
                octets += draw(line_ends) + draw(st.sampled_from([b" ", b"\t", b" \t "]))
            elif index:
                octets += b" "
            octets += word.encode("iso-8859-1")
        octets += draw(ows).encode() + draw(line_ends)
    return octets


@st.composite
def extension_lists(draw: st.DrawFn) -> tuple[bytes, dict[str, str | None]]:
    """Write chunk extensions, quoted and unquoted."""
    octets, pairs = b"", {}
    for _ in range(draw(st.integers(0, 2))):
        name = draw(tokens)
        value = draw(st.none() | contents)
        octets += f"{draw(ows)};{draw(ows)}{name}".encode()
        if value is not None:
            octets += f"{draw(ows)}={draw(ows)}".encode()
            if value and all(letter in TCHAR for letter in value) and draw(st.booleans()):
                octets += value.encode()
            else:
                quoted = "".join(
                    "\\" + letter if letter in '"\\' or draw(st.integers(0, 9)) == 0 else letter
                    for letter in value
                )
                octets += b'"' + quoted.encode("iso-8859-1") + b'"'
        pairs[name] = value
    return octets, pairs


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Build a whole response, right by the grammar."""
    octets = draw(st.sampled_from([b"", b"", b"\r\n", b"\n\r\n"]))
    interims = draw(st.sampled_from([0, 0, 0, 1, 2]))
    for _ in range(interims):
        status = draw(st.sampled_from([100, 102, 103, 199]))
        octets += f"HTTP/1.1 {status} x".encode() + draw(line_ends)
        octets += draw(field_lines(draw(fields))) + draw(line_ends)
    method = draw(st.sampled_from(["GET", "GET", "POST", "HEAD", "CONNECT"]))
    minor = draw(st.sampled_from(["1.1", "1.1", "1.0", "0.9", "1.2", "1.9"]))
    version = (1, 0) if minor in ("1.0", "0.9") else (1, 1)
    status = draw(st.sampled_from([200, 200, 204, 304, 404, 101, 999, 206, 500]))
    reason = draw(contents)
    line = f"HTTP/{minor} {status} {draw(ows)}{reason}{draw(ows)}".encode("iso-8859-1")
    octets += (line.rstrip(b" \t") if not reason and draw(st.booleans()) else line) + draw(
        line_ends
    )
    body = draw(st.binary(max_size=60))
    kind = draw(st.sampled_from(["fixed", "chunked", "close", "coded"]))
    framing_fields: list[tuple[str, str]] = []
    if kind == "fixed":
        framing_fields = [("Content-Length", draw(digits_0) + str(len(body)))]
    elif kind == "chunked":
        coding = draw(st.sampled_from(["chunked", "Chunked", "gzip, chunked"]))
        framing_fields = [("Transfer-Encoding", coding)]
    elif kind == "coded":
        framing_fields = [("Transfer-Encoding", "gzip")]
    pairs = draw(fields)
    at = draw(st.integers(0, len(pairs)))
    pairs = pairs[:at] + framing_fields + pairs[at:]
    octets += draw(field_lines(pairs)) + draw(line_ends)
    message = Message(
        octets, method, version, status, reason, pairs, "none", b"", interims=interims
    )
    if method == "HEAD" or status in (101, 204, 304) or (method == "CONNECT" and status < 300):
        return message
    message.framing = kind if kind in ("fixed", "chunked") else "close"
    if message.framing == "chunked" and version == (1, 0):
        message.framing = "close"
    message.body = body
    if message.framing != "chunked":
        message.octets += body
        return message
    rest = body
    while rest:
        size = draw(st.integers(1, len(rest)))
        listed, more = draw(extension_lists())
        message.extensions.update(more)
        digits = draw(digits_0) + draw(st.sampled_from(["{:x}", "{:X}"])).format(size)
        message.octets += digits.encode() + listed + b"\r\n" + rest[:size] + b"\r\n"
        rest = rest[size:]
    listed, more = draw(extension_lists())
    message.extensions.update(more)
    message.trailers = draw(fields)
    message.octets += (draw(digits_0) + "0").encode() + listed + b"\r\n"
    message.octets += draw(field_lines(message.trailers)) + draw(line_ends)
    return message


def pieces_of(octets: bytes, places: list[int]) -> list[bytes]:
    """Split octets at places that are taken modulo their count."""
    cuts = sorted({place % (len(octets) + 1) for place in places})
    return [octets[a:b] for a, b in zip([0, *cuts], [*cuts, len(octets)], strict=True)]


splits = st.lists(st.integers(0, 10_000), max_size=6)


@pytest.mark.parametrize("name", ENGINES)
@settings(RELAXED, max_examples=250)
@given(message=messages(), places=splits, behind=st.binary(max_size=8))
def test_built(name: str, message: Message, places: list[int], behind: bytes) -> None:
    """What was built is what is parsed, at any split, with anything behind it."""
    parser = PARSERS[name]
    close = message.framing == "close"
    octets = message.octets + (b"" if close else behind)
    result = run(parser, pieces_of(octets, places), message.method, close)
    assert parser.error is None
    assert parser.done
    assert (parser.version, parser.status, parser.reason) == (
        message.version, message.status, message.reason,
    )  # fmt: skip
    assert list(parser.headers.items()) == message.fields
    assert (parser.framing, parser.body) == (message.framing, message.body)
    assert parser.length == len(message.body)
    assert parser.extensions == message.extensions
    assert list(parser.trailers.items() if parser.trailers else ()) == message.trailers
    assert (parser.interims, parser.consumed) == (message.interims, len(message.octets))
    assert result.rest == (b"" if close else behind)


# breaking messages -----------------------------------------------------------

SEEDS = [case.octets for case in CASES if len(case.octets) < 300]
SNIPPETS = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b";", b"=", b",", b'"', b"\\", b"0", b"5", b"\0",
    b"\x7f", b"\xff", b"\r\n\r\n", b"chunked", b"gzip, ", b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 C\r\n\r\n",
    b"ffffffffffffffff", b"0\r\n\r\n", b"5\r\nhello\r\n", b"a: b\r\n", b" fold\r\n",
]  # fmt: skip


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """Take a right or wrong response and change some octets of it."""
    octets = draw(st.sampled_from(SEEDS) | messages().map(lambda message: message.octets))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(octets)))
        count = draw(st.integers(0, 3))
        new = draw(st.sampled_from(SNIPPETS) | st.binary(max_size=2))
        octets = octets[:at] + new + octets[at + count :]
    return octets


def check(
    parsers: dict[str, Any], octets: bytes, places: list[int], method: str, eof: bool
) -> None:
    """Hold the engines to each other: whole, octet by octet, and split at places."""
    want: Run | None = None
    for parser in parsers.values():
        for pieces in (
            [octets],
            [octets[at : at + 1] for at in range(len(octets))],
            pieces_of(octets, places),
        ):
            result = run(parser, pieces, method, eof)
            if want is None:
                want = result
                bounded(parser, octets)
            assert result == want


def bounded(parser: Any, octets: bytes) -> None:
    """Hold what a parser kept to what it was given."""
    assert 0 <= parser.consumed <= len(octets)
    kept = len(parser.body)
    for mapping in (parser.headers, parser.trailers, parser.extensions):
        for name, value in mapping.items() if mapping is not None else ():
            kept += len(name) + len(value or "")
    assert kept <= parser.consumed
    if parser.error is not None:
        assert parser.error.code in ERRORS
        assert 0 <= parser.error.offset <= len(octets)
        assert len(parser.error.near) <= 32
        assert octets.find(parser.error.near) >= 0 or parser.error.code in (
            # near is the value, joined of several fields
            "bad-coding", "chunked-repeated", "chunked-not-last", "chunked-parameters",
            "bad-length", "differing-lengths", "length-overflow",
        )  # fmt: skip


methods = st.sampled_from(["GET", "GET", "HEAD", "CONNECT"])


@settings(RELAXED, max_examples=800)
@given(octets=broken(), places=splits, method=methods, eof=st.booleans(), small=st.booleans())
@example(octets=b"HTTP/1.1 200 OK\r\n\xb5: 1\r\n", places=[], method="GET", eof=True, small=True)
def test_broken(octets: bytes, places: list[int], method: str, eof: bool, small: bool) -> None:
    """Whatever is wrong, the engines say the same, raise nothing but ParseError and keep little."""
    check(SMALL_PARSERS if small else PARSERS, octets, places, method, eof)


@settings(RELAXED, max_examples=300)
@given(octets=st.binary(max_size=80), start=st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n"]),
       places=splits, eof=st.booleans())  # fmt: skip
def test_noise(octets: bytes, start: bytes, places: list[int], eof: bool) -> None:
    """Octets of any kind do no harm."""
    check(PARSERS, start + octets, places, "GET", eof)


# every way to call -----------------------------------------------------------

steps = st.lists(
    st.tuples(
        st.sampled_from(["parse", "parse", "parse_head", "received", "eof", "start", "reset"]),
        st.integers(1, 40),
    ),
    max_size=12,
)


@settings(RELAXED, max_examples=400)
@given(octets=broken(), framing=st.sampled_from([None, "fixed", "chunked", "close", "none"]),
       length=st.integers(0, 50), plan=steps, small=st.booleans())  # fmt: skip
def test_calls(
    octets: bytes, framing: str | None, length: int, plan: list[tuple[str, int]], small: bool
) -> None:
    """However the methods are called one after the other, the engines say the same."""
    told = []
    for parser in (SMALL_PARSERS if small else PARSERS).values():
        parser.start("GET")
        try:
            if framing is not None:
                parser.start_body(framing, length if framing == "fixed" else None)
        except ParseError:
            pass
        told.append(list(walk(parser, octets, plan)))
    assert all(one == told[0] for one in told)


def walk(parser: Any, octets: bytes, plan: list[tuple[str, int]]) -> Any:
    """Take the steps of a plan; give what the parser tells after each."""
    rx, at = bytearray(), 0
    for call, count in plan:
        before = parser.consumed
        try:
            if call == "received":
                wanted = parser.wanted
                count = min(count, len(octets) - at, count if wanted < 0 else wanted)
                if not rx:
                    parser.body.extend(octets[at : at + count])
                    parser.received(count)
                    at += count
                before = parser.consumed
            elif call in ("start", "reset"):
                getattr(parser, call)()
                before = 0
            else:
                rx += octets[at : at + count]
                at = min(at + count, len(octets))
                (parser.parse if call == "eof" else getattr(parser, call))(rx, call == "eof")
        except ParseError as error:
            if error is not parser.error:
                raise AssertionError("raised another error than it keeps") from error
        del rx[: parser.consumed - before]
        yield snapshot(parser), bytes(rx)

"""ResponseParser by its attributes and methods, on both engines."""

from __future__ import annotations

import gc
import random
import sys
import sysconfig
import weakref
from array import array
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from hio.help import Hict
from multidict import CIMultiDict, MultiDict

from cases import CASES, run, snapshot
from fasthio import _pyparser
from fasthio.errors import ClosureError, LimitError, ParseError
from fasthio.grammar import LIMITS, MAX_LENGTH, TRANSITIONS, Limits

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def feed(parser: Any, octets: bytes, eof: bool = False) -> bytes:
    """Parse octets and give those that are left."""
    rx = bytearray(octets)
    del rx[: parser.parse(rx, eof)]
    return bytes(rx)


def changing(rng: random.Random) -> Iterator[bytes]:
    """Make heads that are like the one before but for a thing or two, right or wrong."""
    names = [b"Server", b"Date", b"X-Own-Name", b"set-cookie", b"Set-Cookie", b"Content-Length",
             b"Transfer-Encoding", b"X" * 40]  # fmt: skip
    values = [b"", b"a", b" \t b ", b"caf\xe9", b"x" * 50, b"x" * 49 + b"\xff", b"\x7f", b"a\tb"]
    lengths = [b"5", b" 5 ", b"05", b"6", b"-5", b"5,5", b"5, 6", b"1" * 30, b""]
    codings = [b"chunked", b"gzip, chunked", b"Chunked", b"gzip", b"chunked, gzip", b" chunked\t"]
    ends = [b"\r\n"] * 300 + [b"\n", b"\r\n folded\r\n", b"\r\n\n", b"\r", b"\r\r\n", b"\r\n\r\n"]
    starts = [b"HTTP/1.1 200 OK", b"HTTP/1.1 204 No Content", b"HTTP/1.0 200 OK", b"HTTP/1.1 200"]
    start, lines = starts[0], [[b"Server", b"a"], [b"Date", b"b"], [b"Content-Length", b"5"]]
    for _ in range(1500):
        changed = rng.random()
        if changed < 0.05:
            start = rng.choice(starts)
        elif changed < 0.15 or not lines:
            lines.insert(rng.randint(0, len(lines)), [rng.choice(names), b"new"])
        elif changed < 0.25:
            del lines[rng.randrange(len(lines))]
        elif changed < 0.3:
            rng.shuffle(lines)
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            if lines:
                line = rng.choice(lines)
                line[1] = rng.choice(
                    {b"Content-Length": lengths, b"Transfer-Encoding": codings}.get(line[0], values)
                )
        if rng.random() < 0.5 and not any(line[0] == b"Content-Length" for line in lines):
            lines.append([b"Content-Length", b"5"])
        head = b"".join(b":".join(line) + rng.choice(ends) for line in lines)
        yield start + b"\r\n" + head + b"\r\n" + b"5\r\nhello\r\n0\r\n\r\n"


# construction and start ------------------------------------------------------


def test_new(engine: ModuleType) -> None:
    """A new parser waits for the response to a GET, with the limits of all."""
    parser = engine.ResponseParser()
    assert snapshot(parser) == (
        "start-line", "GET", None, None, None, None, None, None, b"", [], None, (), False, 0, 0,
        False, False, 0, None,
    )  # fmt: skip
    assert parser.limits is LIMITS
    assert parser.mapping is CIMultiDict
    assert engine.ResponseParser.__name__ == "ResponseParser"


def test_keywords_only(engine: ModuleType) -> None:
    """Limits and mapping are given by name."""
    with pytest.raises(TypeError):
        engine.ResponseParser(LIMITS)
    with pytest.raises(TypeError):
        engine.ResponseParser(line=3)


@pytest.mark.parametrize("mapping", [Hict, CIMultiDict, MultiDict])
def test_mapping(engine: ModuleType, mapping: type[Any]) -> None:
    """Headers and trailers are of the type asked for, at a head seen before too."""
    parser = engine.ResponseParser(mapping=mapping)
    for value in (b"a", b"a", b"a", b"b", b"b"):
        parser.start()
        feed(
            parser, CHUNKED.replace(b"\r\n\r\n", b"\r\nX: " + value + b"\r\n\r\n0\r\nT: u\r\n\r\n")
        )
        assert type(parser.headers) is mapping
        assert type(parser.trailers) is mapping
        assert list(parser.headers.values()) == ["chunked", value.decode()]
        assert list(parser.trailers.items()) == [("T", "u")]


def test_any_mapping(engine: ModuleType) -> None:
    """A mapping that only adds is enough."""

    class Pairs:
        def __init__(self) -> None:
            self.pairs: list[tuple[str, str]] = []

        def add(self, name: str, value: str) -> None:
            self.pairs.append((str(name), value))

    parser = engine.ResponseParser(mapping=Pairs)
    for _ in range(3):
        parser.start()
        feed(parser, HEAD + b"A: b\r\nContent-Length: 0\r\nA: c\r\n\r\n")
        assert parser.headers.pairs == [("A", "b"), ("Content-Length", "0"), ("A", "c")]


def test_many_mappings(engine: ModuleType) -> None:
    """A program that makes types of mappings again and again is served, and they go."""
    gone = []
    for number in range(80):
        kind = type(f"Map{number}", (CIMultiDict,), {})
        parser = engine.ResponseParser(mapping=kind)
        for _ in range(3):
            parser.start()
            feed(parser, HEAD + b"A: b\r\nContent-Length: 0\r\n\r\n")
            assert type(parser.headers) is kind
            assert dict(parser.headers) == {"A": "b", "Content-Length": "0"}
        gone.append(weakref.ref(kind))
        del kind, parser
    gc.collect()
    if not (sys.version_info < (3, 14) and sysconfig.get_config_var("Py_GIL_DISABLED")):
        # free-threaded CPython 3.13 keeps all types for ever
        assert sum(ref() is not None for ref in gone) <= 66


def test_start_forgets_all(engine: ModuleType) -> None:
    """After start() a parser is as a new one, but for the method."""
    parser = engine.ResponseParser()
    feed(parser, CHUNKED + b"5;a=b\r\nhello\r\n0\r\nT: u\r\n\r\n")
    parser.start("post")
    fresh = engine.ResponseParser()
    fresh.start("POST")
    assert snapshot(parser) == snapshot(fresh)
    assert parser.method == "POST"


def test_reset_keeps_the_method(engine: ModuleType) -> None:
    """reset() starts anew for the method of the last start()."""
    parser = engine.ResponseParser()
    parser.start("head")
    for _ in range(2):
        feed(parser, HEAD + b"Content-Length: 5\r\n\r\n")
        assert parser.done
        assert parser.framing == "none"
        parser.reset()
        assert parser.state == "start-line"
        assert parser.method == "HEAD"


def test_body_is_of_one_response(engine: ModuleType) -> None:
    """What was handed out is never changed: body, headers, extensions, trailers."""
    parser = engine.ResponseParser()
    message = CHUNKED + b"5;a=b\r\nhello\r\n0\r\nT: u\r\n\r\n"
    feed(parser, message)
    kept = (parser.body, parser.headers, parser.extensions, parser.trailers)
    copies = (bytes(kept[0]), kept[1].copy(), dict(kept[2]), kept[3].copy())
    for following in (message, message, HEAD + b"A: b\r\n\r\nclose"):
        parser.start()
        feed(parser, following)
        parser.headers["A"] = "changed"
        parser.body.extend(b"!")
        assert kept == copies
        assert parser.body is not kept[0]


def test_headers_are_not_shared(engine: ModuleType) -> None:
    """Headers of equal heads are objects of their own."""
    parser = engine.ResponseParser(mapping=Hict)
    message = HEAD + b"A: b\r\nB: c\r\nContent-Length: 0\r\n\r\n"
    held = []
    for _ in range(6):
        parser.start()
        feed(parser, message)
        assert dict(parser.headers) == {"A": "b", "B": "c", "Content-Length": "0"}
        parser.headers.add("A", "more")
        del parser.headers["B"]
        held.append(parser.headers)
    assert len({id(headers) for headers in held}) == len(held)


def test_values_change_between_heads(engine: ModuleType) -> None:
    """Heads with the same names and other values, other names, more and fewer fields."""
    heads = [
        [("Date", "1"), ("Server", "x"), ("Content-Length", "0")],
        [("Date", "2"), ("Server", "x"), ("Content-Length", "0")],
        [("Date", "3"), ("Server", "y"), ("Content-Length", "0")],
        [("date", "3"), ("Server", "y"), ("Content-Length", "0")],
        [("Date", "3"), ("Server", "y"), ("Date", "4"), ("Content-Length", "0")],
        [("Date", "3"), ("Server", "y"), ("Date", "5"), ("Content-Length", "0")],
        [("Date", "3"), ("Server", "y"), ("DATE", "5"), ("Content-Length", "0")],
        [("Server", "y"), ("Date", "5"), ("Content-Length", "0")],
        [("Content-Length", "0")],
        [("Date", ""), ("Server", "\u00e9"), ("Content-Length", "000")],
        [("Date", "2"), ("Server", "x"), ("Content-Length", "0"), ("X", "")],
    ]
    parser = engine.ResponseParser(mapping=Hict)
    for index in range(40 * len(heads)):
        fields = heads[index * 7 % len(heads)] if index % 3 else heads[index % len(heads)]
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
        parser.start()
        feed(parser, HEAD + lines.encode("iso-8859-1") + b"\r\n")
        assert parser.done
        assert list(parser.headers.items()) == fields


def test_framing_of_heads_seen_before(engine: ModuleType) -> None:
    """A head that differs from the last in its framing alone is framed by its own."""
    parser = engine.ResponseParser()
    for framing, body, want in [
        (b"Content-Length: 5", b"hello", ("fixed", b"hello")),
        (b"Content-Length: 3", b"hello", ("fixed", b"hel")),
        (b"Content-Length: 3", b"hello", ("fixed", b"hel")),
        (b"Content-Length: 0", b"hello", ("fixed", b"")),
        (b"Transfer-Encoding: chunked", b"1\r\nx\r\n0\r\n\r\n", ("chunked", b"x")),
        (b"Transfer-Encoding: chunked", b"1\r\ny\r\n0\r\n\r\n", ("chunked", b"y")),
        (b"Transfer-Encoding: gzip", b"hello", ("close", b"hello")),
        (b"Content-Length: 5", b"hello", ("fixed", b"hello")),
    ]:
        for head in (HEAD, b"HTTP/1.1 404 Not Found\r\n"):
            parser.start()
            feed(parser, head + framing + b"\r\nServer: x\r\n\r\n" + body)
            assert (parser.framing, parser.body) == want
    parser.start("HEAD")
    feed(parser, HEAD + b"Content-Length: 5\r\nServer: x\r\n\r\n")
    assert parser.framing == "none"


@pytest.mark.parametrize("mapping", [CIMultiDict, Hict, MultiDict])
def test_heads_that_change_bit_by_bit(engine: ModuleType, mapping: type[Any]) -> None:
    """Whatever came before, a parser that is used again tells what a new one does."""
    parser = engine.ResponseParser(mapping=mapping)
    states = set()
    for octets in changing(random.Random(mapping.__name__)):
        result = run(parser, [octets])
        assert result == run(_pyparser.ResponseParser(mapping=mapping), [octets]), octets
        assert type(parser.headers) in (mapping, type(None))
        states.add((parser.state, parser.framing))
    assert {("done", "fixed"), ("done", "chunked"), ("done", "none"), ("until-close", "close"),
            ("failed", None)} <= states  # fmt: skip


def test_faults_after_a_head_seen_before(engine: ModuleType) -> None:
    """A good head as the one before does not make a bad one good."""
    parser = engine.ResponseParser()
    good = HEAD + b"Server: x\r\nContent-Length: 5\r\n\r\nhello"
    for bad, code in [
        (good.replace(b"5", b"x"), "bad-length"),
        (good.replace(b"Server: x", b"Server : x"), "space-before-colon"),
        (good.replace(b"Server: x", b"Server: x\0"), "control-octet"),
        (good.replace(b"x\r\nC", b"x\rC"), "bare-cr"),
        (good.replace(b"200", b"20"), "bad-status"),
    ]:
        for _ in range(3):
            parser.start()
            feed(parser, good)
            assert parser.done
        parser.start()
        with pytest.raises(ParseError) as caught:
            feed(parser, bad)
        assert caught.value.code == code


# wrong calls -----------------------------------------------------------------


@pytest.mark.parametrize("wrong", [b"HTTP/1.1", None, "HTTP/1.1", memoryview(b"HTTP/1.1"), [1]])
def test_only_a_bytearray_is_parsed(engine: ModuleType, wrong: Any) -> None:
    """What is no bytearray is refused at the call, and the parser is as before."""
    parser = engine.ResponseParser()
    before = snapshot(parser)
    for parse in (parser.parse, parser.parse_head):
        with pytest.raises(TypeError):
            parse(wrong)
    assert snapshot(parser) == before


def test_subclasses_are_taken(engine: ModuleType) -> None:
    """A subclass of bytearray is one, a method that is an enum is a str."""

    class Buffer(bytearray):
        pass

    class Method(str):
        __slots__ = ()

    parser = engine.ResponseParser()
    parser.start(Method("head"))
    assert type(parser.method) is str
    assert parser.parse(Buffer(HEAD + b"\r\n")) == 19
    assert (parser.method, parser.done) == ("HEAD", True)


@pytest.mark.parametrize("wrong", [None, b"GET", 1])
def test_a_method_is_text(engine: ModuleType, wrong: Any) -> None:
    """What is no str is refused at the call."""
    with pytest.raises(TypeError):
        engine.ResponseParser().start(wrong)


@pytest.mark.parametrize(
    ("framing", "length"),
    [("fixed", None), ("chunked", 5), ("close", 0), ("none", 0), ("gzip", None), ("", None),
     ("fixed", -1), ("fixed", MAX_LENGTH + 1), ("fixed", 1 << 70)],
)  # fmt: skip
def test_wrong_start_body(engine: ModuleType, framing: str, length: int | None) -> None:
    """A framing that is none, and a length that does not go with it, are refused."""
    parser = engine.ResponseParser()
    before = snapshot(parser)
    with pytest.raises(ValueError, match=r"must be|goes with"):
        parser.start_body(framing, length)
    assert snapshot(parser) == before


# the body alone --------------------------------------------------------------


@pytest.mark.parametrize(
    ("framing", "length", "octets", "eof", "body", "rest"),
    [("fixed", 5, b"hello!", False, b"hello", b"!"),
     ("fixed", 0, b"x", False, b"", b"x"),
     ("none", None, b"x", False, b"", b"x"),
     ("chunked", None, b"5;a=b\r\nhello\r\n0\r\n\r\nx", False, b"hello", b"x"),
     ("close", None, b"hello", True, b"hello", b"")],
)  # fmt: skip
def test_start_body(
    engine: ModuleType, framing: str, length: int | None, octets: bytes, eof: bool, body: bytes,
    rest: bytes,
) -> None:  # fmt: skip
    """A body may be parsed without its head, in one piece and octet by octet."""
    parser = engine.ResponseParser()
    parser.start("POST")
    parser.start_body(framing, length)
    assert parser.headed
    assert parser.framing == framing
    assert parser.headers == CIMultiDict()
    assert (parser.status, parser.version, parser.consumed) == (None, None, 0)
    assert feed(parser, octets, eof) == rest
    assert parser.done
    assert parser.body == body
    assert parser.length == len(body)
    assert parser.method == "POST"
    whole = snapshot(parser)
    parser.start_body(framing, length)
    rx = bytearray()
    for octet in octets:
        rx.append(octet)
        del rx[: parser.parse(rx)]
    del rx[: parser.parse(rx, eof)]
    assert (snapshot(parser), bytes(rx)) == (whole, rest)


def test_start_body_above_the_limit(engine: ModuleType) -> None:
    """A length above the limit is refused at once."""
    parser = engine.ResponseParser(limits=Limits(body=5))
    with pytest.raises(LimitError) as caught:
        parser.start_body("fixed", 6)
    assert caught.value.code == "body-too-large"
    assert parser.error is caught.value


# octets received straight into the body --------------------------------------


def test_wanted(engine: ModuleType) -> None:
    """How many octets of body may be put straight in place, at each state."""
    parser = engine.ResponseParser()
    assert parser.wanted == 0
    feed(parser, HEAD + b"Content-Length: 5\r\n\r\nhe")
    assert parser.wanted == 3
    feed(parser, b"llo")
    assert (parser.wanted, parser.done) == (0, True)
    parser.start()
    feed(parser, CHUNKED + b"5\r\nhe")
    assert (parser.wanted, parser.state) == (3, "chunk-data")
    feed(parser, b"llo")
    assert (parser.wanted, parser.state) == (0, "chunk-end")
    parser.start()
    feed(parser, HEAD + b"\r\n")
    assert parser.wanted == -1
    limited = engine.ResponseParser(limits=Limits(body=5))
    feed(limited, HEAD + b"\r\n")
    assert limited.wanted == 0, "so many that the limit cannot be passed unseen"


def test_received(engine: ModuleType) -> None:
    """Octets that were put straight at the end of the body count as parsed ones do."""
    for octets, method in [
        (HEAD + b"Content-Length: 5\r\n\r\nhello", "GET"),
        (CHUNKED + b"5;a=b\r\nhello\r\n3\r\nyou\r\n0\r\nT: u\r\n\r\n", "GET"),
        (HEAD + b"\r\nhello", "GET"),
    ]:
        for split in range(1, len(octets)):
            parser = engine.ResponseParser()
            parser.start(method)
            rx = bytearray(octets[:split])
            del rx[: parser.parse(rx)]
            more = octets[split:]
            count = len(more) if parser.wanted < 0 else min(parser.wanted, len(more))
            if count:
                assert not rx, "all octets are consumed while the body wants more"
                parser.body.extend(more[:count])
                parser.received(count)
            rx += more[count:]
            del rx[: parser.parse(rx)]
            del rx[: parser.parse(rx, True)]
            reference = engine.ResponseParser()
            whole = run(reference, [octets], method, True)
            assert (snapshot(parser), bytes(rx)) == (whole.snapshot, whole.rest)


@pytest.mark.parametrize("count", [-1, 6, 1 << 70])
def test_received_more_than_wanted(engine: ModuleType, count: int) -> None:
    """More octets than the body wants are refused, and change nothing."""
    parser = engine.ResponseParser()
    feed(parser, HEAD + b"Content-Length: 5\r\n\r\n")
    before = snapshot(parser)
    with pytest.raises(ValueError, match="count must be from 0 to 5"):
        parser.received(count)
    assert snapshot(parser) == before
    parser.received(0)
    assert snapshot(parser) == before


def test_received_where_none_is_wanted(engine: ModuleType) -> None:
    """In a head nothing can be received into the body."""
    parser = engine.ResponseParser()
    with pytest.raises(ValueError, match="count must be from 0 to 0"):
        parser.received(1)


def test_received_the_rest(engine: ModuleType) -> None:
    """A body that was received whole has ended without another octet."""
    parser = engine.ResponseParser()
    feed(parser, HEAD + b"Content-Length: 5\r\n\r\n")
    parser.body.extend(b"hello")
    parser.received(5)
    assert (parser.done, parser.length, parser.consumed) == (True, 5, 43)


# the head alone --------------------------------------------------------------

FINAL = [case for case in CASES if case.log[0] == "state done" and not case.limits]


def test_parse_head(engine: ModuleType) -> None:
    """parse_head stops behind the head, parse goes on from there: all as parse alone."""
    for case in FINAL:
        parser = engine.ResponseParser()
        parser.start(case.method)
        rx = bytearray(case.octets)
        del rx[: parser.parse_head(rx)]
        if not parser.headed:
            continue
        head = case.octets[: parser.consumed]
        assert head.endswith((b"\r\n\r\n", b"\n\n", b"\n\r\n")), case.name
        assert parser.body == b""
        at = snapshot(parser)
        assert parser.parse_head(rx) == 0, case.name
        assert parser.parse_head(rx, case.eof) == 0, case.name
        assert snapshot(parser) == at, case.name
        del rx[: parser.parse(rx)]
        del rx[: parser.parse(rx, case.eof)]
        want = run(engine.ResponseParser(), [case.octets], case.method, case.eof)
        assert (snapshot(parser), bytes(rx)) == (want.snapshot, want.rest), case.name


def test_parse_head_octet_by_octet(engine: ModuleType) -> None:
    """parse_head takes octets as they come and no octet of the body."""
    octets = b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"A: b\r\n c\r\nContent-Length: 2\r\n\r\n"
    parser = engine.ResponseParser()
    rx = bytearray()
    for octet in octets:
        assert not parser.headed
        rx.append(octet)
        del rx[: parser.parse_head(rx)]
    assert parser.headed
    assert (bytes(rx), parser.consumed) == (b"", len(octets))


def test_parse_head_cut_off(engine: ModuleType) -> None:
    """The peer's closing counts in the head; behind it only for parse."""
    parser = engine.ResponseParser()
    with pytest.raises(ClosureError):
        parser.parse_head(bytearray(HEAD), True)
    parser.start()
    rx = bytearray(HEAD + b"Content-Length: 2\r\n\r\n")
    del rx[: parser.parse_head(rx, True)]
    assert parser.headed
    with pytest.raises(ClosureError) as caught:
        parser.parse(rx)  # the end of the stream is not forgotten
    assert caught.value.code == "closed-in-body"


# end of stream, buffers ------------------------------------------------------


def test_end_of_stream_is_sticky(engine: ModuleType) -> None:
    """What comes after the end of the stream is of no message."""
    parser = engine.ResponseParser()
    rx = bytearray(HEAD + b"\r\nbody")
    del rx[: parser.parse(rx, True)]
    assert (parser.done, parser.body) == (True, b"body")
    rx += b"more"
    assert parser.parse(rx) == 0
    assert parser.body == b"body"


def test_an_error_is_kept_without_its_frames(engine: ModuleType) -> None:
    """Raising an error again does not pile up tracebacks nor hold what called it."""
    parser = engine.ResponseParser()
    depths = []
    for _ in range(5):
        try:
            parser.parse(bytearray(b"X"))
        except ParseError as error:
            depth, traceback = 0, error.__traceback__
            while traceback is not None:
                depth, traceback = depth + 1, traceback.tb_next
            depths.append(depth)
    assert max(depths[1:]) <= depths[0]
    assert len(depths) == 5


def test_no_view_of_the_buffer_is_kept(engine: ModuleType) -> None:
    """The owner can resize the buffer after each call, an error too."""
    parser = engine.ResponseParser()
    for case in CASES:
        parser.start(case.method)
        rx = bytearray(case.octets)
        try:
            parser.parse(rx, case.eof)
        except ParseError:
            pass
        rx += b"x"  # BufferError if a view were kept
        del rx[:1]


def test_a_body_that_is_viewed(engine: ModuleType) -> None:
    """Where a program holds a view of the body, it hears so and nothing is lost."""
    for message in (HEAD + b"Content-Length: 64\r\n\r\n", HEAD + b"\r\n", CHUNKED + b"40\r\n"):
        parser = engine.ResponseParser()
        feed(parser, message + b"a" * 8)
        rx = bytearray(b"b" * 8)
        with memoryview(parser.body):
            with pytest.raises(BufferError):
                parser.parse(rx)
            assert parser.body == b"a" * 8
        del rx[: parser.parse(rx)]
        assert parser.body == b"a" * 8 + b"b" * 8


def test_nothing_is_allocated_on_a_word(engine: ModuleType) -> None:
    """A length alone makes no body: neither Content-Length nor a chunk size."""
    for octets in (
        HEAD + b"Content-Length: 9223372036854775807\r\n\r\nx",
        CHUNKED + b"7fffffffffffffff\r\nx",
    ):
        parser = engine.ResponseParser()
        feed(parser, octets)
        assert parser.body == b"x"
        assert parser.body.__sizeof__() < 4096


def test_body_memory(engine: ModuleType) -> None:
    """A body holds what came, and a few MiB ahead at most."""
    for head in (
        HEAD + b"Content-Length: 33554432\r\n\r\n",
        HEAD + b"\r\n",
        CHUNKED + b"2000000\r\n",
    ):
        parser = engine.ResponseParser()
        feed(parser, head)
        piece = bytes(1 << 20)
        for _ in range(32):
            feed(parser, piece)
            assert parser.body.__sizeof__() <= 16 * len(parser.body) + 4096
            assert parser.body.__sizeof__() <= len(parser.body) * 9 // 8 + (5 << 20)
        assert len(parser.body) == 32 << 20


def test_body_memory_at_its_first_octets(engine: ModuleType) -> None:
    """Of a known length no more is made than some times what came, however near its end is."""
    for length in range(900_000, 1_500_000, 50_000):
        parser = engine.ResponseParser()
        feed(parser, HEAD + b"Content-Length: %d\r\n\r\n" % length + bytes(65_000))
        assert parser.body.__sizeof__() <= min(length, 20 * 65_000) + 4096
        feed(parser, bytes(length - 65_000))
        assert parser.done
        assert parser.body == bytes(length)


def test_a_body_that_has_ended_holds_no_more(engine: ModuleType) -> None:
    """What a body was made longer ahead of its octets is given back at its end."""
    for head, end in (
        (HEAD + b"Content-Length: 200000\r\n\r\n", b""),
        (HEAD + b"\r\n", b""),
        (CHUNKED + b"30d40\r\n", b"\r\n0\r\n\r\n"),
    ):
        parser = engine.ResponseParser()
        feed(parser, head)
        for _ in range(20):
            feed(parser, b"x" * 10_000)
        feed(parser, end, True)
        assert parser.done
        assert parser.body == b"x" * 200_000
        assert parser.body.__sizeof__() <= 2 * len(parser.body) + 9000
        parser.body.extend(b"y" * 10)  # a bytearray like any other
        del parser.body[:199_999]
        assert parser.body == b"x" + b"y" * 10


def test_parsers_are_collected(engine: ModuleType) -> None:
    """A parser in a cycle with what it holds is found by the collector."""

    class Map(CIMultiDict[str]):
        pass

    class Holder:
        pass

    parser = engine.ResponseParser(mapping=Map)
    feed(parser, CHUNKED + b"0\r\nT: u\r\n\r\n")
    holder = Holder()
    gone = weakref.ref(holder)
    parser.headers.add("x", "y")
    parser.body.extend(b"x")
    parser.extensions["loop"] = (parser, holder)
    del parser, holder
    gc.collect()
    assert gone() is None


# octets as they come ---------------------------------------------------------


SHORT_MESSAGE = HEAD + b"A: b\r\nContent-Length: 3\r\n\r\nabc"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda it: array("B", it)])
def test_feed(engine: ModuleType, kind: Any) -> None:
    """Octets in any buffer are taken as they come; those behind the end are not."""
    parser = engine.ResponseParser()
    octets = SHORT_MESSAGE + SHORT_MESSAGE
    assert parser.feed(kind(octets[:20])) == 20
    assert parser.consumed == 17
    assert parser.feed(kind(b"")) == 0
    assert parser.feed(kind(octets[20:])) == len(SHORT_MESSAGE) - 20
    assert parser.done
    assert parser.body == b"abc"
    assert parser.feed(kind(octets)) == 0
    parser.start()
    assert parser.feed(kind(octets)) == len(SHORT_MESSAGE)
    assert list(parser.headers.items()) == [("A", "b"), ("Content-Length", "3")]


def test_what_is_fed_is_not_kept(engine: ModuleType) -> None:
    """A buffer may be resized and changed as soon as feed returns."""
    parser = engine.ResponseParser()
    buffer = bytearray(SHORT_MESSAGE[:20])
    parser.feed(buffer)
    buffer[:] = SHORT_MESSAGE[20:]
    buffer.extend(b"rest")
    assert parser.feed(buffer) == len(SHORT_MESSAGE) - 20
    buffer.clear()
    assert parser.headers["A"] == "b"
    assert parser.body == b"abc"


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ("text", TypeError),
        (None, TypeError),
        (5, TypeError),
        (memoryview(b"abcd")[::2], BufferError),
    ],
)
def test_only_octets_are_fed(engine: ModuleType, wrong: Any, error: type[Exception]) -> None:
    """What is no contiguous buffer is a wrong call, and changes nothing."""
    parser = engine.ResponseParser()
    with pytest.raises(error):
        parser.feed(wrong)
    assert parser.feed(SHORT_MESSAGE) == len(SHORT_MESSAGE)


def test_one_way_for_a_message(engine: ModuleType) -> None:
    """While feed keeps octets a buffer cannot go on; a new message may use either."""
    parser = engine.ResponseParser()
    parser.feed(SHORT_MESSAGE[:20])
    rx = bytearray(SHORT_MESSAGE[20:])
    for way in (parser.parse, parser.parse_head, parser.take):
        with pytest.raises(ValueError, match="go on with feed"):
            way(rx)
    assert rx == SHORT_MESSAGE[20:]
    parser.start()
    rx[:] = SHORT_MESSAGE
    assert parser.parse_head(rx) == len(SHORT_MESSAGE) - 3
    assert parser.feed(b"abcd") == 3
    assert parser.body == b"abc"


def test_feed_after_a_long_line(engine: ModuleType) -> None:
    """A line of the greatest length in small pieces; the same error again after it, then anew."""
    parser = engine.ResponseParser()
    parser.feed(HEAD + b"A: ")
    for _ in range(LIMITS.line // 2 - 2):
        parser.feed(b"xx")
    parser.feed(b"x")  # as long as a line may be
    with pytest.raises(LimitError) as caught:
        parser.feed(b"x")
    assert caught.value.offset == len(HEAD) + LIMITS.line
    with pytest.raises(LimitError):
        parser.feed(b"")
    parser.start()
    assert parser.feed(SHORT_MESSAGE) == len(SHORT_MESSAGE)


def test_take(engine: ModuleType) -> None:
    """What is consumed is deleted, before an error too; what is behind the message stays."""
    parser = engine.ResponseParser()
    rx = bytearray(SHORT_MESSAGE[:20])
    assert parser.take(rx) == 17
    assert rx == SHORT_MESSAGE[17:20]
    rx += SHORT_MESSAGE[20:] + b"rest"
    assert parser.take(rx) == len(SHORT_MESSAGE) - 17
    assert rx == b"rest"
    assert parser.take(rx, True) == 0
    parser.start()
    rx[:] = HEAD + b"bad\r\n\r\n"
    for _ in range(2):
        with pytest.raises(ParseError):
            parser.take(rx)
        assert rx == b"bad\r\n\r\n"
    for wrong in (b"octets", None):
        with pytest.raises(TypeError, match="rx must be a bytearray"):
            parser.take(wrong)


def test_a_call_within_a_call(engine: ModuleType) -> None:
    """A mapping that calls its parser is told so; the outer call goes on."""
    calls: list[Any] = []
    refused = []

    class Map(MultiDict[str]):
        def add(self, name: str, value: str) -> None:
            for call in calls:
                with pytest.raises(RuntimeError, match="at work") as caught:
                    call()
                refused.append(caught.value)
            super().add(name, value)

    parser = engine.ResponseParser(mapping=Map)
    calls += [
        parser.start, parser.reset, lambda: parser.parse(bytearray(b"x")),
        lambda: parser.parse_head(bytearray(b"x")), lambda: parser.take(bytearray(b"x")),
        lambda: parser.feed(b"x"), lambda: parser.start_body("close"),
    ]  # fmt: skip
    for way in (lambda: parser.feed(SHORT_MESSAGE), lambda: parser.parse(bytearray(SHORT_MESSAGE))):
        assert way() == len(SHORT_MESSAGE)
        assert list(parser.headers.items()) == [("A", "b"), ("Content-Length", "3")]
        assert parser.body == b"abc"
        parser.start()
    assert len(refused) == 2 * 2 * len(calls)
    calls[:] = [lambda: parser.feed(b"x")]  # it would move what the outer call reads
    assert parser.feed(SHORT_MESSAGE[:3]) + parser.feed(SHORT_MESSAGE[3:]) == len(SHORT_MESSAGE)
    assert parser.body == b"abc"
    assert len(refused) == 2 * 2 * 7 + 2


def test_feed_keeps_what_is_left_of_what_was_kept(engine: ModuleType) -> None:
    """Each piece ends a line and begins the next: only that is kept."""
    message = b"HTTP/1.1 200 OK\r\nA: b\r\nCc: dd\r\nContent-Length: 3\r\n\r\nabc"
    parser = engine.ResponseParser()
    for first, end in ((0, 11), (11, 25), (25, 39), (39, len(message))):
        assert parser.feed(message[first:end]) == end - first
    assert parser.done
    assert parser.consumed == len(message)
    assert list(parser.headers.items()) == [("A", "b"), ("Cc", "dd"), ("Content-Length", "3")]
    assert parser.body == b"abc"


def test_pair_that_somebody_holds_is_not_changed(engine: ModuleType) -> None:
    """The pairs that headers are made from are used again, but for those that others know."""
    parser = engine.ResponseParser()
    held: list[Any] = []
    for number in range(12):
        parser.start()
        value = b"value %d" % number
        feed(parser, HEAD + b"X-Name-%d: %b\r\nContent-Length: 0\r\n\r\n" % (number % 7, value))
        text = parser.headers[f"X-Name-{number % 7}"]
        assert text == value.decode()
        pairs = [each for each in gc.get_referrers(text) if type(each) is tuple and len(each) == 2]
        held += [(pair, tuple(map(str, pair))) for pair in pairs]
        assert list(parser.headers) == [f"X-Name-{number % 7}", "Content-Length"]
    for pair, was in held:
        assert tuple(map(str, pair)) == was


@pytest.mark.parametrize("way", ["parse", "parse_head", "take", "feed"])
@pytest.mark.parametrize("framing", ["fixed", "chunked", "close"])
def test_own_body_is_no_buffer(engine: ModuleType, framing: str, way: str) -> None:
    """A body cannot be read into itself: it would move while its octets are put into it."""
    parser = engine.ResponseParser()
    parser.start_body(framing, 100_000 if framing == "fixed" else None)
    octets = b"28\r\n" + b"abcd" * 4
    parser.parse(bytearray(octets))
    before = bytes(parser.body)
    with pytest.raises(ValueError, match="the body of this message is no buffer"):
        getattr(parser, way)(parser.body)
    assert bytes(parser.body) == before
    old = parser.body
    parser.start_body("fixed", len(old))
    # of the next message it may be; that one has its head already
    assert getattr(parser, way)(old) == (0 if way == "parse_head" else len(before))
    assert parser.body == (b"" if way == "parse_head" else before)


@pytest.mark.parametrize("turns", [1, 40])
def test_mapping_that_takes_its_pairs_apart(engine: ModuleType, turns: int) -> None:
    """What a mapping does to the pairs that it is made from touches nothing of the parser's."""

    class Map(CIMultiDict[str]):
        def __init__(self, pairs: Any = ()) -> None:
            super().__init__()
            while pairs and isinstance(pairs, list):
                name, value = pairs.pop()
                self.add(name + "-own", value.upper())

    parser = engine.ResponseParser(mapping=Map)
    filler = []
    for turn in range(turns):
        parser.start()
        message = b"%bX-Name-%d: a value with %d\r\nContent-Length: 3\r\n\r\nabc" % (
            HEAD, turn // 20, turn // 2,
        )  # fmt: skip
        assert parser.parse(bytearray(message)) == len(message)
        assert parser.body == b"abc"
        filler.append([str(number) * 9 for number in range(100)])  # takes what was freed
    name = f"X-Name-{(turns - 1) // 20}"
    if type(CIMultiDict.copy).__name__ == "function":  # multidict in Python: by __init__, popped
        assert [key for key, _ in parser.headers.items()] == [name, "Content-Length"]
        assert parser.headers[name].startswith("a value with ")
    else:
        assert [key for key, _ in parser.headers.items()][:1] == ["Content-Length-own"]
        assert parser.headers[f"{name}-own"].startswith("A VALUE WITH ")


def test_init_within_a_call(engine: ModuleType) -> None:
    """A mapping that makes its parser anew is told that it is at work; so all goes on."""

    class Map(CIMultiDict[str]):
        def __setitem__(self, name: str, value: str) -> None:
            with pytest.raises(RuntimeError, match="at work"):
                parser.__init__(mapping=Map)
            made.append(value)
            super().__setitem__(name, value)

    made: list[str] = []
    parser = engine.ResponseParser(mapping=Map)
    for turn in range(8):
        parser.start()
        message = b"%bA: b%d\r\nB: c%d\r\nContent-Length: 0\r\n\r\n" % (HEAD, turn, turn)
        assert parser.parse(bytearray(message)) == len(message)
        assert list(parser.headers.values()) == [f"b{turn}", f"c{turn}", "0"]
    assert "c7" in made  # a head that is like the one before is a copy, with values set anew
    parser.__init__(mapping=CIMultiDict)  # at rest it may
    assert feed(parser, SHORT_MESSAGE) == b""


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

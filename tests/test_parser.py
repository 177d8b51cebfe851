"""ResponseParser by its attributes and methods, on both engines."""

from __future__ import annotations

import copy
import gc
import pickle
import random
import sys
import sysconfig
import weakref
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from hio.help import Hict
from multidict import CIMultiDict, MultiDict

from cases import CASES, run, snapshot
from fasthio import _pyparser
from fasthio.errors import ClosureError, LimitError, ParseError
from fasthio.grammar import LIMITS, MAX_LENGTH, Limits
from heads import CHUNKED, HEAD, feed


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


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize("name", ["ResponseParser", "EventParser"])
def test_a_parser_has_no_copies(
    engine: ModuleType, name: str, duplicate: Callable[[Any], Any]
) -> None:
    kind = getattr(engine, name)
    for made in (kind(), type("Own", (kind,), {})()):
        text = f"cannot pickle {type(made).__name__!r} object: it is of one connection"
        with pytest.raises(TypeError, match=text):
            duplicate(made)
    known = type("Known", (kind,), {"__reduce__": lambda self: (kind, ())})
    assert type(copy.copy(known())) is kind


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


@pytest.mark.parametrize("kind", ["ResponseParser", "EventParser"])
def test_no_attributes_of_a_programs_own(engine: ModuleType, kind: str) -> None:
    """A name mistyped is told on both engines, and neither has weak references."""
    parser = getattr(engine, kind)()
    with pytest.raises(AttributeError):
        parser.mehtod = "HEAD"
    with pytest.raises(TypeError):
        weakref.ref(parser)

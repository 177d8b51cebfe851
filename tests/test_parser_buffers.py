"""Buffers of the parsers on both engines: what is held, seen, fed and given back."""

from __future__ import annotations

import gc
import weakref
from array import array
from types import ModuleType
from typing import Any

import pytest
from multidict import CIMultiDict, MultiDict

from cases import CASES
from fasthio.errors import LimitError, ParseError
from fasthio.grammar import LIMITS, Limits
from heads import CHUNKED, HEAD, SHORT_MESSAGE, feed

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


@pytest.mark.parametrize("way", ["parse", "parse_head", "take"])
def test_a_buffer_is_held_while_it_is_parsed(engine: ModuleType, way: str) -> None:
    """A mapping that resizes what is being read gets a BufferError; the message is whole."""
    rx = bytearray(SHORT_MESSAGE)
    refused = []

    class Map(MultiDict[str]):
        def add(self, name: str, value: str) -> None:
            for resize in (rx.clear, lambda: rx.extend(b"more")):
                with pytest.raises(BufferError):
                    resize()
                refused.append(name)
            super().add(name, value)

    parser = engine.ResponseParser(mapping=Map)
    assert getattr(parser, way)(rx) == len(SHORT_MESSAGE) - (3 if way == "parse_head" else 0)
    assert len(refused) == 4
    assert list(parser.headers.items()) == [("A", "b"), ("Content-Length", "3")]
    rx.clear()


def test_an_error_that_is_kept_holds_no_view(engine: ModuleType) -> None:
    """What was fed may be resized after an error, whoever keeps the error."""
    parser = engine.ResponseParser()
    data = bytearray(b"wrong")
    for _ in range(2):
        with pytest.raises(ParseError):
            parser.feed(memoryview(data))
    assert parser.error is not None
    data.clear()


@pytest.mark.parametrize("limits", [None, Limits(body=100)])
@pytest.mark.parametrize("chunks", [b"3\r\nabc\r\n2\r\nde\r\n", b"9\r\nabc", b"3;a=b\r\nabc\r\n"])
@pytest.mark.parametrize("way", ["parse", "take", "feed"])
def test_chunks_of_a_body_that_is_viewed(
    engine: ModuleType, way: str, chunks: bytes, limits: Limits | None
) -> None:
    """All before the data is taken; from there on it goes on once the view is given back."""
    parser = engine.ResponseParser(limits=limits)
    parser.parse(bytearray(CHUNKED + b"1\r\nx"))
    assert parser.body == b"x"
    before = parser.consumed
    octets = b"\r\n" + chunks
    line = octets.index(b"\r\n", 2) + 2
    with memoryview(parser.body), pytest.raises(BufferError):
        getattr(parser, way)(bytearray(octets))
    assert (parser.consumed - before, parser.state) == (line, "chunk-data")
    assert parser.wanted == chunks[0] - 0x30
    getattr(parser, way)(bytearray(octets[line:]))
    assert parser.body == b"x" + b"".join(chunks.split(b"\r\n")[1::2])


@pytest.mark.parametrize("way", ["parse", "take"])
def test_the_end_that_was_told_with_the_head_counts(engine: ModuleType, way: str) -> None:
    """Also for a line that is not whole and was looked at before."""
    parser = engine.ResponseParser()
    rx = bytearray(CHUNKED + b"5;a")
    parser.take(rx)
    assert parser.parse_head(rx, True) == 0
    with pytest.raises(ParseError) as caught:
        getattr(parser, way)(rx)
    assert caught.value.code == "closed-in-chunk"


def test_a_view_of_the_body_is_fed(engine: ModuleType) -> None:
    """A body cannot grow while it is read; nothing of it is taken."""
    parser = engine.ResponseParser()
    parser.feed(HEAD + b"Content-Length: 64\r\n\r\nabc")
    for view in (memoryview, lambda body: memoryview(body)[1:]):
        with pytest.raises(BufferError):
            parser.feed(view(parser.body))
    assert (parser.body, parser.wanted) == (b"abc", 61)


def test_what_is_fed_is_held(engine: ModuleType) -> None:
    """While octets are read nobody resizes them, not even the mapping they go to."""
    data = bytearray(SHORT_MESSAGE)

    class Map(MultiDict[str]):
        def add(self, name: str, value: str) -> None:
            with pytest.raises(BufferError):
                data.clear()
            super().add(name, value)

    parser = engine.ResponseParser(mapping=Map)
    assert parser.feed(data) == len(SHORT_MESSAGE)
    data.clear()


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


def test_take_from_a_buffer_that_is_viewed(engine: ModuleType) -> None:
    """The octets that could not be deleted are not taken for what follows."""
    parser = engine.ResponseParser()
    rx = bytearray(HEAD + b"Content-Length: 9\r\n\r\nabc")
    with memoryview(rx), pytest.raises(BufferError):
        parser.take(rx)
    with pytest.raises(RuntimeError, match="broken the last call off"):
        parser.take(rx)
    parser.start()
    parser.take(rx)
    assert (parser.status, parser.body) == (200, b"abc")


def test_error_in_a_buffer_that_is_viewed(engine: ModuleType) -> None:
    """The octets before the fault could not be deleted: they are not taken once more."""
    parser = engine.ResponseParser()
    octets = HEAD + b"A: b\r\nC d\r\n\r\n"
    rx = bytearray(octets)
    with memoryview(rx), pytest.raises(BufferError):
        parser.take(rx)
    for _ in range(2):
        with pytest.raises(ParseError, match="without a colon, at octet 23"):
            parser.take(rx)
        assert rx == octets
    parser.start()
    with pytest.raises(ParseError, match="without a colon, at octet 23"):
        parser.take(rx)
    assert rx == b"C d\r\n\r\n"

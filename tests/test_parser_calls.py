"""Calls of the parsers on both engines: wrong ones, calls within calls, mappings of the program."""

from __future__ import annotations

import gc
from types import ModuleType
from typing import Any

import pytest
from multidict import CIMultiDict, MultiDict

from fasthio.grammar import LIMITS
from heads import HEAD, SHORT_MESSAGE, feed


def make_mapping() -> Any:
    """Make a mapping without being its type."""
    return CIMultiDict()


class Text(str):
    """A str of another kind, which goes its own ways."""

    __slots__ = ()

    def upper(self) -> Any:
        return Text("other")


class Number:
    """An integer of another kind."""

    def __index__(self) -> int:
        return 5


def test_arguments_of_another_kind(engine: ModuleType) -> None:
    """What is as good as a str or an int is taken as one, whatever engine reads it."""
    parser = engine.ResponseParser()
    parser.start(Text("head"))
    assert (parser.method, type(parser.method)) == ("HEAD", str)
    parser.start_body(Text("fixed"), Number())
    assert (parser.length, parser.wanted) == (5, 5)
    parser.received(True)
    assert (parser.wanted, parser.consumed) == (4, 1)
    parser.start_body("fixed", True)
    assert (parser.wanted, type(parser.length)) == (1, int)
    parser.start_body("close")
    parser.received(2**62 - 1)
    with pytest.raises(ValueError, match=r"^count must be from 0 to 0, not 1$"):
        parser.received(1)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (("start_body", None), TypeError, "framing must be a str, not NoneType"),
        (("start_body", b"close"), TypeError, "framing must be a str, not bytes"),
        (("start_body", "fixed", 1.9), TypeError,
         "'float' object cannot be interpreted as an integer"),
        (("start_body", "fixed", "1"), TypeError,
         "'str' object cannot be interpreted as an integer"),
        (("start_body", "fixed", 2**63), ValueError,
         "length must be from 0 to 9223372036854775807, not 9223372036854775808"),
        (("start_body", "fixed", -1), ValueError,
         "length must be from 0 to 9223372036854775807, not -1"),
        (("received", 1.0), TypeError, "'float' object cannot be interpreted as an integer"),
        (("received", 2**64), ValueError,
         "count must be from 0 to 4611686018427387900, not 18446744073709551616"),
        (("received", -(2**64)), ValueError,
         "count must be from 0 to 4611686018427387900, not -18446744073709551616"),
        (("feed", None), TypeError, "a bytes-like object is required, not 'NoneType'"),
        (("feed", "text"), TypeError, "a bytes-like object is required, not 'str'"),
        (("feed", memoryview(b"abcd")[::2]), BufferError,
         "memoryview: underlying buffer is not C-contiguous"),
    ],
)  # fmt: skip
def test_wrong_calls(
    engine: ModuleType, call: tuple[Any, ...], error: type[Exception], text: str
) -> None:
    """A wrong call is the same error on both engines, and changes nothing."""
    parser = engine.ResponseParser()
    parser.start_body("close")
    parser.feed(b"abc")
    with pytest.raises(error) as caught:
        getattr(parser, call[0])(*call[1:])
    assert (type(caught.value), str(caught.value)) == (error, text)
    assert (parser.body, parser.consumed, parser.wanted) == (b"abc", 3, -1)


def test_wrong_parts(engine: ModuleType) -> None:
    """What cannot be a mapping or limits is refused, and the parser is as it was."""
    parser = engine.ResponseParser()
    for wrong, error, text in (
        ({"mapping": dict}, AttributeError, "type object 'dict' has no attribute 'add'"),
        ({"mapping": make_mapping}, AttributeError, "'function' object has no attribute 'add'"),
        ({"limits": 5}, TypeError, "limits must be Limits, not int"),
    ):
        with pytest.raises(error) as caught:
            engine.ResponseParser(**wrong)
        assert str(caught.value) == text
        with pytest.raises(error):
            parser.__init__(**wrong)
        assert (parser.mapping, parser.limits) == (CIMultiDict, LIMITS)
    with pytest.raises(TypeError, match=r"^limits must be Limits, not int$"):
        engine.EventParser(limits=5)
    parser.feed(SHORT_MESSAGE)
    assert (parser.headers["A"], parser.body) == ("b", b"abc")


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


def test_mapping_that_parses_when_it_goes(engine: ModuleType) -> None:
    """The last headers of a parser made anew go when nothing of its template is in use."""

    class Map(CIMultiDict[str]):
        def __del__(self) -> None:
            if armed:
                armed.clear()
                parser.start()
                parser.parse(bytearray(head(2)))

    def head(number: int) -> bytes:
        return HEAD + b"X-One-%d: a%d\r\nX-Two-%d: b\r\nContent-Length: 0\r\n\r\n" % (
            number, number, number,
        )  # fmt: skip

    armed: list[int] = []
    parser = engine.ResponseParser(mapping=Map)
    for _ in range(20):
        for _ in range(3):
            parser.start()
            parser.parse(bytearray(head(1)))
        parser.start()
        armed.append(1)
        parser.__init__(mapping=Map)
        armed.clear()
        parser.start()
        octets = head(1)
        assert parser.parse(bytearray(octets)) == len(octets)
        assert parser.headers["X-One-1"] == "a1"
    gc.collect()


@pytest.mark.parametrize("where", ["add", "call"])
@pytest.mark.parametrize("way", ["parse", "take", "feed"])
def test_exception_of_another_kind_ends_the_message(
    engine: ModuleType, where: str, way: str
) -> None:
    """What is half parsed does not go on: no field twice, no value under another name."""
    armed: list[int] = []

    class Map(CIMultiDict[str]):
        def __init__(self, *pa: Any) -> None:
            if armed and where == "call":
                raise MemoryError
            super().__init__(*pa)

        def add(self, name: str, value: str) -> None:
            if armed and where == "add":
                raise MemoryError
            super().add(name, value)

    parser = engine.ResponseParser(mapping=Map)
    octets = bytearray(b"HTTP/1.1 200 OK\nA: b\nTransfer-Encoding: chunked\n")
    octets = bytearray(octets.replace(b"\n", b"\r\n")) + b" \r\n"  # folded: line by line
    rest = b"\r\n1\r\nx\r\n0\r\nC: d\r\n\r\n"
    if where == "add":
        armed.append(1)
        with pytest.raises(MemoryError):
            getattr(parser, way)(octets + rest)
    else:
        fed = getattr(parser, way)(octets + rest[:8])
        assert fed
        armed.append(1)
        with pytest.raises(MemoryError):
            getattr(parser, way)(bytearray(rest[8:]))
    armed.clear()
    assert (parser.state, parser.error, parser.done) == ("failed", None, False)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="broken the last call off"):
            getattr(parser, way)(bytearray(rest))
    parser.start()
    octets = bytearray(octets + rest)
    assert getattr(parser, way)(octets) > 0
    assert list(parser.headers.items()) == [("A", "b"), ("Transfer-Encoding", "chunked")]
    assert list(parser.trailers.items()) == [("C", "d")]

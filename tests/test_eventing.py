"""EventParser by its attributes and rules on both engines, and EventSource over it."""

from __future__ import annotations

import importlib
import json
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest
from hio.core.http import httping
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import MODULES
from fasthio import eventing
from fasthio.errors import EventError, EventLineError
from fasthio.grammar import LIMITS, Limits

if TYPE_CHECKING:
    from types import ModuleType


@pytest.fixture
def source(engine: ModuleType) -> type[eventing.EventSource]:
    """Give EventSource over each engine in turn."""

    class Source(eventing.EventSource):
        Engine = engine.EventParser

    return Source


# The engine's own rules -------------------------------------------------------------


def depth(error: BaseException) -> int:
    """Count the frames of a traceback; those of compiled code count as one."""
    frames = 0
    trace = error.__traceback__
    while trace is not None:
        frames, trace = frames + 1, trace.tb_next
    return frames


def test_events_have_the_keys_of_hio_in_order(engine: ModuleType) -> None:
    events: deque[dict[str, Any]] = deque()
    engine.EventParser().feed(bytearray(b"id: 1\nevent: e\ndata: a\n\n"), events)
    assert list(events[0].items()) == [("id", "1"), ("name", "e"), ("data", "a")]
    assert type(events[0]) is dict


def test_raw_keeps_an_unfinished_line_only(engine: ModuleType) -> None:
    parser = engine.EventParser()
    raw = bytearray(b"data: a\n\ndata: b\nda")
    assert parser.feed(raw, []) == 1
    assert raw == b"da"
    assert parser.consumed == 17
    raw += b"ta: c\n\n"
    events: list[dict[str, Any]] = []
    assert parser.feed(raw, events) == 1
    assert not raw
    assert events == [{"id": None, "name": "", "data": "b\nc"}]
    assert parser.feed(raw, events) == 0


@pytest.mark.parametrize("end", [b"\n\n", b"\r\r", b"\n\r"])
def test_scanned_octets_are_not_scanned_again(engine: ModuleType, end: bytes) -> None:
    """D78: a line end put where the engine has looked already is not seen."""
    parser = engine.EventParser()
    raw = bytearray(b"data: abc")
    events: list[dict[str, Any]] = []
    parser.feed(raw, events)
    raw[5:7] = end
    raw += b"d"
    assert parser.feed(raw, events) == 0
    assert raw == b"data:" + end + b"bcd"


def test_python_engine_work_is_linear() -> None:
    """D78: octets searched for line ends grow as the line does, fed octet by octet."""
    searched = 0

    class Counting(bytearray):
        def rfind(self, sub: Any, start: Any = 0, end: Any = None) -> int:
            nonlocal searched
            searched += len(self) - start
            return super().rfind(sub, start)

    parser = importlib.import_module(MODULES["py"]).EventParser()
    raw = Counting()
    for _ in range(5000):
        raw += b"x"
        parser.feed(raw, [])
    assert searched == 2 * 5000


def test_another_bytearray_is_scanned_from_its_start(engine: ModuleType) -> None:
    parser = engine.EventParser()
    events: list[dict[str, Any]] = []
    parser.feed(bytearray(b"data: abcdefgh"), events)
    parser.feed(bytearray(b"data: a\n\n"), events)
    assert [event["data"] for event in events] == ["a"]


def test_raw_shortened_between_feeds_is_harmless(engine: ModuleType) -> None:
    parser = engine.EventParser()
    raw = bytearray(b"data: abcdefgh")
    events: list[dict[str, Any]] = []
    parser.feed(raw, events)
    del raw[2:]
    parser.feed(raw, events)
    raw += b"ta: a\n\n"
    parser.feed(raw, events)
    assert [event["data"] for event in events] == ["a"]


def test_raw_must_be_a_bytearray(engine: ModuleType) -> None:
    parser = engine.EventParser()
    for wrong in (b"data: a\n\n", "data: a", None, memoryview(b"a")):
        with pytest.raises(TypeError, match="raw must be a bytearray"):
            parser.feed(wrong, [])


def test_leid_and_retry_are_settable_and_checked(engine: ModuleType) -> None:
    parser = engine.EventParser()
    parser.leid = "5"
    parser.retry = 10
    events: list[dict[str, Any]] = []
    parser.feed(bytearray(b"data: a\n\n"), events)
    assert events[0]["id"] == "5"
    assert (parser.leid, parser.retry) == ("5", 10)
    with pytest.raises(TypeError, match="leid must be a str"):
        parser.leid = b"5"
    with pytest.raises(TypeError, match="retry must be an int"):
        parser.retry = "5"
    parser.leid = parser.retry = None
    assert (parser.leid, parser.retry) == (None, None)
    for name in ("bom", "consumed", "count", "ended", "error"):
        with pytest.raises(AttributeError):
            setattr(parser, name, None)


def test_end_is_sticky(engine: ModuleType) -> None:
    """D76: after the end nothing is taken, until reset."""
    parser = engine.EventParser()
    events: list[dict[str, Any]] = []
    parser.feed(bytearray(b"id: 1\ndata: a\n\nid: 2\ndata: b"), events, True)
    assert (parser.ended, parser.leid, len(events)) == (True, "1", 1)
    raw = bytearray(b"data: c\n\n")
    assert parser.feed(raw, events) == 0
    assert raw == b"data: c\n\n"
    parser.reset()
    assert not parser.ended
    assert parser.feed(raw, events) == 1
    assert events[-1] == {"id": "1", "name": "", "data": "c"}


def test_error_is_sticky_until_reset(engine: ModuleType) -> None:
    """D77: the same error is raised each time and takes nothing; reset goes on."""
    parser = engine.EventParser(limits=Limits(event=2))
    events: list[dict[str, Any]] = []
    raw = bytearray(b"id: 1\ndata: a\n\nretry: 9\ndata: abc\n\ndata: b\n\n")
    with pytest.raises(EventError) as first:
        parser.feed(raw, events)
    assert [event["data"] for event in events] == ["a"]
    assert raw == b"data: abc\n\ndata: b\n\n"
    for eof in (False, True):
        with pytest.raises(EventError) as again:
            parser.feed(raw, events, eof)
        assert again.value is first.value is parser.error
        assert depth(again.value) == 2  # the traceback does not grow
    assert len(raw) == 20
    assert not parser.ended
    parser.reset()
    assert parser.error is None
    assert (parser.leid, parser.retry, parser.consumed, parser.count) == ("1", 9, 0, 0)
    raw = bytearray(b"data: c\n\n")
    assert parser.feed(raw, events) == 1


def test_error_of_a_long_line_is_hios(engine: ModuleType) -> None:
    """D77: hio raises LineTooLong for a long line; except clauses for it go on working."""
    parser = engine.EventParser(limits=Limits(event_line=40))
    with pytest.raises(httping.LineTooLong) as caught:
        parser.feed(bytearray(b"data: a\n\n" + b"x" * 41), [])
    error = caught.value
    assert isinstance(error, EventLineError)
    assert isinstance(error, EventError)
    assert (error.code, error.offset, error.state) == ("event-line-too-long", 9, "event-stream")
    assert error.near == b"x" * 32


def test_interrupted_call_leaves_no_half_of_an_event(
    engine: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Ctrl-C has left half parsed does not go on: no line counts twice, none is missing."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    parser = engine.EventParser(limits=Limits(event_line=100))
    raw = bytearray(b"data: " + b"a" * 90 + b"\n" + b"b" * 101)
    events: list[dict[str, Any]] = []
    home = importlib.import_module(engine.EventParser.__module__)
    with monkeypatch.context() as patch:
        patch.setattr(home, "parse_error", interrupt)
        with pytest.raises(KeyboardInterrupt):
            parser.feed(raw, events)
    raw[:] = b"\n"
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"begin anew with reset\(\)$"):
            parser.feed(raw, events)
    assert (parser.error, parser.ended, bytes(raw)) == (None, False, b"\n")
    parser.reset()
    assert parser.feed(raw, events) == 0
    raw[:] = b"data: next\n\n"
    assert parser.feed(raw, events) == 1
    assert events == [{"id": None, "name": "", "data": "next"}]


def test_octets_that_are_viewed(engine: ModuleType) -> None:
    """Nothing is taken of octets that cannot be deleted; once they can all goes on."""
    parser = engine.EventParser()
    raw = bytearray(b"\xef\xbb\xbfid: 1\ndata: a\n\ndata: b\r")
    events: list[dict[str, Any]] = []
    for eof in (False, True):
        with memoryview(raw), pytest.raises(BufferError):
            parser.feed(raw, events, eof)
        assert (parser.leid, parser.bom, parser.consumed, events) == (None, None, 0, [])
    assert parser.feed(raw, events) == 1
    raw += b"\ndata: c\n\n"
    assert parser.feed(raw, events) == 1
    assert [event["data"] for event in events] == ["a", "b\nc"]
    assert parser.consumed == 36


def test_events_that_are_not_taken(engine: ModuleType) -> None:
    """Where the queue refuses events they are lost, which is not passed over in silence."""

    class Queue(list[Any]):
        def extend(self, _: Any) -> None:
            raise KeyError("full")

    parser = engine.EventParser()
    raw = bytearray(b"data: a\n\n")
    with pytest.raises(KeyError, match="full"):
        parser.feed(raw, Queue())
    assert (bytes(raw), parser.count, parser.consumed) == (b"", 0, 9)
    raw += b"data: b\n\n"
    with pytest.raises(RuntimeError, match="broken the last call off"):
        parser.feed(raw, [])
    parser.reset()
    assert parser.feed(raw, []) == 1


def test_source_after_an_exception_of_another_kind(engine: ModuleType) -> None:
    """Where a view of the octets is held parse says so each time, and then goes on."""

    class Source(eventing.EventSource):
        Engine = engine.EventParser

    source = Source(raw=bytearray(b"data: a\n\n"))
    for _ in range(3):
        with memoryview(source.raw), pytest.raises(BufferError):
            source.parse()
    source.parse()
    source.close()
    source.parse()
    assert (source.ended, source.parser) == (True, None)
    assert [event["data"] for event in source.events] == ["a"]


def test_default_limits(engine: ModuleType) -> None:
    """D77: lines of 1 MiB pass where hio stops at 64 KiB; one octet more does not."""
    line = b"data: " + b"x" * (LIMITS.event_line - 6)
    events: list[dict[str, Any]] = []
    parser = engine.EventParser()
    parser.feed(bytearray(line + b"\n\n"), events)
    assert len(events[0]["data"]) == LIMITS.event_line - 6
    with pytest.raises(EventLineError):
        parser.feed(bytearray(line + b"x"), events)
    parser.reset()
    for _ in range(LIMITS.event // len(line)):
        parser.feed(bytearray(line + b"\n"), events)
    with pytest.raises(EventError) as large:
        parser.feed(bytearray(line + b"\n"), events)
    assert large.value.code == "event-too-large"
    assert len(events) == 1


def test_queue_limit_counts_what_is_not_taken(engine: ModuleType) -> None:
    """D77: events taken out of the queue make room."""
    parser = engine.EventParser(limits=Limits(events=2))
    events: deque[dict[str, Any]] = deque()
    for _ in range(10):
        assert parser.feed(bytearray(b"data: a\n\ndata: b\n\n"), events) == 2
        events.clear()
    events.append({})
    with pytest.raises(EventError) as caught:
        parser.feed(bytearray(b"data: a\n\ndata: b\n\n"), events)
    assert caught.value.code == "too-many-events"
    assert len(events) == 2
    events.extend([{}] * 5)
    parser.reset()
    with pytest.raises(EventError):
        parser.feed(bytearray(b"data: a\n\n"), events)
    assert len(events) == 7


def test_events_need_extend_and_len_only(engine: ModuleType) -> None:
    bounded: deque[dict[str, Any]] = deque(maxlen=2)
    parser = engine.EventParser()
    assert parser.feed(bytearray(b"data: a\n\ndata: b\n\ndata: c\n\n"), bounded) == 3
    assert [event["data"] for event in bounded] == ["b", "c"]


def test_large_data_in_many_lines(engine: ModuleType) -> None:
    """The data buffer grows, is given back, and small events follow."""
    parser = engine.EventParser()
    events: list[dict[str, Any]] = []
    raw = bytearray()
    for _ in range(3):
        for _ in range(300):
            raw += b"data: " + b"y" * 1000 + b"\r\n"
            parser.feed(raw, events)
        raw += b"\r\ndata: small\r\n\r\n"
        parser.feed(raw, events)
    assert [len(event["data"]) for event in events] == [300 * 1001 - 1, 5] * 3


# EventSource ------------------------------------------------------------------------


def test_source_has_hios_face(source: type[eventing.EventSource]) -> None:
    es = source()
    assert isinstance(es, httping.EventSource)
    assert source.Bom == b"\xef\xbb\xbf"
    assert vars(httping.EventSource()).keys() <= set(dir(es))
    for name in ("leid", "bom", "retry", "ended", "closed"):
        assert getattr(es, name) is None
    assert es.raw == bytearray()
    assert es.events == deque()
    assert es.dictable is False
    assert es.parser is not None
    assert source(dictable=1).dictable is True


def test_source_keeps_what_it_is_given(source: type[eventing.EventSource]) -> None:
    raw = bytearray()
    events: deque[dict[str, Any]] = deque()
    es = source(raw, events)
    assert es.raw is raw
    assert es.events is events


PLAIN = (
    b"retry: 1000\n\ndata: START\n\nid: 1\ndata: 1\n\n"
    b'id: 2\nevent: tick\ndata: {"a": 1}\n\n: note\ndata: x\ndata: y\n\n'
)


@pytest.mark.parametrize("dictable", [False, True])
def test_plain_stream_as_hio(source: type[eventing.EventSource], dictable: bool) -> None:
    """Where hio reads a stream well, everything is as there."""
    old = httping.EventSource(bytearray(PLAIN), deque(), dictable)
    new = source(bytearray(PLAIN), deque(), dictable)
    old.parse()
    new.parse()
    assert new.events == old.events
    assert (new.leid, new.retry, new.raw) == (old.leid, old.retry, old.raw)
    assert new.bom is None
    assert new.ended is None


word = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1, max_size=6)


@given(
    blocks=st.lists(
        st.tuples(st.none() | word, st.none() | word, st.lists(word, min_size=1, max_size=3)),
        max_size=6,
    )
)
@settings(max_examples=300, deadline=None)
def test_plain_streams_as_hio(
    blocks: list[tuple[str | None, str | None, list[str]]],
) -> None:
    """Whole events with LF, each with data, from a server that makes no mistakes."""
    text = ""
    for ident, name, data in blocks:
        text += f"id: {ident}\n" if ident is not None else ""
        text += f"event: {name}\n" if name is not None else ""
        text += "".join(f"data: {line}\n" for line in data) + "\n"
    old = httping.EventSource(bytearray(text.encode()), deque())
    old.parse()
    new = eventing.EventSource(bytearray(text.encode()), deque())
    new.parse()
    assert (new.events, new.leid, new.retry) == (old.events, old.leid, old.retry)


def test_D70_crlf_cut_anywhere(source: type[eventing.EventSource]) -> None:
    octets = PLAIN.replace(b"\n", b"\r\n")
    expected = source(bytearray(octets), deque(), True)
    expected.parse()
    assert len(expected.events) == 4
    for cut in range(len(octets) + 1):
        es = source(bytearray(), deque(), True)
        for piece in (octets[:cut], octets[cut:]):
            es.raw += piece
            es.parse()
        assert es.events == expected.events
        assert (es.leid, es.retry) == ("2", 1000)
        assert not es.raw


def test_D71_bom_and_parseEventStream(source: type[eventing.EventSource]) -> None:
    es = source(bytearray(b"\xef\xbb"), deque())
    stream = es.parseEventStream()
    assert next(stream) is None
    assert es.bom is None
    es.raw += b"\xbfid: 1\ndata: a\n\n"
    assert next(stream) is None
    assert es.bom == "\ufeff"
    assert list(es.events) == [{"id": "1", "name": "", "data": "a"}]
    es.close()
    assert next(stream) is True
    assert es.ended is True
    with pytest.raises(StopIteration):
        next(stream)


def test_D71_parseEventStream_begins_anew(source: type[eventing.EventSource]) -> None:
    es = source(bytearray(b"id: 4\ndata: a\n\ndata: b\n"), deque())
    es.parse()
    es.raw += b"\xef\xbb\xbfdata: c\n\n"
    assert next(es.parseEventStream()) is None
    assert [event["data"] for event in es.events] == ["a", "c"]
    assert (es.leid, es.bom) == ("4", "\ufeff")
    es.close()
    es.parse()
    assert es.ended is True
    es.closed = None
    stream = es.parseEventStream()
    assert next(stream) is None
    assert es.ended is None


def test_D72_leid_changes_at_dispatch(source: type[eventing.EventSource]) -> None:
    es = source(bytearray(b"id: 1\ndata: a\n\nid: 2\ndata: b\n"), deque())
    es.parse()
    assert es.leid == "1"
    es.raw += b"\n"
    es.parse()
    assert es.leid == "2"
    es.raw += b"id: 3\n\n"
    es.parse()
    assert es.leid == "3"
    es.raw += b"id: 4\0\ndata: c\n\n"
    es.parse()
    assert es.leid == es.events[-1]["id"] == "3"


def test_D73_empty_data_is_an_event(source: type[eventing.EventSource]) -> None:
    for octets in (b"data\n\n", b"data:\n\n", b"data: \n\n"):
        for dictable in (False, True):
            es = source(bytearray(octets), deque(), dictable)
            es.parse()
            assert list(es.events) == [{"id": None, "name": "", "data": ""}]


@pytest.mark.parametrize("value", ["+5", "-5", "1_0", " 5", "5 ", "٣", "", "5.0"])
def test_D74_retry_is_digits(source: type[eventing.EventSource], value: str) -> None:
    es = source(bytearray(f"retry: 7\nretry: {value}\n".encode()), deque())
    es.parse()
    assert es.retry == 7


def test_D75_invalid_utf8_and_deep_json(source: type[eventing.EventSource]) -> None:
    deep = b"[" * 200_000
    es = source(bytearray(b"data: \xff\n\ndata: " + deep + b"\n\n"), deque(), True)
    es.parse()
    assert [event["data"] for event in es.events] == ["\ufffd", deep.decode()]


def test_json_values(source: type[eventing.EventSource]) -> None:
    texts = ['{"a": [1, 2]}', "null", "0", '"x"', "[]", "NaN", '{"a":1,"a":2}']
    plain = ["{bad", "", "nul", "1" * 5000, "\ufeff1", "1 2"]  # hio leaves them as text
    octets = "".join(f"data: {text}\n\n" for text in [*texts, *plain]).encode()
    es = source(bytearray(octets), deque([{"id": None, "name": "", "data": "5"}]), True)
    es.parse()
    found = [event["data"] for event in es.events]
    # only new events are decoded; repr, for NaN is not equal to itself
    assert repr(found) == repr(["5", *map(json.loads, texts), *plain])


def test_json_of_events_before_a_fault(source: type[eventing.EventSource]) -> None:
    es = source(bytearray(b"data: {}\n\ndata: abc\n\n"), deque(), True, limits=Limits(event=2))
    with pytest.raises(EventError):
        es.parse()
    assert list(es.events) == [{"id": None, "name": "", "data": {}}]


def test_D76_closed_stream_is_parsed_to_its_end(source: type[eventing.EventSource]) -> None:
    es = source(bytearray(b"data: a\n\ndata: b\n\nid: 9\ndata: c\n"), deque())
    es.close()
    assert es.closed is True
    es.parse()
    assert [event["data"] for event in es.events] == ["a", "b"]
    assert (es.ended, es.parser, es.leid) == (True, None, None)
    assert not es.raw
    es.parse()
    assert len(es.events) == 2


def test_D76_close_with_nothing_left(source: type[eventing.EventSource]) -> None:
    es = source(bytearray(b"data: a\n\n"), deque())
    es.parse()
    assert es.ended is None
    es.close()
    es.parse()
    assert (es.ended, es.parser) == (True, None)


def test_D77_fault_leaves_parse_each_time(source: type[eventing.EventSource]) -> None:
    es = source(bytearray(b"data: a\n\n" + b"x" * 9), deque(), limits=Limits(event_line=8))
    for _ in range(3):
        with pytest.raises(httping.LineTooLong) as caught:
            es.parse()
        assert caught.value is es.error
        assert depth(caught.value) < 8  # the traceback does not grow
    assert len(es.events) == 1
    assert es.ended is None
    es.reset()
    assert es.error is None
    es.raw += b"data: b\n\n"
    es.parse()
    assert len(es.events) == 2


def test_D77_queue_limit(source: type[eventing.EventSource]) -> None:
    es = source(bytearray(b"data: a\n\n" * 3), deque(), limits=Limits(events=2))
    with pytest.raises(EventError):
        es.parse()
    assert len(es.events) == 2


def test_D79_makeParser(source: type[eventing.EventSource]) -> None:
    es = source(bytearray(b"id: 1\nretry: 5\ndata: a\n\nevent: e\ndata: b\n"), deque())
    es.parse()
    raw = bytearray()
    es.makeParser(raw)
    assert es.raw is raw  # hio goes on with the old one where the new one is empty
    raw += b"data: c\n\n"
    es.parse()
    assert list(es.events) == [
        {"id": "1", "name": "", "data": "a"},
        {"id": "1", "name": "", "data": "c"},
    ]
    es.makeParser()
    assert es.raw is raw
    assert es.retry == 5


def test_D79_reset_for_a_new_connection(source: type[eventing.EventSource]) -> None:
    es = source(bytearray(b"id: 1\nretry: 5\ndata: a\n\nid: 2\ndata: b\nda"), deque())
    raw = es.raw
    es.close()
    es.parse()
    assert es.ended is True
    es.reset()
    assert es.raw is raw
    assert (es.closed, es.ended, es.leid, es.retry) == (None, None, "1", 5)
    raw += b"\xef\xbb\xbfdata: c\n\n"
    es.parse()
    assert es.events[-1] == {"id": "1", "name": "", "data": "c"}
    raw += b"da"
    es.parse()
    es.reset()
    assert es.raw is raw
    assert not raw
    other = bytearray(b"data: d\n\n")
    es.reset(other)
    es.parse()
    assert es.events[-1]["data"] == "d"
    assert es.raw is other


def test_leid_and_retry_can_be_given(source: type[eventing.EventSource]) -> None:
    es = source(bytearray(b"data: a\n\n"), deque())
    es.leid = "7"
    es.retry = 20
    es.parse()
    assert es.events[0]["id"] == "7"
    assert (es.leid, es.retry) == ("7", 20)


def test_idle_parse_takes_nothing(source: type[eventing.EventSource]) -> None:
    es = source()
    for _ in range(3):
        es.parse()
    assert es.parser is not None
    assert es.ended is None


def test_line_feed_in_another_buffer(engine: ModuleType) -> None:
    """D70: a CR that something followed has its line end behind it, whatever buffer comes next."""
    parser = engine.EventParser()
    events: list[dict[str, Any]] = []
    parser.feed(bytearray(b"data: a\rX"), events)
    parser.feed(bytearray(b"\n"), events)
    assert events == [{"id": None, "name": "", "data": "a"}]


@pytest.mark.parametrize("way", ["reset", "feed", "__init__"])
def test_call_while_an_error_is_made(
    engine: ModuleType, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Making an error runs Python code, which may run anything: the parser is not to be touched."""
    parser = engine.EventParser(limits=Limits(event=16))
    refused = []

    def profile(frame: Any, what: str, arg: Any) -> None:
        if what == "call" and frame.f_code.co_name == "parse_error":
            sys.setprofile(before)
            with pytest.raises(RuntimeError, match="at work"):
                getattr(parser, way)(*([bytearray(b"data: z\n\n"), []] if way == "feed" else []))
            refused.append(way)

    raw = bytearray(b"data: x\ndata: " + b"y" * 64 + b"\n")
    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        with pytest.raises(EventError):
            parser.feed(raw, [])
    finally:
        sys.setprofile(before)
    assert refused == [way]
    parser.reset()
    events: list[dict[str, Any]] = []
    assert parser.feed(bytearray(b"data: z\n\n"), events) == 1

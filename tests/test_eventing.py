"""Event streams: the corpus at every split on both engines, and EventSource over them."""

from __future__ import annotations

import importlib
import json
import random
import re
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest
from hio.core.http import httping
from hypothesis import given, settings
from hypothesis import strategies as st

from eventcases import CASES, Case
from fasthio import eventing
from fasthio.errors import EventError, EventLineError, ParseError
from fasthio.grammar import LIMITS, RETRY_DIGITS, Limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType

MODULES = {"c": "fasthio._parser", "py": "fasthio._pyparser"}


def _load(name: str) -> ModuleType | None:
    """Import an engine, or give None where the extension was not built."""
    try:
        return importlib.import_module(MODULES[name])
    except ImportError:
        if name == "py":
            raise
        return None


ENGINES = {name: module for name in MODULES if (module := _load(name)) is not None}

SHORT = 48  # octets of a stream that is tried at every three-way split
LONG = 1200  # octets of a stream from which on the two-way splits are a sample


@pytest.fixture
def source(engine: ModuleType) -> type[eventing.EventSource]:
    """Give EventSource over each engine in turn."""

    class Source(eventing.EventSource):
        Engine = engine.EventParser

    return Source


# Running a stream -------------------------------------------------------------------


def describe(error: ParseError | None) -> tuple[Any, ...] | None:
    """Give all that an error says."""
    if error is None:
        return None
    return (
        type(error),
        error.code,
        error.offset,
        error.state,
        error.rfc,
        error.near,
        str(error),
        error.args,
    )


def run(
    parser_class: Any, pieces: Iterable[bytes], limits: Limits | None = None, eof: bool = True
) -> dict[str, Any]:
    """Feed the pieces and say all that came of them."""
    parser = parser_class(limits=limits)
    raw = bytearray()
    events: deque[dict[str, Any]] = deque()
    error = None
    try:
        for piece in pieces:
            raw += piece
            before = len(events)
            assert parser.feed(raw, events) == len(events) - before
        if eof:
            parser.feed(raw, events, True)
            assert not raw
    except ParseError as ex:
        error = ex
    assert parser.error is error
    return {
        "events": list(events),
        "leid": parser.leid,
        "retry": parser.retry,
        "bom": parser.bom,
        "error": describe(error),
        "consumed": parser.consumed,
        "count": parser.count,
        "ended": parser.ended,
    }


def single(octets: bytes) -> Iterator[bytes]:
    """Cut into single octets."""
    return (octets[i : i + 1] for i in range(len(octets)))


def places(octets: bytes) -> Iterable[int]:
    """Give the places for a two-way split: each one, of a long stream a sample."""
    size = len(octets)
    if size <= LONG:
        return range(size + 1)
    return sorted({*range(200), *range(200, size, size // 200), *range(size - 200, size + 1)})


# The oracle, straight from the text of the standard ---------------------------------


def oracle(octets: bytes) -> dict[str, Any]:
    """Interpret a stream as WHATWG HTML 9.2.5 and 9.2.6 say, all at once, in no hurry."""
    text = octets.decode("utf-8", "replace")
    bom = None
    if octets.startswith(b"\xef\xbb\xbf"):
        bom, text = text[0], text[1:]
    *lines, _unfinished = re.split("\r\n|\n|\r", text)
    events: list[dict[str, Any]] = []
    data = name = ""
    leid: str | None = None
    buffered: str | None = None
    retry: int | None = None
    for line in lines:
        if line == "":
            leid = buffered
            if data != "":
                events.append({"id": leid, "name": name, "data": data[:-1]})
            data = name = ""
            continue
        if line[0] == ":":
            continue
        if ":" in line:
            field, value = line.split(":", 1)
            if value[:1] == " ":
                value = value[1:]
        else:
            field, value = line, ""
        if field == "event":
            name = value
        elif field == "data":
            data += value + "\n"
        elif field == "id" and "\0" not in value:
            buffered = value
        elif (
            field == "retry"
            and re.fullmatch("[0-9]+", value)
            and len(value.lstrip("0")) <= RETRY_DIGITS
        ):
            retry = int("0" + value.lstrip("0"))
    return {"events": events, "leid": leid, "retry": retry, "bom": bom}


def said(result: dict[str, Any]) -> dict[str, Any]:
    """Give the part of a result that the oracle speaks of."""
    return {key: result[key] for key in ("events", "leid", "retry", "bom")}


# Corpus -----------------------------------------------------------------------------


def test_corpus_is_large_enough() -> None:
    assert len(CASES) >= 150
    assert len({case.name for case in CASES}) == len(CASES)


def test_both_engines_are_the_same_class() -> None:
    faces = [
        {name for name in dir(module.EventParser) if not name.startswith("_")}
        for module in ENGINES.values()
    ]
    assert all(face == faces[0] for face in faces)
    assert faces[0] == {
        "bom", "consumed", "count", "ended", "error", "feed", "leid", "reset", "retry"
    }  # fmt: skip


def every_case() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


@every_case()
def test_case(case: Case, engine: ModuleType) -> None:
    """The whole stream, and octet by octet, give what the case says."""
    whole = run(engine.EventParser, [case.octets], case.bounds)
    assert said(whole) == {
        "events": case.events,
        "leid": case.leid,
        "retry": case.retry,
        "bom": case.bom,
    }
    error = whole["error"]
    assert (error and error[1:3]) == case.error
    assert whole["ended"] is (case.error is None)
    assert whole["consumed"] == (case.error[1] if case.error else len(case.octets))
    assert run(engine.EventParser, single(case.octets), case.bounds) == whole


@every_case()
def test_case_at_every_split(case: Case, engine: ModuleType) -> None:
    octets, bounds = case.octets, case.bounds
    whole = run(engine.EventParser, [octets], bounds)
    for cut in places(octets):
        assert run(engine.EventParser, [octets[:cut], octets[cut:]], bounds) == whole, cut
    if len(octets) <= SHORT:
        for i in range(len(octets)):
            for j in range(i + 1, len(octets)):
                pieces = [octets[:i], octets[i:j], octets[j:]]
                assert run(engine.EventParser, pieces, bounds) == whole, (i, j)


@every_case()
def test_case_on_both_engines(case: Case) -> None:
    """Events, attributes, and error type, code, offset, near and text are the same."""
    results = [run(m.EventParser, [case.octets], case.bounds) for m in ENGINES.values()]
    assert all(result == results[0] for result in results)


@every_case()
def test_case_agrees_with_the_standard(case: Case) -> None:
    if case.error is None:
        assert oracle(case.octets) == {
            "events": case.events,
            "leid": case.leid,
            "retry": case.retry,
            "bom": case.bom,
        }


@every_case()
def test_events_come_with_the_octet_that_ends_them(case: Case, engine: ModuleType) -> None:
    """After each octet the events are there that the octets so far hold; CR does not wait."""
    if case.error is not None or len(case.octets) > LONG:
        return
    parser = engine.EventParser(limits=case.bounds)
    raw = bytearray()
    events: list[dict[str, Any]] = []
    for size in range(1, len(case.octets) + 1):
        raw += case.octets[size - 1 : size]
        parser.feed(raw, events)
        so_far = oracle(case.octets[:size])
        assert (events, parser.leid, parser.retry) == (
            so_far["events"],
            so_far["leid"],
            so_far["retry"],
        )


# Generated streams ------------------------------------------------------------------

TOKENS = [
    b"data", b"data:", b"data: ", b"id", b"id: ", b"event: ", b"retry: ", b":", b" ", b"\0",
    b"\n", b"\n", b"\n\n", b"\r", b"\r\r", b"\r\n", b"\r\n\r\n", b"7", b"000", b"x", b"abc",
    b"\xef\xbb\xbf", b"\xef", b"\xbb", b"\xbf", b"\xff", b"\xe2\x82\xac", b"\xf0\x9f\x98\x80",
    b"\xc2\x85", b"\xe2\x80\xa8", b"\x0b", b"\t", b"dat", b"+", b"_",
]  # fmt: skip

streams = st.lists(st.sampled_from(TOKENS) | st.binary(max_size=3), max_size=40).map(b"".join)


def cut_up(octets: bytes, seed: int) -> list[bytes]:
    """Cut into random pieces, empty ones among them."""
    choose = random.Random(seed)
    cuts = sorted(choose.randint(0, len(octets)) for _ in range(choose.randint(0, 12)))
    return [octets[i:j] for i, j in zip([0, *cuts], [*cuts, len(octets)], strict=True)]


@given(octets=streams, seed=st.integers(0, 2**32))
@settings(max_examples=1500, deadline=None)
def test_any_stream_is_read_as_the_standard_says(octets: bytes, seed: int) -> None:
    expected = oracle(octets)
    for module in ENGINES.values():
        whole = run(module.EventParser, [octets])
        assert said(whole) == expected
        assert run(module.EventParser, cut_up(octets, seed)) == whole


@given(
    octets=streams,
    seed=st.integers(0, 2**32),
    line=st.integers(1, 12),
    event=st.integers(1, 12),
    queue=st.none() | st.integers(1, 3),
)
@settings(max_examples=1500, deadline=None)
def test_any_stream_under_limits_is_the_same_everywhere(
    octets: bytes, seed: int, line: int, event: int, queue: int | None
) -> None:
    limits = Limits(event_line=line, event=event, events=queue)
    results = [
        run(module.EventParser, pieces, limits)
        for module in ENGINES.values()
        for pieces in ([octets], cut_up(octets, seed), list(single(octets)))
    ]
    assert all(result == results[0] for result in results)


@given(
    number=st.integers(0, len(CASES) - 1),
    at=st.integers(0, 2000),
    octet=st.sampled_from([b"", b"\r", b"\n", b":", b" ", b"\0", b"\xef\xbb\xbf", b"\xff", b"d"]),
    gone=st.integers(0, 3),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=1500, deadline=None)
def test_mutated_cases(number: int, at: int, octet: bytes, gone: int, seed: int) -> None:
    octets = CASES[number].octets
    at %= len(octets) + 1
    octets = octets[:at] + octet + octets[at + gone :]
    expected = oracle(octets)
    for module in ENGINES.values():
        whole = run(module.EventParser, [octets])
        assert said(whole) == expected
        assert run(module.EventParser, cut_up(octets, seed)) == whole


def depth(error: BaseException) -> int:
    """Count the frames of a traceback; those of compiled code count as one."""
    frames = 0
    trace = error.__traceback__
    while trace is not None:
        frames, trace = frames + 1, trace.tb_next
    return frames


# The engine's own rules -------------------------------------------------------------


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
    """Ctrl-C inside a call drops the unfinished event: nothing counts data that is not there."""

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
    assert parser.feed(raw, events) == 0
    raw[:] = b"data: next\n\n"
    assert parser.feed(raw, events) == 1
    assert events == [{"id": None, "name": "", "data": "next"}]


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

"""Event streams: the corpus and any other, at every split, on both engines as the standard says."""

from __future__ import annotations

import importlib
import random
import re
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import MODULES
from eventcases import CASES, Case
from fasthio.errors import ParseError
from fasthio.grammar import RETRY_DIGITS, Limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType


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

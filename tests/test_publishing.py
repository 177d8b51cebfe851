"""Publisher: what a parser found, in the attributes of a respondent; the same on both engines."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import pytest
from hio.help import Hict

from cases import CASES, Case, fault_of
from fasthio import _pyparser, responding
from fasthio.responding import Respondent

JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
BASES = """
import gc, importlib, sys
from fasthio import responding
engine = importlib.import_module(sys.argv[1])
names = tuple(name for name in responding._BLANK if name != "data") + ("data",)
make = lambda: type("Base", (), {"__slots__": names})
first, second = make(), make()
kind = type("Kind", (first,), {"__slots__": ()})
blank = {**responding._BLANK, "data": {"a": 1}}
publisher = engine.Publisher(kind, blank, responding._media_of, responding.REDIRECTS)
kind.__bases__ = (second,)
del first
gc.collect()
one = kind()
publisher.fill(one)
publisher.begin(one)
print(one.data, one.error)
"""
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\ndata: 2"


@pytest.fixture(autouse=True)
def on_engine(respondents: ModuleType) -> ModuleType:
    """Run each test of this module on each engine."""
    return respondents


def publisher_on(engine: ModuleType, kind: type[Any]) -> Any:
    """Make the publisher of a class on an engine."""
    blank, redirects = responding._BLANK, responding.REDIRECTS
    return engine.Publisher(kind, blank, responding._media_of, redirects)


def told(respondent: Any) -> dict[str, Any]:
    """Give all attributes, so that they can be compared."""
    seen = vars(respondent)
    source = seen.pop("eventSource", None)
    seen["fault"] = fault_of(seen["fault"])
    seen["events"] = list(seen["events"])
    seen["source"] = None if source is None else (source.leid, source.retry)
    for name in ("headers", "trails"):
        seen[name] = None if seen[name] is None else list(seen[name].items())
    del seen["engine"], seen["_own"], seen["_parser"]
    return {name: (type(value), value) for name, value in seen.items()}


def steps(kind: type[Any], case: Case, at: int) -> list[dict[str, Any]]:
    """Parse a case cut in two; give what a respondent tells after each step."""
    respondent = kind(method=case.method, limits=case.bounds)
    seen = []
    for part in (case.octets[:at], case.octets[at:]):
        respondent.msg.extend(part)
        respondent.parse()
        seen.append(told(respondent))
    if case.eof:
        respondent.close()
        respondent.parse()
        seen.append(told(respondent))
    return seen


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_engines_publish_the_same(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(case.octets)
    splits = sorted({0, size // 3, size // 2, max(0, size - 1), size})
    seen = [steps(Respondent, case, at) for at in splits]
    monkeypatch.setattr(responding, "ResponseParser", _pyparser.ResponseParser)
    monkeypatch.setattr(Respondent, "publisher", publisher_on(_pyparser, Respondent))
    for at, each in zip(splits, seen, strict=True):
        assert each == steps(Respondent, case, at)


def test_a_parser_of_another_engine_may_be_handed_in() -> None:
    one, other = Respondent(), Respondent()
    other.engine = _pyparser.ResponseParser(mapping=Hict)
    for octets in (JSON, JSON.replace(b"200 OK", b"302 Found"), b"HTTP/1.1 200\r\nbad\r\n\r\n"):
        for respondent in (one, other):
            respondent.publisher.expect(respondent, "GET")
            respondent.msg[:] = octets
            respondent.parse()
            assert respondent.ended
        assert told(one) == told(other)
        for respondent in (one, other):
            respondent.makeParser()


def test_what_is_no_respondent_is_refused(engine: ModuleType) -> None:
    publisher = Respondent.publisher
    snapshot = Respondent().engine.snapshot()
    calls: list[tuple[Any, tuple[Any, ...]]] = [
        (publisher.fill, ()),
        (publisher.expect, ("GET",)),
        (publisher.begin, ()),
        (publisher.advance, ()),
        (publisher.head, (snapshot,)),
        (publisher.finish, (snapshot,)),
        (publisher.response, (None,)),
    ]
    for call, rest in calls:
        with pytest.raises(TypeError, match=r"^respondent must be a Respondent, not Hict$"):
            call(Hict(), *rest)
    for call, rest in calls:
        with pytest.raises(TypeError, match=r"^respondent must be a Respondent, not Mock$"):
            call(Mock(spec=Respondent), *rest)
    for wrong in ((), snapshot[:-1], [*snapshot], None):
        for call in (publisher.head, publisher.finish):
            with pytest.raises(TypeError, match=r"^a snapshot is a tuple of 12, not "):
                call(Respondent(), wrong)
    with pytest.raises(TypeError, match=r"^kind must be a class, not Respondent$"):
        engine.Publisher(Respondent(), {}, responding._media_of, ())
    with pytest.raises(KeyError, match="encoding"):
        engine.Publisher(Respondent, {}, responding._media_of, ())


def test_bases_that_are_changed(engine: ModuleType) -> None:
    """The class that the slots are of may go: in a process where what is freed is overwritten."""
    done = subprocess.run(
        [sys.executable, "-c", BASES, engine.__name__],
        env={**os.environ, "PYTHONMALLOC": "debug"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "{'a': 1} None\n"), done.stderr


def test_an_attribute_without_value() -> None:
    respondent = Respondent(msg=bytearray(JSON))
    respondent.parse()
    del respondent.data
    with pytest.raises(AttributeError, match="data"):
        respondent.publisher.response(respondent, {})
    respondent.makeParser()
    del respondent.msg
    with pytest.raises(AttributeError, match="msg"):
        respondent.parse()


def test_a_property_of_a_subclass_is_used() -> None:
    """A subclass may put a property in the place of an attribute: then it is no slot."""
    statuses = []

    class Own(Respondent):
        @property
        def status(self) -> int | None:  # type: ignore[override]
            return self._status

        @status.setter
        def status(self, status: int | None) -> None:
            statuses.append(status)
            self._status = status

    respondent = Own(msg=bytearray(JSON))
    respondent.parse()
    assert respondent.ended
    assert respondent.status == 200
    assert statuses[-1] == 200
    assert respondent.publisher.response(respondent, {})["status"] == 200
    plain = Respondent(msg=bytearray(JSON))
    plain.parse()
    seen = told(respondent)
    del seen["_status"]
    assert seen == told(plain)


def test_a_subclass_may_look_at_what_is_set() -> None:
    class Own(Respondent):
        def __setattr__(self, name: str, value: Any) -> None:
            seen.append(name)
            super().__setattr__(name, value)

    seen: list[str] = []
    respondent = Own(msg=bytearray(JSON))
    assert sorted(set(seen)) == sorted(vars(respondent))
    seen.clear()
    respondent.parse()
    assert {"status", "headers", "body", "persisted", "ended", "_parser"} <= set(seen)
    seen.clear()
    respondent.publisher.expect(respondent, "GET")
    assert {"method", "data", "headers", "encoding"} <= set(seen)


def test_a_response_is_given_as_it_stands() -> None:
    respondent = Respondent(msg=bytearray(JSON))
    respondent.parse()
    respondent.dictify()
    request = {"path": "/"}
    response = respondent.publisher.response(respondent, request)
    assert response == {
        "version": (1, 1),
        "status": 200,
        "reason": "OK",
        "headers": respondent.headers,
        "body": b"{}",
        "data": {},
        "request": request,
        "errored": False,
        "error": None,
    }
    assert response["request"] is request
    assert response["headers"] is respondent.headers
    assert response["body"] is respondent.body


def test_nothing_leaks_of_what_is_published() -> None:
    """Ten thousand responses leave no more objects than a few, however they end."""

    def round_(count: int) -> None:
        respondent = Respondent()
        for index in range(count):
            octets = (JSON, STREAM, JSON[:-1], b"HTTP/2 200 OK\r\n\r\n")[index % 4]
            respondent.publisher.expect(respondent, "GET")
            respondent.msg[:] = octets
            respondent.parse()
            if not respondent.ended:
                respondent.close()
                respondent.parse()
            respondent.publisher.response(respondent, {})
            respondent.events.clear()
            respondent.makeParser()
            if index % 16 == 0:
                Respondent()
        gc.collect()

    round_(400)
    before = sys.getallocatedblocks()
    round_(10_000)
    assert sys.getallocatedblocks() - before < 200

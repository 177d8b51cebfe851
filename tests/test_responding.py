"""Respondent: the corpus through hio's face, step by step, events and octets in place."""

from __future__ import annotations

import copy
import gc
import json
import weakref
from collections import deque
from types import ModuleType
from typing import Any

import pytest
from hio.core.http import httping
from hio.help import Hict

from cases import CASES, Case, Run, fault_of, parser_of, run
from fasthio.errors import ClosureError, LimitError, Reason
from fasthio.grammar import Limits
from fasthio.responding import Respondent
from heads import CHUNKED, HEAD, JSON, STREAM, octets_of


@pytest.fixture(autouse=True)
def on_engine(respondents: ModuleType) -> ModuleType:
    """Run each test of this module on each engine."""
    return respondents


def told(respondent: Respondent) -> dict[str, Any]:
    """Give all that a respondent tells, to be compared."""
    it = respondent
    return {
        "version": it.version,
        "status": it.status,
        "code": it.code,
        "reason": it.reason,
        "headers": None if it.headers is None else list(it.headers.items()),
        "chunked": it.chunked,
        "length": it.length,
        "body": bytes(it.body),
        "parms": it.parms,
        "trails": None if it.trails is None else list(it.trails.items()),
        "flags": (it.started, it.headed, it.bodied, it.ended, it.errored, it.persisted),
        "error": it.error,
        "fault": fault_of(it.fault),
        "jsoned": it.jsoned,
        "evented": it.evented,
        "encoding": it.encoding,
        "events": list(it.events),
        "retry": it.retry,
        "leid": it.leid,
        "redirectant": it.redirectant,
        "reusable": it.reusable,
        "parser": it.parser is None,
    }


def drive(respondent: Respondent, pieces: list[bytes], closed: bool = False) -> dict[str, Any]:
    """Put pieces into the buffer and parse after each, as Client does."""
    rest = b""
    for index, piece in enumerate(pieces):
        respondent.msg.extend(piece)
        respondent.parse()
        if respondent.ended:
            rest = b"".join(pieces[index + 1 :])
            break
    if closed:
        respondent.close()
        respondent.parse()
    return {**told(respondent), "rest": bytes(respondent.msg) + rest}


# the corpus ------------------------------------------------------------------


def expected(case: Case, engine: ModuleType) -> dict[str, Any]:
    """Give what the engine alone makes of a case, under hio's names."""
    parser = parser_of(engine, case)
    result: Run = run(parser, [case.octets], case.method, case.eof)
    error = parser.error
    return {
        "status": parser.status,
        "reason": parser.reason,
        "body": bytes(parser.body),
        "ended": parser.done or error is not None,
        "errored": error is not None,
        "fault": fault_of(error),
        "rest": result.rest,
        "headed": parser.headed,
        "done": parser.done,
        "parser": parser,
    }


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(on_engine: ModuleType, case: Case) -> None:
    """A case gives the same through Respondent as through its engine, at every split."""
    want = expected(case, on_engine)
    respondent = Respondent(msg=bytearray(), method=case.method, limits=case.bounds)
    got = drive(respondent, [case.octets], case.eof)
    if not (got["flags"][3] or want["headed"]):
        assert got["error"] == (str(respondent.fault) if want["errored"] else None)
    assert got["rest"] == want["rest"]
    assert got["fault"] == want["fault"]
    assert respondent.errored is want["errored"]
    assert bool(respondent.ended) is want["ended"]
    assert bool(respondent.headed) is want["headed"]
    if want["headed"] or want["errored"]:
        assert (got["status"], got["reason"]) == (want["status"], want["reason"])
    if want["headed"]:
        parser = want["parser"]
        if not got["evented"]:
            assert got["body"] == want["body"]
            assert got["length"] == (None if got["chunked"] and not want["done"] else parser.length)
        assert got["headers"] == list(parser.headers.items())
        assert type(respondent.headers) is Hict
    if want["errored"]:
        assert respondent.error == str(respondent.fault)
        assert isinstance(respondent.error, Reason)
        assert respondent.error.code == respondent.fault.code  # type: ignore[union-attr]
        assert not respondent.reusable
    size = len(case.octets)
    if size > 1000:
        return
    for pieces in [octets_of(case.octets), *([case.octets[:at], case.octets[at:]] for at in
                                             range(0, size, 1 if size < 80 else 7))]:  # fmt: skip
        again = Respondent(msg=bytearray(), method=case.method, limits=case.bounds)
        assert drive(again, pieces, case.eof) == got
    # the same one again, after this case
    respondent.reinit(method=case.method)
    respondent.msg.clear()
    respondent.makeParser()
    del respondent.events
    respondent.events = deque()
    assert drive(respondent, [case.octets], case.eof)["fault"] == want["fault"]
    assert (respondent.status, respondent.errored) == (got["status"], want["errored"])


# step by step ----------------------------------------------------------------


def test_steps() -> None:
    """parse() makes a step with what there is; the attributes follow."""
    respondent = Respondent(msg=bytearray())
    assert respondent.parser is not None
    respondent.parse()
    assert (respondent.started, respondent.ended) == (False, False)
    respondent.msg.extend(b"HTTP/1.1 2")
    respondent.parse()
    assert (respondent.started, respondent.headed, respondent.status) == (True, False, None)
    respondent.msg.extend(b"00 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhe")
    respondent.parse()
    assert (respondent.headed, respondent.bodied, respondent.ended) == (True, False, False)
    assert (respondent.status, respondent.code, respondent.reason) == (200, 200, "OK")
    assert (respondent.length, respondent.chunked, respondent.persisted) == (5, False, True)
    assert respondent.headers["CONTENT-type"] == "text/plain"
    assert respondent.body == b"he"
    respondent.msg.extend(b"lloHTTP/1.1 ")
    respondent.parse()
    assert (respondent.bodied, respondent.ended, respondent.started) == (True, True, False)
    assert (respondent.body, respondent.msg) == (b"hello", b"HTTP/1.1 ")
    assert (respondent.errored, respondent.error, respondent.parser) == (False, None, None)
    respondent.parse()  # nothing more happens
    assert respondent.msg == b"HTTP/1.1 "


def test_leftovers_are_the_next_response() -> None:
    """After makeParser() the octets left in msg are parsed."""
    respondent = Respondent(msg=bytearray(HEAD + b"Content-Length: 1\r\n\r\naHTTP/1.1 404 No\r\n"
                                          b"Content-Length: 1\r\n\r\nb"))  # fmt: skip
    respondent.parse()
    first = (respondent.status, respondent.body, respondent.headers)
    respondent.reinit()
    respondent.makeParser()
    respondent.parse()
    assert first == (200, b"a", Hict([("Content-Length", "1")]))
    assert (respondent.status, respondent.body, respondent.msg) == (404, b"b", b"")


@pytest.mark.parametrize(
    ("octets", "code"),
    [(b"", "closed-before-start"), (b"HTTP/1.1 200 OK\r\n", "closed-in-head"),
     (HEAD + b"Content-Length: 5\r\n\r\nhe", "closed-in-body"),
     (CHUNKED + b"5\r\nhello\r\n", "closed-in-chunk")],
)  # fmt: skip
def test_closed_before_the_first_parse(octets: bytes, code: str) -> None:
    """close() counts whenever it comes, before the first parse() too: D20, D21."""
    respondent = Respondent(msg=bytearray(octets))
    respondent.close()
    respondent.parse()
    assert (respondent.ended, respondent.errored, respondent.parser) == (True, True, None)
    assert isinstance(respondent.fault, ClosureError)
    assert isinstance(respondent.fault, httping.PrematureClosure)
    assert respondent.error.code == code  # type: ignore[union-attr]


def test_closed_with_a_whole_response() -> None:
    """A response that is whole when the peer closes is right; its connection is done."""
    for octets in (HEAD + b"Content-Length: 2\r\n\r\nhi", HEAD + b"\r\nhi"):
        respondent = Respondent(msg=bytearray(octets))
        respondent.close()
        respondent.parse()
        assert (respondent.ended, respondent.errored, respondent.body) == (True, False, b"hi")
        assert not respondent.reusable


def test_reinit_and_make_parser() -> None:
    """reinit() keeps what is None; another msg begins anew: D22."""
    respondent = Respondent(msg=bytearray(b"HTTP/1.1 200 OK\r\nContent-Le"), method="head")
    assert respondent.method == "HEAD"
    respondent.parse()
    other = bytearray(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno")
    respondent.reinit(msg=other, method="GET", redirectable=False, dictable=True)
    assert (respondent.method, respondent.redirectable, respondent.dictable) == ("GET", False, True)
    assert respondent.msg is other
    respondent.parse()
    assert (respondent.status, respondent.body) == (404, b"no")
    respondent.reinit(method=None)
    assert (respondent.method, respondent.redirectable, respondent.dictable) == ("GET", False, True)
    assert (respondent.status, respondent.code, respondent.reason) == (None, None, None)


def test_make_parser_in_the_middle() -> None:
    """makeParser() forgets what was begun; closed too."""
    respondent = Respondent(msg=bytearray(HEAD + b"Content-Length: 9\r\n\r\nhalf"))
    respondent.parse()
    held = respondent.body
    respondent.close()
    respondent.msg.clear()
    respondent.makeParser(msg=bytearray(HEAD + b"Content-Length: 3\r\n\r\nnew"))
    assert respondent.closed is False
    respondent.parse()
    assert (respondent.ended, respondent.body) == (True, b"new")
    assert held == b"half", "what was handed out is not changed: D23"


def test_an_error_has_nothing_of_the_response_before() -> None:
    """A refused response shows no header, body or status of the one before it: D37."""
    respondent = Respondent(msg=bytearray(JSON + b'{"a": "b"' + b"nonsense"))
    respondent.parse()
    held = respondent.body
    respondent.reinit()
    respondent.makeParser()
    respondent.parse()
    assert respondent.errored
    assert (respondent.status, respondent.body, list(respondent.headers)) == (None, b"", [])
    assert (respondent.jsoned, respondent.parms, respondent.trails) == (None, None, None)
    assert held == b'{"a": "b"'


# event streams ---------------------------------------------------------------


def chunk(octets: bytes) -> bytes:
    """Write one chunk."""
    return b"%x\r\n%b\r\n" % (len(octets), octets)


def test_events_at_every_split() -> None:
    """Events, leid and retry are the same however the stream is split; the body ends empty."""
    events = b"retry: 7\nid: 1\ndata: a\n\n:c\ndata: b\r\ndata: c\r\n\r\nid: 2\ndata: d\r\r"
    for message, closed in [
        (STREAM + chunk(events[:20]) + chunk(events[20:]) + b"0\r\n\r\n", False),
        (STREAM.replace(b"Transfer-Encoding: chunked", b"Content-Length: %d" % len(events))
         + events, False),
        (STREAM.replace(b"Transfer-Encoding: chunked\r\n", b"") + events, True),
        (STREAM + chunk(events) + b"5\r\nhelloX", False),  # fails behind the events
        (STREAM + chunk(events) + b"5\r\nhel", True),  # ends behind the events
    ]:  # fmt: skip
        whole = drive(Respondent(msg=bytearray()), [message], closed)
        assert [(it["id"], it["name"], it["data"]) for it in whole["events"]] == [
            ("1", "", "a"), ("1", "", "b\nc"), ("2", "", "d"),
        ]  # fmt: skip
        assert (whole["leid"], whole["retry"]) == ("2", 7)
        for pieces in [octets_of(message), *([message[:at], message[at:]] for at in
                                             range(len(message)))]:  # fmt: skip
            got = drive(Respondent(msg=bytearray()), pieces, closed)
            assert got == whole


def test_a_fault_of_the_stream_is_recorded() -> None:
    """An event above its limit ends the response with its error; events before it count."""
    limits = Limits(event_line=16)
    octets = STREAM + chunk(b"data: a\n\n") + chunk(b"data: " + b"x" * 20 + b"\n\n") + b"0\r\n\r\n"
    for pieces in ([octets], octets_of(octets)):
        respondent = Respondent(msg=bytearray(), limits=limits)
        for piece in pieces:
            respondent.msg.extend(piece)
            respondent.parse()
        assert respondent.errored
        assert respondent.error.code == "event-line-too-long"  # type: ignore[union-attr]
        assert [event["data"] for event in respondent.events] == ["a"]


# received in place -----------------------------------------------------------


def test_octets_received_in_place() -> None:
    """A body that a connector put in place ends the response without another octet."""
    respondent = Respondent(msg=bytearray(HEAD + b"Content-Length: 5\r\n\r\n"))
    respondent.parse()
    assert respondent.engine.wanted == 5
    assert respondent.body is respondent.engine.body
    respondent.engine.body.extend(b"hello")
    respondent.engine.received(5)
    respondent.parse()
    assert (respondent.ended, respondent.errored, respondent.body) == (True, False, b"hello")


def test_limits_are_those_given() -> None:
    """Limits given to Respondent bound its responses."""
    respondent = Respondent(
        msg=bytearray(HEAD + b"Content-Length: 6\r\n\r\n"), limits=Limits(body=5)
    )
    respondent.parse()
    assert isinstance(respondent.fault, LimitError)
    assert respondent.errored


def test_a_viewed_body_is_no_parse_error() -> None:
    """A program that holds a view of the body hears so itself; no octet is lost."""
    respondent = Respondent(msg=bytearray(HEAD + b"Content-Length: 64\r\n\r\n" + b"a" * 8))
    respondent.parse()
    respondent.msg.extend(b"b" * 56)
    with memoryview(respondent.body), pytest.raises(BufferError):
        respondent.parse()
    assert respondent.msg == b"b" * 56
    respondent.parse()
    assert (respondent.ended, respondent.body) == (True, b"a" * 8 + b"b" * 56)


def test_errors_are_of_hios_classes() -> None:
    """Present except clauses go on working: hio's classes, and ValueError where hio raised it."""
    for octets, kinds in [
        (b"ICY 200\r\n", (httping.BadStatusLine,)),
        (b"HTTP/2.0 200\r\n\r\n", (httping.UnknownProtocol,)),
        (HEAD + b"A" * 70_000, (httping.LineTooLong,)),
        (HEAD + b"nocolon\r\n\r\n", (ValueError,)),
        (HEAD + b"Content-Length: x\r\n\r\n", (ValueError,)),
        (CHUNKED + b"x\r\n", (ValueError,)),
    ]:
        respondent = Respondent(msg=bytearray(octets))
        respondent.parse()
        assert isinstance(respondent.fault, (*kinds, httping.HTTPException))
        for kind in kinds:
            assert isinstance(respondent.fault, kind)
        assert json.dumps(respondent.error) == json.dumps(str(respondent.fault))


def test_respondent_that_is_dropped_is_gone() -> None:
    """It is in no reference cycle, so that memory does not wait for the collector."""
    gc.disable()
    try:
        respondent = Respondent(msg=bytearray(HEAD + b"Content-Length: 2\r\n\r\nok"))
        respondent.parse()
        respondent.makeParser()
        gone = weakref.ref(respondent)
        del respondent
        assert gone() is None
    finally:
        gc.enable()


def test_generator_is_one_until_the_message_ends() -> None:
    respondent = Respondent(msg=bytearray(HEAD + b"Content-Length: 2\r\n\r\n"))
    parser = respondent.parser
    assert parser is respondent.parser is not None
    respondent.makeParser()
    assert respondent.parser is parser  # nobody has driven it
    respondent.parse()
    respondent.msg.extend(b"ok")
    respondent.parse()
    assert (respondent.ended, respondent.parser, respondent.body) == (True, None, b"ok")
    respondent.makeParser()
    assert respondent.parser is not parser
    respondent.msg.extend(HEAD + b"Content-Length: 2\r\n\r\no")
    parser = respondent.parser
    assert parser is not None
    assert next(parser) is None  # by hand
    respondent.msg.extend(b"h")
    respondent.parse()
    assert (respondent.ended, respondent.parser, respondent.body) == (True, None, b"oh")


def test_a_head_is_told_of_a_body_that_is_too_large() -> None:
    """By `parse` and by hand: the fault is met when the head is complete."""
    octets = HEAD + b"Content-Length: 9\r\nX-Y: z\r\n\r\n123456789"
    one, other = (Respondent(msg=bytearray(octets), limits=Limits(body=5)) for _ in range(2))
    one.parse()
    assert other.parser is not None
    assert next(other.parser) is True
    for respondent in (one, other):
        assert (respondent.headed, respondent.bodied, respondent.ended) == (True, False, True)
        assert isinstance(respondent.fault, LimitError)
        assert respondent.headers["x-y"] == "z"
        assert respondent.length == 9
        assert respondent.msg == b"123456789"


def test_nothing_is_shared_between_respondents() -> None:
    one, other = Respondent(), Respondent()
    assert vars(one).keys() >= vars(httping.Parsent()).keys() - {"parser"}
    shared = {name for name in vars(one) if getattr(one, name) is getattr(other, name)}
    assert not [name for name in shared if hasattr(getattr(one, name), "copy")]


def test_vars_tells_of_all_attributes() -> None:
    respondent = Respondent(method="HEAD")
    respondent.colour = "red"
    assert vars(respondent)["method"] == "HEAD"
    assert vars(respondent)["colour"] == "red"
    vars(respondent)["method"] = "GET"
    assert respondent.method == "HEAD"  # a copy: hio: D99
    del respondent.data
    assert "data" not in vars(respondent)
    assert {"data", "method", "colour"} - set(dir(respondent)) == set()
    twin = copy.copy(respondent)
    assert (twin.method, twin.engine) == ("HEAD", respondent.engine)


def test_attributes_of_a_subclass_that_begins_before_are_kept() -> None:
    class Own(Respondent):
        def __init__(self, **kwa: Any) -> None:
            self.mine = [1]
            super().__init__(**kwa)

    assert Own().mine == [1]
    with pytest.raises(TypeError, match="'colour'"):
        Respondent(colour="red")

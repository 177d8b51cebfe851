"""Respondent driven by hand, as programs drive hio's, and what it reads out of a head."""

from __future__ import annotations

from typing import Any

import pytest

from fasthio import responding
from fasthio.errors import ParseError
from fasthio.responding import Respondent
from heads import HEAD, octets_of

pytestmark = pytest.mark.usefixtures("respondents")  # each test on each engine


# by hand ---------------------------------------------------------------------


def test_parse_message_by_hand() -> None:
    """parseMessage() yields None while waiting and True when done."""
    respondent = Respondent(msg=bytearray())
    steps = respondent.parseMessage()
    yields = []
    for octet in octets_of(HEAD + b"Content-Length: 2\r\n\r\nhi"):
        respondent.msg.extend(octet)
        yields.append(next(steps))
    assert yields[-1] is True
    assert set(yields[:-1]) == {None}
    assert (respondent.ended, respondent.body) == (True, b"hi")
    with pytest.raises(StopIteration):
        next(steps)


def test_parse_message_by_hand_waits_and_fails() -> None:
    """By hand as by parse(): nothing begins without octets, and a fault is recorded."""
    respondent = Respondent(msg=bytearray())
    steps = respondent.parseMessage()
    assert [next(steps), next(steps)] == [None, None]
    assert not respondent.started
    respondent.msg.extend(b"HTTP/1.1 200 OK\r\nnocolon")
    assert next(steps) is None
    assert respondent.started
    respondent.msg.extend(b"\r\n")
    assert next(steps) is True
    assert (respondent.ended, respondent.errored, respondent.error.code) == (  # type: ignore[union-attr]
        True, True, "no-colon",
    )  # fmt: skip
    closed = Respondent(msg=bytearray())
    closed.close()
    assert next(closed.parseMessage()) is True
    assert closed.error.code == "closed-before-start"  # type: ignore[union-attr]


def test_a_generator_of_the_program_is_closed() -> None:
    """makeParser() closes a generator that a program put into `parser`."""
    respondent = Respondent(msg=bytearray())
    ended = []

    def other() -> Any:
        try:
            yield None
            yield True
        finally:
            ended.append(True)

    respondent.parser = other()
    respondent.parse()
    respondent.makeParser()
    assert ended == [True]
    respondent.msg.extend(HEAD + b"Content-Length: 0\r\n\r\n")
    respondent.parse()
    assert respondent.ended


def test_redirectant_is_of_the_present_response() -> None:
    """The response after a redirect is none, unless it says so itself."""
    respondent = Respondent(msg=bytearray(b"HTTP/1.1 302 X\r\nContent-Length: 0\r\n\r\n" + HEAD
                                          + b"Content-Length: 0\r\n\r\n"))  # fmt: skip
    respondent.parse()
    assert respondent.redirectant is True
    respondent.reinit()
    respondent.makeParser()
    respondent.parse()
    assert respondent.redirectant is False


def test_head_and_body_by_hand() -> None:
    """parseHead() and parseBody() are steps of their own, and raise what is wrong."""
    respondent = Respondent(msg=bytearray())
    head = respondent.parseHead()
    for octet in octets_of(HEAD + b"Content-Length: 2\r\n\r\n")[:-1]:
        respondent.msg.extend(octet)
        assert next(head) is None
    respondent.msg.extend(b"\nh")
    assert next(head) is True
    assert (respondent.headed, respondent.length, respondent.msg) == (True, 2, b"h")
    assert list(respondent.parseHead()) == []
    body = respondent.parseBody()
    assert next(body) is None
    respondent.msg.extend(b"i!")
    assert next(body) is True
    assert (respondent.body, respondent.msg, respondent.bodied) == (b"hi", b"!", True)
    assert list(respondent.parseBody()) == []
    with pytest.raises(ParseError):
        next(Respondent(msg=bytearray(b"nonsense")).parseHead())


@pytest.mark.parametrize(
    ("chunked", "length", "octets", "closed", "body", "rest"),
    [(True, None, b"5;a=b\r\nhello\r\n0\r\nT: u\r\n\r\nrest", False, b"hello", b"rest"),
     (False, 5, b"hello!", False, b"hello", b"!"),
     (None, 5, b"hello!", False, b"hello", b"!"),
     (False, 0, b"x", False, b"", b"x"),
     (False, None, b"hello", True, b"hello", b"")],
)  # fmt: skip
def test_body_with_attributes_assigned(
    chunked: bool | None, length: int | None, octets: bytes, closed: bool, body: bytes, rest: bytes
) -> None:
    """A bare Respondent with attributes assigned parses a body: next(resp.parseBody())."""
    respondent = Respondent()
    respondent.msg = bytearray(octets)
    respondent.chunked = chunked
    respondent.length = length
    respondent.closed = closed
    assert next(respondent.parseBody()) is True
    assert (respondent.body, respondent.msg, respondent.length) == (body, rest, len(body))
    if chunked:
        assert (respondent.parms or respondent.engine.extensions) == {"a": "b"}
        assert list(respondent.trails.items()) == [("T", "u")]


def test_event_body_with_attributes_assigned() -> None:
    """An event source assigned by hand is fed, as programs do it."""
    respondent = Respondent()
    respondent.chunked = True
    respondent.evented = True
    respondent.eventSource = responding.EventSource(raw=respondent.body, events=respondent.events)
    respondent.msg.extend(b"b\r\ndata: hey\n\n\r\n")
    body = respondent.parseBody()
    assert next(body) is None
    assert [event["data"] for event in respondent.events] == ["hey"]
    respondent.msg.extend(b"8\r\ndata: b\n\r\n1\r\n\n\r\n0\r\n\r\n")
    assert next(body) is True
    assert [event["data"] for event in respondent.events] == ["hey", "b"]


def test_negative_length_by_hand() -> None:
    """A negative length assigned by hand is a ValueError, as in hio."""
    respondent = Respondent()
    respondent.length = -1
    with pytest.raises(ValueError, match="length"):
        next(respondent.parseBody())


def test_subclass_generators_are_driven() -> None:
    """A subclass that overrides a generator has it called by parse()."""
    seen = []

    class Mine(Respondent):
        def parseHead(self) -> Any:
            seen.append("head")
            yield from super().parseHead()

        def checkPersisted(self) -> None:
            seen.append("persisted")
            super().checkPersisted()

    respondent = Mine(msg=bytearray(HEAD + b"Content-Length: 2\r\n\r\nhi"))
    for _ in range(5):
        respondent.parse()
    assert (respondent.ended, respondent.body) == (True, b"hi")
    assert sorted(seen) == ["head", "persisted"]


def test_parser_assigned_by_hand() -> None:
    """Another generator in `parser` is driven by parse() as hio drives it."""
    respondent = Respondent(msg=bytearray())

    def other() -> Any:
        yield None
        yield True

    respondent.parser = other()
    respondent.parse()
    assert respondent.parser is not None
    respondent.parse()
    assert respondent.parser is None


# what hio reads out of the head ----------------------------------------------


@pytest.mark.parametrize(
    ("octets", "persisted"),
    [(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
     (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", False),
     (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, CLOSE\r\n\r\n", False),
     (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x\r\nConnection: close\r\n\r\n", False),
     (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: enclosed\r\n\r\n", True),
     (b"HTTP/1.1 200 OK\r\n\r\n", False),
     (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", True),
     (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
     (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n", True),
     (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nKeep-Alive: timeout=5\r\n\r\n", True),
     (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nProxy-Connection: keep-alive\r\n\r\n", True),
     (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive, close\r\n\r\n", False),
     (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nKeep-Alive: timeout=5\r\n"
      b"Connection: close\r\n\r\n", False)],
)  # fmt: skip
def test_persisted(octets: bytes, persisted: bool) -> None:
    """May the connection stay open (RFC 9112 9.3)."""
    respondent = Respondent(msg=bytearray(octets))
    respondent.parse()
    assert respondent.persisted is persisted


@pytest.mark.parametrize(
    ("head", "body", "reusable"),
    [(b"Content-Length: 1\r\n", b"x", True),
     (b"Content-Length: 1\r\nConnection: close\r\n", b"x", False),
     (b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", True),
     (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n", False),
     (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n", False)],
)  # fmt: skip
def test_reusable(head: bytes, body: bytes, reusable: bool) -> None:
    """May the connection carry another exchange; never where the framing fields conflict."""
    respondent = Respondent(msg=bytearray(HEAD + head + b"\r\n" + body))
    respondent.parse()
    assert respondent.ended
    assert respondent.reusable is reusable


@pytest.mark.parametrize(
    ("content_type", "jsoned", "evented", "encoding"),
    [(b"application/json", True, False, "ISO-8859-1"),
     (b"APPLICATION/JSON; charset=UTF-8", True, False, "UTF-8"),
     (b'text/plain; a=b; charset="utf-8"', False, False, "utf-8"),
     (b"text/event-stream", False, True, "ISO-8859-1"),
     (b"text/plain", False, False, "ISO-8859-1")],
)  # fmt: skip
def test_media_type(content_type: bytes, jsoned: bool, evented: bool, encoding: str) -> None:
    """What Content-Type says; the charset is that of the parameter: D29."""
    respondent = Respondent(msg=bytearray(HEAD + b"Content-Length: 0\r\nContent-Type: "
                                          + content_type + b"\r\n\r\n"))  # fmt: skip
    respondent.parse()
    assert (respondent.jsoned, respondent.evented, respondent.encoding) == (
        jsoned, evented, encoding,
    )  # fmt: skip


@pytest.mark.parametrize("status", [200, 300, 301, 302, 303, 304, 305, 306, 307, 308, 404])
def test_redirectant(status: int) -> None:
    """A redirect is known by its status; 308 is one: D26."""
    respondent = Respondent(msg=bytearray(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status))
    respondent.parse()
    assert bool(respondent.redirectant) is (status in (300, 301, 302, 303, 307, 308))


@pytest.mark.parametrize(
    ("body", "data"),
    [(b'{"a": 1}', {"a": 1}), (b"[1, 2]", [1, 2]), (b"null", None), (b"{", None), (b"", None),
     (b"\xff", None), (b"[" * 100_000, None), (b'"\xc3\xa9"', "\u00e9")],
)  # fmt: skip
def test_dictify(body: bytes, data: Any) -> None:
    """JSON is decoded where its type or dictable asks; what is none is None: D28."""
    for head, dictable in ((b"Content-Type: application/json\r\n", False), (b"", True)):
        respondent = Respondent(
            msg=bytearray(HEAD + head + b"Content-Length: %d\r\n\r\n" % len(body) + body),
            dictable=dictable,
        )
        respondent.parse()
        respondent.dictify()
        assert respondent.data == data
    plain = Respondent(msg=bytearray(HEAD + b"Content-Length: 2\r\n\r\n{}"))
    plain.parse()
    plain.dictify()
    assert plain.data is None

"""An event stream that is asked for again: when, with what, where, and by the program itself."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hio.base import tyming

from fasthio.clienting import Client, Respondent
from fasthio.streaming import Stream
from servers import CLOSE, OK, RESET, SILENT, Loop, Request, Server, Wait, fields_of
from streams import HEAD, data_of, framed, state_of

pytestmark = pytest.mark.usefixtures("respondents")  # each test on each engine


# when it is asked for again


def test_d90_retry_is_waited_from_the_drop_on() -> None:
    first = HEAD + b"\r\nretry: 1000\nid: 1\ndata: a\n\n"
    with (
        Server([Request(), first, Wait(2), CLOSE], [Request(), SILENT]) as server,
        Loop(server, tock=0.125) as loop,
    ):
        # hio: nothing is ever asked for again where tymeout is 0
        client = loop.client(Client, server, reconnectable=True, tymeout=0.0)
        client.request()
        loop.run(client, until=lambda: state_of(client) == "waiting", rounds=30)
        dropped = loop.tymist.tyme - loop.tymist.tock
        assert client.stream.delay == 1.0
        assert client.connector.tymer.duration == 1.0
        assert client.streaming
        loop.run(client, until=lambda: client.stream.state == "asking", rounds=30)
        assert loop.tymist.tyme - loop.tymist.tock - dropped == 1.0
        loop.run(client, until=lambda: len(server.requests) == 2, rounds=30)


def test_d90_failures_double_the_wait_up_to_a_cap() -> None:
    """Refusals, silent closes and broken heads count; an event stream ends the count."""
    stream = HEAD + b"\r\nretry: 500\nid: 1\ndata: a\n\n"
    scripts = [
        [Request(), stream, Wait(2), CLOSE],
        [Request(), CLOSE],
        [Request(), b"HTTP/1.1 20", CLOSE],
        [Request(), b"HTTP/1.1 200 OK\r\nContent-Type: te", RESET],
        [Request(), stream, Wait(2), CLOSE],
        [Request(), SILENT],
    ]
    with Server(*scripts) as server, Loop(server, tock=0.0625) as loop:
        client = loop.client(Client, server, reconnectable=True)
        client.RetryCap = 3.0
        client.request()
        waits: list[tuple[int, float]] = []
        for _ in range(400):
            before = client.stream.state if client.stream else None
            loop.round(client)
            if client.stream and client.stream.state == "waiting" != before:
                waits.append((client.stream.failures, client.stream.delay))
            if len(server.requests) == 6:
                break
        assert waits == [(0, 0.5), (1, 1.0), (2, 2.0), (3, 3.0), (0, 0.5)]
        assert data_of(client) == ["a", "a"]
        assert client.stream.responses == 2
        assert client.stream.reason is None
        assert not client.responses


def test_d90_refused_connects_are_paced() -> None:
    stream = HEAD + b"\r\nretry: 0\nid: 1\ndata: a\n\n"
    with Server([Request(), stream, CLOSE]) as server, Loop(server, tock=0.0625) as loop:
        client = loop.client(Client, server, reconnectable=True)
        client.request()
        loop.run(client, until=lambda: client.events, rounds=30)
        port = server.port
        server.ss.close()  # nobody listens any more
        server.listening = False
        waits: list[float] = []
        for _ in range(300):
            failures = client.stream.failures
            loop.round(client)
            if client.stream.failures != failures:
                waits.append(client.stream.delay)
            if len(waits) == 5:
                break
        # from 100 ms on where the server asks for less
        assert waits == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2])
        assert client.stream.reason.code == "refused"
        assert isinstance(client.stream.reason.exception, ConnectionError)
        with Server([Request(), SILENT]) as other:
            client.connector.ha = ("127.0.0.1", other.port)
            assert other.port != port
            loop.servers[:] = [other]
            loop.run(client, until=lambda: other.requests, rounds=100)
            assert fields_of(other.requests[0])["last-event-id"] == "1"
            other.close()


def test_backoff_never_overflows() -> None:
    stream = Stream()
    for _ in range(3000):
        assert stream.wait(10**290, 60.0, None) >= 60.0
    stream.open(Respondent())
    assert stream.wait(250, 60.0, None) == 0.25
    for _ in range(3000):
        last = stream.wait(250, 60.0, None)
    assert last == 60.0
    assert "failures=3000" in repr(stream)


def test_wound_while_it_waits() -> None:
    """Another tymist: the wait goes on by its tyme."""
    stream = HEAD + b"\r\nretry: 1000\nid: 1\ndata: a\n\n"
    with (
        Server([Request(), stream, CLOSE], [Request(), stream, SILENT]) as server,
        Loop(server, tock=0.25) as loop,
    ):
        client = loop.client(Client, server, reconnectable=True, idle=50.0)
        client.request()
        loop.run(client, until=lambda: state_of(client) == "waiting", rounds=30)
        other = tyming.Tymist(tyme=1000.0, tock=0.25)
        client.wind(other.tymen())
        for _ in range(40):
            loop.round(client)
            other.tick()
        assert data_of(client) == ["a", "a"]


# what is asked


def test_d93_last_event_id_is_of_a_dispatched_event() -> None:
    first = HEAD + b"\r\nid: 7\ndata: a\n\nid: 8\n\nid: 9\ndata: cut"
    with (
        Server([Request(), first, CLOSE], [Request(), SILENT]) as server,
        Loop(server) as loop,
    ):
        client = loop.client(Client, server, reconnectable=True)
        client.request(headers={"Accept": "text/event-stream"})
        loop.run(client, until=lambda: len(server.requests) == 2, rounds=60)
        assert client.respondent.leid == "8"  # an id alone that a blank line has ended
        head, again = server.requests
        assert again == head[:-2] + b"Last-Event-Id: 8\r\n\r\n"  # hio's octets, at the end


@pytest.mark.parametrize(
    ("ident", "sent"),
    [
        ("é", "é".encode()),
        ("日本", "日本".encode()),
        (" 5 ", b" 5 "),
        ("a b", b"a b"),
        ("x" * 9000, b"x" * 9000),
    ],
)
def test_d93_id_is_sent_in_utf8(ident: str, sent: bytes) -> None:
    """hio: UnicodeEncodeError out of service()."""
    first = HEAD + b"\r\nid: %b\ndata: a\n\n" % ident.encode()
    with (
        Server([Request(), first, CLOSE], [Request(), SILENT]) as server,
        Loop(server) as loop,
    ):
        client = loop.client(Client, server, reconnectable=True)
        client.request()
        loop.run(client, until=lambda: len(server.requests) == 2, rounds=60)
        assert client.events[0]["id"] == ident
        assert b"\r\nLast-Event-Id: " + sent + b"\r\n" in server.requests[1]


def test_d93_empty_id_is_not_sent() -> None:
    scripts = [
        [Request(), HEAD + b"\r\nid: 1\ndata: a\n\n", CLOSE],
        [Request(), HEAD + b"\r\nid\ndata: b\n\n", CLOSE],
        [Request(), SILENT],
    ]
    with Server(*scripts) as server, Loop(server) as loop:
        client = loop.client(Client, server, reconnectable=True)
        client.request(headers={"Last-Event-ID": "0"})
        loop.run(client, until=lambda: len(server.requests) == 3, rounds=100)
        sent = [fields_of(request).get("last-event-id") for request in server.requests]
        assert sent == ["0", "1", None]
        assert [event["id"] for event in client.events] == ["1", ""]


def test_d93_id_that_no_field_may_hold_ends_the_stream() -> None:
    with (
        Server([Request(), HEAD + b"\r\nid: \x01\ndata: a\n\n", CLOSE], [Request(), OK]) as server,
        Loop(server) as loop,
    ):
        client = loop.client(Client, server, reconnectable=True)
        client.request(reply=1)
        client.request(reply=2)
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=100)
        first, second = client.responses
        assert first["error"].code == "bad-request"
        assert first["evented"]
        assert (second["body"], second["request"]["reply"]) == (b"ok", 2)
        assert "last-event-id" not in fields_of(server.requests[1])


def test_d93_id_given_by_the_program_is_sent_until_there_is_another() -> None:
    scripts = [
        [Request(), HEAD + b"\r\ndata: a\n\n", CLOSE],
        [Request(), HEAD + b"\r\nid: 6\ndata: b\n\n", CLOSE],
        [Request(), b"HTTP/1.1 204 No Content\r\n\r\n"],
    ]
    with Server(*scripts) as server, Loop(server) as loop:
        client = loop.client(Client, server, reconnectable=True)
        client.request(headers={"Last-Event-ID": "5"})
        client.request(path="/other")  # described by the requester as it is now
        loop.run(client, until=lambda: len(client.events) == 2, rounds=100)
        client.request(path="/late")
        loop.run(client, until=lambda: client.responses, rounds=100)
        sent = [fields_of(request).get("last-event-id") for request in server.requests]
        assert sent == ["5", "5", "6"]
        assert [event["id"] for event in client.events] == [None, "6"]
        assert client.responses[0]["request"]["headers"]["Last-Event-ID"] == "6"
        # what is queued later bears what the program said, not the id of the stream
        assert client.requester.headers["Last-Event-ID"] == "5"
        assert client.requests[-1]["headers"]["Last-Event-ID"] == "5"


def test_d94_no_stream_has_the_id_of_another() -> None:
    """hio: the id of the first stream goes out for the second."""
    scripts = [
        [Request(), HEAD + b"\r\nid: 1\ndata: a\n\n", CLOSE],
        [
            Request(),
            b"HTTP/1.1 204 No Content\r\n\r\n",
            Request(),
            HEAD + b"\r\ndata: b\n\n",
            CLOSE,
        ],
        [Request(), SILENT],
    ]
    with Server(*scripts) as server, Loop(server) as loop:
        client = loop.client(Client, server, reconnectable=True)
        client.request(path="/a")
        loop.run(client, until=lambda: client.responses, rounds=100)
        assert client.respondent.leid == "1"  # to be read until the next request
        client.request(path="/b")
        loop.run(client, until=lambda: len(server.requests) == 4, rounds=100)
        assert [event["id"] for event in client.events] == ["1", None]
        for request in server.requests[2:]:
            assert "last-event-id" not in fields_of(request)
        assert client.respondent.leid is None


def test_post_stream_is_asked_for_again_with_its_body() -> None:
    """As in hio: a mailbox is asked for with POST."""
    with (
        Server([Request(), HEAD + b"\r\nid: 1\ndata: a\n\n", CLOSE], [Request(), SILENT]) as server,
        Loop(server) as loop,
    ):
        client = loop.client(Client, server, reconnectable=True)
        client.request(method="POST", path="/mbx", data={"q": 1}, qargs={"k": "v"})
        loop.run(client, until=lambda: len(server.requests) == 2, rounds=60)
        first, second = server.requests
        assert second.replace(b"Last-Event-Id: 1\r\n", b"") == first
        assert first.endswith(b'{"q":1}')
        assert first.startswith(b"POST /mbx?k=v ")


# redirects


@pytest.mark.parametrize("elsewhere", [False, True])
def test_redirects_are_followed_at_each_connection(elsewhere: bool) -> None:
    """And each has its own count; a stream lives on where they lead."""
    part = [HEAD + b"\r\nid: %d\ndata: %d\n\n" % (i, i) for i in range(3)]
    with Server() as second, Server() as server, Loop(server, second) as loop:
        away = f"http://localhost:{second.port}/away" if elsewhere else "/there"
        moved = f"HTTP/1.1 302 Found\r\nLocation: {away}\r\nContent-Length: 0\r\n\r\n".encode()
        end = b"HTTP/1.1 204 No Content\r\n\r\n"
        if elsewhere:
            server.pick = lambda number: [Request(), moved]
            second.pick = lambda number: [
                [Request(), part[0], CLOSE],
                [Request(), b"HTTP/1.1 307 T\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
                 Request(), part[1], CLOSE],
                [Request(), end],
            ][number]  # fmt: skip
        else:
            server.pick = lambda number: [
                [Request(), moved, Request(), part[0], CLOSE],
                [Request(), moved, Request(), part[1], CLOSE],
                [Request(), end],
            ][number]
        client = loop.client(Client, server, reconnectable=True, maxRedirects=1)
        client.request(headers={"Authorization": "secret"})
        loop.run(client, until=lambda: client.responses, rounds=200)
        (response,) = client.responses
        assert response["status"] == 204
        assert not response["errored"]
        assert data_of(client) == ["0", "1"]
        last = (second if elsewhere else server).requests[-1]
        assert fields_of(last)["last-event-id"] == "1"
        assert "Last-Event-ID" not in client.requester.headers
        if elsewhere:
            assert "authorization" not in fields_of(last)
            assert client.requester.port == server.port


# the program's own hand on the connection


@pytest.mark.parametrize("reconnectable", [False, True])
@pytest.mark.parametrize("by", ["client", "connector"])
@pytest.mark.parametrize("when", ["open", "waiting"])
def test_d96_reopened_by_the_program(reconnectable: bool, by: str, when: str) -> None:
    """The stream is taken up at once; no event comes twice."""
    if when == "waiting" and not reconnectable:
        return  # it does not wait
    first = framed(b"retry: 60000\nid: 1\ndata: a\n\ndata: par", "chunked-3", last=False)
    with (
        Server(
            [Request(), first, SILENT if when == "open" else CLOSE],
            [Request(), HEAD + b"\r\nid: 2\ndata: b\n\n", SILENT],
        ) as server,
        Loop(server) as loop,
    ):
        client = loop.client(Client, server, reconnectable=reconnectable)
        client.request()
        loop.run(client, until=lambda: state_of(client) == when, rounds=60)
        loop.rounds(3, client)
        (client if by == "client" else client.connector).reopen()
        loop.run(client, until=lambda: len(client.events) == 2, rounds=60)
        assert data_of(client) == ["a", "b"]
        assert fields_of(server.requests[1])["last-event-id"] == "1"
        assert client.stream.responses == 2
        assert not client.responses


def test_events_queue_is_kept_across_connections() -> None:
    """The deque is the program's own and the same at each connection; dictable too."""
    events: deque[dict[str, Any]] = deque()
    scripts = [
        [Request(), HEAD + b'\r\nid: 1\ndata: {"a": 1}\n\n', CLOSE],
        [Request(), HEAD + b'\r\nid: 2\ndata: {"a": 2}\n\n', SILENT],
    ]
    with Server(*scripts) as server, Loop(server) as loop:
        client = loop.client(Client, server, reconnectable=True, events=events, dictable=True)
        client.request()
        loop.run(client, until=lambda: len(events) == 2, rounds=60)
        assert client.events is client.respondent.events is events
        assert data_of(client) == [{"a": 1}, {"a": 2}]

"""How an event stream ends: by its server, by the program, by a limit on time."""

from __future__ import annotations

from typing import Any

import pytest

from fasthio.clienting import Client
from fasthio.errors import ExchangeTimeoutError, StreamEndedError
from fasthio.grammar import Limits
from fasthio.streaming import check_idle
from servers import CLOSE, OK, RESET, SILENT, Drip, Loop, Request, Server, Wait, answer, fields_of
from streams import HEAD, data_of, framed

pytestmark = pytest.mark.usefixtures("respondents")  # each test on each engine


# how it ends


@pytest.mark.parametrize(
    ("reply", "code", "body"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", None, b""),
        (answer(b"gone", status=404), "stream-status", b"gone"),
        (answer(b"busy", status=503, Content_Type="text/plain"), "stream-status", b"busy"),
        (answer(b"{}", Content_Type="application/json"), "stream-type", b"{}"),
        (answer(b"hello"), "stream-type", b"hello"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\nuntil close", "stream-type", None),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\ncut", "stream-status", None),
        (b"HTTP/1.1 300 Choose\r\nContent-Length: 0\r\n\r\n", "stream-status", b""),
        (answer(b"", status=302, Location="ftp://x/"), "redirect-scheme", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "bad-length", b""),
    ],
)  # fmt: skip
def test_d91_response_that_ends_it(reply: bytes, code: str | None, body: bytes | None) -> None:
    """One response with its status, its body and the reason; then the queue goes on."""
    with (
        Server(
            [Request(), HEAD + b"\r\nid: 1\ndata: a\n\n", CLOSE],
            [Request(), reply, Wait(2), CLOSE],
            [Request(), OK],
        ) as server,
        Loop(server) as loop,
    ):
        client = loop.client(Client, server, reconnectable=True)
        client.request(reply="stream")
        client.request(reply="next")
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=100)
        first, second = client.responses
        assert first["request"]["reply"] == "stream"
        assert first["evented"] is True
        assert first["errored"] is (code is not None)
        assert getattr(first["error"], "code", None) == code
        assert first["status"] == int(reply[9:12])
        if body is not None:
            assert first["body"] == body
        if code and code.startswith("stream"):
            assert isinstance(first["error"].exception, StreamEndedError)
        assert client.stream.reason == first["error"]
        assert client.stream.state == "ended"
        assert not client.streaming
        assert (second["request"]["reply"], second["body"]) == ("next", b"ok")
        assert "evented" not in second
        assert data_of(client) == ["a"]  # undisturbed


@pytest.mark.parametrize("reconnectable", [True, False])
@pytest.mark.parametrize("method", ["HEAD", "CONNECT"])
def test_response_without_a_body_is_no_stream(method: str, reconnectable: bool) -> None:
    """HEAD is answered as GET would be: asked for again as a stream it would never end."""
    with Server([Request(), HEAD + b"\r\n", CLOSE]) as server, Loop(server) as loop:
        client = loop.client(Client, server, reconnectable=reconnectable)
        client.request(method=method)
        loop.run(client, until=lambda: client.responses, rounds=50)
        loop.rounds(20, client)
        (response,) = client.responses
        assert response["status"] == 200
        assert not response["errored"]
        assert "evented" not in response
        assert client.stream is None
        assert not client.streaming
        assert len(server.requests) == 1


def test_d91_first_response_is_what_it_is() -> None:
    """Without a stream before, another status or type is an ordinary response."""
    replies = answer(b"{}", Content_Type="application/json") + answer(status=404)
    with Server([Request(), Request(), replies]) as server, Loop(server) as loop:
        client = loop.client(Client, server, reconnectable=True)
        client.request(headers={"Accept": "text/event-stream"})
        loop.rounds(3, client)
        assert client.stream is None
        assert not client.streaming


@pytest.mark.parametrize("framing", ["chunked-4", "fixed", "close"])
def test_d69_end_without_reconnectable(framing: str) -> None:
    with (
        Server([Request(), framed(b"data: a\n\ndata: b", framing), Wait(1), CLOSE]) as server,
        Loop(server) as loop,
    ):
        client = loop.client(Client, server)
        client.request(reply=1)
        states = set()
        for _ in range(20):
            loop.round(client)
            states.add(client.streaming)
        (response,) = client.responses
        assert states >= {False}
        assert response["evented"] is True
        assert not response["errored"]
        assert response["request"]["reply"] == 1
        assert client.respond().body == b""
        assert data_of(client) == ["a"]
        assert len(server.requests) == 1
        assert client.stream.responses == 1


@pytest.mark.parametrize(
    ("octets", "how", "code"),
    [
        (framed(b"data: a\n\ndata: b\n\n", "chunked-4")[:-9], CLOSE, "closed-in-chunk"),
        (framed(b"data: a\n\ndata: b\n\n", "fixed")[:-2], CLOSE, "closed-in-body"),
        (framed(b"data: a\n\n", "close"), RESET, "reset"),
        (framed(b"data: a\n\n", "chunked-9")[:-5] + b"x\r\n", SILENT, "bad-chunk-size"),
        (framed(b"data: a\n\ndata: " + b"b" * 99 + b"\n\n", "close"), SILENT, "event-too-large"),
    ],
)
@pytest.mark.parametrize("reconnectable", [False, True])
def test_d69_end_that_is_an_error(octets: bytes, how: str, code: str, reconnectable: bool) -> None:
    """Limits and malformed chunks end any stream, drops those that may not go on."""
    script = [Request(), octets, Wait(2), how]
    with Server(script, [Request(), SILENT]) as server, Loop(server) as loop:
        client = loop.client(Client, server, reconnectable=reconnectable, limits=Limits(event=50))
        client.request()
        living = reconnectable and how != SILENT
        if living:
            loop.run(client, until=lambda: len(server.requests) == 2, rounds=60)
            assert not client.responses
            assert client.stream.reason.code in ("reset", code)
        else:
            loop.run(client, until=lambda: client.responses, rounds=60)
            (response,) = client.responses
            assert response["error"].code == code
            assert response["evented"]
            assert not client.streaming
        assert data_of(client)[0] == "a"


def test_program_may_leave_a_stream() -> None:
    """By setting `waited` to False, as programs of hio do."""
    stream = HEAD + b"\r\nid: 1\ndata: a\n\n"
    with Server([Request(), stream, SILENT], [Request(), OK]) as server, Loop(server) as loop:
        client = loop.client(Client, server, reconnectable=True)
        client.request()
        loop.run(client, until=lambda: client.events, rounds=60)
        assert client.streaming
        client.waited = False
        client.request(path="/next")
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert client.responses[0]["body"] == b"ok"
        assert "evented" not in client.responses[0]
        assert not client.streaming
        assert "last-event-id" not in fields_of(server.requests[1])


# time limits


def test_d95_comments_keep_it_alive_silence_does_not() -> None:
    beats: list[Any] = [Request(), HEAD + b"\r\nid: 1\ndata: a\n\n"]
    for _ in range(6):
        beats += [Wait(6), b":\n"]
    with Server([*beats, SILENT], [Request(), SILENT]) as server, Loop(server, tock=0.1) as loop:
        client = loop.client(Client, server, reconnectable=True, idle=1.0)
        client.request()
        loop.run(client, until=lambda: client.events, rounds=10)
        loop.rounds(18, client)
        assert client.stream.state == "open"
        assert client.stream.drops == 0
        loop.run(client, until=lambda: client.stream.drops, rounds=40)
        assert client.stream.reason.code == "timeout-idle"
        assert isinstance(client.stream.reason.exception, ExchangeTimeoutError)
        loop.run(client, until=lambda: len(server.requests) == 2, rounds=40)
        # it holds for the answer to the next request, too
        loop.run(client, until=lambda: client.stream.failures, rounds=40)
        loop.run(client, until=lambda: len(server.requests) == 3, rounds=40)
        assert not client.responses


def test_d95_idle_without_reconnectable_is_an_error() -> None:
    with (
        Server([Request(), framed(b"id: 1\ndata: a\n\ndata: b", "chunked-4", last=False), SILENT],
               [Request(), OK]) as server,
        Loop(server, tock=0.1) as loop,
    ):  # fmt: skip
        client = loop.client(Client, server, idle=1.0)
        client.request(reply=1)
        client.request(reply=2)
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=60)
        first, second = client.responses
        assert first["error"].code == "timeout-idle"
        assert (first["status"], first["body"], first["evented"]) == (200, b"", True)
        assert second["body"] == b"ok"


def test_d95_idle_is_for_event_streams_alone() -> None:
    script = [Request(), Wait(30), b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", Wait(30), b"x"]
    with Server(script) as server, Loop(server, tock=0.1) as loop:
        client = loop.client(Client, server, idle=1.0)
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=100)
        assert client.responses[0]["body"] == b"x"


def test_d95_drip_is_not_silence() -> None:
    script = [Request(), Drip(framed(b"data: " + b"x" * 50 + b"\n\n", "chunked-5"), 1)]
    with Server(script) as server, Loop(server, tock=0.25) as loop:
        client = loop.client(Client, server, idle=1.0)
        client.request()
        loop.run(client, until=lambda: client.events, rounds=400)
        assert data_of(client) == ["x" * 50]


@pytest.mark.parametrize("idle", [0, -1, float("inf"), float("nan"), True, "5"])
def test_idle_is_checked(idle: Any) -> None:
    with pytest.raises(ValueError, match="idle"):
        Client(idle=idle)


def test_idle_needs_our_respondent() -> None:
    from hio.core.http import clienting

    assert check_idle(2) == 2.0
    theirs = clienting._hio.Respondent if hasattr(clienting, "_hio") else clienting.Respondent
    with pytest.raises(ValueError, match="respondent"):
        Client(idle=1.0, respondent=theirs())


@pytest.mark.parametrize("limit", ["connect", "first"])
def test_limits_on_an_attempt_are_a_failure_not_the_end(limit: str) -> None:
    first = HEAD + b"\r\nid: 1\ndata: a\n\n"
    scripts = [
        [Request(), first, CLOSE],
        [Request(), SILENT],
        [Request(), HEAD + b"\r\nid: 2\ndata: b\n\n", SILENT],
    ]
    with Server(*scripts) as server, Loop(server, tock=0.1) as loop:
        client = loop.client(Client, server, reconnectable=True, timeout={limit: 1.0})
        if limit == "connect":
            client.connector.serviceConnect()
        client.request()
        loop.run(client, until=lambda: client.events, rounds=40)
        if limit == "connect":
            connect = client.connector.serviceConnect
            client.connector.serviceConnect = lambda: None  # as one that takes its time
            loop.run(client, until=lambda: client.stream.failures == 2, rounds=80)
            client.connector.serviceConnect = connect
            scripts_left = 2
        else:
            loop.run(client, until=lambda: client.stream.failures == 1, rounds=80)
            scripts_left = 3
        assert client.stream.reason.code == f"timeout-{limit}"
        loop.run(client, until=lambda: len(server.requests) >= scripts_left, rounds=80)
        assert not client.responses
        if limit == "first":
            loop.run(client, until=lambda: len(client.events) == 2, rounds=80)
            assert client.stream.failures == 0


def test_limit_on_the_whole_is_the_end() -> None:
    first = HEAD + b"\r\nretry: 300\nid: 1\ndata: a\n\n"
    with Server([Request(), first, CLOSE]) as server, Loop(server, tock=0.1) as loop:
        client = loop.client(Client, server, reconnectable=True, timeout=3.0)
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=60)
        (response,) = client.responses
        assert response["error"].code == "timeout-total"
        assert response["evented"]
        assert not client.streaming
        assert len(client.events) > 2

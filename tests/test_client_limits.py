"""Limits of Client on a scripted server: time, head, body, pace."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from exchanges import FIXED, check_idle, make, settled
from fasthio.connecting import Connector
from fasthio.resolving import Address
from servers import CLOSE, OK, SILENT, Drip, Loop, Request, Server, Wait, answer


@pytest.mark.parametrize(
    ("timeout", "code", "script"),
    [
        (0.5, "timeout-total", [Request(), SILENT]),
        (0.5, "timeout-total", [SILENT]),
        ({"first": 0.5}, "timeout-first", [Request(), SILENT]),
        ({"total": 0.5}, "timeout-total", [Request(), Drip(FIXED[:-1], 1)]),
        ((None, 5, 0.5), "timeout-total", [Request(), FIXED[:50]]),
    ],
)
def test_timeouts(timeout: Any, code: str, script: list[Any]) -> None:
    """D66: time limits end an exchange; its connection is not used again."""
    with Server(script, [Request(), answer(b"good")]) as server, Loop(server) as loop:
        client = make(server, loop, timeout=timeout)
        client.request(reply=1)
        client.request(reply=2)
        loop.run(client, until=lambda: settled(client, 1), rounds=200)
        assert loop.tymist.tyme >= 0.5
        first = client.responses[0]
        assert first["error"].code == code
        assert isinstance(first["error"].exception, TimeoutError)
        loop.run(client, until=lambda: settled(client, 2), rounds=200)
        assert client.responses[1]["body"] == b"good"
        assert len(server.links) == 2
        check_idle(client, loop)


def test_timeout_of_the_same_request_again() -> None:
    """D66: counted from its own beginning, whatever the tyme is."""
    with Server([Request(), answer(b"good")] * 4) as server, Loop(server) as loop:
        loop.tymist.tick(1000.0)
        client = make(server, loop, timeout=5.0)
        for count in range(1, 5):
            client.request(path="/same")
            loop.run(client, until=lambda count=count: settled(client, count), rounds=60)
        assert [each["body"] for each in client.responses] == [b"good"] * 4


def test_timeout_first_holds_for_each_response() -> None:
    """D66: also on a connection that has carried a response before."""
    with Server([Request(), OK, Request(), SILENT]) as server, Loop(server) as loop:
        client = make(server, loop, timeout={"first": 0.5})
        client.request()
        client.request()
        loop.run(client, until=lambda: settled(client, 2), rounds=200)
        assert not client.responses[0]["errored"]
        second = client.responses[1]
        assert second["error"].code == "timeout-first"
        assert (second["status"], second["body"], len(second["headers"])) == (None, b"", 0)


def test_timeout_connect_refused() -> None:
    """D66: with a limit on connecting, a refused connect becomes an error with its cause."""
    with Server([Request(), OK], listening=False) as server, Loop(server) as loop:
        client = make(server, loop, timeout={"connect": 0.3})
        client.request()
        loop.run(client, until=lambda: settled(client, 1), rounds=200)
        error = client.responses[0]["error"]
        assert error.code == "timeout-connect"
        assert "refused" in error.lower()
        server.listen()
        client.request()
        loop.run(client, until=lambda: settled(client, 2), rounds=200)
        assert not client.responses[1]["errored"]


def test_timeout_first_is_over_with_the_first_octet() -> None:
    with Server([Request(), Wait(3), Drip(FIXED, 1)]) as server, Loop(server, tock=0.05) as loop:
        client = make(server, loop, timeout={"first": 1.0})
        client.request()
        loop.run(client, until=lambda: settled(client, 1), rounds=400)
        assert loop.tymist.tyme > 1.0
        assert not client.responses[0]["errored"]


def test_endless_head_is_bounded() -> None:
    """D46: limits are looked at while octets come, not after them."""
    head = b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %b\r\n" % (n, b"y" * 900) for n in range(9999))
    with Server([Request(), head]) as server, Loop(server) as loop:
        client = make(server, loop)
        client.request()
        most = 0
        for _ in range(100):
            loop.round(client)
            most = max(most, len(client.connector.rxbs))
            if client.responses:
                break
        assert client.responses[0]["error"].code in ("too-many-fields", "head-too-large")
        assert most <= client.connector.Bound + client.connector.bs


@pytest.mark.parametrize("shape", ["fixed", "chunked", "close"])
def test_max_body(shape: str) -> None:
    """D67: maxBody bounds a body whatever its framing."""
    body = b"x" * 5000
    octets = {
        "fixed": answer(body),
        "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n" + body,
        "close": b"HTTP/1.1 200 OK\r\n\r\n" + body,
    }[shape]
    with Server([Request(), octets, Wait(2), CLOSE]) as server, Loop(server) as loop:
        client = make(server, loop, maxBody=4999)
        client.request()
        loop.run(client, until=lambda: settled(client, 1), rounds=40)
        assert client.responses[0]["error"].code == "body-too-large"
    with Server([Request(), answer(body)]) as server, Loop(server) as loop:
        client = make(server, loop, maxBody=5000)
        client.request()
        loop.run(client, until=lambda: settled(client, 1), rounds=40)
        assert client.responses[0]["body"] == body


@pytest.mark.parametrize("shape", ["fixed", "close", "chunked"])
def test_large_body(shape: str) -> None:
    body = bytes(range(256)) * 40_000
    octets = {
        "fixed": answer(body),
        "close": b"HTTP/1.1 200 OK\r\n\r\n" + body,
        "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
    }[shape]
    end = [CLOSE] if shape == "close" else []
    with Server([Request(), octets, *end]) as server, Loop(server) as loop:
        client = make(server, loop)
        client.request()
        loop.run(client, until=lambda: settled(client, 1), rounds=2000)
        assert not client.responses[0]["errored"]
        assert client.responses[0]["body"] == body


def test_pace_after_a_rest() -> None:
    """D55: reopening keeps its pace also after a long time without any."""
    with Server([Request(), OK, CLOSE], [CLOSE]) as server, Loop(server, tock=1.0) as loop:
        client = make(server, loop, reconnectable=True, tymeout=5.0)
        client.request()
        loop.run(client, until=lambda: settled(client, 1), rounds=60)
        loop.tymist.tick(3600.0)
        links = len(server.links)
        loop.rounds(20, client)
        assert len(server.links) - links <= 5


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "limit", [{"timeout": 0.5}, {"timeout": {"connect": 0.5}}, {"idle": 0.5}], ids=str
)
def test_limit_on_an_address_that_is_silent(
    limit: dict[str, Any], stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D41: whatever limit ends an attempt to connect, the next one is at the next address."""
    if (limit == {"idle": 0.5}) != stream and not isinstance(limit.get("timeout"), dict):
        return  # `idle` is for streams, and a limit on the whole ends them
    accept = Connector.accept

    def answered(self: Connector) -> bool:
        return self._address().sockaddr[0] != "127.0.0.2" and accept(self)

    monkeypatch.setattr(Connector, "accept", answered)
    event = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nretry: 1\ndata: a\n\n"
    script = [Request(), event, CLOSE] if stream else [Request(), OK]
    with Server(script) as server, Loop(server) as loop:
        client = make(server, loop, reconnectable=stream, **limit)
        near = client.connector.addresses[0]
        far = Address(socket.AF_INET, ("127.0.0.2", server.port))
        client.connector.addresses = [near, far]
        client.connector._index = int(not stream)
        client.reopen()
        client.request()
        if stream:
            loop.run(client, until=lambda: client.stream, rounds=20)
            client.connector._index = 1
            loop.run(client, until=lambda: len(client.events) == 2, rounds=200)
        else:
            loop.run(client, until=lambda: client.responses, rounds=200)
            assert client.responses.popleft()["errored"]
            client.request()
            loop.run(client, until=lambda: client.responses, rounds=20)
            assert client.responses[0]["body"] == b"ok"

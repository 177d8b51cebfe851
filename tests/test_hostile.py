"""Client against a scripted server that closes, resets, stalls and lies at every point."""

from __future__ import annotations

from typing import Any

import pytest

from exchanges import FIXED, check_idle, make, settled
from fasthio import errors
from fasthio.clienting import Client
from servers import CLOSE, HALF, OK, RESET, SILENT, Drip, Loop, Request, Server, Wait, answer

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nhel\r\n2;e=f\r\nlo\r\n0\r\nT: r\r\n\r\n"
)
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\nX-A: b\r\n\r\nhello"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + FIXED
SHAPES = {"fixed": FIXED, "chunked": CHUNKED, "close": UNTIL_CLOSE, "interim": INTERIM}
#: Where a response may end although octets are missing: the last chunk is all that counts.
LAST_CHUNK = CHUNKED.index(b"\r\n0\r\n") + 5


def cuts() -> list[Any]:
    return [
        pytest.param(name, cut, id=f"{name}-{cut}")
        for name, octets in SHAPES.items()
        for cut in range(len(octets) + 1)
    ]


@pytest.mark.parametrize(("name", "cut"), cuts())
@pytest.mark.parametrize("end", [CLOSE, HALF])
def test_eof_at_every_octet(name: str, cut: int, end: str) -> None:
    """D54: a close anywhere gives a response or a typed error, at once."""
    octets = SHAPES[name]
    with Server([Request(), octets[:cut], end]) as server, Loop(server) as loop:
        client = make(server, loop)
        client.request(path="/a", reply="mine")
        loop.run(client, until=lambda: settled(client, 1), rounds=40)
        check_idle(client, loop)
        response = client.responses[0]
        assert response["request"]["reply"] == "mine"
        head = (
            octets.rindex(b"\r\n\r\n") + 4 if name != "chunked" else octets.index(b"\r\n\r\n") + 4
        )
        complete = cut == len(octets)
        if name == "close":
            complete = cut >= head
        if name == "chunked":
            complete = cut == len(octets) or cut == LAST_CHUNK
        if complete:
            assert not response["errored"], response["error"]
            assert response["status"] == 200
            assert response["body"] == (octets[head:cut] if name == "close" else b"hello")
        else:
            assert response["errored"]
            assert response["error"].code.startswith("closed-")
            assert isinstance(response["error"].exception, errors.ClosureError)


@pytest.mark.parametrize(("name", "cut"), cuts())
def test_reset_at_every_octet(name: str, cut: int) -> None:
    """D54: a reset is an error unless the response was complete."""
    octets = SHAPES[name]
    with Server([Request(), octets[:cut], Wait(2), RESET]) as server, Loop(server) as loop:
        client = make(server, loop)
        client.request(path="/a")
        loop.run(client, until=lambda: settled(client, 1), rounds=40)
        check_idle(client, loop)
        response = client.responses[0]
        if cut == len(octets) and name != "close":
            assert not response["errored"]
            assert response["body"] == b"hello"
        else:
            assert response["errored"]
            assert response["error"].code == "reset"
            assert isinstance(response["error"].exception, ConnectionError)


@pytest.mark.parametrize(("name", "cut"), cuts())
@pytest.mark.parametrize("end", [CLOSE, RESET])
def test_reconnectable_get_is_sent_again(name: str, cut: int, end: str) -> None:
    """D55: an idempotent request cut off anywhere is sent again, and answered once."""
    octets = SHAPES[name]
    with (
        Server([Request(), octets[:cut], Wait(1), end], [Request(), answer(b"second")]) as server,
        Loop(server) as loop,
    ):
        client = make(server, loop, reconnectable=True, tymeout=0.05)
        client.request(path="/a", reply=1)
        client.request(path="/b", reply=2)
        loop.run(client, until=lambda: client.responses, rounds=100)
        first = client.responses[0]
        assert not first["errored"]
        assert first["request"]["reply"] == 1
        assert first["body"] in (b"second", b"hello", octets[len(octets) - 5 : cut])


@pytest.mark.parametrize(("name", "cut"), cuts())
def test_reconnectable_post_is_not_sent_again(name: str, cut: int) -> None:
    """D55: what is not idempotent ends errored and says so; the queue goes on."""
    octets = SHAPES[name]
    with (
        Server([Request(), octets[:cut], CLOSE], [Request(), answer(b"second")]) as server,
        Loop(server) as loop,
    ):
        client = make(server, loop, reconnectable=True, tymeout=0.05)
        client.request(method="POST", path="/a", body=b"x", reply=1)
        client.request(method="POST", path="/b", body=b"y", reply=2)
        loop.run(client, until=lambda: settled(client, 2), rounds=100)
        check_idle(client, loop)
        first, second = client.responses
        assert [first["request"]["reply"], second["request"]["reply"]] == [1, 2]
        assert second["body"] == b"second"
        if first["errored"]:
            code = first["error"].code
            assert code == "unsafe-retry" if cut == 0 else code.startswith(("closed-", "unsafe-"))
        assert [line.split()[1] for line in server.requests] == [b"/a", b"/b"]


@pytest.mark.parametrize("size", [1, 2, 7, 100])
@pytest.mark.parametrize("name", list(SHAPES))
def test_dripped(name: str, size: int) -> None:
    with Server([Request(), Drip(SHAPES[name], size), CLOSE]) as server, Loop(server) as loop:
        client = make(server, loop)
        client.request(path="/a")
        loop.run(client, until=lambda: settled(client, 1), rounds=400)
        assert client.responses[0]["body"] == b"hello"
        assert not client.responses[0]["errored"]


def test_hundred_in_order() -> None:
    """D56: a hundred queued requests, a hundred right responses, each with its own body."""
    script: list[Any] = []
    for number in range(100):
        body = b"%d" % number
        script += [
            Request(),
            answer(body)
            if number % 3
            else (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
                % (len(body), body)
            ),
        ]
    with Server(script) as server, Loop(server) as loop:
        client = make(server, loop)
        for number in range(100):
            client.request(path=f"/{number}", reply=number, mark=[number])
        loop.run(client, until=lambda: settled(client, 100), rounds=500)
        check_idle(client, loop)
        for number, response in enumerate(client.responses):
            assert response["body"] == b"%d" % number
            assert response["request"]["reply"] == number
            assert response["request"]["mark"] == [number]
            assert response["request"]["path"] == f"/{number}"
        assert len({id(response["body"]) for response in client.responses}) == 100
        assert len({id(response["headers"]) for response in client.responses}) == 100
        assert len(server.links) == 1


def test_close_between_responses() -> None:
    """D57: without reconnectable a request that can no longer be answered ends errored."""
    with Server([Request(), OK, CLOSE]) as server, Loop(server) as loop:
        client = make(server, loop)
        for number in range(4):
            client.request(path=f"/{number}", reply=number)
        loop.run(client, until=lambda: settled(client, 4), rounds=60)
        check_idle(client, loop)
        assert [r["errored"] for r in client.responses] == [False, True, True, True]
        assert [r["request"]["reply"] for r in client.responses] == [0, 1, 2, 3]
        assert len(server.links) == 1


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_connection_close(version: str) -> None:
    """D57: nothing is sent on a connection that the server said it closes; a new one serves."""
    script = [Request(), answer(version=version, Connection="close"), Wait(3), CLOSE]
    with Server(script) as server, Loop(server) as loop:
        client = make(server, loop)
        client.request(path="/a")
        client.request(method="POST", path="/b", body=b"x")
        loop.run(client, until=lambda: settled(client, 2), rounds=60)
        check_idle(client, loop)
        assert [r["errored"] for r in client.responses] == [False, False]
        assert not server.links[0].received
        assert len(server.links) == 2


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nConnection: close", b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK"]
)
@pytest.mark.parametrize("reconnectable", [False, True])
def test_body_that_ends_with_the_connection(head: bytes, reconnectable: bool) -> None:
    """D57: that announces the close, too: a new connection carries the next request."""
    script = [Request(), head + b"\r\n\r\nbody", Wait(2), CLOSE]
    with Server(script) as server, Loop(server) as loop:
        client = make(server, loop, reconnectable=reconnectable)
        for number in range(3):
            client.request(method="POST", path=f"/{number}", body=b"x")
        loop.run(client, until=lambda: settled(client, 3), rounds=100)
        check_idle(client, loop)
        assert [r["errored"] for r in client.responses] == [False] * 3
        assert [r["body"] for r in client.responses] == [b"body"] * 3
        assert len(server.requests) == 3


@pytest.mark.parametrize("tymeout", [0.0, 0.1, 1.0])
def test_connection_close_reconnectable(tymeout: float) -> None:
    """D55: with reconnectable the queue goes on over new connections, nothing is lost."""
    with Server([Request(), answer(Connection="close"), CLOSE]) as server, Loop(server) as loop:
        client = make(server, loop, reconnectable=True, tymeout=tymeout)
        for number in range(5):
            client.request(method="POST", path=f"/{number}", body=b"x", reply=number)
        loop.run(client, until=lambda: settled(client, 5), rounds=1000)
        assert [r["errored"] for r in client.responses] == [False] * 5
        assert [r["request"]["reply"] for r in client.responses] == list(range(5))
        assert len(server.requests) == 5


def test_request_says_close() -> None:
    """D58: this side closes: the next request goes over a new connection."""
    with Server([Request(), OK]) as server, Loop(server) as loop:
        client = make(server, loop)
        for number in range(3):
            client.request(path=f"/{number}", headers={"connection": "close"})
        loop.run(client, until=lambda: settled(client, 3), rounds=60)
        assert [r["errored"] for r in client.responses] == [False] * 3
        assert len(server.links) == 3


def test_idle_close_then_request() -> None:
    """D57: an idle keep-alive connection that the server closed."""
    with Server([Request(), OK, Wait(3), CLOSE], [Request(), OK]) as server, Loop(server) as loop:
        client = make(server, loop)
        client.request()
        loop.run(client, until=lambda: settled(client, 1), rounds=40)
        loop.run(client, until=lambda: client.connector.cutoff, rounds=40)
        client.request(method="POST", body=b"x")
        loop.run(client, until=lambda: settled(client, 2), rounds=40)
        assert client.responses[1]["error"].code == "closed"
        client.reopen()
        client.request(method="POST", body=b"x")
        loop.run(client, until=lambda: settled(client, 3), rounds=40)
        assert not client.responses[2]["errored"]


def test_idle_close_reconnectable_post() -> None:
    """D55: nothing of it was sent, so a POST may go over the new connection."""
    with Server([Request(), OK, CLOSE], [Request(), OK]) as server, Loop(server) as loop:
        client = make(server, loop, reconnectable=True, tymeout=0.1)
        client.request()
        loop.run(client, until=lambda: settled(client, 1), rounds=40)
        server.step()
        client.request(method="POST", body=b"x")
        loop.run(client, until=lambda: settled(client, 2), rounds=80)
        assert not client.responses[1]["errored"]


@pytest.mark.parametrize("when", ["with", "after"])
def test_unsolicited_octets(when: str) -> None:
    """D59: octets nobody asked for close the connection; they answer no later request."""
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    first = [OK + evil] if when == "with" else [OK, Wait(2), evil]
    with Server([Request(), *first], [Request(), answer(b"good")]) as server, Loop(server) as loop:
        client = make(server, loop)
        client.request()
        loop.run(client, until=lambda: settled(client, 1), rounds=40)
        loop.rounds(8, client)
        client.request()
        loop.run(client, until=lambda: settled(client, 2), rounds=40)
        assert client.responses[1]["body"] == b"good"
        assert not client.connector.rxbs
        assert len(server.links) == 2


def test_unsolicited_octets_seen_before_sending() -> None:
    """D59: a request goes out only after a look at what came meanwhile."""
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    with (
        Server([Request(), OK, Wait(1), evil], [Request(), answer(b"good")]) as server,
        Loop(server) as loop,
    ):
        client = make(server, loop)
        client.request()
        loop.run(client, until=lambda: settled(client, 1), rounds=40)
        for _ in range(5):
            server.step()
        client.request(method="POST", body=b"x")
        loop.run(client, until=lambda: settled(client, 2), rounds=40)
        assert client.responses[1]["body"] == b"good"


def test_banner_does_not_loop() -> None:
    """D59: a server that speaks first is not connected to again and again."""
    with Server([b"220 mail\r\n"]) as server, Loop(server) as loop:
        client = make(server, loop)
        loop.rounds(50, client)
        assert len(server.links) == 1


MALFORMED = {
    "start": b"SSH-2.0-x\r\n",
    "version": b"HTTP/2.0 200 OK\r\n\r\n",
    "field": b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
    "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
}


@pytest.mark.parametrize("name", list(MALFORMED))
@pytest.mark.parametrize("reconnectable", [False, True])
def test_malformed(name: str, reconnectable: bool) -> None:
    """D58: a malformed response is recorded and the connection left; the queue goes on."""
    with (
        Server([Request(), MALFORMED[name]], [Request(), answer(b"good")]) as server,
        Loop(server) as loop,
    ):
        client = make(server, loop, reconnectable=reconnectable, tymeout=0.1)
        client.request(reply=1)
        client.request(reply=2)
        loop.run(client, until=lambda: settled(client, 2), rounds=100)
        first, second = client.responses
        assert first["errored"]
        assert isinstance(first["error"].exception, errors.ParseError)
        assert second["body"] == b"good"
        assert len(server.links) == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_reset_while_sending(method: str) -> None:
    """D54: a reset in the middle of a large request."""
    with Server([Wait(3), RESET]) as server, Loop(server) as loop:
        client = make(server, loop)
        client.request(method=method, headers={"X-Long": "x" * 60_000}, body=b"x" * 30_000_000)
        loop.run(client, until=lambda: settled(client, 1), rounds=60)
        check_idle(client, loop)
        assert client.responses[0]["errored"]
        assert not client.connector.txbs


def test_early_answer_is_read_when_sending_fails() -> None:
    """D47: an answer that came before the server stopped reading is not lost."""
    with (
        Server([Wait(2), answer(b"too large", 413, Connection="close"), Wait(2), CLOSE]) as server,
        Loop(server) as loop,
    ):
        client = make(server, loop)
        client.request(method="POST", body=b"x" * 30_000_000)
        loop.run(client, until=lambda: settled(client, 1), rounds=60)
        assert client.responses[0]["status"] == 413
        assert client.responses[0]["body"] == b"too large"


def test_retries_end() -> None:
    """D55: a server that closes on every request is not asked for ever."""
    with Server([Request(), CLOSE]) as server, Loop(server) as loop:
        client = make(server, loop, reconnectable=True)
        client.request()
        loop.run(client, until=lambda: settled(client, 1), rounds=200)
        assert client.responses[0]["error"].code == "retries"
        assert len(server.requests) == client.Resends + 1


def test_server_listens_later() -> None:
    """As in hio a client may start first: refused connects are tried again."""
    with Server([Request(), OK], listening=False) as server, Loop(server) as loop:
        client = make(server, loop)
        client.request()
        loop.rounds(20, client)
        assert not client.responses
        server.listen()
        loop.run(client, until=lambda: settled(client, 1), rounds=40)
        assert not client.responses[0]["errored"]


def test_refused_after_a_connection() -> None:
    """D57: once connected, and reopened by this side, a refusal is an error."""
    with Server([Request(), b"nonsense\r\n"]) as server, Loop(server) as loop:
        client = make(server, loop)
        client.request()
        client.request()
        loop.run(client, until=lambda: settled(client, 1), rounds=40)
        server.close()
        loop.servers.clear()
        loop.run(client, until=lambda: settled(client, 2), rounds=40)
        assert client.responses[1]["error"].code == "refused"
        assert isinstance(client.responses[1]["error"].exception, ConnectionError)
        check_idle(client, loop)


def test_rest_of_an_answered_request_does_not_block() -> None:
    """D47: the server answers and stops reading: the next request goes another way."""
    with Server([OK, SILENT], [Request(), answer(b"next")]) as server, Loop(server) as loop:
        client = make(server, loop)
        client.request(method="POST", body=b"x" * 30_000_000)
        loop.run(client, until=lambda: settled(client, 1), rounds=60)
        assert not client.responses[0]["errored"]
        assert client.connector.txbs
        client.request(path="/next")
        loop.run(client, until=lambda: settled(client, 2), rounds=60)
        assert client.responses[1]["body"] == b"next"
        assert server.requests == [server.requests[0]]


def test_switched_protocol() -> None:
    """What comes after 101 is the program's."""
    switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nabc"
    with Server([Request(), switch, Wait(2), b"def"]) as server, Loop(server) as loop:
        client = make(server, loop)
        client.request(headers={"Upgrade": "x", "Connection": "upgrade"})
        loop.run(client, until=lambda: settled(client, 1), rounds=60)
        loop.rounds(5, client)
        assert client.responses[0]["status"] == 101
        assert client.connector.rxbs == b"abcdef"
        assert client.connector.connected
        client.request()
        loop.run(client, until=lambda: settled(client, 2), rounds=60)
        assert client.responses[1]["error"].code == "closed"


@pytest.mark.parametrize("head", [b"", b"Content-Type: text/event-stream\r\n"])
@pytest.mark.parametrize(("bufsize", "count"), [(8096, 9), (8096, 20), (65_536, 1), (131_072, 1)])
def test_end_behind_full_receives(bufsize: int, count: int, head: bytes) -> None:
    """D54: what is seen of the end with the last octets is the end, and nothing is read past it."""
    octets = b"HTTP/1.1 200 OK\r\n%b\r\n" % head
    octets += b"x" * (bufsize * count - len(octets))
    with Server([Request(), octets, CLOSE]) as server, Loop(server) as loop:
        client = loop.client(Client, server, bufsize=bufsize)
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=50)
        response = client.responses[0]
        assert not response["errored"], response["error"]
        assert client.connector.fault is None


@pytest.mark.parametrize("more", [0, 1])
def test_malformed_and_closed(more: int) -> None:
    """D58: a new connection comes next, whether the end behind it was seen with it or not."""
    octets = b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello"
    with Server([Request(), octets, CLOSE], [Request(), OK]) as server, Loop(server) as loop:
        client = loop.client(Client, server, bufsize=len(octets) + more)
        client.request()
        client.request()
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=50)
        assert client.responses[0]["error"].code == "bad-length"
        assert client.responses[1]["body"] == b"ok"

"""Client disturbed by its own program or system: closed, given up, asked wrongly, left without."""

from __future__ import annotations

import errno
import gzip
import socket
from typing import Any

import pytest
from hio.core import tcp

from exchanges import FIXED, check_idle, make, settled
from fasthio import socketing
from fasthio.clienting import Client
from servers import CLOSE, OK, SILENT, Loop, Request, Server, Wait, answer


@pytest.mark.parametrize("cut", range(0, len(FIXED), 5))
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("way", ["client", "connector"])
def test_reopen_in_mid_exchange(cut: int, method: str, way: str) -> None:
    """D50: the exchange is resent where safe, else errored; no octet crosses over."""
    with (
        Server([Request(), FIXED[:cut]], [Request(), answer(b"fresh")]) as server,
        Loop(server) as loop,
    ):
        client = make(server, loop)
        client.request(method=method, body=b"", reply=1)
        client.request(method=method, body=b"", reply=2)
        loop.run(client, until=lambda: server.requests, rounds=40)
        loop.rounds(3, client)
        (client if way == "client" else client.connector).reopen()
        rounds = 60
        server.scripts[1] += [Request(), answer(b"fresh")]
        loop.run(client, until=lambda: settled(client, 2), rounds=rounds)
        first, second = client.responses
        assert second["body"] == b"fresh"
        if method == "GET":
            assert first["body"] == b"fresh"
        else:
            assert first["error"].code == "reopened"
        check_idle(client, loop)


@pytest.mark.parametrize("rounds", range(6))
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("kind", [socketing.Connector, tcp.Client], ids=["ours", "hio's"])
def test_another_connector_in_mid_exchange(kind: Any, method: str, rounds: int) -> None:
    """A request that waits for a connection goes over the one the program puts in its place."""
    script = [Request(), OK, Request(), OK]
    with Server(script) as server, Server(script, script) as other, Loop(server, other) as loop:
        client = make(server, loop)
        client.request(method=method, reply=1)
        client.request(method=method, reply=2)
        loop.rounds(rounds, client)
        client.close()
        client.connector = kind(tymth=loop.tymth, host="127.0.0.1", port=other.port)
        client.respondent.reinit(msg=client.connector.rxbs)
        loop.run(client, until=lambda: settled(client, 2), rounds=60)
        assert [response["request"]["reply"] for response in client.responses] == [1, 2]
        assert method == "GET" or len(server.requests) + len(other.requests) <= 2
        check_idle(client, loop)


def test_close_in_mid_exchange_then_service() -> None:
    with (
        Server([Request(), FIXED[:50]], [Request(), answer(b"fresh")]) as server,
        Loop(server) as loop,
    ):
        client = make(server, loop)
        client.request()
        loop.run(client, until=lambda: server.requests, rounds=40)
        client.close()
        client.close()
        loop.run(client, until=lambda: settled(client, 1), rounds=60)
        assert client.responses[0]["body"] == b"fresh"


@pytest.mark.parametrize(
    "given", [None, 5, "text", [1], {1: 2}, {"self": 1}, {"sink": 5}, {"qargs": 5}, {"path": 5}]
)
def test_no_request_appended_by_hand(given: Any) -> None:
    """D51: what is no request at all, too; the queue goes on."""
    with Server([Request(), OK]) as server, Loop(server) as loop:
        client = make(server, loop)
        client.requests.append(given)
        client.request(path="/good")
        loop.run(client, until=lambda: settled(client, 2), rounds=40)
        check_idle(client, loop)
        first, second = client.responses
        assert first["error"].code == "bad-request"
        assert first["request"] == (given if isinstance(given, dict) else {})
        assert not second["errored"]
        assert [line.split()[1] for line in server.requests] == [b"/good"]


def test_bad_request_appended_by_hand() -> None:
    """D51: a request dict that cannot be sent becomes an errored response."""
    with Server([Request(), OK]) as server, Loop(server) as loop:
        client = make(server, loop)
        client.requests.append({"method": "GE T", "path": "/", "mid": 3})
        client.requests.append({"method": "GET", "path": "/good"})
        loop.run(client, until=lambda: settled(client, 2), rounds=40)
        first, second = client.responses
        assert first["error"].code == "bad-request"
        assert first["request"]["mid"] == 3
        assert not second["errored"]
        assert [line.split()[1] for line in server.requests] == [b"/good"]


@pytest.mark.parametrize(
    ("name", "kwa"),
    [
        ("path", {"path": "/a\r\nX: y"}),
        ("method", {"method": "GET /x"}),
        ("headers", {"headers": {"X": "a\r\nY: b"}}),
        ("headers", {"headers": {"X\n": "a"}}),
        ("headers", {"headers": {5: "a"}}),
        ("headers", {"headers": 5}),
        ("method", {"method": 5}),
        ("method", {"method": b"GET"}),
        ("method", {"method": []}),
        ("body", {"body": "\u20ac"}),
        ("body", {"body": 5, "method": "POST"}),
    ],
)
def test_bad_request_is_refused_at_the_call(name: str, kwa: dict[str, Any]) -> None:
    """D51: nothing is queued."""
    client = Client(hostname="127.0.0.1", port=9)
    with pytest.raises(ValueError, match=name):
        client.request(**kwa)
    assert not client.requests


@pytest.mark.parametrize("rest", [False, True])
def test_given_up_before_it_was_sent(rest: bool) -> None:
    """D59: a request that the program gives up by `waited = False` does not go out later."""
    with Server([SILENT], [Request(), answer(b"mine")], listening=rest) as server:
        with Loop(server) as loop:
            client = make(server, loop)
            client.request(method="POST", path="/up", body=b"x" * 30_000_000)
            loop.rounds(5, client)
            assert client.waited
            assert client.connector.txbs
            client.waited = False
            if rest:  # a part of it was sent, over a connection that is no more
                client.connector.reopen()
            else:
                server.scripts[0] = server.scripts[1]
                server.listen()
            client.request(path="/next")
            loop.run(client, until=lambda: settled(client, 1), rounds=60)
            check_idle(client, loop)
            assert client.responses[0]["body"] == b"mine"
            assert [each.split()[1] for each in server.requests] == [b"/next"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_given_up_then_reopened(method: str) -> None:
    """D59: nor does it come back, sent again or errored, where the program reopens."""
    with Server([Request()], [Request(), OK]) as server, Loop(server) as loop:
        client = make(server, loop)
        client.request(method=method, path="/up")
        loop.run(client, until=lambda: server.requests, rounds=40)
        client.waited = False
        client.reopen()
        assert not client.responses
        client.request(path="/next")
        loop.run(client, until=lambda: settled(client, 1), rounds=60)
        check_idle(client, loop)
        assert client.responses[0]["request"]["path"] == "/next"
        assert [each.split()[1] for each in server.requests] == [b"/up", b"/next"]


def test_given_up_then_sent_by_hand() -> None:
    """D59: what travelled with the request that was given up is not with the next response."""
    got: list[bytes] = []
    with Server([Request()], [Request(), answer(b"mine")]) as server, Loop(server) as loop:
        client = make(server, loop)
        client.request(path="/up", reply="not mine", sink=got.append)
        loop.run(client, until=lambda: server.requests, rounds=40)
        client.waited = False
        client.transmit(path="/next")
        loop.run(client, until=lambda: settled(client, 1), rounds=60)
        check_idle(client, loop)
        assert client.responses[0]["body"] == b"mine"
        assert "reply" not in client.responses[0]["request"]
        assert not got


@pytest.mark.parametrize("when", ["opened", "connected", "sent"])
@pytest.mark.parametrize("reconnectable", [False, True])
def test_sending_shut_down_by_the_program(when: str, reconnectable: bool) -> None:
    """D47: a request that cannot go out any more goes over a new connection."""
    with (
        Server([Request(), Wait(4), OK, SILENT], [Request(), OK, Request(), OK]) as server,
        Loop(server) as loop,
    ):
        client = make(server, loop, reconnectable=reconnectable)
        client.reopen()
        if when == "connected":
            loop.rounds(2, client)
        client.request(path="/1")
        if when == "sent":
            loop.rounds(2, client)
        client.connector.shutdownSend()
        client.request(method="POST", path="/2")
        loop.run(client, until=lambda: settled(client, 2), rounds=60)
        check_idle(client, loop)
        assert [r["errored"] for r in client.responses] == [False, False]
        assert [each.split()[1] for each in server.requests] == [b"/1", b"/2"]


@pytest.mark.parametrize("reconnectable", [False, True])
def test_no_socket_to_be_had(reconnectable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """D44: where the system gives no socket each request has its answer; later ones are sent."""
    with Server([Request(), OK]) as server, Loop(server) as loop:
        client = make(server, loop, reconnectable=reconnectable)
        given = socket.socket

        def refuse(*_: Any, **__: Any) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(socketing.socket, "socket", refuse)
        for number in range(3):
            client.request(reply=number)
        loop.run(client, until=lambda: settled(client, 3), rounds=20)
        check_idle(client, loop)
        assert [r["error"].code for r in client.responses] == ["refused"] * 3
        assert [r["request"]["reply"] for r in client.responses] == [0, 1, 2]
        assert client.responses[0]["error"].exception.errno == errno.EMFILE
        monkeypatch.setattr(socketing.socket, "socket", given)
        client.request()
        loop.run(client, until=lambda: settled(client, 4), rounds=20)
        assert not client.responses[3]["errored"]


def test_host_set_later_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    """D41: that is an error of the requests, not a wait for ever."""

    def refuse(host: object, *_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, f"no name resolves in this test: {host!r}")

    with Server([Request(), OK]) as server, Loop(server) as loop:
        client = make(server, loop)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        client.connector.ha = ("no-such-host.invalid", server.port)
        client.request(reply=1)
        client.request(reply=2)
        loop.run(client, until=lambda: settled(client, 2), rounds=20)
        check_idle(client, loop)
        assert [r["error"].code for r in client.responses] == ["unresolved"] * 2
        client.connector.ha = ("127.0.0.1", server.port)
        client.request(reply=3)
        loop.run(client, until=lambda: settled(client, 3), rounds=20)
        assert not client.responses[2]["errored"]


@pytest.mark.parametrize("way", ["service", "reopen", "redirect"])
def test_given_up_at_another_origin(way: str) -> None:
    """D59, D65: what is asked next goes home, with home's Host, and bears no redirects."""
    with (
        Server([Request(), SILENT]) as away,
        Server([Request(), b""], [Request(), answer(b"home")]) as home,
        Loop(away, home) as loop,
    ):
        home.scripts[0][1] = answer(status=302, Location=f"http://127.0.0.1:{away.port}/b")

        class Leaving(Client):
            def redirect(self) -> None:
                super().redirect()
                self.waited = way != "redirect"

        client = make(home, loop, cls=Leaving)
        client.request(path="/start")
        loop.run(
            client, until=lambda: len(home.requests) and not client.respondent.ended, rounds=60
        )
        loop.rounds(5, client)
        client.waited = False
        if way == "reopen":
            client.reopen()
        client.request(path="/next")
        loop.run(client, until=lambda: settled(client, 1), rounds=60)
        (response,) = client.responses
        assert response["body"] == b"home"
        assert "redirects" not in response
        assert response["request"]["port"] == client.requester.port == home.port
        assert f"Host: 127.0.0.1:{home.port}".encode() in home.requests[-1]
        check_idle(client, loop)


@pytest.mark.parametrize("coded", [False, True])
def test_sink_that_calls_service(coded: bool) -> None:
    """The octets that come meanwhile wait until the sink has these."""
    body = b"".join(b"%08d" % number for number in range(40_000))
    octets = gzip.compress(body, 1) if coded else body
    fields = {"Content_Encoding": "gzip"} if coded else {}
    with Server([Request(), answer(octets, **fields)]) as server, Loop(server) as loop:
        client = make(server, loop, decode=coded)
        got = bytearray()

        def sink(piece: bytes) -> None:
            server.step()
            client.service()
            got.extend(piece)

        client.request(sink=sink)
        loop.run(client, until=lambda: settled(client, 1), rounds=600)
        assert not client.responses[0]["errored"]
        assert got == body


def test_transmit_while_a_queued_request_is_under_way() -> None:
    """D100: it is refused; its answer would be taken for the queued one's."""
    script = [step for number in (1, 2, 3) for step in (Request(), Wait(5), answer(b"%d" % number))]
    with Server(script) as server, Loop(server) as loop:
        client = make(server, loop)
        for number in (1, 2):
            client.request(path=f"/{number}")
        loop.run(client, until=lambda: server.requests, rounds=60)
        with pytest.raises(ValueError, match="is under way"):
            client.transmit(path="/3")
        loop.run(client, until=lambda: settled(client, 2), rounds=60)
        assert [each["body"] for each in client.responses] == [b"1", b"2"]
        client.transmit(path="/3")
        loop.run(client, until=lambda: settled(client, 3), rounds=60)
        assert client.responses[-1]["body"] == b"3"


def test_redirect_called_twice() -> None:
    """The second call finds that it is followed already."""

    class Twice(Client):
        def redirect(self) -> None:
            super().redirect()
            super().redirect()

    script = [Request(), answer(status=302, Location="/end"), Request(), answer(b"end")]
    with Server([*script, Request(), answer(b"next")]) as server, Loop(server) as loop:
        client = make(server, loop, cls=Twice)
        client.request(path="/start")
        client.request(path="/next")
        loop.run(client, until=lambda: settled(client, 2), rounds=60)
        assert [each["body"] for each in client.responses] == [b"end", b"next"]
        assert len(client.responses[0]["redirects"]) == 1
        check_idle(client, loop)


def test_redirect_that_raises() -> None:
    """D102: it comes out of `service`; the exchange ends errored, and the queue goes on."""

    class Raising(Client):
        def redirect(self) -> None:
            raise RuntimeError("no way")

    script = [Request(), answer(status=302, Location="/end"), Request(), answer(b"next")]
    with Server(script) as server, Loop(server) as loop:
        client = make(server, loop, cls=Raising)
        client.request(path="/start")
        client.request(path="/next")
        with pytest.raises(RuntimeError, match="no way"):
            loop.run(client, until=lambda: settled(client, 2), rounds=60)
        loop.run(client, until=lambda: settled(client, 2), rounds=60)
        first, second = client.responses
        assert (first["status"], first["error"].code) == (302, "redirect-failed")
        assert second["body"] == b"next"
        check_idle(client, loop)


def test_early_answer_that_closes_costs_no_connection_more() -> None:
    """What was left of a body that the server did not want is forgotten with its connection."""
    refusal = answer(status=413, Connection="close")
    with (
        Server([refusal, CLOSE], [Request(), answer(b"next")]) as server,
        Loop(server) as loop,
    ):
        client = make(server, loop)
        client.request(method="POST", path="/up", body=b"x" * 30_000_000)
        client.request(path="/next")
        loop.run(client, until=lambda: settled(client, 2), rounds=200)
        assert [each["status"] for each in client.responses] == [413, 200]
        assert len(server.links) == 2

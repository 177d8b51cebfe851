"""Connections under a client that end, come or are taken over in uncommon ways."""

from __future__ import annotations

import errno
import gzip
import time
from typing import Any

import pytest
from hio.core import tcp
from hio.core.http import clienting as hio_clienting

from fasthio import carrying, sending
from fasthio.clienting import Client
from fasthio.exchanging import Timeouts, closes
from servers import CLOSE, OK, Loop, Request, Server, Wait, answer, fields_of

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: a\n\n"


def break_once(connector: Any, name: str) -> list[str]:
    """Let a method of a connector raise at its next call, as hio's own do; give what it noted."""
    own = getattr(connector, name)
    calls: list[str] = []

    def broken(*pa: Any) -> Any:
        calls.append(name)
        setattr(connector, name, own)
        raise OSError(errno.ECONNRESET, "the system says no")

    setattr(connector, name, broken)
    return calls


class TestBroken:
    """A connector that raises has lost its connection; `service()` does not raise."""

    def test_before_it_is_sent(self) -> None:
        with Server([Request(), OK]) as server, Loop(server) as loop:
            client = loop.client(Client, server)
            client.request()
            client.service()
            assert not client.connector.connected
            calls = break_once(client.connector, "serviceConnect")
            loop.run(client, until=lambda: client.responses, rounds=60)
            assert calls
            assert client.responses[0]["error"].code == "refused"
            assert "the system says no" in client.responses[0]["error"]
            client.request()
            loop.run(client, until=lambda: len(client.responses) == 2, rounds=60)
            assert client.responses[1]["body"] == b"ok"

    def test_before_there_is_anything_to_send(self) -> None:
        """The next in the queue is told of it: nothing waits for ever, and the queue goes on."""
        with Server([Request(), OK]) as server, Loop(server) as loop:
            client = loop.client(Client, server)
            calls = break_once(client.connector, "serviceConnect")
            client.request(reply=1)
            client.request(reply=2)
            loop.run(client, until=lambda: len(client.responses) == 2, rounds=60)
            assert calls
            assert client.responses[0]["error"].code == "refused"
            assert client.responses[1]["body"] == b"ok"
            assert [r["request"]["reply"] for r in client.responses] == [1, 2]

    @pytest.mark.parametrize("reconnectable", [False, True])
    def test_while_the_answer_is_awaited(self, reconnectable: bool) -> None:
        """RFC 9110 9.2.2: a GET may be sent again, over a new connection."""
        script = [Request(), Wait(5), OK]
        with Server(script) as server, Loop(server) as loop:
            client = loop.client(Client, server, reconnectable=reconnectable)
            client.request()
            loop.run(client, until=lambda: server.requests, rounds=60)
            assert break_once(client.connector, "serviceReceives") == []
            loop.run(client, until=lambda: client.responses, rounds=60)
            (response,) = client.responses
            assert len(server.requests) == 1 + reconnectable
            if reconnectable:
                assert response["body"] == b"ok"
            else:
                assert response["error"].code == "reset"

    def test_a_stream_goes_on(self) -> None:
        with Server([Request(), STREAM], [Request(), STREAM]) as server, Loop(server) as loop:
            client = loop.client(Client, server, reconnectable=True)
            client.request()
            loop.run(client, until=lambda: client.events, rounds=60)
            break_once(client.connector, "serviceReceives")
            loop.run(client, until=lambda: len(client.events) == 2, rounds=2000)
            assert len(server.requests) == 2
            assert not client.responses

    def test_with_nothing_under_way(self) -> None:
        with Server([], [Request(), OK]) as server, Loop(server) as loop:
            client = loop.client(Client, server)
            client.reopen()
            loop.run(client, until=lambda: client.connector.connected, rounds=60)
            break_once(client.connector, "serviceReceives")
            loop.rounds(5, client)
            assert not client.responses
            assert client.connector.cs is None  # closed, and nothing is opened without a request
            client.request()
            loop.run(client, until=lambda: client.responses, rounds=60)
            assert client.responses[0]["body"] == b"ok"


def test_idle_connection_is_opened_again_when_there_is_a_request() -> None:
    script = [Request(), OK, CLOSE]
    with Server(script, [Request(), OK]) as server, Loop(server) as loop:
        client = loop.client(Client, server, reconnectable=True)
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=60)
        loop.rounds(20, client)
        assert client.connector.cutoff
        assert len(server.links) == 1
        client.request()
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=60)
        assert len(server.links) == 2


def test_hios_connector_that_knows_no_tyme() -> None:
    """What waits for a stream's next connection is the clock then."""
    stream = STREAM + b"retry: 2\n\n"
    with Server([Request(), stream, CLOSE]) as server, Loop(server) as loop:
        connector = tcp.Client(host="127.0.0.1", port=server.port, reconnectable=True)
        client = Client(connector=connector)
        loop.clients.append(client)
        client.request()
        assert connector.tymer.tymth is None
        loop.run(client, until=lambda: len(client.events) == 2, rounds=200_000)
        assert connector.tymer.tymth is time.monotonic
        assert len(server.requests) == 2


def test_greeting_is_the_programs_where_it_connects_by_hand() -> None:
    """Octets before any request: RFC 9112 6.3 says close, but here a program is at work."""
    with Server([b"hello"], [Request(), OK]) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        client.connector.reopen()
        loop.run(until=client.connector.serviceConnect, rounds=60)
        for _ in range(20):
            loop.rounds(1)
            client.serviceResponse()
        assert client.connector.rxbs == b"hello"
        assert client.connector.cs is not None


def test_octets_nobody_asked_for_just_before_a_request() -> None:
    """D59: they are no answer to it; it goes over a connection of its own (RFC 9112 6.3)."""
    junk = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\njunk"
    with Server([Request(), OK, Wait(3), junk], [Request(), OK]) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        client.request(path="/1")
        loop.run(client, until=lambda: client.responses, rounds=60)
        loop.rounds(8)  # the client is not serviced meanwhile
        client.request(path="/2")
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=60)
        assert [response["body"] for response in client.responses] == [b"ok", b"ok"]
        assert [len(server.links), len(server.requests)] == [2, 2]


def test_program_that_sends_by_hand_and_says_that_it_waits() -> None:
    with Server([Request(), OK]) as server, Loop(server) as loop:
        client = loop.client(Client, server, method="PUT", path="/by-hand")
        client.connector.reopen()
        loop.run(client, until=lambda: client.connector.connected, rounds=60)
        client.connector.tx(client.requester.rebuild())
        client.respondent.reinit(method="PUT")
        client.waited = True
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert client.responses[0]["body"] == b"ok"
        assert server.requests[0].startswith(b"PUT /by-hand ")
        assert not client.waited


def test_transmit_in_place_of_what_is_given_up() -> None:
    """`waited` set to False and the next request sent at once: the late answer is not its own."""
    late = [Request(), Wait(4), answer(b"late")]
    with Server(late, [Request(), answer(b"good")]) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        client.request(path="/1")
        loop.run(client, until=lambda: server.requests, rounds=60)
        client.waited = False
        client.transmit(path="/2")
        loop.run(client, until=lambda: client.responses, rounds=60)
        loop.rounds(10, client)
        assert [response["body"] for response in client.responses] == [b"good"]
        assert server.requests[-1].startswith(b"GET /2 ")


class TestRedirects:
    def test_hios_requester_asks_for_what_the_location_says(self) -> None:
        """D61: repeated and escaped query arguments stay as they are (RFC 9110 10.2.2)."""
        where = "/b%2Fc?x=1&x=2&y=a%20b"
        script = [Request(), answer(b"", 302, Location=where), Request(), OK]
        with Server(script) as server, Loop(server) as loop:
            client = loop.client(Client, server, requester=hio_clienting.Requester())
            client.request(path="/a")
            loop.run(client, until=lambda: client.responses, rounds=60)
            assert client.responses[0]["body"] == b"ok"
            assert server.requests[1].startswith(f"GET {where} HTTP/1.1\r\n".encode())
            assert fields_of(server.requests[1])["host"] == f"127.0.0.1:{server.port}"

    @pytest.mark.parametrize("where", ["http://[::1/", "http://a:99999/", "http:///x"])
    def test_location_that_is_none(self, where: str) -> None:
        """D60: it ends the request, with the reason."""
        with Server([Request(), answer(b"", 302, Location=where)]) as server, Loop(server) as loop:
            client = loop.client(Client, server)
            client.request()
            loop.run(client, until=lambda: client.responses, rounds=60)
            assert client.responses[0]["error"].code == "redirect-malformed"

    def test_fragment_goes_along(self) -> None:
        """D61: a Location without one takes the fragment over (RFC 9110 10.2.2)."""
        script = [Request(), answer(b"", 302, Location="/b"), Request(), OK]
        with Server(script) as server, Loop(server) as loop:
            client = loop.client(Client, server)
            client.request(path="/a#there")
            loop.run(client, until=lambda: client.responses, rounds=60)
            assert client.responses[0]["body"] == b"ok"
            assert client.requester.fragment == "there"

    @pytest.mark.parametrize("call", ["wind", "reopen"])
    def test_home_while_the_client_is_abroad(self, call: str) -> None:
        """After a redirect to another origin its own connection takes part in what is asked."""
        with Server([Request(), OK]) as other:
            there = f"http://127.0.0.1:{other.port}/there"
            script = [Request(), answer(b"", 302, Location=there), Request(), OK]
            again = [Request(), OK]
            with Server(script, again) as server, Loop(server, other) as loop:
                client = loop.client(Client, server)
                home = client.connector
                client.request()
                loop.run(client, until=lambda: client.responses, rounds=60)
                assert client.connector is not home
                if call == "wind":
                    tymth = loop.tymth
                    client.wind(tymth)
                    assert home.tymth is client.connector.tymth is tymth
                else:
                    client.reopen()
                    assert client.connector is home
                client.request(path="/home")
                loop.run(client, until=lambda: len(client.responses) == 2, rounds=60)
                assert client.connector is home
                assert server.requests[-1].startswith(b"GET /home ")


class TestDecoding:
    def test_hios_respondent(self) -> None:
        body = gzip.compress(b"hello " * 100)
        script = [Request(), answer(body, Content_Encoding="gzip")]
        with Server(script) as server, Loop(server) as loop:
            client = loop.client(Client, server, respondent=hio_clienting.Respondent(), decode=True)
            client.request()
            loop.run(client, until=lambda: client.responses, rounds=60)
            assert client.responses[0]["body"] == b"hello " * 100

    def test_hios_requester_asks_for_codings(self) -> None:
        with Server([Request(), OK]) as server, Loop(server) as loop:
            client = loop.client(Client, server, requester=hio_clienting.Requester(), decode=True)
            client.request()
            loop.run(client, until=lambda: client.responses, rounds=60)
            assert "gzip" in fields_of(server.requests[0])["accept-encoding"]

    def test_event_stream_is_not_decoded(self) -> None:
        stream = STREAM.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
        with Server([Request(), stream]) as server, Loop(server) as loop:
            client = loop.client(Client, server, decode=True)
            client.request()
            loop.run(client, until=lambda: client.responses, rounds=60)
            assert client.responses[0]["error"].code == "undecodable"


def test_connector_given_with_a_name() -> None:
    connector = tcp.Client(host="127.0.0.1", port=9)
    assert Client(connector=connector, name="mine").connector.name == "mine"


def test_hios_tls_connector_given() -> None:
    connector = tcp.ClientTls(host="127.0.0.1", port=9, certedhost="localhost")
    client = Client(connector=connector)
    assert (client.secured, client.requester.scheme) == (True, "https")
    with pytest.raises(ValueError, match="scheme 'http' does not go with the connector"):
        Client(connector=connector, scheme="http")


def test_timeouts_none() -> None:
    assert Timeouts.of(None) is None
    assert Timeouts.of(2) == (None, None, 2.0)


@pytest.mark.parametrize(
    ("value", "closing"), [(b"x, Close", True), (bytearray(b"keep-alive"), False), ("close", True)]
)
def test_closes_as_octets_or_text(value: Any, closing: bool) -> None:
    """RFC 9112 9.6, whatever a program gave as the field's value."""
    assert closes({"connection": value}) is closing


def test_without_a_look_at_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a system has no way to look without taking, what is there is received first."""
    for module in (carrying, sending):
        monkeypatch.setattr(module, "look", sending._blind)
    junk = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\njunk"
    script = [Request(), OK, Request(), OK, Wait(3), junk]
    with Server(script, [Request(), OK]) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        for count in (1, 2):
            client.request()
            loop.run(client, until=lambda n=count: len(client.responses) == n, rounds=60)
        assert len(server.links) == 1
        loop.rounds(8)
        client.request()
        loop.run(client, until=lambda: len(client.responses) == 3, rounds=60)
        assert [response["body"] for response in client.responses] == [b"ok"] * 3
        assert len(server.links) == 2

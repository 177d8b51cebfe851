"""TLS: verification as hio's, contexts and sessions shared, handshakes that fail."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from hio.core import tcp, wiring

from authorities import VERSIONS, Authority
from fasthio import errors, tlsing
from fasthio.clienting import Client
from fasthio.connecting import ConnectorTls
from servers import CLOSE, OK, RESET, SILENT, Drip, Loop, Request, Server, Wait, answer

if TYPE_CHECKING:
    pass


@pytest.mark.parametrize("version", VERSIONS)
def test_exchange(authority: Authority, version: ssl.TLSVersion) -> None:
    script = [Request(), OK, Request(), answer(b"x" * 300_000)]
    with Server(script, context=authority.server(version)) as server, Loop(server) as loop:
        client = loop.client(
            Client, hostname="localhost", port=server.port, scheme="https",
            cafilepath=authority.cafilepath,
        )  # fmt: skip
        assert not client.connector.connected
        client.request()
        client.request(method="POST", body=b"y" * 300_000)
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=200)
        assert [r["errored"] for r in client.responses] == [False, False]
        assert client.responses[1]["body"] == b"x" * 300_000
        assert client.responses[0]["request"]["scheme"] == "https"
        assert client.connector.accepted
        assert client.connector.connected


def test_path_and_certedhost(authority: Authority) -> None:
    with Server([Request(), OK], context=authority.server()) as server, Loop(server) as loop:
        client = loop.client(
            Client, path=f"https://127.0.0.1:{server.port}/x", certedhost="localhost",
            cafilepath=authority.cafilepath,
        )  # fmt: skip
        client.transmit()
        loop.run(client, until=lambda: client.responses, rounds=100)
        assert not client.responses[0]["errored"]
        assert client.connector.certedhost == "localhost"


@pytest.mark.parametrize("reconnectable", [False, True])
def test_untrusted(authority: Authority, reconnectable: bool) -> None:
    """D48: verified by default; a failure is an errored response for each request."""
    with Server([Request(), OK], context=authority.server()) as server, Loop(server) as loop:
        client = loop.client(
            Client, hostname="localhost", port=server.port, scheme="https",
            reconnectable=reconnectable,
        )  # fmt: skip
        for number in range(3):
            client.request(reply=number)
        loop.run(client, until=lambda: len(client.responses) == 3, rounds=100)
        for number, response in enumerate(client.responses):
            assert response["error"].code == "certificate"
            assert isinstance(response["error"].exception, errors.TlsError)
            assert response["request"]["reply"] == number
        assert not server.requests
        links = len(server.links)
        loop.rounds(20, client)
        assert len(server.links) == links  # nothing is tried without a request


def test_wrong_name(trusted: Authority) -> None:
    with Server([Request(), OK], context=trusted.server()) as server, Loop(server) as loop:
        client = loop.client(
            Client, hostname="127.0.0.1", port=server.port, scheme="https",
            certedhost="other.example",
        )  # fmt: skip
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=100)
        assert client.responses[0]["error"].code == "certificate"


def test_client_certificate(authority: Authority) -> None:
    context = authority.server(mutual=True)
    with Server([Request(), OK], context=context) as server, Loop(server) as loop:
        client = loop.client(
            Client, hostname="localhost", port=server.port, scheme="https",
            cafilepath=authority.cafilepath, keypath=authority.keypath,
            certpath=authority.certpath,
        )  # fmt: skip
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=100)
        assert not client.responses[0]["errored"]


@pytest.mark.parametrize("version", VERSIONS)
def test_client_certificate_missing(authority: Authority, version: ssl.TLSVersion) -> None:
    """The server's refusal comes after our handshake in TLS 1.3: a typed error too."""
    context = authority.server(version, mutual=True)
    with Server([Request(), OK], context=context) as server, Loop(server) as loop:
        client = loop.client(
            Client, hostname="localhost", port=server.port, scheme="https",
            cafilepath=authority.cafilepath,
        )  # fmt: skip
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=100)
        assert client.responses[0]["error"].code in ("tls", "reset")


HANDSHAKES: list[list[Any]] = [[CLOSE], [Wait(2), CLOSE], [Wait(2), RESET]]


@pytest.mark.parametrize("script", HANDSHAKES)
def test_handshake_cut(authority: Authority, script: list[Any]) -> None:
    """D48: a close in the handshake is a typed error; with reconnectable it is tried again."""
    for reconnectable in (False, True):
        with (
            Server(script, [Request(), OK], context=authority.server()) as server,
            Loop(server) as loop,
        ):
            client = loop.client(
                Client, hostname="localhost", port=server.port, scheme="https",
                cafilepath=authority.cafilepath, reconnectable=reconnectable,
            )  # fmt: skip
            client.request(method="POST", body=b"x")
            loop.run(client, until=lambda c=client: c.responses, rounds=100)
            response = client.responses[0]
            if reconnectable:
                assert not response["errored"]
            else:
                assert response["error"].code == "tls"
                client.request()
                loop.run(client, until=lambda c=client: len(c.responses) == 2, rounds=100)
                assert not client.responses[1]["errored"]


@pytest.mark.parametrize("reconnectable", [False, True])
def test_no_tls_there(reconnectable: bool) -> None:
    """D48: a server that speaks no TLS; not tried for ever."""
    with Server([b"HTTP/1.1 400 Bad Request\r\n\r\n"]) as server, Loop(server) as loop:
        client = loop.client(
            Client, hostname="localhost", port=server.port, scheme="https",
            reconnectable=reconnectable,
        )  # fmt: skip
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=200)
        assert client.responses[0]["error"].code == "tls"


def test_handshake_stalls(authority: Authority) -> None:
    """D66: the limit on connecting counts the handshake."""
    with Server([SILENT], context=authority.server()) as server, Loop(server) as loop:
        client = loop.client(
            Client, hostname="localhost", port=server.port, scheme="https",
            cafilepath=authority.cafilepath, timeout={"connect": 0.5},
        )  # fmt: skip
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=200)
        assert client.responses[0]["error"].code == "timeout-connect"


FIXED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.mark.parametrize("cut", range(0, len(FIXED) + 1, 3))
@pytest.mark.parametrize("end", [CLOSE, RESET])
def test_cut(authority: Authority, cut: int, end: str) -> None:
    """D54: over TLS too, with close_notify and without."""
    script = [Request(), FIXED[:cut], Wait(1), end]
    with Server(script, context=authority.server()) as server, Loop(server) as loop:
        client = loop.client(
            Client, hostname="localhost", port=server.port, scheme="https",
            cafilepath=authority.cafilepath,
        )  # fmt: skip
        client.request()
        client.request()
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=100)
        first, second = client.responses
        assert first["errored"] is (cut < len(FIXED))
        assert second["errored"]


def test_ragged_end(authority: Authority) -> None:
    """A close without close_notify ends an until-close body, as in hio."""
    script = [Request(), b"HTTP/1.0 200 OK\r\n\r\nhello"]
    with Server(script, context=authority.server()) as server, Loop(server) as loop:
        client = loop.client(
            Client, hostname="localhost", port=server.port, scheme="https",
            cafilepath=authority.cafilepath,
        )  # fmt: skip
        client.request()
        loop.run(client, until=lambda: server.requests, rounds=100)
        loop.rounds(3, client)
        link = server.links[0]
        link.ended = True
        link.cs.shutdown(socket.SHUT_RDWR)
        link.cs.close()
        loop.run(client, until=lambda: client.responses, rounds=100)
        assert client.responses[0]["body"] == b"hello"
        assert not client.responses[0]["errored"]


@pytest.mark.parametrize("how", ["shutdown", "shutdownSend", "shutdownReceive"])
@pytest.mark.parametrize("when", ["opened", "shaking", "connected"])
def test_shut_down_by_the_program(authority: Authority, how: str, when: str) -> None:
    """D97: TLS stays on the socket: nothing goes out in clear, nothing is taken as it comes."""
    script = [Request(), OK, Request(), OK]
    with Server(script, context=authority.server()) as server, Loop(server) as loop:
        client = loop.client(
            Client, hostname="localhost", port=server.port, scheme="https",
            cafilepath=authority.cafilepath, reconnectable=True,
        )  # fmt: skip
        client.reopen()
        if when == "shaking":
            loop.servers.clear()
            loop.run(client, until=lambda: client.connector.accepted, rounds=40)
            loop.servers.append(server)
        elif when == "connected":
            loop.run(client, until=lambda: client.connector.connected, rounds=40)
        getattr(client.connector, how)()
        if when == "connected":
            assert client.connector.cs.version() is not None
        client.request(path="/a")
        client.request(method="POST", path="/b")
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=100)
        assert [r["errored"] for r in client.responses] == [False, False]
        assert [each.split()[1] for each in server.requests] == [b"/a", b"/b"]


def test_same_request_again(authority: Authority) -> None:
    """What goes the short way over a plain socket goes through TLS here."""
    with Server([Request(), OK] * 4, context=authority.server()) as server, Loop(server) as loop:
        client = loop.client(
            Client, hostname="localhost", port=server.port, scheme="https",
            cafilepath=authority.cafilepath,
        )  # fmt: skip
        for number in range(4):
            client.request(method="GET", path="/a")
            loop.run(client, until=lambda n=number: len(client.responses) > n, rounds=200)
        assert [bytes(r["body"]) for r in client.responses] == [b"ok"] * 4
        assert len(set(server.requests)) == 1


def test_dripped(authority: Authority) -> None:
    script = [Request(), Drip(FIXED, 1)]
    with Server(script, context=authority.server()) as server, Loop(server) as loop:
        client = loop.client(
            Client, hostname="localhost", port=server.port, scheme="https",
            cafilepath=authority.cafilepath, bufsize=3,
        )  # fmt: skip
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=200)
        assert client.responses[0]["body"] == b"hello"


def test_redirect_between_tls_servers(authority: Authority) -> None:
    """As in hio the context goes along, and the certificate is checked for the new name."""
    context = authority.server()
    with Server([Request(), OK], context=context) as away:
        moved = answer(b"", 307, Location=f"https://localhost:{away.port}/x")
        with Server([Request(), moved], context=context) as home, Loop(home, away) as loop:
            client = loop.client(
                Client, hostname="localhost", port=home.port, scheme="https",
                cafilepath=authority.cafilepath,
            )  # fmt: skip
            client.request()
            loop.run(client, until=lambda: client.responses, rounds=200)
            assert not client.responses[0]["errored"], client.responses[0]["error"]
            assert client.responses[0]["request"]["port"] == away.port


def test_redirect_to_tls(trusted: Authority) -> None:
    with Server([Request(), OK], context=trusted.server()) as away:
        moved = answer(b"", 301, Location=f"https://localhost:{away.port}/x")
        with Server([Request(), moved], [Request(), OK]) as home, Loop(home, away) as loop:
            client = loop.client(Client, home)
            client.request()
            client.request()
            loop.run(client, until=lambda: len(client.responses) == 2, rounds=200)
            assert [r["errored"] for r in client.responses] == [False, False]
            assert client.responses[0]["request"]["scheme"] == "https"
            assert not client.secured


# contexts


def test_context_is_shared_until_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """D49: one context for all clients; whoever asks gets an own one."""
    made: list[Any] = []
    real = ssl.create_default_context

    def count(*pa: Any, **kwa: Any) -> ssl.SSLContext:
        made.append(kwa)
        return real(*pa, **kwa)

    monkeypatch.setattr(ssl, "create_default_context", count)
    monkeypatch.setattr(tlsing, "_shared", [])
    clients = [Client(hostname="127.0.0.1", port=9, scheme="https") for _ in range(5)]
    assert not made
    assert tlsing.shared_context() is tlsing.shared_context()
    assert len(made) == 1
    own = clients[0].connector.context
    assert own is clients[0].connector.context
    assert own is not tlsing.shared_context()
    assert clients[1].connector.context is not own
    assert len(made) == 3
    assert clients[2].connector.own_context is None


def test_bundle_is_loaded_once(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """D49: hio loads it twice, and again into a context that is given."""
    loaded: list[Any] = []
    real = ssl.SSLContext.load_default_certs

    def count(self: Any, purpose: Any = ssl.Purpose.SERVER_AUTH) -> None:
        loaded.append(self)
        real(self, purpose)

    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", count)
    ConnectorTls(host="127.0.0.1", port=9, cafilepath=authority.cafilepath)
    assert len(loaded) == 1
    given = ssl.create_default_context(cafile=authority.cafilepath)
    connector = ConnectorTls(host="127.0.0.1", port=9, context=given)
    assert len(loaded) == 1
    assert connector.context is given
    ConnectorTls(host="127.0.0.1", port=9, version=ssl.PROTOCOL_TLS_CLIENT)
    assert len(loaded) == 2
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ConnectorTls(host="127.0.0.1", port=9, context=bare)
    assert loaded[-1] is bare
    ConnectorTls(host="127.0.0.1", port=9, context=bare)
    assert loaded.count(bare) == 1


def test_changing_ones_own_context_touches_no_other(trusted: Authority) -> None:
    with Server([Request(), OK], context=trusted.server()) as server, Loop(server) as loop:
        kwa = {"hostname": "localhost", "port": server.port, "scheme": "https"}
        strict = loop.client(Client, **kwa)
        strict.connector.context.verify_mode  # noqa: B018  # asking is enough
        plain = loop.client(Client, **kwa)
        for client in (strict, plain):
            client.request()
            loop.run(client, until=lambda c=client: c.responses, rounds=100)
        assert strict.responses[0]["error"].code == "certificate"
        assert not plain.responses[0]["errored"]
        again = loop.client(Client, **kwa)
        again.connector.context.load_verify_locations(cafile=trusted.cafilepath)
        again.request()
        loop.run(again, until=lambda: again.responses, rounds=100)
        assert not again.responses[0]["errored"]


@pytest.mark.parametrize(
    "kwa",
    [
        {},
        {"certify": ssl.CERT_NONE, "hostify": False},
        {"certify": ssl.CERT_OPTIONAL},
        {"certify": ssl.CERT_REQUIRED, "hostify": False},
        {"hostify": True},
        {"version": ssl.PROTOCOL_TLS_CLIENT},
        {"version": ssl.PROTOCOL_TLS_CLIENT, "hostify": True},
        {"version": ssl.PROTOCOL_TLS_CLIENT, "certify": ssl.CERT_NONE, "hostify": False},
    ],
)
def test_context_as_hios(kwa: dict[str, Any], authority: Authority) -> None:
    """The same verification as hio's for the same arguments."""
    try:
        theirs = tcp.ClientTls(host="127.0.0.1", port=9, **kwa).context
    except ValueError:
        # hio sets verify_mode while check_hostname is on; Python refuses that
        theirs = None
    ours = ConnectorTls(host="127.0.0.1", port=9, **kwa).context
    if theirs is None:
        assert ours.verify_mode == kwa["certify"]
        assert ours.check_hostname is bool(kwa.get("hostify"))
        return
    for name in ("verify_mode", "check_hostname", "verify_flags", "minimum_version", "protocol"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert len(ours.get_ca_certs()) == len(theirs.get_ca_certs())


@pytest.mark.parametrize("kwa", [{"version": None}, {"version": ssl.PROTOCOL_TLS_CLIENT}])
def test_contradiction(kwa: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="certify"):
        ConnectorTls(host="127.0.0.1", certify=ssl.CERT_NONE, hostify=True, **kwa)
    with pytest.raises(OSError, match="No such file"):
        ConnectorTls(host="127.0.0.1", cafilepath="/nonexistent/ca.pem", **kwa)


def test_hostify_without_a_certificate(authority: Authority) -> None:
    """As hio: a name cannot be checked on a certificate that nobody asks for."""
    context = ssl.create_default_context()
    with pytest.raises(ValueError, match="hostify needs certify to be"):
        ConnectorTls(host="localhost", port=9, context=context, hostify=True, certify=ssl.CERT_NONE)


def test_sends_and_receives_are_logged_and_never_raise(authority: Authority) -> None:
    """D47: a connector over TLS keeps what went wrong, as the plain one does."""
    wl = wiring.WireLog(samed=True)
    wl.reopen()
    with Server([b"hello"], context=authority.server()) as server, Loop(server) as loop:
        connector = ConnectorTls(
            host="localhost", port=server.port, cafilepath=authority.cafilepath, wl=wl
        )
        loop.clients.append(connector)
        connector.reopen()
        loop.run(until=connector.serviceConnect, rounds=100)
        connector.tx(b"question")
        connector.serviceSends()
        loop.run(until=lambda: connector.serviceReceives() or connector.rxbs, rounds=100)
        assert connector.rxbs == b"hello"
        connector.tx(b"x" * 20_000_000)
        for _ in range(2000):
            before = len(connector.txbs)
            connector.serviceSends()
            if len(connector.txbs) == before:
                break  # the socket is full, the server is not serviced
        assert connector.txbs
        assert connector.fault is None
        connector.cs.shutdown(socket.SHUT_WR)
        assert connector.send(b"x") == 0
        assert isinstance(connector.fault, OSError)
        logged = wl.readTx()
        assert logged.count(b"question") == 1
        assert wl.readRx().count(b"hello") == 1
        wl.close()


def test_socket_that_cannot_be_wrapped(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request ends errored, with what the system said."""
    with Server([], context=authority.server()) as server, Loop(server) as loop:
        client = loop.client(
            Client, hostname="localhost", port=server.port, scheme="https",
            cafilepath=authority.cafilepath,
        )  # fmt: skip

        def refuse() -> None:
            raise ValueError("server_hostname cannot be an empty string")

        monkeypatch.setattr(client.connector, "wrap", refuse)
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=100)
        assert client.responses[0]["error"].code == "tls"
        assert "server_hostname cannot be" in client.responses[0]["error"]


@pytest.mark.parametrize("stream", [False, True])
def test_handshake_that_fails_with_nothing_to_lose(authority: Authority, stream: bool) -> None:
    """An idle client goes on with its next request; an event stream tries again by itself."""
    events = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nretry: 1\ndata: a\n\n"
    script = [Request(), events, CLOSE] if stream else [CLOSE]
    scripts = [script, [CLOSE], [Request(), events if stream else OK]]
    with Server(*scripts, context=authority.server()) as server, Loop(server) as loop:
        client = loop.client(
            Client, hostname="localhost", port=server.port, scheme="https",
            cafilepath=authority.cafilepath, reconnectable=stream,
        )  # fmt: skip
        if stream:
            client.request()
            loop.run(client, until=lambda: len(client.events) == 2, rounds=2000)
            assert len(server.links) == 3
            return
        client.reopen()
        loop.run(client, until=lambda: client.connector.fault, rounds=100)
        loop.rounds(20, client)
        assert len(server.links) == 1  # nothing is tried without a request
        client.reopen()
        loop.run(client, until=lambda: client.connector.fault, rounds=100)
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=200)
        assert client.responses[0]["body"] == b"ok"


def test_contexts_are_no_stricter_than_before_python_3_13(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.13 refuses certificates that hio's programs have by a flag of its own."""
    make = ssl.create_default_context

    def stricter(*pa: Any, **kwa: Any) -> ssl.SSLContext:
        context = make(*pa, **kwa)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", stricter)
    monkeypatch.setattr(tlsing, "_LENIENT", True)
    assert not tlsing.make_context().verify_flags & ssl.VERIFY_X509_STRICT

"""TLS sessions: resumed where they may be, looked at seldom, bounded."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest

from fasthio import tlsing
from fasthio.clienting import Client
from servers import OK, Loop, Request, Server

if TYPE_CHECKING:
    pass
from authorities import VERSIONS, Authority


@pytest.mark.parametrize("version", VERSIONS)
def test_session_is_resumed(trusted: Authority, version: ssl.TLSVersion) -> None:
    """A new connection to the same server takes up the session, in another client too."""
    with Server([Request(), OK], context=trusted.server(version)) as server, Loop(server) as loop:
        kwa = {"hostname": "localhost", "port": server.port, "scheme": "https"}
        resumed = []
        for _ in range(3):
            client = loop.client(Client, **kwa)
            client.request()
            loop.run(client, until=lambda c=client: c.responses, rounds=100)
            assert not client.responses[0]["errored"]
            resumed.append(client.connector.resumed)
            client.close()
        assert resumed == [False, True, True]


@pytest.mark.parametrize(("tickets", "looks"), [(True, [1]), (False, [1, 2, 4, 8])])
def test_sessions_are_looked_at_seldom(
    trusted: Authority, monkeypatch: pytest.MonkeyPatch, tickets: bool, looks: list[int]
) -> None:
    """Each look at a socket's session loses memory in CPython: what serves is not looked at."""
    context = trusted.server(ssl.TLSVersion.TLSv1_2)
    if not tickets:
        context.options |= ssl.OP_NO_TICKET
    seen = []
    keep = tlsing.Sessions.keep

    def counted(self: tlsing.Sessions, *pa: Any) -> None:
        seen.append(number)
        keep(self, *pa)

    monkeypatch.setattr(tlsing.Sessions, "keep", counted)
    with Server([Request(), OK], context=context) as server, Loop(server) as loop:
        client = loop.client(Client, hostname="localhost", port=server.port, scheme="https")
        for number in range(1, 11):
            client.reopen()
            client.request()
            loop.run(client, until=lambda: client.responses, rounds=100)
            assert not client.responses.popleft()["errored"]
            assert client.connector.resumed is (tickets and number > 1)
            client.close()
    assert seen == looks


def test_sessions_that_serve_once_are_looked_at_seldom() -> None:
    """Some servers take each session once: then they are not worth what they cost."""
    sessions = tlsing.Sessions()
    key = ("one",)
    looks = 0
    for _ in range(1000):
        looks += sessions.note(key, False)
        assert not sessions.note(key, True)
    assert looks == 10
    for resumed in (True, True):  # one that served again has proved the server
        assert not sessions.note(key, resumed)
    assert sessions.note(key, False)


def test_connections_at_one_time_leave_a_session(trusted: Authority) -> None:
    """However many they are: what counts is how their own handshakes went."""
    context = trusted.server(ssl.TLSVersion.TLSv1_2)
    with Server([Request(), OK], context=context) as server, Loop(server) as loop:
        clients = [
            loop.client(Client, hostname="localhost", port=server.port, scheme="https")
            for _ in range(3)
        ]
        for resumed in (False, True, True):
            for client in clients:
                client.reopen()
                client.request()
            for client in clients:
                loop.run(client, until=lambda client=client: client.responses, rounds=100)
                assert not client.responses.popleft()["errored"]
            assert [client.connector.resumed for client in clients] == [resumed] * 3
            for client in clients:
                client.close()


def test_what_is_known_of_servers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tlsing, "_MOST_KNOWN", 3)
    sessions = tlsing.Sessions()
    for port in range(9):
        sessions.note((port,), False)
    assert list(sessions._known) == [(6,), (7,), (8,)]


def test_session_is_not_resumed_for_another_name(trusted: Authority) -> None:
    """A session stands for a certificate checked for one name, and for one way of checking."""
    with Server([Request(), OK], context=trusted.server()) as server, Loop(server) as loop:
        kwa = {"port": server.port, "scheme": "https"}
        context = ssl.create_default_context(cafile=trusted.cafilepath)
        for certedhost, mode, errored in (
            ("localhost", ssl.CERT_REQUIRED, False),
            ("other.example", ssl.CERT_REQUIRED, True),
        ):
            client = loop.client(
                Client, hostname="localhost", certedhost=certedhost, context=context, **kwa
            )
            assert client.connector.context.verify_mode == mode
            client.request()
            loop.run(client, until=lambda c=client: c.responses, rounds=100)
            assert client.responses[0]["errored"] is errored
            client.close()
        lax = loop.client(Client, hostname="localhost", certify=ssl.CERT_NONE, hostify=False, **kwa)
        lax.request()
        loop.run(lax, until=lambda: lax.responses, rounds=100)
        assert not lax.responses[0]["errored"]
        lax.connector.context.check_hostname = False
        lax.connector.context.verify_mode = ssl.CERT_REQUIRED
        lax.reopen()
        lax.request()
        loop.run(lax, until=lambda: len(lax.responses) == 2, rounds=100)
        assert lax.responses[1]["error"].code == "certificate"


def test_sessions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tlsing, "_MOST", 3)
    sessions = tlsing.Sessions()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    class Kept:
        has_ticket = True

    for port in range(5):
        sessions.keep(sessions.key(context, "localhost", port), Kept())  # type: ignore[arg-type]
    assert sessions.get(sessions.key(context, "localhost", 0)) is None
    assert sessions.get(sessions.key(context, "localhost", 4)) is not None
    sessions.keep(sessions.key(context, "x", 1), None)
    assert sessions.get(sessions.key(context, "x", 1)) is None


@pytest.mark.parametrize("replaced", [False, True])
def test_session_of_a_context_that_was_replaced_is_not_kept(
    trusted: Authority, replaced: bool
) -> None:
    """It would be offered under another context's settings (RFC 8446 4.6.1 leaves that to us)."""
    with Server([Request(), OK], context=trusted.server()) as server, Loop(server) as loop:
        client = loop.client(Client, hostname="localhost", port=server.port, scheme="https")
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=100)
        if replaced:
            client.connector.context = ssl.create_default_context(cafile=trusted.cafilepath)
        client.close()
        assert bool(tlsing.shared_sessions._kept) is not replaced

"""TLS: what comes behind a response, or ends its connection, is seen as over plain TCP."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from authorities import VERSIONS, Authority
from fasthio.clienting import Client
from servers import OK, RESET, Loop, Request, Server, Wait, answer


def client_of(loop: Loop, server: Server, authority: Authority, **kwa: Any) -> Any:
    """Make a client that trusts the authority."""
    return loop.client(
        Client, hostname="localhost", port=server.port, scheme="https",
        cafilepath=authority.cafilepath, **kwa,
    )  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("rest", [0, 5])
@pytest.mark.parametrize("sunk", [False, True])
@pytest.mark.parametrize("size", [2, 70_000, 300_000, 1_000_000])
def test_octets_behind_a_body(
    authority: Authority, version: ssl.TLSVersion, size: int, sunk: bool, rest: int
) -> None:
    """D59: also where they are in the last record of the body and the socket is quiet."""
    scripts = [[Request(), answer(b"x" * size) + answer(b"evil"), Request(), OK], [Request(), OK]]
    with Server(*scripts, context=authority.server(version)) as server, Loop(server) as loop:
        client = client_of(loop, server, authority)
        sink = bytearray()
        client.request(sink=sink.extend if sunk else None)
        loop.run(client, until=lambda: client.responses, rounds=200)
        body = client.responses.popleft()["body"]
        assert (sink if sunk else body) == b"x" * size
        loop.rounds(rest, client)
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=200)
        assert client.responses[0]["body"] == b"ok"
        assert len(server.links) == 2


def test_octets_behind_what_one_service_receives(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D59: where the bound on a receive is reached within a record, the rest is not left there."""
    octets = answer(b"x" * 2000)
    scripts = [[Request(), octets + answer(b"evil"), Request(), OK], [Request(), OK]]
    with Server(*scripts, context=authority.server()) as server, Loop(server) as loop:
        client = client_of(loop, server, authority, bufsize=len(octets))
        monkeypatch.setattr(client.connector, "Bound", len(octets))
        client.request()
        client.request()
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=200)
        assert client.responses[1]["body"] == b"ok"
        assert len(server.links) == 2


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("size", [5, 1000, 70_000, 1_000_000])
@pytest.mark.parametrize("later", [0, 2])
def test_reset_in_a_body_until_close(
    authority: Authority, version: ssl.TLSVersion, size: int, later: int
) -> None:
    """D54: a look at the socket takes the reset away; it is no orderly end all the same."""
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    script = [Request(), head + b"x" * size, Wait(later), RESET]
    with Server(script, context=authority.server(version)) as server, Loop(server) as loop:
        client = client_of(loop, server, authority)
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=200)
        assert client.responses[0]["error"].code == "reset"

"""A client on a scripted server: made, settled, and seen to be idle."""

from __future__ import annotations

from typing import Any

from fasthio.clienting import Client
from servers import Loop, Server

FIXED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello"


def make(server: Server, loop: Loop, cls: type[Client] = Client, **kwa: Any) -> Client:
    client: Client = loop.client(cls, server, **kwa)
    return client


def settled(client: Client, count: int) -> bool:
    return len(client.responses) >= count


def check_idle(client: Client, loop: Loop) -> None:
    """See that nothing is left waiting and nothing more comes."""
    count = len(client.responses)
    loop.rounds(5, client)
    assert len(client.responses) == count
    assert not client.waited
    assert not client.requests
    assert client.latest is None
    assert client.respondent.msg is client.connector.rxbs

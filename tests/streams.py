"""Responses that carry an event stream, in each framing, and what a client has of it."""

from __future__ import annotations

from typing import Any

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


def chunked(octets: bytes, size: int, last: bool = True) -> bytes:
    """Put octets into chunks."""
    pieces = [octets[i : i + size] for i in range(0, len(octets), size)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return chunks + (b"0\r\n\r\n" if last else b"")


def framed(octets: bytes, framing: str, more: bytes = b"", last: bool = True) -> bytes:
    """Make a response that carries an event stream."""
    head = HEAD + more
    kind, _, size = framing.partition("-")
    if kind == "chunked":
        step = max(len(octets), 1) if size in ("", "all") else int(size)
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(octets, step, last)
    if kind == "fixed":
        return head + b"Content-Length: %d\r\n\r\n" % len(octets) + octets
    return head + b"\r\n" + octets


def data_of(client: Any) -> list[str]:
    """Give the data of all events."""
    return [event["data"] for event in client.events]


def state_of(client: Any) -> str:
    """Give the state of the stream, "" before there is one."""
    return client.stream.state if client.stream is not None else ""

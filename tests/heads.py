"""How responses begin, and what parsers are fed with."""

from __future__ import annotations

from typing import Any

HEAD = b"HTTP/1.1 200 OK\r\n"
JSON = HEAD + b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n"
SHORT_MESSAGE = HEAD + b"A: b\r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
STREAM = HEAD + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def feed(parser: Any, octets: bytes, eof: bool = False) -> bytes:
    """Parse octets and give those that are left."""
    rx = bytearray(octets)
    del rx[: parser.parse(rx, eof)]
    return bytes(rx)


def octets_of(octets: bytes) -> list[bytes]:
    """Split into single octets."""
    return [octets[at : at + 1] for at in range(len(octets))] or [b""]

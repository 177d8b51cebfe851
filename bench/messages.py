"""The responses that parsers are measured on."""

from __future__ import annotations

import random
from dataclasses import dataclass

__all__ = ["CASES", "SMALL_SIZE", "Case", "chunk", "cut", "drip", "make_case", "small"]

#: Octets of the small response, and how many different ones a case has.
SMALL_SIZE = 731
VARIETY = 200
KIB = 1024

#: A message as it is fed: its pieces, in order.
Pieces = list[bytes]


@dataclass(frozen=True)
class Case:
    """Messages to parse, one after the other on one parser.

    Attributes:
        name: short name, also of the benchmark group.
        title: what is in it.
        messages: each cut into the pieces that are fed.
        body: the body of the last message.
        fields: how many fields each head has.
    """

    name: str
    title: str
    messages: list[Pieces]
    body: bytes
    fields: int

    @property
    def octets(self) -> int:
        """Octets of one message on average."""
        return sum(len(piece) for each in self.messages for piece in each) // len(self.messages)


def cut(message: bytes, size: int) -> Pieces:
    """Cut a message into pieces of `size` octets."""
    return [message[i : i + size] for i in range(0, len(message), size)]


def chunk(body: bytes, size: int) -> bytes:
    """Give a body in the chunked coding, `size` octets in a chunk (RFC 9112 7.1)."""
    parts = (body[i : i + size] for i in range(0, len(body), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def _json(number: int, size: int) -> bytes:
    """Make a JSON body of exactly `size` octets."""
    head = b'{"aid":"EKC8085pwSwzLwUGzh-HrEoFDwZnCJq27bVp5atdMT9o","sn":%06d,"items":[' % number
    items = b",".join(b'"%08d"' % item for item in range((size - len(head) - 10) // 11))
    body = head + items + b'],"x":"'
    return body + b"x" * (size - len(body) - 2) + b'"}'


def _fields(number: int, length: int) -> list[bytes]:
    """Make the eleven fields of the small response; three values depend on `number`."""
    return [
        b"Server: nginx/1.22.1",
        b"Date: Sun, 22 Nov 2026 14:%02d:%02d GMT" % (number // 60 % 60, number % 60),
        b"Content-Type: application/json",
        b"Content-Length: %d" % length,
        b"Connection: keep-alive",
        b"Cache-Control: no-cache, no-store",
        b'ETag: "%08x-%03x"' % (number * 2654435761 % 2**32, number % 4096),
        b"Vary: Accept-Encoding",
        b"X-Request-Id: 0123456789abcdef%08d" % number,
        b"X-Frame-Options: DENY",
        b"Strict-Transport-Security: max-age=31536000; includeSubDomains",
    ]


def _join(fields: list[bytes], body: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", *fields, b"", body])


def small(number: int = 0) -> bytes:
    """Make a JSON response of 731 octets with eleven fields; three values tell `number`."""
    length = SMALL_SIZE - len(_join(_fields(number, 300), b""))
    return _join(_fields(number, length), _json(number, length))


def _first_seen(number: int, rng: random.Random) -> bytes:
    """Make the same with every value but the length new and the fields in another order."""
    fields = [
        field if field.startswith(b"Content-Length") else field + b"; v=%04d" % number
        for field in _fields(number, 300)
    ]
    length = SMALL_SIZE - len(_join(fields, b""))
    fields[3] = b"Content-Length: %d" % length
    rng.shuffle(fields)
    return _join(fields, _json(number, length))


def _plain_fields(framing: bytes) -> list[bytes]:
    return [b"Server: nginx/1.22.1", b"Content-Type: text/plain", framing]


def _chunked(size: int, each: int, feed: int | None = None) -> tuple[list[Pieces], bytes, int]:
    body = bytes(range(32, 96)) * (size // 64)
    message = _join(_plain_fields(b"Transfer-Encoding: chunked"), chunk(body, each))
    return [cut(message, feed or len(message))], body, 3


def _many(makers: list[bytes]) -> tuple[list[Pieces], bytes, int]:
    return [[message] for message in makers], makers[-1].partition(b"\r\n\r\n")[2], 11


def drip(octets: int) -> Case:
    """Make a response of about so many octets, half of it one long field line, for byte by byte."""
    value = b"v" * (octets // 2)
    body = b"b" * (octets // 2)
    fields = [*_plain_fields(b"Content-Length: %d" % len(body)), b"X-Long: " + value]
    return Case("drip", "", [cut(_join(fields, body), 1)], body, 4)


def make_case(name: str) -> Case:
    """Make one of `CASES`."""
    rng = random.Random(731)
    messages: list[Pieces]
    if name == "small":
        messages, body, fields = _many([small(number) for number in range(VARIETY)])
    elif name == "first-seen":
        messages, body, fields = _many([_first_seen(number, rng) for number in range(VARIETY)])
    elif name == "same":
        messages, body, fields = _many([small()] * VARIETY)
    elif name == "chunks-64":
        messages, body, fields = _chunked(64 * KIB, 64)
    elif name == "chunks-4k":
        messages, body, fields = _chunked(64 * KIB, 4 * KIB)
    elif name == "chunks-16k-fed-8k":
        messages, body, fields = _chunked(KIB * KIB, 16 * KIB, 8 * KIB)
    elif name == "chunks-16k-fed-64k":
        messages, body, fields = _chunked(KIB * KIB, 16 * KIB, 64 * KIB)
    elif name == "length-1m":
        body = bytes(range(32, 96)) * (16 * KIB)
        message = _join(_plain_fields(b"Content-Length: %d" % len(body)), body)
        messages, fields = [cut(message, 64 * KIB)], 3
    elif name == "bytewise":
        messages = [cut(small(number), 1) for number in range(10)]
        body, fields = small(9).partition(b"\r\n\r\n")[2], 11
    else:
        raise ValueError(f"no such case: {name!r}")
    return Case(name, CASES[name], messages, body, fields)


#: Names and titles of the cases.
CASES = {
    "small": f"{SMALL_SIZE}-octet JSON response, 11 fields, three values change each time",
    "first-seen": "the same size, a head never seen before: all values new, other order",
    "same": "the same small response again and again",
    "chunks-64": "chunked 64 KiB in 64 B chunks",
    "chunks-4k": "chunked 64 KiB in 4 KiB chunks",
    "chunks-16k-fed-8k": "chunked 1 MiB in 16 KiB chunks, fed 8 KiB at a time",
    "chunks-16k-fed-64k": "chunked 1 MiB in 16 KiB chunks, fed 64 KiB at a time",
    "length-1m": "1 MiB with Content-Length, fed 64 KiB at a time",
    "bytewise": f"the small response ({SMALL_SIZE} octets) byte by byte",
}

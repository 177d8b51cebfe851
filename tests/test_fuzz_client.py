"""Client against responses broken at random: it never raises, and each request ends once.

FASTHIO_FUZZ sets the number of exchanges; the default keeps the suite quick.
"""

from __future__ import annotations

import gzip
import os
import random
from typing import Any

import pytest

from fasthio.clienting import Client
from servers import CLOSE, HALF, RESET, Drip, Loop, Request, Server, Wait

COUNT = int(os.environ.get("FASTHIO_FUZZ", "1200"))

SEEDS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nT: u\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nhello",
    b"HTTP/1.1 302 Found\r\nLocation: /there?x=%20\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 308 P\r\nLocation: http://user:pw@127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 301 M\r\nLocation: //[::1]:99999/\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 204 None\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
    + b'{"a": 1}\n',
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nid: 1\ndata: x\n\nretry: 5\n\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"9\r\ndata: x\n\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b"
    % (len(gzip.compress(b"x" * 99)), gzip.compress(b"x" * 99)),
    b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\n\r\nother",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\nSet-Cookie: a\r\n"
    b"Set-Cookie: b\r\n\r\nhello",
]
PIECES = [
    b"\r\n",
    b"\n",
    b"\r",
    b":",
    b" ",
    b"\0",
    b"\xff",
    b"0",
    b"-1",
    b"chunked",
    b",",
    b"HTTP/",
]


def mutate(chance: random.Random, octets: bytes) -> bytes:
    """Break octets in a few places."""
    result = bytearray(octets)
    for _ in range(chance.choice([0, 1, 1, 1, 2, 4])):
        at = chance.randrange(len(result) + 1)
        how = chance.randrange(5)
        if how == 0:
            del result[at : at + chance.randrange(1, 8)]
        elif how == 1:
            result[at:at] = chance.choice(PIECES)
        elif how == 2 and at < len(result):
            result[at] = chance.randrange(256)
        elif how == 3:
            result[at:at] = result[at : at + chance.randrange(1, 40)]
        else:
            result[at:at] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 5)))
    return bytes(result)


def script(chance: random.Random) -> list[Any]:
    steps: list[Any] = []
    for _ in range(chance.randrange(1, 4)):
        octets = mutate(chance, chance.choice(SEEDS))
        size = chance.choice([0, 0, 1, 7])
        steps += [Request(), Drip(octets, size) if size and octets else octets]
    steps += [Wait(chance.randrange(3)), chance.choice([CLOSE, RESET, HALF])]
    return steps


@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("no_names")
@pytest.mark.parametrize("seed", range(4))
def test_broken_responses(seed: int) -> None:
    chance = random.Random(seed)
    answered = 0
    count = COUNT // 4
    while answered < count:
        kwa: dict[str, Any] = {
            "reconnectable": chance.random() < 0.5,
            "tymeout": chance.choice([0.0, 0.05]),
            "timeout": 1.0,
            "decode": chance.random() < 0.3,
            "redirectable": chance.random() < 0.8,
            "dictable": chance.random() < 0.3,
        }
        if chance.random() < 0.2:
            kwa["maxBody"] = chance.randrange(8)
        with Server(pick=lambda number: script(chance)) as server, Loop(server) as loop:
            client = loop.client(Client, server, **kwa)
            total = chance.randrange(1, 8)
            for number in range(total):
                client.request(method=chance.choice(["GET", "POST", "HEAD", "PUT"]), reply=number)
            loop.run(client, until=lambda c=client, n=total: len(c.responses) == n, rounds=5000)
            loop.rounds(3, client)
            assert [r["request"]["reply"] for r in client.responses] == list(range(total))
            for response in client.responses:
                assert response["errored"] is (response["error"] is not None)
                if response["errored"]:
                    assert response["error"].code
                else:
                    assert 200 <= response["status"] <= 999 or response["status"] == 101
            assert not client.waited
            answered += total

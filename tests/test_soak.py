"""Many polls against a server that closes, resets, stalls and truncates at random.

FASTHIO_SOAK sets the number of polls; the default keeps the suite quick.
"""

from __future__ import annotations

import gc
import os
import random
import tracemalloc
from collections import Counter
from typing import Any

import pytest

from fasthio.clienting import Client
from servers import CLOSE, HALF, RESET, SILENT, Drip, Loop, Request, Server, Wait, answer

POLLS = int(os.environ.get("FASTHIO_SOAK", "3000"))


def echo(request: bytes) -> bytes:
    """Answer with the target that was asked for."""
    return answer(request.split()[1])


def echo_chunked(request: bytes) -> bytes:
    target = request.split()[1]
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + (
        b"1\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (target[:1], len(target) - 1, target[1:])
    )


def echo_close(request: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\n\r\n" + request.split()[1]


def cut(chance: random.Random) -> Any:
    """Answer, cut off somewhere before its last octet."""
    whole = chance.choice([echo, echo_chunked])
    where = chance.random()

    def truncated(request: bytes) -> bytes:
        octets = whole(request)
        return octets[: int(where * (len(octets) - 5))]

    return truncated


def script(chance: random.Random) -> list[Any]:
    """Write what one connection does."""
    steps: list[Any] = []
    for _ in range(chance.randrange(0, 8)):
        steps += [Request(), chance.choice([echo, echo_chunked])]
        if chance.random() < 0.1:
            steps.append(Wait(chance.randrange(1, 4)))
    last = chance.randrange(10)
    if last == 0:
        steps += [Request(), cut(chance), chance.choice([CLOSE, RESET, HALF])]
    elif last == 1:
        steps += [Request(), SILENT]
    elif last == 2:
        steps += [Request(), echo_close, CLOSE]
    elif last == 3:
        steps += [Request(), echo, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"]
    elif last == 4:
        steps += [Request(), b"\x16\x03garbage\r\n"]
    elif last == 5:
        steps += [Request(), chance.choice([CLOSE, RESET])]
    elif last == 6:
        steps += [Request(), Drip(answer(b"", 204)[:-9], 3), CLOSE]
    elif last == 7:
        steps += [Wait(chance.randrange(3)), chance.choice([CLOSE, RESET])]
    else:
        steps += [chance.choice([CLOSE, RESET, HALF])]
    return steps


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("reconnectable", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_every_poll_is_accounted_for(seed: int, reconnectable: bool) -> None:
    chance = random.Random(seed)
    count = POLLS // 6
    outcomes: Counter[str] = Counter()
    with Server(pick=lambda number: script(chance)) as server, Loop(server) as loop:
        client = loop.client(Client, server, reconnectable=reconnectable, tymeout=0.02, timeout=0.5)
        queued = answered = 0
        for _ in range(count * 100):
            while queued - answered < 5 and queued < count:
                method = chance.choice(["GET", "GET", "POST", "PUT", "HEAD"])
                if method == "HEAD":
                    method = "GET"
                client.request(method=method, path=f"/{queued}", body=b"x", reply=queued)
                queued += 1
            loop.round(client)
            if not reconnectable and client.connector.cutoff and not client.waited:
                client.reopen()
            while client.responses:
                response = client.responses.popleft()
                assert response["request"]["reply"] == answered
                if response["errored"]:
                    outcomes[response["error"].code] += 1
                elif response["status"] == 200:
                    outcomes["right"] += 1
                    assert bytes(response["body"]) == b"/%d" % answered
                answered += 1
            server.reap()
            if answered == count:
                break
        assert answered == count
        assert not client.requests
        assert not client.waited
        assert outcomes["right"] > count // 4, outcomes
        assert len(client.connector.rxbs) == len(client.connector.txbs) == 0


def test_memory_is_flat() -> None:
    """What exchanges leave behind does not grow with their number."""
    chance = random.Random(7)
    sizes = []
    with Server(pick=lambda number: script(chance)) as server, Loop(server) as loop:
        client = loop.client(Client, server, reconnectable=True, timeout=0.5)
        tracemalloc.start()
        try:
            for _ in range(4):
                for number in range(150):
                    client.request(path=f"/{number}")
                loop.run(client, until=lambda: len(client.responses) == 150, rounds=50_000)
                client.responses.clear()
                server.reap()
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
    assert sizes[-1] < sizes[0] + 50_000, sizes

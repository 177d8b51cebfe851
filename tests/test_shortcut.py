"""Polls that go without a Client come to what they come to with one, whatever the server does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from fasthio import socketing
from fasthio.attempting import Attempter
from fasthio.pacing import Backoff, Circuit
from fasthio.polling import Poller
from fasthio.results import PollResult
from fasthio.shortcut import SIZE
from servers import CLOSE, HALF, OK, RESET, Drip, Loop, Request, Server, Wait, answer
from stages import HOSTILE

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"

#: What a server says to a second request on its connection: octets, or a whole script.
ANSWERS: dict[str, Any] = {
    "plain": HEAD + b"\r\nplain",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "not modified": b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n',
    "chunked": CHUNKED + b"\r\n3\r\nabc\r\n0\r\n\r\n",
    "trailers": CHUNKED + b"\r\n3;a=b\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
    "interim": b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + HEAD + b"\r\nplain",
    "missing": b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
    "busy": b"HTTP/1.1 503 Busy\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n",
    "empty reason": b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
    "folded": HEAD + b"X-Long: a\r\n  b\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\nplain",
    "obs-text": HEAD + b"X-Text: \xe4\xff\r\n\r\nplain",
    "keeps alive": HEAD + b"Connection: keep-alive\r\n\r\nplain",
    "closes": HEAD + b"Connection: close\r\n\r\nplain",
    "closes by the way": HEAD + b"Connection: x, Close\r\n\r\nplain",
    "says both": HEAD + b"Connection: keep-alive\r\nConnection: close\r\n\r\nplain",
    "1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "1.0 that stays": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
    "until close": [Request(), b"HTTP/1.1 200 OK\r\n\r\nabc", CLOSE],
    "conflict": CHUNKED + b"Content-Length: 9\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "events": HEAD.replace(b"5", b"9") + b"Content-Type: Text/Event-Stream\r\n\r\ndata: x\n\n",
    "elsewhere": answer(b"", 302, Location="/other"),
    "multiple choices": b"HTTP/1.1 300 Choose\r\nContent-Length: 0\r\n\r\n",
    "switching": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
    "more than was asked for": OK + OK,
    "less than was promised": [Request(), OK[:-1], CLOSE],
    "one octet after the other": [Request(), Drip(CHUNKED + b"\r\n3\r\nabc\r\n0\r\n\r\n", 1)],
    "in two parts": [Request(), OK[:20], Wait(2), OK[20:]],
    "large": b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000,
    # the head has 42 octets
    "as large as can be": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (SIZE - 42)
    + b"x" * (SIZE - 42),
    "closed": [CLOSE],
    "closed after the request": [Request(), CLOSE],
    "half closed": [Request(), HALF],
    "reset": [Request(), RESET],
    "reset in the body": [Request(), OK[:-1], RESET],
    "said before it was asked": [OK, Request()],
    **{f"hostile: {case}": script for case, (script, _, _) in HOSTILE.items()},
}
assert len(ANSWERS["as large as can be"]) == SIZE


@pytest.fixture
def loop() -> Iterator[Loop]:
    with Loop(tock=0.01) as loop:
        yield loop


def told(result: PollResult) -> dict[str, Any]:
    """Give all that must be the same."""
    said = result.as_dict()
    for name in ("time", "label", "url", "latency", "connect", "first", "due"):
        del said[name]
    said["connected"] = result.latency is not None and result.latency.connect is not None
    said["first"] = result.latency is not None and result.latency.first is not None
    said["headers"] = None if result.headers is None else list(result.headers.items())
    said["body"] = bytes(result.body)
    if result.reason in ("too-many-events", "body-too-large"):
        # how much had come by then is the system's affair
        del said["octets"], said["body"]
    said["phrase"] = result.phrase
    said["events"] = result.events
    return said


def run(script: list[Any], short: bool, spy: list[Any], **options: Any) -> list[Any]:
    """Poll four times over connections on each of which a plain answer comes first."""
    with contextlib.ExitStack() as stack:
        loop = stack.enter_context(Loop(tock=0.01))
        server = stack.enter_context(Server([Request(), OK, *script]))
        loop.servers.append(server)
        poller = Poller(tymth=loop.tymth, clock=loop.tymth, wall=loop.tymth, openings=1e6, seed=1)
        loop.clients.append(poller)
        options = {
            "every": 1.0,
            "timeout": 0.8,
            "count": 4,
            "max_body": 1_000_000,
            "backoff": Backoff(factor=1.0),
            "circuit": Circuit(failures=0),
            **options,
        }
        target = poller.add(f"http://127.0.0.1:{server.port}/a%20b?c=1&c=2", **options)
        if not short:
            target._short = False
        sent = Attempter._send
        spied = pytest.MonkeyPatch()
        spied.setattr(Attempter, "_send", lambda *pa: (spy.append(pa), sent(*pa)))
        try:
            loop.run(poller, until=lambda: poller.done, rounds=3000)
        finally:
            spied.undo()
        requests = [request.replace(b"%d" % server.port, b"PORT") for request in server.requests]
        return [*map(told, poller.results), requests, len(server.links)]


@pytest.mark.parametrize("case", ANSWERS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"retries": 1, "expect": (200, 404), "every": 0.0},
        {"method": "POST", "body": "x" * 9},
        {"conditional": True},
    ],
    ids=["get", "retries", "post", "conditional"],
)
def test_same_either_way(case: str, options: dict[str, Any]) -> None:
    """Results, requests and connections are the same with a client and without."""
    said = ANSWERS[case]
    script = said if isinstance(said, list) else [Request(), said, Request(), OK]
    short: list[Any] = []
    long: list[Any] = []
    assert run(script, True, short, **options) == run(script, False, long, **options)
    # before a request is sent the connection is seen to be closed, or to be given up
    early = case in ("closed", "said before it was asked") or case.endswith("at once")
    # where a socket is no descriptor there is one way only
    assert short or early if socketing._DIRECT else not short
    assert not long


def test_head_has_no_body(loop: Loop) -> None:
    """The method is known."""
    with Server([Request(), HEAD + b"\r\n"] * 3) as server:
        loop.servers.append(server)
        poller = Poller(tymth=loop.tymth, clock=loop.tymth, openings=1e6)
        loop.clients.append(poller)
        poller.add(f"http://127.0.0.1:{server.port}/", method="HEAD", every=0.1, count=3)
        loop.run(poller, until=lambda: poller.done, rounds=3000)
        assert [(result.outcome, result.body) for result in poller.results] == [("ok", b"")] * 3
        assert len(server.links) == 1


def test_a_request_that_does_not_go_at_once(loop: Loop) -> None:
    """What the system does not take at once is sent by the client."""
    body = bytes(range(256)) * 40_000
    with Server([Request(), OK, Request(), OK]) as server:
        loop.servers.append(server)
        poller = Poller(tymth=loop.tymth, clock=loop.tymth, openings=1e6)
        loop.clients.append(poller)
        poller.add(f"http://127.0.0.1:{server.port}/", method="POST", body=body, every=0.0, count=2)
        loop.run(poller, until=lambda: poller.done, rounds=3000)
        assert [result.outcome for result in poller.results] == ["ok", "ok"]
        assert [request.partition(b"\r\n\r\n")[2] == body for request in server.requests] == [
            True,
            True,
        ]


def test_targets_that_share_a_connection_keep_their_requests(loop: Loop) -> None:
    """On one connection each target's own request goes out, through the client or not."""
    script = [Request(), OK] * 3 + [Request(), OK[:9], Wait(1), OK[9:]] * 3 + [Request(), OK] * 90
    with Server(script) as server:
        loop.servers.append(server)
        poller = Poller(tymth=loop.tymth, clock=loop.tymth, openings=1e6, connections_per_origin=1)
        loop.clients.append(poller)
        for number in range(3):
            poller.add(
                f"http://127.0.0.1:{server.port}/{number}", headers={"X-N": str(number)},
                every=0.1, count=10, label=str(number),
            )  # fmt: skip
        loop.run(poller, until=lambda: poller.done, rounds=3000)
        assert [result.outcome for result in poller.results] == ["ok"] * 30
        assert len(server.links) == 1
        for number, result in enumerate(poller.results):
            request = server.requests[number]
            assert request.startswith(b"GET /%s HTTP" % result.label.encode())
            assert b"X-N: %s\r\n" % result.label.encode() in request


def test_a_request_that_closes_its_connection_is_the_clients(loop: Loop) -> None:
    """A target that asks for `Connection: close` gets a connection for each poll."""
    with Server([Request(), OK]) as server:
        loop.servers.append(server)
        poller = Poller(tymth=loop.tymth, clock=loop.tymth, openings=1e6)
        loop.clients.append(poller)
        poller.add(
            f"http://127.0.0.1:{server.port}/", headers={"connection": "close"}, every=0.1, count=3
        )
        loop.run(poller, until=lambda: poller.done, rounds=3000)
        assert [result.outcome for result in poller.results] == ["ok"] * 3
        assert len(server.links) == 3

"""Servers and pollers on one tyme, over real sockets on loopback; hostile scripts among them."""

from __future__ import annotations

import contextlib
import ssl
from typing import Any

import pytest

from fasthio.polling import Poller
from fasthio.results import OUTCOMES, PollResult
from servers import CLOSE, HALF, OK, RESET, SILENT, Drip, Loop, Request, Server, answer

ALWAYS = [Request(), OK] * 200


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make a context for a server at 127.0.0.1, and one that trusts it."""
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(ours)
    theirs = ssl.create_default_context()
    authority.configure_trust(theirs)
    return ours, theirs


class Stage:
    """Servers, and pollers on one tyme."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.stack = stack
        self.loop = stack.enter_context(Loop(tock=0.01))

    def server(self, *scripts: Any, **kwa: Any) -> Server:
        server = self.stack.enter_context(Server(*scripts, **kwa))
        self.loop.servers.append(server)
        return server

    def poller(self, **kwa: Any) -> Poller:
        kwa.setdefault("openings", 1e6)
        tymth = self.loop.tymth
        poller = Poller(tymth=tymth, clock=tymth, **kwa)
        self.loop.clients.append(poller)
        return poller

    def results(self, poller: Poller, count: int, rounds: int = 3000) -> list[PollResult]:
        self.loop.run(poller, until=lambda: len(poller.results) >= count, rounds=rounds)
        results = list(poller.results)
        poller.results.clear()
        assert {result.outcome for result in results} <= set(OUTCOMES)
        return results

    def one(self, server: Server, **options: Any) -> PollResult:
        """Poll once."""
        poller = self.poller()
        poller.add(url(server), count=1, **options)
        (result,) = self.results(poller, 1)
        assert poller.done
        assert poller.connections == 0
        return result


def url(server: Server, path: str = "/") -> str:
    return f"{'https' if server.context else 'http'}://127.0.0.1:{server.port}{path}"


HOSTILE = {
    "silent": ([SILENT], "timeout", "timeout-first"),
    "silent after the request": ([Request(), SILENT], "timeout", "timeout-first"),
    "stalls in the head": ([Request(), b"HTTP/1.1 200 OK\r\nA: b\r\n", SILENT], "timeout", "total"),
    "stalls in the body": ([Request(), OK[:-1], SILENT], "timeout", "timeout-total"),
    "drips": ([Request(), Drip(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 90, 1)], "timeout", "total"),
    "drips a body": (
        [Request(), b"HTTP/1.1 200 OK\r\n\r\n", Drip(b"x" * 9999, 1)],
        "timeout",
        "timeout-total",
    ),
    "endless fields": ([Request(), b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 9999], "error", "fields"),
    "an endless line": ([Request(), b"HTTP/1.1 200 OK\r\nA: " + b"b" * 999_999], "error", "line"),
    "an endless body": (
        [Request(), b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 3_000_000],
        "error",
        "body-too-large",
    ),
    "a huge length": (
        [Request(), b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999\r\n\r\n"],
        "error",
        "body-too-large",
    ),
    "endless interims": ([Request(), b"HTTP/1.1 100 Go\r\n\r\n" * 9999], "error", "interims"),
    "garbage": ([Request(), b"\x16\x03\x01\x02\x00" * 99], "error", "bad-start"),
    "garbage at once": ([b"SSH-2.0-OpenSSH_9.2\r\n"], "error", ""),
    "reset": ([Request(), RESET], "error", "reset"),
    "reset at once": ([RESET], "error", ""),
    "reset in the body": ([Request(), OK[:-1], RESET], "error", ""),
    "close": ([Request(), CLOSE], "error", "closed-before-start"),
    "close at once": ([CLOSE], "error", ""),
    "half close": ([Request(), HALF], "error", "closed-before-start"),
    "close in the body": ([Request(), OK[:-1], CLOSE], "error", "closed-in-body"),
    "bad chunks": (
        [Request(), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
        "error",
        "bad-chunk-size",
    ),
    "contradicts itself": (
        [Request(), b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"],
        "error",
        "differing-lengths",
    ),
    "endless events": (
        [
            Request(),
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
            b"data: x\n\n" * 50_000,
        ],
        "error",
        "too-many-events",
    ),
    "redirects in circles": ([Request(), answer(b"", 302, Location="/")] * 50, "error", "redirect"),
}

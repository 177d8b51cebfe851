"""A scripted server for tests: each connection plays its own script, on loopback.

It runs in the test's own thread, one step at each `step()`, as hio's clients do:
so a test decides what happens first, and nothing can hang.

A script is a list of steps, taken one after the other:
    bytes            send these octets
    Request()        wait until a whole request has come
    Wait(n)          let n steps go by
    CLOSE            close, with whatever is unread left unread
    RESET            close with a reset
    HALF             say that nothing more will be sent (shutdown of one side)
    Drip(octets, n)  send these, n at each step
    a function       called with the last request; the octets it gives are sent
    SILENT           never do anything again
A script that is at its end leaves the connection open.
"""

from __future__ import annotations

import contextlib
import copy
import errno
import socket
import ssl
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hio.base import tyming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

CLOSE = "close"
RESET = "reset"
HALF = "half"
SILENT = "silent"

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Request:
    """Wait for a request; its octets go into the server's `requests`."""


@dataclass
class Wait:
    """Let steps go by."""

    steps: int


@dataclass
class Drip:
    """Send octets a few at a time."""

    octets: bytes
    size: int = 1


def answer(
    body: bytes = b"ok", status: int = 200, version: str = "1.1", **fields: str | int
) -> bytes:
    """Make a response with a Content-Length."""
    lines = [f"HTTP/{version} {status} Reason", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def whole(octets: bytes) -> int:
    """Give the length of the request at the front, 0 while it is not whole."""
    end = octets.find(b"\r\n\r\n")
    if end < 0:
        return 0
    size = end + 4
    for line in octets[:end].split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            size += int(value)
    return size if len(octets) >= size else 0


@dataclass
class Link:
    """One accepted connection and where its script is."""

    cs: Any
    script: list[Any]
    received: bytearray = field(default_factory=bytearray)
    pending: bytearray = field(default_factory=bytearray)
    drip: Drip | None = None
    waiting: int = 0
    ended: bool = False  # we have closed
    gone: bool = False  # the client has closed
    shaking: bool = False


class Server:
    """Accept connections and play a script on each.

    Args:
        scripts: one script for each connection, in order; the last one repeats.
        context: TLS context, None for plain.
        family: address family.
        listening: False to bind and not to listen, so that connects are refused.
        pick: gives the script for connection number n instead of `scripts`.
    """

    def __init__(
        self,
        *scripts: Sequence[Any],
        context: ssl.SSLContext | None = None,
        family: int = socket.AF_INET,
        listening: bool = True,
        pick: Callable[[int], Sequence[Any]] | None = None,
    ) -> None:
        self.scripts = [list(script) for script in scripts]
        self.context = context
        self.pick = pick
        self.requests: list[bytes] = []
        self.links: list[Link] = []
        self.ss = socket.socket(family, socket.SOCK_STREAM)
        self.ss.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.ss.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self.ss.setblocking(False)
        self.port: int = self.ss.getsockname()[1]
        self.listening = False
        if listening:
            self.listen()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def listen(self) -> None:
        """Begin to take connections."""
        self.ss.listen(64)
        self.listening = True

    def close(self) -> None:
        """Close everything."""
        for link in self.links:
            link.cs.close()
        self.ss.close()

    def reap(self, keep: int = 2) -> None:
        """Close and forget all connections but the newest; their requests too."""
        old = max(len(self.links) - keep, 0)
        for link in self.links[:old]:
            link.cs.close()
        del self.links[:old]
        del self.requests[: max(len(self.requests) - keep, 0)]

    @property
    def url(self) -> str:
        """URL of the server."""
        return f"{'https' if self.context else 'http'}://localhost:{self.port}"

    def step(self) -> None:
        """Do what there is to do now."""
        while self.listening:
            try:
                cs, _ = self.ss.accept()
            except BlockingIOError:
                break
            cs.setblocking(False)
            cs.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            number = len(self.links)
            if self.pick is not None:
                script = list(self.pick(number))
            else:
                script = copy.deepcopy(self.scripts[min(number, len(self.scripts) - 1)])
            link = Link(cs, script)
            if self.context is not None:
                link.cs = self.context.wrap_socket(
                    cs, server_side=True, do_handshake_on_connect=False
                )
                link.shaking = True
            self.links.append(link)
        for link in self.links:
            if not link.ended:
                with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    self._play(link)

    def _play(self, link: Link) -> None:
        if link.shaking:
            if link.script and isinstance(link.script[0], Wait):
                link.script[0].steps -= 1
                if link.script[0].steps <= 0:
                    link.script.pop(0)
                return
            if link.script and link.script[0] in (CLOSE, RESET, SILENT):
                self._end(link, link.script.pop(0))
                return
            try:
                link.cs.do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except OSError:
                link.ended = True
                link.cs.close()
                return
            link.shaking = False
        self._receive(link)
        while not link.ended:
            if link.pending:
                try:
                    sent = link.cs.send(link.pending)
                except OSError as error:
                    if error.errno in (errno.EAGAIN, ssl.SSL_ERROR_WANT_WRITE):
                        return
                    link.pending.clear()
                    link.script.clear()
                    return
                del link.pending[:sent]
                if link.pending:
                    return
            if link.drip is not None:
                chunk = link.drip.octets[: link.drip.size]
                link.drip.octets = link.drip.octets[link.drip.size :]
                if not link.drip.octets:
                    link.drip = None
                link.pending += chunk
                if link.drip is not None:
                    with contextlib.suppress(OSError):
                        del link.pending[: link.cs.send(link.pending)]
                    return
                continue
            if link.waiting:
                link.waiting -= 1
                return
            if not link.script:
                return
            step = link.script[0]
            if isinstance(step, Request):
                size = whole(bytes(link.received))
                if not size:
                    return
                self.requests.append(bytes(link.received[:size]))
                del link.received[:size]
            elif isinstance(step, (bytes, bytearray)):
                link.pending += step
            elif isinstance(step, Wait):
                link.waiting = step.steps
            elif isinstance(step, Drip):
                link.drip = Drip(step.octets, step.size)
            elif callable(step):
                link.pending += step(self.requests[-1])
            else:
                link.script.pop(0)
                self._end(link, step)
                return
            link.script.pop(0)

    def _receive(self, link: Link) -> None:
        while not link.gone:
            try:
                octets = link.cs.recv(65536)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except OSError:
                link.gone = True
                return
            if not octets:
                link.gone = True
                return
            link.received += octets

    def _end(self, link: Link, how: str) -> None:
        if how == SILENT:
            link.script = []
            link.shaking = False
            link.ended = True
            return
        if how == HALF:
            with contextlib.suppress(OSError):
                link.cs.shutdown(socket.SHUT_WR)
            return
        link.ended = True
        if how == RESET:
            link.cs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif isinstance(link.cs, ssl.SSLSocket) and not link.shaking:
            with contextlib.suppress(OSError, ValueError):
                link.cs.unwrap()
        link.cs.close()


class Loop:
    """Step servers and service clients in turn, with a tymist of their own.

    Args:
        servers: what to step.
        tock: seconds of tyme that go by in each round.
    """

    def __init__(self, *servers: Any, tock: float = 0.01) -> None:
        self.tymist = tyming.Tymist(tyme=0.0, tock=tock)
        self.servers = list(servers)
        self.clients: list[Any] = []

    def __enter__(self) -> Loop:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.clients:
            client.close()

    def client(self, cls: Any, server: Any = None, **kwa: Any) -> Any:
        """Make a client on this loop's tyme; it is closed with the loop."""
        if server is not None:
            kwa.setdefault("hostname", "127.0.0.1")
            kwa.setdefault("port", server.port)
        client = cls(tymth=self.tymth, **kwa)
        self.clients.append(client)
        return client

    @property
    def tymth(self) -> Callable[[], float]:
        """Tyme for clients."""
        return self.tymist.tymen()  # type: ignore[no-any-return]

    def round(self, *clients: Any) -> None:
        """Service all once."""
        for server in self.servers:
            server.step()
        for client in clients:
            client.service()
        for server in self.servers:
            server.step()
        self.tymist.tick()

    def run(self, *clients: Any, until: Callable[[], Any], rounds: int = 2000) -> None:
        """Service until a condition holds; fail after so many rounds."""
        for _ in range(rounds):
            if until():
                return
            self.round(*clients)
        raise AssertionError(f"not within {rounds} rounds")

    def rounds(self, count: int, *clients: Any) -> None:
        """Service so many times."""
        for _ in range(count):
            self.round(*clients)


def fields_of(request: bytes) -> dict[str, str]:
    """Read the fields of a request, names in lower case."""
    head = request.partition(b"\r\n\r\n")[0].decode("iso-8859-1")
    pairs: Iterable[list[str]] = (line.split(":", 1) for line in head.split("\r\n")[1:])
    return {name.lower(): value.strip() for name, value in pairs}


JSON = answer(b'{"a": [1, null], "b": {"c": "d"}}', Content_Type="application/json")

"""Waiting for sockets: the selector, and a Doist that waits in it instead of sleeping."""

from __future__ import annotations

import select
import selectors
import socket
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from hio.base import doing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["READ", "WRITE", "Readable", "ReadyDoist", "Waker", "make_readiness"]

#: What to wait for; the values of epoll, so that it takes them as they are.
READ: Final = 1
WRITE: Final = 4
#: Tell only once about what has become ready. Linux alone.
EDGE: Final = 1 << 31
#: Part of the time between two cycles that extra runs may take, and seconds that are free.
SHARE: Final = 0.5
GRACE: Final = 0.001


class Readiness(Protocol):
    """What tells which sockets are ready: `select.epoll`, or the like."""

    def register(self, fd: int, mask: int) -> None:
        """Watch a descriptor for a mask of READ and WRITE."""

    def modify(self, fd: int, mask: int) -> None:
        """Watch a descriptor for another mask."""

    def unregister(self, fd: int) -> None:
        """Watch a descriptor no more; OSError where it is not watched or closed."""

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        """Wait, at most so many seconds, and give descriptors with what they are ready for."""

    def fileno(self) -> int:
        """Give the descriptor that is readable while one watched is ready; -1 for none."""

    def close(self) -> None:
        """Free what the system gave."""


class SelectorReadiness:
    """The same from the standard library's selectors, where there is no epoll."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def register(self, fd: int, mask: int) -> None:
        """Watch a descriptor."""
        if fd in self._selector.get_map():  # of a socket closed since; epoll forgets by itself
            self._selector.unregister(fd)
        self._selector.register(fd, _events(mask))

    def modify(self, fd: int, mask: int) -> None:
        """Watch a descriptor for another mask."""
        self._selector.modify(fd, _events(mask))

    def unregister(self, fd: int) -> None:
        """Watch a descriptor no more."""
        try:
            self._selector.unregister(fd)
        except (KeyError, ValueError) as error:
            raise OSError(f"descriptor {fd} is not watched") from error

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        """Wait, and give what is ready."""
        if not self._selector.get_map() and sys.platform == "win32":  # pragma: no cover
            time.sleep(max(0.0, timeout))  # select refuses to wait for nothing there
            return []
        found: dict[int, int] = {}
        for key, events in self._selector.select(timeout):  # kqueue tells of each event by itself
            mask = READ if events & selectors.EVENT_READ else 0
            mask |= WRITE if events & selectors.EVENT_WRITE else 0
            found[key.fd] = found.get(key.fd, 0) | mask
        return list(found.items())[:most]

    def fileno(self) -> int:
        """Give the descriptor of kqueue or devpoll; -1 where there is none."""
        fileno = getattr(self._selector, "fileno", None)
        return int(fileno()) if fileno is not None else -1

    def close(self) -> None:
        """Free what the system gave."""
        self._selector.close()


def _events(mask: int) -> int:
    events = selectors.EVENT_READ if mask & READ else 0
    return events | (selectors.EVENT_WRITE if mask & WRITE else 0)


def make_readiness() -> Readiness:
    """Make the best there is on this system: epoll itself on Linux."""
    if hasattr(select, "epoll"):
        return select.epoll()
    return SelectorReadiness()


class Waker:
    """Wake a wait from another thread or a signal handler."""

    def __init__(self) -> None:
        self._here, self._there = socket.socketpair()
        self._here.setblocking(False)
        self._there.setblocking(False)

    def fileno(self) -> int:
        """Give the descriptor that becomes readable."""
        return self._here.fileno()

    def wake(self) -> None:
        """Make it readable; harmless after `close`."""
        with suppress(OSError):  # full: then it is readable already
            self._there.send(b"\0")

    def clear(self) -> None:
        """Make it not readable."""
        with suppress(BlockingIOError):
            while len(self._here.recv(4096)) == 4096:
                pass

    def close(self) -> None:
        """Close both ends."""
        self._here.close()
        self._there.close()


class Readable(Protocol):
    """A doer that has something to do as soon as its descriptor is readable.

    Any doer with these two methods is taken for one.
    """

    def fileno(self) -> int:
        """Give the descriptor; -1 while there is none."""

    def ready(self) -> int:
        """Do it; give how much came of it that others may wait for."""


class _Watched:
    """A client that the Doist watches for its ClientDoer."""

    __slots__ = ("client", "cs", "fd", "last", "mask", "resting", "tried")

    def __init__(self, client: Any) -> None:
        self.client = client
        self.tried: Any = None  # connector, socket and refusals of an attempt to connect
        self.resting = False  # an attempt failed: the next one is the next cycle's
        self.last: Any = None  # response that others have had a run to take
        self.cs: Any = None
        self.fd = -1
        self.mask = 0


class ReadyDoist(doing.Doist):  # type: ignore[misc]  # hio has no types
    """Run doers as hio's Doist does, but wait for sockets instead of sleeping.

    In real time what has arrived is handled when it arrives, between two cycles:
    what is ready of a `PollerDoer`, and the client of each `ClientDoer`, also
    inside DoDoers. Then, as others may wait for that, the doers whose tock is 0
    ("as soon as possible") run once more. That takes at most half of the time
    between cycles, so that many of them do not eat up the processor. Tyme goes on
    by tocks as ever. Under `ado`, where hio has it, asyncio waits for the doers
    that can be waited for.

    Attributes:
        eager: False to leave the extra runs out.
        handled: how often something was handled between cycles.
    """

    if TYPE_CHECKING:
        tyme: float  # hio's property

    def __init__(self, *pa: Any, eager: bool = True, **kwa: Any) -> None:
        """Take the arguments of hio's Doist.

        Args:
            pa: as for hio's Doist.
            eager: False to leave out the extra runs of doers whose tock is 0.
            kwa: as for hio's Doist.
        """
        super().__init__(*pa, **kwa)
        self.eager = eager
        self.handled = 0
        self._readiness: Readiness | None = None
        self._edge = EDGE if hasattr(select, "EPOLLET") else 0
        self._doers: dict[int, Any] = {}  # what is watched: by descriptor, a Readable
        self._clients: dict[int, _Watched] = {}  # by id of the client
        self._watched: dict[int, _Watched] = {}  # by descriptor
        self._spent = 0.0  # seconds that extra runs have taken since the last cycle

    def do(self, *pa: Any, **kwa: Any) -> None:
        """Run as hio's Doist does; see there."""
        self._readiness = make_readiness()
        try:
            super().do(*pa, **kwa)
        finally:
            readiness, self._readiness = self._readiness, None
            readiness.close()
            self._doers.clear()
            self._clients.clear()
            self._watched.clear()

    def recur(self, deeds: Any = None) -> None:
        """Run all deeds once; then, within a real-time `do`, wait out the tock for sockets."""
        super().recur(deeds)
        if self._readiness is not None and self.real and deeds is None and self.deeds:
            self._wait(self._readiness)

    def _wait(self, readiness: Readiness) -> None:
        """Handle what arrives until it is time for the next cycle."""
        timer = self.timer
        remaining = timer.remaining
        if remaining <= 0.0:
            return
        began = time.monotonic()
        self._spent = 0.0
        for watched in self._clients.values():
            watched.resting = False
        # somebody may wait for what was handled
        waiting = self._watch(readiness) and self.eager
        while remaining > 0.0:
            timeout = remaining
            if waiting:
                now = time.monotonic()
                rest = (self._spent - GRACE) / SHARE - (now - began)
                if rest <= 0.0:
                    self._run_eager(now)
                    if not self.deeds:
                        return
                    waiting = self._watch(readiness)
                    remaining = timer.remaining
                    continue
                timeout = min(timeout, rest)
            for fd, _ in readiness.poll(timeout, 64):
                if self._handle(readiness, fd):
                    self.handled += 1
                    waiting = self.eager
            remaining = timer.remaining

    def _handle(self, readiness: Readiness, fd: int) -> int:
        doer = self._doers.get(fd)
        if doer is not None:
            return int(doer.ready())
        watched = self._watched.get(fd)
        if watched is None:
            return 0
        watched.client.service()
        if self._edge:
            self._watch_client(readiness, watched)
        else:
            # it would be ready again at once where nobody wants to read: once a cycle
            self._forget(readiness, watched)
        return 1

    # what is watched

    def _watch(self, readiness: Readiness) -> bool:
        """See which descriptors there are to be watched now.

        Returns:
            True where a response has come since the last time and was not taken.
        """
        doers: dict[int, Any] = {}
        clients: dict[int, Any] = {}
        for doer in _flatten(self.doers):
            if hasattr(doer, "ready") and hasattr(doer, "fileno"):
                fd = doer.fileno()
                if fd >= 0:
                    doers[fd] = doer
                continue
            client = getattr(doer, "client", None)
            if client is not None and getattr(client, "connector", None) is not None:
                clients[id(client)] = client
        for fd, doer in self._doers.items():
            # its number may be another's by now, and watched for a client
            if doers.get(fd) is not doer and fd not in self._watched:
                with suppress(OSError):  # closed since: it went by itself
                    readiness.unregister(fd)
        for fd, doer in doers.items():
            if self._doers.get(fd) is not doer:
                readiness.register(fd, READ)
        self._doers = doers
        for key in self._clients.keys() - clients.keys():
            self._forget(readiness, self._clients.pop(key))
        fresh = False
        for key, client in clients.items():
            watched = self._clients.get(key)
            if watched is None:
                watched = self._clients[key] = _Watched(client)
            self._watch_client(readiness, watched)
            if self._has_work(watched):
                # asked after its ClientDoer had its run: not to wait for the next one
                client.service()
                self._watch_client(readiness, watched)
            responses = getattr(client, "responses", None)
            last = responses[-1] if responses else None
            if last is not watched.last:
                watched.last = last
                fresh = fresh or last is not None
        return fresh

    def _watch_client(self, readiness: Readiness, watched: _Watched) -> None:
        connector = watched.client.connector
        cs = getattr(connector, "cs", None)
        if cs is not watched.cs:
            self._forget(readiness, watched)
        if _given_up(watched, connector, cs):
            watched.resting = True
        # what follows a refusal is a socket that nothing was begun on: always ready, for nothing
        if cs is None or connector.cutoff or (watched.resting and not connector.accepted):
            self._forget(readiness, watched)
            return
        mask = READ
        if not connector.accepted or (connector.connected and connector.txbs):
            mask |= WRITE
        if watched.cs is None:
            fd = cs.fileno()
            if fd < 0:
                return
            if fd in self._watched:  # of a socket that was closed
                self._forget(readiness, self._watched[fd])
            readiness.register(fd, mask | self._edge)
            watched.cs, watched.fd, watched.mask = cs, fd, mask
            self._watched[fd] = watched
        elif mask != watched.mask:
            readiness.modify(watched.fd, mask | self._edge)
            watched.mask = mask

    def _forget(self, readiness: Readiness, watched: _Watched) -> None:
        if watched.cs is None:
            return
        if self._watched.get(watched.fd) is watched:
            del self._watched[watched.fd]
            if watched.fd not in self._doers:  # else it is a doer's, the socket was closed
                with suppress(OSError):
                    readiness.unregister(watched.fd)
        watched.cs = None
        watched.fd = -1

    def _has_work(self, watched: _Watched) -> bool:
        """Tell whether an open client that is not connecting has a request to be sent."""
        client = watched.client
        return (
            watched.tried is None
            and getattr(client.connector, "cs", None) is not None
            and bool(getattr(client, "requests", None))
            and not getattr(client, "waited", True)
        )

    # extra runs

    def _run_eager(self, now: float) -> None:
        """Run the doers with tock 0 once more, at the present tyme."""
        tyme = self.tyme
        deeds = self.deeds
        for _ in range(len(deeds)):
            dog, retyme, doer = deeds.popleft()
            deeds.append((dog, retyme if getattr(doer, "tock", None) else tyme, doer))
        try:
            super().recur()
        finally:
            self.tyme = tyme  # it was no cycle
            self._spent += time.monotonic() - now


def _given_up(watched: _Watched, connector: Any, cs: Any) -> bool:
    """Take note of an attempt to connect; tell whether the one before it has failed."""
    before = watched.tried
    if cs is None or connector.accepted:
        watched.tried = None
        return False
    refusals = getattr(connector, "refusals", None)  # hio's connectors do not count them
    watched.tried = (connector, cs, refusals)
    if before is None or before[0] is not connector or before[1] is cs:
        return False
    # with another address to be tried, that attempt has begun
    return refusals is None or bool(refusals != before[2])


def _flatten(doers: Iterable[Any]) -> Iterator[Any]:
    """Go through doers and those inside DoDoers."""
    for doer in doers:
        yield doer
        inner = getattr(doer, "doers", None)
        if inner and isinstance(doer, doing.DoDoer):
            yield from _flatten(inner)

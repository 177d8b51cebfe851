"""Connections of the poller: Clients, what the selector knows of them, the polls they carry."""

from __future__ import annotations

import math
from collections import OrderedDict
from contextlib import suppress
from ssl import SSLSocket
from typing import TYPE_CHECKING, Any, Final

from hio.help import Hict

from .clienting import Client
from .connecting import Connector
from .engine import ResponseParser
from .exchanging import UNLINKED
from .grammar import LIMITS, Limits
from .responding import Respondent
from .waiting import READ, WRITE

if TYPE_CHECKING:
    from collections.abc import Callable
    from ssl import SSLContext

    from .exchanging import Exchange
    from .resolving import Address
    from .shortcut import Shortcut
    from .targets import Origin, Target
    from .waiting import Readiness

__all__ = ["Flight", "Key", "Line", "Lines", "key_of", "make_client", "poll_limits"]

#: Events of one poll that are kept at most.
EVENTS: Final = 10_000

#: What lines must have in common to be shared: origin, octets of a body at most.
Key = tuple["Origin", int]


def key_of(target: Target) -> Key:
    """Give what another target must have in common with this one to share its lines."""
    return target.origin, target.spec.max_body


class Flight:
    """One poll under way."""

    __slots__ = (
        "admitted",
        "again",
        "answering",
        "attempts",
        "began",
        "connect_by",
        "connected",
        "deadline",
        "due",
        "first",
        "fresh",
        "line",
        "number",
        "retry_at",
        "short",
        "started",
        "suspect",
        "target",
    )

    def __init__(self, target: Target, number: int, due: float) -> None:
        """Begin a poll.

        Args:
            target: what is polled.
            number: of the poll on its target.
            due: tyme in seconds it was due.
        """
        self.target = target
        self.number = number
        self.due = due
        self.line: Line | None = None
        self.admitted = False  # it holds a place
        self.suspect = False  # as it was let in
        self.attempts = 0
        self.again = False  # a kept connection turned out to be closed: now on a new one
        self.fresh = False  # on a connection of its own making
        self.answering = False  # the request has gone out, its answer is waited for
        self.short = False  # without the client's knowledge: see `Shortcut`
        # by the wall and by the clock, in seconds
        self.started = 0.0
        self.began = 0.0
        self.connected: float | None = None
        self.first: float | None = None
        # in tyme
        self.deadline = math.inf
        self.connect_by = math.inf
        self.retry_at = math.inf

    @property
    def wake(self) -> float:
        """Tyme at which something is to be done about it, whatever the socket."""
        return min(self.deadline, self.connect_by, self.retry_at)


class Line:
    """A client, and what the selector watches of it.

    Attributes:
        client: the client.
        key: what other targets must have in common with it to share it.
        connector: its own connector; after a redirect elsewhere the client has another.
        flight: the poll it carries; None while it is idle.
        cs: socket that is watched; None for none.
        fd: its descriptor; -1 for none.
        mask: what it is watched for.
        shortcut: what polls may go through without the client.
        short: True while they may: an exchange of the client has shown that nothing
            stands between it and the socket.
    """

    __slots__ = (
        "_dressed",
        "_fields",
        "client",
        "connector",
        "cs",
        "fd",
        "flight",
        "key",
        "mask",
        "short",
        "shortcut",
    )

    def __init__(self, client: PollClient, key: Key, shortcut: Shortcut) -> None:
        self.client = client
        self.shortcut = shortcut
        self.short = False
        self.connector = client.connector
        self.key = key
        self.flight: Flight | None = None
        self.cs: Any = None
        self.fd = -1
        self.mask = 0
        self._dressed: Target | None = None  # target that the requester is set up for
        self._fields: Any = None  # and the fields it is set up with

    def dress(self, target: Target) -> None:
        """Set the requester up for the next request of a target."""
        fields = target.spec.headers if target.kept is None else request_fields(target)
        client = self.client
        if self._dressed is not target or self._fields != fields:
            spec = target.spec
            client.requester.reinit(
                method=spec.method,
                path="/",
                qargs={},
                fragment="",
                headers=Hict(fields),
                body=spec.body,
                target=target._path,
            )
            client.respondent.redirectable = spec.redirects
            client.fields = spec.headers
            self._dressed = target
            self._fields = fields

    def send(self, target: Target) -> None:
        """Queue the request of a target; `client.service` sends it."""
        self.dress(target)
        self.client.requests.append({})  # with nothing in it, the requester is sent as it is

    def octets(self, target: Target) -> bytes:
        """Give the next request of a target as it goes out."""
        octets = target._octets
        if octets is None:
            self.dress(target)
            octets = target._octets = self.client.requester.build()
        return octets

    def take_over(self, target: Target, sent: int, received: bytearray, count: int) -> None:
        """Let the client go on with what was begun without it.

        Args:
            target: whose request it is.
            sent: octets of the request that have gone out.
            received: octets of the response that have come; they are moved.
            count: octets that the last receive gave, 0 for the end of the connection, or
                minus the errno; 1 where there was none.
        """
        self.short = False
        self.dress(target)
        client = self.client
        connector = self.connector
        client.latest = {}
        client.transmit()
        del connector.txbs[:sent]
        connector.rxbs += received
        received.clear()
        if count <= 0:
            connector._ended(count)

    def undress(self) -> None:
        """Forget what the requester is set up for: a redirect has changed it."""
        self._dressed = None
        self.client.followed = self.client.reused = False

    def settle(self) -> None:
        """Be done with an exchange of the client; see whether the next one may do without it."""
        client = self.client
        connector = self.connector
        self.short = (
            type(connector) is Connector
            and connector.direct  # neither a program's own methods nor another system's
            and not connector.wl
            and not connector.rxbs
            and client._over is None
        )
        respondent = client.respondent
        assert isinstance(respondent, PollRespondent)
        respondent.shed(self.short)

    def wants(self) -> int:
        """Tell what the selector must watch the socket for; 0 for nothing."""
        connector = self.client.connector
        if connector.cs is None or connector.cutoff:
            return 0
        if not connector.accepted:
            return WRITE
        if connector.connected and connector.txbs:
            return READ | WRITE
        return READ  # in a TLS handshake too: it is the server's turn then

    def pending(self) -> bool:
        """Tell whether there is more to be received that the selector will not tell of."""
        cs = self.client.connector.cs
        return isinstance(cs, SSLSocket) and cs.pending() > 0  # decrypted already


class Lines:
    """All lines: which socket belongs to which, and which are idle.

    Attributes:
        most: connections open at once at most.
        by_fd: lines that are watched, by descriptor.
        again: lines with more to be received that the selector will not tell of.
    """

    def __init__(self, most: int, *, shared: bool) -> None:
        """Start with none.

        Args:
            most: connections open at once at most.
            shared: True where targets with the same key share lines.
        """
        self.most = most
        self.by_fd: dict[int, Line] = {}
        self.again: list[Line] = []
        self._shared = shared
        self._idle: OrderedDict[Line, None] = OrderedDict()  # longest idle first
        self._pool: dict[Key, list[Line]] = {}
        self._aside: set[Line] = set()  # open, with a poll, and not watched
        self._readiness: Readiness | None = None

    def __len__(self) -> int:
        """Give how many are open or being opened."""
        return len(self.by_fd) + len(self._aside)

    def open(self, readiness: Readiness) -> None:
        """Take the selector to use."""
        self._readiness = readiness

    def close(self) -> None:
        """Close all."""
        for line in [*self.by_fd.values(), *self._aside]:
            self.hang_up(line)
        self._idle.clear()
        self._pool.clear()
        self.again.clear()
        self._readiness = None

    def at_hand(self, target: Target) -> bool:
        """Tell whether there is an open line that a target could use now."""
        if self._shared:
            return bool(self._pool.get(key_of(target)))
        line = target._line
        return line is not None and line.cs is not None

    def take(self, target: Target) -> Line | None:
        """Give a line for a target's next poll, idle until now, open or not; None for none."""
        line = target._line
        if self._shared:
            pool = self._pool.get(key_of(target))
            line = pool.pop() if pool else None
        if line is not None:
            self._idle.pop(line, None)
        return line

    def keep(self, line: Line) -> None:
        """Keep a line whose poll has ended open for others."""
        if line.mask != READ or line.client.connector.cs is not line.cs:
            self.watch(line)
        self._idle[line] = None
        if self._shared:
            self._pool.setdefault(line.key, []).append(line)

    def make_room(self) -> None:
        """Close lines that have been idle longest where there are too many."""
        while len(self) >= self.most and self._idle:
            self.hang_up(next(iter(self._idle)))

    def watch(self, line: Line) -> None:
        """Tell the selector what to watch a line for."""
        cs = line.client.connector.cs
        mask = line.wants()
        if cs is line.cs and mask == line.mask:
            return
        if cs is not line.cs or not mask:
            self.unwatch(line)
        if not mask:
            return
        readiness = self._readiness
        assert readiness is not None
        if line.cs is None:
            fd = cs.fileno()
            readiness.register(fd, mask)
            line.cs, line.fd = cs, fd
            self.by_fd[fd] = line
            self._aside.discard(line)
        else:
            readiness.modify(line.fd, mask)
        line.mask = mask

    def unwatch(self, line: Line) -> None:
        """Watch a line no more; it stays as open as it is."""
        if line.cs is None:
            return
        if self.by_fd.get(line.fd) is line:
            del self.by_fd[line.fd]
            if self._readiness is not None:
                # where it is closed already the kernel has forgotten it by itself
                with suppress(OSError):
                    self._readiness.unregister(line.fd)
        line.cs = None
        line.fd = -1
        line.mask = 0
        line.short = False

    def put_aside(self, line: Line) -> None:
        """Watch a line no more until `watch`; it stays open, and counts as that."""
        self.unwatch(line)
        self._aside.add(line)

    def forget(self, fd: int) -> None:
        """Watch a descriptor no more that no line is known for: it would be ready for ever."""
        if self._readiness is not None and fd not in self.by_fd:
            with suppress(OSError):
                self._readiness.unregister(fd)

    def mend(self, flights: list[Flight], kept: list[Line | None], broken: list[Line]) -> None:
        """Let go of all lines that an exception may have left half done.

        Args:
            flights: polls under way; those whose line is of no use have none afterwards.
            kept: lines of targets.
            broken: lines that were being handled.
        """
        idle = list(self._idle)
        pooled = {line for pool in self._pool.values() for line in pool}
        flying = [flight.line for flight in flights]
        known = [*idle, *pooled, *self.by_fd.values(), *self._aside]
        every = dict.fromkeys([*flying, *kept, *known, *broken])
        under_way = set(flights)
        for line in every:
            if line is None:
                continue
            flight = line.flight
            watched = line.cs is not None and self.by_fd.get(line.fd) is line
            if line in broken:
                sound = False
            elif flight is not None:
                held = line.client.held  # its redirect waits for a host, not for the socket
                sound = (watched or held) and flight.line is line and flight in under_way
            else:  # closed, or idle
                sound = (line.cs is None and line not in self._aside) or (
                    watched and line in self._idle and (not self._shared or line in pooled)
                )
            if not sound:
                self.discard(line)
            elif flight is not None and not watched:
                self._aside.add(line)
        for flight in flights:
            if flight.line is not None and flight.line.flight is not flight:
                flight.line = None
        # of lines that nobody is told of any more
        self.again = [
            line
            for line in self.by_fd.values()
            if line.flight is not None and (line.pending() or line.client.adrift)
        ]

    def hang_up(self, line: Line) -> None:
        """Close the connection of a line; its client can be opened again."""
        self.unwatch(line)
        self._aside.discard(line)
        line.client.close()
        self._idle.pop(line, None)
        pool = self._pool.get(line.key) if self._shared else None
        if pool is not None and line in pool:
            pool.remove(line)
            if not pool:
                del self._pool[line.key]

    def discard(self, line: Line) -> None:
        """Close a line whose client is of no more use."""
        flight = line.flight
        if flight is not None:
            line.flight = flight.line = None
            if flight.target._line is line:
                flight.target._line = None
        self.hang_up(line)


def request_fields(target: Target) -> tuple[tuple[str, str], ...]:
    """Give the fields of a target's next request, with its conditions (RFC 9110 13.1)."""
    fields: tuple[tuple[str, str], ...] = target.spec.headers
    if target.kept is not None:
        if target.etag is not None:
            fields = (*fields, ("If-None-Match", target.etag))
        if target.modified is not None:
            fields = (*fields, ("If-Modified-Since", target.modified))
    return fields


def poll_limits(limits: Limits | None, max_body: int) -> Limits:
    """Make the limits of a poll: the body bounded, and the number of events.

    Args:
        limits: the program's; None for the default ones.
        max_body: octets a body may have.
    """
    values = dict(vars(limits or LIMITS))
    values["body"] = max_body
    if values["events"] is None:
        values["events"] = EVENTS
    return Limits(**values)


class PollRespondent(Respondent):
    """Respondent that leaves bodies as they are: `PollResult.data` decodes them if asked to."""

    def dictify(self) -> None:
        """Decode nothing."""
        self.data = None

    def shed(self, short: bool) -> None:
        """Let go of the last response: an idle connection is not to keep its body.

        Args:
            short: True where the next one is expected past this respondent: then the
                memory of the last head goes, too.
        """
        if short:
            self.engine = ResponseParser(limits=self.engine.limits, mapping=Hict)
        else:
            self.engine.start(self.method)
        self.headers = self.trails = self.parms = None
        self.body = bytearray()


class _UnknownError(Exception):
    """Tell that a host is being looked up."""


class PollClient(Client):
    """Client that asks the poller for the addresses of where redirects lead.

    Attributes:
        find: gives the addresses of a host and port, None while they are being looked up,
            or raises; never waits.
        fields: of the request, without the conditions that the poller has added.
        context: of the poller, for all TLS; None for the default one.
        followed: True once a redirect was followed: the request has been carried out.
        reused: True while that of a redirect is on the connection the redirect came over.
        held: True while a redirect waits for its host to be looked up: not to be
            serviced until `resume`.
    """

    find: Callable[[str, int], tuple[Address, ...] | None]
    fields: tuple[tuple[str, str], ...] = ()
    context: SSLContext | None = None
    followed: bool = False
    reused: bool = False
    held: bool = False

    @property
    def adrift(self) -> bool:
        """True where a redirect is followed and its connection is over: `service` opens another."""
        if self._over is None:
            return False
        exchange = self._exchange
        return exchange is not None and exchange.link is UNLINKED

    def _context_after(self, old: Any) -> SSLContext | None:
        return self.context

    def _resolve(self, host: str, port: int) -> tuple[Address, ...]:
        addresses = self.find(host, port)
        if addresses is None:
            raise _UnknownError
        return addresses

    def _redirect(self) -> None:
        exchange = self._exchange
        hops = exchange.hops if exchange is not None else 0
        try:
            super()._redirect()
        except _UnknownError:  # nothing has changed yet but the count
            self.held = True
            if exchange is not None:
                exchange.hops = hops

    def _follow(self, response: dict[str, Any], exchange: Exchange | None) -> None:
        if len(self.redirects) == 1:  # later ones find them gone, and maybe credentials, too
            # conditions are of what was polled, not of what it leads to (RFC 9110 15.4)
            self.requester.headers = Hict(self.fields)
        super()._follow(response, exchange)
        self.followed = True
        self.reused = exchange is not None and exchange.link is not UNLINKED

    def _cut(self, exchange: Exchange) -> None:
        came = self.respondent.headed or self.connector.rxbs or self._consumed()
        if self.reused and not came and self._again(exchange):
            self.reused = False
            self._over = "own"  # closed before the request came, as a server may (RFC 9112 9.3.1)
            return
        super()._cut(exchange)

    def resume(self) -> None:
        """Follow the redirect that is held, where its host is known by now."""
        self.held = False
        self.respondent.ended = True  # as it was when the redirect came
        self.redirect()
        self.respondent.makeParser()


def make_client(
    origin: Origin,
    addresses: tuple[Address, ...],
    limits: Limits,
    tymth: Callable[[], float],
    context: SSLContext | None,
    find: Callable[[str, int], tuple[Address, ...] | None],
) -> PollClient:
    """Make a client for an origin whose addresses are known, without any lookup.

    Args:
        origin: where its requests go.
        addresses: of the host; at least one.
        limits: bounds on what one response may cost.
        tymth: gives the tyme.
        context: for TLS; None for the shared default one.
        find: gives the addresses of where a redirect leads; None while they are looked up.
    """
    secure: dict[str, Any] = {}
    if origin.scheme == "https":
        secure["certedhost"] = origin.host
        if context is not None:
            secure["context"] = context
    respondent = PollRespondent(limits=limits)
    client = PollClient(
        respondent=respondent,
        events=respondent.events,
        redirects=respondent.redirects,
        hostname=addresses[0].sockaddr[0],
        port=origin.port,
        scheme=origin.scheme,
        portOptional=True,
        reconnectable=False,  # the poller decides what is tried again
        tymth=tymth,
        **secure,
    )
    client.find = find
    client.context = context
    client.connector.hostname = origin.host
    client.connector.addresses = list(addresses)
    client.requester.reinit(hostname=origin.host)
    return client

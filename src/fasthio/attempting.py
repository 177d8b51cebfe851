"""How a poll is made: its request sent, its socket served, its answer judged, its time watched."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final

from .exchanging import IDEMPOTENT
from .judging import UNSENT, judge, may_retry, may_retry_status
from .lines import Line, key_of, make_client, poll_limits
from .mending import Mender
from .results import PollResult
from .scheduling import FOREVER
from .shortcut import Shortcut
from .waiting import READ

if TYPE_CHECKING:
    from ssl import SSLContext
    from weakref import WeakValueDictionary

    from .grammar import Limits
    from .lines import Flight
    from .resolving import Address
    from .targets import Target
    from .waiting import Readiness, Waker

__all__ = ["Attempter"]

#: Sockets that are handled before the budget is looked at again.
BATCH: Final = 64
#: Codes of errors that a kept connection fails with when the server had closed it.
STALE: Final = frozenset(("closed", "reset", "closed-before-start"))
#: What the system gives where a socket is not ready after all.
NOT_NOW: Final = frozenset((errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR))
#: Seconds to the first retry within a poll, and at most to a further one.
RETRY_FIRST: Final = 0.1
RETRY_MOST: Final = 2.0
#: Seconds between two looks whether the host that a redirect leads to has been found.
HELD: Final = 0.05


class Attempter(Mender):
    """Make polls over lines."""

    wakes: int
    _limits: Limits | None
    _context: SSLContext | None
    _budget: float
    _shared: bool
    _waker: Waker | None
    # by octets that a body may have; each is there as long as a line goes through it
    _shortcuts: WeakValueDictionary[int, Shortcut]

    # sockets

    def _handle(self, readiness: Readiness, events: list[tuple[int, int]]) -> None:
        """Handle ready sockets until there are no more, or the budget is used up."""
        lines = self._lines.by_fd
        clock = self._clock
        until = 0.0
        tyme = self._now()
        while events:
            now = clock()
            if not until:
                until = now + self._budget
            line = None
            try:
                for fd, _ in events:
                    line = lines.get(fd)
                    if line is None:
                        self._wakened(fd)
                    elif line.flight is None:
                        # closed by the server, or octets that nobody asked for (RFC 9112 6.3)
                        self._lines.hang_up(line)
                    else:
                        flight = line.flight
                        if flight.short:
                            self._arrived(line, flight, now)
                        else:
                            self._serve(line, flight, now)
                        # what is to go on at once does so while the caches are warm with it
                        if self._next_due <= tyme and not self._stopping and self._room():
                            self._take_dues(tyme)
            except BaseException:
                self._break_off(line)
                raise
            self.wakes += len(events)
            if len(events) < BATCH or clock() >= until or self._waker is None:
                return  # an `expect` may have closed the poller
            events = readiness.poll(0.0, BATCH)

    def _break_off(self, line: Line | None) -> None:
        """Note which line was being handled when an exception came: what it carries is in doubt."""
        if line is not None:
            self._broken.append(line)
        for shortcut in self._shortcuts.values():
            shortcut.rx.clear()  # all lines share it: not to be taken for another's octets

    def _wakened(self, fd: int) -> None:
        """Take note of a call of `wake`, or of a socket that was closed a moment ago."""
        if self._waker is not None:
            self._waker.clear()
            if fd != self._waker.fileno():
                self._lines.forget(fd)
        self._stirred = True

    def _handle_again(self) -> None:
        """Go on with lines that stopped at their bound with octets left."""
        again, self._lines.again = self._lines.again, []
        line = None
        try:
            for line in again:
                flight = line.flight
                # else it has gone on already, and carries a poll that needs no client
                if flight is not None and not flight.short:
                    self._serve(line, flight, self._clock())
        except BaseException:
            self._break_off(line)
            raise

    def _arrived(self, line: Line, flight: Flight, now: float) -> None:
        """Take what has come for a poll that goes without a client.

        Args:
            line: its socket is ready.
            flight: the poll it carries.
            now: clock at which its socket was ready.
        """
        target = flight.target
        shortcut = line.shortcut
        if shortcut.receive(line.fd, target.spec.method):
            flight.first = now
            line.flight = flight.line = None
            self._lines.keep(line)
            parser = shortcut.parser
            status = parser.status
            assert status is not None
            self._whole(
                flight, status, parser.reason or "", parser.headers, parser.body,
                self._clock(), direct=True,
            )  # fmt: skip
        elif -shortcut.count not in NOT_NOW:
            flight.short = False
            line.take_over(target, len(target._octets or b""), shortcut.rx, shortcut.count)
            flight.answering = True
            self._serve(line, flight, now)

    def _serve(self, line: Line, flight: Flight, now: float) -> None:
        """Let the client of a line do what there is to do.

        Args:
            line: to be served.
            flight: the poll it carries.
            now: clock at which its socket was ready.
        """
        client = line.client
        connector = client.connector
        if flight.answering and connector.connected and not connector.txbs and not client.adrift:
            client.serviceResponse()  # all that is left to do
        else:
            client.service()
        if client.responses:
            self._answered(line, flight, client.responses.popleft(), now)
            return
        if client.held:
            self._hold(line, flight)
            return
        if client.adrift:
            self._lines.again.append(line)  # no socket tells that there is to be another
            return
        connector = client.connector
        if connector.connected:
            flight.answering = True
            if flight.fresh and flight.connected is None:
                flight.connected = now
                flight.connect_by = FOREVER
            if flight.first is None and client.respondent.started:
                flight.first = now
            if client.secured and line.pending():
                self._lines.again.append(line)
            if line.mask == READ and connector.cs is line.cs and not connector.txbs:
                return  # watched for just that
        elif connector.refusals:
            fault = connector.fault
            text = str(fault) if fault is not None else "no address takes connections"
            self._failed(flight, "refused", text, now)
            return
        self._lines.watch(line)

    # attempts

    def _attempt(self, flight: Flight, now: float) -> None:
        """Send a poll's request, on a kept connection or on a new one."""
        target = flight.target
        flight.attempts += 1
        flight.retry_at = flight.connect_by = FOREVER
        flight.connected = flight.first = None
        flight.answering = False
        line = self._lines.take(target)
        try:
            if line is None:
                line = self._make_line(target, now)
            elif flight.again:
                self._lines.hang_up(line)  # another kept one may be closed as well
            flight.again = False
            line.flight = flight
            flight.line = line
            flight.fresh = line.cs is None
            if flight.fresh:
                self._lines.make_room()
                line.client.reopen()
        except OSError as error:  # the system has no socket left
            if line is not None:
                self._lines.discard(line)
            code = getattr(error, "code", "") or "socket"
            self._failed(flight, code, str(error), self._clock())
            return
        if not self._shared:
            target._line = line
        flight.short = line.short and target._short
        wake = flight.deadline
        if flight.fresh and target.spec.connect_timeout is not None:
            flight.connect_by = now + target.spec.connect_timeout
            wake = min(wake, flight.connect_by)
        if target._timer is None or target._timer[0] > wake:
            self._arm(target, wake)
        if flight.short:
            self._send(line, flight)
        else:
            line.send(target)
            self._serve(line, flight, self._clock())

    def _send(self, line: Line, flight: Flight) -> None:
        """Send a poll's request without a client; what does not go at once is the client's."""
        target = flight.target
        try:
            octets = line.octets(target)
        except ValueError:  # a condition that cannot be sent: the client says so
            flight.short = False
            line.send(target)
            self._serve(line, flight, self._clock())
            return
        sent = line.shortcut.send(line.fd, octets)
        if sent != len(octets):
            flight.short = False
            line.take_over(target, max(0, sent), line.shortcut.rx, 1)
            self._serve(line, flight, self._clock())

    def _make_line(self, target: Target, now: float) -> Line:
        """Make a line for a target, not opened yet; OSError where that cannot be."""
        addresses = self._addresses(target, now)
        if not addresses:
            raise OSError("the address of the host is not known any more")
        most = target.spec.max_body
        shortcut = self._shortcuts.get(most)
        if shortcut is None:
            shortcut = self._shortcuts[most] = Shortcut(poll_limits(self._limits, most))
        limits = shortcut.parser.limits
        client = make_client(target.origin, addresses, limits, self._now, self._context, self._find)
        return Line(client, key_of(target), shortcut)

    def _find(self, host: str, port: int) -> tuple[Address, ...] | None:
        """Find the addresses of where a redirect leads, without waiting for them."""
        lookup = self._lookup
        assert lookup is not None
        return lookup.find(host, port, self._now())

    def _hold(self, line: Line, flight: Flight) -> None:
        """Let a redirect wait for its host; what the server does meanwhile is of no interest."""
        self._lines.put_aside(line)
        flight.first = flight.first if flight.first is not None else self._clock()
        flight.retry_at = self._now() + HELD
        flight.connect_by = FOREVER
        self._arm(flight.target, flight.wake)

    def _resume(self, line: Line, flight: Flight) -> None:
        """See whether the host that a redirect leads to is known by now."""
        flight.retry_at = FOREVER
        self._arm(flight.target, flight.wake)  # for its deadline: the timer has rung for this
        line.client.resume()
        if line.client.held:
            self._hold(line, flight)
        else:
            self._serve(line, flight, self._clock())

    def _ring(self, flight: Flight, now: float) -> None:
        """See what is to be done about a poll whose timer has rung."""
        if now < flight.wake:
            self._arm(flight.target, flight.wake)
        elif now >= flight.deadline:
            self._expire(flight)
        elif now >= flight.retry_at:
            if flight.line is not None:
                self._resume(flight.line, flight)
            else:
                self._attempt(flight, now)
        else:
            limit = flight.target.spec.connect_timeout or 0.0
            text = f"no connection within {limit:g} s"
            self._failed(flight, "timeout-connect", text, self._clock(), "timeout")

    # how attempts end

    def _answered(self, line: Line, flight: Flight, response: dict[str, Any], now: float) -> None:
        """See what a response, or the error in its place, means for the poll."""
        client = line.client
        connector = client.connector
        clock = self._clock()
        errored = response["errored"]
        if flight.fresh and flight.connected is None and connector.connected:
            flight.connected = now
        if errored and response["status"] is None:
            error = response["error"]
            code = getattr(error, "code", "") or "malformed"
            self._failed(flight, code, str(error), clock)
            return
        if flight.first is None:
            flight.first = now
        redirects = len(response["redirects"]) if "redirects" in response else 0
        events: tuple[Any, ...] = ()
        if client.events:
            events = tuple(client.events)
            client.events.clear()
        if errored or connector is not line.connector:
            self._lines.discard(line)
        else:
            if redirects:
                line.undress()
            line.flight = flight.line = None
            if not client.secured:
                # what follows a long body is still in the socket, and the next poll may go out
                # without a look at it; over TLS the client looks (RFC 9112 6.3)
                connector.serviceReceives()
            if client.respondent.reusable and not (
                connector.cutoff or connector.txbs or connector.rxbs
            ):
                self._lines.keep(line)
            else:
                self._lines.hang_up(line)  # its client is opened again for the next poll
            line.settle()
        status, phrase = response["status"], response["reason"] or ""
        headers, body = response["headers"], response["body"]
        if not errored:
            self._whole(flight, status, phrase, headers, body, clock, events, redirects)
            return
        spec = flight.target.spec
        if may_retry_status(spec, flight.attempts, status, headers) and self._again(flight):
            return
        error = response["error"]
        code = getattr(error, "code", "") or "malformed"
        if may_retry(spec, flight.attempts, code, False) and self._again(flight):
            return
        result = self._result(flight, "error", clock)
        result.reason = code
        result.error = str(error)
        result.status = status
        result.phrase = phrase
        result.headers = headers
        result.body = body
        result.octets = len(body)
        result.events = events
        result.redirects = redirects
        self._conclude(flight, result)

    def _whole(
        self,
        flight: Flight,
        status: int,
        phrase: str,
        headers: Any,
        body: bytearray,
        clock: float,
        events: tuple[Any, ...] = (),
        redirects: int = 0,
        direct: bool = False,
    ) -> None:
        """End a poll with a whole response, unless its status lets it be tried again."""
        target = flight.target
        spec = target.spec
        if (
            spec.retries
            and may_retry_status(spec, flight.attempts, status, headers)
            and self._again(flight)
        ):
            return
        result = self._result(flight, "ok", clock)
        result.status = status
        result.phrase = phrase
        result.headers = headers
        result.body = body
        result.octets = len(body)
        if events:
            result.events = events
        result.redirects = redirects
        if status >= 300 or spec.expect is not None or spec.conditional:
            judge(target, result)
            if target._flight is not flight:
                return  # its `expect` has ended the poll: removed the target, closed the poller
        self._conclude(flight, result, direct)

    def _failed(
        self, flight: Flight, code: str, error: str, clock: float, outcome: str = "error"
    ) -> None:
        """End an attempt that got no response; the poll goes on where it may be tried again."""
        spec = flight.target.spec
        unsent = code in UNSENT
        if flight.line is not None:
            unsent = unsent and not flight.line.client.followed
            self._lines.discard(flight.line)
        if (
            code in STALE
            and not flight.fresh  # the next one is: no failed retry is retried (RFC 9112 9.3.1)
            and (unsent or spec.method in IDEMPOTENT)
        ):
            # the server has closed a kept connection as it may: not the backend's failure
            flight.again = True
            flight.attempts -= 1
            self._attempt(flight, self._now())
        elif not (may_retry(spec, flight.attempts, code, unsent) and self._again(flight)):
            self._finish(flight, outcome, code, clock=clock, error=error)

    def _again(self, flight: Flight) -> bool:
        """Arrange for another attempt a while from now, unless the poll's time is over then."""
        at = self._now() + min(RETRY_MOST, RETRY_FIRST * 2.0 ** max(0, flight.attempts - 1))
        if at >= flight.deadline:
            return False
        flight.retry_at = at
        flight.connect_by = FOREVER
        self._arm(flight.target, flight.wake)
        return True

    def _expire(self, flight: Flight) -> None:
        """End a poll that has taken too long."""
        line = flight.line
        reason, octets = "timeout-total", 0
        if line is not None:
            respondent = line.client.respondent
            if not line.client.connector.connected:
                reason = "timeout-connect"
            elif flight.first is None:
                reason = "timeout-first"
            elif respondent.headed:
                octets = len(respondent.body)
            self._lines.discard(line)
        text = f"no whole response within {flight.target.spec.timeout:g} s"
        self._finish(flight, "timeout", reason, clock=self._clock(), error=text, octets=octets)

    def _cancel(self, flight: Flight, reason: str) -> None:
        """End a poll before its time."""
        if flight.line is not None:
            self._lines.discard(flight.line)
        self._finish(flight, "cancelled", reason, clock=self._clock())

    def _unreached(self, target: Target, outcome: str, reason: str, error: str, now: float) -> None:
        """End a poll that got no further than the look-up of its host."""
        flight = self._take_off(target, now)
        self._finish(flight, outcome, reason, clock=self._clock(), error=error)

    def _finish(
        self,
        flight: Flight,
        outcome: str,
        reason: str,
        *,
        clock: float,
        error: str = "",
        octets: int = 0,
    ) -> None:
        """End a poll that got no whole response."""
        result = self._result(flight, outcome, clock)
        result.reason = reason
        result.error = error
        result.octets = octets
        self._conclude(flight, result)

    def _result(self, flight: Flight, outcome: str, clock: float) -> PollResult:
        """Make the result of a poll, still without a response."""
        began = flight.began
        result = PollResult(
            flight.target, outcome, due=flight.due, number=flight.number, started=flight.started
        )
        result.attempts = flight.attempts
        if flight.connected is not None:
            result._connect = flight.connected - began
        if flight.first is not None:
            result._first = flight.first - began
        result._total = clock - began
        return result

    def _conclude(self, flight: Flight, result: PollResult, direct: bool = False) -> None:
        """Put out a result, and schedule what comes after it.

        Args:
            flight: the poll that has ended.
            result: its result.
            direct: True where the next poll may begin before this returns.
        """
        self._tell(result)
        self._flying -= 1
        if flight.admitted:
            self._admission.leave(flight.target.origin, flight.suspect)
        if self._owed or self.stalled or self._admission.queued:
            self._stirred = True
        self._pursue(flight, result, direct)

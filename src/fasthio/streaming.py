"""Living event streams: one stream over as many connections as it takes.

A stream begins with the first 200 response of type text/event-stream to a
request. With `reconnectable` it outlives its connections by the rules of WHATWG
HTML 9.2.3: after a drop it is asked for again, with the id of the last event
that was dispatched, until the server says otherwise. `Streamer` is the part of
a client that does so.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, overload

from .errors import ClosureError, Reason, exchange_error
from .exchanging import UNLINKED
from .following import Follower

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from .errors import ExchangeError
    from .exchanging import Exchange

__all__ = ["Stream", "Streamer", "check_idle", "is_stream"]

LAST_EVENT_ID: Final = "Last-Event-ID"  # WHATWG HTML 9.2.4
#: Milliseconds that backoff begins with where the server asks for less.
_LEAST: Final = 100
#: Doublings after which a wait is beyond any cap.
_DOUBLINGS: Final = 32
_Value = TypeVar("_Value")
_ABSENT: Final = object()  # a stream that was not taken up has not touched the field


def check_idle(idle: float | None) -> float | None:
    """Check the `idle` argument of a client.

    Args:
        idle: seconds, None for no limit.
    Raises:
        ValueError: no positive finite number.
    """
    if idle is None:
        return None
    if isinstance(idle, bool) or not isinstance(idle, (int, float)):
        raise ValueError(f"idle must be a number of seconds: {idle!r}")
    if not (idle > 0 and math.isfinite(idle)):
        raise ValueError(f"idle must be positive and finite: {idle!r}")
    return float(idle)


def is_stream(respondent: Any) -> bool:
    """Tell whether the present response is an event stream (WHATWG HTML 9.2.3).

    That to a HEAD tells of one and has none, that to a CONNECT neither (RFC 9110 9.3.2, 9.3.6).
    """
    return bool(
        respondent.evented
        and respondent.headed
        and respondent.status == 200
        and respondent.method not in ("HEAD", "CONNECT")
    )


class Stream:
    """What a client knows about an event stream.

    Attributes:
        state: "open" while events may come; "waiting" for the time to ask again;
            "asking" from then on until there is a response; "ended".
        responses: how many responses have carried it so far.
        drops: how often a response that carried it was over.
        failures: attempts in a row to take it up again that came to nothing.
        delay: seconds of tyme that the last wait takes, or took.
        reason: why the last response or attempt, in the end the stream, was over:
            a `Reason`; None where all was in order.
    """

    __slots__ = (
        "consumed",
        "delay",
        "drops",
        "failures",
        "field",
        "head",
        "heard",
        "reason",
        "responses",
        "state",
    )

    def __init__(self) -> None:
        self.state = "asking"
        self.responses = 0
        self.drops = 0
        self.failures = 0
        self.delay = 0.0
        self.reason: Reason | None = None
        self.head: dict[str, Any] = {}  # of the last response that carried it
        self.heard = 0.0  # tyme of the last octet, or of the last attempt
        self.consumed = 0  # octets of the present response known at that tyme
        self.field: Any = _ABSENT  # Last-Event-ID as the program has it

    def __repr__(self) -> str:
        """Show the state and the counts."""
        return (
            f"Stream(state={self.state!r}, responses={self.responses}, drops={self.drops},"
            f" failures={self.failures})"
        )

    def open(self, respondent: Any) -> None:
        """Take note of a response that carries the stream; earlier failures are forgotten."""
        self.state = "open"
        self.responses += 1
        self.failures = 0
        self.head = {
            "version": respondent.version,
            "status": respondent.status,
            "reason": respondent.reason,
            "headers": respondent.headers,
        }

    def wait(self, retry: float, cap: float, reason: Reason | None) -> float:
        """Take note of a drop, or of an attempt that came to nothing.

        Args:
            retry: reconnection time, milliseconds.
            cap: longest wait that backoff makes, seconds.
            reason: why; None for an orderly end.
        Returns:
            Seconds to wait: the reconnection time; after failures it is doubled
            for each one up to the cap, as WHATWG HTML 9.2.3 suggests.
        """
        if self.state == "open":
            self.drops += 1
        else:
            self.failures += 1
        self.state = "waiting"
        self.reason = reason
        self.delay = max(retry, 0) / 1000.0
        if self.failures:
            doubled = max(retry, _LEAST) / 1000.0 * 2.0 ** min(self.failures, _DOUBLINGS)
            self.delay = max(self.delay, min(doubled, cap))
        return self.delay


class Shown(Generic[_Value]):
    """Show something under a name that hio's client does not have.

    A program may have that name for an attribute of its own, which then goes before
    this one, as it would not go before a property.
    """

    def __init__(self, give: Callable[[Any], _Value]) -> None:
        """Take what gives the value.

        Args:
            give: called with the instance; its docstring is this one's.
        """
        self._give = give
        self.__doc__ = give.__doc__

    @overload
    def __get__(self, owner: None, kind: Any = None) -> Self: ...

    @overload
    def __get__(self, owner: object, kind: Any = None) -> _Value: ...

    def __get__(self, owner: object, kind: Any = None) -> Self | _Value:
        """Give the value of an instance; of the class, this itself."""
        return self if owner is None else self._give(owner)


class Streamer(Follower):
    """Keep event streams of a client alive."""

    #: Longest wait in seconds that repeated failure leads to; a server may ask for more.
    RetryCap: float = 60.0

    _stream: Stream | None = None  # what `stream` shows
    _idle: float | None = None  # seconds of silence after which a connection is given up
    _foreign_id: bool = False  # respondent.leid is of a stream that has ended

    if TYPE_CHECKING:

        def _consumed(self) -> int: ...
        def _drop(self) -> None: ...
        def _ended(self, exchange: Exchange) -> None: ...
        def _expired(self) -> bool: ...
        def _fail(self, error: ExchangeError, built: bool = True) -> None: ...
        def _parse(self) -> None: ...
        def _pass_over(self) -> None: ...
        def _tyme(self) -> float: ...

    @Shown
    def stream(self) -> Stream | None:
        """The present or last event stream, None before the first."""
        return self._stream

    @Shown
    def streaming(self) -> bool:
        """True while there is an event stream, between its connections too.

        It turns False when the stream has ended for good: then there is exactly
        one response, with True under "evented", in `responses`; `stream` says more.
        """
        return self._stream is not None and self._stream.state != "ended"

    # a response

    def _note_stream(self, exchange: Exchange) -> None:
        """See whether the response under way carries an event stream."""
        if not is_stream(self.respondent):
            return
        stream = exchange.stream
        if stream is None:
            stream = exchange.stream = self._stream = Stream()
            if self._idle is not None:
                stream.heard = self._tyme()
        if stream.state != "open":
            stream.open(self.respondent)

    def _goes_on(self, exchange: Exchange, stream: Stream) -> bool:
        """Let a stream go on after a response that carried it is complete.

        Returns:
            True where it goes on; False where the response is to be put out.
        """
        respondent = self.respondent
        if stream.state != "open" or not self.connector.reconnectable:
            return False
        fault = getattr(respondent, "fault", None)
        if respondent.errored and not isinstance(fault, ClosureError):
            return False
        self._resume(exchange, Reason.of(fault) if fault is not None else None)
        return True

    def _refuse_to_go_on(self, stream: Stream) -> None:
        """Mark a response that was to carry on a stream and does not (WHATWG HTML 9.2.3).

        204, by which a server ends a stream, is no error.
        """
        respondent = self.respondent
        status = respondent.status
        if stream.state == "open" or respondent.errored or status == 204:
            return
        if self._redirects(respondent):
            return
        if status != 200:
            error = exchange_error("stream-status", f"status {status}")
        else:
            kind = respondent.headers.get("content-type")
            error = exchange_error("stream-type", f"{kind!r:.80}" if kind else "none given")
        respondent.errored = True
        respondent.error = Reason.of(error)

    @staticmethod
    def _redirects(respondent: Any) -> bool:
        """Tell whether a response is a redirect that leads somewhere (RFC 9110 15.4)."""
        if not (respondent.redirectable and respondent.redirectant):
            return False
        return respondent.status != 300 or "location" in respondent.headers

    def _cut_stream(self, exchange: Exchange, stream: Stream, fault: Exception | None) -> None:
        """Go on after the peer has ended the connection of a stream that may be taken up."""
        respondent = self.respondent
        reason: Reason | None = None
        if fault is not None:
            reason = Reason.of(exchange_error("reset", str(fault), fault))
        if stream.state != "open":
            for _ in range(3):  # hio's own forgets a close before its first parse
                respondent.close()
                self._parse()
                if respondent.ended:
                    break
            if respondent.ended and respondent.headed and not self._redirects(respondent):
                # what the server says counts, even where its body is cut off
                respondent.errored = False
                respondent.error = None
            if respondent.ended and not respondent.errored:
                self._ended(exchange)
                return
            reason = reason or respondent.error
        elif reason is None and not self._until_close():
            reason = Reason.of(exchange_error("reset", "response not complete"))
        self._resume(exchange, reason)

    def _until_close(self) -> bool:
        """Tell whether closing is how the present response ends (RFC 9112 6.3)."""
        respondent = self.respondent
        return not respondent.chunked and respondent.length is None

    # between connections

    def _resume(self, exchange: Exchange, reason: Reason | None) -> None:
        """Let the connection of a stream go and ask again when it is time to.

        Args:
            exchange: what carries the stream.
            reason: why the connection is over, None for an orderly end.
        """
        stream = exchange.stream
        assert stream is not None
        connector = self.connector
        self._let_go(exchange)
        self._over = "peer"
        if not connector.cutoff:
            connector.close()
        self._expired()  # sees that there is a tyme to go by
        delay = stream.wait(float(self.respondent.retry), self.RetryCap, reason)
        connector.tymer.start(duration=delay)

    def _let_go(self, exchange: Exchange) -> None:
        """Forget what belongs to the connection of a stream, a partial event included."""
        exchange.link = UNLINKED
        exchange.requeue = False
        exchange.resuming = True
        exchange.bulky = False
        exchange.phase = 0
        exchange.hops = 0
        self.redirects = []
        self._leftover = False
        self.connector.txbs.clear()
        self.connector.clearRxbs()
        self.respondent.makeParser()

    def _asking(self, exchange: Exchange) -> None:
        """Take note that a connection is made for a stream."""
        stream = exchange.stream
        if stream is not None:
            stream.state = "asking"
            exchange.mark = stream.heard = self._tyme()
            stream.consumed = 0

    def _retake(self, exchange: Exchange) -> None:
        """Take a stream up at once, over the connection that the program has opened."""
        stream = exchange.stream
        if stream is not None and stream.state == "open":
            stream.drops += 1
        if exchange.link is not UNLINKED:
            self._let_go(exchange)
        self._asking(exchange)

    def _ask_again(self, exchange: Exchange) -> None:
        """Send the request for a stream again, with the id of its last event.

        The id is that of the last event dispatched (WHATWG HTML 9.2.6). An empty
        one says that there is none: then the field is left out (9.2.3).
        """
        respondent = self.respondent
        headers = self.requester.headers
        stream = exchange.stream
        if stream is not None and stream.field is _ABSENT:
            stream.field = headers.get(LAST_EVENT_ID)
        leid = respondent.leid
        if leid:
            # in UTF-8 (9.2.4); text where that is the same
            headers[LAST_EVENT_ID] = leid if leid.isascii() else leid.encode()
        elif leid is not None:
            headers.pop(LAST_EVENT_ID, None)
        respondent.resumed = True
        try:
            self.transmit()
        except ValueError as error:  # an id with control octets (RFC 9110 5.5)
            self._fail(exchange_error("bad-request", str(error), error))
            self._drop()

    # the end

    def _end_stream(self, stream: Stream, response: dict[str, Any]) -> None:
        """Mark the response that ends a stream."""
        response["evented"] = True
        stream.reason = response["error"]
        self._close_stream(stream)

    def _close_stream(self, stream: Stream) -> None:
        """Be done with a stream; no later request bears its id."""
        self._restore_id(self.requester.headers, stream)
        stream.state = "ended"
        self.respondent.resumed = False
        self._foreign_id = True

    @staticmethod
    def _restore_id(headers: Any, stream: Stream | None) -> Any:
        """Give headers the Last-Event-ID that the program has put there, or none."""
        if stream is not None and stream.state != "ended" and stream.field is not _ABSENT:
            if stream.field is None:
                headers.pop(LAST_EVENT_ID, None)
            else:
                headers[LAST_EVENT_ID] = stream.field
        return headers

    # time

    def _watch_stream(self, exchange: Exchange, stream: Stream, idle: float) -> None:
        """Give up a connection over which nothing comes, not even comments (9.2.7)."""
        if stream.state == "waiting":
            return
        now = self._tyme()
        consumed = self._consumed() + len(self.connector.rxbs)
        if consumed != stream.consumed:
            stream.consumed = consumed
            stream.heard = now
        if now - stream.heard < idle:
            return
        self._pass_over()
        error = exchange_error("timeout-idle", f"{idle:g} s")
        if self.connector.reconnectable:
            self._resume(exchange, Reason.of(error))
        else:
            self._fail(error)
            self._drop()

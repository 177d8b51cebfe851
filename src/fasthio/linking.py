"""How an exchange gets and keeps its connection: connects, closes, resets, reopens.

A connection that is over carries no further exchange: "own" when this side is
done with it, so that a new one may be opened at once; "peer" when the server
is, so that reopening needs `reconnectable`; "tunnel" when it speaks another
protocol now, whose octets are the program's.
"""

from __future__ import annotations

import ssl
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from hio.core.http import httping

from .errors import ExchangeError, Reason, exchange_error
from .exchanging import IDEMPOTENT, UNLINKED
from .repeating import Repeater
from .socketing import Connector
from .streaming import Streamer

if TYPE_CHECKING:
    from .exchanging import Exchange, Timeouts

__all__ = ["UNPARSABLE", "Linker"]

#: What hio's own Respondent may raise for what a peer sent.
UNPARSABLE: Final = (httping.HTTPException, ValueError, RuntimeError, StopIteration)


class Linker(Streamer):
    """The part of a client that gives exchanges their connections."""

    #: How often a request is sent again at most after its connection ended
    #: (RFC 9110 9.2.2: automatic retries are to be bounded).
    Resends: int = 5

    #: Attributes every exchange looks at.
    _Often: tuple[str, ...] = ()

    requests: deque[dict[str, Any]]
    responses: deque[dict[str, Any]]
    waited: bool
    latest: dict[str, Any] | None

    _timeouts: Timeouts | None

    # where a client begins; most of these never change in its life
    _exchange: Exchange | None = None
    _link: Any = UNLINKED  # socket of the connection that is known to be made
    _ours: Any = None  # its connector, where that is one of ours
    _over: str | None = None  # see above
    _persistent: bool = False  # refused connections are an error from now on
    _leftover: bool = False  # txbs begins with the rest of an answered request

    if TYPE_CHECKING:

        def serviceRequests(self) -> None: ...
        def serviceResponse(self) -> None: ...
        def _ended(self, exchange: Exchange) -> None: ...
        def _pour(self, exchange: Exchange, respondent: Any) -> None: ...
        def _pours(self) -> bool: ...
        def _fail(self, error: ExchangeError, built: bool = True) -> None: ...
        def _deliver(self, response: dict[str, Any]) -> None: ...
        def _told(self, exchange: Exchange) -> bool: ...
        def _conclude(self, exchange: Exchange) -> None: ...

    # tyme

    def _tyme(self) -> float:
        """Give the tyme, of the clock where no tymth was injected."""
        tymth = self.connector.tymth if self.connector else None
        return float(tymth()) if tymth else time.monotonic()

    def _shift(self, by: float) -> None:
        """Take time limits over to another tyme base."""
        if self._exchange is not None:
            self._exchange.started += by
            self._exchange.mark += by
            if self._exchange.stream is not None:
                self._exchange.stream.heard += by
        if self._home is not None:
            self._home.connector.wind(self.connector.tymth)

    def _parse(self) -> None:
        """Let the respondent take a step; what it raises ends the response (hio's own does)."""
        respondent = self.respondent
        exchange = self._exchange
        try:
            respondent.parse()
            if exchange is not None and exchange.pouring:
                self._pour(exchange, respondent)
        except UNPARSABLE as error:
            self._misparsed(exchange, error)

    def _misparsed(self, exchange: Exchange | None, error: Exception) -> None:
        """End the response with an error."""
        respondent = self.respondent
        respondent.errored = True
        respondent.error = Reason.of(error)
        respondent.fault = error
        respondent.ended = True
        if exchange is not None and exchange.drain is not None:
            respondent.body = exchange.drain.body

    # connections

    def _connect(self) -> None:
        """Go on connecting, where there is reason to."""
        exchange = self._exchange
        if self._over is not None:
            if exchange is None and not self.requests:
                return  # closed for cause: not before there is a request
            if exchange is not None and exchange.resuming:
                return  # an event stream waits for its time
        connector = self.connector
        connector.serviceConnect()
        if connector.connected:
            self._established()
            return
        fault = getattr(connector, "fault", None)
        if fault is None:
            return
        if connector.cs is None:
            self._unsecured(fault)
        elif exchange is not None and exchange.stream is not None and connector.reconnectable:
            if getattr(connector, "refusals", 0):
                self._resume(exchange, Reason.of(exchange_error("refused", str(fault), fault)))
        elif (
            self._persistent
            and exchange is not None
            # where a redirect leads is not waited for as home is: the queue waits, too
            and (self._home is not None or not connector.reconnectable)
            and connector.refusals > (self.Resends if connector.reconnectable else 0)
        ):
            self._over = "own"
            self._fail(exchange_error("refused", str(fault), fault))

    def _unsecured(self, fault: Exception) -> None:
        """See what a failed handshake means."""
        exchange = self._exchange
        certificate = isinstance(fault, ssl.SSLCertVerificationError)
        self._over = "own"
        if exchange is None:
            return
        if exchange.stream is not None and self.connector.reconnectable and not certificate:
            self._resume(exchange, Reason.of(exchange_error("tls", str(fault), fault)))
            return
        if self.connector.reconnectable and not certificate and exchange.attempts <= self.Resends:
            exchange.attempts += 1
            self._over = "peer"
            return
        self._fail(exchange_error("certificate" if certificate else "tls", str(fault), fault))

    def _established(self) -> None:
        """Begin with a connection that has come about."""
        connector = self.connector
        if self._link is not UNLINKED:
            connector.clearRxbs()  # no octet of an earlier connection is seen again
        self._link = connector.cs
        self._ours = connector if isinstance(connector, Connector) else None
        self._over = None
        self._persistent = True
        for name in self._Often:  # found sooner than in the class from now on
            setattr(self, name, getattr(self, name))
        exchange = self._exchange
        if self._leftover:
            self._leftover = False
            connector.txbs.clear()
            if exchange is not None:
                exchange.requeue = True
        if exchange is None:
            return
        if exchange.link is UNLINKED and exchange.put not in (None, connector):
            exchange.requeue = True  # the program has put another connector in its place
        exchange.link = connector.cs
        exchange.mark = self._tyme() if self._timeouts is not None else 0.0
        exchange.phase = 1
        if exchange.resuming:
            exchange.resuming = False
            connector.txbs.clear()
            self._ask_again(exchange)
        elif exchange.requeue:
            exchange.requeue = False
            connector.txbs.clear()
            connector.tx(exchange.octets)

    def _renew(self) -> None:
        """Open a new connection in place of one that is over, when it may be and is due."""
        connector = self.connector
        exchange = self._exchange
        if not connector.cutoff and connector.cs not in (None, self._link):
            # the program, or hio's way of connecting, has opened another
            if exchange is not None and exchange.resuming:
                self._over = None
                self._asking(exchange)
            return
        if exchange is not None and exchange.link is not UNLINKED:
            if connector.cutoff:
                self.serviceResponse()  # settle what came before the end (hio: D54)
            return
        pending = exchange is not None or bool(self.requests and not self.waited)
        if self._over != "own":
            if not connector.reconnectable:
                if exchange is not None:
                    self._fail(self._closure())
                return
            paced = connector.tymeout > 0.0 or (exchange is not None and exchange.resuming)
            if paced:
                if not self._expired():
                    return
            elif not pending:
                return
            if not pending and not connector.cutoff:
                return
            self._reopen_connector()
            if paced:
                # from now on: hio counts from the last expiry, and so hurries after a rest
                connector.tymer.start(duration=connector.tymeout or None)
            if exchange is not None and exchange.resuming:
                self._asking(exchange)
        elif pending:
            self._reopen_connector()
        elif (
            connector.cutoff
            and connector.reconnectable
            and connector.tymeout > 0.0
            and self._expired()
        ):
            self._reopen_connector()  # at hio's pace: programs wait for it to be connected
            connector.tymer.start(duration=connector.tymeout)

    def _pass_over(self) -> None:
        """Turn to the next address where a limit ends an attempt to connect (hio: D41)."""
        connector = self.connector
        if isinstance(connector, Connector) and connector.opened and not connector.connected:
            connector.pass_on()

    def _reopen_connector(self) -> None:
        connector = self.connector
        self._over = None
        if self._leftover and self._exchange is None:
            self._leftover = False
            connector.txbs.clear()
        if hasattr(connector, "refusals"):
            connector.refusals = 0
        connector.reopen()

    def _expired(self) -> bool:
        """Tell whether the connector's timer has run out."""
        tymer = self.connector.tymer
        if tymer.tymth is None:  # hio's own connector without a tymist
            tymer.wind(time.monotonic)
        return bool(tymer.expired)

    def _closure(self) -> ExchangeError:
        fault = getattr(self.connector, "fault", None)
        return exchange_error("closed", str(fault) if fault else "", fault)

    def _drop(self) -> None:
        """Be done with the connection; a new one is opened when there is a request."""
        self._over = "own"
        self._leftover = False
        self.connector.close()
        self.connector.clearRxbs()
        self.connector.txbs.clear()

    def _unsolicited(self) -> None:
        """Close a connection on which octets came that no request asked for (RFC 9112 6.3)."""
        if self._link is UNLINKED:
            # the program connects by hand: what came is for it
            return
        self._drop()

    def _abandon(self, exchange: Exchange) -> None:
        """Leave an exchange that the program has ended by setting `waited` to False."""
        self._exchange = None
        self.latest = None
        self.redirects = []  # what led to it is not the next one's
        if self._home is not None:
            self._home.restore(self.requester)
        if exchange.stream is not None:
            self._close_stream(exchange.stream)
        if exchange.link is not UNLINKED and exchange.link is self.connector.cs:
            self._drop()  # its response may still come
        else:
            self.connector.txbs.clear()  # what of it was not sent does not go out any more
        self.respondent.makeParser()

    def _reopened(self) -> None:
        """Go on after the program has reopened or closed the connector itself."""
        self._over = None
        self._persistent = False
        self._leftover = False
        connector = self.connector
        if self._exchange is not None and not self.waited:
            self._abandon(self._exchange)
        exchange = self._exchange
        if exchange is not None and exchange.response is not None:
            exchange = None  # it has ended: a deque of the program's reopens as it is told
        if exchange is not None:
            if exchange.stream is None:
                self._note_stream(exchange)  # its first events are being told
            if exchange.stream is not None:
                self._retake(exchange)
                return
        if exchange is None or exchange.link is UNLINKED:
            if exchange is None:
                connector.clearRxbs()
            if self.respondent.closed:
                self.respondent.makeParser()  # the close was of the connection before
            return
        if not self._again(exchange):
            self._fail(exchange_error("reopened"))
            connector.clearRxbs()

    def _broken(self, error: OSError) -> None:
        """Take an exception of a connector for the end of its connection."""
        connector = self.connector
        connector.close()
        connector.clearRxbs()
        self._over = "own"
        if self._exchange is None and not self.waited:
            self.serviceRequests()  # the next in the queue is what there is no connection for
        exchange = self._exchange
        if exchange is None:
            return
        if exchange.stream is not None and connector.reconnectable:
            code = "refused" if exchange.resuming else "reset"
            self._resume(exchange, Reason.of(exchange_error(code, str(error), error)))
        elif isinstance(error, ExchangeError):
            self._fail(error)  # the host does not resolve
        elif exchange.link is UNLINKED:
            self._fail(exchange_error("refused", str(error), error))
        elif not (connector.reconnectable and self._again(exchange)):
            self._fail(exchange_error("reset", str(error), error))

    def _interrupted(self) -> None:
        """Settle what an exception from outside, as KeyboardInterrupt, has left half done.

        It may come between any two steps. So what has a connection counts as sent, and the
        connection is not used again. A request of which nothing was made is queued again;
        a response that is out stays the only one.
        """
        exchange = self._exchange
        latest = self.latest
        self._following = None
        if isinstance(self.requester, Repeater):
            Repeater.forget(self.requester)  # not a method of the program of that name
        if exchange is None or not exchange.octets:
            if latest is not None:
                requests: Any = self.requests
                if not isinstance(requests, deque):
                    requests.append(latest)  # the program's own says itself which is next
                elif not (requests and requests[0] is latest):
                    requests.appendleft(latest)
                self.latest = self._exchange = None
                self.waited = False
            if not self.waited:
                self.respondent.makeParser()
            if exchange is None and self.respondent.errored and self._over is None:
                self._drop()  # as who has ended it with an error was about to do
            return
        told = self._told(exchange)
        if not (told or self.waited):
            return  # the program has ended it: the next service sees to that
        if self._over != "tunnel":
            self._drop()
        if told:
            self._conclude(exchange)
            return
        exchange.response = None
        error = exchange_error("interrupted")
        if exchange.stream is not None:
            if self.connector.reconnectable:
                self._resume(exchange, Reason.of(error))
            else:
                self._fail(error)
        elif self.redirects or self._home is not None:
            self._fail(error)  # on the way to where a redirect leads
        elif exchange.link is UNLINKED:
            exchange.requeue = True
            self.respondent.reinit(method=exchange.method)
            self.respondent.makeParser()
        elif not self._again(exchange):
            self._fail(error)

    # the end of a connection under an exchange

    def _cut(self, exchange: Exchange) -> None:
        """Settle an exchange whose connection the peer has ended."""
        connector = self.connector
        respondent = self.respondent
        fault = getattr(connector, "fault", None)
        if exchange.stream is not None and connector.reconnectable:
            self._cut_stream(exchange, exchange.stream, fault)
            return
        error: ExchangeError | None = None
        if fault is not None:
            error = exchange_error("reset", str(fault), fault)
        else:
            for _ in range(3):  # hio's own forgets a close before its first parse
                respondent.close()
                self._parse()
                if respondent.ended:
                    break
            else:
                error = exchange_error("reset", "response not complete")
            if self._exchange is not exchange or not self.waited:
                return  # its sink has ended it
        if error is None and not respondent.errored:
            self._ended(exchange)
            return
        silent = not (respondent.headed or connector.rxbs or self._consumed())
        if connector.reconnectable:
            if self._again(exchange):
                return
            if silent:
                cause = error or getattr(respondent, "fault", None)
                code = "retries" if exchange.method in IDEMPOTENT else "unsafe-retry"
                error = exchange_error(code, str(cause or respondent.error), cause)
        if error is None:
            self._ended(exchange)
        else:
            self._over = "peer"
            self._fail(error)
        connector.txbs.clear()
        connector.clearRxbs()

    def _unsent(self, exchange: Exchange) -> None:
        """Take a request of which nothing goes out to a connection that can be sent on.

        Nothing more goes out where the program has shut down its side; a peer
        that ends the connection ends what is received, too (`_cut`).
        """
        connector = self.connector
        if len(connector.txbs) < len(exchange.octets):
            return  # the peer has begun to read it: its answer may come
        fault = connector.fault
        exchange.attempts += 1
        if exchange.attempts > self.Resends or not self._again(exchange):
            self._fail(exchange_error("closed", str(fault) if fault else "", fault))
        self._drop()

    def _consumed(self) -> int:
        """Give how many octets of the present response were taken."""
        engine = getattr(self.respondent, "engine", None)
        return engine.consumed if engine is not None else 0

    def _again(self, exchange: Exchange) -> bool:
        """Arrange for a request to be sent again on the next connection, if that is safe.

        Safe are requests of which nothing was sent, and idempotent ones a
        bounded number of times (RFC 9110 9.2.2).
        """
        connector = self.connector
        if exchange.drain is not None and exchange.drain.sunk:
            return False  # a sink cannot give back what it got
        if len(connector.txbs) < len(exchange.octets):
            if exchange.method not in IDEMPOTENT or exchange.attempts > self.Resends:
                return False
            exchange.attempts += 1
        exchange.link = UNLINKED
        exchange.requeue = True
        exchange.bulky = False
        exchange.drain = None
        exchange.pouring = self._pours()
        exchange.phase = 0
        exchange.mark = self._tyme() if self._timeouts is not None else 0.0
        connector.txbs.clear()
        connector.clearRxbs()
        self.respondent.reinit(method=exchange.method)
        self.respondent.makeParser()
        return True

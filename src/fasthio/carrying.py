"""How each queued request comes to its one response.

`Carrier` is the part of `Client` that keeps requests in order, receives and
parses, watches time limits and puts out responses. Connections are `linking`'s,
redirects `following`'s.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from hio import help
from hio.core.http import httping
from multidict import istr

from .connecting import Connector, ConnectorTls
from .decoding import decoder_for
from .draining import Drain, sink_of
from .engine import peek as _peek
from .errors import ClosureError, ExchangeError, Reason, exchange_error
from .exchanging import UNLINKED, Exchange, Timeouts, closes, retarget
from .linking import UNPARSABLE, Linker
from .redirecting import MAX_REDIRECTS
from .requesting import Requester
from .responding import UNMADE, Respondent

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

__all__ = ["Carrier"]

#: What building a request of a program's making may raise.
_UNBUILDABLE: Final = (ValueError, TypeError, AttributeError, LookupError, httping.HTTPException)
#: What a look at a socket gives where there is nothing.
_NOTHING: Final = -errno.EAGAIN
_CONNECTION: Final = istr("Connection")
#: Fewest octets of body still to come for which they are received in place.
_BULK: Final = 65_536


def _blind(fd: int) -> int:
    """Stand in for a look where an engine has none: there may be something."""
    return 1


_look = _blind if _peek is None else _peek


class Carrier(Linker):
    """Carry exchanges over the connections of a client."""

    #: Most octets one `service` takes in.
    Bound: int = 8_388_608

    _Often = (
        "_decode",
        "_exchange",
        "_following",
        "_foreign_id",
        "_home",
        "_idle",
        "_leftover",
        "_ours",
        "_sink",
        "_timeouts",
        "Bound",
    )

    #: What `transmit` is unless a program has its own.
    _Transmits: tuple[Any, ...] = ()

    requests: deque[dict[str, Any]]
    responses: deque[dict[str, Any]]
    waited: bool
    latest: dict[str, Any] | None

    if TYPE_CHECKING:

        def redirect(self) -> None: ...

    # what the constructor's arguments say
    _timeouts: Timeouts | None = None
    _max_redirects: int = MAX_REDIRECTS
    _redirect_auth: bool = False
    _decode: bool = False
    _sink: Callable[[bytes], Any] | None = None
    _max_body: int | None = None

    # service

    def service(self) -> None:
        """Do all there is to do now; never raises for what a peer does."""
        connector = self.connector
        exchange = self._exchange
        # at least 0: all ways to the socket are ours
        fd = connector._idle_fd if connector is self._ours else -1
        if exchange is None and not self.requests:
            # 99 in 100 services find nothing to do: see that as cheaply as can be
            kind = type(self)
            if (
                fd >= 0
                and connector.cs is self._link
                and self._over is None
                and not (self.waited or connector.txbs or connector.rxbs)
                and kind.serviceRequests is _requests_served
                and kind.serviceResponse is _response_served
                and _look(fd) == _NOTHING
            ):
                return
        try:
            if (
                (fd < 0 and getattr(connector, "_fd", -1) < 0)
                or connector.cs is not self._link
                or self._over is not None
                or (exchange is not None and not (self.waited and exchange.link is self._link))
            ):
                self._prepare(connector, exchange)
                exchange = self._exchange
            self.serviceRequests()
            if self._exchange is not exchange:
                exchange = self._exchange
                if exchange is not None and exchange.link is UNLINKED:
                    self._renew()  # the connection was found to be over
                    exchange = self._exchange
                connector = self.connector
                fd = connector._idle_fd if connector is self._ours else -1
            if (exchange is None or exchange.link is not UNLINKED) and (fd < 0 or connector.txbs):
                connector.serviceSends()
            self.serviceResponse()
        except OSError as error:
            # hio's own connectors raise; ours does where the system gives no socket
            self._broken(error)
        if self._timeouts is not None and self._exchange is not None:
            self._watch(self._exchange, self._timeouts)
        if self._idle is not None:
            exchange = self._exchange
            if exchange is not None and exchange.stream is not None:
                self._watch_stream(exchange, exchange.stream, self._idle)

    def _prepare(self, connector: Any, exchange: Exchange | None) -> None:
        """See to it that there is a connection, where one is wanted."""
        if exchange is not None:
            if not self.waited:
                self._abandon(exchange)
            elif exchange.link is not UNLINKED and exchange.link is not connector.cs:
                self._reopened()  # by way of the connector itself
        if connector.cutoff or self._over is not None:
            self._renew()
            connector = self.connector
        if not connector.connected:
            self._connect()
        elif connector.cs is not self._link:
            self._established()

    def serviceRequests(self) -> None:
        """Send the next queued request, unless one is under way."""
        if self.waited or not self.requests:
            return
        if self._exchange is not None:
            self._abandon(self._exchange)
        self._look_over()
        request = self.latest = self.requests.popleft()
        try:
            if not self._repeat(request):
                self.transmit(**request)
        except _UNBUILDABLE as error:
            self._refuse_request(error)

    def _repeat(self, request: dict[str, Any]) -> bool:
        """Send the request that was sent last once more, where this is the same.

        Programs that poll do nothing else: what `transmit` would look at is known.

        Returns:
            False where it is another, or nothing is as it was.
        """
        connector = self.connector
        requester = self.requester
        respondent = self.respondent
        if not (
            self._exchange is None
            and connector is self._ours
            and connector._idle_fd >= 0
            and connector.cs is self._link
            and self._over is None
            and self._home is None
            and self._timeouts is None
            and not (self._foreign_id or self._decode or self._sink or connector.txbs)
            and type(requester) is Requester
            and type(respondent) is Respondent
            and respondent._parser is UNMADE
            and respondent.ended
            and not (respondent.msg or respondent.closed)
            and type(self).transmit in self._Transmits
        ):
            return False
        whole = requester.repeat(request)
        if whole is None:
            return False
        self.waited = True
        exchange = self._exchange = Exchange()
        exchange.octets = octets = whole.msg
        exchange.whole = whole
        method = exchange.method = whole.method
        exchange.link = connector.cs
        exchange.phase = 1
        connector.send_direct(octets)
        respondent.expect(method)
        return True

    def _look_over(self) -> None:
        """Look at the connection before it is used again; be done with one that is no good."""
        connector = self.connector
        if self._leftover and connector.txbs:
            self._drop()  # the server answered without reading all: it may never (RFC 9112 9.3)
        elif self._link is not UNLINKED and connector.cs is self._link and not connector.cutoff:
            # has the server closed it, or said something nobody asked for (RFC 9112 6.3, 9.3.1)?
            fd = connector._idle_fd if connector is self._ours else -1
            if fd < 0 or _look(fd) != _NOTHING:
                connector.serviceReceives()
            if connector.rxbs and self._over != "tunnel":
                self._unsolicited()

    def serviceResponse(self) -> None:
        """Receive and parse; put out a response that is complete."""
        connector = self.connector
        if not self.waited:
            connector.serviceReceives()
            if connector.rxbs and self._over != "tunnel":
                self._unsolicited()
            return
        exchange = self._exchange
        if exchange is None:
            exchange = self._adopt()
        elif exchange.link is UNLINKED:
            return
        respondent = self.respondent
        direct = connector is self._ours and connector._idle_fd >= 0
        rxbs = connector.rxbs
        left = self.Bound
        while True:
            if exchange.bulky and self._may_receive_bulk(connector, respondent):
                more = self._receive_bulk(connector, respondent.engine, left, exchange.pouring)
            elif direct:
                more = connector.receive_direct()
            else:
                before = len(rxbs)
                connector.serviceReceives()
                more = len(rxbs) - before
            if more or rxbs or connector.cutoff:
                try:
                    respondent.parse()
                    if exchange.pouring:
                        self._pour(exchange, respondent)
                except UNPARSABLE as error:
                    self._misparsed(exchange, error)
                if exchange.pouring and (self._exchange is not exchange or not self.waited):
                    return  # its sink has ended it: by reopen, service or waited
                if respondent.evented:
                    self._note_stream(exchange)
                if respondent.ended:
                    self._ended(exchange)
                    return
                engine = getattr(respondent, "engine", None)
                exchange.bulky = engine is not None and (
                    engine.wanted >= _BULK or engine.wanted < 0
                )
            left -= more
            if more < _BULK or left <= 0:
                break
        if connector.cutoff:
            self._cut(exchange)
        elif connector.txbs and getattr(connector, "_unsendable", False):
            self._unsent(exchange)

    def _adopt(self) -> Exchange:
        """Take up an exchange of a program that sends by hand and has set `waited` itself."""
        exchange = self._exchange = Exchange()
        exchange.method = self.requester.method
        exchange.started = exchange.mark = self._tyme()
        exchange.link = self.connector.cs
        return exchange

    @staticmethod
    def _may_receive_bulk(connector: Any, respondent: Any) -> bool:
        """Tell whether nothing stands between the socket and the body."""
        return (
            (respondent.engine.wanted >= _BULK or respondent.engine.wanted < 0)
            and not connector.rxbs
            and type(connector) in (Connector, ConnectorTls)
            and connector.direct
        )

    @staticmethod
    def _receive_bulk(connector: Any, engine: Any, left: int, pouring: bool) -> int:
        """Receive straight into the body, which stays empty if `pouring`; give how much came."""
        wanted = engine.wanted
        size = min(wanted if wanted > 0 else connector.Stride, connector.Stride, left)
        count: int = connector.receive_into(engine.body, size, 0 if pouring else max(wanted, 0))
        if count:
            engine.received(count)
        return count

    # time limits

    def _answered(self) -> bool:
        """Tell whether anything of the present response has come."""
        respondent = self.respondent
        # until its first step a parser shows the response before
        return bool(
            getattr(respondent, "begun", True) and (respondent.started or respondent.headed)
        )

    def _watch(self, exchange: Exchange, timeouts: Timeouts) -> None:
        """End an exchange that takes longer than allowed."""
        now = self._tyme()
        if exchange.phase == 1 and self._answered():
            exchange.phase = 2
        if timeouts.total is not None and now - exchange.started >= timeouts.total:
            code, limit = "timeout-total", timeouts.total
        elif exchange.phase == 2 or (exchange.resuming and self._over is not None):
            return
        else:
            allowed = timeouts[exchange.phase]
            if allowed is None or now - exchange.mark < allowed:
                return
            code, limit = ("timeout-connect", "timeout-first")[exchange.phase], allowed
        connector = self.connector
        fault = getattr(connector, "fault", None)
        detail = f"{limit:g} s" + (f", last {fault}" if fault else "")
        error = exchange_error(code, detail, fault)
        if exchange.stream is not None and connector.reconnectable and code != "timeout-total":
            self._resume(exchange, Reason.of(error))
            return
        self._fail(error)
        self._drop()

    # requests

    def _refuse_request(self, error: Exception) -> None:
        """End a request that cannot be built; what was appended by hand was not checked before."""
        if self._exchange is None:
            self._exchange = Exchange()
        self.waited = True
        self.respondent.reinit(method="GET")
        self._fail(exchange_error("bad-request", str(error), error), built=False)

    def _transmit(
        self,
        bare: bool,
        method: str | None,
        path: str | None,
        qargs: Any,
        fragment: str | None,
        headers: Any,
        body: Any,
        data: Any,
        fargs: Any,
    ) -> None:
        """Build a request and put it out for sending; `bare` as the requester has it."""
        exchange = self._exchange
        if exchange is not None and not self.waited:
            self._abandon(exchange)
            exchange = None
        following = self._following
        if exchange is None and self._home is not None and following is None:
            self._go_home(self._home)
        connector = self.connector
        requester = self.requester
        latest = self.latest
        pouring = False
        if self._decode or self._sink is not None or (latest is not None and "sink" in latest):
            pouring = self._pours()
        if bare:
            octets = requester.build()
        elif following is None:
            octets = requester.rebuild(method, path, qargs, fragment, headers, body, data, fargs)
        elif isinstance(requester, Requester):
            octets = requester.rebuild(
                method, path, qargs, fragment, headers, body, data, fargs,
                target=following.origin_form,
            )  # fmt: skip
        else:
            octets = requester.rebuild(method, path, qargs, fragment, headers, body, data, fargs)
            octets = retarget(octets, following.origin_form)
        self.waited = True
        timeouts = self._timeouts
        if exchange is None:
            exchange = self._exchange = Exchange()
            if timeouts is not None:
                exchange.started = self._tyme()
            if self._foreign_id:
                self._foreign_id = False
                self.respondent.leid = None  # hio: D94
        else:
            exchange.requeue = exchange.bulky = False
            exchange.drain = None
        exchange.pouring = pouring
        if timeouts is not None:
            exchange.mark = self._tyme()
        exchange.octets = octets
        method = exchange.method = requester.method
        cs = connector.cs
        if self._over is None and (
            getattr(connector, "_fd", -1) >= 0 or (connector.connected and not connector.cutoff)
        ):
            if cs is not self._link:
                self._established()
            exchange.link = cs
            exchange.phase = 1
        else:
            exchange.link = UNLINKED
            exchange.phase = 0
        exchange.sent = self._describe()
        exchange.whole = None
        connector.tx(octets)
        respondent = self.respondent
        respondent.reinit(method=method)
        if (
            respondent.ended
            and not (respondent.msg or respondent.closed)
            and (isinstance(respondent, Respondent) or respondent.parser)
        ):
            respondent.parse()  # it begins: programs that wait for `ended` mean this response

    # responses

    def _pour(self, exchange: Exchange, respondent: Any) -> None:
        """Lead away what came of a body, if it is one to be decoded or for a sink.

        Raises:
            httping.HTTPException: as `Drain.take` and `Drain.finish`.
        """
        if not respondent.headed:
            return
        drain = exchange.drain
        if drain is None:
            drain = exchange.drain = self._make_drain(respondent)
            if drain is None:
                exchange.pouring = False
                return
        engine = getattr(respondent, "engine", None)
        if engine is not None:
            drain.take(engine.body)
        elif respondent.ended:
            drain.take(respondent.body)
        if respondent.ended and not respondent.errored:
            drain.finish()
        respondent.body = drain.body

    def _pours(self) -> bool:
        """Tell whether the body of the next response may be led away.

        Raises:
            ValueError: the sink of a request that was appended by hand is none.
        """
        return self._own_sink() is not None or self._decode or self._sink is not None

    def _own_sink(self) -> Callable[[bytes], Any] | None:
        """Give the sink that the present request brings along, None where it brings none."""
        latest = self.latest
        if latest is None or "sink" not in latest or latest["sink"] is None:
            return None
        return sink_of(latest["sink"])

    def _make_drain(self, respondent: Any) -> Drain | None:
        """Make what leads a body away; None where it stays."""
        decoder = None
        if self._decode:
            coding = ",".join(respondent.headers.getall("content-encoding", ()))
            decoder = decoder_for(coding) if coding else None
        if respondent.evented:
            if decoder is not None:
                raise exchange_error("undecodable", "an event stream is not decoded")
            return None
        sink = None
        if 200 <= respondent.status < 300:  # what an error says is for the program to read
            sink = self._own_sink() or self._sink
        if sink is None and decoder is None:
            return None
        return Drain(sink, decoder, self._max_body)

    def _ended(self, exchange: Exchange) -> None:
        """Put out a response that is complete, or follow its redirect."""
        respondent = self.respondent
        stream = exchange.stream
        if stream is not None and self._goes_on(exchange, stream):
            return
        respondent.dictify()
        connector = self.connector
        whole = exchange.whole
        ours = isinstance(respondent, Respondent)
        if (
            ours
            and respondent.reusable
            and not respondent.errored
            and not connector.rxbs
            and respondent.method != "CONNECT"
            and (whole.lasting if whole is not None else _CONNECTION not in self.requester.headers)
        ):
            self._leftover = bool(connector.txbs)
        else:
            self._judge(respondent)
        if stream is not None:
            self._refuse_to_go_on(stream)
        headers = respondent.headers
        body = respondent.body
        if not ours:  # hio's own uses both again, and shows old ones until there are others
            headers = headers.copy() if headers is not None else help.Hict()
            body = bytearray(body) if respondent.headed else bytearray()
        response = {
            "version": respondent.version,
            "status": respondent.status,
            "reason": respondent.reason,
            "headers": headers,
            "body": body,
            "data": respondent.data,
            "request": self._request_sent() if whole is None else whole.sent(),
            "errored": respondent.errored,
            "error": respondent.error,
        }
        if respondent.redirectant and self._leads(respondent, response):
            self.redirects.append(response)
            self.redirect()
            if not self.waited:
                self._exchange = None  # refused, or an override has ended it
        else:
            self._deliver(response)
        self.respondent.makeParser()

    def _judge(self, respondent: Any) -> None:
        """Settle whether the connection may carry another exchange (RFC 9112 9.3, 9.6)."""
        connector = self.connector
        if respondent.errored:
            fault = getattr(respondent, "fault", None)
            if isinstance(fault, ClosureError) or connector.cutoff:
                self._over = "peer"
            else:
                self._drop()
        elif respondent.status == 101 or (
            respondent.method == "CONNECT" and 200 <= respondent.status < 300
        ):
            self._over = "tunnel"  # what follows is another protocol's (RFC 9110 7.8, 9.3.6)
        elif connector.rxbs:
            self._drop()  # octets beyond the response (RFC 9112 6.3)
        elif closes(self.requester.headers):
            self._over = "own"
        elif not getattr(respondent, "reusable", respondent.persisted):
            # the server has said so, whether it closes or, as hio's, goes on to listen:
            # hio sends the next request on it (RFC 9112 9.6), a new connection serves as well;
            # with `reconnectable` one that is closed is opened at hio's pace
            engine = getattr(respondent, "engine", None)
            ended_by_close = connector.cutoff if engine is None else engine.framing == "close"
            self._over = "peer" if ended_by_close and connector.reconnectable else "own"
        self._leftover = bool(connector.txbs)

    def _request_sent(self) -> dict[str, Any]:
        """Give the request as it went out, with all that travels with it (hio: D56)."""
        exchange = self._exchange
        if exchange is None:
            return self._describe()
        if exchange.whole is not None:
            return exchange.whole.sent()
        return self._describe() if exchange.sent is None else exchange.sent

    def _describe(self) -> dict[str, Any]:
        """Describe what the requester has built last, with all that travels with it."""
        requester = self.requester
        latest = self.latest
        request = latest.copy() if latest is not None else {}
        qargs, fargs = requester.qargs, requester.fargs
        request["host"] = requester.hostname
        request["port"] = requester.port
        request["scheme"] = requester.scheme
        request["method"] = requester.method
        request["path"] = requester.path
        request["fragment"] = requester.fragment
        request["qargs"] = qargs.copy() if qargs else {}
        request["headers"] = requester.headers.copy()
        request["body"] = requester.body
        request["data"] = requester.data
        request["fargs"] = fargs.copy() if fargs is not None else None
        return request

    def _request_refused(self) -> dict[str, Any]:
        """Give a request that could not be built, as it was queued."""
        latest: Any = self.latest
        return dict(latest) if isinstance(latest, Mapping) else {}

    def _deliver(self, response: dict[str, Any]) -> None:
        """End the exchange with its response."""
        exchange = self._exchange
        if self.redirects:
            response["redirects"] = self.redirects.copy()
        self.redirects = []
        self.responses.append(response)
        self.latest = None
        self.waited = False
        self._exchange = None
        if self._home is not None:
            # what a program queues next is meant for home, and described as before
            self._home.restore(self.requester)
        if exchange is not None and exchange.stream is not None:
            self._end_stream(exchange.stream, response)

    def _fail(self, error: ExchangeError, built: bool = True) -> None:
        """End the exchange with an errored response."""
        respondent = self.respondent
        reason = Reason.of(error)
        begun = bool(getattr(respondent, "begun", True) and respondent.started)
        if built:
            self.connector.txbs.clear()  # no octet of it goes out with a later request
        respondent.errored = True
        respondent.error = reason
        response: dict[str, Any] = {
            "version": respondent.version if begun else None,
            "status": respondent.status if begun else None,
            "reason": respondent.reason if begun else None,
            "headers": respondent.headers if begun and respondent.headers else help.Hict(),
            "body": self._body_so_far() if begun else bytearray(),
            "data": None,
            "request": self._request_sent() if built else self._request_refused(),
            "errored": True,
            "error": reason,
        }
        exchange = self._exchange
        if exchange is not None and exchange.stream is not None:
            response.update(exchange.stream.head, body=bytearray())
        self._deliver(response)
        respondent.makeParser()
        respondent.ended = True

    def _body_so_far(self) -> bytearray:
        """Give what came of a body that is not complete."""
        drain = self._exchange.drain if self._exchange is not None else None
        body: bytearray = self.respondent.body if drain is None else drain.body
        return body


# what `service` leaves out where there is nothing to do, unless a program has its own
_requests_served = Carrier.serviceRequests
_response_served = Carrier.serviceResponse

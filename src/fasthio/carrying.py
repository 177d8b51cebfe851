"""How each request that was sent comes to its one response.

`Carrier` is the part of `Client` that services, receives and parses, watches time
limits and puts out responses. Requests are `sending`'s, connections `linking`'s,
redirects `following`'s.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from hio import help
from multidict import istr

from .connecting import Connector, ConnectorTls
from .decoding import decoder_for
from .draining import Drain
from .engine import intact
from .errors import ClosureError, ExchangeError, Reason, exchange_error
from .exchanging import UNLINKED, Exchange, Timeouts, closes
from .linking import UNPARSABLE
from .redirecting import MAX_REDIRECTS
from .responding import Respondent
from .sending import NOTHING, Sender, look

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Carrier"]

_CONNECTION: Final = istr("Connection")
#: Fewest octets of body still to come for which they are received in place.
_BULK: Final = 65_536


class Carrier(Sender):
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

    responses: deque[dict[str, Any]]

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
            if (
                fd >= 0
                and connector.cs is self._link
                and self._over is None
                and not (self.waited or connector.txbs or connector.rxbs)
                and intact(self, _SERVED)
                and look(fd) == NOTHING
            ):
                return
        try:
            if (
                (fd < 0 and getattr(connector, "_fd", -1) < 0)
                or connector.cs is not self._link
                or self._over is not None
                or (exchange is not None and not (self.waited and exchange.link is self._link))
            ):
                if exchange is not None and exchange.response is not None:
                    self._tell_again(exchange, exchange.response)
                    return
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
            if self._timeouts is not None and self._exchange is not None:
                self._watch(self._exchange, self._timeouts)
            if self._idle is not None:
                exchange = self._exchange
                if exchange is not None and exchange.stream is not None:
                    self._watch_stream(exchange, exchange.stream, self._idle)
        except OSError as error:
            # hio's own connectors raise; ours does where the system gives no socket
            self._broken(error)
        except BaseException as error:
            if not isinstance(error, Exception):
                self._interrupted()
            raise

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
        elif exchange.link is UNLINKED or (exchange.drain is not None and exchange.drain.busy):
            return  # busy: its sink has called service, the next octets would overtake these
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
                    if self._exchange is not exchange or not self.waited:
                        return  # `events` of the program's own making has ended it
                    if respondent.ended or not exchange.resuming:
                        self._note_stream(exchange)
                if respondent.ended:
                    self._ended(exchange)
                    return
                if exchange.pouring and exchange.link is not connector.cs:
                    return  # its sink has closed the connection, or opened another
                engine = getattr(respondent, "engine", None)
                exchange.bulky = engine is not None and (
                    engine.wanted >= _BULK or engine.wanted < 0
                )
            left -= more
            if more < _BULK or left <= 0:
                break
            direct = direct and connector._idle_fd >= 0  # not past the end it has just seen
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
            if count == wanted:
                connector.receive_behind()  # else it would answer the next request (RFC 9112 6.3)
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
        self._pass_over()
        if exchange.stream is not None and connector.reconnectable and code != "timeout-total":
            self._resume(exchange, Reason.of(error))
            return
        self._fail(error)
        self._drop()

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
            sink = self._own_sink()
            if sink is None:
                sink = self._sink
        if sink is None and decoder is None:
            return None
        state = "until-close" if respondent.length is None else "fixed"
        if respondent.chunked:
            state = "chunk-data"
        return Drain(sink, decoder, self._max_body, state)

    def _ended(self, exchange: Exchange) -> None:
        """Put out a response that is complete, or follow its redirect."""
        if exchange.response is not None:
            return  # it is being put out, and `responses` of the program's own services
        respondent = self.respondent
        stream = exchange.stream
        if stream is not None and self._goes_on(exchange, stream):
            return
        respondent.dictify()
        connector = self.connector
        whole = exchange.whole
        request = self._request_sent() if whole is None else whole.sent(exchange.fields)
        ours = isinstance(respondent, Respondent)
        if (
            ours
            and respondent.reusable
            and not respondent.errored
            and not connector.rxbs
            and respondent.method != "CONNECT"
            and (whole.lasting if whole is not None else _CONNECTION not in request["headers"])
        ):
            self._leftover = bool(connector.txbs)
        else:
            self._judge(respondent, request)
        if stream is not None:
            self._refuse_to_go_on(stream)
        if ours:
            response = respondent.publisher.response(respondent, request)
        else:
            headers = respondent.headers
            body = respondent.body
            # hio's own uses both again, and shows old ones until there are others
            headers = headers.copy() if headers is not None else help.Hict()
            body = bytearray(body) if respondent.headed else bytearray()
            response = {
                "version": respondent.version,
                "status": respondent.status,
                "reason": respondent.reason,
                "headers": headers,
                "body": body,
                "data": respondent.data,
                "request": request,
                "errored": respondent.errored,
                "error": respondent.error,
            }
        if respondent.redirectant and self._leads(respondent, response):
            self.redirects.append(response)
            self._take_back(request)
            try:
                self.redirect()
            except OSError:
                raise  # a connector's, for `service`
            except Exception as error:
                # an override's: nobody else ends the exchange
                if self._exchange is exchange and exchange.response is None:
                    self._refuse_redirect(
                        response, exchange_error("redirect-failed", str(error), error)
                    )
                    self.respondent.makeParser()
                raise
            if not self.waited:
                if self._exchange is exchange and not respondent.ended:
                    self._abandon(exchange)  # an override has followed, and given it up then
                    return
                self._exchange = None  # refused, or an override has ended it
        else:
            self._deliver(response)
        self.respondent.makeParser()

    def _judge(self, respondent: Any, request: dict[str, Any]) -> None:
        """Settle whether the connection may carry another exchange (RFC 9112 9.3, 9.6)."""
        connector = self.connector
        if respondent.errored:
            fault = getattr(respondent, "fault", None)
            if isinstance(fault, ClosureError) or (fault is None and connector.cutoff):
                self._over = "peer"
            else:
                self._drop()  # whether the end behind what is wrong was seen by now, or not
        elif respondent.status == 101 or (
            respondent.method == "CONNECT" and 200 <= respondent.status < 300
        ):
            self._over = "tunnel"  # what follows is another protocol's (RFC 9110 7.8, 9.3.6)
        elif connector.rxbs:
            self._drop()  # octets beyond the response (RFC 9112 6.3)
        elif closes(request["headers"]):
            self._over = "own"
        elif not getattr(respondent, "reusable", respondent.persisted):
            # the server has said so, whether it closes or, as hio's, goes on to listen:
            # hio sends the next request on it (RFC 9112 9.6), a new connection serves as well;
            # with `reconnectable` one that is closed is opened at hio's pace
            engine = getattr(respondent, "engine", None)
            ended_by_close = connector.cutoff if engine is None else engine.framing == "close"
            self._over = "peer" if ended_by_close and connector.reconnectable else "own"
        self._leftover = bool(connector.txbs)

    def _deliver(self, response: dict[str, Any]) -> None:
        """End the exchange with its response."""
        exchange = self._exchange
        if self.redirects:
            response["redirects"] = self.redirects.copy()
        if exchange is not None:
            exchange.response = response
        try:
            self.responses.append(response)
        except Exception:  # a deque of the program's own making
            self._untaken()
            raise
        self.redirects = []
        if self._home is not None:
            # what a program queues next is meant for home, and described as before
            self._home.restore(self.requester)
        if exchange is not None and exchange.stream is not None:
            self._end_stream(exchange.stream, response)
        self.latest = None
        self.waited = False
        self._exchange = None  # last: an exception before it is settled by `_interrupted`

    def _untaken(self) -> None:
        """Settle that `responses` has raised; what it has not taken it is given again."""
        if self._over != "tunnel":
            self._drop()
        exchange = self._exchange
        if exchange is None:
            return
        if self._told(exchange):
            self._conclude(exchange)
        else:
            exchange.untaken = True

    def _told(self, exchange: Exchange) -> bool:
        """Tell whether the response of an exchange is out; of what is no deque nothing is known."""
        responses = self.responses
        return (
            isinstance(responses, deque)
            and bool(responses)
            and responses[-1] is exchange.response is not None
        )

    def _conclude(self, exchange: Exchange) -> None:
        """Do the rest for an exchange whose response is out."""
        responses = self.responses
        self.responses = deque()
        try:
            self._deliver(exchange.response or {})
        finally:
            self.responses = responses
        self.respondent.makeParser()

    def _tell_again(self, exchange: Exchange, response: dict[str, Any]) -> None:
        """Give `responses` what it has not taken; nothing where it is being told, and services."""
        if exchange.untaken:
            exchange.untaken = False
            self._deliver(response)
            self.respondent.makeParser()
            self.respondent.ended = True

    def _fail(self, error: ExchangeError, built: bool = True) -> None:
        """End the exchange with an errored response, unless it has ended."""
        exchange = self._exchange
        if exchange is not None and exchange.response is not None:
            return
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
_SERVED: Final = (
    ("serviceRequests", Carrier.serviceRequests),
    ("serviceResponse", Carrier.serviceResponse),
)

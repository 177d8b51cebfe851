"""How exchanges live: through closes, resets, reopens, redirects and time limits.

`Carrier` is the part of `Client` that keeps each queued request to its one
response. A connection it calls over carries no further exchange: "own" when
this side is done with it, so that a new one may be opened at once, "peer" when
the server is, so that reopening needs `reconnectable`.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from hio import help
from hio.core.http import httping

from .connecting import Connector, ConnectorTls
from .errors import ClosureError, ExchangeError, Reason, exchange_error
from .exchanging import IDEMPOTENT, UNLINKED, Exchange, Home, Timeouts, closes, retarget, target_of
from .redirecting import Target, headers_for, locate, location_of, method_for
from .requesting import Requester
from .resolving import is_loopback, resolve
from .responding import Respondent

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator

__all__ = ["Carrier"]

#: What building a request of a program's making may raise.
_UNBUILDABLE: Final = (ValueError, TypeError, AttributeError, LookupError, httping.HTTPException)
#: What hio's own Respondent may raise for what a peer sent.
_UNPARSABLE: Final = (httping.HTTPException, ValueError, RuntimeError, StopIteration)
#: Fewest octets of body still to come for which they are received in place.
_BULK: Final = 65_536


class Carrier:
    """Carry exchanges over the connections of a client."""

    #: How often a request is sent again at most after its connection ended
    #: (RFC 9110 9.2.2: automatic retries are to be bounded).
    Resends: int = 5
    #: Most octets one `service` takes in.
    Bound: int = 8_388_608

    requests: deque[dict[str, Any]]
    responses: deque[dict[str, Any]]
    redirects: list[dict[str, Any]]
    waited: bool
    latest: dict[str, Any] | None
    secured: bool
    connector: Any
    requester: Any
    respondent: Any

    if TYPE_CHECKING:
        # virtual, of Client
        def transmit(self, *pa: Any, **kwa: Any) -> None: ...
        def redirect(self) -> None: ...
        def serviceRequests(self) -> None: ...
        def serviceResponse(self) -> None: ...

    def _begin(self, timeouts: Timeouts | None, max_redirects: int, redirect_auth: bool) -> None:
        """Set up; a subclass may have set attributes of its own before."""
        self._timeouts = timeouts
        self._max_redirects = max_redirects
        self._redirect_auth = redirect_auth
        self._exchange: Exchange | None = None
        self._link: Any = UNLINKED  # socket of the connection that is known to be made
        self._over: str | None = None
        self._persistent = False  # refused connections are an error from now on
        self._leftover = False  # txbs begins with the rest of an answered request
        self._home: Home | None = None
        self._following: Target | None = None  # while a redirect is being transmitted

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
        if self._home is not None:
            self._home.connector.wind(self.connector.tymth)

    # service

    def _service(self) -> None:
        connector = self.connector
        try:
            exchange = self._exchange
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
            self.serviceRequests()
            exchange = self._exchange
            if exchange is None:
                connector.serviceSends()
            else:
                connector = self.connector
                if exchange.link is UNLINKED and (connector.cutoff or self._over is not None):
                    self._renew()
                    if self._exchange is None:
                        return
                if exchange.link is not UNLINKED:
                    connector.serviceSends()
            self.serviceResponse()
        except OSError as error:
            # hio's own connectors raise; ours does where the system gives no socket
            self._broken(error)
        if self._timeouts is not None and self._exchange is not None:
            self._watch(self._exchange, self._timeouts)

    def _service_response(self) -> None:
        connector = self.connector
        if not self.waited:
            connector.serviceReceives()
            if connector.rxbs:
                self._unsolicited()
            return
        exchange = self._exchange
        if exchange is None:
            # waited was set by the program, which sends by hand
            exchange = self._exchange = Exchange()
            exchange.method = self.requester.method
            exchange.started = exchange.mark = self._tyme()
            exchange.link = connector.cs
        if exchange.link is UNLINKED:
            return
        respondent = self.respondent
        left = self.Bound
        while True:
            engine = getattr(respondent, "engine", None)
            if (
                engine is not None
                and (engine.wanted >= _BULK or engine.wanted < 0)
                and not connector.rxbs
                and type(connector) in (Connector, ConnectorTls)
                and connector.direct
            ):
                more = self._receive_bulk(connector, engine, left)
                left -= more
            else:
                before = len(connector.rxbs)
                connector.serviceReceives()
                more = getattr(connector, "more", False)
                left -= len(connector.rxbs) - before
            self._parse()
            if respondent.ended:
                self._ended(exchange)
                return
            if not more or left <= 0:
                break
        if connector.cutoff:
            self._cut(exchange)

    def _receive_bulk(self, connector: Any, engine: Any, left: int) -> int:
        """Receive straight into the body; give how much when there may be more."""
        wanted = engine.wanted
        size = min(wanted if wanted > 0 else connector.Stride, connector.Stride, left)
        count = connector.receive_into(engine.body, size)
        if count:
            engine.received(count)
        # a short read has emptied the socket; a TLS record is always short
        return count if count == size or type(connector) is ConnectorTls else 0

    def _parse(self) -> None:
        """Let the respondent take a step; what it raises ends the response (hio's own does)."""
        respondent = self.respondent
        try:
            respondent.parse()
        except _UNPARSABLE as error:
            respondent.errored = True
            respondent.error = Reason.of(error)
            respondent.ended = True

    # connections

    def _connect(self) -> None:
        """Go on connecting, where there is reason to."""
        exchange = self._exchange
        if self._over is not None and exchange is None and not self.requests:
            return  # closed for cause: not before there is a request
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
        elif (
            self._persistent
            and exchange is not None
            and connector.refusals
            and not connector.reconnectable
        ):
            self._over = "own"
            self._fail(exchange_error("refused", str(fault), fault))

    def _unsecured(self, fault: Exception) -> None:
        """See what a failed handshake means."""
        exchange = self._exchange
        certificate = "certificate" in type(fault).__name__.lower() or "CERTIFICATE" in str(fault)
        self._over = "own"
        if exchange is None:
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
        self._over = None
        self._persistent = True
        exchange = self._exchange
        if self._leftover:
            self._leftover = False
            connector.txbs.clear()
            if exchange is not None:
                exchange.requeue = True
        if exchange is None:
            return
        exchange.link = connector.cs
        exchange.mark = self._tyme() if self._timeouts is not None else 0.0
        exchange.phase = 1
        if exchange.resuming:
            exchange.resuming = False
            connector.txbs.clear()
            if self.respondent.leid is not None:
                self.requester.headers["Last-Event-ID"] = self.respondent.leid
            self.transmit()
        elif exchange.requeue:
            exchange.requeue = False
            connector.txbs.clear()
            connector.tx(exchange.octets)

    def _renew(self) -> None:
        """Open a new connection in place of one that is over, when it may be and is due."""
        connector = self.connector
        if not connector.cutoff and connector.cs not in (None, self._link):
            # the program, or hio's way of connecting, has opened another
            return
        exchange = self._exchange
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
                connector.tymer.restart(duration=connector.tymeout or None)
        elif pending:
            self._reopen_connector()

    def _reopen_connector(self) -> None:
        connector = self.connector
        self._over = None
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
        if exchange.link is not UNLINKED and exchange.link is self.connector.cs:
            self._drop()  # its response may still come
        self.respondent.makeParser()

    def _reopened(self) -> None:
        """Go on after the program has reopened or closed the connector itself."""
        self._over = None
        self._persistent = False
        self._leftover = False
        exchange = self._exchange
        connector = self.connector
        if exchange is None or exchange.link is UNLINKED:
            if exchange is None:
                connector.clearRxbs()
            return
        if not self._again(exchange):
            self._fail(exchange_error("reopened"))
            connector.txbs.clear()
            connector.clearRxbs()

    def _broken(self, error: OSError) -> None:
        """Take an exception of a connector for the end of its connection."""
        connector = self.connector
        connector.close()
        connector.clearRxbs()
        exchange = self._exchange
        self._over = "own"
        if exchange is None:
            return
        if exchange.link is UNLINKED:
            self._fail(exchange_error("refused", str(error), error))
        elif not (connector.reconnectable and self._again(exchange)):
            self._fail(exchange_error("reset", str(error), error))
            connector.txbs.clear()

    # the end of a connection under an exchange

    def _cut(self, exchange: Exchange) -> None:
        """Settle an exchange whose connection the peer has ended."""
        connector = self.connector
        respondent = self.respondent
        fault = getattr(connector, "fault", None)
        streaming = bool(respondent.headed and respondent.evented and respondent.status == 200)
        if streaming and connector.reconnectable:
            for _ in range(2):
                self._parse()  # whole events that came last
            self._resume(exchange)
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
        if len(connector.txbs) < len(exchange.octets):
            if exchange.method not in IDEMPOTENT or exchange.attempts > self.Resends:
                return False
            exchange.attempts += 1
        exchange.link = UNLINKED
        exchange.requeue = True
        exchange.phase = 0
        exchange.mark = self._tyme() if self._timeouts is not None else 0.0
        connector.txbs.clear()
        connector.clearRxbs()
        self.respondent.reinit(method=exchange.method)
        self.respondent.makeParser()
        return True

    def _resume(self, exchange: Exchange) -> None:
        """Arrange for an event stream to be asked for again once its retry time is over."""
        connector = self.connector
        exchange.link = UNLINKED
        exchange.resuming = True
        exchange.phase = 0
        self._over = "peer"
        connector.clearRxbs()
        self._expired()  # sees that there is a tyme to go by
        connector.tymer.start(duration=float(self.respondent.retry) / 1000.0)
        self.respondent.makeParser()

    # time limits

    def _watch(self, exchange: Exchange, timeouts: Timeouts) -> None:
        """End an exchange that takes longer than allowed."""
        now = self._tyme()
        if exchange.phase == 1 and (self.respondent.started or self.respondent.headed):
            exchange.phase = 2
        if timeouts.total is not None and now - exchange.started >= timeouts.total:
            code, limit = "timeout-total", timeouts.total
        elif exchange.phase == 2 or exchange.resuming:
            return
        else:
            allowed = timeouts[exchange.phase]
            if allowed is None or now - exchange.mark < allowed:
                return
            code, limit = ("timeout-connect", "timeout-first")[exchange.phase], allowed
        fault = getattr(self.connector, "fault", None)
        detail = f"{limit:g} s" + (f", last {fault}" if fault else "")
        self._fail(exchange_error(code, detail, fault))
        self._drop()

    # requests

    def _next_request(self) -> None:
        """Send the next queued request."""
        connector = self.connector
        if self._link is not UNLINKED and connector.cs is self._link and not connector.cutoff:
            # a look before a connection is used again: has the server closed it,
            # or said something nobody asked for (RFC 9112 6.3, 9.3.1)?
            connector.serviceReceives()
            if connector.rxbs:
                self._unsolicited()
        request = self.latest = self.requests.popleft()
        try:
            self.transmit(**request)
        except _UNBUILDABLE as error:
            self._refuse_request(error)

    def _refuse_request(self, error: Exception) -> None:
        """End a request that cannot be built; what was appended by hand was not checked before."""
        if self._exchange is None:
            self._exchange = Exchange()
        self.waited = True
        self.respondent.reinit(method="GET")
        self._fail(exchange_error("bad-request", str(error), error), built=False)

    def _transmit(
        self,
        method: str | None,
        path: str | None,
        qargs: Any,
        fragment: str | None,
        headers: Any,
        body: Any,
        data: Any,
        fargs: Any,
    ) -> None:
        exchange = self._exchange
        if exchange is not None and not self.waited:
            self._abandon(exchange)
            exchange = None
        if exchange is None and self._home is not None:
            self._go_home(self._home)
        connector = self.connector
        requester = self.requester
        following = self._following
        if (
            method is None and path is None and qargs is None and fragment is None
            and headers is None and body is None and data is None and fargs is None
        ):  # fmt: skip
            octets = requester.build()
        else:
            more = {}
            if following is not None and isinstance(requester, Requester):
                more["target"] = following.origin_form
            octets = requester.rebuild(
                method=method, path=path, qargs=qargs, fragment=fragment, headers=headers,
                body=body, data=data, fargs=fargs, **more,
            )  # fmt: skip
            if following is not None and not more:
                octets = retarget(octets, following.origin_form)
        self.waited = True
        if exchange is None:
            exchange = self._exchange = Exchange()
            if self._timeouts is not None:
                exchange.started = self._tyme()
        if self._timeouts is not None:
            exchange.mark = self._tyme()
        exchange.octets = octets
        exchange.method = requester.method
        exchange.requeue = False
        if connector.connected and not connector.cutoff and self._over is None:
            if connector.cs is not self._link:
                self._established()
            exchange.link = connector.cs
            exchange.phase = 1
        else:
            exchange.link = UNLINKED
            exchange.phase = 0
        connector.tx(octets)
        self.respondent.reinit(method=requester.method)

    # responses

    def _ended(self, exchange: Exchange) -> None:
        """Put out a response that is complete, or follow its redirect."""
        respondent = self.respondent
        connector = self.connector
        if (
            respondent.evented
            and respondent.status == 200
            and connector.reconnectable
            and (not respondent.errored or isinstance(respondent.fault, ClosureError))
        ):
            self._resume(exchange)  # a stream ends only when the server says so
            return
        respondent.dictify()
        self._judge(respondent)
        response = self._response(respondent)
        if self._leads(respondent, response):
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
        elif connector.rxbs:
            self._drop()  # octets beyond the response (RFC 9112 6.3)
        elif closes(self.requester.headers):
            self._over = "own"
        elif not getattr(respondent, "reusable", respondent.persisted):
            self._over = "peer"
        self._leftover = bool(connector.txbs)

    def _response(self, respondent: Any) -> dict[str, Any]:
        """Make the dict of a response."""
        ours = isinstance(respondent, Respondent)
        headers = respondent.headers
        body = respondent.body
        if not ours:  # hio's own uses both again
            headers = headers.copy() if headers is not None else help.Hict()
            body = bytearray(body)
        return {
            "version": respondent.version,
            "status": respondent.status,
            "reason": respondent.reason,
            "headers": headers,
            "body": body,
            "data": respondent.data,
            "request": self._request_sent(),
            "errored": respondent.errored,
            "error": respondent.error,
        }

    def _request_sent(self) -> dict[str, Any]:
        """Give the request as it went out, with all that travels with it."""
        requester = self.requester
        request = self.latest.copy() if self.latest is not None else {}
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

    def _deliver(self, response: dict[str, Any]) -> None:
        """End the exchange with its response."""
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

    def _fail(self, error: ExchangeError, built: bool = True) -> None:
        """End the exchange with an errored response."""
        respondent = self.respondent
        reason = Reason.of(error)
        begun = bool(respondent.started)
        respondent.errored = True
        respondent.error = reason
        response: dict[str, Any] = {
            "version": respondent.version if begun else None,
            "status": respondent.status if begun else None,
            "reason": respondent.reason if begun else None,
            "headers": respondent.headers if begun and respondent.headers else help.Hict(),
            "body": respondent.body if begun else bytearray(),
            "data": None,
            "request": self._request_sent() if built else dict(self.latest or {}),
            "errored": True,
            "error": reason,
        }
        self._deliver(response)
        respondent.makeParser()
        respondent.ended = True

    # redirects

    def _leads(self, respondent: Any, response: dict[str, Any]) -> bool:
        """Tell whether a response is a redirect to follow."""
        if not (respondent.redirectable and respondent.redirectant) or respondent.errored:
            return False
        # 300 leads nowhere without a Location (RFC 9110 15.4.1)
        return response["status"] != 300 or "location" in response["headers"]

    def _redirect(self) -> None:
        """Follow the last redirect, or refuse it."""
        response = self.redirects[-1]
        exchange = self._exchange
        try:
            if exchange is not None:
                if exchange.hops >= self._max_redirects:
                    raise exchange_error("redirect-limit", f"{self._max_redirects} were followed")
                exchange.hops += 1
            self._follow(response, exchange)
        except (ExchangeError, ValueError) as error:
            self._refuse_redirect(response, error)

    def _follow(self, response: dict[str, Any], exchange: Exchange | None) -> None:
        requester = self.requester
        host = f"[{requester.hostname}]" if ":" in requester.hostname else requester.hostname
        octets = exchange.octets if exchange is not None else requester.msg
        base = f"{requester.scheme}://{host}:{requester.port}{target_of(octets) or '/'}"
        if requester.fragment:
            base = f"{base}#{requester.fragment}"
        target = locate(base, location_of(response["headers"]))
        method, bodied = method_for(response["status"], requester.method)
        same = target.same_origin(requester.scheme, requester.hostname, requester.port)
        trusted = same or self._redirect_auth
        headers = headers_for(requester.headers, bodied=bodied, trusted=trusted, same=same)
        described = {"body": requester.body, "data": requester.data, "fargs": requester.fargs}
        if not bodied:
            described = {}
        if same or self._same_endpoint(target):
            if self._over is not None or self.connector.cutoff:
                self._over = "own"  # following is this side's wish
        else:
            self._leave(target)
        self._following = target
        try:
            self.transmit(
                method=method,
                path=target.path,
                qargs=httping.updateQargsQuery({}, target.query)[0],
                fragment=target.fragment,
                headers=help.Hict(headers),
                **described,
            )
        finally:
            self._following = None
        self.respondent.redirectant = False
        self.respondent.redirected = True
        self.respondent.ended = False

    def _same_endpoint(self, target: Target) -> bool:
        """Tell whether a target of another name is the same server: on the loopback only.

        hio compares addresses everywhere; elsewhere one address serves many names (D64).
        """
        requester, connector = self.requester, self.connector
        if (target.scheme, target.port) != (requester.scheme, requester.port):
            return False
        address = connector.ha[0]
        if not is_loopback(address):
            return False
        found = resolve(target.hostname, target.port)
        return any(each.sockaddr[0] == address for each in found)

    def _leave(self, target: Target) -> None:
        """Go to another origin; the way back is kept for the next request (hio: D65)."""
        old = self.connector
        secured = target.scheme == "https"
        about: dict[str, Any] = {
            "tymth": old.tymth,
            "ha": (target.hostname, target.port),
            "bs": old.bs,
            "wl": old.wl,
            "reconnectable": old.reconnectable,
            "tymeout": old.tymeout,
        }
        new: Any
        if secured:
            own = (
                old.own_context if isinstance(old, ConnectorTls) else getattr(old, "context", None)
            )
            new = ConnectorTls(context=own, **about)
        else:
            new = Connector(**about)
        requester = self.requester
        if self._home is None:
            self._home = Home.of(old, self.secured, requester)
        old.close()
        old.txbs.clear()
        old.clearRxbs()
        self.secured = secured
        self.connector = new
        self._link = UNLINKED
        self._over = None
        self._persistent = True
        self._leftover = False
        new.reopen()
        requester.reinit(hostname=target.hostname, port=target.port, scheme=target.scheme)
        self.respondent.reinit(msg=new.rxbs)

    def _go_home(self, home: Home) -> None:
        """Go back to where requests of the program are meant for."""
        self._home = None
        self.connector.close()
        self.connector = home.connector
        self.secured = home.secured
        self._link = UNLINKED
        self._over = "own"
        self._leftover = False
        self.respondent.reinit(msg=self.connector.rxbs)

    @contextmanager
    def _at_home(self) -> Iterator[Any]:
        """Give the requester as it is for home, also while a redirect is away."""
        requester = self.requester
        if self._home is None or self._exchange is None:
            yield requester
            return
        away = Home.of(self.connector, self.secured, requester)
        self._home.restore(requester)
        try:
            yield requester
        finally:
            away.restore(requester)

    def _refuse_redirect(self, response: dict[str, Any], error: Exception) -> None:
        """Put out a redirect that is not followed, with the reason."""
        if not isinstance(error, ExchangeError):
            error = exchange_error("redirect-malformed", str(error), error)
        respondent = self.respondent
        if self.redirects and self.redirects[-1] is response:
            self.redirects.pop()
        response["errored"] = respondent.errored = True
        response["error"] = respondent.error = Reason.of(error)
        response["redirects"] = self.redirects.copy()
        self.redirects = []
        self._deliver(response)
        respondent.redirectant = False
        respondent.ended = True

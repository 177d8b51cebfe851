"""How a client follows redirects: to the same connection, to another origin, and home again."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

from hio import help
from hio.core.http import httping

from .connecting import Connector, ConnectorTls
from .copying import Tied
from .errors import ExchangeError, Reason, exchange_error
from .exchanging import DESCRIBED, UNLINKED, Home, target_of
from .redirecting import Target, headers_for, locate, location_of, method_for
from .resolving import is_loopback, resolve

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ssl import SSLContext

    from .exchanging import Exchange
    from .resolving import Address

__all__ = ["Follower"]


class Follower(Tied):
    """The part of a client that follows redirects."""

    redirects: list[dict[str, Any]]
    waited: bool
    secured: bool
    connector: Any
    requester: Any
    respondent: Any

    _exchange: Exchange | None
    _link: Any
    _over: str | None
    _persistent: bool
    _leftover: bool
    _max_redirects: int
    _redirect_auth: bool
    _home: Home | None = None  # where the client belongs while it is away
    _following: Target | None = None  # while the request of a redirect is being transmitted

    if TYPE_CHECKING:

        def transmit(self, *pa: Any, **kwa: Any) -> None: ...
        def _deliver(self, response: dict[str, Any]) -> None: ...
        def _look_over(self) -> None: ...

    def _leads(self, respondent: Any, response: dict[str, Any]) -> bool:
        """Tell whether a response is a redirect to follow."""
        if not (respondent.redirectable and respondent.redirectant) or respondent.errored:
            return False
        # 300 leads nowhere without a Location (RFC 9110 15.4.1)
        return response["status"] != 300 or "location" in response["headers"]

    def _take_back(self, sent: dict[str, Any]) -> None:
        """Have the requester be as it was when a request went out, which is redirected now.

        It may have been told another meanwhile, as by a client that shares it. What an
        override of `redirect` changes from here on is followed, as with hio.
        """
        requester = self.requester
        for name, value in sent.items():
            attribute = "hostname" if name == "host" else name
            if attribute in DESCRIBED and getattr(requester, attribute) != value:
                setattr(requester, attribute, copy(value))

    def _redirect(self) -> None:
        """Follow the last redirect, or refuse it."""
        response = self.redirects[-1]
        exchange = self._exchange
        if exchange is not None and self.waited and not self.respondent.ended:
            return  # it is followed already
        try:
            if exchange is not None:
                if exchange.hops >= self._max_redirects:
                    raise exchange_error("redirect-limit", f"{self._max_redirects} were followed")
                exchange.hops += 1
                exchange.attempts = 1
            self._follow(response, exchange)
        except (ExchangeError, ValueError) as error:
            self._refuse_redirect(response, error)

    def _follow(self, response: dict[str, Any], exchange: Exchange | None) -> None:
        requester = self.requester
        host = f"[{requester.hostname}]" if ":" in requester.hostname else requester.hostname
        path = target_of(exchange.octets if exchange is not None else requester.msg)
        if not path.startswith("/"):
            path = "/"  # OPTIONS * is of the whole server (RFC 9110 7.1)
        base = f"{requester.scheme}://{host}:{requester.port}{path}"
        if requester.fragment:
            base = f"{base}#{requester.fragment}"
        target = locate(base, location_of(response["headers"]))
        method, bodied = method_for(response.get("status", 307), requester.method)
        same = target.same_origin(requester.scheme, requester.hostname, requester.port)
        trusted = same or self._redirect_auth
        headers = headers_for(requester.headers, bodied=bodied, trusted=trusted, same=same)
        described = {"body": requester.body, "data": requester.data, "fargs": requester.fargs}
        if not bodied:
            described = {}
        if same or self._same_endpoint(target):
            self._look_over()
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

    def _resolve(self, host: str, port: int) -> Sequence[Address]:
        """Find the addresses of where a redirect leads; a subclass may know them."""
        return resolve(host, port)

    def _context_after(self, old: Any) -> SSLContext | None:
        """Give the TLS context of the connection that comes after another; a subclass may have one.

        None for the default one.
        """
        if isinstance(old, ConnectorTls):
            return old.own_context
        context: SSLContext | None = getattr(old, "context", None)
        return context

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
        found = self._resolve(target.hostname, target.port)
        return any(each.sockaddr[0] == address for each in found)

    def _leave(self, target: Target) -> None:
        """Go to another origin; the way back is kept for the next request (hio: D65)."""
        old = self.connector
        secured = target.scheme == "https"
        about: dict[str, Any] = {
            "tymth": old.tymth,
            "host": target.hostname,
            "port": target.port,
            "addresses": self._resolve(target.hostname, target.port),
            "bs": old.bs,
            "wl": old.wl,
            "reconnectable": old.reconnectable,
            "tymeout": old.tymeout,
        }
        new: Any
        if secured:
            new = ConnectorTls(context=self._context_after(old), **about)
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

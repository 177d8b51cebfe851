"""How a queued request goes out: looked at, built or found again, sent.

`Sender` is the part of `Client` that keeps requests in order. What comes back is
`carrying`'s.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from hio.core.http import httping

from .draining import sink_of
from .engine import intact, peek
from .errors import exchange_error
from .exchanging import UNLINKED, Exchange, Timeouts, retarget
from .linking import Linker
from .requesting import Requester
from .responding import UNMADE, Respondent

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NOTHING", "Sender", "look"]

#: What building a request of a program's making may raise.
_UNBUILDABLE: Final = (ValueError, TypeError, AttributeError, LookupError, httping.HTTPException)
#: What a look at a socket gives where there is nothing.
NOTHING: Final = -errno.EAGAIN

#: What `_repeat` leaves out of a respondent, or lets it leave out, unless a program has its own.
_ANSWERING: Final = (("reinit", Respondent.reinit), *Respondent._Ways)


def _blind(fd: int) -> int:
    """Stand in for a look where an engine has none: there may be something."""
    return 1


look = _blind if peek is None else peek


class Sender(Linker):
    """Send the requests of a client, one at a time."""

    #: What `transmit` is unless a program has its own.
    _Transmits: tuple[tuple[str, Any], ...] = ()

    requests: deque[dict[str, Any]]
    latest: dict[str, Any] | None

    _timeouts: Timeouts | None
    _decode: bool
    _sink: Callable[[bytes], Any] | None

    if TYPE_CHECKING:

        def transmit(self, **kwa: Any) -> None: ...

    def serviceRequests(self) -> None:
        """Send the next queued request, unless one is under way."""
        if self.waited or not self.requests:
            return
        if self._exchange is not None:
            self._abandon(self._exchange)
        self._look_over()
        requests: Any = self.requests
        if isinstance(requests, deque):
            first = self.latest = requests[0]
            request = requests.popleft()  # only now: an exception between the two loses nothing
            if request is not first:
                self.latest = request  # a program's own `popleft` gives what it likes
        else:
            request = self.latest = requests.popleft()
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
            and self._sink is None
            and not (self._foreign_id or self._decode or connector.txbs)
            and type(requester) is Requester
            and type(respondent) is Respondent
            and respondent._parser is UNMADE
            and respondent.ended
            and not (respondent.msg or respondent.closed)
            and intact(self, self._Transmits)
            and intact(respondent, _ANSWERING)
        ):
            return False
        whole = requester.repeat(request)
        if whole is None:
            return False
        self.waited = True
        exchange = self._exchange = Exchange()
        exchange.octets = octets = whole.msg
        exchange.whole = whole
        exchange.fields = request["headers"].copy()
        method = exchange.method = whole.method
        exchange.link = connector.cs
        exchange.phase = 1
        connector.send_direct(octets)
        respondent.publisher.expect(respondent, method)
        return True

    def _look_over(self) -> None:
        """Look at the connection before it is used again; be done with one that is no good."""
        connector = self.connector
        if self._leftover and connector.txbs:
            self._drop()  # the server answered without reading all: it may never (RFC 9112 9.3)
        elif self._link is not UNLINKED and connector.cs is self._link and not connector.cutoff:
            # has the server closed it, or said something nobody asked for (RFC 9112 6.3, 9.3.1)?
            fd = connector._idle_fd if connector is self._ours else -1
            if fd < 0 or look(fd) != NOTHING:
                connector.serviceReceives()
            if connector.rxbs and self._over != "tunnel":
                self._unsolicited()

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
        if (
            exchange is not None and self.latest is not None
            and following is None and exchange.stream is None
            and not self.respondent.ended
        ):  # fmt: skip
            # its answer would be taken for that of the other one
            raise ValueError("a queued request is under way: queue this one, too, with request()")
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
        else:
            given: dict[str, Any] = {  # by name, as hio does: an override may take them so alone
                "method": method, "path": path, "qargs": qargs, "fragment": fragment,
                "headers": headers, "body": body, "data": data, "fargs": fargs,
            }  # fmt: skip
            if following is None:
                octets = requester.rebuild(**given)
            elif isinstance(requester, Requester):
                octets = requester.rebuild(**given, target=following.origin_form)
            else:
                octets = retarget(requester.rebuild(**given), following.origin_form)
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
            exchange.put = connector
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

    def _request_sent(self) -> dict[str, Any]:
        """Give the request as it went out, with all that travels with it (hio: D56)."""
        exchange = self._exchange
        if exchange is None:
            return self._describe()
        if exchange.whole is not None:
            return exchange.whole.sent(exchange.fields.copy())  # it may have been told before
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

"""The drop-in for `hio.core.http.clienting`: Client and what goes with it.

Every queued request yields exactly one response, right or errored with its
reason, in order. How an exchange lives through closes, resets, reopens,
redirects and time limits is in `sending` and `carrying`; this module is hio's face of it.
"""

from __future__ import annotations

from collections import deque, namedtuple
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hio import help
from hio.base import tyming
from hio.core import tcp, wiring
from hio.core.http import clienting as _hio

from .carrying import Carrier
from .clientdoing import ClientDoer
from .connecting import Connector, ConnectorTls
from .contents import encode_body
from .decoding import accepted
from .draining import sink_of
from .engine import intact
from .eventing import EventSource
from .exchanging import Home, Timeouts
from .grammar import LIMITS, Limits
from .redirecting import MAX_REDIRECTS
from .requesting import Requester, copy_headers, upper_method
from .resolving import resolve
from .responding import Respondent
from .streaming import check_idle
from .urls import settle_place, split_path

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping


__all__ = [
    "CR",
    "CRLF",
    "LF",
    "Client",
    "ClientDoer",
    "EventSource",
    "Requester",
    "Respondent",
    "Response",
    "backendRequest",
    "openClient",
]

logger = help.ogler.getLogger()

#: Methods that are in upper case for sure.
_UPPER = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))

CRLF = b"\r\n"
LF = b"\n"
CR = b"\r"

if TYPE_CHECKING:
    Response = namedtuple(
        "Response", "version status reason headers body data request errored error"
    )
else:
    #: hio's own, so that both compare equal and pickle alike.
    Response = _hio.Response


@contextmanager
def openClient(cls: Callable[..., Any] | None = None, **kwa: Any) -> Iterator[Any]:
    """Make a client, open it, and close it at the end of the with block.

    Args:
        cls: class of the client, None for `Client`.
        kwa: arguments of the class.
    """
    client = (Client if cls is None else cls)(**kwa)
    try:
        client.reopen()
        yield client
    finally:
        client.close()


class Client(Carrier):
    """Queue requests and collect their responses over one connection at a time.

    Attributes:
        requests: deque of request dicts still to be sent.
        responses: deque of response dicts.
        redirects: responses of the present exchange that were redirects.
        events: deque of event dicts of event streams.
        waited: True while a request is under way.
        latest: request dict that is under way, None for a bare `transmit`.
        streaming: True while there is an event stream, between its connections
            too. Its end puts exactly one response into `responses`, with True
            under "evented"; hio gives no sign (hio: D69).
        stream: `streaming.Stream` of the present or last event stream: its
            state, its drops and failures, the reason of its end; None before.
        secured: True over TLS.
        connector: the connection, `Connector` or `ConnectorTls`.
        requester: builds the octets of requests.
        respondent: parses responses; its `msg` is the connector's `rxbs`.
    """

    def __init__(
        self,
        connector: Any = None,
        requester: Any = None,
        respondent: Any = None,
        name: str = "",
        uid: Any = 0,
        bufsize: int | None = 8096,
        wl: Any = None,
        hostname: str | None = "127.0.0.1",
        port: int | str | None = None,
        scheme: str = "",
        method: str = "GET",
        path: str | None = "/",
        headers: Any = None,
        qargs: Any = None,
        fragment: str = "",
        body: Any = b"",
        data: Any = None,
        fargs: Any = None,
        requests: deque[dict[str, Any]] | None = None,
        msg: Any = None,
        dictable: bool | None = None,
        events: deque[dict[str, Any]] | None = None,
        redirectable: bool = True,
        redirects: list[dict[str, Any]] | None = None,
        responses: deque[dict[str, Any]] | None = None,
        portOptional: bool = False,
        *,
        timeout: float | tuple[Any, Any, Any] | Mapping[str, Any] | None = None,
        limits: Limits | None = None,
        maxBody: int | None = None,
        maxRedirects: int = MAX_REDIRECTS,
        redirectAuth: bool = False,
        idle: float | None = None,
        decode: bool = False,
        sink: Any = None,
        **kwa: Any,
    ) -> None:
        """Resolve the host and set all up; `reopen` or `service` connects.

        Args:
            connector: connection to use instead of a new one, hio's or ours.
            requester: requester to use; it is reinitialised.
            respondent: respondent to use; it is reinitialised.
            name: name of the connector.
            uid: identifier of the connector.
            bufsize: octets of one receive; None for 8096.
            wl: WireLog, open, or None.
            hostname: name or address, may carry a port.
            port: port, None for that of the scheme.
            scheme: "http" or "https".
            method: method of requests that name none.
            path: path of requests that name none; a scheme, host, port, query
                and fragment in it go before the arguments.
            headers: fields of requests that name none.
            qargs: query arguments of requests that name none.
            fragment: fragment of requests that name none; never sent.
            body: body of a bare `transmit`.
            data: the same, sent as JSON.
            fargs: the same, sent as a form.
            requests: deque to use.
            msg: ignored, as in hio.
            dictable: True to decode each body as JSON.
            events: deque to use.
            redirectable: True to follow redirects.
            redirects: list to use.
            responses: deque to use.
            portOptional: True to leave the scheme's own port out of Host.
            timeout: seconds of tyme for a whole exchange, or `connect`, `first`
                and `total` in a mapping or in this order; None for no limit.
            limits: bounds on what one response may cost.
            maxBody: octets a body may have, before the one in `limits`.
            maxRedirects: most redirects followed in one exchange.
            redirectAuth: True to send Authorization, Cookie and
                Proxy-Authorization on to another origin.
            idle: seconds of tyme after which the connection of an event stream
                over which nothing came, no comment either, is given up; with
                `reconnectable` the stream is then asked for again. None for never.
            decode: True to ask for content codings and decode them: gzip and
                deflate, br and zstd where the packages brotli and zstandard are.
            sink: where bodies of 2xx responses go as they come, a file open for
                writing or a callable that takes bytes; `body` is then empty.
                `request(sink=...)` goes before it.
            kwa: for the connector: tymth, tymeout, reconnectable, bs, and for
                TLS context, version, certify, hostify, certedhost, keypath,
                certpath, cafilepath.
        Raises:
            ValueError: an argument that cannot be; its text begins with the name.
            ResolutionError: the host does not resolve (a socket.gaierror too).
            OSError: a file named for TLS cannot be read.
        hio: D40 to D43.
        """
        if limits is not None and not isinstance(limits, Limits):
            raise ValueError(f"limits must be Limits, not {type(limits).__name__}")
        if maxBody is not None:
            limits = replace(limits or LIMITS, body=_count("maxBody", maxBody))
        self.requests = requests if requests is not None else deque()
        self.responses = responses if responses is not None else deque()
        self.redirects = redirects if redirects is not None else []
        self.events = events if events is not None else deque()
        self.waited = False
        self.latest: dict[str, Any] | None = None
        # most clients have none of these, and then the class says so
        if timeout is not None:
            self._timeouts = Timeouts.of(timeout)
        if maxRedirects != MAX_REDIRECTS:
            self._max_redirects = _count("maxRedirects", maxRedirects)
        if redirectAuth:
            self._redirect_auth = True
        if decode:
            self._decode = True
        if sink is not None:
            self._sink = sink_of(sink)
        if limits is not None:
            self._max_body = limits.body
        if idle is not None:
            self._idle = check_idle(idle)

        parts = split_path("" if path is None else path)
        if not isinstance(scheme, str):
            raise ValueError(f"scheme must be str, not {type(scheme).__name__}")
        scheme = (parts.scheme or scheme).lower()
        if connector:
            secured = _secured(connector)
            if scheme and scheme != ("https" if secured else "http"):
                raise ValueError(f"scheme {scheme!r} does not go with the connector given")
            if name:
                connector.name = name
        else:
            secured = scheme == "https"
            host, number = settle_place(
                parts.hostname or hostname, parts.port or port, 443 if secured else 80
            )
            connector = (ConnectorTls if secured else Connector)(
                host=host,
                port=number,
                addresses=resolve(host, number),
                bufsize=bufsize,
                wl=wl,
                name=name,
                uid=uid,
                **kwa,
            )
        self.secured = secured
        self.connector = connector

        qargs = qargs or {}
        for key, value in parts.pairs:
            qargs[key] = value  # into the program's own dict, as in hio
        self.requester = _set_up_requester(
            requester,
            portOptional,
            decode,
            hostname=connector.hostname,
            port=connector.port,
            scheme="https" if secured else "http",
            method=method,
            path=parts.path,
            qargs=qargs,
            fragment=parts.fragment or fragment,
            headers=headers,
            body=body,
            data=data,
            fargs=fargs,
        )
        self.respondent = self._set_up_respondent(
            respondent, method, dictable, redirectable, limits, idle
        )

    def _set_up_respondent(
        self,
        respondent: Any,
        method: str,
        dictable: bool | None,
        redirectable: bool,
        limits: Limits | None,
        idle: float | None,
    ) -> Any:
        """Make the respondent, or begin anew with the one that a program gave."""
        if respondent is None:
            return Respondent(
                msg=self.connector.rxbs,
                method=method,
                dictable=dictable,
                events=self.events,
                redirectable=redirectable,
                redirects=self.redirects,
                limits=limits,
            )
        if limits is not None:
            raise ValueError("limits and maxBody are for a respondent made here, not one given")
        if idle is not None and not isinstance(respondent, Respondent):
            raise ValueError("idle needs a respondent of this package")
        respondent.reinit(
            msg=self.connector.rxbs, method=method, dictable=dictable, redirectable=redirectable
        )
        return respondent

    def wind(self, tymth: Callable[[], float]) -> None:
        """Inject the tyme of another tymist; time limits under way go on from it."""
        before = self._tyme()
        if self.connector:
            self.connector.wind(tymth)
        self._shift(self._tyme() - before)

    def reopen(self) -> Any:
        """Close the connection and open a new one.

        A request under way is sent again where that is safe, else it ends
        errored at the next `service` (hio: D50).

        Returns:
            What the connector's `reopen` does: True.
        """
        if self._exchange is not None and not self.waited:
            self._abandon(self._exchange)
        if self._home is not None and self._exchange is None:
            self._go_home(self._home)
        opened = self.connector.reopen()
        self._reopened()
        return opened

    def close(self) -> None:
        """Close the connection; harmless when it is closed.

        As in hio, a later `service` opens it again.
        """
        self.connector.close()
        if self._exchange is None:
            self._over = None

    @staticmethod
    def attrify(response: Mapping[str, Any]) -> Response:
        """Make a response dict a namedtuple."""
        return Response(**{field: response[field] for field in Response._fields})

    def respond(self) -> Response | None:
        """Take the next response as a namedtuple; None where there is none."""
        if self.responses:
            return self.attrify(self.responses.popleft())
        return None

    def request(
        self,
        method: str | None = None,
        path: str | None = None,
        qargs: Any = None,
        fragment: str | None = None,
        headers: Any = None,
        body: Any = None,
        data: Any = None,
        fargs: Any = None,
        reply: Any = None,
        **kwa: Any,
    ) -> None:
        """Queue a request; what is None is as the requester has it now, but the body.

        Args:
            method: method.
            path: path, may carry a query and a fragment.
            qargs: query arguments.
            fragment: fragment; never sent.
            headers: fields.
            body: octets, or str sent as ISO-8859-1.
            data: sent as JSON.
            fargs: sent as a form.
            reply: travels with the request to its response.
            kwa: travel along too, where they are not None; `sink` among them is
                where the body of this request's response goes.
        Raises:
            ValueError: what cannot be sent, named; nothing is queued then (hio: D51).
        """
        requester = self.requester
        if (
            headers is None and qargs is None and body is None and data is None and fargs is None
            and reply is None and not kwa
            and self._home is None and self._stream is None
            and type(requester) is Requester
        ):  # fmt: skip
            whole = requester.recall(method, path)
            if whole is not None:  # the same again, and nothing travels with it
                self.requests.append(whole.described(requester.headers))
                return
        away = None
        if self._home is not None and self._exchange is not None:
            # a redirect is away; what is queued now is meant for home
            away = Home.of(self.connector, self.secured, requester)
            self._home.restore(requester)
        try:
            if body is None:
                body = b""
            elif isinstance(body, str):
                body = encode_body(body)
            if method is None:
                method = requester.method
            elif type(method) is not str or method not in _UPPER:
                method = upper_method(method)
            if path is None:
                path = requester.path
            if qargs is None:
                qargs = requester.qargs.copy()
                fragment = requester.fragment  # hio hangs it on qargs
            if headers is None:
                headers = requester.headers.copy()
                if self._stream is not None:
                    self._restore_id(headers, self._stream)
            else:
                headers = copy_headers(headers)
            request = {
                "method": method,
                "path": path,
                "qargs": qargs,
                "fragment": fragment,
                "headers": headers,
                "body": body,
                "data": data,
                "fargs": fargs,
            }
            if isinstance(requester, Requester) and intact(requester, Requester._Ways):
                # not where the program has steps of its own: these may take more
                Requester.validate(requester, **request)
        finally:
            if away is not None:
                away.restore(requester)
        if reply is not None:
            request["reply"] = reply
        if kwa:
            if kwa.get("sink") is not None:
                sink_of(kwa["sink"])
            for key, value in kwa.items():
                if value is not None:
                    request[key] = value
        self.requests.append(request)

    def transmit(
        self,
        method: str | None = None,
        path: str | None = None,
        qargs: Any = None,
        fragment: str | None = None,
        headers: Any = None,
        body: Any = None,
        data: Any = None,
        fargs: Any = None,
        **kwa: Any,
    ) -> None:
        """Build a request and put it out for sending; not while another is under way.

        Where all is None the requester builds what its attributes say.

        Args:
            method: as for `request`, like all that follow.
            path: see there.
            qargs: see there.
            fragment: see there.
            headers: see there.
            body: see there.
            data: see there.
            fargs: see there.
            kwa: ignored.
        Raises:
            ValueError: what cannot be sent, named; nothing is under way then. Or a queued
                request is, and goes on.
        """
        bare = (
            method is None and path is None and qargs is None and fragment is None
            and headers is None and body is None and data is None and fargs is None
        )  # fmt: skip
        self._transmit(bare, method, path, qargs, fragment, headers, body, data, fargs)

    def redirect(self) -> None:
        """Follow the last of `redirects`, or refuse it with an errored response.

        hio: D60 to D65.
        """
        if self.redirects:
            self._redirect()

    def serviceWhileGen(self, tymeout: float = 0.5) -> Generator[bytes, None, Response | None]:
        """Service until there is a response and nothing more to send, or the time is up.

        Args:
            tymeout: seconds of tyme to wait at most.
        Yields:
            b"" after each `service`.
        Returns:
            The next response, or None.
        hio: D52.
        """
        tymer = tyming.Tymer(tymth=self._tyme, duration=tymeout)
        while (self.requests or self.connector.txbs or not self.responses) and not tymer.expired:
            self.service()
            yield b""
        return self.respond()


Client._Transmits = (("transmit", Client.transmit),)


def _set_up_requester(requester: Any, portOptional: bool, decode: bool, **described: Any) -> Any:
    """Make the requester, or begin anew with the one that a program gave."""
    if requester is None:
        requester = Requester(portOptional=portOptional, **described)
    else:
        requester.reinit(**described)
    if decode:
        if isinstance(requester, Requester):
            requester._accepts = accepted().encode("ascii")
        else:
            requester.headers.setdefault("Accept-Encoding", accepted())
    return requester


def _secured(connector: Any) -> bool:
    """Tell whether a connector the program gave is one over TLS.

    Raises:
        ValueError: it is none of hio's, nor of ours.
    """
    if isinstance(connector, tcp.ClientTls):
        return True
    if isinstance(connector, tcp.Client):
        return False
    raise ValueError(f"connector must be a tcp.Client or tcp.ClientTls: {type(connector)}")


def _count(name: str, value: Any) -> int:
    """Check a count; ValueError names it."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{name} must be an int of at least 0: {value!r}")
    return value


def backendRequest(
    tymth: Callable[[], float],
    *,
    method: str = "GET",
    scheme: str = "",
    host: str = "localhost",
    port: int | None = None,
    path: str = "/",
    qargs: Any = None,
    data: Any = None,
    buffered: bool = False,
    tymeout: float = 2.0,
) -> Generator[bytes, None, dict[str, Any] | None]:
    """Make one request and wait for its response.

    Args:
        tymth: tyme of the tymist.
        method: method.
        scheme: "http" or "https", where `path` names none.
        host: host, where `path` names none.
        port: port, where `path` names none.
        path: path or full URL.
        qargs: query arguments.
        data: sent as JSON.
        buffered: True to log what goes over the wire to hio's WireLog.
        tymeout: seconds of tyme to wait at most.
    Yields:
        b"" while waiting.
    Returns:
        The response dict, or None where the time was up.
    Raises:
        ValueError: an argument that cannot be (hio: D53, UnboundLocalError).
    """
    wl = None
    client = None
    try:
        if buffered:
            wl = wiring.WireLog(name="backend", filed=True, samed=True)
            wl.reopen()
        client = Client(
            bufsize=131_072,
            wl=wl if wl is not None and wl.opened else None,
            scheme=scheme,
            hostname=host,
            port=port,
            method=method,
            path=path,
            qargs=qargs,
            headers=help.Hict([("Accept", "application/json"), ("Connection", "close")]),
            data=data,
            tymeout=tymeout,
            reconnectable=False,
            tymth=tymth,
        )
        client.transmit()
        tymer = tyming.Tymer(tymth=tymth, duration=tymeout)
        while (
            client.requests or client.connector.txbs or not client.responses
        ) and not tymer.expired:
            client.service()
            yield b""
        return client.responses.popleft() if client.responses else None
    finally:
        if client is not None:
            client.close()
        if wl is not None and wl.opened:
            wl.close()

"""Requester: build request octets as hio does, refuse what no request may hold.

The head of the last request is kept with what made it. While nothing that
makes it changes, building again costs a comparison, not a build.
"""

from __future__ import annotations

import copy
import random
import sys
from typing import Any, Final

from hio import help
from hio.core.http import httping

from .contents import body_octets, check_items, encode_body, form_body, json_body
from .engine import intact
from .fields import field_lines, is_token
from .repeating import UNBUILT, Built, Queried, Repeater, Whole
from .urls import (
    Reference,
    check_port,
    check_target,
    check_text,
    field_host,
    query_string,
    settle_place,
    split_path,
)

__all__ = ["Requester", "copy_headers", "upper_method"]

CRLF: Final = b"\r\n"
_DEFAULT_PORTS: Final = (("http", 80), ("https", 443))
#: Types whose equal values always make equal octets, compared type by type.
_FROZEN: Final = frozenset((str, bytes, int, bool, type(None)))
#: Under -b comparing str with bytes warns: build anew then.
_KEEPING: Final = not sys.flags.bytes_warning

Hict: Final[Any] = help.Hict
_apart: Final = random.Random()


#: Equal to no path.
_NO_PATH: Final = object()


def upper_method(method: object) -> str:
    """Take a method in upper case.

    Raises:
        ValueError: no str, or not ASCII, of which upper case could make a token (hio: D01).
    """
    if not isinstance(method, str) or not method.isascii():
        raise ValueError(f"method is no token: {method!r:.80}")
    return method.upper()


def _draw_boundary() -> str:
    """Draw a multipart boundary, of hio's form."""
    return f"____________{random.randint(123456789, 0xFFFFFFFFFFFF):012x}"


def _no_boundary() -> str:
    """Stand in for a boundary where nothing is sent, and leave the program's `random` alone."""
    return f"____________{_apart.getrandbits(48):012x}"


def copy_headers(headers: Any) -> Any:
    """Copy headers into a new Hict.

    Raises:
        ValueError: no mapping of field names to values (hio: D06).
    """
    try:
        return Hict(headers)
    except (TypeError, ValueError) as ex:
        raise ValueError(f"headers are no mapping of names to values: {ex}") from ex


class Requester(Repeater):
    """Build HTTP/1.1 requests to one host, the drop-in for hio's Requester.

    Args:
        hostname: host, may be "host:port" or "[::1]:port"; a port in it wins.
        port: port, 80 when None whatever the scheme, as in hio.
        scheme: "http" or "https".
        method: method, made upper case.
        path: path, not yet percent-encoded, or a full URL of the same host;
            its query goes into `qargs`.
        qargs: query arguments; changed in place by the query of a path.
        fragment: kept, never sent.
        headers: fields; values str (Latin-1), octets or int.
        body: octets, or str sent as Latin-1; not sent with GET.
        data: sent as JSON instead of body.
        fargs: sent as a form instead of body, url-encoded, or multipart when
            the Content-Type in headers begins with multipart/form-data.
        portOptional: leave a default port out of the Host field.
    Raises:
        ValueError: an argument is refused; its name begins the text. For
            hostname and port it is an httping.InvalidURL as well.

    Attributes:
        lines: lines of the last head, b"" twice at its end.
        head: octets of the last head.
        msg: octets of the last request.
        target: request-target to send as it is, instead of one made from path
            and qargs; cleared by every `reinit`.
    hio: D01 to D18.
    """

    HttpVersionString = httping.HTTP_11_VERSION_STRING
    Port = httping.HTTP_PORT

    #: Accept-Encoding where the headers name none; set before the first build.
    _accepts: bytes = b"identity"

    def __init__(
        self,
        hostname: str = "127.0.0.1",
        port: int | str | None = None,
        scheme: str = "http",
        method: str | None = "GET",
        path: str | None = "/",
        qargs: Any = None,
        fragment: str = "",
        headers: Any = None,
        body: Any = b"",
        data: Any = None,
        fargs: Any = None,
        portOptional: Any = False,
    ) -> None:
        if qargs is not None and type(qargs) is not dict:
            check_items(qargs, "qargs")
        self.hostname: Any
        self.port: Any
        self.hostname, self.port = settle_place(hostname, port, 80)
        self.scheme: Any = scheme
        self.method: Any = upper_method(method) if method else "GET"
        self.path: Any = path or "/"
        self.qargs: Any = qargs if qargs is not None else {}
        self.fragment: Any = fragment
        self.headers: Any = copy_headers(headers) if headers else Hict()
        if body and isinstance(body, str):
            body = encode_body(body)
        self.body: Any = body or b""
        self.data: Any = data
        self.fargs: Any = fargs
        self.portOptional: Any = bool(portOptional)
        self.target: str | None = None

        self.head: bytes = b""
        self.msg: bytes = b""
        self._lines: list[bytes] | None = []  # None: still to be made of _lined
        self._lined: bytes = b""
        self._path: object = _NO_PATH  # what the last build left in .path ...
        self._plain: object = _NO_PATH  # the same, if it may be compared by value
        self._path_target: str = ""  # ... and made of it
        self._built: Built = UNBUILT
        self._whole: Whole | None = None
        self._queried: Queried | None = None

    @property
    def lines(self) -> list[bytes]:
        """Lines of the last head, split when first read."""
        lines = self._lines
        if lines is None:
            lines = self._lines = self._lined.split(CRLF)
        return lines

    @lines.setter
    def lines(self, lines: list[bytes]) -> None:
        self._lines = lines

    def reinit(
        self,
        hostname: str | None = None,
        port: int | str | None = None,
        scheme: str | None = None,
        method: str | None = None,
        path: str | None = None,
        qargs: Any = None,
        fragment: str | None = None,
        headers: Any = None,
        body: Any = None,
        data: Any = None,
        fargs: Any = None,
        portOptional: Any = None,
        *,
        target: str | None = None,
    ) -> None:
        """Take over every argument that is not None; clear body, data, fargs, target if it is.

        Args:
            hostname: host alone, without a port.
            port, scheme, method, path, qargs, fragment: as for the class.
            headers, body, data, fargs, portOptional: as for the class.
            target: request-target, already encoded, to send as it is (from a
                Location, say). path and qargs are then recorded, not sent, and
                path is not taken apart.
        Raises:
            ValueError: an argument is refused; nothing was taken over then.
        hio: D01, D06, D14, D16.
        """
        if hostname is not None:
            field_host(hostname)
        if port is not None:
            check_port(port)
        if method is not None:
            method = upper_method(method)
        if qargs is not None and type(qargs) is not dict:
            check_items(qargs, "qargs")
        if body is None:
            body = b""
        elif isinstance(body, str):
            body = encode_body(body)
        if headers is not None:
            self.headers = copy_headers(headers)

        # nothing below raises
        if hostname is not None:
            self.hostname = hostname
        if port is not None:
            self.port = port
        if scheme is not None:
            self.scheme = scheme
        if method is not None:
            self.method = method
        if path is not None:
            self.path = path
        if qargs is not None:
            self.qargs = qargs
        if fragment is not None:
            self.fragment = fragment
        self.body = body
        self.data = data
        self.fargs = fargs
        self.target = target
        if portOptional is not None:
            self.portOptional = bool(portOptional)

    def rebuild(
        self,
        method: str | None = None,
        path: str | None = None,
        qargs: Any = None,
        fragment: str | None = None,
        headers: Any = None,
        body: Any = None,
        data: Any = None,
        fargs: Any = None,
        portOptional: Any = None,
        *,
        target: str | None = None,
    ) -> bytes:
        """Take over the arguments as `reinit` does, then build.

        Args: as `reinit`.
        Returns:
            Octets of the request.
        Raises:
            ValueError: as `reinit` and `build`. The attributes are then put back.
        Cost: a few comparisons where all is as in the last one.
        hio: D17.
        """
        if portOptional is None and target is None:
            whole = self._find(method, path, qargs, fragment, headers, body, data, fargs)
            if whole is not None:
                self._retake(whole, qargs, headers)
                return whole.msg
        state = self._state()
        try:
            if target is None:  # a subclass may have hio's reinit
                self.reinit(
                    method=method,
                    path=path,
                    qargs=qargs,
                    fragment=fragment,
                    headers=headers,
                    body=body,
                    data=data,
                    fargs=fargs,
                    portOptional=portOptional,
                )
            else:
                self.reinit(
                    method=method,
                    path=path,
                    qargs=qargs,
                    fragment=fragment,
                    headers=headers,
                    body=body,
                    data=data,
                    fargs=fargs,
                    portOptional=portOptional,
                    target=target,
                )
            msg = self.build()
        except Exception:
            self._restore(state)
            raise
        built = self._built
        if (
            msg is self.msg
            and built.head is self.head  # else a field may change in place
            and intact(self, self._Ways)
            and type(path) is str
            and path == self.path == self._plain
            and type(self.qargs) is dict
            and not self.qargs
            and self.fragment == ""
            and type(self.body) is bytes
            and self.data is self.fargs is self.target is None
        ):
            self._whole = Whole(self, built, path)
        return msg

    def build(self) -> bytes:
        """Build the request from the attributes.

        As in hio, a query and fragment in `path` move to `qargs` and `fragment`,
        and `data` and `fargs` set the Content-Type in `headers`.

        Returns:
            Octets of the request, also in `msg`; those of its head in `head`
            and `lines`.
        Raises:
            ValueError: an attribute is refused; its name begins the text.
                Nothing was changed then.
        Cost: one comparison of the fields while the head stays the same.
        hio: D01 to D13, D15, D16, D18.
        """
        head, body, parts, kind = self._make(draw=True)
        self._whole = None
        if parts is not None:
            self._take_path(parts)
        if self.qargs is None:
            self.qargs = {}
        if kind is not None:
            self.headers["content-type"] = kind
        self.head = self._lined = head
        self._lines = None
        self.msg = msg = head + body if body else head
        return msg

    def validate(
        self,
        method: str | None = None,
        path: str | None = None,
        qargs: Any = None,
        fragment: str | None = None,
        headers: Any = None,
        body: Any = None,
        data: Any = None,
        fargs: Any = None,
        portOptional: Any = None,
        *,
        target: str | None = None,
    ) -> None:
        """Refuse what `rebuild` would refuse for these arguments; change nothing.

        None stands for what the requester has now (body, data, fargs and target:
        for none), as in `rebuild`. Draws no boundary, so only a form that holds
        every boundary drawn is left for `rebuild` to refuse. A `rebuild` with the
        same arguments finds the head made here.

        Args: as `rebuild`.
        Raises:
            ValueError: an argument is refused; its name begins the text.
        """
        if portOptional is None and target is None:
            if self._find(method, path, qargs, fragment, headers, body, data, fargs) is not None:
                return
        state = self._state()
        try:
            Requester.reinit(
                self,
                method=method,
                path=path,
                qargs=qargs,
                fragment=fragment,
                headers=headers,
                body=body,
                data=data,
                fargs=fargs,
                portOptional=portOptional,
                target=target,
            )
            self._make(draw=False)
        finally:
            self._restore(state)

    def _state(self) -> tuple[Any, ...]:
        """Note what a reinit may change."""
        return (
            self.method,
            self.path,
            self.qargs,
            self.fragment,
            self.headers,
            self.body,
            self.data,
            self.fargs,
            self.portOptional,
            self.target,
        )

    def _restore(self, state: tuple[Any, ...]) -> None:
        """Put back what `_state` noted."""
        (
            self.method,
            self.path,
            self.qargs,
            self.fragment,
            self.headers,
            self.body,
            self.data,
            self.fargs,
            self.portOptional,
            self.target,
        ) = state

    def _make(self, draw: bool) -> tuple[bytes, bytes | bytearray, Reference | None, str | None]:
        """Make head and body and change nothing but what is kept to find them again.

        Args:
            draw: draw a boundary for a multipart form; else any will do.
        Returns:
            (head, body, path parts and Content-Type for the attributes, if any).
        """
        parts = None
        target = self.target
        if target is None:
            path = self.path
            qargs = self.qargs
            # What the last build left is nothing but a path: not again taken for
            # a host where it begins with "//" (hio: D03).
            if path is self._path or path == self._plain:
                target = self._path_target
            else:
                parts = split_path(path)
                target = parts.target
                if parts.scheme or parts.hostname or parts.port:
                    self._check_origin(parts)
                if parts.pairs:
                    qargs = copy.copy(qargs) if qargs else {}
                    for name, value in parts.pairs:
                        qargs[name] = value
            if qargs:
                query = self._query(qargs)
                if query:
                    target = f"{target}?{query}"
        else:
            check_target(target)
        fragment = self.fragment
        if fragment and isinstance(fragment, str):
            check_text(fragment, "fragment")

        method = self.method
        headers = self.headers
        if type(headers) is not Hict:
            check_items(headers, "headers")
        kind = None
        body: bytes | bytearray
        if method == "GET":  # hio sends no body with GET
            body = b""
        elif self.data is not None:
            body = json_body(self.data)
            kind = "application/json; charset=utf-8"
        elif self.fargs is not None:
            draw_boundary = _draw_boundary if draw else _no_boundary
            body, kind = form_body(self.fargs, headers.get("content-type"), draw_boundary)
        else:
            body = self.body
            if type(body) is not bytes:
                body = body_octets(body)
        if kind is not None:
            headers = headers.copy()
            headers["content-type"] = kind

        key = (
            method,
            target,
            self.hostname,
            self.port,
            self.scheme,
            self.portOptional,
            self.HttpVersionString,
            len(body),
        )
        kept_key, fields, types, head = self._built
        if not (
            kept_key == key
            and type(headers) is Hict
            and fields == headers  # in order; names without regard to case
            and (types is None or types == list(map(type, headers.values())))
        ):
            head = self._make_head(key, target, headers, len(body))
        return head, body, parts, kind

    def _check_origin(self, parts: Reference) -> None:
        """Refuse a full URL of another scheme, port or host.

        Raises:
            ValueError: it is one.
        """
        for name, given, own in (
            ("scheme", parts.scheme, self.scheme),
            ("port", parts.port, self.port),
            ("hostname", parts.hostname, self.hostname),
        ):
            if given and given != own:
                raise ValueError(f"path names {name} {given!r}, the requester is for {own!r}")

    def _take_path(self, parts: Reference) -> None:
        """Move the parts of a path to the attributes."""
        path, target, _, _, _, pairs, fragment = parts
        if pairs:
            qargs = self.qargs
            if qargs is None:
                qargs = self.qargs = {}
            for name, value in pairs:
                qargs[name] = value
        if fragment:
            self.fragment = fragment
        self.path = self._path = path
        self._path_target = target
        # taken apart again it would be the same
        self._plain = path if target[:2] != "//" and path[:1] == "/" else _NO_PATH

    def _query(self, qargs: Any) -> str:
        """Make the query of qargs, or find it made."""
        if type(qargs) is not dict:
            check_items(qargs, "qargs")
        flat = [part for item in qargs.items() for part in item]
        types = list(map(type, flat))
        queried = self._queried
        if queried is not None and queried[1] == types and queried[0] == flat:
            return queried[2]
        query = query_string(qargs.items())
        if _FROZEN.issuperset(types):
            self._queried = Queried(flat, types, query)
        return query

    def _make_head(self, key: tuple[object, ...], target: str, headers: Any, length: int) -> bytes:
        """Make the head and keep it with what made it.

        Args:
            key: what else than the fields makes it.
            target: the request-target.
            headers: the fields.
            length: octets of the body.
        Raises:
            ValueError: method, hostname, port or a field is refused.
        """
        method = self.method
        # RFC 9110 9.1; hio: D01
        if not is_token(method):
            raise ValueError(f"method is no token: {method!r:.80}")
        if method == "OPTIONS" and target == "/%2A":
            target = "*"  # asterisk-form (RFC 9112 3.2.4); hio: D03
        lines = [f"{method} {target} {self.HttpVersionString}".encode("ascii")]
        fields, lone = field_lines(headers.items(), length)
        if b"Host" not in lone:
            lines.append(b"Host: " + self._host())
        if "accept-encoding" not in headers:
            lines.append(b"Accept-Encoding: " + self._accepts)
        if length and b"Content-Length" not in lone:
            lines.append(b"Content-Length: %d" % length)
        lines += fields
        lines += (b"", b"")
        head = CRLF.join(lines)

        types = list(map(type, headers.values()))
        if _KEEPING and type(headers) is Hict and _FROZEN.issuperset(types):
            plain = all(kind is str or kind is bytes for kind in types)
            self._built = Built(key, headers.copy(), None if plain else types, head)
        return head

    def _host(self) -> bytes:
        """Make the value of the Host field (RFC 9110 7.2; hio: D14, D15)."""
        number = check_port(self.port)
        host = field_host(self.hostname)
        if self.portOptional and (self.scheme, self.port) in _DEFAULT_PORTS:
            return host
        return b"%b:%d" % (host, number)


Requester._Ways = tuple(
    (each.__name__, each) for each in (Requester.build, Requester.rebuild, Requester.reinit)
)

"""Requester: build request octets as hio does, refuse what no request may hold.

The head of the last request is kept with what made it. While nothing that
makes it changes, building again costs a comparison, not a build.
"""

from __future__ import annotations

import copy
import json
import random
import re
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote_plus

from hio import help
from hio.core.http import httping

from .urls import (
    Reference,
    check_port,
    check_target,
    check_text,
    field_host,
    form_octets,
    normalize_host_port,
    query_string,
    split_path,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Requester"]

CRLF: Final = b"\r\n"
#: Boundaries tried before a form is refused that seems to hold them all.
BOUNDARY_TRIES: Final = 64

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
#: Octets no field value may hold (RFC 9110 5.5).
_BAD_VALUE: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_DIGITS: Final = re.compile(rb"[0-9]+")
_DEFAULT_PORTS: Final = (("http", 80), ("https", 443))
#: Types whose equal values always make equal octets, compared type by type.
_FROZEN: Final = frozenset((str, bytes, int, bool, type(None)))
#: Under -b comparing str with bytes warns: build anew then.
_KEEPING: Final = not sys.flags.bytes_warning

_encode_json = json.JSONEncoder(separators=(",", ":")).encode


class _Built(NamedTuple):
    """A head and what made it.

    Attributes:
        key: everything but the fields.
        fields: copy of the requester's headers.
        types: types of their values, None while all are str or octets.
        head: the head.
    """

    key: tuple[object, ...]
    fields: Any
    types: list[type] | None
    head: bytes


class _Queried(NamedTuple):
    """A query and the names and values, with their types, that made it."""

    flat: list[object]
    types: list[type]
    query: str


@lru_cache(maxsize=512)
def _field_name(name: str) -> bytes:
    """Make a field name as it goes out, title-cased as hio does.

    Raises:
        ValueError: no token (RFC 9110 5.1).
    """
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"headers: field name is no token: {name!r:.80}")
    return name.encode("ascii").title()


def _field_value(name: bytes, value: object) -> bytes:
    """Make the octets of a field value: text as Latin-1, an int in digits.

    Raises:
        ValueError: another type, a character beyond Latin-1, or a control octet
            but HTAB (RFC 9110 5.5).
    hio: D07.
    """
    if isinstance(value, str):
        try:
            octets = value.encode("iso-8859-1")
        except UnicodeEncodeError as ex:
            raise ValueError(
                f"headers: {name.decode()} holds a character beyond Latin-1 at index {ex.start}"
            ) from None
    elif isinstance(value, int):
        octets = str(value).encode("ascii")
    elif isinstance(value, (bytes, bytearray, memoryview)):
        octets = bytes(value)
    else:
        raise ValueError(
            f"headers: {name.decode()} must be str, int or octets, not {type(value).__name__}"
        )
    found = _BAD_VALUE.search(octets)
    if found:
        raise ValueError(
            f"headers: {name.decode()} holds control octet {found.group()!r}"
            f" at index {found.start()}"
        )
    return octets


def _body_octets(body: object) -> bytes | bytearray:
    """Take a body as octets.

    Raises:
        ValueError: it is none (hio: D16).
    """
    if isinstance(body, (bytes, bytearray)):
        return body
    try:
        return memoryview(body).tobytes()  # type: ignore[arg-type]
    except TypeError:
        raise ValueError(f"body must be octets or str, not {type(body).__name__}") from None


def _encode_body(body: str) -> bytes:
    """Encode a body given as text, as Latin-1 like hio.

    Raises:
        ValueError: a character beyond Latin-1 (hio: D16).
    """
    try:
        return body.encode("iso-8859-1")
    except UnicodeEncodeError as ex:
        raise ValueError(f"body holds a character beyond Latin-1 at index {ex.start}") from None


def _form_name(name: object) -> bytes:
    """Make the octets of a form name.

    Raises:
        ValueError: a control character or a lone surrogate in it (hio: D12).
    """
    octets = form_octets(name, "fargs")
    check_text(octets.decode("iso-8859-1"), "fargs")
    return octets


def _method(method: object) -> str:
    """Take a method in upper case.

    Raises:
        ValueError: no str, or not ASCII, of which upper case could make a token (hio: D01).
    """
    if not isinstance(method, str) or not method.isascii():
        raise ValueError(f"method is no token: {method!r:.80}")
    return method.upper()


def _hict(headers: Any) -> Any:
    """Copy headers into a new Hict.

    Raises:
        ValueError: no mapping of field names to values (hio: D06).
    """
    try:
        return help.Hict(headers)
    except (TypeError, ValueError) as ex:
        raise ValueError(f"headers are no mapping of names to values: {ex}") from ex


def _check_items(items: object, argument: str) -> None:
    """Refuse what has no items (hio: D16)."""
    if not hasattr(items, "items"):
        raise ValueError(f"{argument} must be a mapping, not {type(items).__name__}")


class Requester:
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
        if qargs is not None:
            _check_items(qargs, "qargs")
        self.hostname: Any
        self.port: Any
        self.hostname, self.port = normalize_host_port(hostname, port, 80)
        self.scheme: Any = scheme
        self.method: Any = _method(method) if method else "GET"
        self.path: Any = path or "/"
        self.qargs: Any = qargs if qargs is not None else {}
        self.fragment: Any = fragment
        self.headers: Any = _hict(headers) if headers else help.Hict()
        if body and isinstance(body, str):
            body = _encode_body(body)
        self.body: Any = body or b""
        self.data: Any = data
        self.fargs: Any = fargs
        self.portOptional: Any = bool(portOptional)
        self.target: str | None = None

        self.head: bytes = b""
        self.msg: bytes = b""
        self._lines: list[bytes] | None = []  # None: still to be made of _lined
        self._lined: bytes = b""
        self._path: object = None  # what the last build left in .path ...
        self._path_target: str = ""  # ... and made of it
        self._built: _Built | None = None
        self._queried: _Queried | None = None

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
            port: port.
            scheme: "http" or "https".
            method: method, made upper case.
            path: as for the class.
            qargs: as for the class.
            fragment: as for the class.
            headers: as for the class.
            body: as for the class.
            data: as for the class.
            fargs: as for the class.
            portOptional: as for the class.
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
            method = _method(method)
        if qargs is not None:
            _check_items(qargs, "qargs")
        if body is None:
            body = b""
        elif isinstance(body, str):
            body = _encode_body(body)
        if headers is not None:
            self.headers = _hict(headers)

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

        Args:
            method: as for reinit, and so are the others.
            path: see reinit.
            qargs: see reinit.
            fragment: see reinit.
            headers: see reinit.
            body: see reinit.
            data: see reinit.
            fargs: see reinit.
            portOptional: see reinit.
            target: see reinit.
        Returns:
            Octets of the request.
        Raises:
            ValueError: as `reinit` and `build`. All attributes are then as before.
        hio: D17.
        """
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
            return self.build()
        except ValueError:
            self._restore(state)
            raise

    def build(self) -> bytes:
        """Build the request from the attributes.

        As in hio, a query and fragment in `path` move to `qargs` and `fragment`,
        and `data` and `fargs` set the Content-Type in `headers`.

        Returns:
            Octets of the request, also in `msg`; those of its head in `head`
            and `lines`.
        Raises:
            ValueError: an attribute is refused; its name begins the text.
                `lines`, `head` and `msg` are then those of the last request.
        Cost: one comparison of the fields while the head stays the same.
        hio: D01 to D13, D15, D16, D18.
        """
        head, body = self._make(draw=True)
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

        Args:
            method: as for rebuild, and so are the others.
            path: see rebuild.
            qargs: see rebuild.
            fragment: see rebuild.
            headers: see rebuild.
            body: see rebuild.
            data: see rebuild.
            fargs: see rebuild.
            portOptional: see rebuild.
            target: see rebuild.
        Raises:
            ValueError: an argument is refused; its name begins the text.
        """
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
            self.qargs = copy.copy(self.qargs)  # a build may change both in place
            if headers is None and (data is not None or fargs is not None):
                self.headers = copy.copy(self.headers)
            self._make(draw=False)
        finally:
            self._restore(state)

    def _state(self) -> tuple[Any, ...]:
        """Note what a rebuild may change; what it changes in place is not copied."""
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
            self._path,
            self._path_target,
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
            self._path,
            self._path_target,
        ) = state

    def _make(self, draw: bool) -> tuple[bytes, bytes | bytearray]:
        """Make head and body, with all changes of attributes a build brings.

        Args:
            draw: draw a boundary for a multipart form; else any will do.
        """
        target = self.target
        if target is None:
            path = self.path
            # what the last build left is nothing but a path: not again taken for
            # a host where it begins with "//" (hio: D03)
            known = path is self._path
            target = self._path_target if known else self._take_path(split_path(path))
            qargs = self.qargs
            if qargs:
                query = self._query(qargs)
                if query:
                    target = f"{target}?{query}"
            elif qargs is None:
                self.qargs = {}
            else:
                _check_items(qargs, "qargs")
        else:
            check_target(target)
        if self.fragment and isinstance(self.fragment, str):
            check_text(self.fragment, "fragment")

        method = self.method
        if method == "GET":  # hio sends no body with GET
            body: bytes | bytearray = b""
        elif self.data is not None:
            body = self._data_body()
        elif self.fargs is not None:
            body = self._form_body(draw)
        else:
            body = self.body
            if type(body) is not bytes:
                body = _body_octets(body)

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
        built = self._built
        headers = self.headers
        if (
            built is not None
            and built.key == key
            and type(headers) is help.Hict
            and built.fields == headers  # in order; names without regard to case
            and (built.types is None or built.types == list(map(type, headers.values())))
        ):
            return built.head, body
        return self._make_head(key, target, len(body)), body

    def _take_path(self, parts: Reference) -> str:
        """Move the parts of a path to the attributes; return its target.

        Raises:
            ValueError: a full URL of another scheme, port or host.
        """
        for name, given, own in (
            ("scheme", parts.scheme, self.scheme),
            ("port", parts.port, self.port),
            ("hostname", parts.hostname, self.hostname),
        ):
            if given and given != own:
                raise ValueError(f"path names {name} {given!r}, the requester is for {own!r}")
        if parts.pairs:
            qargs = self.qargs
            if qargs is None:
                qargs = self.qargs = {}
            for name, value in parts.pairs:
                qargs[name] = value
        if parts.fragment:
            self.fragment = parts.fragment
        self.path = self._path = parts.path
        self._path_target = parts.target
        return parts.target

    def _query(self, qargs: Any) -> str:
        """Make the query of qargs, or find it made."""
        _check_items(qargs, "qargs")
        flat = [part for item in qargs.items() for part in item]
        types = list(map(type, flat))
        queried = self._queried
        if queried is not None and queried.types == types and queried.flat == flat:
            return queried.query
        query = query_string(qargs.items())
        if _FROZEN.issuperset(types):
            self._queried = _Queried(flat, types, query)
        return query

    def _data_body(self) -> bytes:
        """Make the JSON body and set its Content-Type.

        Raises:
            ValueError: data has no JSON form (hio: D16).
        """
        try:
            text = _encode_json(self.data)
        except (TypeError, ValueError, RecursionError) as ex:
            raise ValueError(f"data has no JSON form: {ex}") from ex
        self.headers["content-type"] = "application/json; charset=utf-8"
        return text.encode("utf-8")

    def _form_body(self, draw: bool) -> bytes:
        """Make the form body and set its Content-Type.

        Raises:
            ValueError: fargs is no mapping or holds what no form may.
        """
        fargs = self.fargs
        _check_items(fargs, "fargs")
        items = [(_form_name(name), form_octets(value, "fargs")) for name, value in fargs.items()]
        kind = self.headers.get("content-type")
        if isinstance(kind, (bytes, bytearray)):  # hio: D18
            kind = kind.decode("iso-8859-1")
        if isinstance(kind, str) and kind.startswith("multipart/form-data"):
            boundary, body = _multipart(items, draw)
            self.headers["content-type"] = f"multipart/form-data; boundary={boundary}"
        else:
            # application/x-www-form-urlencoded (WHATWG URL 5.2); hio: D11
            form = "&".join([f"{quote_plus(name)}={quote_plus(value)}" for name, value in items])
            body = form.encode("ascii")
            self.headers["content-type"] = "application/x-www-form-urlencoded; charset=utf-8"
        return body

    def _make_head(self, key: tuple[object, ...], target: str, length: int) -> bytes:
        """Make the head and keep it with what made it.

        Args:
            key: what else than the fields makes it.
            target: the request-target.
            length: octets of the body.
        Raises:
            ValueError: method, hostname, port or a field is refused.
        """
        method = self.method
        # RFC 9110 9.1; hio: D01
        if not isinstance(method, str) or not _TOKEN.fullmatch(method):
            raise ValueError(f"method is no token: {method!r:.80}")
        if method == "OPTIONS" and target == "/%2A":
            target = "*"  # asterisk-form (RFC 9112 3.2.4); hio: D03
        headers = self.headers
        lines = [f"{method} {target} {self.HttpVersionString}".encode("ascii")]
        fields, lone = _field_lines(headers.items(), length)
        if b"Host" not in lone:
            lines.append(b"Host: " + self._host())
        if "accept-encoding" not in headers:
            lines.append(b"Accept-Encoding: identity")
        if length and b"Content-Length" not in lone:
            lines.append(b"Content-Length: %d" % length)
        lines += fields
        lines += (b"", b"")
        head = CRLF.join(lines)

        types = list(map(type, headers.values()))
        if _KEEPING and type(headers) is help.Hict and _FROZEN.issuperset(types):
            plain = all(kind is str or kind is bytes for kind in types)
            self._built = _Built(key, headers.copy(), None if plain else types, head)
        return head

    def _host(self) -> bytes:
        """Make the value of the Host field (RFC 9110 7.2; hio: D14, D15)."""
        port = self.port
        check_port(port)
        host = field_host(self.hostname)
        if self.portOptional and (self.scheme, port) in _DEFAULT_PORTS:
            return host
        return b"%b:%b" % (host, str(port).encode("ascii"))


def _field_lines(
    items: Iterable[tuple[str, object]], length: int
) -> tuple[list[bytes], Mapping[bytes, bytes]]:
    """Make the field lines of the headers.

    Args:
        items: field names and values.
        length: octets of the body.
    Returns:
        (lines, values of the fields that may come once).
    Raises:
        ValueError: a name or value is refused, Host or Content-Length comes
            with two values (RFC 9110 7.2, 8.6), Content-Length is not the
            length of the body, or Transfer-Encoding is there (RFC 9112 6.1).
    hio: D06, D07, D08, D09, D10.
    """
    lines: list[bytes] = []
    lone: dict[bytes, bytes] = {}
    for name, value in items:
        title = _field_name(name)
        octets = _field_value(title, value)
        if title == b"Host" or title == b"Content-Length":
            bare = octets.strip(b" \t")
            if title in lone:
                if lone[title] != bare:
                    raise ValueError(f"headers: {title.decode()} comes with two values")
                continue
            lone[title] = bare
            if title == b"Content-Length":
                if not _DIGITS.fullmatch(bare):
                    raise ValueError(f"headers: Content-Length is no number: {bare[:40]!r}")
                if bare.lstrip(b"0") != (b"%d" % length if length else b""):
                    raise ValueError(
                        f"headers: Content-Length is {bare[:40].decode()},"
                        f" the body that goes out has {length} octets"
                    )
        elif title == b"Transfer-Encoding":
            raise ValueError(
                "headers: Transfer-Encoding cannot be given, a body goes out with Content-Length"
            )
        lines.append(title + b": " + octets)
    return lines, lone


def _multipart(items: list[tuple[bytes, bytes]], draw: bool) -> tuple[str, bytes]:
    """Make a multipart/form-data body (RFC 7578).

    Args:
        items: names and values; in names the quote is escaped as browsers do
            (WHATWG HTML 4.10.22.8).
        draw: draw the boundary; else any will do.
    Returns:
        (boundary, body).
    Raises:
        ValueError: every boundary drawn is in the data.
    hio: D12, D13.
    """
    boundary = "_" * 12 + "0" * 12
    if draw:
        for _ in range(BOUNDARY_TRIES):
            boundary = f"____________{random.randint(123456789, 0xFFFFFFFFFFFF):012x}"
            octets = boundary.encode("ascii")
            if not any(octets in name or octets in value for name, value in items):
                break
        else:
            raise ValueError(f"fargs hold each of {BOUNDARY_TRIES} boundaries drawn")
    mark = boundary.encode("ascii")
    parts = [
        b'\r\n--%b\r\nContent-Disposition: form-data; name="%b"\r\n'
        b"Content-Type: text/plain; charset=utf-8\r\n\r\n%b"
        % (mark, name.replace(b'"', b"%22"), value)
        for name, value in items
    ]
    parts.append(b"\r\n--%b--" % mark)
    return boundary, b"".join(parts)

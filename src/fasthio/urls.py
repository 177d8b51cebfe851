"""Check and take apart what a request names: host, port, path, query.

Functions without state, shared by requests and redirects. What cannot be sent
raises a ValueError that begins with the name of the argument at fault.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote, quote_plus, unquote_to_bytes, urlsplit

from hio.core.http import httping

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "AddressError",
    "Reference",
    "check_port",
    "check_target",
    "check_text",
    "field_host",
    "form_octets",
    "normalize_host_port",
    "query_string",
    "settle_place",
    "split_path",
]

MAX_PORT: Final = 65_535

#: Controls that no part of a request line or form name may hold (RFC 9112 3).
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f]")
#: reg-name of RFC 3986 3.2.2.
_REG_NAME: Final = re.compile(rb"[A-Za-z0-9\-._~!$&'()*+,;=%]*")
#: VCHAR but "#": what a request-target may hold here (RFC 9112 3.2).
_TARGET: Final = re.compile(r"/[!\"$-~]*|\*")
#: Octets of a query name that go out as they are: VCHAR but "#", "&" and "=".
_NAME_SAFE: Final = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in "#&=")


class AddressError(httping.InvalidURL, ValueError):  # type: ignore[misc]  # hio has no types
    """Report a hostname or port that names no place to connect to.

    Both hio's InvalidURL and a ValueError, so present `except` clauses go on working.
    """


class Reference(NamedTuple):
    """A path argument taken apart.

    Attributes:
        path: the path alone, as given.
        target: the path as it goes on the request line, percent-encoded.
        scheme: scheme if the argument was a full URL, lower case, else "".
        hostname: host if it named one, lower case, else None.
        port: port if it named one, else None.
        pairs: query arguments in order, values decoded, each name once.
        fragment: what follows "#", else "".
    """

    path: str | bytes
    target: str
    scheme: str
    hostname: str | None
    port: int | None
    pairs: tuple[tuple[str, str | bytes], ...]
    fragment: str


def check_text(text: str, argument: str) -> None:
    """Refuse control characters in text of a request line or form name.

    Args:
        text: what the argument holds.
        argument: name of the argument, for the error.
    Raises:
        ValueError: a C0 control or DEL is in it (RFC 9112 3, RFC 3986 2).
    """
    found = _CONTROLS.search(text)
    if found:
        raise ValueError(
            f"{argument} holds control character {found.group()!r} at index {found.start()}"
        )


def check_target(target: object) -> None:
    """Refuse what cannot stand as an already encoded request-target.

    Args:
        target: origin-form ("/...", with its query) or "*".
    Raises:
        ValueError: not str, empty, no leading "/", or an octet that is no VCHAR,
            or "#" (RFC 9112 3.2).
    """
    if not isinstance(target, str) or not _TARGET.fullmatch(target):
        raise ValueError("target must be '/' or '*' and visible ASCII without '#'")


def check_port(port: object) -> int:
    """Read a port number.

    Args:
        port: an int, or a str that `int` reads, as hio takes it.
    Returns:
        The number, 0 to 65535.
    Raises:
        AddressError: no whole number, a bool, or out of range (RFC 6335 6).
    """
    if type(port) is int and 0 <= port <= MAX_PORT:
        return port
    if isinstance(port, bool):
        raise AddressError(f"port must be an int, not bool: {port!r}")
    try:
        number = int(port)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        raise AddressError(f"port must be a whole number: {port!r:.60}") from None
    if isinstance(port, float) and port != number:
        raise AddressError(f"port must be a whole number: {port!r}")
    if not 0 <= number <= MAX_PORT:
        raise AddressError(f"port must be 0 to {MAX_PORT}: {port!r:.60}")
    return int(number)


def _is_ipv6(text: str) -> bool:
    """Tell whether text is an IPv6 literal, a zone allowed."""
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def normalize_host_port(
    hostname: object, port: object = None, default: int = httping.HTTP_PORT
) -> tuple[str, int]:
    """Settle hostname and port from "host", "host:port", "[::1]:port" or "::1".

    Args:
        hostname: name or literal; a port in it wins over `port`.
        port: port, or None for `default`.
        default: port where none is given.
    Returns:
        (hostname without brackets, port).
    Raises:
        AddressError: hostname is not str or holds what no host may (RFC 3986
            3.2.2), or `check_port` refuses the port.
    hio: D14.
    """
    if not isinstance(hostname, str):
        raise AddressError(f"hostname must be str, not {type(hostname).__name__}")
    name: str = hostname
    number: object = default if port is None else port
    if hostname.count(":") > 1 and _is_ipv6(hostname):
        pass  # bare literal: its colons set no port off
    else:
        at = hostname.rfind(":")
        if at > hostname.rfind("]"):
            name = hostname[:at]
            number = hostname[at + 1 :] or number
        if name.startswith("[") and name.endswith("]"):
            name = name[1:-1]
    field_host(name)
    return name, check_port(number)


_known_place = lru_cache(maxsize=512, typed=True)(normalize_host_port)


def settle_place(
    hostname: object, port: object = None, default: int = httping.HTTP_PORT
) -> tuple[str, int]:
    """Do as `normalize_host_port`, once per place: programs make many clients for few.

    Args:
        hostname: see there.
        port: see there.
        default: see there.
    Returns:
        See there.
    Raises:
        AddressError: see there.
    """
    if type(hostname) is str and (type(port) is int or port is None):
        return _known_place(hostname, port, default)
    return normalize_host_port(hostname, port, default)


@lru_cache(maxsize=128)
def _field_host(hostname: str) -> bytes:
    """Do the work of `field_host`, once per name."""
    name = hostname
    if ":" in name:
        if name.startswith("[") and name.endswith("]"):
            name = name[1:-1]
        literal = name.partition("%")[0]
        if not _is_ipv6(literal):
            raise AddressError(f"hostname is no IPv6 literal and holds ':': {hostname!r:.80}")
        # a zone means something to this machine only (RFC 6874 4)
        return b"[" + literal.encode("ascii") + b"]"
    try:
        octets = name.encode("ascii") if name.isascii() else name.encode("idna")
    except UnicodeError as ex:
        raise AddressError(f"hostname has no IDNA form: {hostname!r:.80} ({ex})") from None
    # after IDNA: its mapping turns full-width "/" and the like into ASCII
    if not _REG_NAME.fullmatch(octets):
        raise AddressError(f"hostname holds what no host may: {hostname!r:.80}")
    return octets


def field_host(hostname: object) -> bytes:
    """Make the host of a Host field.

    Args:
        hostname: name, IPv4 or IPv6 literal, with or without brackets and zone.
    Returns:
        Octets for the Host field without a port: IDNA for non-ASCII names, IPv6
        in brackets without its zone (RFC 9110 7.2, RFC 3986 3.2.2, RFC 6874 4).
    Raises:
        AddressError: hostname is not str or has no such form.
    hio: D14, D15.
    """
    if not isinstance(hostname, str):
        raise AddressError(f"hostname must be str, not {type(hostname).__name__}")
    return _field_host(hostname)


def _decode_value(text: str) -> str | bytes:
    """Decode a query value; octets that are no UTF-8 stay octets (hio: D05)."""
    octets = unquote_to_bytes(text.replace("+", " "))
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets


def _query_pairs(query: str) -> tuple[tuple[str, str | bytes], ...]:
    """Take a query apart as hio does: names stay encoded, a later one wins."""
    pairs: dict[str, str | bytes] = {}
    for part in query.split(";" if ";" in query else "&"):
        if part:
            name, equals, value = part.partition("=")
            pairs[name] = _decode_value(value) if equals else "true"
    return tuple(pairs.items())


@lru_cache(maxsize=128)
def _split_path(text: str) -> Reference:
    """Do the work of `split_path` for str, once per path."""
    check_text(text, "path")
    try:
        splits = urlsplit(text)
        port = splits.port
        hostname = splits.hostname
    except ValueError as ex:
        raise ValueError(f"path is no URL: {ex}") from None
    try:
        target = quote(splits.path)
        pairs = _query_pairs(splits.query)
    except UnicodeEncodeError:
        raise ValueError("path holds a lone surrogate") from None
    if not target.startswith("/"):
        target = "/" + target  # origin-form begins with "/" (RFC 9112 3.2.1); hio: D03
    return Reference(splits.path, target, splits.scheme, hostname, port, pairs, splits.fragment)


def split_path(path: object) -> Reference:
    """Take a path argument apart: a path, or a full URL, with query and fragment.

    Args:
        path: not yet percent-encoded; ASCII octets are taken too.
    Returns:
        Its parts; `path` in the type given.
    Raises:
        ValueError: neither str nor octets, control characters, lone surrogates,
            or no URL (RFC 3986 3).
    hio: D02, D03, D05.
    """
    if isinstance(path, str):
        return _split_path(path)
    if not isinstance(path, (bytes, bytearray)):
        raise ValueError(f"path must be str, not {type(path).__name__}")
    try:
        parts = _split_path(path.decode("ascii"))
    except UnicodeDecodeError:
        raise ValueError("path given as octets must be ASCII") from None
    assert isinstance(parts.path, str)
    return parts._replace(path=parts.path.encode("ascii"))


def form_octets(value: object, argument: str) -> bytes:
    """Make the octets of a form or query item: text as UTF-8, octets as they are.

    Args:
        value: str or octets; anything else by its `str`.
        argument: name of the argument, for the error.
    Returns:
        The octets, not yet percent-encoded.
    Raises:
        ValueError: the text holds a lone surrogate.
    hio: D05.
    """
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    try:
        # as format(): a str subclass with its own text shows that one
        return f"{value}".encode()
    except UnicodeEncodeError:
        raise ValueError(f"{argument} holds a lone surrogate") from None


def query_string(items: Iterable[tuple[Any, Any]]) -> str:
    """Make a query from names and values.

    Args:
        items: names, taken as already encoded as in hio (so "%" and "+" stay),
            and values, encoded here.
    Returns:
        The query without "?".
    Raises:
        ValueError: a control character in a name, or a lone surrogate.
    hio: D04, D05.
    """
    parts = []
    for name, value in items:
        if not (isinstance(name, str) and name.isascii() and name.isalnum()):
            if isinstance(name, (bytes, bytearray)):
                name = quote(bytes(name), safe="")
            else:
                text = f"{name}"
                check_text(text, "qargs")
                name = quote(form_octets(text, "qargs"), safe=_NAME_SAFE)
        if not isinstance(value, (bytes, bytearray)):
            value = form_octets(str(value), "qargs")
        parts.append(f"{name}={quote_plus(bytes(value))}")
    return "&".join(parts)

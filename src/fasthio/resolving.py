"""Host names and addresses: what a connector connects to.

hio asks for IPv4 alone and keeps one address. Here a name gives all its
addresses, IPv4 first as in hio, so that the next one can be tried on refusal.
"""

from __future__ import annotations

import re
import socket
from typing import Any, Final, NamedTuple

from .errors import ResolutionError, TargetError, exchange_error

__all__ = ["Address", "is_loopback", "resolve", "split_host"]

#: What no host name may hold: controls, white space and what ends an authority (RFC 3986 3.2.2).
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f/?#@\\\s]")


class Address(NamedTuple):
    """One address to connect to: the family of its socket, and what `connect` takes."""

    family: int
    sockaddr: tuple[Any, ...]


def split_host(host: str, port: int | str | None = None, default: int = 80) -> tuple[str, int]:
    """Split a host that may carry a port.

    Args:
        host: name, IPv4 address, IPv6 address with or without brackets; a port
            may follow a name, an IPv4 address or brackets, and goes before `port`.
        port: port where `host` carries none; None for `default`.
        default: port of the scheme.
    Returns:
        The host without brackets, and the port.
    Raises:
        TargetError: no host, an octet that no host may hold, or no such port
            (RFC 3986 3.2.2 and 3.2.3). hio: D40.
    """
    if not isinstance(host, str):
        raise TargetError(f"hostname must be a str: {host!r}")
    name, number = host, port
    if host.startswith("["):
        name, bracket, rest = host[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")) or ":" not in name:
            raise TargetError(f"hostname is no bracketed IPv6 address: {host!r}")
        number = rest[1:] or port
    elif host.count(":") == 1:
        name, _, digits = host.partition(":")
        number = digits or port
    # more colons and no brackets: an IPv6 address, which hio takes apart (D40)
    if _FORBIDDEN.search(name):
        raise TargetError(f"hostname holds an octet that no host may hold: {host!r}")
    return name, _port(number, default)


def _port(port: int | str | None, default: int) -> int:
    """Read a port (RFC 3986 3.2.3)."""
    if port is None:
        return default
    if isinstance(port, str) and port.isascii() and port.isdigit():
        port = int(port)
    if not isinstance(port, int) or isinstance(port, bool) or not 0 <= port <= 65535:
        raise TargetError(f"port must be a number from 0 to 65535: {port!r}")
    return port


def resolve(host: str, port: int) -> list[Address]:
    """Find the addresses of a host, IPv4 first.

    Blocks while a name is looked up, as hio does; an address does not block.

    Args:
        host: name or address without brackets; "" is this machine, as in hio.
        port: port to connect to.
    Returns:
        At least one address, each one once.
    Raises:
        ResolutionError: the name does not resolve. hio: D41.
    """
    host = host or "0.0.0.0"
    try:
        # the cheap case first: an IPv4 address needs no resolver
        socket.inet_pton(socket.AF_INET, host)
    except (OSError, ValueError):
        pass
    else:
        return [Address(socket.AF_INET, (host, port))]
    try:
        found = socket.getaddrinfo(host, port, socket.AF_UNSPEC, socket.SOCK_STREAM)
    except (OSError, UnicodeError, ValueError) as error:
        raise unresolved(host, error) from error
    addresses = [
        Address(family, sockaddr)
        for family, _, _, _, sockaddr in found
        if family in (socket.AF_INET, socket.AF_INET6)
    ]
    if not addresses:
        raise unresolved(host, None)
    addresses.sort(key=lambda address: address.family != socket.AF_INET)
    return list(dict.fromkeys(addresses))


def unresolved(host: str, cause: Exception | None) -> ResolutionError:
    """Build the error of a name that does not resolve."""
    error = exchange_error("unresolved", f"{host!r} ({cause or 'no address'})", cause)
    assert isinstance(error, ResolutionError)
    return error


def is_loopback(address: str) -> bool:
    """Tell whether an address is this machine's loopback (RFC 1122 3.2.1.3, RFC 4291 2.5.3)."""
    return address.startswith("127.") or address == "::1"

"""Host names and addresses: what a connector connects to.

hio asks for IPv4 alone and keeps one address. Here a name gives all its
addresses, IPv4 first as in hio, so that the next one can be tried on refusal.
"""

from __future__ import annotations

import socket
from typing import Any, NamedTuple

from .errors import ResolutionError, exchange_error

__all__ = ["Address", "is_loopback", "resolve"]


class Address(NamedTuple):
    """One address to connect to: the family of its socket, and what `connect` takes."""

    family: int
    sockaddr: tuple[Any, ...]


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

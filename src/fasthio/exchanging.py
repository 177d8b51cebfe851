"""What the client keeps about one exchange: a request, its response and their limits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from .draining import Drain
    from .repeating import Whole

__all__ = [
    "DESCRIBED",
    "IDEMPOTENT",
    "UNLINKED",
    "Exchange",
    "Home",
    "Timeouts",
    "closes",
    "retarget",
    "target_of",
]

#: Methods whose requests may be sent twice (RFC 9110 9.2.2).
IDEMPOTENT: Final = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"))


#: In place of a socket while there is none; None may be one, a program's own connector's.
UNLINKED: Final = object()


class Timeouts(NamedTuple):
    """Limits on the time of an exchange, in seconds of tyme; None for no limit."""

    connect: float | None = None  # until there is a connection, TLS included
    first: float | None = None  # from then on until the first octet of the response
    total: float | None = None  # from the sending of the request on, redirects included

    @classmethod
    def of(cls, timeout: Any) -> Timeouts | None:
        """Read the `timeout` argument.

        Args:
            timeout: None; a number of seconds for the whole exchange; a mapping
                with `connect`, `first` and `total`; or a sequence of the three.
        Returns:
            The limits, or None where there are none.
        Raises:
            ValueError: an unknown key, or no positive finite number of seconds.
        """
        if timeout is None:
            return None
        if isinstance(timeout, Mapping):
            unknown = set(timeout) - set(cls._fields)
            if unknown:
                raise ValueError(f"timeout takes connect, first and total, not {sorted(unknown)}")
            limits = [timeout.get(name) for name in cls._fields]
        elif isinstance(timeout, Sequence) and not isinstance(timeout, str):
            if len(timeout) != 3:
                raise ValueError(
                    f"timeout takes three numbers (connect, first, total): {timeout!r}"
                )
            limits = list(timeout)
        else:
            limits = [None, None, timeout]
        for limit in limits:
            if limit is None:
                continue
            if isinstance(limit, bool) or not isinstance(limit, (int, float)):
                raise ValueError(f"timeout must be a number of seconds: {timeout!r}")
            if not (limit > 0 and math.isfinite(limit)):
                raise ValueError(f"timeout must be positive and finite: {timeout!r}")
        return cls(*limits) if any(limit is not None for limit in limits) else None


class Exchange:
    """One request under way.

    What an exchange begins with stands in the class: most of it never changes.
    """

    octets: bytes | bytearray = b""  # the request as it goes out
    sent: dict[str, Any] | None = None  # the same as its response tells of it
    whole: Whole | None = None  # the same where it is one that was kept; makes `sent` ...
    fields: Any = None  # ... with these headers
    method: str = "GET"
    link: Any = UNLINKED  # socket that carries it, as the connector's `cs`
    bulky: bool = False  # much of its body is still to come
    requeue: bool = False  # to be put into the connector's txbs again
    put: Any = None  # connector in whose txbs it waits for a connection
    resuming: bool = False  # an event stream, to be taken up on the next connection
    stream: Any = None  # `streaming.Stream` that it carries
    pouring: bool = False  # its body may be led away while it comes
    drain: Drain | None = None  # where to
    attempts: int = 1  # how often it was begun
    hops: int = 0  # redirects followed
    started: float = 0.0  # tyme it was sent, or first to be sent
    mark: float = 0.0  # tyme its present phase began
    phase: int = 0  # index into Timeouts; 2 once the first octet came
    response: dict[str, Any] | None = None  # what was put out for it
    untaken: bool = False  # `responses` of the program's own making has raised, and not taken it


#: Attributes of a requester that a redirect to another origin must not leave changed.
DESCRIBED: Final = (
    "hostname",
    "port",
    "scheme",
    "method",
    "path",
    "qargs",
    "fragment",
    "headers",
    "body",
    "data",
    "fargs",
)


class Home(NamedTuple):
    """Where a client belongs while a redirect has it at another origin."""

    connector: Any
    secured: bool
    described: dict[str, Any]  # attributes of the requester as they were

    @classmethod
    def of(cls, connector: Any, secured: bool, requester: Any) -> Home:
        """Note where a client is now."""
        return cls(connector, secured, {name: getattr(requester, name) for name in DESCRIBED})

    def restore(self, requester: Any) -> None:
        """Give a requester its attributes back."""
        for name, value in self.described.items():
            setattr(requester, name, value)


def closes(headers: Any) -> bool:
    """Tell whether a request's fields say that its connection closes (RFC 9112 9.6)."""
    value = headers.get("connection") if headers else None
    if value is None:
        return False
    if isinstance(value, (bytes, bytearray)):
        value = value.decode("iso-8859-1")
    return "close" in [option.strip(" \t").lower() for option in str(value).split(",")]


def retarget(octets: bytes | bytearray, target: str) -> bytes:
    """Put another request target into a request that is built (RFC 9112 3).

    Args:
        octets: the request.
        target: the target, encoded.
    """
    line, _, rest = bytes(octets).partition(b"\r\n")
    method, _, tail = line.partition(b" ")
    version = tail.rpartition(b" ")[2]
    return b"%b %b %b\r\n%b" % (method, target.encode("ascii"), version, rest)


def target_of(octets: bytes | bytearray) -> str:
    """Read the request target out of a request that is built."""
    line = bytes(octets[: octets.find(b"\r\n")])
    return line.partition(b" ")[2].rpartition(b" ")[0].decode("iso-8859-1")

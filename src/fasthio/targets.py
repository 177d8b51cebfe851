"""What is polled: a target's options, checked at the call, and what is known of it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import SplitResult, quote, urlsplit

from hio.help import Hict

from .pacing import Backoff, Circuit, Pace
from .requesting import Requester
from .urls import check_target, normalize_host_port

if TYPE_CHECKING:
    from .lines import Flight, Line
    from .results import PollResult
    from .scheduling import Entry, Grid

__all__ = ["Origin", "Target", "TargetSpec", "check_url", "parse_duration", "parse_url"]

#: What stays as it is in the path and query of a URL: RFC 3986 3.3 and 3.4, and "%".
_URL_SAFE: Final = "%/:?@!$&'()*+,;=~-._[]|^`{}\"\\<>"
_UNITS: Final = {"": 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+) ?(ms|s|min|m|h|d|)")
#: Longest duration taken: a year. Anything longer is a mistake.
LONGEST: Final = 366 * 86400.0
#: Shortest interval in seconds: the numbers of polls have 64 bits then, for centuries.
_SHORTEST: Final = 1e-9

Expect = int | Collection[int] | Callable[["PollResult"], bool] | None


class Origin(NamedTuple):
    """Where a request goes (RFC 9110 4.3.1)."""

    scheme: str
    host: str
    port: int


def parse_duration(value: Any) -> float:
    """Read a duration.

    Args:
        value: seconds as a number, or text as "250ms", "1.5s", "2m", "1h" or "1d".
    Returns:
        Seconds.
    Raises:
        ValueError: it is none, negative, or more than a year.
    """
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match is None:
            raise ValueError(f"no duration (as 250ms, 1.5s, 2m, 1h): {value!r}")
        seconds = float(match[1]) * _UNITS[match[2]]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        raise ValueError(f"no duration (as 1.5 or '250ms'): {value!r}")
    if not 0.0 <= seconds <= LONGEST:
        raise ValueError(f"duration must be 0 or more, at most a year: {value!r}")
    return seconds


def parse_url(url: Any) -> tuple[Origin, str]:
    """Take apart a URL that is to be polled.

    Args:
        url: absolute http or https URL; octets that no URL may hold as they are
            get percent-encoded, what is encoded stays so.
    Returns:
        Its origin, and the request target (RFC 9112 3.2.1): path and query as given,
        nothing is put in order, a fragment is left out.
    Raises:
        ValueError: scheme, host or port is missing or wrong, or the URL holds user
            information, white space or control characters (RFC 9110 4.2).
    """
    parts = check_url(url)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        host, _ = normalize_host_port(parts.hostname, port)
        target = quote(parts.path, safe=_URL_SAFE) or "/"
        if "?" in url.partition("#")[0]:  # an empty query is another URL than none (RFC 3986 6.2.3)
            target = f"{target}?{quote(parts.query, safe=_URL_SAFE)}"
        check_target(target)
    except ValueError as error:
        raise ValueError(f"bad URL {url!r:.200}: {error}") from None
    return Origin(parts.scheme, host, port), target


def check_url(url: Any) -> SplitResult:
    """Check that a URL is one that a request can be sent to.

    Args:
        url: absolute URL.
    Returns:
        Its parts.
    Raises:
        ValueError: scheme, host or port is missing or wrong, or the URL holds user
            information, white space or control characters (RFC 9110 4.2).
    """
    if not isinstance(url, str):
        raise ValueError(f"URL must be str: {url!r}")
    if any(char <= " " or char == "\x7f" for char in url):
        raise ValueError(f"URL holds white space or a control character: {url!r:.200}")
    try:
        parts = urlsplit(url)
        number = parts.port
        if parts.scheme not in ("http", "https"):
            raise ValueError("must begin with http:// or https://")
        if not parts.hostname:
            raise ValueError("names no host")
        if number == 0:
            raise ValueError("has port 0")
        if "@" in parts.netloc:
            # RFC 9110 4.2.4: it would end up in logs; a header does it
            raise ValueError("holds user information, send a header instead")
        normalize_host_port(parts.hostname, number or 80)
    except ValueError as error:
        raise ValueError(f"bad URL {url!r:.200}: {error}") from None
    return parts


def _seconds(name: str, value: Any, least: float = 0.0, most: float = LONGEST) -> float:
    """Check a number of seconds; ValueError names it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number of seconds: {value!r}")
    if not least <= value <= most or math.isnan(value):
        raise ValueError(f"{name} must be from {least:g} to {most:g} seconds: {value!r}")
    return float(value)


def _whole(name: str, value: Any, least: int) -> int:
    """Check a whole number; ValueError names it."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}: {value!r}")
    return value


def _pairs(headers: Any) -> tuple[tuple[str, str], ...]:
    """Make pairs of fields given as a mapping or as pairs; values are checked by Requester."""
    if headers is None:
        return ()
    items = (
        headers.items() if isinstance(headers, Mapping) or hasattr(headers, "items") else headers
    )
    try:
        return tuple((name, value) for name, value in items)
    except (TypeError, ValueError):
        raise ValueError(f"headers must be a mapping or pairs: {headers!r:.200}") from None


@dataclass(frozen=True)
class TargetSpec:
    """Say what to poll and how.

    Args:
        url: absolute http or https URL.
        every: seconds from one poll to the next, at least 1e-9; 0 for as soon as the last has
            ended.
        method: request method.
        headers: fields to send, a mapping or pairs; in order.
        body: octets to send with a method that has a body; str goes as UTF-8.
        timeout: seconds a poll may take in all, retries included.
        connect_timeout: seconds until an attempt must have its connection; None
            for `timeout`.
        retries: further attempts within a poll whose first one got no whole response,
            or status 500, 502, 503 or 504 without Retry-After; for idempotent
            methods, for others only where nothing was sent (RFC 9110 9.2.2). None
            where the same would come again: a response over a limit, a refused
            redirect, a refused certificate.
        jitter: each poll is put off by up to so many seconds at random; below `every`.
        conditional: ask with If-None-Match and If-Modified-Since, keep the body.
        expect: what is a success: a status, several, or a function that is given the
            result; None for any status below 400.
        label: name in results; None for the URL.
        count: polls until the target is done; None for no end.
        redirects: whether redirects are followed.
        max_body: octets a body may have.
        backoff: how long to hold off after failures.
        circuit: when to give the target up for a while.
    Raises:
        ValueError: an option that cannot be; its name begins the text.
    """

    url: str
    every: float = 1.0
    method: str = "GET"
    headers: Any = None
    body: Any = b""
    timeout: float = 10.0
    connect_timeout: float | None = None
    retries: int = 0
    jitter: float = 0.0
    conditional: bool = False
    expect: Expect = None
    label: str | None = None
    count: int | None = None
    redirects: bool = True
    max_body: int = 16_777_216
    backoff: Backoff = field(default=Backoff())  # frozen
    circuit: Circuit = field(default=Circuit())  # frozen

    def __post_init__(self) -> None:
        origin, target = parse_url(self.url)
        put = object.__setattr__
        every = _seconds("every", self.every)
        put(self, "every", _seconds("every", every, _SHORTEST) if every else every)
        put(self, "timeout", _seconds("timeout", self.timeout, 1e-3))
        if self.connect_timeout is not None:
            put(
                self,
                "connect_timeout",
                _seconds("connect_timeout", self.connect_timeout, 1e-3),
            )
        put(self, "jitter", _seconds("jitter", self.jitter))
        if self.jitter and self.jitter >= self.every:
            raise ValueError(f"jitter must be below every ({self.every:g}): {self.jitter!r}")
        _whole("retries", self.retries, 0)
        if self.count is not None:
            _whole("count", self.count, 1)
        _whole("max_body", self.max_body, 0)
        body: Any = self.body
        if not isinstance(body, str | bytes | bytearray):
            raise ValueError(f"body must be octets or str: {type(body).__name__}")
        put(self, "body", body.encode() if isinstance(body, str) else bytes(body))
        put(self, "headers", _pairs(self.headers))
        put(self, "expect", _expectation(self.expect))
        if self.label is not None and not isinstance(self.label, str):
            raise ValueError(f"label must be str: {self.label!r}")
        for name, kind in (("backoff", Backoff), ("circuit", Circuit)):
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"{name} must be a {kind.__name__}: {getattr(self, name)!r}")
        # refuses what could not be sent: method, field names and values
        requester = Requester(hostname=origin.host, port=origin.port, scheme=origin.scheme)
        requester.reinit(
            method=self.method, path="/", headers=Hict(self.headers), body=self.body, target=target
        )
        requester.build()
        put(self, "method", requester.method)


#: Options that a targets file or a program may name.
OPTIONS: Final = tuple(each.name for each in fields(TargetSpec))


def _expectation(expect: Any) -> Any:
    """Check what is expected; several statuses become a frozen set."""
    if expect is None or callable(expect):
        return expect
    statuses = [expect] if isinstance(expect, int) and not isinstance(expect, bool) else expect
    if not isinstance(statuses, Collection) or isinstance(statuses, str | bytes) or not statuses:
        raise ValueError(f"expect must be a status, several, or a function: {expect!r}")
    for status in statuses:
        if not isinstance(status, int) or isinstance(status, bool) or not 100 <= status <= 999:
            raise ValueError(f"expect holds what is no status: {status!r}")
    return frozenset(statuses)


class Target:
    """One thing that is polled, and what is known of it.

    Attributes:
        spec: its options.
        url: what is polled.
        label: its name in results.
        origin: where its requests go.
        state: "waiting" for its tyme, "queued" for a place, "polling", "paused",
            "done" after its last poll, or "removed".
        pace: failures in a row, and its circuit.
        paused: True between `Poller.pause` and `resume`.
        polls: polls begun so far.
        etag: entity tag of the body kept; None without one.
        modified: Last-Modified of the body kept; None without one.
        kept: the result that holds the body kept; None without one.
    """

    __slots__ = (
        "_entry",
        "_flight",
        "_grid",
        "_hold",
        "_late",
        "_line",
        "_next",
        "_number",
        "_octets",
        "_path",
        "_place",
        "_short",
        "_suspect",
        "_timer",
        "etag",
        "kept",
        "label",
        "modified",
        "origin",
        "pace",
        "paused",
        "polls",
        "spec",
        "state",
        "url",
    )

    def __init__(self, spec: TargetSpec) -> None:
        self.spec = spec
        self.url = spec.url
        self.label = spec.label if spec.label is not None else spec.url
        self.origin, self._path = parse_url(spec.url)
        self.state = "waiting"
        self.pace = Pace(spec.backoff, spec.circuit)
        self.paused = False
        self.polls = 0
        self.etag: str | None = None
        self.modified: str | None = None
        self.kept: PollResult | None = None
        # the poller's own: places in its schedules, the poll under way, its connection
        self._grid: Grid | None = None
        self._number = -1  # of the last poll that is accounted for or under way
        self._next = 0  # of the next one to be begun
        self._hold = ""  # why those between the two are left out
        self._late = ""  # why the next one was late already when it was looked at
        self._entry: Entry | None = None
        self._timer: Entry | None = None
        self._place = ""  # where it waits to begin: "resolving", "opening" or "admission"
        self._suspect = False  # its last poll had failed when it began to wait
        self._flight: Flight | None = None
        self._line: Line | None = None
        self._octets: bytes | None = None  # its next request, once built
        # whether polls may go without a client: see `Shortcut`
        self._short = spec.method != "CONNECT" and not any(
            name.lower() in ("connection", "upgrade") for name, _ in spec.headers
        )

    @property
    def failures(self) -> int:
        """Failures in a row."""
        return self.pace.failures

    @property
    def circuit(self) -> str:
        """State of the circuit: "closed", "open" or "probing"."""
        return self.pace.state

    def __repr__(self) -> str:
        """Say which one it is and what it does."""
        return f"<Target {self.label} {self.state}>"

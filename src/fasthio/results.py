"""What a poll comes to: one `PollResult` for each poll that was due."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .targets import Target

__all__ = ["FAILURES", "OUTCOMES", "Latency", "PollResult"]

#: Every outcome, with what it says.
OUTCOMES: Final = {
    "ok": "a whole response, as expected",
    "unchanged": "304 to a conditional request: the body kept from before still holds",
    "unexpected": "a whole response, but not what was expected",
    "error": "no whole response",
    "timeout": "no whole response in time",
    "skipped": "due, but not begun",
    "cancelled": "begun, but ended before its time: target removed or poller closed",
}

#: Outcomes that count as failures of the target.
FAILURES: Final = frozenset(("unexpected", "error", "timeout"))


class Latency(NamedTuple):
    """Where the time of a poll went, in seconds since its request was handed over.

    With retries the parts are of the last attempt, counted from the first one's start.

    Attributes:
        connect: until the connection was made; None on one that was kept.
        first: until the first octet of the response came; None without one.
        total: until the end of the poll.
    """

    connect: float | None
    first: float | None
    total: float


_MISSING: Final = object()


class PollResult:
    """Tell how a poll went, or why it was not begun.

    Attributes:
        target: what was polled.
        outcome: key of `OUTCOMES`.
        reason: "" for success; else why not: "status-503", "expect", the code of
            an error as "refused" or "timeout-total", for a skipped poll "overlap",
            "concurrency", "connections", "opening", "resolving", "backpressure",
            "backoff", "circuit", "retry-after", "late", "removed" or "stopped".
        due: tyme the poll was due, in seconds.
        number: of the poll on its target, from 0; of the first one where `count` > 1.
        count: due polls that this result stands for; above 1 only for skipped ones.
        status: of the final response; None without one.
        phrase: the reason phrase that came with it.
        headers: its fields; None without one.
        body: its octets; with outcome "unchanged" those kept from before.
        events: server-sent events that came, in order.
        started: when the poll began, in seconds since the epoch; for a skipped one
            when that was settled.
        latency: where the time went, in seconds; None for a skipped poll.
        attempts: how often the request was sent or tried to be.
        octets: of the body that came over the network in the last attempt.
        redirects: redirects followed in the last attempt.
        error: what failed, in words; "" for nothing.
    """

    __slots__ = (
        "_connect",
        "_data",
        "_first",
        "_total",
        "attempts",
        "body",
        "count",
        "due",
        "error",
        "events",
        "headers",
        "number",
        "octets",
        "outcome",
        "phrase",
        "reason",
        "redirects",
        "started",
        "status",
        "target",
    )

    def __init__(
        self,
        target: Target,
        outcome: str,
        *,
        due: float,
        number: int,
        started: float,
        reason: str = "",
        count: int = 1,
        status: int | None = None,
        phrase: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | bytearray = b"",
        events: tuple[Mapping[str, Any], ...] = (),
        latency: Latency | None = None,
        attempts: int = 0,
        octets: int = 0,
        redirects: int = 0,
        error: str = "",
    ) -> None:
        self.target = target
        self.outcome = outcome
        self.reason = reason
        self.due = due
        self.number = number
        self.count = count
        self.status = status
        self.phrase = phrase
        self.headers = headers
        self.body = body
        self.events = events
        self.started = started
        self._connect: float | None = None
        self._first: float | None = None
        self._total: float | None = None
        if latency is not None:
            self.latency = latency
        self.attempts = attempts
        self.octets = octets
        self.redirects = redirects
        self.error = error
        self._data: Any = _MISSING

    @property
    def latency(self) -> Latency | None:
        """Where the time went; None for a skipped poll."""
        # made when it is asked for: one object less for each poll
        total = self._total
        return None if total is None else Latency(self._connect, self._first, total)

    @latency.setter
    def latency(self, latency: Latency | None) -> None:
        self._connect, self._first, self._total = (None, None, None) if latency is None else latency

    @property
    def url(self) -> str:
        """URL that was polled."""
        return self.target.url

    @property
    def label(self) -> str:
        """Label of the target."""
        return self.target.label

    @property
    def ok(self) -> bool:
        """True where the response was as expected, changed or not."""
        return self.outcome == "ok" or self.outcome == "unchanged"

    @property
    def failed(self) -> bool:
        """True where the poll counts as a failure of its target."""
        return self.outcome in FAILURES

    @property
    def data(self) -> Any:
        """Body decoded as JSON, at the first use; None where it is none."""
        if self._data is _MISSING:
            try:
                self._data = json.loads(self.body) if self.body else None
            except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
                self._data = None
        return self._data

    def as_dict(self) -> dict[str, Any]:
        """Give what a line of a results file holds: all but headers, body and events."""
        latency = self.latency
        return {
            "time": datetime.fromtimestamp(self.started, timezone.utc).isoformat(
                timespec="microseconds"
            ),
            "label": self.label,
            "url": self.url,
            "outcome": self.outcome,
            "reason": self.reason,
            "status": self.status,
            "latency": None if latency is None else latency.total,
            "connect": None if latency is None else latency.connect,
            "first": None if latency is None else latency.first,
            "attempts": self.attempts,
            "octets": self.octets,
            "events": len(self.events),
            "redirects": self.redirects,
            "number": self.number,
            "count": self.count,
            "due": self.due,
            "error": self.error,
        }

    def __repr__(self) -> str:
        """Say the essential in one line."""
        what = f" {self.status}" if self.status is not None else ""
        why = f" ({self.reason})" if self.reason else ""
        times = f" x{self.count}" if self.count != 1 else ""
        took = f" in {self.latency.total * 1e3:.2f} ms" if self.latency is not None else ""
        return f"<PollResult {self.label} #{self.number} {self.outcome}{what}{why}{times}{took}>"

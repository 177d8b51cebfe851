"""How a target that fails is polled less: backoff, circuit and Retry-After.

Pure rules over tyme: what they are told is what they know.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ["Backoff", "Circuit", "Pace", "retry_after"]

#: Digits of a delay that are read; more than that is longer than any program runs.
_DIGITS: Final = 12


@dataclass(frozen=True)
class Backoff:
    """Say how long to hold off after failures in a row.

    Args:
        factor: by which each further failure multiplies the time; 1.0 for no backoff.
        cap: longest time in seconds; never less than the target's own `every`.
        base: seconds after the first failure; None for the target's own `every`.
    Raises:
        ValueError: a number is out of its range.
    """

    factor: float = 2.0
    cap: float = 300.0
    base: float | None = None

    def __post_init__(self) -> None:
        if not 1.0 <= self.factor <= 1000.0:
            raise ValueError(f"backoff factor must be from 1 to 1000: {self.factor!r}")
        if not 0.0 < self.cap < math.inf:
            raise ValueError(f"backoff cap must be above 0 seconds and finite: {self.cap!r}")
        if self.base is not None and not 0.0 < self.base < math.inf:
            raise ValueError(f"backoff base must be above 0 seconds and finite: {self.base!r}")

    def hold(self, failures: int, every: float) -> float:
        """Give the time to the next poll.

        Args:
            failures: in a row so far, at least 1.
            every: the target's own interval in seconds.
        Returns:
            Seconds from the failure on.
        """
        base = every if self.base is None else self.base
        cap = max(self.cap, every)
        try:
            return float(min(cap, base * self.factor ** (failures - 1)))
        except OverflowError:  # of the power alone
            return cap


@dataclass(frozen=True)
class Circuit:
    """Say when a target is given up for a while, and probed.

    Args:
        failures: in a row that open the circuit; 0 for never.
        cooldown: seconds to the first probe.
        factor: by which each probe that fails multiplies the time to the next.
        cap: longest time between probes in seconds.
    Raises:
        ValueError: a number is out of its range.
    """

    failures: int = 5
    cooldown: float = 30.0
    factor: float = 2.0
    cap: float = 600.0

    def __post_init__(self) -> None:
        if self.failures < 0:
            raise ValueError(f"circuit failures must not be negative: {self.failures!r}")
        if not 0.0 < self.cooldown < math.inf:
            raise ValueError(f"circuit cooldown must be above 0 seconds: {self.cooldown!r}")
        if not 1.0 <= self.factor <= 1000.0:
            raise ValueError(f"circuit factor must be from 1 to 1000: {self.factor!r}")
        if not self.cooldown <= self.cap < math.inf:
            raise ValueError(f"circuit cap must be finite, at least the cooldown: {self.cap!r}")


class Pace:
    """Keep count of one target's failures, and say how long to hold off.

    Args:
        backoff: the rule for failures in a row.
        circuit: the rule for giving a target up.
    Attributes:
        backoff: how long to hold off after a failure.
        circuit: when to give the target up, and when to probe it.
        failures: in a row.
        state: "closed" while all is well enough, "open" while the target is given
            up, "probing" while one poll finds out whether it is back.
        opened: how often the circuit has opened.
    """

    __slots__ = ("_probes", "backoff", "circuit", "failures", "opened", "state")

    def __init__(self, backoff: Backoff, circuit: Circuit) -> None:
        """Begin without failures.

        Args:
            backoff: how long to hold off after failures.
            circuit: when to give up for a while.
        """
        self.backoff = backoff
        self.circuit = circuit
        self.failures = 0
        self.state = "closed"
        self.opened = 0
        self._probes = 0

    def begin(self) -> None:
        """Note that a poll begins: the first one on an open circuit is its probe."""
        if self.state == "open":
            self.state = "probing"

    def succeed(self) -> None:
        """Note a success: all is forgiven."""
        self.failures = 0
        self.state = "closed"
        self._probes = 0

    def fail(self, every: float) -> tuple[float, str]:
        """Note a failure.

        Args:
            every: the target's own interval in seconds.
        Returns:
            Seconds to hold off, and why: "backoff" or "circuit".
        """
        self.failures += 1
        hold = self.backoff.hold(self.failures, every)
        circuit = self.circuit
        if not circuit.failures or self.failures < circuit.failures:
            return hold, "backoff"
        if self.state == "probing":
            self._probes += 1
        elif self.state == "closed":
            self.opened += 1
            self._probes = 0
        self.state = "open"
        cooldown = Backoff(circuit.factor, circuit.cap, circuit.cooldown)
        return max(hold, cooldown.hold(self._probes + 1, circuit.cooldown)), "circuit"


def retry_after(value: str, now: float, date: str | None = None) -> float | None:
    """Read a Retry-After field (RFC 9110 10.2.3).

    Args:
        value: of the field: delay-seconds or HTTP-date.
        now: this machine's time in seconds since the epoch.
        date: of the response's Date field. An HTTP-date is taken relative to it
            where it can be read, so that a wrong clock on either side does not count.
    Returns:
        Seconds to wait, never negative; None for what is neither.
    """
    value = value.strip(" \t")
    if value.isascii() and value.isdigit():
        digits = value.lstrip("0") or "0"
        return float(digits[:_DIGITS]) if len(digits) <= _DIGITS else 10.0**_DIGITS
    when = _seconds(value)
    if when is None:
        return None
    base = _seconds(date.strip(" \t")) if date is not None else None
    return max(0.0, when - (now if base is None else base))


def _seconds(value: str) -> float | None:
    """Read an HTTP-date in any of its three forms (RFC 9110 5.6.7); None for no date."""
    try:
        when = parsedate_to_datetime(value)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)  # asctime has no zone: it is UTC
    return when.timestamp()

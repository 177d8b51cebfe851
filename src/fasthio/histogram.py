"""A histogram of latencies that keeps its precision over nine decades, in the manner of HDR.

Values are counted in buckets whose width grows with the value, so that the
relative error is bounded and memory is too. Histograms add up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

__all__ = ["Histogram"]

#: What one unit is worth: a microsecond.
UNIT: Final = 1e-6


class Histogram:
    """Count latencies.

    Attributes:
        count: values counted.
        total: their sum in seconds.
        least: the least of them in seconds, exact; `inf` where there is none.
        most: the greatest of them in seconds, exact; 0.0 where there is none.
    """

    __slots__ = ("_bits", "_buckets", "_half", "count", "least", "most", "total")

    def __init__(self, bits: int = 7) -> None:
        """Start empty.

        Args:
            bits: of precision; the relative error is at most 2**-bits, 0.8 % for 7.
        Raises:
            ValueError: `bits` is not from 1 to 20.
        """
        if not 1 <= bits <= 20:
            raise ValueError(f"bits must be from 1 to 20: {bits!r}")
        self._bits = bits
        self._half = 1 << bits
        # by bucket number; only buckets that were hit, so that an empty one costs little
        self._buckets: dict[int, int] = {}
        self.count = 0
        self.total = 0.0
        self.least = math.inf
        self.most = 0.0

    def add(self, seconds: float, count: int = 1) -> None:
        """Count a value.

        Args:
            seconds: 0 or more; a negative one, as a clock that was set back gives, is 0.
            count: how many such values.
        Raises:
            OverflowError, ValueError: infinite, or no number.
        """
        if seconds < 0.0:
            seconds = 0.0
        units = int(seconds * 1e6)
        # up to two halves each unit has its bucket; from there each doubling has one half of them
        shift = units.bit_length() - self._bits - 1
        number = units if shift <= 0 else (shift << self._bits) + (units >> shift)
        buckets = self._buckets
        buckets[number] = buckets.get(number, 0) + count
        self.count += count
        self.total += seconds * count
        if seconds < self.least:
            self.least = seconds
        if seconds > self.most:
            self.most = seconds

    def merge(self, other: Histogram) -> None:
        """Add all that another one counted.

        Raises:
            ValueError: the other one has another precision.
        """
        if other._bits != self._bits:
            raise ValueError(f"precision differs: {self._bits} and {other._bits} bits")
        for number, count in other._buckets.items():
            self._buckets[number] = self._buckets.get(number, 0) + count
        self.count += other.count
        self.total += other.total
        self.least = min(self.least, other.least)
        self.most = max(self.most, other.most)

    def clear(self) -> None:
        """Start again."""
        self._buckets.clear()
        self.count = 0
        self.total = 0.0
        self.least = math.inf
        self.most = 0.0

    def _top(self, number: int) -> float:
        """Give the upper end of a bucket in seconds."""
        shift = max(0, (number >> self._bits) - 1)
        return ((number - (shift << self._bits) + 1) << shift) * UNIT

    @property
    def mean(self) -> float | None:
        """Mean in seconds, exact; None where nothing was counted."""
        return self.total / self.count if self.count else None

    def percentile(self, share: float) -> float | None:
        """Give a value that this share of all values does not exceed.

        Args:
            share: 0 to 1; 0.95 for p95.
        Returns:
            Seconds: at least the nearest-rank percentile, above it by at most the
            relative error and a unit; None where nothing was counted.
        Raises:
            ValueError: `share` is not from 0 to 1.
        """
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"share must be from 0 to 1: {share!r}")
        if not self.count:
            return None
        rank = max(1, math.ceil(share * self.count))
        seen = 0
        for number in sorted(self._buckets):
            seen += self._buckets[number]
            if seen >= rank:
                return max(self.least, min(self.most, self._top(number)))
        raise AssertionError("buckets hold less than was counted")

    def percentiles(self, *shares: float) -> list[float | None]:
        """Give several percentiles; see `percentile`."""
        return [self.percentile(share) for share in shares]

    def __iter__(self) -> Iterator[tuple[float, int]]:
        """Go through the buckets that were hit: upper end in seconds, count."""
        for number in sorted(self._buckets):
            yield self._top(number), self._buckets[number]

    def cumulative(self, bounds: list[float]) -> list[int]:
        """Count the values up to each bound, as Prometheus wants it.

        Args:
            bounds: in seconds, ascending.
        Returns:
            For each bound the values in buckets that end at it or before.
        """
        counts, seen = [], 0
        pairs = list(self)
        at = 0
        for bound in bounds:
            while at < len(pairs) and pairs[at][0] <= bound:
                seen += pairs[at][1]
                at += 1
            counts.append(seen)
        return counts

    def summary(self) -> list[str]:
        """Write the distribution as HdrHistogram does: value, share, count, 1/(1-share).

        Returns:
            Lines of text; values in milliseconds.
        """
        lines = [
            f"{'Value (ms)':>14} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>16}",
            "",
        ]
        if self.count:
            for share in _steps(self.count):
                value = self.percentile(share)
                assert value is not None
                rank = sum(count for top, count in self if min(top, self.most) <= value)
                inverse = f"{1 / (1 - share):16.2f}" if share < 1.0 else f"{'inf':>16}"
                lines.append(f"{value * 1e3:14.3f} {share:14.6f} {rank:10d} {inverse}")
            lines.append("")
        mean = self.mean
        least = self.least if self.count else 0.0
        lines.append(
            f"#[Mean = {(mean or 0.0) * 1e3:.3f}, Min = {least * 1e3:.3f}, "
            f"Max = {self.most * 1e3:.3f}, Total count = {self.count}]"
        )
        return lines

    def as_dict(self) -> dict[str, Any]:
        """Give all that is counted as a JSON object has it; `of` takes it back."""
        return {
            "bits": self._bits,
            "count": self.count,
            "total": self.total,
            "least": self.least if self.count else None,
            "most": self.most,
            "buckets": {str(number): self._buckets[number] for number in sorted(self._buckets)},
        }

    @classmethod
    def of(cls, kept: dict[str, Any]) -> Histogram:
        """Make the histogram again that `as_dict` gave.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        self = cls(kept["bits"])
        self._buckets = {int(number): int(count) for number, count in kept["buckets"].items()}
        self.count = sum(self._buckets.values())
        if self.count != kept["count"] or any(count < 0 for count in self._buckets.values()):
            raise ValueError("count is not the sum of the buckets")
        self.total = float(kept["total"])
        self.least = math.inf if kept["least"] is None else float(kept["least"])
        self.most = float(kept["most"])
        return self


def _steps(count: int) -> Iterator[float]:
    """Give shares that come ever closer to 1, two to each halving of the rest."""
    yield 0.0
    rest = 1.0
    while rest * count >= 0.5:
        yield 1.0 - rest * 0.75
        rest /= 2
        yield 1.0 - rest
    yield 1.0

"""The account of a fleet: which polls were due, which are accounted for, and which twice.

A poll's key is its target's label and the tyme it was due; along the target's grid
that is its number. For each target the ledger knows up to which number all is
accounted for, and the gaps before that: what a lost worker leaves behind.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from .histogram import Histogram
from .scheduling import Grid
from .targets import TargetSpec, parse_url

if TYPE_CHECKING:
    from .results import PollResult

__all__ = ["Figures", "Held", "Share"]

#: A failing target: next number, why those before it are left out, when the next one
#: is due, and the state of its pace.
Held = tuple[int, str, float, "tuple[int, str, int, int]"]


class Share:
    """One target of a fleet.

    Attributes:
        id: of the target within the fleet.
        spec: its options.
        url: what is polled.
        label: its name, once in a fleet: with the due tyme the key of a poll.
        origin: where its requests go.
        phase: tyme of poll 0, in seconds.
        worker: name of the worker that polls it; None while none does.
        expected: number of the first poll that is not accounted for.
        gaps: polls before that which are not: first number, and the number after the last.
        removed: tyme at which it was removed; None while it is there.
    """

    __slots__ = (
        "expected",
        "gaps",
        "held",
        "id",
        "label",
        "moving",
        "origin",
        "phase",
        "removed",
        "spec",
        "url",
        "why",
        "worker",
    )

    def __init__(self, number: int, spec: TargetSpec, phase: float) -> None:
        """Begin its account.

        Args:
            number: its id.
            spec: what to poll and how.
            phase: tyme of poll 0, in seconds.
        """
        self.id = number
        self.spec = spec
        self.url = spec.url
        self.label = spec.label if spec.label is not None else spec.url
        self.origin = parse_url(spec.url)[0]
        self.phase = phase
        self.worker: str | None = None
        self.expected = 0
        self.gaps: list[tuple[int, int]] = []
        self.held: Held | None = None
        self.moving = False  # its worker was told to let it go
        self.why = "moved"  # what polls are called that nobody made meanwhile
        self.removed: float | None = None

    def __repr__(self) -> str:
        """Say which one it is, and no more: options may hold secrets."""
        return f"<Share {self.label} of {self.worker}>"

    @property
    def live(self) -> bool:
        """True while polls of it are to come."""
        if self.removed is not None:
            return False
        count = self.spec.count
        return count is None or self.expected < count or bool(self.gaps)

    def account(self, first: int, count: int) -> int:
        """Take polls into account.

        Args:
            first: number of the first one.
            count: how many polls in a row.
        Returns:
            How many of them were accounted for before: doubles.
        """
        end = first + count
        if first == self.expected:  # the usual case
            self.expected = end
            return 0
        doubles = 0
        if first > self.expected:
            self.gaps.append((self.expected, first))
        else:
            doubles = min(end, self.expected) - first
            rest = []
            for low, high in self.gaps:
                fills = min(high, end) - max(low, first)
                if fills <= 0:
                    rest.append((low, high))
                    continue
                doubles -= fills
                if low < first:
                    rest.append((low, first))
                if end < high:
                    rest.append((end, high))
            self.gaps = rest
        self.expected = max(self.expected, end)
        return doubles

    def due(self, tyme: float) -> int:
        """Give the number of the last poll that is due at a tyme; -1 before the first one.

        Args:
            tyme: in seconds.
        """
        if self.spec.every > 0.0:
            last = Grid(self.phase, self.spec.every).number(tyme)
        else:  # due when the one before has ended
            last = self.expected if tyme >= self.phase else -1
        if self.spec.count is not None:
            last = min(last, self.spec.count - 1)
        return last

    def due_tyme(self, number: int) -> float:
        """Give the tyme a poll is due, in seconds.

        Args:
            number: of the poll.
        """
        return self.phase + number * self.spec.every

    def missing(self, tyme: float) -> list[tuple[int, int]]:
        """Give what was due up to a tyme and is not accounted for.

        Args:
            tyme: in seconds.
        Returns:
            First number, and the number after the last, of each row of polls.
        """
        missing = list(self.gaps)
        last = self.due(tyme)
        if last >= self.expected:
            missing.append((self.expected, last + 1))
        return missing


class Figures:
    """Counts and latencies that add up.

    Attributes:
        requests: polls that were begun and have ended.
        outcomes: due polls by outcome.
        skipped: due polls that were not begun, by reason.
        failures: how many failed, by reason.
        octets: of all bodies.
        events: server-sent events.
        latencies: of polls that had a whole response.
    """

    __slots__ = ("events", "failures", "latencies", "octets", "outcomes", "requests", "skipped")

    def __init__(self) -> None:
        self.requests = 0
        self.outcomes: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.octets = 0
        self.events = 0
        self.latencies = Histogram()

    def __getstate__(self) -> tuple[Any, ...]:
        """Give what goes to another process."""
        return (
            self.requests,
            dict(self.outcomes),
            dict(self.skipped),
            dict(self.failures),
            self.octets,
            self.events,
            self.latencies.as_dict(),
        )

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take what came from another process."""
        self.requests = state[0]
        self.outcomes, self.skipped, self.failures = map(Counter, state[1:4])
        self.octets, self.events = state[4:6]
        self.latencies = Histogram.of(state[6])

    def add(self, result: PollResult) -> None:
        """Count one result."""
        outcome = result.outcome
        self.outcomes[outcome] += result.count
        if outcome == "skipped":
            self.skipped[result.reason] += result.count
            return
        self.requests += 1
        self.octets += result.octets
        self.events += len(result.events)
        if result.failed:
            self.failures[result.reason] += 1
        if result.latency is not None and outcome in ("ok", "unchanged", "unexpected"):
            self.latencies.add(result.latency.total)

    def merge(self, other: Figures) -> None:
        """Add what another one counted."""
        self.requests += other.requests
        self.outcomes.update(other.outcomes)
        self.skipped.update(other.skipped)
        self.failures.update(other.failures)
        self.octets += other.octets
        self.events += other.events
        self.latencies.merge(other.latencies)

    @property
    def due(self) -> int:
        """Due polls, each counted as often as it has a result."""
        return sum(self.outcomes.values())

    @property
    def failed(self) -> int:
        """Polls that failed."""
        return sum(self.failures.values())

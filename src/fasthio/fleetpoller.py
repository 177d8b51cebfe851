"""A poller whose targets come from other pollers and go to others: place and let go.

All pollers of a fleet go by one tyme, so that a target's grid is the same wherever
it is polled, and a poll has the same key.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from .polling import Poller
from .scheduling import Grid
from .targets import Target, TargetSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from .fleetledger import Held

__all__ = ["FleetClock", "FleetPoller", "FleetTarget"]

#: Part by which the tyme may run faster or slower while it is put right.
SLEW: Final = 0.0005
#: Seconds for which the best sight of the coordinator's tyme counts.
WINDOW: Final = 300.0


class FleetClock:
    """Give the coordinator's tyme on this machine.

    The monotonic clock plus an offset. A message that says when it was sent shows
    the offset, less the time it took: the greatest of many is the best. The offset
    follows it slowly, so that clocks which drift apart do not pull the fleet apart.
    """

    def __init__(self, ahead: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin.

        Args:
            ahead: the coordinator's tyme less this machine's clock, in seconds.
            clock: of this machine, in seconds.
        """
        self.offset = ahead
        self._clock = clock
        self._best = self._last = -float("inf")  # of this window, and of the one before
        self._since = self._seen = clock()

    def __call__(self) -> float:
        """Give the tyme in seconds."""
        return self._clock() + self.offset

    def observe(self, sent: float) -> None:
        """Take in when a message was sent that has just come.

        Args:
            sent: the coordinator's tyme, in seconds.
        """
        now = self._clock()
        if now - self._since > WINDOW:
            self._last, self._best, self._since = self._best, -float("inf"), now
        self._best = max(self._best, sent - now)
        most = SLEW * (now - self._seen)
        self._seen = now
        self.offset += max(-most, min(most, max(self._best, self._last) - self.offset))


class FleetTarget(Target):
    """A target of a worker.

    Attributes:
        share: its id in the fleet.
        told: the coordinator knows that it is held off.
    """

    __slots__ = ("share", "told")

    def __init__(self, spec: TargetSpec, share: int) -> None:
        """Take it.

        Args:
            spec: what to poll and how.
            share: its id in the fleet.
        """
        super().__init__(spec)
        self.share = share
        self.told = False

    @property
    def held(self) -> Held | None:
        """What another poller has to know to go on; None where all is well."""
        pace = self.pace
        if not pace.failures and not self._hold:
            return None
        due = self._entry[0] if self._entry is not None else 0.0
        state = (pace.failures, pace.state, pace.opened, pace._probes)
        return (self._next, self._hold, due, state)


class FleetPoller(Poller):
    """A poller that takes targets over in the middle of their grid."""

    def __init__(self, **options: Any) -> None:
        """Set up.

        Args:
            options: as for `Poller`; `tymth` is the fleet's tyme.
        """
        super().__init__(**options)
        self._leaving: set[FleetTarget] = set()  # with a poll under way

    def place(
        self,
        spec: TargetSpec,
        share: int,
        phase: float,
        number: int,
        held: Held | None = None,
        gaps: tuple[tuple[int, int], ...] = (),
        why: str = "moved",
    ) -> FleetTarget:
        """Take a target over.

        The latest poll that is due and not accounted for is begun at once; those
        before it are told as skipped.

        Args:
            spec: what to poll and how.
            share: its id in the fleet.
            phase: tyme of poll 0, in seconds.
            number: of the first poll that is not accounted for.
            held: what is known of a target that fails.
            gaps: polls before `number` that are not accounted for: the number of the
                first one, and that after the last.
            why: reason of what nobody polled.
        Returns:
            The target.
        """
        target = FleetTarget(spec, share)
        if spec.every > 0.0:
            target._grid = Grid(phase, spec.every)
        now = self._now()
        self._targets[target] = None
        self._live += 1
        self._ever = True
        for first, end in gaps:
            target._number = first - 1
            self._skip(target, end - 1, why, now)
        target._number = number - 1
        following, hold, due = number, "", phase
        if held is not None:
            following, hold, due, state = held
            pace = target.pace
            pace.failures, pace.state, pace.opened, pace._probes = state
            if pace.state == "probing":  # nobody knows what came of it
                pace.state = "open"
            target.told = True
        if target._grid is None:
            self._go_on(target, number, max(phase, due), now)
        else:
            self._go_on_along(target._grid, target, number, following, hold, why, now)
        return target

    def _go_on(self, target: FleetTarget, number: int, due: float, now: float) -> None:
        """Go on with a target without a grid, whose poll of a number is due at a tyme."""
        count = target.spec.count
        done = count is not None and number >= count
        if not (self._stopping or done):
            self._schedule(target, number, max(now, due))
            return
        if not done and now >= due:
            self._skip(target, number, "stopped", now)
        self._end(target)

    def _go_on_along(
        self,
        grid: Grid,
        target: FleetTarget,
        number: int,
        following: int,
        hold: str,
        why: str,
        now: float,
    ) -> None:
        """Go on with a target along its grid; see `place`.

        Args:
            grid: of the target.
            target: accounted for up to the poll before `number`.
            number: of the first poll that is not accounted for.
            following: number of the poll up to which it is held off.
            hold: why it is; "" where it is not.
            why: reason of what nobody polled.
            now: tyme, in seconds.
        """
        last = grid.number(now)
        if target.spec.count is not None:
            last = min(last, target.spec.count - 1)
        if hold and following > number:
            if following > last and not self._stopping:
                target._hold = hold  # what it leaves out is told when it is polled again
                self._follow(target, following, now)
                return
            self._skip(target, min(following - 1, last), hold, now)
        if self._stopping:
            self._skip(target, last, why, now)
            self._end(target)
            return
        start = max(number, target._number + 1, last)
        self._skip(target, start - 1, why, now)
        self._follow(target, start, now)

    def let_go(self, target: FleetTarget) -> None:
        """Begin no poll of a target any more and settle nothing: another poller does.

        A poll under way goes on to its end; then `gone` gives the target.

        Args:
            target: one of this poller's.
        """
        target.paused = True
        self._retire(target, "")  # settles nothing of a target that is paused
        self._leaving.add(target)

    def gone(self) -> list[FleetTarget]:
        """Give the targets that were let go and have no poll under way, each once.

        Returns:
            Targets whose `number` is that of the first poll that is not accounted for.
        """
        gone = [target for target in self._leaving if target._flight is None]
        for target in gone:
            self._leaving.discard(target)
            self._targets.pop(target, None)
            self._end(target)
            target.state = "removed"
        return gone

    @property
    def owing(self) -> bool:
        """True while results wait, to be taken or for room."""
        return bool(self.results or self._owed)


def first_open(target: FleetTarget) -> int:
    """Give the number of the first poll of a target that is not accounted for.

    Args:
        target: that was let go.
    """
    return target._number + 1

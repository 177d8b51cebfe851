"""Which poll begins when: the schedule, the waiting rooms, and the account of what was due.

Every poll that is due by a target's grid gets exactly one result, or is counted
in one that says why it was skipped. Numbers tell: a target's polls are numbered
along its grid, and `_number` is the last one accounted for or under way.
"""

from __future__ import annotations

import logging
import math
import random
from collections import Counter, OrderedDict, deque
from typing import TYPE_CHECKING, Final

from hio.base import tyming

from .admitting import Admission
from .errors import ResolutionError
from .judging import asked_wait
from .lines import Flight, Line, Lines
from .results import FAILURES, PollResult
from .scheduling import FOREVER, Schedule

if TYPE_CHECKING:
    from collections.abc import Callable

    from .lookup import Lookup
    from .resolving import Address
    from .targets import Target

__all__ = ["Dispatcher"]

#: Not hio's ogler, which keeps warnings to itself unless a program asks for them.
logger = logging.getLogger("fasthio.polling")

#: Least results that a backlog must hold.
BACKLOG_LEAST: Final = 4
#: Seconds in which stalls are logged once: where results come in bursts there are many.
SILENCE: Final = 60.0
#: Part of the backlog below which polls go on once it was full.
RESUME: Final = 0.75


class Dispatcher(tyming.Tymee):  # type: ignore[misc]  # hio has no types
    """Decide which poll begins when; how it is done is a subclass's."""

    results: deque[PollResult]
    counts: Counter[str]

    def __init__(
        self,
        *,
        tymth: Callable[[], float] | None,
        clock: Callable[[], float],
        wall: Callable[[], float],
        concurrency: int,
        each: int | None,
        connections: int,
        openings: float,
        backlog: int,
        longest: float,
        seed: int | None,
    ) -> None:
        """Set up; see `Poller` for what the arguments mean.

        Args:
            tymth: gives the tyme, None for the clock.
            clock: gives the time in seconds.
            wall: gives the seconds since the epoch.
            concurrency: polls under way at most.
            each: connections of an origin, None for one for each target.
            connections: open at most.
            openings: connections opened per second at most.
            backlog: results that may wait.
            longest: seconds for which Retry-After is obeyed at most.
            seed: of the jitter.
        Raises:
            ValueError: an argument is out of its range.
        """
        super().__init__(tymth=tymth)
        if backlog < BACKLOG_LEAST:
            raise ValueError(f"backlog must be at least {BACKLOG_LEAST}: {backlog!r}")
        if not 0.0 < openings < math.inf:
            raise ValueError(f"openings must be above 0 per second: {openings!r}")
        if connections < 1:
            raise ValueError(f"connections must be at least 1: {connections!r}")
        if not 0.0 <= longest < math.inf:
            raise ValueError(f"longest_retry_after must be 0 seconds or more: {longest!r}")
        self._clock = clock
        self._wall = wall
        self._start = clock()  # of the tyme while there is no tymth
        self._shift = 0.0  # what is to be added to `tyme` to get the tyme kept here

        self.results = deque()
        self.counts = Counter()
        self.begun = 0
        self.stalled = False
        self.stalls = 0
        self._came = 0  # results so far
        self._owed: deque[PollResult] = deque()  # of skipped polls, until there is room
        # result being told, with the count of its outcome before; None between
        self._telling: tuple[PollResult, int] | None = None
        self._unsound = False  # an exception, as of Ctrl-C, has left something half done
        self._broken: list[Line] = []  # lines that were being handled then
        self._backlog = backlog

        self._targets: dict[Target, None] = {}
        self._live = 0  # targets that are not done
        self._dues: Schedule[Target] = Schedule()
        self._timers: Schedule[Target] = Schedule()
        # tymes before which there is nothing to do: in all, in `_dues` and in `_timers`
        self._wake = self._next_due = self._next_timer = FOREVER
        self._stirred = False  # something is to be done at once
        self._stall_end = -FOREVER
        self._next_word = -FOREVER  # clock before which a stall is not logged again
        self._stopping = False
        self._flying = 0
        self._longest = longest
        self._random = random.Random(seed)

        self._admission: Admission[Target] = Admission(min(concurrency, connections), each)
        self._lines = Lines(connections, shared=each is not None)
        self._openings = openings
        self._burst = max(1.0, openings / 16)
        self._tokens = self._burst  # connections that may be opened at once
        self._filled = math.inf  # tyme they were last counted; none so far
        self._opening: OrderedDict[Target, None] = OrderedDict()  # targets that wait for one
        self._resolving: dict[tuple[str, int], dict[Target, None]] = {}
        self._lookup: Lookup | None = None

    # of a subclass

    def _attempt(self, flight: Flight, now: float) -> None:
        """Send the request of a poll."""
        raise NotImplementedError

    def _ring(self, flight: Flight, now: float) -> None:
        """See what is to be done about a poll whose timer has rung."""
        raise NotImplementedError

    def _cancel(self, flight: Flight, reason: str) -> None:
        """End a poll before its time."""
        raise NotImplementedError

    def _unreached(self, target: Target, outcome: str, reason: str, error: str, now: float) -> None:
        """End a poll that got no further than the look-up of its host."""
        raise NotImplementedError

    # tyme

    @property
    def tyme(self) -> float:
        """Tyme in seconds, of the clock since the start where no tymth was injected."""
        tymth = self._tymth
        return float(tymth()) if tymth is not None else self._clock() - self._start

    def wind(self, tymth: Callable[[], float]) -> None:
        """Inject the tyme of another tymist; what is under way goes on from it."""
        before = self.tyme + self._shift
        super().wind(tymth)
        self._shift = before - self.tyme

    def _now(self) -> float:
        """Give the tyme that all schedules here go by; it goes on when `tyme` is wound anew."""
        tymth = self._tymth
        if tymth is None:
            return self._clock() - self._start + self._shift
        return float(tymth()) + self._shift

    # the schedule

    def _schedule(self, target: Target, number: int, due: float) -> None:
        """Let a target's next poll fall due."""
        target._next = number
        target._entry = self._dues.put(target, due)
        target.state = "waiting"
        if due < self._next_due:
            self._next_due = due
            if due < self._wake:
                self._wake = due

    def _follow(self, target: Target, number: int, now: float) -> None:
        """Schedule the poll of a number, or what comes when there is none."""
        spec = target.spec
        grid = target._grid
        if spec.count is not None and number >= spec.count:
            if grid is None or target._number >= spec.count - 1:
                self._end(target)
                return
            # held off beyond its last poll: the rest is settled when that would be due
            self._schedule(target, number, max(now, grid.tyme(spec.count - 1)))
            return
        due = now if grid is None else grid.tyme(number)
        if spec.jitter:
            due += self._random.random() * spec.jitter
        self._schedule(target, number, due)

    def _end(self, target: Target) -> None:
        """Be done with a target."""
        if target.state in ("done", "removed"):
            return
        target.state = "done"
        self._live -= 1
        line = target._line
        if line is not None:
            target._line = None
            self._lines.hang_up(line)

    def _turn(self, now: float) -> None:
        """Do what is due by tyme."""
        self._stirred = False
        if self._next_timer <= now:
            for target, _ in self._timers.take(now):
                target._timer = None
                if target._flight is not None:
                    self._ring(target._flight, now)
                elif target._place == "resolving":
                    self._unresolved(target, now)
            self._next_timer = self._timers.next
        lookup = self._lookup
        if lookup is not None and lookup.pending:
            self._resolved(lookup, now)
        if self._owed:
            self._pay()
        if not self._stopping:
            if self._room():
                if self.stalled:
                    self._stall(False, now)
                if self._next_due <= now:
                    self._take_dues(now)
                if self._opening:
                    self._open_some(now)
                if self._admission.queued:
                    self._admit(now)
            elif self._next_due <= now or self._admission.queued or self._opening:
                self._stall(True, now)
        # when the next turn must be
        wake = self._next_timer
        if not self.stalled:
            if self._next_due < wake:
                wake = self._next_due
            if self._opening:
                wake = min(wake, now + max(0.0, 1.0 - self._tokens) / self._openings)
        self._wake = wake

    def _take_dues(self, now: float) -> None:
        """Let all that is due begin, or wait for what it needs."""
        taken = self._dues.take(now)
        self._next_due = self._dues.next  # what follows may make it earlier
        for target, due in taken:
            entry = target._entry
            if entry is None or entry[2] is not None:
                continue  # an `expect` has ended it meanwhile, or put it off
            target._entry = None
            self._fall_due(target, due, now)

    def _room(self) -> bool:
        """Tell whether the backlog has room; once it was full, for more than a few results."""
        if self._owed:
            return False
        used = len(self.results) + self._flying
        return used < (self._backlog * RESUME if self.stalled else self._backlog)

    def _stall(self, stalled: bool, now: float) -> None:
        if stalled == self.stalled:
            return
        self.stalled = stalled
        if stalled:
            self.stalls += 1
            clock = self._clock()
            if clock >= self._next_word:
                self._next_word = clock + SILENCE
                logger.warning(
                    "poller: %d results wait to be taken, %d polls are under way, none is begun"
                    " (%d times so far)",
                    len(self.results),
                    self._flying,
                    self.stalls,
                )
        else:
            self._stall_end = now
            logger.info("poller: results are being taken, polls go on")

    # from due to begun

    def _fall_due(self, target: Target, due: float, now: float) -> None:
        """Let a due poll wait for what it needs; which one it is is settled when it begins."""
        spec = target.spec
        if spec.count is not None and target._next >= spec.count:
            self._skip(target, spec.count - 1, target._hold, now)
            self._end(target)
            return
        grid = target._grid
        if grid is not None and grid.number(now) > target._next:
            target._late = "backpressure" if due <= self._stall_end else "late"
        else:
            target._late = ""
        if not self._lines.at_hand(target):
            target.state = "queued"
            self._seek(target, now)
            return
        target._suspect = suspect = target.pace.failures > 0
        # the usual case: nobody waits, and nothing else need be asked
        if (
            not self._owed
            and len(self.results) + self._flying < self._backlog
            and self._admission.enter(target.origin, suspect)
        ):
            self._begin(target, now)
        else:
            target.state = "queued"
            self._join(target, now)

    def _seek(self, target: Target, now: float) -> None:
        """Let a target that needs a connection wait for an address, and for its turn."""
        try:
            addresses = self._addresses(target, now)
        except ResolutionError as error:
            self._unreached(target, "error", "unresolved", str(error), now)
            return
        if addresses is not None:
            self._join_opening(target, now)
            return
        target._place = "resolving"
        name = (target.origin.host, target.origin.port)
        self._resolving.setdefault(name, {})[target] = None
        self._disarm(target)  # of the last poll, and so too early
        self._arm(target, now + target.spec.timeout)

    def _addresses(self, target: Target, now: float) -> tuple[Address, ...] | None:
        lookup = self._lookup
        assert lookup is not None
        return lookup.find(target.origin.host, target.origin.port, now)

    def _resolved(self, lookup: Lookup, now: float) -> None:
        """Let targets go on whose hosts have been looked up."""
        for answer in lookup.collect(now):
            for target in self._resolving.pop(answer.name, ()):
                self._disarm(target)
                if answer.error is None:
                    self._join_opening(target, now)
                else:
                    self._unreached(target, "error", "unresolved", str(answer.error), now)

    def _unresolved(self, target: Target, now: float) -> None:
        """End a poll whose host was not found in time."""
        self._leave_resolving(target)
        text = f"host was not found within {target.spec.timeout:g} s"
        self._unreached(target, "timeout", "timeout-connect", text, now)

    def _leave_resolving(self, target: Target) -> None:
        name = (target.origin.host, target.origin.port)
        waiting = self._resolving.get(name, {})
        waiting.pop(target, None)
        if not waiting:
            self._resolving.pop(name, None)

    def _open_some(self, now: float) -> None:
        """Let targets that need a connection go on as `openings` allows."""
        tokens = self._tokens + max(0.0, now - self._filled) * self._openings
        self._tokens = min(self._burst, tokens)
        self._filled = now
        # a whole one, but for what adding up has lost
        while self._opening and self._tokens >= 1.0 - 1e-9:
            self._tokens -= 1.0
            self._join(self._opening.popitem(last=False)[0], now)

    def _join_opening(self, target: Target, now: float) -> None:
        self._move(target, "opening", now)
        self._opening[target] = None

    def _join(self, target: Target, now: float) -> None:
        self._move(target, "admission", now)
        target._suspect = target.pace.failures > 0
        self._admission.join(target, target.origin, target._suspect)

    def _move(self, target: Target, place: str, now: float) -> None:
        """Note where a target waits; and, if that has cost it a poll, where it waited before."""
        grid = target._grid
        if target._place and not target._late and grid is not None:
            if grid.number(now) > target._next:
                target._late = target._place
        target._place = place

    def _admit(self, now: float) -> None:
        """Begin polls as places allow."""
        admission = self._admission
        while len(self.results) + self._flying < self._backlog and not self._owed:
            target = admission.admit()
            if target is None:
                return
            self._begin(target, now)
        if admission.queued:
            self._stall(True, now)

    def _begin(self, target: Target, now: float) -> None:
        flight = self._take_off(target, now)
        flight.admitted = True
        flight.suspect = target._suspect
        self._attempt(flight, now)

    def _take_off(self, target: Target, now: float) -> Flight:
        """Settle which poll this is, and what was left out before it."""
        grid = target._grid
        number = target._next
        due = now
        # first of all: its result has its place before those of skipped polls
        self._flying += 1
        self.begun += 1
        if grid is not None:
            reached = grid.number(now)
            if reached > number:
                number = reached
                if target.spec.count is not None and number >= target.spec.count:
                    number = target.spec.count - 1
            due = grid.phase + number * grid.every
            if number > target._number + 1:
                self._skip(target, target._next - 1, target._hold or "late", now)
                why = target._place if target._place == "resolving" else ""
                why = target._late or why or self._admission.why(target.origin)
                self._skip(target, number - 1, why, now)
        flight = Flight(target, number, due - self._shift)
        flight.started = self._wall()
        flight.began = self._clock()
        flight.deadline = now + target.spec.timeout
        target._flight = flight  # before its number is accounted for: `_mend` sees to it
        target._number = number
        target._hold = target._place = ""
        target.state = "polling"
        target.polls += 1
        if target.pace.state != "closed":
            target.pace.begin()
        return flight

    # what was not begun

    def _skip(self, target: Target, last: int, reason: str, now: float) -> None:
        """Record the due polls up to a number as skipped."""
        first = target._number + 1
        if last < first:
            return
        grid = target._grid
        due = (grid.tyme(first) if grid is not None else now) - self._shift
        result = PollResult(
            target,
            "skipped",
            reason=reason,
            due=due,
            number=first,
            count=last - first + 1,
            started=self._wall(),
        )
        self._owed.append(result)
        target._number = last  # after it is owed: `_note_break` makes up for that
        self._pay()

    def _pay(self) -> None:
        """Deliver results of skipped polls as there is room."""
        while self._payable():
            self._tell(self._owed[0])
            self._owed.popleft()

    def _payable(self) -> bool:
        """Tell whether a result of skipped polls is owed, and there is room for it."""
        return bool(self._owed) and len(self.results) + self._flying < self._backlog

    def _tell(self, result: PollResult) -> None:
        """Put a result out, in steps that `_note_break` can bring to their end."""
        self._telling = (result, self.counts[result.outcome])
        if result.outcome != "skipped":
            result.target._flight = None
        self.results.append(result)
        self.counts[result.outcome] += result.count
        self._telling = None
        self._came += 1

    def _retire(self, target: Target, reason: str) -> None:
        """Let nothing more of a target fall due; settle what was due up to now."""
        # the account first, which does no harm when it is done again
        if not (target.paused or target.state in ("done", "removed")):
            self._settle(target, reason)
        entry, target._entry = target._entry, None
        place, target._place = target._place, ""
        if entry is not None:
            self._dues.cancel(entry)
        if place == "admission":
            self._admission.drop(target, target.origin)
        elif place == "opening":
            self._opening.pop(target, None)  # or taken out by what was interrupted
        elif place == "resolving":
            self._leave_resolving(target)
            self._disarm(target)

    def _settle(self, target: Target, reason: str) -> None:
        """Account for what was due of a target up to now."""
        now = self._now()
        grid = target._grid
        if grid is not None:
            last = grid.number(now)
        else:
            # without a grid a poll is due when it waits, or when its tyme has come
            entry = target._entry
            due = target._place or (entry is not None and entry[0] <= now)
            last = target._next if due else target._number
        if target.spec.count is not None:
            last = min(last, target.spec.count - 1)
        if target._flight is not None:
            self._skip(target, last, "overlap", now)
            return
        self._skip(target, min(last, target._next - 1), target._hold or "late", now)
        self._skip(target, last, reason, now)
        target._hold = ""

    # what comes after a poll

    def _pursue(self, flight: Flight, result: PollResult, direct: bool) -> None:
        """Settle what was due during a poll that has ended, and schedule the next one."""
        target = flight.target
        spec = target.spec
        pace = target.pace
        grid = target._grid
        now = self._now()
        outcome = result.outcome
        hold, why = 0.0, ""
        if outcome in FAILURES:
            hold, why = pace.fail(spec.every)
        elif pace.failures and outcome != "cancelled":
            pace.succeed()
        if outcome == "cancelled":
            return
        if grid is not None and not (target.paused or self._stopping):
            passed = grid.number(now)
            if passed > target._number:
                if spec.count is not None:
                    passed = min(passed, spec.count - 1)
                self._skip(target, passed, "overlap", now)
        if self._stopping:
            self._end(target)
            return
        if target.paused:
            target.state = "paused"
            return
        following = target._number + 1
        wait = 0.0
        if why:
            wait = asked_wait(result, self._wall(), self._longest)
        if grid is None:
            if spec.count is not None and following >= spec.count:
                self._end(target)
                return
            target._hold = why
            if direct and not (why or self._opening or self.stalled) and self._next_due > now:
                target._next = following  # nobody is before it: at once
                self._fall_due(target, now, now)
                if target._place:
                    self._stirred = True  # no tyme tells that it waits: results fill the backlog
            else:
                self._schedule(target, following, now + max(hold, wait))
            return
        if hold or wait:
            until = (now if why == "circuit" else grid.tyme(flight.number)) + hold
            if now + wait > until:
                until, why = now + wait, "retry-after"
            # a hair less, as sums of intervals do not hit the grid to the last bit
            following = max(following, grid.after(until - spec.every * 1e-9))
        target._hold = why
        self._follow(target, following, now)

    # timers

    def _arm(self, target: Target, tyme: float) -> None:
        """See to it that a target's timer rings at a tyme, or before: then it is set again."""
        entry = target._timer
        if entry is not None:
            if entry[0] <= tyme:
                return
            self._timers.cancel(entry)
        target._timer = self._timers.put(target, tyme)
        if tyme < self._next_timer:
            self._next_timer = tyme
            if tyme < self._wake:
                self._wake = tyme

    def _disarm(self, target: Target) -> None:
        if target._timer is not None:
            self._timers.cancel(target._timer)
            target._timer = None

"""After an exception that may have come anywhere, as of Ctrl-C: all polls accounted for again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .admitting import Admission
from .dispatching import Dispatcher
from .scheduling import FOREVER, Schedule

if TYPE_CHECKING:
    from .lines import Flight
    from .targets import Target

__all__ = ["Mender"]


class Mender(Dispatcher):
    """The part of a poller that makes it whole after an interrupt."""

    def _note_break(self) -> None:
        """Bring to its end what was told halfway; the rest is for `_mend`.

        Called at once, while what was told last is still the last of `results`.
        """
        self._unsound = True
        results, owed = self.results, self._owed
        if self._telling is not None:
            result, before = self._telling
            if not results or results[-1] is not result:
                results.append(result)
            if self.counts[result.outcome] == before:
                self.counts[result.outcome] += result.count
            if result.outcome != "skipped":
                result.target._flight = None
            self._telling = None
        if owed and results and owed[0] is results[-1]:
            owed.popleft()
        if owed:
            last = owed[-1]
            last.target._number = max(last.target._number, last.number + last.count - 1)

    def _mend(self) -> None:
        """Make everything whole after an exception that may have come anywhere.

        Schedules and waiting rooms are built anew. What was waiting for its turn is
        due again at once; a poll that nothing carries or would end is cancelled.
        """
        now = self._now()
        lines = self._lines
        flights: list[Flight] = []
        dues: list[tuple[float, Target]] = []
        for target in self._targets:
            flight = target._flight
            if flight is not None:
                target._number = max(target._number, flight.number)
                target._place = ""
                flights.append(flight)
                target._entry = None
            elif target._place:
                dues.append((now, target))
            elif target._entry is not None:
                dues.append((target._entry[0], target))
        self._live = sum(target.state not in ("done", "removed") for target in self._targets)
        self._flying = len(flights)
        carried = [flight for flight in flights if flight.line is not None]
        lines.mend(flights, [target._line for target in self._targets], self._broken)
        self._broken = []
        for flight in carried:
            if flight.line is None:  # its request may have gone out: it is not sent again
                flight.retry_at = FOREVER
        # whoever is in is so by its flight alone, whoever waits by its entry
        admission: Admission[Target] = Admission(self._admission.places, self._admission.each)
        self._admission = admission
        for flight in flights:
            flight.admitted = admission.enter(flight.target.origin, flight.suspect)
            flight.target.state = "polling"
        self._opening.clear()
        self._resolving.clear()
        self._dues, self._timers = Schedule(), Schedule()
        self._next_due = self._next_timer = FOREVER
        for target in self._targets:
            target._timer = None
            target._place = ""
        dues.sort(key=lambda each: each[0])
        for due, target in dues:
            if target.state in ("done", "removed") or target.paused:
                target._entry = None
            else:
                self._schedule(target, max(target._next, target._number + 1), due)
        for flight in flights:
            waits = flight.line is None and flight.retry_at < FOREVER
            if waits or flight.line is not None:
                self._arm(flight.target, flight.wake)
            else:
                self._cancel(flight, "interrupted")
        for target in list(self._targets):
            if target.state in ("done", "removed") or target._flight is not None:
                continue
            if self._stopping:
                self._retire(target, "stopped")
                self._end(target)
            elif target.paused:
                target.state = "paused"
            elif target._entry is None:
                self._follow(target, max(target._next, target._number + 1), now)
        self._stirred = True
        self._unsound = False

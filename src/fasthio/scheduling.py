"""The schedule: who is due when, in tyme alone. No sockets, no clock.

`Schedule` is a heap over slots of tyme: what is due in the same slot shares one
list, sorted when its turn comes. So a poll costs the same with ten targets and
with a hundred thousand. `Grid` says when the polls of one target are due.
"""

from __future__ import annotations

import math
from bisect import insort
from heapq import heappop, heappush
from typing import Any, Final, Generic, TypeVar

__all__ = ["FOREVER", "Entry", "Grid", "Schedule"]

T = TypeVar("T")

#: Tyme of what never comes.
FOREVER: Final = math.inf

#: Slot of a head that is not there: before all others, tymes below 0 included.
_NONE: Final = -(1 << 63)

#: One place in a schedule: due tyme, serial number, item; None in the place of an
#: item that was taken or cancelled. A list, as lists compare in C.
Entry = list[Any]


class Schedule(Generic[T]):
    """Keep items in the order of their tymes.

    Cost: O(1) for each item, whatever their number, where they are spread over
    more than a slot; a heap operation for each slot in use.
    """

    def __init__(self, grain: float = 1 / 256) -> None:
        """Start empty.

        Args:
            grain: width of a slot in seconds of tyme; order within a slot is exact.
        Raises:
            ValueError: `grain` is not above 0.
        """
        if not grain > 0.0:
            raise ValueError(f"grain must be above 0 seconds: {grain!r}")
        self._per_second = 1.0 / grain
        self._serial = 0
        self._count = 0
        self._slots: list[int] = []  # heap of the slots in `_buckets`
        self._buckets: dict[int, list[Entry]] = {}
        self._head: list[Entry] = []  # earliest slot, sorted, from `_at` on
        self._at = 0
        self._slot = _NONE  # of `_head`

    def __len__(self) -> int:
        """Give how many items wait."""
        return self._count

    def put(self, item: T, due: float) -> Entry:
        """Add an item.

        Args:
            item: not None; given back by `take` once due.
            due: tyme in seconds; items of the same tyme keep the order they came in.
        Returns:
            What `cancel` takes.
        Raises:
            OverflowError, ValueError: `due` is infinite or no number.
        """
        slot = math.floor(due * self._per_second)
        self._serial += 1
        entry: Entry = [due, self._serial, item]
        self._count += 1
        if slot == self._slot:
            insort(self._head, entry, self._at)
            return entry
        if slot < self._slot:
            self._shelve()
        self._file(slot, entry)
        return entry

    def _file(self, slot: int, entry: Entry) -> None:
        bucket = self._buckets.get(slot)
        if bucket is None:
            self._buckets[slot] = [entry]
            heappush(self._slots, slot)
        else:
            bucket.append(entry)

    def _shelve(self) -> None:
        """Put the head back among the slots: something earlier has come."""
        rest = self._head[self._at :]
        if rest:
            self._buckets[self._slot] = rest
            heappush(self._slots, self._slot)
        self._head = []
        self._at = 0
        self._slot = _NONE

    def cancel(self, entry: Entry) -> None:
        """Take back what `put` gave; harmless if it was taken or cancelled before."""
        if entry[2] is not None:
            entry[2] = None
            self._count -= 1

    @property
    def next(self) -> float:
        """Tyme of the earliest item; `FOREVER` where there is none."""
        while True:
            head, at, end = self._head, self._at, len(self._head)
            while at < end and head[at][2] is None:
                at += 1
            self._at = at
            if at < end:
                due: float = head[at][0]
                return due
            if not self._slots:
                self._head = []
                self._at = 0
                self._slot = _NONE
                return FOREVER
            slot = self._slot = heappop(self._slots)
            self._head = self._buckets.pop(slot)
            self._head.sort()
            self._at = 0

    def take(self, tyme: float, most: int | None = None) -> list[tuple[T, float]]:
        """Take out what is due.

        Args:
            tyme: now, in seconds; what is due at it or before is taken.
            most: items to take at most; None for all.
        Returns:
            Items with their due tymes, the earliest first.
        """
        taken: list[tuple[T, float]] = []
        left = self._count if most is None else most
        while left > 0 and self.next <= tyme:
            head, at, end = self._head, self._at, len(self._head)
            while at < end and left > 0:
                entry = head[at]
                if entry[0] > tyme:
                    break
                at += 1
                item = entry[2]
                if item is not None:
                    entry[2] = None
                    taken.append((item, entry[0]))
                    left -= 1
            self._at = at
        self._count -= len(taken)
        return taken


class Grid:
    """Say when the polls of one target are due: `phase + number * every`.

    Each tyme is computed from its number, never from the one before: there is
    nothing in which drift could gather.
    """

    __slots__ = ("every", "phase")

    def __init__(self, phase: float, every: float) -> None:
        """Lay the grid.

        Args:
            phase: tyme of poll 0, in seconds.
            every: seconds from one poll to the next, above 0.
        Raises:
            ValueError: `every` is not above 0, or infinite.
        """
        if not 0.0 < every < FOREVER:
            raise ValueError(f"every must be above 0 seconds and finite: {every!r}")
        self.phase = phase
        self.every = every

    def tyme(self, number: int) -> float:
        """Give the tyme of a poll."""
        return self.phase + number * self.every

    def number(self, tyme: float) -> int:
        """Give the last poll that is due at a tyme or before; -1 before poll 0."""
        if tyme < self.phase:
            return -1
        number = math.floor((tyme - self.phase) / self.every)
        # the division may be off by one unit in the last place, either way
        if self.tyme(number) > tyme:
            return number - 1
        if self.tyme(number + 1) <= tyme:
            return number + 1
        return number

    def after(self, tyme: float) -> int:
        """Give the first poll that is due at a tyme or later; 0 before poll 0."""
        number = self.number(tyme)
        if number < 0:
            return 0
        return number if self.tyme(number) >= tyme else number + 1

"""Who of those that are due may begin: a cap for all, one for each origin, in turn.

Pure bookkeeping: items in, items out. Origins take turns, so that one with many
polls waiting holds up no other; and suspects, whose last poll failed, may hold
only a part of the places, so that backends which stall do not take them all.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from typing import Final, Generic, TypeVar

__all__ = ["Admission"]

T = TypeVar("T", bound=Hashable)

#: Part of all places that suspects may hold.
SHARE: Final = 0.5


class Admission(Generic[T]):
    """Let items in as places become free.

    Attributes:
        places: items that may be in at once.
        inside: items that are in.
        queued: items that wait.
    """

    def __init__(self, places: int, each: int | None = None, share: float = SHARE) -> None:
        """Set the bounds.

        Args:
            places: items that may be in at once, at least 1.
            each: items of one origin that may be in at once; None for no such bound.
            share: part of `places` that suspects may hold; at least one place.
        Raises:
            ValueError: a number is out of its range.
        """
        if places < 1:
            raise ValueError(f"concurrency must be at least 1: {places!r}")
        if each is not None and each < 1:
            raise ValueError(f"connections_per_origin must be at least 1: {each!r}")
        if not 0.0 < share <= 1.0:
            raise ValueError(f"share must be above 0 and at most 1: {share!r}")
        self.places = places
        self.each = each
        self.suspects = max(1, int(places * share))
        self.inside = 0
        self.queued = 0
        self._doubtful = 0  # suspects that are in
        # places that each origin holds, where those are bounded
        self._held: dict[Hashable, int] = {}
        # items wait in two rooms, the sound and the suspect, each with a line per origin
        self._rooms: tuple[_Room[T], _Room[T]] = (_Room(), _Room())

    def __len__(self) -> int:
        """Give how many wait."""
        return self.queued

    def join(self, item: T, origin: Hashable, suspect: bool = False) -> None:
        """Let an item wait for a place; it must not be waiting already.

        Args:
            item: what waits.
            origin: whose place it would take.
            suspect: True where its last poll failed.
        """
        self.queued += 1
        self._rooms[suspect].join(item, origin)

    def drop(self, item: T, origin: Hashable) -> bool:
        """Take back an item that waits.

        Args:
            item: what waits.
            origin: the one it joined with.
        Returns:
            False if it does not wait.
        """
        found = any(room.drop(item, origin) for room in self._rooms)
        self.queued -= found
        return found

    def admit(self) -> T | None:
        """Let the next item in; None while none may.

        The sound go first; among origins each gets its turn.
        """
        if not self.queued or self.inside >= self.places:
            return None
        for suspect, room in enumerate(self._rooms):
            if suspect and self._doubtful >= self.suspects:
                return None
            found = room.next(self._held, self.each)
            if found is not None:
                item, origin = found
                self.queued -= 1
                self.inside += 1
                if self.each is not None:
                    self._held[origin] = self._held.get(origin, 0) + 1
                self._doubtful += suspect
                return item
        return None

    def enter(self, origin: Hashable, suspect: bool = False) -> bool:
        """Let an item in that has not waited.

        Args:
            origin: whose place it takes.
            suspect: True where its last poll failed.
        Returns:
            False where it must wait, or others do.
        Cost: that of a dictionary, and nothing else.
        """
        if self.queued or self.inside >= self.places:
            return False
        if suspect and self._doubtful >= self.suspects:
            return False
        if self.each is not None:
            held = self._held.get(origin, 0)
            if held >= self.each:
                return False
            self._held[origin] = held + 1
        if suspect:
            self._doubtful += 1
        self.inside += 1
        return True

    def leave(self, origin: Hashable, suspect: bool = False) -> None:
        """Free the place of an item.

        Args:
            origin: the one it was let in with.
            suspect: as it was let in.
        """
        self.inside -= 1
        self._doubtful -= suspect
        if self.each is None:
            return
        held = self._held[origin] - 1
        if held:
            self._held[origin] = held
        else:
            del self._held[origin]
        for room in self._rooms:
            room.free(origin)

    def why(self, origin: Hashable) -> str:
        """Tell what an item of this origin waits for: "connections" or "concurrency"."""
        full = self.each is not None and self._held.get(origin, 0) >= self.each
        return "connections" if full and self.inside < self.places else "concurrency"

    def waiting(self) -> Iterator[T]:
        """Go through all that wait."""
        for room in self._rooms:
            yield from room


class _Room(Generic[T]):
    """Lines of waiting items, one for each origin, and whose turn it is."""

    def __init__(self) -> None:
        # ordered dicts as lines: items leave from the front or from anywhere in O(1)
        self._lines: dict[Hashable, OrderedDict[T, None]] = {}
        self._turns: deque[Hashable] = deque()  # origins to try, each once
        self._parked: set[Hashable] = set()  # origins with all their places taken

    def __iter__(self) -> Iterator[T]:
        for line in self._lines.values():
            yield from line

    def join(self, item: T, origin: Hashable) -> None:
        line = self._lines.get(origin)
        if line is None:
            line = self._lines[origin] = OrderedDict()
            self._turns.append(origin)
        line[item] = None

    def drop(self, item: T, origin: Hashable) -> bool:
        line = self._lines.get(origin)
        if line is None or item not in line:
            return False
        del line[item]  # an empty line goes when its turn comes
        return True

    def next(self, held: dict[Hashable, int], each: int | None) -> tuple[T, Hashable] | None:
        turns = self._turns
        while turns:
            origin = turns.popleft()
            line = self._lines[origin]
            if not line:
                del self._lines[origin]
                continue
            if each is not None and held.get(origin, 0) >= each:
                self._parked.add(origin)  # until one of its places is free
                continue
            item, _ = line.popitem(last=False)
            if line:
                turns.append(origin)
            else:
                del self._lines[origin]
            return item, origin
        return None

    def free(self, origin: Hashable) -> None:
        if origin in self._parked:
            self._parked.discard(origin)
            self._turns.append(origin)

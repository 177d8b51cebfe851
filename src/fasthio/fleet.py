"""The poller on many machines: a Dask cluster whose workers each hold a poller.

`Fleet` shares targets out by their origin, grants each worker a lease, keeps the
account of what was due, and gives the share of a worker that is lost to others.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from .fleetcoordinating import Coordinator
from .fleeterrors import FleetError, SchedulerError, WorkerError
from .fleetjoining import connect, enlist_all, local, wait_for
from .fleetledger import Figures, Share
from .fleetmembers import FleetEvent, FleetResult, FleetSummary, Member, TakeOver
from .fleetworker import Sealed
from .targets import TargetSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


__all__ = [
    "Fleet",
    "FleetError",
    "FleetEvent",
    "FleetResult",
    "FleetSummary",
    "SchedulerError",
    "Share",
    "TakeOver",
    "WorkerError",
    "connect",
    "local",
]

#: Seconds from adding a target to its first poll, so that its worker has it by then.
LEAD: Final = 0.25


class Fleet(Coordinator):
    """Poll targets from the workers of a Dask cluster.

    Attributes:
        failure: why the fleet cannot go on; None while it can.
    """

    def __init__(
        self,
        client: Any,
        *,
        out: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
        stream: bool | None = None,
        bodies: bool = True,
        workers: int = 1,
        patience: float = 10.0,
        timeout: float = 10.0,
        backlog: int = 10_000,
        openings: float = 1_000.0,
        **options: Any,
    ) -> None:
        """Take in all workers; nothing is polled before each of them was found fit.

        Args:
            client: a `distributed.Client`, which stays the caller's; see `connect`.
            out: results files, one set for each worker: its name comes before the
                suffix. The same folder on every machine. .jsonl, .csv, .sqlite, or
                .parquet where pyarrow is.
            stream: results come to the caller, by `results`; None for where there
                are no files.
            bodies: they come with headers, body and events.
            workers: so many are waited for.
            patience: seconds without an answer after which a worker is lost; and for
                which a worker goes on that hears nothing.
            timeout: seconds for each step of taking a worker in.
            backlog: results that may wait to be taken by the caller; beyond that
                workers begin nothing.
            openings: connections opened per second by each worker at most.
            options: of each worker's `Poller`: concurrency, connections_per_origin,
                connections, longest_retry_after, limits.
        Raises:
            SchedulerError: the scheduler is lost.
            WorkerError: there are too few workers, or one cannot be used.
            ValueError: an argument is out of its range.
            TypeError: no such option.
        """
        for name, value in (("patience", patience), ("timeout", timeout)):
            if not 0.1 <= value <= 3600.0:
                raise ValueError(f"{name} must be from 0.1 to 3600 seconds: {value!r}")
        unknown = options.keys() - {
            "concurrency", "connections_per_origin", "connections", "longest_retry_after", "limits",
        }  # fmt: skip
        if unknown:
            raise TypeError(f"no such option: {', '.join(sorted(unknown))}")
        if backlog < 4:
            raise ValueError(f"backlog must be at least 4: {backlog!r}")
        paths = [out] if isinstance(out, str | os.PathLike) else list(out)
        self._out = tuple(os.path.abspath(path) for path in paths)
        self._stream = not self._out if stream is None else stream
        self._bodies = bodies
        self._patience = patience
        self._timeout = timeout
        self._backlog = backlog
        self._openings = openings
        self._options = {**options, "openings": openings, "backlog": backlog}
        super().__init__(client)

        found = wait_for(client, workers, timeout)
        enlisted = enlist_all(client, found, self._settings, self._tyme, timeout)
        self._seen = found
        now = self._seen_at = self._tyme()
        for address, each in enlisted.items():
            member = Member(found[address], address, each, now, now + timeout)
            self._members[member.name] = member
            self._note("joined", member.name, f"{member.name} is there")
        self._threads = [
            threading.Thread(target=each, name=f"fasthio-{each.__name__}", daemon=True)
            for each in (self._pump, self._watch)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Fleet:
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def __repr__(self) -> str:
        """Say how large it is."""
        return f"<Fleet {len(self._members)} workers, {len(self._shares)} targets>"

    # targets

    def add(self, url: str | TargetSpec, **options: Any) -> Share:
        """Add a target.

        Args:
            url: absolute http or https URL, or a TargetSpec.
            options: see `TargetSpec`.
        Returns:
            The target.
        Raises:
            ValueError: an option that cannot be, or a label that is there already.
            TypeError: no such option, or one that cannot go to another process.
            FleetError: the fleet cannot go on.
        """
        if isinstance(url, TargetSpec) and options:
            raise TypeError("options are in the TargetSpec already")
        spec = url if isinstance(url, TargetSpec) else TargetSpec(url, **options)
        return self.add_all([spec])[0]

    def add_all(self, specs: Iterable[TargetSpec]) -> list[Share]:
        """Add many targets; their first polls are spread as their connections are.

        Args:
            specs: what to poll and how; all are added, or none.
        Returns:
            The targets, in order.
        Raises:
            ValueError: a label that is there already, or twice.
            TypeError: a target that cannot go to another process.
            FleetError: the fleet cannot go on.
        """
        shares = [Share(0, spec, 0.0) for spec in specs]  # what takes long, before the lock
        for share in shares:
            if callable(share.spec.expect):
                _check_portable(share.spec)
        with self._lock:
            self._check()
            labels: set[str] = set()
            for share in shares:
                if share.label in self._labels or share.label in labels:
                    raise ValueError(f"label is there already: {share.label!r}")
                labels.add(share.label)
            now = self._tyme() + LEAD
            self._spread = max(self._spread, now)
            step = 1.0 / (self._openings * max(1, len(self._members)))
            for share in shares:
                self._serial += 1
                share.id, share.phase = self._serial, now
                if share.spec.every > 0.0:
                    share.phase += (self._spread - now) % share.spec.every
                self._spread += step
            for share in shares:
                self._shares[share.id] = self._labels[share.label] = share
                self._origins.setdefault(share.origin, {})[share.id] = share
                self._homeless[share.id] = (share, None)
            self._ever = self._ever or bool(shares)
            self._done = False
            return shares

    def remove(self, target: Share) -> None:
        """Remove a target; a poll under way ends as cancelled.

        Args:
            target: that `add` gave.
        Raises:
            KeyError: it is none of this fleet's, or was removed.
            FleetError: the fleet cannot go on.
        """
        with self._lock:
            self._check()
            if self._shares.get(target.id) is not target or target.removed is not None:
                raise KeyError(target.label)
            target.removed = self._tyme()
            self._labels.pop(target.label, None)
            member = self._members.get(target.worker or "")
            if member is not None:
                member.command("remove", [target.id])
            elif self._homeless.pop(target.id, None) is not None:
                self._forget(target, "removed")

    def replace(self, specs: Iterable[TargetSpec]) -> tuple[list[Share], list[Share]]:
        """Make the targets those of some specs; those that stay go on undisturbed.

        Args:
            specs: all that are to be there.
        Returns:
            Targets that were added, and those that were removed.
        Raises:
            ValueError: a label that comes twice; nothing has changed then.
            TypeError: a target that cannot go to another process; likewise.
            FleetError: the fleet cannot go on.
        """
        wanted = list(specs)
        _check_labels(wanted)
        for spec in wanted:
            if callable(spec.expect):
                _check_portable(spec)
        with self._lock:
            self._check()
            there = {share.spec: share for share in self._labels.values()}
            missing = [spec for spec in wanted if there.pop(spec, None) is None]
            gone = list(there.values())
            for share in gone:
                self.remove(share)
            return self.add_all(missing), gone

    def __len__(self) -> int:
        """Give how many targets there are."""
        return len(self._labels)

    def __bool__(self) -> bool:
        """Be true, also without targets."""
        return True

    def __iter__(self) -> Iterator[Share]:
        """Go through the targets there are now."""
        with self._lock:
            return iter(list(self._labels.values()))

    # results

    def results(self) -> Iterator[FleetResult]:
        """Give each result as it comes, until all is done.

        Where results go to files alone there is none to give: it ends when all is done.

        Yields:
            Results in the order they came in.
        Raises:
            FleetError: the fleet cannot go on; all that came before was given.
        """
        while True:
            result = self.take(0.25)
            if result is not None:
                yield result
            elif self.failure is not None:
                raise self.failure
            elif self.done:
                return

    def take(self, seconds: float) -> FleetResult | None:
        """Give the next result; None where none comes in time.

        Args:
            seconds: to wait at most.
        """
        with self._changed:
            if not self._queue and self.failure is None and not self._finished:
                self._changed.wait(seconds)
            return self._queue.popleft() if self._queue else None

    @property
    def done(self) -> bool:
        """True once nothing is left to do and all that came was taken."""
        with self._lock:
            return not self._queue and (self._done or self._finished or self.failure is not None)

    @property
    def stopping(self) -> bool:
        """True after `stop`."""
        return self._stopping

    def summary(self) -> FleetSummary:
        """Sum up what was done so far."""
        with self._lock:
            now = self._tyme()
            workers = {name: _copy(figures) for name, figures in self._past.items()}
            for member in self._members.values():
                workers.setdefault(member.name, Figures()).merge(member.figures)
            return FleetSummary(
                seconds=now,
                targets=len(self._labels),
                workers=workers,
                total=_copy(self._total),
                doubles=self._doubles,
                takeovers=list(self._takeovers),
                moved=self._moved,
                events=list(self._events),
                rows=[member.row(now) for member in self._members.values()],
            )

    # life

    def stop(self) -> None:
        """Begin nothing more; what is under way goes on to its end. See `done`."""
        with self._lock:
            if self._stopping:
                return
            self._stopping = True
            for member in self._members.values():
                member.command("stop")

    def close(self) -> None:
        """End all at once: what is under way ends as cancelled, files are completed.

        Waits for the workers, for `patience` seconds and a few more at most; those that
        do not answer end by themselves. Harmless twice.
        """
        with self._lock:
            if self._closing:
                return
            self._closing = self._stopping = True
            for member in self._members.values():
                if not member.closing:
                    member.closing = True
                    member.command("close")
        until = time.monotonic() + self._patience + 5.0
        with self._changed:
            while not self._finished and self.failure is None and time.monotonic() < until:
                self._changed.wait(0.25)
            self._finished = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(self._patience)
        self._pool.shutdown(wait=False, cancel_futures=True)
        for member in [*self._members.values(), *self._ghosts]:
            member.release()

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure
        if self._stopping:
            raise FleetError("ended", "fleet", "is stopping")


def _check_labels(specs: Iterable[TargetSpec]) -> None:
    """See whether targets can be told apart; ValueError names the label that comes twice."""
    labels: set[str] = set()
    for spec in specs:
        label = spec.label if spec.label is not None else spec.url
        if label in labels:
            raise ValueError(f"label is there already: {label!r}")
        labels.add(label)


def _check_portable(spec: TargetSpec) -> None:
    """See whether a function can go to another process; TypeError names the option."""
    try:
        Sealed([spec.expect])
    except Exception as error:
        raise TypeError(f"expect cannot go to another process: {error}") from error


def _copy(figures: Figures) -> Figures:
    copy = Figures()
    copy.merge(figures)
    return copy

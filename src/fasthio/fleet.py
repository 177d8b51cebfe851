"""The poller on many machines: a Dask cluster whose workers each hold a poller.

`Fleet` shares targets out by their origin, grants each worker a lease, keeps the
account of what was due, and gives the share of a worker that is lost to others.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from .fleeterrors import FleetError, SchedulerError, WorkerError
from .fleetfiles import open_files
from .fleetjoining import address_of, connect, enlist, enlist_all, list_workers, local, wait_for
from .fleetledger import Figures, Share
from .fleetmembers import FleetEvent, FleetResult, FleetSummary, Member, TakeOver, unpack
from .fleetworker import Sealed, Settings
from .sharing import share_out
from .sinks import SinkError
from .targets import TargetSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .fleetjoining import Enlisted
    from .fleetworker import Batch, Report
    from .sinks import Sink

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

#: Seconds between two orders to a worker: where results are streamed, and where not.
BEAT_STREAM: Final = 0.1
BEAT: Final = 0.5
#: Seconds between two rounds of the coordinator, and between two looks at the scheduler.
ROUND: Final = 0.01
LOOK: Final = 0.5
#: Seconds by which clocks may differ: what a lease is waited for beyond its end.
GUARD: Final = 0.5
#: Seconds from adding a target to its first poll, so that its worker has it by then.
LEAD: Final = 0.25
#: Targets that one command carries at most.
CARRY: Final = 2_000
#: Most events that are kept.
EVENTS: Final = 1_000


class Fleet:
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
        self._client = client
        self._start = time.monotonic()
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self.failure: FleetError | None = None

        self._shares: dict[int, Share] = {}
        self._labels: dict[str, Share] = {}
        self._origins: dict[tuple[Any, ...], dict[int, Share]] = {}
        self._owners: dict[tuple[Any, ...], str | None] = {}
        self._homeless: dict[int, tuple[Share, TakeOver | None]] = {}
        self._serial = 0
        self._ever = False
        self._spread = 0.0
        self._queue: deque[FleetResult] = deque()
        self._members: dict[str, Member] = {}
        self._ghosts: list[Member] = []
        self._enlisting: dict[str, tuple[str, Future[Enlisted]]] = {}
        self._refused: set[str] = set()
        self._past: dict[str, Figures] = {}  # of workers that are lost
        self._own = Figures()  # of what the coordinator records
        self._own_sinks: list[Sink] | None = None
        self._total = Figures()
        self._doubles = 0
        self._moved = 0
        self._takeovers: list[TakeOver] = []
        self._events: deque[FleetEvent] = deque(maxlen=EVENTS)
        self._stopping = False
        self._closing = False
        self._finished = False
        self._done = False
        self._next_done = 0.0

        found = wait_for(client, workers, timeout)
        enlisted = enlist_all(client, found, self._settings, self._tyme, timeout)
        self._seen = found
        now = self._seen_at = self._tyme()
        for address, each in enlisted.items():
            member = Member(found[address], address, each, now, now + timeout)
            self._members[member.name] = member
            self._note("joined", member.name, f"{member.name} is there")
        self._pool = ThreadPoolExecutor(4, "fasthio-enlist")
        self._threads = [
            threading.Thread(target=each, name=f"fasthio-{each.__name__}", daemon=True)
            for each in (self._pump, self._watch)
        ]
        for thread in self._threads:
            thread.start()

    def _settings(self, name: str) -> Settings:
        return Settings(name, self._options, self._out, self._stream, self._bodies)

    def _tyme(self) -> float:
        return time.monotonic() - self._start

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
        specs = list(specs)
        with self._lock:
            self._check()
            now = self._tyme() + LEAD
            self._spread = max(self._spread, now)
            step = 1.0 / (self._openings * max(1, len(self._members)))
            shares: list[Share] = []
            labels: set[str] = set()
            for spec in specs:
                phase = now
                if spec.every > 0.0:
                    phase += (self._spread + step * len(shares) - now) % spec.every
                self._serial += 1
                share = Share(self._serial, spec, phase)
                if share.label in self._labels or share.label in labels:
                    raise ValueError(f"label is there already: {share.label!r}")
                if callable(spec.expect):
                    _check_portable(spec)
                labels.add(share.label)
                shares.append(share)
            self._spread += step * len(shares)
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
            ValueError: a label that comes twice.
            FleetError: the fleet cannot go on.
        """
        with self._lock:
            there = {share.spec: share for share in self._labels.values()}
            wanted = list(specs)
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

    def _note(self, kind: str, worker: str, text: str) -> None:
        self._events.append(FleetEvent(kind, worker, text))

    # the coordinator's threads

    def _watch(self) -> None:
        """Look which workers the scheduler has."""
        while not self._finished and self.failure is None:
            if self._client.status == "running":
                with suppress(OSError, RuntimeError, KeyError, TypeError, ValueError):
                    found = list_workers(self._client)  # blocks while the scheduler does
                    with self._lock:
                        self._seen, self._seen_at = found, self._tyme()
            time.sleep(LOOK)

    def _pump(self) -> None:
        """Go round until all is over."""
        while True:
            with self._changed:
                if self._finished or self.failure is not None:
                    for sink in self._own_sinks or ():
                        with suppress(SinkError):
                            sink.close()
                    self._changed.notify_all()
                    return
                try:
                    self._turn(self._tyme())
                except FleetError as error:
                    self._fail(error)
                except Exception as error:  # a mistake of ours: told, not hung on
                    cause = f"coordinator: {type(error).__name__}: {error}"
                    self._fail(FleetError("broken", address_of(self._client), cause))
            time.sleep(ROUND)

    def _fail(self, error: FleetError) -> None:
        self.failure = error
        self._note("ended", "", str(error))
        self._changed.notify_all()

    def _turn(self, now: float) -> None:
        if self._client.status != "running":
            raise SchedulerError(
                "scheduler-lost", address_of(self._client), "the scheduler has gone"
            )
        if now - self._seen_at > self._patience + LOOK:
            raise SchedulerError(
                "scheduler-lost",
                address_of(self._client),
                f"the scheduler has not answered for {now - self._seen_at:.0f} s",
            )
        for member in [*self._members.values(), *self._ghosts]:
            report = member.hear(now)
            if report is not None:
                self._take_in(member, report)
        self._find_lost(now)
        self._bury()
        if not self._closing:
            self._welcome(now)
        if self._homeless:
            self._place()
        if now >= self._next_done:
            self._next_done = now + BEAT_STREAM
            self._look_done(now)
        self._speak(now)

    def _speak(self, now: float) -> None:
        quick = self._stream or self._stopping
        reserved = sum(member.reserved for member in self._members.values())
        most = self._backlog // max(1, len(self._members))
        for member in self._members.values():
            before = member.reserved
            free = self._backlog - len(self._queue) - (reserved - before)
            beat = BEAT_STREAM if quick or member.awaited else BEAT
            if member.speak(
                self._client, now, now + self._patience, max(0, min(most, free)), beat
            ):
                reserved += member.reserved - before
        for ghost in self._ghosts:
            ghost.speak(self._client, now, 0.0, self._backlog, BEAT)

    # what comes from workers

    def _take_in(self, member: Member, report: Report) -> None:
        for batch in report.batches:
            if batch.number == member.ack + 1:
                member.ack = batch.number
                self._account(member, batch)
        for takeover in member.taken():
            self._note("took-over", takeover.worker, takeover.describe())
        if report.batches:
            self._changed.notify_all()

    def _account(self, member: Member, batch: Batch) -> None:
        member.figures.merge(batch.figures)
        self._total.merge(batch.figures)
        shares = self._shares
        if self._stream:
            for row in batch.rows:
                share = shares.get(row[0])
                if share is not None:
                    doubles = share.account(row[3], row[6])
                    self._doubles += doubles
                    self._queue.append(unpack(row, share, member.name, doubles > 0))
        else:
            for number, first, count in batch.runs:
                share = shares.get(number)
                if share is not None:
                    self._doubles += share.account(first, count)
        for number, held in batch.held.items():
            share = member.shares.get(number)
            if share is not None:
                share.held = held
        for number, first, held in batch.left:
            share = member.shares.pop(number, None)
            if share is None:
                continue
            member.awaited -= share.moving
            share.worker, share.moving = None, False
            if share.removed is not None:
                self._forget(share, "removed")
                continue
            if first > share.expected:
                share.account(first, 0)
            share.held, share.why = held, "moved"
            self._moved += 1
            self._homeless[share.id] = (share, None)

    def _find_lost(self, now: float) -> None:
        for member in list(self._members.values()):
            report = member.report
            cause = ""
            if report is not None and report.ended is not None:
                if member.closing:
                    continue
                cause = report.ended
            elif member.address not in self._seen and self._seen_at > member.joined + LOOK:
                cause = "left the cluster"
            elif now > member.lease + GUARD:
                cause = f"does not answer{f' ({member.trouble})' if member.trouble else ''}"
            elif report is not None and member.heard - report.turned > self._patience:
                cause = "its poller stands still"
            if cause:
                self._lose(member, cause, now)

    def _lose(self, member: Member, cause: str, now: float) -> None:
        """Give what a worker had to the others."""
        del self._members[member.name]
        self._owners.clear()
        self._ghosts.append(member)
        past = self._past.setdefault(member.name, Figures())
        past.merge(member.figures)
        member.figures = past  # what still comes is counted there, too
        takeover = TakeOver(member.name, cause, len(member.shares), now - member.heard)
        self._takeovers.append(takeover)
        self._note(
            "lost", member.name, f"{member.name} is lost: {cause}; {len(member.shares)} targets"
        )
        if not member.shares:
            takeover.placed(0)
        for share in member.shares.values():
            share.worker, share.moving, share.why = None, False, "lost-worker"
            if share.removed is not None:
                takeover.placed(1)
                self._forget(share, "lost-worker")
            else:
                self._homeless[share.id] = (share, takeover)
        member.shares = {}

    def _bury(self) -> None:
        """Forget lost workers that are gone, or that have told all they had to tell."""
        for ghost in list(self._ghosts):
            ended = ghost.report is not None and ghost.report.ended is not None
            if ended or ghost.address not in self._seen:
                ghost.release()
                self._ghosts.remove(ghost)

    def _welcome(self, now: float) -> None:
        """Take in workers that have come."""
        known = {member.address for member in self._members.values()}
        known.update(ghost.address for ghost in self._ghosts)
        for address, name in self._seen.items():
            if address in known or address in self._refused or address in self._enlisting:
                continue
            future = self._pool.submit(
                enlist, self._client, address, self._settings(name), self._tyme, self._timeout
            )
            self._enlisting[address] = (name, future)
        self._refused.intersection_update(self._seen)
        for address, (name, future) in list(self._enlisting.items()):
            if not future.done() or name in self._members:
                continue
            del self._enlisting[address]
            try:
                enlisted = future.result()
            except WorkerError as error:
                self._refused.add(address)
                self._note("refused", name, f"{name} is not used: {error}")
                continue
            except Exception as error:  # its worker or scheduler went away meanwhile
                self._note("refused", name, f"{name} is not used: {type(error).__name__}: {error}")
                continue
            member = Member(name, address, enlisted, now, now + self._timeout)
            self._members[name] = member
            self._note("joined", name, f"{name} has joined")
            if self._stopping:
                member.command("stop")
            else:
                self._rebalance(name)

    # who has what

    def _owner(self, origin: tuple[Any, ...]) -> str | None:
        if origin not in self._owners:
            self._owners[origin] = share_out(self._members, origin)
        return self._owners[origin]

    def _rebalance(self, name: str) -> None:
        """Have the others let go what goes to a worker that has joined."""
        self._owners.clear()
        leaving: dict[str, list[int]] = {}
        for origin, shares in self._origins.items():
            if self._owner(origin) != name:
                continue
            for share in shares.values():
                if share.worker is not None and share.worker != name and not share.moving:
                    share.moving = True
                    leaving.setdefault(share.worker, []).append(share.id)
        for worker, ids in leaving.items():
            self._members[worker].command("leave", ids)
            self._members[worker].awaited += len(ids)

    def _place(self) -> None:
        """Give targets that no worker has to those that are to have them."""
        if not self._members:
            return
        takes: dict[tuple[str, TakeOver | None], list[Share]] = {}
        for share, takeover in self._homeless.values():
            owner = self._owner(share.origin)
            assert owner is not None
            takes.setdefault((owner, takeover), []).append(share)
        self._homeless = {}
        for (owner, takeover), shares in takes.items():
            member = self._members[owner]
            for at in range(0, len(shares), CARRY):
                some = shares[at : at + CARRY]
                number = member.command("take", Sealed([_portion(share) for share in some]))
                if takeover is not None:
                    member.expect(number, takeover, len(some))
            for share in shares:
                share.worker = owner
                member.shares[share.id] = share

    def _forget(self, share: Share, reason: str) -> None:
        """Close the account of a target that was removed."""
        for first, end in share.missing(share.removed or 0.0):
            self._record(share, first, end - first, reason)
        self._shares.pop(share.id, None)
        shares = self._origins.get(share.origin, {})
        shares.pop(share.id, None)
        if not shares:
            self._origins.pop(share.origin, None)
            self._owners.pop(share.origin, None)

    def _record(self, share: Share, first: int, count: int, reason: str) -> None:
        """Record polls that no worker can tell of any more."""
        result = FleetResult(
            share,
            "skipped",
            "",
            False,
            reason=reason,
            due=share.due_tyme(first),
            number=first,
            count=count,
            started=time.time(),
        )
        share.account(first, count)
        self._own.add(result)
        self._total.add(result)
        if self._stream:
            self._queue.append(result)
        if self._out:
            if self._own_sinks is None:
                self._own_sinks = open_files(self._out, "coordinator")
            for sink in self._own_sinks:
                with suppress(SinkError):  # the summary has it in any case
                    sink.write(result)

    # the end

    def _look_done(self, now: float) -> None:
        members = list(self._members.values())
        if self._stopping:
            if not members:
                self._finish(now)
                return
            if not self._homeless and all(
                member.closing
                or (member.obedient and member.report is not None and member.report.idle)
                for member in members
            ):
                for member in members:
                    if not member.closing:
                        member.closing = True
                        member.command("close")
            if all(
                member.closing and member.report is not None and member.report.ended is not None
                for member in members
            ):
                self._finish(now)
            return
        if self._ever and not self._homeless:
            self._done = not any(share.live for share in self._labels.values())
        if self._ever and not members and now - self._seen_at <= LOOK and self._takeovers:
            last = self._takeovers[-1]
            if time.time() - last.time > 3 * self._patience and not self._enlisting:
                raise WorkerError(
                    "no-workers", address_of(self._client), f"none is left since: {last.describe()}"
                )

    def _finish(self, now: float) -> None:
        """Close the account: what was due and no worker can tell of is recorded."""
        for share in list(self._shares.values()):
            if share.worker is None or share.worker not in self._members:
                reason = "lost-worker" if share.why == "lost-worker" else "stopped"
                for first, end in share.missing(now if share.removed is None else share.removed):
                    self._record(share, first, end - first, reason)
        self._finished = True
        self._changed.notify_all()


def _portion(share: Share) -> tuple[Any, ...]:
    """Give what a worker has to know of a target."""
    held, gaps = share.held, tuple(share.gaps)
    return (share.spec, share.id, share.phase, share.expected, held, gaps, share.why)


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

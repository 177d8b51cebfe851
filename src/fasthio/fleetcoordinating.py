"""The coordinator of a fleet: leases, account, losses, and who has which share.

One thread goes round: it hears reports, notices what is lost, takes in who has
come, places what has no worker, and sends orders. Another looks at the scheduler.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from .fleeterrors import FleetError, SchedulerError, WorkerError
from .fleetfiles import open_files
from .fleetjoining import address_of, enlist, list_workers
from .fleetledger import Figures, Share
from .fleetmembers import FleetEvent, FleetResult, Member, TakeOver, unpack
from .fleetworker import Sealed, Settings
from .sharing import share_out, weigh
from .sinks import SinkError

if TYPE_CHECKING:
    from .fleetjoining import Enlisted
    from .fleetworker import Batch, Report
    from .sinks import Sink

__all__ = ["Coordinator"]

#: Seconds between two orders to a worker: where results are streamed, and where not.
BEAT_STREAM: Final = 0.1
BEAT: Final = 0.5
#: Seconds between two rounds of the coordinator, and between two looks at the scheduler.
ROUND: Final = 0.02
LOOK: Final = 0.5
#: Seconds by which clocks may differ: what a lease is waited for beyond its end.
GUARD: Final = 0.5
#: Targets that one command carries at most.
CARRY: Final = 2_000
#: Targets that are placed in one round at most, so that workers keep their leases.
PLACE: Final = 5_000
#: Most events that are kept.
EVENTS: Final = 1_000


class Coordinator:
    """Keep a fleet going; what a program calls is `Fleet`.

    Attributes:
        failure: why the fleet cannot go on; None while it can.
    """

    _out: tuple[str, ...]
    _stream: bool
    _bodies: bool
    _patience: float
    _timeout: float
    _backlog: int
    _options: dict[str, Any]

    def __init__(self, client: Any) -> None:
        """Begin without workers and targets.

        Args:
            client: a `distributed.Client`.
        """
        self._client = client
        self._start = time.monotonic()
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self.failure: FleetError | None = None

        self._shares: dict[int, Share] = {}
        self._labels: dict[str, Share] = {}
        self._origins: dict[tuple[Any, ...], dict[int, Share]] = {}
        self._owners: dict[tuple[Any, ...], tuple[int, str]] = {}  # weight and name
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
        self._seen: dict[str, str] = {}
        self._seen_at = 0.0
        self._pool = ThreadPoolExecutor(4, "fasthio-enlist")

    def _settings(self, name: str) -> Settings:
        return Settings(name, self._options, self._out, self._stream, self._bodies)

    def _tyme(self) -> float:
        return time.monotonic() - self._start

    def _note(self, kind: str, worker: str, text: str) -> None:
        self._events.append(FleetEvent(kind, worker, text))

    # the threads

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
        if now - self._seen_at > max(self._patience, self._timeout) + LOOK:
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
            if member.speak(self._client, now, now + self._patience, max(0, min(most, free)), beat):
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
            elif member.address not in self._seen and self._seen_at > member.heard:
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
        for share in member.shares.values():  # what it had is given anew, the rest stays
            self._owners.pop(share.origin, None)
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

    def _owner(self, origin: tuple[Any, ...]) -> str:
        """Give the name of the member that an origin goes to; there is one."""
        owner = self._owners.get(origin)
        if owner is None or owner[1] not in self._members:
            name = share_out(self._members, origin)
            assert name is not None
            owner = self._owners[origin] = (weigh(name, origin), name)
        return owner[1]

    def _rebalance(self, name: str) -> None:
        """Have the others let go what goes to a worker that has joined."""
        leaving: dict[str, list[int]] = {}
        for origin, shares in self._origins.items():
            own = (weigh(name, origin), name)  # one hash for each origin, however many workers
            owner = self._owners.get(origin)
            if owner is None or own < owner:  # None: it is placed anew in any case
                continue
            self._owners[origin] = own
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
        for number in list(islice(self._homeless, PLACE)):
            share, takeover = self._homeless.pop(number)
            takes.setdefault((self._owner(share.origin), takeover), []).append(share)
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
                    "workers", address_of(self._client), f"none is left since: {last.describe()}"
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

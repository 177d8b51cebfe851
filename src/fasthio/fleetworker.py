"""A worker's part of a fleet: the actor, and the thread in which its poller runs.

The thread owns poller and files. The actor's methods only exchange orders and
reports with it. A poll is reported as accounted for once its result is in the
files: what a killed worker had not written is taken over, never lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import pickle
import threading
import time
import weakref
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .fleetfiles import open_files
from .fleetledger import Figures, Held
from .fleetpoller import FleetClock, FleetPoller, FleetTarget, first_open
from .sinks import SinkError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .results import PollResult
    from .sinks import Sink

__all__ = ["Batch", "FleetActor", "Order", "Report", "Sealed", "Settings"]

#: Seconds between two writes of the files, and the longest wait of the loop.
WRITE: Final = 0.5
NAP: Final = 0.25
#: Batches that wait for their acknowledgement at most.
UNACKED: Final = 4
#: Seconds that opening the files may take.
OPEN: Final = 10.0
#: Seconds a worker that ends gives its thread to complete the files.
GRACE: Final = 5.0


class Settings(NamedTuple):
    """What a worker is told at its start: nothing in it is secret.

    Attributes:
        name: of the worker.
        poller: options of the poller.
        out: results files, as they were asked for.
        stream: results go to the coordinator, too.
        bodies: with headers, body and events.
    """

    name: str
    poller: dict[str, Any]
    out: tuple[str, ...] = ()
    stream: bool = False
    bodies: bool = True


class Sealed:
    """Carry targets so that neither a log nor a dashboard shows what is in them."""

    __slots__ = ("_octets", "count")

    def __init__(self, items: Sequence[Any]) -> None:
        """Seal.

        Args:
            items: what is to be carried.
        Raises:
            TypeError, AttributeError, pickle.PicklingError: it cannot go to another process.
        """
        import cloudpickle

        self.count = len(items)
        self._octets: bytes = cloudpickle.dumps(list(items))

    def open(self) -> list[Any]:
        """Give what is in it."""
        items: list[Any] = pickle.loads(self._octets)
        return items

    def __repr__(self) -> str:
        """Say how much is in it."""
        return f"<Sealed {self.count}>"


class Order(NamedTuple):
    """What the coordinator sends each beat.

    Attributes:
        beat: number of this order.
        sent: tyme at which it was sent.
        lease: tyme up to which polls may be begun.
        ack: number of the last batch that has come.
        room: results that may wait for the coordinator.
        commands: each with its number; those the worker has carried out are left out.
    """

    beat: int
    sent: float
    lease: float
    ack: int
    room: int
    commands: tuple[tuple[int, str, Any], ...] = ()


class Batch(NamedTuple):
    """What has come since the last batch; sent again until it is acknowledged.

    Attributes:
        number: of this batch, from 1.
        rows: results, where they are streamed.
        runs: polls accounted for: share, first number, how many.
        held: shares that are held off, or no longer.
        left: shares that were let go, with the number of the first open poll.
        figures: what the results add to the counts.
    """

    number: int
    rows: list[tuple[Any, ...]]
    runs: list[tuple[int, int, int]]
    held: dict[int, Held | None]
    left: list[tuple[int, int, Held | None]]
    figures: Figures


class Report(NamedTuple):
    """What a worker answers.

    Attributes:
        beat: number of the order.
        applied: number of the last command carried out.
        batches: those that are not acknowledged.
        kept: results that wait for a later batch.
        turned: tyme of the thread's last round.
        targets: there are now.
        flying: polls under way.
        waiting: due polls that wait.
        connections: that are open.
        stalled: nothing is begun as results are not taken.
        stalls: how often that was so.
        idle: stopped, and all is in the batches.
        ended: why the thread has ended; None while it runs.
    """

    beat: int
    applied: int
    batches: list[Batch]
    kept: int
    turned: float
    targets: int
    flying: int
    waiting: int
    connections: int
    stalled: bool
    stalls: int
    idle: bool
    ended: str | None


def pack(result: PollResult, bodies: bool) -> tuple[Any, ...]:
    """Make a row of a result.

    Args:
        result: of a FleetTarget.
        bodies: with headers, body and events.
    """
    headers = result.headers
    latency = result.latency
    return (
        result.target.share,  # type: ignore[attr-defined]
        result.outcome,
        result.due,
        result.number,
        result.started,
        result.reason,
        result.count,
        result.status,
        result.phrase,
        list(headers.items()) if bodies and headers is not None else None,
        bytes(result.body) if bodies else b"",
        tuple(map(dict, result.events)) if bodies else ({},) * len(result.events),
        None if latency is None else tuple(latency),
        result.attempts,
        result.octets,
        result.redirects,
        result.error,
    )


class _Gathered:
    """What a batch is made of."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.runs: dict[int, tuple[int, int]] = {}  # first number, number after the last
        self.broken: list[tuple[int, int, int]] = []  # runs that no other follows
        self.held: dict[int, Held | None] = {}
        self.left: list[tuple[int, int, Held | None]] = []
        self.figures = Figures()

    def run(self, share: int, first: int, end: int) -> None:
        """Add accounted polls of a share."""
        known = self.runs.get(share)
        if known is not None:
            if known[1] == first:
                self.runs[share] = (known[0], end)
                return
            self.broken.append((share, known[0], known[1] - known[0]))
        self.runs[share] = (first, end)

    def join(self, later: _Gathered) -> None:
        """Add what came later."""
        self.rows += later.rows
        self.broken += later.broken
        for share, (first, end) in later.runs.items():
            self.run(share, first, end)
        self.held.update(later.held)
        self.left += later.left
        self.figures.merge(later.figures)

    def __bool__(self) -> bool:
        return bool(self.runs or self.left or self.held)

    def batch(self, number: int) -> Batch:
        """Make the batch."""
        runs = self.broken + [(share, low, end - low) for share, (low, end) in self.runs.items()]
        return Batch(number, self.rows, runs, self.held, self.left, self.figures)


class _Thread:
    """The thread: one poller, its files, and what is to be told of it."""

    def __init__(self, settings: Settings, clock: FleetClock, lease: float) -> None:
        self.settings = settings
        self.clock = clock
        self.lease = lease
        self.sinks: list[Sink] = []
        self.opened: SimpleQueue[str] = SimpleQueue()  # what is wrong with the files
        self.poller = FleetPoller(tymth=clock, **settings.poller)
        self.lock = threading.Lock()
        self.orders: list[tuple[int, str, Any]] = []  # commands to be carried out
        self.seen = 0  # number of the last command that came
        self.applied = 0
        self.room = 0
        self.acked = 0
        self.sent = 0  # number of the last batch made
        self.unacked: list[Batch] = []
        self.ready = _Gathered()  # in the files
        self.pending = _Gathered()  # not yet
        self.turned = clock()
        self.idle = False
        self.ending: str | None = None  # why the thread is to end
        self.ended: str | None = None
        self.leavers: list[FleetTarget] = []
        self.shares: dict[int, FleetTarget] = {}
        self.next_write = 0.0
        # no daemon: an interpreter that ends waits until the files are complete
        self.thread = threading.Thread(target=self.run, name="fasthio-fleet")

    # the thread's own

    def run(self) -> None:
        """Poll until told to end, or until nobody has asked for a lease."""
        poller = self.poller
        why = "broken"
        # what Dask has imported need not be looked through at each collection: measured, that
        # was up to a sixth of a poll
        thaw = not gc.get_freeze_count()
        gc.freeze()
        try:
            wrong = self.open_files()
            self.opened.put(wrong)
            if wrong:
                why = wrong
                return
            poller.open()
            while True:
                why = self.round()
                if why:
                    break
                poller.wait(max(0.0, min(NAP, self.next_write - time.monotonic())))
        except SinkError as error:
            why = str(error)
        except Exception as error:  # told to the coordinator, which names it
            why = f"{type(error).__name__}: {error}"
        finally:
            why = self.finish(why)
            if thaw:
                gc.unfreeze()
            with self.lock:
                self.ended = why

    def open_files(self) -> str:
        """Open the files, in the thread that writes them; give what is wrong, or ""."""
        try:
            self.sinks = open_files(self.settings.out, self.settings.name)
        except ImportError as error:
            return f"Parquet needs pyarrow here: {error}"
        except (OSError, ValueError) as error:  # SinkError is an OSError
            return str(error)
        return ""

    def round(self) -> str:
        """Go round once; give why it is to end, or ""."""
        if self.ending is not None:
            return self.ending
        if self.clock() > self.lease:
            return "nothing heard of the coordinator"
        self.carry_out()
        self.poller.service()
        self.collect(everything=False)
        self.turned = self.clock()
        return ""

    def carry_out(self) -> None:
        """Carry out the commands that have come."""
        with self.lock:
            orders, self.orders = self.orders, []
        for number, what, payload in orders:
            if what == "take":
                for item in payload.open():
                    target = self.poller.place(*item)
                    self.shares[target.share] = target
            elif what in ("leave", "remove"):
                for share in payload:
                    self.part(share, what)
            elif what == "stop":
                self.poller.stop()
            elif what == "close":
                self.ending = "closed"
            self.applied = number

    def part(self, share: int, what: str) -> None:
        """Let a target go to another worker, or remove it for good."""
        target = self.shares.pop(share, None)
        if target is None:
            return
        if what == "leave":
            self.poller.let_go(target)
        else:
            self.poller.remove(target)
            self.leavers.append(target)

    def collect(self, everything: bool) -> None:
        """Take the results that have come, as far as there is room; write them in time."""
        poller, pending, stream = self.poller, self.pending, self.settings.stream
        room = -1
        if stream and not everything:
            with self.lock:  # an order changes all of them at once
                waiting = len(pending.rows) + len(self.ready.rows)
                waiting += sum(len(each.rows) for each in self.unacked)
                room = max(0, self.room - waiting)
        results = poller.results
        while results and room:
            room -= 1
            result = results.popleft()
            for sink in self.sinks:
                sink.write(result)
            target: Any = result.target
            pending.run(target.share, result.number, result.number + result.count)
            pending.figures.add(result)
            if stream:
                pending.rows.append(pack(result, self.settings.bodies))
            if target.told or target.pace.failures:
                held = target.held
                pending.held[target.share] = held
                target.told = held is not None
        self.leavers += poller.gone()
        if self.leavers and not poller.owing:
            for target in self.leavers:
                pending.left.append((target.share, first_open(target), target.held))
            self.leavers = []
        now = time.monotonic()
        if not self.sinks or everything or now >= self.next_write:
            self.next_write = now + WRITE
            for sink in self.sinks:
                sink.flush()
            with self.lock:
                if pending:
                    self.ready.join(pending)
                    self.pending = _Gathered()
        self.idle = poller.stopping and poller.done and not (poller.owing or self.pending)

    def finish(self, why: str) -> str:
        """End what is under way and complete the files; give why the thread has ended."""
        steps: list[Callable[[], Any]] = [
            self.poller.close,
            partial(self.collect, everything=True),
            *(sink.close for sink in self.sinks),
        ]
        for step in steps:  # whatever becomes of one, the others are taken
            try:
                step()
            except SinkError as error:
                why = str(error)
            except Exception as error:  # told to the coordinator
                why = f"{type(error).__name__}: {error}"
        return why

    # the actor's

    def exchange(self, order: Order) -> Report:
        """Take an order and give a report."""
        poller = self.poller
        with self.lock:
            self.clock.observe(order.sent)
            self.lease = order.lease
            self.room = order.room
            for command in order.commands:
                if command[0] > self.seen:
                    self.seen = command[0]
                    self.orders.append(command)
            self.unacked = [batch for batch in self.unacked if batch.number > order.ack]
            if self.ready and (len(self.unacked) < UNACKED or self.ended is not None):
                self.sent += 1
                self.unacked.append(self.ready.batch(self.sent))
                self.ready = _Gathered()
            report = Report(
                order.beat,
                self.applied,
                list(self.unacked),
                len(self.ready.rows) + len(self.pending.rows),
                self.turned,
                len(poller),
                poller.flying,
                poller.waiting,
                poller.connections,
                poller.stalled,
                poller.stalls,
                self.idle and not self.ready,
                self.ended if not self.ready else None,
            )
        if order.commands or poller.results:
            poller.wake()
        return report

    def end(self, why: str) -> None:
        """Have the thread end."""
        if self.ending is None:
            self.ending = why
        self.poller.wake()


def _make_ending(thread: _Thread) -> Any:
    """Make the plugin of a Dask worker by which the files are completed before that ends."""
    from distributed.diagnostics.plugin import WorkerPlugin

    watched = weakref.ref(thread)  # one that has ended is not kept

    class Ending(WorkerPlugin):  # type: ignore[misc, unused-ignore]
        async def teardown(self, worker: Any) -> None:
            thread = watched()
            if thread is None:
                return
            thread.end("the Dask worker ends")
            until = time.monotonic() + GRACE
            while thread.thread.is_alive() and time.monotonic() < until:
                await asyncio.sleep(0.01)

    return Ending()


class FleetActor:
    """What a Dask worker holds: one poller in a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings; nothing is opened yet.

        Args:
            settings: of this worker.
        """
        self._settings = settings
        self._thread: _Thread | None = None

    def __repr__(self) -> str:
        """Say whose it is."""
        return f"<FleetActor {self._settings.name}>"

    def clock(self) -> float:
        """Give this machine's clock in seconds."""
        return time.monotonic()

    def start(self, ahead: float, lease: float) -> str:
        """Open the files and begin.

        Args:
            ahead: the coordinator's tyme less this machine's clock, in seconds.
            lease: tyme up to which polls may be begun.
        Returns:
            What is wrong with the files; "" for nothing.
        """
        thread = _Thread(self._settings, FleetClock(ahead), lease)
        thread.thread.start()
        try:
            wrong = thread.opened.get(timeout=OPEN)
        except Empty:
            thread.end("files")
            return f"files are not open after {OPEN:g} s"
        if not wrong:
            self._thread = thread
            self._watch(thread)
        return wrong

    def _watch(self, thread: _Thread) -> None:
        """Have the Dask worker end the thread when it ends itself."""
        from distributed import get_worker

        worker = get_worker()
        added = asyncio.run_coroutine_threadsafe(
            worker.plugin_add(_make_ending(thread), name=f"fasthio-fleet-{id(thread)}"),
            worker.loop.asyncio_loop,
        )
        added.result(GRACE)

    def exchange(self, order: Order) -> Report:
        """Take an order and give a report; waits for nothing.

        Args:
            order: of the coordinator.
        Raises:
            RuntimeError: `start` did not succeed before.
        """
        if self._thread is None:
            raise RuntimeError("not started")
        return self._thread.exchange(order)

    def end(self, why: str) -> None:
        """Close the poller and complete the files; `exchange` tells when that is done.

        Args:
            why: goes into the report.
        """
        thread = self._thread
        if thread is not None:
            with contextlib.suppress(OSError):
                thread.end(why)

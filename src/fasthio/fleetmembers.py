"""What a coordinator knows of each worker, and what it tells of the whole fleet."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from hio.help import Hict

from .fleetledger import Figures, Share
from .fleetworker import Order
from .pollview import in_ms
from .results import Latency, PollResult

if TYPE_CHECKING:
    from .fleetjoining import Enlisted
    from .fleetworker import Report

__all__ = ["FleetEvent", "FleetResult", "FleetSummary", "Member", "TakeOver", "unpack"]

#: Commands that one order carries at most.
COMMANDS: Final = 16


class FleetResult(PollResult):
    """A result that came from a worker; `target` is a `Share`.

    Attributes:
        worker: name of the worker; "" for what the coordinator itself recorded.
        double: True where its poll, or one of them, was accounted for before.
    """

    __slots__ = ("double", "worker")

    def __init__(
        self, share: Share, outcome: str, worker: str, double: bool, **options: Any
    ) -> None:
        """Take what came.

        Args:
            share: what was polled.
            outcome: key of `results.OUTCOMES`.
            worker: name of the worker.
            double: its poll was accounted for before.
            options: as for `PollResult`.
        """
        super().__init__(share, outcome, **options)  # type: ignore[arg-type]
        self.worker = worker
        self.double = double

    @property
    def key(self) -> tuple[str, float]:
        """Label of the target, and tyme the poll was due."""
        return (self.label, self.due)


def unpack(row: tuple[Any, ...], share: Share, worker: str, double: bool) -> FleetResult:
    """Make a result of a row of `fleetworker.pack`.

    Args:
        row: as it came.
        share: what was polled.
        worker: name of the worker.
        double: its poll was accounted for before.
    """
    headers = row[9]
    return FleetResult(
        share,
        row[1],
        worker,
        double,
        due=row[2],
        number=row[3],
        started=row[4],
        reason=row[5],
        count=row[6],
        status=row[7],
        phrase=row[8],
        headers=None if headers is None else Hict(headers),
        body=row[10],
        events=row[11],
        latency=None if row[12] is None else Latency(*row[12]),
        attempts=row[13],
        octets=row[14],
        redirects=row[15],
        error=row[16],
    )


class FleetEvent:
    """Something that happened to the fleet.

    Attributes:
        time: when, in seconds since the epoch.
        kind: "joined", "refused", "lost", "took-over" or "ended".
        worker: name of the worker.
        text: all of it in words.
    """

    __slots__ = ("kind", "text", "time", "worker")

    def __init__(self, kind: str, worker: str, text: str) -> None:
        """Note it.

        Args:
            kind: what happened.
            worker: name of the worker.
            text: all of it in words.
        """
        self.time = time.time()
        self.kind = kind
        self.worker = worker
        self.text = text

    def __repr__(self) -> str:
        """Say it."""
        return f"<FleetEvent {self.text}>"


class TakeOver:
    """What a lost worker had, and when others went on with it.

    Attributes:
        time: when the loss was noticed, in seconds since the epoch.
        worker: name of the worker.
        cause: how it was noticed.
        targets: it had.
        silent: seconds since it had last been heard of then.
        resumed: seconds from then until the last of them was with another worker;
            None while one is not.
    """

    __slots__ = ("_noticed", "_waits", "cause", "resumed", "silent", "targets", "time", "worker")

    def __init__(self, worker: str, cause: str, targets: int, silent: float) -> None:
        """Note the loss.

        Args:
            worker: name of the worker.
            cause: how it was noticed.
            targets: it had.
            silent: seconds since it was last heard of.
        """
        self.time = time.time()
        self.worker = worker
        self.cause = cause
        self.targets = targets
        self.silent = silent
        self.resumed: float | None = None
        self._noticed = time.monotonic()
        self._waits = targets

    def placed(self, count: int) -> bool:
        """Note that so many of its targets are with other workers; tell whether all are.

        Args:
            count: how many targets.
        """
        self._waits -= count
        if self._waits <= 0 and self.resumed is None:
            self.resumed = time.monotonic() - self._noticed
            return True
        return False

    def describe(self) -> str:
        """Say it in words."""
        clock = time.strftime("%H:%M:%S", time.localtime(self.time))
        went = (
            "not taken over yet"
            if self.resumed is None
            else f"with others {self.resumed:.1f} s later"
        )
        return (
            f"{clock} {self.worker}: {self.cause}, {self.silent:.1f} s after it was last heard of; "
            f"{self.targets} targets {went}"
        )


class FleetSummary:
    """What a fleet has done so far.

    Attributes:
        seconds: since the fleet began.
        targets: there are.
        workers: figures by name of the worker, also of those that were lost.
        total: of all; results that the coordinator itself recorded included.
        doubles: results of polls that had one already.
        takeovers: what was taken over, and when.
        moved: targets that went to a worker that joined.
        events: what happened to workers, the oldest first.
        rows: what the live view shows of each worker there is.
    """

    def __init__(
        self,
        *,
        seconds: float,
        targets: int,
        workers: dict[str, Figures],
        total: Figures,
        doubles: int,
        takeovers: list[TakeOver],
        moved: int,
        events: list[FleetEvent],
        rows: list[dict[str, Any]],
    ) -> None:
        """Take the figures; see the attributes.

        Args:
            seconds: since the fleet began.
            targets: there are.
            workers: figures by name.
            total: of all.
            doubles: results of polls that had one already.
            takeovers: what was taken over.
            moved: targets that went to a worker that joined.
            events: what happened.
            rows: of each worker.
        """
        self.seconds = seconds
        self.targets = targets
        self.workers = workers
        self.total = total
        self.doubles = doubles
        self.takeovers = takeovers
        self.moved = moved
        self.events = events
        self.rows = rows

    def lines(self, histogram: bool = False) -> list[str]:
        """Sum up in a few lines of text.

        Args:
            histogram: add the distribution of latencies.
        """
        total = self.total
        kinds = ", ".join(f"{kind} {n}" for kind, n in total.failures.most_common())
        lines = [
            f"workers   {', '.join(sorted(self.workers)) or 'none'}",
            f"requests  {total.requests} in {self.seconds:.1f} s",
            f"failures  {total.failed}" + (f" ({kinds})" if kinds else ""),
        ]
        if total.skipped:
            reasons = ", ".join(f"{kind} {n}" for kind, n in total.skipped.most_common())
            lines.append(f"skipped   {sum(total.skipped.values())} ({reasons})")
        if self.doubles:
            lines.append(f"doubles   {self.doubles}")
        lines.append(f"octets    {total.octets} of bodies")
        if total.latencies.count:
            shares = "  ".join(
                f"p{share} {in_ms(total.latencies.percentile(share / 100))}"
                for share in (50, 95, 99)
            )
            lines.append(f"latency   {shares}  (of {total.latencies.count} whole responses)")
        else:
            lines.append("latency   no whole response")
        if self.moved:
            lines.append(f"moved     {self.moved} targets to workers that joined")
        lines += [f"taken over {each.describe()}" for each in self.takeovers]
        if histogram:
            lines += ["", *total.latencies.summary(), ""]
        return lines


class Member:
    """A worker of the fleet, as the coordinator sees it.

    Attributes:
        name: of the worker.
        address: of its Dask worker.
        shares: its targets, by id.
        figures: what it has done.
        report: the last one; None before the first.
        heard: tyme at which the last exchange ended.
        lease: tyme up to which it may begin polls.
        ack: number of the last batch that has come.
        room: results that may wait with it, as it was last told.
        reserved: results that may still come by all that it was told.
        trouble: why the last exchange failed; "" for not at all.
        closing: it was told to close.
        awaited: targets that it was told to let go, and has not yet.
    """

    def __init__(
        self, name: str, address: str, enlisted: Enlisted, tyme: float, lease: float
    ) -> None:
        """Begin.

        Args:
            name: of the worker.
            address: of its Dask worker.
            enlisted: its actor.
            tyme: now, in seconds.
            lease: tyme up to which it may begin polls.
        """
        self.name = name
        self.address = address
        self.shares: dict[int, Share] = {}
        self.figures = Figures()
        self.report: Report | None = None
        self.joined = self.heard = self.called = tyme
        self.lease = lease
        self.ack = 0
        self.room = 0
        self.reserved = 0
        self.trouble = ""
        self.closing = False
        self.awaited = 0
        self._told = 0  # number of the last command that was sent
        self._enlisted: Enlisted | None = enlisted
        self._beat = 0
        self._issued = 0
        self._call: Any = None
        self._commands: deque[tuple[int, str, Any]] = deque()
        self._takes: deque[tuple[int, TakeOver, int]] = deque()
        self._marks: deque[tuple[float, int]] = deque([(tyme, 0)])

    def command(self, what: str, payload: Any = None) -> int:
        """Have a command carried out; give its number.

        Args:
            what: "take", "leave", "remove", "stop" or "close".
            payload: of it.
        """
        self._issued += 1
        self._commands.append((self._issued, what, payload))
        return self._issued

    def expect(self, number: int, takeover: TakeOver, count: int) -> None:
        """Note that a command takes targets over.

        Args:
            number: of the command.
            takeover: whose targets.
            count: how many of them.
        """
        self._takes.append((number, takeover, count))

    @property
    def obedient(self) -> bool:
        """True once all commands are carried out."""
        return not self._commands

    def speak(self, client: Any, tyme: float, lease: float, room: int, beat: float) -> bool:
        """Send an order where none is under way and it is time to; tell whether it was.

        Args:
            client: a `distributed.Client`.
            tyme: now, in seconds.
            lease: tyme up to which polls may be begun.
            room: results that may wait for the coordinator.
            beat: seconds from one order to the next; a new command does not wait.
        """
        if self._call is not None or self._enlisted is None:
            return False
        urgent = bool(self._commands) and self._commands[-1][0] > self._told and not self.trouble
        if tyme - self.called < beat and not urgent:
            return False
        self._beat += 1
        self.called = tyme
        self.lease = lease
        self.room = room
        self.reserved = max(self.reserved, room)
        commands = tuple(self._commands)[:COMMANDS]
        order = Order(self._beat, tyme, lease, self.ack, room, commands)
        if commands:
            self._told = commands[-1][0]
        try:
            with client.as_current():
                self._call = self._enlisted.actor.exchange(order)
        except (RuntimeError, OSError, ValueError) as error:  # its key is lost
            self.trouble = str(error)
            return False
        return True

    def hear(self, tyme: float) -> Report | None:
        """Give the report that has come; None for none.

        Args:
            tyme: now, in seconds.
        """
        call = self._call
        if call is None or not call.done():
            return None
        self._call = None
        try:
            report: Report = call.result(timeout=1.0)
        except Exception as error:  # of the network or the worker: it is asked again
            self.trouble = f"{type(error).__name__}: {error}"
            return None
        self.heard = tyme
        self.trouble = ""
        self.reserved = max(self.room, report.kept)
        self.report = report._replace(batches=[])
        while self._commands and self._commands[0][0] <= report.applied:
            self._commands.popleft()
        return report

    def taken(self) -> list[TakeOver]:
        """Give the take-overs that are complete by what was carried out."""
        done = []
        applied = self.report.applied if self.report is not None else 0
        while self._takes and self._takes[0][0] <= applied:
            _, takeover, count = self._takes.popleft()
            if takeover.placed(count):
                done.append(takeover)
        return done

    def release(self) -> None:
        """Let Dask forget the actor."""
        self._enlisted = None
        self._call = None

    @property
    def calling(self) -> bool:
        """True while an order is under way."""
        return self._call is not None

    def rate(self, tyme: float) -> float:
        """Give its polls a second over the last few seconds.

        Args:
            tyme: now, in seconds.
        """
        marks = self._marks
        if tyme - marks[-1][0] >= 0.5:
            marks.append((tyme, self.figures.requests))
        while len(marks) > 2 and tyme - marks[0][0] > 5.0:
            marks.popleft()
        then, count = marks[0]
        return (self.figures.requests - count) / max(tyme - then, 1e-3)

    def row(self, tyme: float) -> dict[str, Any]:
        """Give what the live view shows.

        Args:
            tyme: now, in seconds.
        """
        report = self.report
        return {
            "worker": self.name,
            "targets": len(self.shares),
            "rate": self.rate(tyme),
            "requests": self.figures.requests,
            "failed": self.figures.failed,
            "flying": report.flying if report is not None else 0,
            "connections": report.connections if report is not None else 0,
            "stalled": report.stalled if report is not None else False,
            "silent": max(0.0, tyme - self.heard),
            "latencies": self.figures.latencies.percentiles(0.5, 0.95, 0.99),
        }

"""What a coordinator makes of reports and losses, without a cluster; with one: `test_fleet.py`."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from fasthio.fleetcoordinating import Coordinator
from fasthio.fleeterrors import FleetError, SchedulerError, WorkerError
from fasthio.fleetjoining import Enlisted
from fasthio.fleetledger import Figures, Share
from fasthio.fleetmembers import Member
from fasthio.fleetworker import Batch, Report
from fasthio.targets import TargetSpec

pytestmark = pytest.mark.engines  # not again on the other one


class Client:
    """What a coordinator asks of a `distributed.Client`."""

    status = "running"

    class scheduler:
        address = "tcp://127.0.0.1:1"

    def as_current(self) -> Any:
        return nullcontext()


class Actor:
    """An actor that never answers."""

    def exchange(self, order: Any) -> Any:
        return Future()


def report(applied: int = 0, **values: Any) -> Report:
    """Make a report of which only some things matter."""
    blank: dict[str, Any] = dict.fromkeys(Report._fields, 0)
    return Report(**{**blank, "batches": [], "ended": None, "applied": applied, **values})


class Fleet(Coordinator):
    """A coordinator whose threads do not run."""

    def __init__(self, *workers: str, out: tuple[str, ...] = (), stream: bool = True) -> None:
        super().__init__(Client())
        self._out, self._stream, self._bodies = out, stream, False
        self._patience, self._timeout, self._backlog, self._options = 2.0, 5.0, 1000, {}
        for worker in workers:
            self.join(worker)

    def join(self, name: str) -> Member:
        member = Member(name, f"tcp://{name}", Enlisted(Actor(), None), 0.0, 5.0)
        self._members[name] = member
        self._seen[member.address] = name
        return member

    def share(self, number: int, worker: str | None, **options: Any) -> Share:
        spec = TargetSpec(f"http://127.0.0.1:{number}/", **{"every": 1.0, **options})
        share = Share(number, spec, 0.0)
        self._shares[number] = self._labels[share.label] = share
        self._origins.setdefault(share.origin, {})[number] = share
        self._ever = True
        if worker is not None:
            share.worker = worker
            self._members[worker].shares[number] = share
        return share

    def notes(self) -> list[tuple[str, str]]:
        return [(event.kind, event.worker) for event in self._events]


def test_a_mistake_of_ours_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet("a")

    def broken(now: float) -> None:
        raise LookupError("of ours")

    monkeypatch.setattr(fleet, "_turn", broken)
    thread = threading.Thread(target=fleet._pump)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert isinstance(fleet.failure, FleetError)
    assert fleet.failure.code == "broken"
    assert "LookupError: of ours" in str(fleet.failure)
    assert fleet.notes() == [("ended", "")]


def test_a_scheduler_that_does_not_answer() -> None:
    fleet = Fleet("a")
    fleet._turn(5.4)
    with pytest.raises(SchedulerError, match="has not answered for 6 s") as caught:
        fleet._turn(5.6)
    assert caught.value.code == "scheduler-lost"


CAUSES: dict[str, Any] = {
    "its thread ended": report(ended="an error"),
    "its poller stands still": report(turned=-9.0),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_a_lost_worker_gives_back_what_it_had(cause: str) -> None:
    """What was removed meanwhile is closed; without targets there is nothing to take over."""
    fleet = Fleet("a", "b", "c")
    stays, goes = fleet.share(1, "a"), fleet.share(2, "a")
    goes.removed = 3.0
    for name in ("a", "b"):
        fleet._members[name].report = CAUSES[cause]
    fleet._find_lost(4.0)
    assert list(fleet._members) == ["c"]
    first, second = fleet._takeovers
    assert (first.targets, second.targets) == (2, 0)
    assert first.cause == second.cause == (CAUSES[cause].ended or cause)
    assert list(fleet._homeless) == [1]
    assert (stays.worker, stays.why) == (None, "lost-worker")
    assert list(fleet._shares) == [1]
    assert [(r.reason, r.number, r.count) for r in fleet._queue] == [("lost-worker", 0, 4)]
    fleet._place()
    (taken,) = fleet._members["c"].shares.values()
    assert (taken, stays.worker) == (stays, "c")
    assert not first.placed(0)
    fleet._members["c"].report = report(applied=1)
    assert fleet._members["c"].taken() == [first]


def test_a_worker_that_ends_as_it_was_told_is_not_lost() -> None:
    fleet = Fleet("a")
    fleet._members["a"].closing = True
    fleet._members["a"].report = report(ended="")
    fleet._find_lost(1.0)
    assert list(fleet._members) == ["a"]


def test_a_target_that_was_let_go_of() -> None:
    """What nobody has told of is missing; what the worker does not have any more is nothing new."""
    fleet = Fleet("a")
    member = fleet._members["a"]
    share, removed = fleet.share(1, "a"), fleet.share(2, "a")
    share.moving = removed.moving = True
    member.awaited, removed.removed = 2, 0.5
    left: Any = [(1, 3, None), (2, 1, None), (3, 0, None)]
    batch = Batch(*(None,) * len(Batch._fields))._replace(
        number=1, rows=[], runs=[], held={}, left=left, figures=Figures()
    )
    with fleet._changed:
        fleet._take_in(member, report(batches=[batch, batch]))  # the second time it came already
    assert (member.ack, member.awaited, member.shares) == (1, 0, {})
    assert (share.expected, share.gaps, share.why) == (3, [(0, 3)], "moved")
    assert list(fleet._homeless) == [1]
    assert [(r.reason, r.number, r.count) for r in fleet._queue] == [("removed", 0, 1)]


@pytest.mark.parametrize("stopping", [False, True])
def test_who_joins(stopping: bool) -> None:
    fleet = Fleet("a")
    share = fleet.share(1, "a")
    fleet._stopping = stopping
    fleet._seen.update({"tcp://b": "b", "tcp://c": "c", "tcp://d": "d"})
    outcomes: dict[str, Any] = {
        "b": Enlisted(None, None),
        "c": WorkerError("unfit", "tcp://c", "of another kind"),
        "d": OSError("went away"),
    }
    for name, outcome in outcomes.items():
        future: Future[Enlisted] = Future()
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
        fleet._enlisting[f"tcp://{name}"] = (name, future)
    fleet._welcome(1.0)
    assert sorted(fleet._members) == ["a", "b"]
    assert fleet.notes() == [("joined", "b"), ("refused", "c"), ("refused", "d")]
    assert fleet._refused == {"tcp://c"}  # the other one may come back
    assert fleet._members["b"].obedient is not stopping
    assert share.moving is (not stopping and not fleet._members["a"].obedient)


@pytest.mark.parametrize("stream", [False, True])
def test_what_no_worker_can_tell_of(stream: bool, tmp_path: Path) -> None:
    """It is in the summary, among the results and in the coordinator's own file."""
    fleet = Fleet(out=(str(tmp_path / "out.jsonl"),), stream=stream)
    fleet.share(1, None, count=3)
    fleet._stopping = True
    with fleet._changed:
        fleet._look_done(10.0)
    assert fleet._finished
    assert fleet._total.due == fleet._own.due == 3
    assert [(r.reason, r.count) for r in fleet._queue] == [("stopped", 3)] * stream
    fleet._pump()  # closes the file
    (file,) = tmp_path.iterdir()
    assert file.read_text().count("\n") == 1


def test_no_worker_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet("a")
    fleet.share(1, "a")
    member = fleet._members["a"]
    del fleet._seen[member.address]
    fleet._seen_at = 1.0
    fleet._find_lost(1.0)
    (takeover,) = fleet._takeovers
    fleet._look_done(1.0)  # others may come
    monkeypatch.setattr(takeover, "time", takeover.time - 7.0)
    with pytest.raises(WorkerError, match=r"none is left since: .*left the cluster"):
        fleet._look_done(1.0)

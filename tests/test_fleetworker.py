"""fleetworker: the actor and its thread, without a cluster; with one: `test_fleet.py`."""

from __future__ import annotations

import builtins
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fasthio import fleetworker
from fasthio.fleetworker import FleetActor, Order, Report, Sealed, Settings
from fasthio.sinks import SinkError
from fasthio.targets import TargetSpec
from fleets import Backend, wait_until

pytestmark = pytest.mark.engines  # not again on the other one
LEASE = 1e9


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    backend = Backend(2)
    yield backend
    backend.close()


class Worker:
    """An actor as its coordinator sees it."""

    def __init__(self, *out: Path, stream: bool = True) -> None:
        settings = Settings("w0", {"openings": 1e6}, tuple(map(str, out)), stream)
        self.actor = FleetActor(settings)
        self.beat = self.number = self.ack = 0
        self.batches: list[Any] = []

    def start(self) -> str:
        return self.actor.start(-time.monotonic(), LEASE)

    def order(self, what: str = "", payload: Any = None, lease: float = LEASE) -> Report:
        """Send an order, with a command or without."""
        self.beat += 1
        commands: tuple[Any, ...] = ()
        if what:
            self.number += 1
            commands = ((self.number, what, payload),)
        report = self.actor.exchange(Order(self.beat, 0.0, lease, self.ack, 10_000, commands))
        assert report.beat == self.beat
        for batch in report.batches:
            if batch.number == self.ack + 1:
                self.ack += 1
                self.batches.append(batch)
        return report

    def until_ended(self, lease: float = LEASE) -> str:
        return str(wait_until(lambda: self.order(lease=lease).ended, "the thread ends"))


@pytest.fixture(autouse=True)
def no_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no Dask worker whose end would end the thread."""
    monkeypatch.setattr(FleetActor, "_watch", lambda self, thread: None)


def take(url: str, share: int, **options: Any) -> tuple[str, Sealed]:
    """Have a target taken over from its first poll on."""
    pytest.importorskip("cloudpickle", reason="distributed is not installed")
    return "take", Sealed([(TargetSpec(url, **options), share, 0.0, 0, None, (), "")])


def test_targets_come_and_leave_and_are_accounted_for(backend: Backend, tmp_path: Path) -> None:
    worker = Worker(tmp_path / "r.jsonl")
    assert repr(worker.actor) == "<FleetActor w0>"
    with pytest.raises(RuntimeError, match="not started"):
        worker.order()
    worker.actor.end("nothing to end")  # harmless before the start
    assert worker.start() == ""
    for share, url in enumerate(backend.urls):
        worker.order(*take(url, share, every=0.01))
    wait_until(lambda: worker.order() and len(worker.batches) >= 2, "results")
    worker.order("leave", [0, 99])  # 99 is gone already
    wait_until(lambda: worker.order() and any(b.left for b in worker.batches), "it leaves")
    worker.order("remove", [1])
    wait_until(lambda: worker.order().targets == 0, "none is left")
    worker.order("stop")
    wait_until(lambda: worker.order().idle, "all is told")
    worker.order("close")
    assert worker.until_ended() == "closed"
    left = {share: first for batch in worker.batches for share, first, _ in batch.left}
    assert left.keys() == {0, 1}
    for share in (0, 1):
        runs = sorted(run[1:] for batch in worker.batches for run in batch.runs if run[0] == share)
        reached = 0
        for first, count in runs:  # each due poll once, in one run or another
            assert first == reached
            reached = first + count
        assert reached == left[share] > 0
    rows = [row for batch in worker.batches for row in batch.rows]
    (file,) = tmp_path.glob("r-w0.jsonl")
    assert len(file.read_text().splitlines()) == len(rows)


def test_nobody_gives_a_lease() -> None:
    """A worker that hears nothing more ends by itself, and says so to who asks later."""
    worker = Worker()
    assert worker.start() == ""
    assert worker.until_ended(lease=-1.0) == "nothing heard of the coordinator"


@pytest.mark.parametrize(
    ("name", "text"),
    [("r.jsonl/r.jsonl", "r.jsonl"), ("r.txt", "must end with one of .jsonl")],
)
def test_files_that_cannot_be(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "r.jsonl").write_text("")
    worker = Worker(tmp_path / name)
    assert text in worker.start()
    with pytest.raises(RuntimeError, match="not started"):
        worker.order()


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = builtins.__import__

    def refuse(name: str, *pa: Any, **kwa: Any) -> Any:
        if name.partition(".")[0] == "pyarrow":
            raise ImportError("No module named 'pyarrow'")
        return own(name, *pa, **kwa)

    monkeypatch.setattr(builtins, "__import__", refuse)
    wrong = Worker(tmp_path / "r.parquet").start()
    assert wrong == "Parquet needs pyarrow here: No module named 'pyarrow'"


def test_files_that_do_not_open_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleetworker, "OPEN", 0.01)
    opened = threading.Event()

    def open_files(self: object) -> str:
        opened.wait(60)
        return ""

    monkeypatch.setattr(fleetworker._Thread, "open_files", open_files)
    assert Worker().start() == "files are not open after 0.01 s"
    opened.set()


@pytest.mark.parametrize("when", ["poll", "end"])
@pytest.mark.parametrize(
    ("error", "text"),
    [(SinkError("the disk is full"), "the disk is full"), (KeyError("x"), "KeyError: 'x'")],
)
def test_what_goes_wrong_is_told(
    monkeypatch: pytest.MonkeyPatch, error: Exception, text: str, when: str
) -> None:
    """The thread ends, whatever it was, and who asks hears why."""
    worker = Worker()
    assert worker.start() == ""
    collect = fleetworker._Thread.collect

    def broken(self: Any, everything: bool) -> None:
        if everything is (when == "end"):
            raise error
        collect(self, everything)

    monkeypatch.setattr(fleetworker._Thread, "collect", broken)
    if when == "end":
        worker.order("close")
    assert worker.until_ended() == text


def test_runs_that_do_not_follow_each_other_are_told_one_by_one() -> None:
    gathered = fleetworker._Gathered()
    for first, end in ((0, 2), (2, 3), (5, 6), (6, 9)):
        gathered.run(7, first, end)
    later = fleetworker._Gathered()
    later.run(7, 9, 10)
    later.run(8, 0, 1)
    gathered.join(later)
    assert sorted(gathered.batch(1).runs) == [(7, 0, 3), (7, 5, 5), (8, 0, 1)]

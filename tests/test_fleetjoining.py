"""fleetjoining: what is wrong with a scheduler or a worker is named, whoever says so.

No cluster: a client that answers as told. With real ones: `test_fleet.py`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import fasthio
from fasthio import fleetjoining
from fasthio.fleeterrors import SchedulerError, WorkerError
from fasthio.fleetjoining import check, list_workers, wait_for

pytestmark = pytest.mark.engines  # not again on the other one
ADDRESS = "tcp://w:1"
HERE = ".".join(map(str, sys.version_info[:3]))


class Said:
    """A future that has an answer, or an error."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def result(self, timeout: float) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Cluster:
    """A `distributed.Client` that says what it is told to."""

    status = "running"

    def __init__(
        self,
        versions: Any = None,
        found: Any = None,
        workers: Any = None,
        identity: Callable[..., Any] | None = None,
    ) -> None:
        self.versions = {"host": {"python": HERE}} if versions is None else versions
        self.found = found
        self.workers = workers or {}
        self.scheduler = SimpleNamespace(
            address="tcp://s:1",
            identity=identity or self._identity,
            broadcast=self._broadcast,
        )

    async def _identity(self, n_workers: int = 0) -> Any:
        assert n_workers == -1  # of all workers, not of the first few
        return {"workers": self.workers}

    async def _broadcast(self, msg: Any, workers: Any) -> Any:
        if isinstance(self.versions, Exception):
            raise self.versions
        return {workers[0]: self.versions}

    def sync(self, call: Any, *pa: Any, callback_timeout: float = 0.0) -> Any:
        try:
            call(*pa).send(None)
        except StopIteration as end:
            return end.value
        raise AssertionError("it waits")

    def submit(self, call: Callable[[], Any], **_: Any) -> Said:
        return Said(call() if self.found is None else self.found)


def test_a_fit_worker() -> None:
    check(Cluster(), ADDRESS, 1.0)  # the probe runs here: what it finds is what there is


@pytest.mark.parametrize(
    ("told", "code", "text"),
    [
        ({"versions": TimeoutError()}, "silent", "does not answer within 2 s"),
        ({"versions": OSError("unreachable")}, "silent", "within 2 s (OSError: unreachable)"),
        ({"versions": "no such worker"}, "silent", "does not answer within 2 s"),
        ({"versions": {"host": {"python": "3.1.4"}}}, "python", "runs Python 3.1.4, here it is"),
        ({"found": ImportError("no fasthio")}, "missing", "no fasthio"),
        ({"found": TimeoutError("slow")}, "silent", "within 2 s (TimeoutError: slow)"),
        ({"found": KeyError("key")}, "broken", "KeyError: 'key'"),
        ({"found": {"fasthio": "missing: No module"}}, "missing", "has no fasthio (No module)"),
        ({"found": {"fasthio": "0.0.0"}}, "version", "has fasthio 0.0.0, here it is"),
    ],
)
def test_an_unfit_worker(told: dict[str, Any], code: str, text: str) -> None:
    with pytest.raises(WorkerError) as caught:
        check(Cluster(**told), ADDRESS, 2.0)
    assert (caught.value.code, caught.value.host) == (code, ADDRESS)
    assert text in str(caught.value)


def test_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells of packages, whatever keeps one from being imported; it needs nothing of ours."""
    probe = fleetjoining._make_probe()
    assert probe()["fasthio"] == fasthio.__version__
    assert probe()["hio"] == fleetjoining._own_version("hio")
    own = importlib.import_module

    def refuse(name: str, *pa: Any) -> Any:
        if name == "fasthio":
            raise ImportError("No module named 'fasthio'")
        if name == "hio":
            return SimpleNamespace()  # one that tells no version
        return own(name, *pa)

    monkeypatch.setattr(importlib, "import_module", refuse)
    found = probe()
    assert found["fasthio"] == "missing: No module named 'fasthio'"
    assert found["hio"] == fleetjoining._own_version("hio")


def test_workers_by_name() -> None:
    """Two of one name go by their addresses, and one that is not running is left out."""
    workers = {
        "tcp://a:1": {"name": "a", "status": "running"},
        "tcp://b:1": {"name": "twin"},
        "tcp://c:1": {"name": "twin"},
        "tcp://d:1": {"name": None},
        "tcp://e:1": {"name": "e", "status": "closing"},
    }
    assert list_workers(Cluster(workers=workers)) == {
        "tcp://a:1": "a",
        "tcp://b:1": "tcp://b:1",
        "tcp://c:1": "tcp://c:1",
        "tcp://d:1": "tcp://d:1",
    }


def test_a_scheduler_before_2025() -> None:
    async def identity(**options: Any) -> Any:
        if options:
            raise TypeError("identity() got an unexpected keyword argument 'n_workers'")
        return {"workers": {ADDRESS: {"name": "w"}}}

    assert list_workers(Cluster(identity=identity)) == {ADDRESS: "w"}


def test_waiting_for_workers() -> None:
    cluster = Cluster(workers={ADDRESS: {"name": "w"}})
    assert wait_for(cluster, 1, 0.0) == {ADDRESS: "w"}
    with pytest.raises(WorkerError, match="1 workers after 0 s, 2 are needed"):
        wait_for(cluster, 2, 0.0)
    cluster.status = "closed"
    with pytest.raises(SchedulerError, match="the scheduler is gone"):
        wait_for(cluster, 1, 0.0)


@pytest.mark.parametrize("error", [OSError("no port"), RuntimeError("no port")])
def test_a_local_cluster_that_does_not_come_up(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")

    def refuse(**_: Any) -> Any:
        raise error

    monkeypatch.setattr(distributed, "LocalCluster", refuse)
    with pytest.raises(SchedulerError) as caught, fleetjoining.local(1):
        pass
    assert (caught.value.code, caught.value.host) == ("unreachable", "local cluster")
    assert "no port" in str(caught.value)

"""The fleet on real clusters: a scheduler and workers, each a process on loopback.

The engine makes no difference here: this runs once, on the one the run has chosen.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import sqlite3
import sys
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="distributed is not installed: no fleet to test")

import fasthio
from fasthio import fleetjoining
from fasthio.fleet import Fleet, FleetError, SchedulerError, WorkerError, connect
from fasthio.fleetjoining import make_security
from fasthio.fleetmembers import FleetResult, Member
from fasthio.fleetworker import Sealed
from fasthio.sharing import share_out
from fasthio.targets import TargetSpec
from fleets import Backend, Cluster, serving, wait_until

pytestmark = [
    pytest.mark.engines,  # not again on the other one
    pytest.mark.skipif(sys.platform == "win32", reason="stops and goes on by signals of POSIX"),
    # of Dask's and tornado's own, as sockets of killed processes are left to the collector
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    backend = Backend(8)
    yield backend
    backend.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with serving(tmp_path_factory.mktemp("cluster"), "w0", "w1") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Iterator[Any]:
    client = connect(cluster.address, timeout=30)
    yield client
    client.close(timeout=2)


def specs_of(backend: Backend, **options: Any) -> list[TargetSpec]:
    return [
        TargetSpec(f"{url}/{number}", label=f"t{number}", **options)
        for number, url in enumerate(backend.urls)
    ]


def numbers_of(results: list[Any]) -> dict[str, list[int]]:
    """Give the numbers that are accounted for, by label."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for result in results:
        numbers[result["label"]] += range(result["number"], result["number"] + result["count"])
    return numbers


def read_lines(folder: Path) -> list[dict[str, Any]]:
    """Read all results files; each line has to be whole."""
    rows = []
    for path in folder.glob("*.jsonl"):
        text = path.read_text()
        assert text.endswith("\n") or not text
        rows += [{**json.loads(line), "file": path.stem} for line in text.splitlines()]
    return rows


def check_whole(rows: list[dict[str, Any]], labels: int) -> Counter[str]:
    """See that each due poll is accounted for; give how often each was, beyond once."""
    numbers = numbers_of(rows)
    assert len(numbers) == labels
    doubles: Counter[str] = Counter()
    for label, each in numbers.items():
        assert set(each) == set(range(max(each) + 1)), label
        doubles[label] = len(each) - len(set(each))
    return doubles


def finish(fleet: Fleet) -> list[FleetResult]:
    """Stop, and give what still comes."""
    fleet.stop()
    return list(fleet.results())


def test_same_account_as_one_poller(client: Any, backend: Backend) -> None:
    specs = [
        *specs_of(backend, every=0.1, count=6),
        TargetSpec(f"{backend.urls[0]}/503", label="failing", every=0.1, count=6),
        TargetSpec(f"{backend.urls[1]}/again", label="again", every=0.0, count=5),
        TargetSpec(f"{backend.urls[2]}/no", label="no", every=0.1, count=2, expect=404),
    ]

    def account(results: Any) -> dict[str, Any]:
        numbers: Counter[tuple[str, int]] = Counter()
        kinds: dict[str, set[Any]] = defaultdict(set)
        for result in results:
            for number in range(result.number, result.number + result.count):
                numbers[result.label, number] += 1
            if result.outcome != "skipped":
                headers = {name for name, _ in result.headers.items()}
                seen = (result.outcome, result.reason, result.status, bytes(result.body))
                kinds[result.label].add((*seen, frozenset(headers), result.attempts))
        return {"numbers": numbers, "kinds": dict(kinds)}

    alone = account(fasthio.poll(specs))
    with Fleet(client, workers=2) as fleet:
        fleet.add_all(specs)
        results = list(fleet.results())
        summary = fleet.summary()
    assert account(results) == alone
    assert set(alone["numbers"].values()) == {1}
    assert summary.total.due == sum(alone["numbers"].values())
    assert summary.doubles == 0
    assert not any(result.double for result in results)
    assert len({result.key for result in results}) == len(results)
    begun = [result for result in results if result.latency is not None]
    assert summary.total.requests == len(begun) == summary.total.latencies.count
    where = {result.label: result.worker for result in results}
    for share in fleet:
        assert where[share.label] == share_out(["w0", "w1"], share.origin)
    assert set(summary.workers) == {"w0", "w1"}


def test_files_of_each_worker(client: Any, backend: Backend, tmp_path: Path) -> None:
    out = [tmp_path / "r.jsonl", tmp_path / "r.sqlite"]
    with Fleet(client, out=out, workers=2) as fleet:
        fleet.add_all(specs_of(backend, every=0.05, count=10))
        assert list(fleet.results()) == []
        due = fleet.summary().total.due
    rows = read_lines(tmp_path)
    assert not +check_whole(rows, 8)
    assert due == 80 == sum(row["count"] for row in rows)
    assert {row["file"] for row in rows} == {"r-w0", "r-w1"}
    for name in ("w0", "w1"):
        database = sqlite3.connect(tmp_path / f"r-{name}.sqlite")
        count = database.execute("SELECT sum(count) FROM results").fetchone()[0]
        database.close()
        assert count == sum(row["count"] for row in rows if row["file"] == f"r-{name}")


def test_targets_come_and_go(client: Any, backend: Backend) -> None:
    specs = specs_of(backend, every=0.05)
    with Fleet(client) as fleet:
        shares = fleet.add_all(specs)
        with pytest.raises(ValueError, match="label is there already: 't0'"):
            fleet.add(specs[0])
        with pytest.raises(TypeError, match="expect cannot go to another process"):
            fleet.add(backend.urls[0], expect=lambda result: fleet)
        assert len(fleet) == 8
        seen: set[str] = set()
        for result in fleet.results():
            seen.add(result.label)
            if len(seen) == 8:
                break
        fleet.remove(shares[0])
        with pytest.raises(KeyError):
            fleet.remove(shares[0])
        added, gone = fleet.replace([*specs[2:], TargetSpec(f"{backend.urls[0]}/n", label="n")])
        assert [share.label for share in added] == ["n"]
        assert gone == [shares[1]]
        with pytest.raises(ValueError, match="label is there already: 't3'"):
            fleet.replace([specs[3], specs[3]])
        with pytest.raises(TypeError, match="expect cannot go to another process"):
            fleet.replace([TargetSpec(backend.urls[0], expect=lambda result: fleet)])
        assert len(fleet) == 7  # nothing was removed for what cannot be
        for result in fleet.results():
            if result.label == "n":
                break
        assert len(fleet) == 7
        finish(fleet)
    asked = backend.counts.copy()
    time.sleep(0.3)
    assert backend.counts == asked


def test_a_caller_that_falls_behind_stops_the_polls(client: Any, backend: Backend) -> None:
    with Fleet(client, backlog=40) as fleet:
        fleet.add_all(specs_of(backend, every=0.02))

        def stalled() -> Any:
            summary = fleet.summary()
            busy = [row for row in summary.rows if row["targets"]]
            return summary if busy and all(row["stalled"] for row in busy) else None

        summary = wait_until(stalled, "stalled")
        assert summary.total.requests <= 40
        asked = sum(backend.counts.values())
        time.sleep(0.3)
        assert sum(backend.counts.values()) <= asked + 8
        results = [fleet.take(10.0) for _ in range(200)]
        fleet.close()
        results += list(fleet.results())
    rows = [result.as_dict() for result in results if result is not None]
    assert not +check_whole(rows, 8)
    assert "backpressure" in {row["reason"] for row in rows}


def test_killed_worker_is_taken_over(
    client: Any, cluster: Cluster, backend: Backend, tmp_path: Path
) -> None:
    cluster.work("k")
    with Fleet(client, out=tmp_path / "r.jsonl", workers=3, patience=3.0, timeout=30) as fleet:
        fleet.add_all(specs_of(backend, every=0.05))
        mine = [share for share in fleet if share_out(["w0", "w1", "k"], share.origin) == "k"]
        others = {
            share.label: share_out(["w0", "w1", "k"], share.origin)
            for share in fleet
            if share not in mine
        }
        own = tmp_path / "r-k.jsonl"
        if mine:  # ports are drawn anew each time
            wait_until(lambda: own.exists() and own.stat().st_size, "results of k")
        cluster.kill("k")
        wait_until(lambda: fleet.summary().takeovers, "loss noticed")
        wait_until(lambda: fleet.summary().takeovers[0].resumed is not None, "taken over")
        paths = [f"{share.origin.port}/{share.label[1:]}" for share in fleet]
        asked = backend.counts.copy()
        wait_until(lambda: all(backend.counts[key] > asked[key] for key in paths), "polls go on")
        for share in fleet:
            if share.label in others:
                assert share.worker == others[share.label], "only its share moves"
            assert share.worker in ("w0", "w1")
        finish(fleet)
        summary = fleet.summary()
    (takeover,) = summary.takeovers
    assert (takeover.worker, takeover.targets) == ("k", len(mine))
    assert takeover.silent < 3.0
    assert "k: left the cluster" in "\n".join(summary.lines())
    rows = read_lines(tmp_path)
    doubles = check_whole(rows, 8)
    # what was written in its last second and not told may come twice, with the same key
    assert sum(doubles.values()) <= len(mine) * 25
    assert all(not count for label, count in doubles.items() if label in others)
    if mine:
        assert summary.total.skipped["lost-worker"] > 0


def test_stalled_worker_is_taken_over_and_comes_back(
    client: Any, cluster: Cluster, backend: Backend
) -> None:
    cluster.work("s")
    results = []
    with Fleet(client, workers=3, patience=1.0, timeout=30) as fleet:
        fleet.add_all(specs_of(backend, every=0.05))
        for result in fleet.results():
            results.append(result)
            if len(results) > 100:
                break
        cluster.send("s", signal.SIGSTOP)
        started = time.monotonic()
        for result in fleet.results():
            results.append(result)
            taken = fleet.summary().takeovers
            if taken and taken[0].resumed is not None:
                break
            assert time.monotonic() - started < 30
        assert taken[0].worker == "s"
        assert taken[0].cause.startswith("does not answer")
        assert taken[0].silent >= 1.0, "its lease is waited for"
        cluster.send("s", signal.SIGCONT)
        for result in fleet.results():
            results.append(result)
            kinds = [event.kind for event in fleet.summary().events if event.worker == "s"]
            if kinds[-1] == "joined" and len(kinds) > 2:
                break
            assert time.monotonic() - started < 60
        results += finish(fleet)
        summary = fleet.summary()
    cluster.kill("s")
    doubles = check_whole([result.as_dict() for result in results], 8)
    assert sum(doubles.values()) == summary.doubles
    assert any(result.double for result in results) == bool(summary.doubles)


def test_worker_that_joins_gets_its_share(client: Any, cluster: Cluster, backend: Backend) -> None:
    with Fleet(client, workers=2, timeout=30) as fleet:
        fleet.add_all(specs_of(backend, every=0.05))
        results = []
        wins = [share_out(["w0", "w1", "j"], share.origin) == "j" for share in fleet]
        before = {share.label: share_out(["w0", "w1"], share.origin) for share in fleet}
        for result in fleet.results():
            results.append(result)
            if len(results) == 100:
                cluster.work("j")
            summary = fleet.summary()
            if "j" in summary.workers and summary.moved == sum(wins):
                if {share.worker for share, win in zip(fleet, wins, strict=True) if win} <= {"j"}:
                    break
        for share, win in zip(fleet, wins, strict=True):
            assert share.worker == ("j" if win else before[share.label])
        results += finish(fleet)
        summary = fleet.summary()
    cluster.kill("j")
    assert not +check_whole([result.as_dict() for result in results], 8), "handed over once"
    assert summary.doubles == 0
    assert "lost-worker" not in summary.total.skipped
    for label in before:
        workers = [result.worker for result in results if result.label == label]
        assert sum(one != two for one, two in itertools.pairwise(workers)) <= 1


def test_worker_that_hears_nothing_completes_its_files(
    client: Any, backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Fleet(client, out=tmp_path / "r.jsonl", workers=2, patience=1.0)
    try:
        fleet.add_all(specs_of(backend, every=0.05))
        wait_until(lambda: fleet.summary().total.requests > 20, "polls")
        monkeypatch.setattr(Member, "speak", lambda *_: False)
        asked = [-1]

        def quiet() -> bool:
            last, asked[0] = asked[0], sum(backend.counts.values())
            time.sleep(0.5)
            return asked[0] == last

        wait_until(quiet, "nobody polls")
        assert not +check_whole(read_lines(tmp_path), 8)
    finally:
        monkeypatch.undo()
        fleet.close()


def test_backoff_and_retry_after_go_along(client: Any, cluster: Cluster, backend: Backend) -> None:
    """A target that asked for peace is left in peace by whoever takes it over."""
    cluster.work("r")
    with Fleet(client, workers=3, timeout=30, patience=3.0) as fleet:
        fleet.add_all(TargetSpec(f"{url}/503-retry", label=url, every=0.05) for url in backend.urls)
        paths = [f"{share.origin.port}/503-retry" for share in fleet]
        wait_until(lambda: all(backend.counts[path] for path in paths), "first polls")
        wait_until(lambda: fleet.summary().total.requests >= 8, "told")
        cluster.kill("r")
        wait_until(
            lambda: [each for each in fleet.summary().takeovers if each.resumed is not None],
            "taken over",
        )
        time.sleep(0.3)
        assert [backend.counts[path] for path in paths] == [1] * 8
        rows = [result.as_dict() for result in finish(fleet)]
    assert {row["reason"] for row in rows} >= {"status-503", "retry-after"}
    assert not +check_whole(rows, 8)


def test_secrets_are_nowhere(client: Any, cluster: Cluster, backend: Backend) -> None:
    secret = "Bearer 7f3c1e9a"
    url = backend.urls[0]
    with Fleet(client) as fleet:
        share = fleet.add(f"{url}/secret", count=1, headers={"Authorization": secret})
        (result,) = fleet.results()
        assert result.ok
        shown = [repr(share), repr(result), repr(fleet), str(fleet.summary().lines())]
        shown.append(repr(Sealed([share.spec])))
        shown.append(repr(client.story(*client.futures)))
    assert any(each.get("Authorization") == secret for each in backend.headers)
    for path in cluster.folder.glob("*.log"):
        shown.append(path.read_text())
    assert not [text for text in shown if "7f3c1e9a" in text]


def test_files_that_cannot_be_opened(client: Any, tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"tcp://127.0.0.1:\d+: .*none.*No such file") as caught:
        Fleet(client, out=tmp_path / "none" / "r.jsonl")
    assert caught.value.code == "files"
    with pytest.raises(WorkerError, match="must end with one of"):
        Fleet(client, out=tmp_path / "r.txt")


def test_options(client: Any) -> None:
    with pytest.raises(TypeError, match="no such option: clock"):
        Fleet(client, clock=None)
    with pytest.raises(ValueError, match="patience must be from"):
        Fleet(client, patience=0.0)
    with pytest.raises(ValueError, match="backlog"):
        Fleet(client, backlog=0)


def test_calls_that_cannot_be(client: Any, backend: Backend) -> None:
    (url, *_) = backend.urls
    with Fleet(client) as fleet:
        assert not len(fleet)
        assert fleet  # also without targets: `fleet or other` means this one
        with pytest.raises(TypeError, match="options are in the TargetSpec already"):
            fleet.add(TargetSpec(url), every=2.0)
        fleet.add(url, every=9.0)
        fleet.stop()
        fleet.stop()  # harmless
        with pytest.raises(FleetError, match="is stopping") as caught:
            fleet.add(f"{url}/late")
        assert caught.value.code == "ended"
        assert {result.label for result in fleet.results()} <= {url}


def test_other_python(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Newer:
        version_info = (3, 99, 0)

    monkeypatch.setattr(fleetjoining, "sys", Newer)
    with pytest.raises(
        WorkerError, match=r"tcp://127.0.0.1:\d+: runs Python 3\..*, here"
    ) as caught:
        Fleet(client)
    assert caught.value.code == "python"


@pytest.mark.parametrize(
    ("code", "line", "text"),
    [
        ("version", "__version__ = '0.0.1'", "has fasthio 0.0.1, here it is"),
        ("missing", "raise ImportError('no fasthio here')", "has no fasthio"),
    ],
)
def test_unfit_worker(
    client: Any, cluster: Cluster, backend: Backend, tmp_path: Path, code: str, line: str, text: str
) -> None:
    """Before anything is polled it is an error; while polling goes on it is left out."""
    (tmp_path / "fasthio").mkdir()
    (tmp_path / "fasthio" / "__init__.py").write_text(line + "\n")
    with Fleet(client, workers=2) as fleet:
        cluster.work("unfit", PYTHONPATH=str(tmp_path))
        try:
            wait_until(
                lambda: [each for each in fleet.summary().events if each.kind == "refused"],
                "refused",
            )
            event = fleet.summary().events[-1]
            assert event.worker == "unfit"
            assert text in event.text
            with pytest.raises(WorkerError, match=text) as caught:
                Fleet(client, workers=3)
            assert caught.value.code == code
            assert caught.value.host.startswith("tcp://127.0.0.1:")
        finally:
            cluster.kill("unfit")
    wait_until(lambda: len(fleetjoining.list_workers(client)) == 2, "it is gone")


def test_local_cluster_takes_no_port_that_is_known() -> None:
    """Another cluster, or anything else on Dask's port, is no matter."""
    with socket.socket() as other, warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*already in use")
        with contextlib.suppress(OSError):  # taken already: as good
            other.bind(("127.0.0.1", 8787))
            other.listen()
        with fleetjoining.local(1) as client:
            assert client.cluster.scheduler.http_server.port != 8787
            assert list(client.run(os.getpid))


def test_unreachable_scheduler() -> None:
    with socket.socket() as probe:  # bound and not listening: refused
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        # Dask tells of its last attempt, which its time limit may have ended
        told = r"no scheduler answers: .*(refused|Timed out)"
        with pytest.raises(SchedulerError, match=told) as caught:
            connect(address, timeout=0.5)
    assert (caught.value.code, caught.value.host) == ("unreachable", address)


def test_scheduler_loss(backend: Backend, tmp_path: Path) -> None:
    folder = tmp_path / "cluster"
    folder.mkdir()
    with serving(folder) as cluster:
        client = connect(cluster.address, timeout=30)
        try:
            with pytest.raises(WorkerError, match=r"0 workers after 0\.2 s, 1 are needed"):
                Fleet(client, timeout=0.2)
            cluster.work("w0")
            out = [tmp_path / "r.jsonl", tmp_path / "r.sqlite"]
            fleet = Fleet(client, out=out, timeout=30)
            try:
                fleet.add_all(specs_of(backend, every=0.05))
                wait_until(lambda: fleet.summary().total.requests > 50, "polls")
                cluster.kill("scheduler")
                with pytest.raises(SchedulerError, match="the scheduler has gone") as caught:
                    list(fleet.results())
                assert caught.value.host == cluster.address
                with pytest.raises(SchedulerError):
                    fleet.add(backend.urls[0])
            finally:
                fleet.close()
            # the worker ends, too, and has completed its files before
            wait_until(lambda: cluster.processes["w0"].poll() is not None, "worker ends")
        finally:
            client.close(timeout=1)
    rows = read_lines(tmp_path)
    assert not +check_whole(rows, 8)
    assert sum(row["count"] for row in rows) >= fleet.summary().total.due
    assert {"stopped"} <= {row["reason"] for row in rows} or rows, "closed in order"
    database = sqlite3.connect(tmp_path / "r-w0.sqlite")
    assert database.execute("SELECT count(*) FROM results").fetchone()[0] == len(rows)
    database.close()
    assert not (tmp_path / "r-w0.sqlite-wal").exists(), "the database was closed"


def test_tls(backend: Backend, tmp_path: Path) -> None:
    import trustme

    authority = trustme.CA()
    ca, pem = str(tmp_path / "ca.pem"), str(tmp_path / "own.pem")
    authority.cert_pem.write_to_path(ca)
    own = authority.issue_cert("127.0.0.1", "localhost")
    own.private_key_and_cert_chain_pem.write_to_path(pem)
    other = str(tmp_path / "other.pem")
    trustme.CA().cert_pem.write_to_path(other)
    options = ("--tls-ca-file", ca, "--tls-cert", pem, "--tls-key", pem)
    with serving(tmp_path, "w0", tls=options) as cluster:
        assert cluster.address.startswith("tls://")
        with pytest.raises(SchedulerError, match=r"SSL|certificate") as caught:
            connect(cluster.address, security=make_security(other, pem, pem), timeout=1)
        assert caught.value.host == cluster.address
        client = connect(cluster.address, security=make_security(ca, pem, pem), timeout=30)
        try:
            with Fleet(client, timeout=30) as fleet:
                fleet.add(f"{backend.urls[0]}/tls", every=0.05, count=3)
                results = list(fleet.results())
        finally:
            client.close(timeout=2)
    assert sum(result.count for result in results) == 3
    assert results[0].body == b"/tls"

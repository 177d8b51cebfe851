"""fleetrun: the command `fasthio poll` with `--scheduler` and `--workers`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from fasthio.cli import main
from fasthio.fleeterrors import FleetError
from fasthio.fleetrun import FleetRun
from fasthio.targetfile import TargetsFile
from fleets import SOURCE, Backend, Cluster, serving, wait_until

URL = "http://127.0.0.1:9/"


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    backend = Backend(4)
    yield backend
    backend.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with serving(tmp_path_factory.mktemp("cluster"), "w0", "w1") as cluster:
        yield cluster


def start(*arguments: str, alone: bool = False) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "fasthio", "poll", *arguments],
        env={**os.environ, "PYTHONPATH": str(SOURCE)}, start_new_session=alone,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.engines
@pytest.mark.skipif(sys.platform == "win32", reason="ends by a signal of POSIX")
def test_scheduler(cluster: Cluster, backend: Backend, tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="distributed is not installed")
    targets = tmp_path / "targets.txt"
    targets.write_text("".join(f"{url}/a\n" for url in backend.urls[:3]))
    lines, out = tmp_path / "all.json", tmp_path / "r.jsonl"
    run = start(
        "--targets", str(targets), "--every", "0.05", "--scheduler", cluster.address,
        "--json", str(lines), "--out", str(out), "--histogram",
    )  # fmt: skip
    try:
        wait_until(lambda: lines.exists() and lines.stat().st_size > 2_000, "results")
        targets.write_text("".join(f"{url}/a\n" for url in backend.urls))
        key = f"{backend.servers[3].server_port}/a"
        wait_until(lambda: backend.counts[key], "the new target is polled")
        run.send_signal(signal.SIGINT)
        shown, wrong = run.communicate(timeout=60)
    finally:
        run.kill()
    assert run.returncode == 0, wrong
    assert "1 targets added, 0 removed" in shown
    assert "ending: polls under way go on" in shown
    assert "requests  " in shown
    assert "Total count" in shown
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    files = [line for path in tmp_path.glob("r-w*.jsonl") for line in path.read_text().splitlines()]
    assert len(files) == len(rows)
    assert {row["url"] for row in rows} == {f"{url}/a" for url in backend.urls}


@pytest.mark.engines
def test_workers(backend: Backend) -> None:
    pytest.importorskip("distributed", reason="distributed is not installed")
    run = start(*(f"{url}/503" for url in backend.urls), "--workers", "2", "--json", "-")
    try:
        shown, told = run.communicate(timeout=90)
    finally:
        run.kill()
    rows = [json.loads(line) for line in shown.splitlines()]
    assert [row["reason"] for row in rows] == ["status-503"] * 4
    assert "failures  4 (status-503 4)" in told
    assert run.returncode == 1


@pytest.mark.engines
@pytest.mark.skipif(sys.platform == "win32", reason="ends by a signal of POSIX")
def test_an_interrupt_of_a_terminal_ends_no_worker(backend: Backend, tmp_path: Path) -> None:
    """A terminal sends Ctrl-C to the workers, too: polls under way go on all the same."""
    pytest.importorskip("distributed", reason="distributed is not installed")
    lines = tmp_path / "all.json"
    urls = [f"{url}/a" for url in backend.urls]
    run = start(*urls, "--every", "0.05", "--workers", "2", "--json", str(lines), alone=True)
    try:
        wait_until(lambda: lines.exists() and lines.stat().st_size > 2_000, "results")
        os.killpg(run.pid, signal.SIGINT)
        shown, told = run.communicate(timeout=60)
    finally:
        run.kill()
    assert (run.returncode, told) == (0, "")
    assert "ending: polls under way go on" in shown
    assert "is lost" not in shown
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert {row["reason"] for row in rows} <= {"", "stopped"}


@pytest.mark.engines
def test_unreachable(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="distributed is not installed")
    import socket

    from fasthio import fleetjoining

    connect = fleetjoining.connect
    monkeypatch.setattr(
        fleetjoining, "connect", lambda address, security: connect(address, timeout=0.3)
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        assert main(["poll", URL, "--scheduler", address]) == 1
    assert f"error: {address}: no scheduler answers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--scheduler", "localhost:8786"], "must be tcp://HOST:PORT or tls://HOST:PORT"),
        (["--scheduler", "tcp://host:0"], "must be tcp://HOST:PORT"),
        (["--scheduler", "tcp://host:x"], "must be a whole number"),
        (["--scheduler", "tcp://h:1", "--workers", "2"], "not allowed with"),
        (["--workers", "0"], "at least 1"),
        (["--scheduler", "tls://h:1", "--tls-ca", "ca.pem"], "needs --tls-ca, --tls-cert and"),
        (["--scheduler", "tcp://h:1", "--tls-cert", "c.pem"], "needs --scheduler tls://"),
        (["--tls-key", "k.pem"], "needs --scheduler tls://"),
        (["--workers", "1", "--plot", "x.svg"], "--plot: not with --scheduler or --workers"),
        (["--workers", "1", "--metrics", "0"], "--metrics: not with --scheduler or --workers"),
    ],
)
def test_options_that_cannot_be(
    capsys: pytest.CaptureFixture[str], options: list[str], text: str
) -> None:
    try:
        status: object = main(["poll", URL, *options])
    except SystemExit as error:
        status = error.code
    assert status == 2
    assert text in capsys.readouterr().err


def test_without_the_package(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["poll", URL, "--workers", "2"]) == 2
    assert "--workers: needs distributed (pip install 'fasthio[fleet]')" in capsys.readouterr().err


def test_the_package_is_imported_only_for_a_fleet() -> None:
    code = (
        "import sys, fasthio.cli, fasthio.fleet, fasthio.fleetrun, fasthio.fleetview\n"
        "print([name for name in ('distributed', 'dask', 'cloudpickle', 'pyarrow')"
        " if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(SOURCE)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


class Notes:
    """A view that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def refresh(self, summary: object) -> None:
        pass


class ShortFleet:
    """A fleet that ends at once, or fails."""

    def __init__(self, failure: FleetError | None = None, results: int = 0) -> None:
        self.failure = failure
        self.done = self.stopping = True
        self.closed = False
        self.left = results

    def take(self, seconds: float) -> int | None:
        self.left -= 1
        return self.left if self.left >= 0 else None

    def replace(self, specs: object) -> object:
        raise ValueError("label is there already: 'a'")

    def summary(self) -> SimpleNamespace:
        return SimpleNamespace(events=[])

    def close(self) -> None:
        self.closed = True


def test_a_fleet_that_fails_is_closed_and_told_of() -> None:
    failure = FleetError("ended", "tcp://s:1", "the scheduler has gone")
    fleet = ShortFleet(failure)
    with pytest.raises(FleetError, match="the scheduler has gone"):
        FleetRun(fleet, Notes()).run()
    assert fleet.closed


def test_elsewhere_than_in_the_main_thread_signals_are_left_alone() -> None:
    fleet = ShortFleet()
    before = signal.getsignal(signal.SIGINT)
    during: list[object] = []
    run = FleetRun(fleet, Notes())
    run._loop = lambda: during.append(signal.getsignal(signal.SIGINT))  # type: ignore[method-assign]
    thread = threading.Thread(target=run.run)
    thread.start()
    thread.join(60)
    assert during == [before]
    assert fleet.closed


def test_results_that_keep_coming_do_not_hold_up_the_view(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(1000))
    monkeypatch.setattr("fasthio.fleetrun.time.monotonic", lambda: float(next(now)))
    fleet = ShortFleet(results=100)
    run = FleetRun(fleet, Notes())
    run._take(1.0)
    assert fleet.left == 99  # one, and its time was up
    run._take(0.0)  # at the end all are taken
    assert fleet.left == -1


def test_events_of_one_time_are_all_told() -> None:
    view = Notes()
    run = FleetRun(ShortFleet(), view)
    events = [SimpleNamespace(time=1.0, text=f"{name} is there") for name in ("w0", "w1")]
    run.fleet.summary = lambda: SimpleNamespace(events=events)  # type: ignore[method-assign]
    run._show()
    run._show()
    assert view.said == ["w0 is there", "w1 is there"]


def test_targets_that_cannot_be_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "targets.txt"
    path.write_text("http://a.test/\n")
    file = TargetsFile(path)
    view = Notes()
    run = FleetRun(ShortFleet(), view, file=file)
    run._look(file)
    assert view.said == []  # it has not changed
    for text in ("http://b.test/\n", "ftp://b.test/ and more\n"):
        path.write_text(text)
        run._look(file)
    assert view.said[0] == "label is there already: 'a'; the targets stay as they are"
    assert view.said[1].endswith("; the targets stay as they are")
    assert str(path) in view.said[1]


def test_interrupted_before_polling(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed", reason="distributed is not installed")

    def interrupt(options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fasthio.fleetrun.open_cluster", interrupt)
    assert main(["poll", URL, "--workers", "1"]) == 1
    assert capsys.readouterr().err == "interrupted\n"

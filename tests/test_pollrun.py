"""pollrun, metrics and plotting: what goes on round a poller."""

from __future__ import annotations

import errno
import os
import threading
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fasthio import demo, pollrun
from fasthio.metrics import Metrics
from fasthio.plotting import draw_latency
from fasthio.polling import Poller, TargetSpec
from fasthio.pollrun import PollRun
from fasthio.pollview import Totals
from fasthio.results import PollResult
from fasthio.sinks import JsonSink, SinkError
from fasthio.targetfile import TargetsFile


@pytest.fixture(scope="module")
def root() -> Iterator[str]:
    with demo.serving() as root:
        yield root


class Notes:
    """A view that keeps what it is told."""

    def __init__(self) -> None:
        self.results: list[PollResult] = []
        self.said: list[str] = []
        self.broken = False

    def show(self, result: PollResult) -> None:
        if self.broken:
            raise BrokenPipeError
        self.results.append(result)

    def say(self, text: str) -> None:
        self.said.append(text)

    def refresh(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_runs_to_the_end(root: str, tmp_path: Path) -> None:
    view, totals = Notes(), Totals()
    sink = JsonSink(tmp_path / "r.jsonl")
    specs = [TargetSpec(f"{root}/json", every=0.02, count=3), TargetSpec(f"{root}/x", count=1)]
    run = PollRun(Poller(), specs, totals, view, sinks=[sink])
    run.run()
    assert run.failure is None
    assert sum(result.count for result in view.results) == 4
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == len(view.results)
    assert totals.all.failures == {"status-404": 1}


def test_duration_ends_it(root: str) -> None:
    view = Notes()
    PollRun(Poller(), [TargetSpec(f"{root}/json", every=0.01)], Totals(), view, duration=0.2).run()
    assert sum(result.count for result in view.results) >= 15


def test_targets_are_reloaded(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pollrun, "LOOK", 0.01)
    path = tmp_path / "targets.txt"
    path.write_text(f"{root}/json\n{root}/chunked\n")
    file = TargetsFile(path, {"every": 0.02})
    poller, totals = Poller(), Totals()
    seen: set[str] = set()

    class Steps(Notes):
        step = 0

        def refresh(self) -> None:
            seen.update(result.url for result in self.results)
            if self.step == 0 and len(seen) == 2:
                path.write_text("nonsense\n")
                self.step = 1
            elif self.step == 1 and any("stay as they are" in text for text in self.said):
                assert len(poller) == 2
                path.write_text(f"{root}/json\n{root}/events\n# and no more\n")
                self.step = 2
            elif self.step == 2 and len(seen) == 3:
                self.step = 3
                poller.stop()

    view = Steps()
    PollRun(poller, file.specs, totals, view, file=file).run()
    assert view.step == 3
    assert f"{path}, line 1, url: " in view.said[0]
    assert "1 targets added, 1 removed" in view.said[1]
    assert f"{root}/chunked" not in totals.each


def test_a_full_disk_ends_it_in_order(root: str, tmp_path: Path) -> None:
    class Full(JsonSink):
        flushes = 0

        def flush(self) -> None:
            Full.flushes += 1
            if self._gathered:
                raise SinkError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    view = Notes()
    run = PollRun(
        Poller(),
        [TargetSpec(f"{root}/json", every=0.02)],
        Totals(),
        view,
        sinks=[Full(tmp_path / "r.jsonl")],
    )
    run.run()
    assert run.failure is not None
    assert "space" in run.failure
    assert view.results


def test_a_reader_that_goes_costs_no_written_result(root: str, tmp_path: Path) -> None:
    view = Notes()
    view.broken = True
    path = tmp_path / "r.jsonl"
    run = PollRun(
        Poller(), [TargetSpec(f"{root}/json", every=0.01)], Totals(), view, sinks=[JsonSink(path)]
    )
    with pytest.raises(BrokenPipeError):
        run.run()
    assert path.read_text().endswith("\n")


def test_elsewhere_than_in_the_main_thread_signals_are_left_alone(root: str) -> None:
    view = Notes()
    run = PollRun(Poller(), [TargetSpec(f"{root}/json", count=1)], Totals(), view)
    thread = threading.Thread(target=run.run)
    thread.start()
    thread.join(60)
    assert len(view.results) == 1


def test_metrics(root: str) -> None:
    pytest.importorskip("prometheus_client")
    poller, totals = Poller(), Totals()
    metrics = Metrics(poller, totals, 0)
    shown: list[str] = []

    class Asks(Notes):
        def refresh(self) -> None:
            # one that was skipped, on a machine that has no time, has no latency
            made = [result.label for result in self.results if result.latency is not None]
            if not shown and len(made) >= 4 and len(set(made)) == 2:
                url = f"http://127.0.0.1:{metrics.port}/metrics"
                with urllib.request.urlopen(url, timeout=30) as response:
                    shown.append(response.read().decode())
                poller.stop()

    specs = [TargetSpec(f"{root}/{path}", every=0.05, label=path) for path in ("json", "none")]
    try:
        PollRun(poller, specs, totals, Asks()).run()
    finally:
        metrics.close()
    lines: dict[str, Any] = {}
    for line in shown[0].splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            lines[name] = float(value)
    assert lines['fasthio_polls_total{outcome="ok"}'] >= 1
    assert lines['fasthio_poll_failures_total{reason="status-404"}'] >= 1
    assert lines["fasthio_targets"] == 2
    assert lines['fasthio_target_up{target="json"}'] == 1
    assert lines['fasthio_target_up{target="none"}'] == 0
    count = lines["fasthio_poll_latency_seconds_count"]
    assert lines['fasthio_poll_latency_seconds_bucket{le="+Inf"}'] == count >= 4
    bounds = [value for name, value in lines.items() if "bucket" in name]
    assert bounds == sorted(bounds)


def test_metrics_port_that_is_taken() -> None:
    pytest.importorskip("prometheus_client")
    first = Metrics(Poller(), Totals(), 0)
    try:
        with pytest.raises(OSError, match="in use"):
            Metrics(Poller(), Totals(), first.port)
    finally:
        first.close()


@pytest.mark.parametrize("count", [0, 1, 3000])
def test_plot(root: str, tmp_path: Path, count: int) -> None:
    totals = Totals()
    for number in range(count):
        latency = 0.001 * (1 + number % 97)
        totals.all.latencies.add(latency)
        totals.timeline.add(number / 10, latency)
    path = tmp_path / "latency.svg"
    draw_latency(path, totals)
    svg = ET.fromstring(path.read_text())
    names = [element.tag.rpartition("}")[2] for element in svg.iter()]
    assert names.count("text") >= 2
    assert ("polyline" in names) == (count > 0)
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError):
        draw_latency(tmp_path / "none" / "latency.svg", totals)


@pytest.mark.parametrize("error", [SinkError("r.csv: the disk is full"), BrokenPipeError()])
def test_a_sink_that_refuses_a_result_ends_the_run(root: str, error: Exception) -> None:
    class Full:
        def write(self, result: PollResult) -> None:
            raise error

    view = Notes()
    run = PollRun(
        Poller(), [TargetSpec(f"{root}/json", every=0.01)], Totals(), view, sinks=[Full()]
    )
    if isinstance(error, SinkError):
        run.run()
        assert run.failure == "r.csv: the disk is full"
        assert view.results  # who looks on has them all the same
    else:
        with pytest.raises(BrokenPipeError):
            run.run()

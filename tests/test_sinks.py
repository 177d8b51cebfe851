"""Files of results: whole lines and rows, whatever happens."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fasthio.results import Latency, PollResult
from fasthio.sinks import COLUMNS, CsvSink, JsonSink, SinkError, SqliteSink, open_sink
from fasthio.targets import Target, TargetSpec

TARGET = Target(TargetSpec("http://a.test/x", label='it, "quoted"'))


def result(number: int, **kwa: Any) -> PollResult:
    return PollResult(
        TARGET,
        kwa.pop("outcome", "ok"),
        due=number * 1.5,
        number=number,
        started=1_700_000_000.25 + number,
        latency=Latency(None, 0.001, 0.002),
        status=200,
        attempts=1,
        **kwa,
    )


def rows(path: Path) -> list[dict[str, Any]]:
    """Read any of the kinds back."""
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    if path.suffix == ".csv":
        with path.open(newline="") as stream:
            return list(csv.DictReader(stream))
    database = sqlite3.connect(path)
    try:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute("SELECT * FROM results ORDER BY number")]
    finally:
        database.close()


KINDS = ["r.jsonl", "r.csv", "r.sqlite"]


@pytest.mark.parametrize("name", KINDS)
class TestKinds:
    def test_holds_what_the_results_say(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        sink = open_sink(path)
        sink.write(result(0))
        sink.write(result(1, outcome="error", reason="reset", error='line 1\nline "2"'))
        sink.close()
        one, two = rows(path)
        assert list(one) == list(COLUMNS)
        assert (one["label"], one["url"], one["outcome"]) == (TARGET.label, TARGET.url, "ok")
        assert one["time"] == "2023-11-14T22:13:20.250000+00:00"
        assert float(one["latency"]) == 0.002
        assert one["connect"] in (None, "")
        assert int(two["number"]) == 1
        assert two["error"].startswith("line 1")

    def test_nothing_is_written_before_it_is_flushed_and_then_all(
        self, tmp_path: Path, name: str
    ) -> None:
        path = tmp_path / name
        sink = open_sink(path)
        for number in range(10):
            sink.write(result(number))
        assert rows(path) == []
        sink.flush()
        assert len(rows(path)) == 10
        sink.flush()
        sink.close()
        sink.close()
        assert len(rows(path)) == 10

    def test_goes_on_with_what_is_there(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        for number in range(3):
            sink = open_sink(path)
            sink.write(result(number))
            sink.close()
        assert [int(row["number"]) for row in rows(path)] == [0, 1, 2]

    def test_a_killed_program_leaves_whole_rows(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        program = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_sinks import result
from fasthio.sinks import open_sink
sink = open_sink({str(path)!r})
for number in range(5000):
    sink.write(result(number, error="x" * 300))
    if number == 3000:
        sink.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""
        done = subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
        assert done.returncode == -signal.SIGKILL
        found = rows(path)
        assert len(found) >= 3001
        assert [int(row["number"]) for row in found] == list(range(len(found)))
        sink = open_sink(path)
        sink.write(result(len(found)))
        sink.close()
        assert len(rows(path)) == len(found) + 1

    def test_what_cannot_be_opened(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(SinkError, match=name):
            open_sink(tmp_path / "none" / name)

    def test_what_is_something_else(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        path.write_text("no results here" if name != "r.csv" else "a,b\r\n1,2\r\n")
        with pytest.raises(SinkError):
            open_sink(path)


@pytest.mark.parametrize("kind", [JsonSink, CsvSink])
class TestLines:
    def test_half_a_line_at_the_end_is_cut_off(self, tmp_path: Path, kind: Any) -> None:
        path = tmp_path / ("r.jsonl" if kind is JsonSink else "r.csv")
        sink = kind(path)
        sink.write(result(0))
        sink.close()
        whole = path.read_bytes()
        path.write_bytes(whole + b'{"time": "20')
        sink = kind(path)
        sink.write(result(1))
        sink.close()
        assert path.read_bytes().startswith(whole)
        assert [int(row["number"]) for row in rows(path)] == [0, 1]

    def test_a_full_disk_leaves_whole_lines_and_loses_nothing(
        self, tmp_path: Path, kind: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / ("r.jsonl" if kind is JsonSink else "r.csv")
        sink = kind(path)
        for number in range(10):
            sink.write(result(number))
        write = os.write
        calls = []

        def full(fd: int, data: Any) -> int:
            calls.append(len(data))
            if len(calls) == 1:
                return write(fd, data[:1000])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(SinkError, match="space"):
            sink.flush()
        assert path.read_bytes().endswith(b"\n")
        assert 0 < len(rows(path)) < 10
        monkeypatch.setattr(os, "write", write)
        sink.close()
        assert [int(row["number"]) for row in rows(path)] == list(range(10))

    def test_much_is_written_at_once(
        self, tmp_path: Path, kind: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("fasthio.sinks.MOST", 1000)
        path = tmp_path / "r.csv"
        sink = kind(path)
        for number in range(50):
            sink.write(result(number))
            assert len(sink._gathered) < 1000
        sink.close()


def test_a_database_that_is_locked_keeps_the_rows_for_later(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    sink = SqliteSink(path)
    sink._database.execute("PRAGMA busy_timeout=0")  # type: ignore[union-attr]
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    sink.write(result(0))
    with pytest.raises(SinkError, match="locked"):
        sink.flush()
    other.execute("COMMIT")
    other.close()
    sink.close()
    assert len(rows(path)) == 1


def test_the_kind_is_told_by_the_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must end with"):
        open_sink(tmp_path / "results.txt")

"""fleetfiles: a set of files for each worker, Parquet among them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fasthio import fleetfiles
from fasthio.fleetfiles import ParquetSink, name_file, open_files
from fasthio.results import Latency, PollResult
from fasthio.sinks import COLUMNS, SinkError
from fasthio.targets import Target, TargetSpec


def result(number: int) -> PollResult:
    target = Target(TargetSpec("http://127.0.0.1:8080/", label="t"))
    if number % 3 == 2:
        return PollResult(target, "skipped", due=1.0, number=number, started=5.0, reason="late")
    return PollResult(
        target, "ok", due=1.0, number=number, started=5.0, status=200,
        latency=Latency(None, 0.5, 1.0),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("worker", "name"),
    [
        ("w1", "r-w1.jsonl"),
        ("0", "r-0.jsonl"),
        ("tcp://127.0.0.1:4000", "r-127.0.0.1-4000.jsonl"),
        ("../../x y/..", "r-x-y.jsonl"),
        ("//", "r-worker.jsonl"),
    ],
)
def test_names(tmp_path: Path, worker: str, name: str) -> None:
    assert name_file(tmp_path / "r.jsonl", worker) == str(tmp_path / name)


def test_one_that_cannot_be_opened_closes_the_others(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must end with one of"):
        open_files([str(tmp_path / "a.jsonl"), str(tmp_path / "b.txt")], "w")
    with pytest.raises(SinkError):
        open_files([str(tmp_path / "none" / "a.jsonl")], "w")


def read(path: Path) -> list[dict[str, Any]]:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    rows = []
    for part in sorted(path.glob("part-*.parquet")):
        rows += parquet.read_table(part).to_pylist()
    return rows


def test_parquet_is_whole_at_any_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    monkeypatch.setattr(fleetfiles, "PART_ROWS", 10)
    (sink,) = open_files([str(tmp_path / "r.parquet")], "w")
    folder = tmp_path / "r-w.parquet"
    wanted: list[dict[str, Any]] = []
    for number in range(25):
        sink.write(result(number))
        wanted.append(result(number).as_dict())
        if number % 4 == 3:
            sink.flush()
            assert read(folder) == wanted
    sink.close()
    assert read(folder) == wanted
    assert list(wanted[0]) == list(COLUMNS)
    assert sorted(path.name for path in folder.iterdir()) == [
        f"part-{number:06d}.parquet" for number in range(3)
    ]
    again = ParquetSink(folder)  # goes on in a part of its own
    again.write(result(25))
    again.close()
    assert len(read(folder)) == 26


def test_parquet_that_cannot_be_written(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="file"):
        ParquetSink(tmp_path / "file")
    sink = ParquetSink(tmp_path / "r.parquet")
    sink.write(result(0))
    (tmp_path / "r.parquet").rmdir()
    with pytest.raises(SinkError, match="part-000000"):
        sink.flush()
    (tmp_path / "r.parquet").mkdir()
    sink.close()
    assert len(read(tmp_path / "r.parquet")) == 1, "what was taken is kept for the next time"

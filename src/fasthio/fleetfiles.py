"""Results files of a fleet: one set for each worker, written where the results arise.

Parquet is a folder of part files, each whole at any time: the one that grows is
written anew beside the old one and takes its place at once.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .sinks import COLUMNS, SinkError, open_sink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .results import PollResult
    from .sinks import Sink

__all__ = ["ParquetSink", "name_file", "open_files"]

#: Rows of a part file beyond which the next one is begun.
PART_ROWS: Final = 10_000
_KINDS: Final = {"TEXT": "string", "INTEGER": "int64", "REAL": "float64"}


def name_file(path: str | os.PathLike[str], worker: str) -> str:
    """Name a worker's own file.

    Args:
        path: as it was asked for, as results.jsonl.
        worker: name of the worker.
    Returns:
        The same with the worker's name before the suffix, as results-w1.jsonl.
    """
    whole = Path(path)
    mark = re.sub(r"[^A-Za-z0-9._]+", "-", re.sub(r"^\w+://", "", worker)).strip("-.") or "worker"
    return os.fspath(whole.with_name(f"{whole.stem}-{mark}{whole.suffix}"))


def open_files(paths: Sequence[str], worker: str) -> list[Sink]:
    """Open the files of a worker; one that is there is gone on with.

    Args:
        paths: as they were asked for: .jsonl, .csv, .sqlite or .parquet.
        worker: name of the worker.
    Raises:
        ValueError: a name ends otherwise.
        ImportError: Parquet without pyarrow.
        SinkError: a file cannot be opened, or holds something else.
    """
    sinks: list[Sink] = []
    try:
        for path in paths:
            own = name_file(path, worker)
            if Path(path).suffix.lower() == ".parquet":
                sinks.append(ParquetSink(own))
            else:
                sinks.append(open_sink(own))
    except BaseException:
        for sink in sinks:
            sink.close()
        raise
    return sinks


class ParquetSink:
    """A row for each result, in the part files of a folder; needs pyarrow."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Make the folder, or go on with it in a new part.

        Args:
            path: of the folder.
        Raises:
            ImportError: there is no pyarrow.
            SinkError: the folder cannot be made.
        """
        import pyarrow
        import pyarrow.parquet

        self.path = os.fspath(path)
        self._pyarrow: Any = pyarrow
        self._schema = pyarrow.schema(
            [
                pyarrow.field(
                    name, getattr(pyarrow, _KINDS[kind.split()[0]])(), "NOT NULL" not in kind
                )
                for name, kind in COLUMNS.items()
            ]
        )
        try:
            os.makedirs(self.path, exist_ok=True)
            names = os.listdir(self.path)
        except OSError as error:
            raise SinkError(f"{self.path}: {error.strerror or error}") from error
        found = [re.fullmatch(r"part-(\d+)\.parquet", name) for name in names]
        self._number = max((int(each[1]) for each in found if each), default=-1) + 1
        self._rows: list[dict[str, Any]] = []
        self._written = 0  # rows that the file has

    def write(self, result: PollResult) -> None:
        """Take a result."""
        self._rows.append(result.as_dict())
        if len(self._rows) >= PART_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what was taken.

        Raises:
            SinkError: the system refuses; the part is as it was before.
        """
        if self._written == len(self._rows):
            return
        table = self._pyarrow.Table.from_pylist(self._rows, schema=self._schema)
        part = os.path.join(self.path, f"part-{self._number:06d}.parquet")
        new = os.path.join(self.path, f".part-{self._number:06d}.new")
        try:
            self._pyarrow.parquet.write_table(table, new)
            os.replace(new, part)
        except OSError as error:
            raise SinkError(f"{part}: {error.strerror or error}") from error
        self._written = len(self._rows)
        if self._written >= PART_ROWS:
            self._rows = []
            self._written = 0
            self._number += 1

    def close(self) -> None:
        """Write what was taken."""
        self.flush()

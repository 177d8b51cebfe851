"""Files of results: JSON lines, CSV, SQLite. What is written is whole lines and whole rows.

A sink gathers results and writes them at `flush`, which its owner calls at least
once a second: that much a crash of the process may lose, and never half a line.
"""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from .results import PollResult

__all__ = ["CsvSink", "JsonSink", "Sink", "SinkError", "SqliteSink", "open_sink"]

#: Columns, in order: keys of `PollResult.as_dict`, with their SQL types.
COLUMNS: Final = {
    "time": "TEXT NOT NULL",
    "label": "TEXT NOT NULL",
    "url": "TEXT NOT NULL",
    "outcome": "TEXT NOT NULL",
    "reason": "TEXT NOT NULL",
    "status": "INTEGER",
    "latency": "REAL",
    "connect": "REAL",
    "first": "REAL",
    "attempts": "INTEGER NOT NULL",
    "octets": "INTEGER NOT NULL",
    "events": "INTEGER NOT NULL",
    "redirects": "INTEGER NOT NULL",
    "number": "INTEGER NOT NULL",
    "count": "INTEGER NOT NULL",
    "due": "REAL NOT NULL",
    "error": "TEXT NOT NULL",
}
#: Octets gathered beyond which they are written at once.
MOST: Final = 1 << 20
#: Rows gathered beyond which they are written at once.
MOST_ROWS: Final = 5_000


class SinkError(OSError):
    """Report a results file that cannot be opened or written."""


class Sink(Protocol):
    """Where results go."""

    def write(self, result: PollResult) -> None:
        """Take a result."""

    def flush(self) -> None:
        """Write what was taken."""

    def close(self) -> None:
        """Write what was taken, and close."""


class _LineSink:
    """Whole lines at the end of a file."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._gathered = bytearray()
        try:
            # on Windows each line feed would become two octets
            binary: int = getattr(os, "O_BINARY", 0)
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | binary, 0o644)
            try:
                self._mend()
            except BaseException:
                os.close(self._fd)
                raise
        except OSError as error:
            raise SinkError(f"{self.path}: {error.strerror or error}") from error

    def _mend(self) -> None:
        """Cut off half a line that a machine left behind when its power went."""
        self.size = size = os.fstat(self._fd).st_size
        if not size or not hasattr(os, "pread"):
            return
        end = size
        while end > 0:
            start = max(0, end - 65_536)
            piece = os.pread(self._fd, end - start, start)
            at = piece.rfind(b"\n")
            if at >= 0:
                whole = start + at + 1
                if whole < size:
                    os.ftruncate(self._fd, whole)
                    self.size = whole
                return
            end = start
        raise SinkError("no whole line in it: not a file of results")

    def _line(self, result: PollResult) -> bytes:
        raise NotImplementedError

    def write(self, result: PollResult) -> None:
        """Take a result."""
        self._gathered += self._line(result)
        if len(self._gathered) >= MOST:
            self.flush()

    def flush(self) -> None:
        """Write what was taken.

        Raises:
            SinkError: the system refuses; the file ends with a whole line.
        """
        gathered = self._gathered
        if not gathered:
            return
        start = os.fstat(self._fd).st_size
        done = 0
        try:
            while done < len(gathered):
                done += os.write(self._fd, memoryview(gathered)[done:])
        except OSError as error:
            whole = gathered.rfind(b"\n", 0, done) + 1
            with suppress(OSError):  # of a pipe or a device, which has no length
                os.ftruncate(self._fd, start + whole)
            self._gathered = gathered[whole:]
            raise SinkError(f"{self.path}: {error.strerror or error}") from error
        self._gathered = bytearray()

    def close(self) -> None:
        """Write what was taken, and close."""
        if self._fd < 0:
            return
        try:
            self.flush()
        finally:
            os.close(self._fd)
            self._fd = -1


class JsonSink(_LineSink):
    """A line of JSON for each result."""

    def _line(self, result: PollResult) -> bytes:
        return json.dumps(result.as_dict(), ensure_ascii=False).encode() + b"\n"


class CsvSink(_LineSink):
    """A row of CSV for each result (RFC 4180), under a row of names."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the file, or go on with it.

        Raises:
            SinkError: it cannot be opened, or has other columns.
        """
        super().__init__(path)
        header = _row(list(COLUMNS))
        if not self.size:
            self._gathered += header
        elif hasattr(os, "pread") and os.pread(self._fd, len(header), 0) != header:
            os.close(self._fd)
            self._fd = -1
            raise SinkError(f"{self.path}: has other columns")

    def _line(self, result: PollResult) -> bytes:
        return _row([_printable(value) for value in result.as_dict().values()])


def _row(values: list[Any]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\r\n").writerow(values)
    return stream.getvalue().encode()


def _printable(value: Any) -> Any:
    """Keep a text on its one line: what a server said may hold line ends."""
    if isinstance(value, str) and not value.isprintable():
        return "".join(
            char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in value
        )
    return value


class SqliteSink:
    """A row of the table `results` for each result."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the database, or go on with it.

        Raises:
            SinkError: it cannot be opened, or is none.
        """
        self.path = os.fspath(path)
        self._rows: list[tuple[Any, ...]] = []
        columns = ", ".join(f'"{name}" {kind}' for name, kind in COLUMNS.items())
        marks = ", ".join("?" * len(COLUMNS))
        names = ", ".join(f'"{name}"' for name in COLUMNS)
        self._insert = f"INSERT INTO results ({names}) VALUES ({marks})"
        database: sqlite3.Connection | None = None
        try:
            database = sqlite3.connect(self.path, isolation_level=None)
            # readers may look at it while it is written
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=NORMAL")
            database.execute(f"CREATE TABLE IF NOT EXISTS results ({columns})")
            database.execute("CREATE INDEX IF NOT EXISTS results_label ON results (label, time)")
            database.execute(f"SELECT {names} FROM results LIMIT 0")
        except sqlite3.Error as error:
            if database is not None:
                database.close()
            raise SinkError(f"{self.path}: {error}") from error
        self._database: sqlite3.Connection | None = database

    def write(self, result: PollResult) -> None:
        """Take a result."""
        self._rows.append(tuple(result.as_dict().values()))
        if len(self._rows) >= MOST_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what was taken, in one transaction.

        Raises:
            SinkError: the database refuses; what was taken is kept for the next time.
        """
        database = self._database
        if not self._rows or database is None:
            return
        try:
            database.execute("BEGIN")
            try:
                database.executemany(self._insert, self._rows)
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise SinkError(f"{self.path}: {error}") from error
        self._rows.clear()

    def close(self) -> None:
        """Write what was taken, and close."""
        if self._database is None:
            return
        try:
            self.flush()
        finally:
            self._database.close()
            self._database = None


_KINDS: Final[dict[str, Any]] = {
    ".jsonl": JsonSink,
    ".json": JsonSink,
    ".ndjson": JsonSink,
    ".csv": CsvSink,
    ".sqlite": SqliteSink,
    ".sqlite3": SqliteSink,
    ".db": SqliteSink,
}


def open_sink(path: str | os.PathLike[str]) -> Sink:
    """Open a results file; its name's ending says which kind. One that is there is gone on with.

    Args:
        path: ends with .jsonl, .json or .ndjson, .csv, .sqlite, .sqlite3 or .db.
    Raises:
        ValueError: it ends otherwise.
        SinkError: it cannot be opened, or holds something else.
    """
    suffix = Path(path).suffix.lower()
    kind = _KINDS.get(suffix)
    if kind is None:
        raise ValueError(f"results file must end with one of {', '.join(_KINDS)}: {path!s}")
    sink: Sink = kind(path)
    return sink

"""Targets from a file: TOML, or one URL a line. What is wrong is told with file, line and key."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from .pacing import Backoff, Circuit
from .targets import OPTIONS, TargetSpec, parse_duration

__all__ = ["TargetsFile", "TargetsFileError", "load_targets"]

#: Options that are durations, also inside backoff and circuit.
_DURATIONS: Final = frozenset(
    ("every", "timeout", "connect_timeout", "jitter", "cap", "base", "cooldown")
)
#: Options that are tables of their own.
_TABLES: Final[dict[str, tuple[Any, tuple[str, ...]]]] = {
    "backoff": (Backoff, ("factor", "cap", "base")),
    "circuit": (Circuit, ("failures", "cooldown", "factor", "cap")),
}
#: Largest file that is read, in octets: a hundred thousand targets fit.
MOST: Final = 64 * 1024 * 1024

_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_.\-\"' ]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY: Final = re.compile(r"\s*[\"']?([A-Za-z0-9_\-]+)[\"']?\s*(?:\.\s*([A-Za-z0-9_\-]+)\s*)?=")
_AT: Final = re.compile(r"at line (\d+)")


class TargetsFileError(ValueError):
    """Report what is wrong with a targets file, in a `message` that begins with the place.

    Args:
        message: what is wrong.
    Attributes:
        path: of the file.
        line: from 1; None where it cannot be told.
        key: option at fault; None where it is none.
    """

    def __init__(
        self, path: str | os.PathLike[str], message: str, line: int | None = None, key: str = ""
    ) -> None:
        """Say what is wrong, and where.

        Args:
            path: of the file.
            message: what is wrong.
            line: from 1; None where it cannot be told.
            key: option at fault; "" where it is none.
        """
        self.path = os.fspath(path)
        self.line = line
        self.key = key or None
        where = self.path if line is None else f"{self.path}, line {line}"
        super().__init__(f"{where}{f', {key}' if key else ''}: {message}")


def load_targets(
    path: str | os.PathLike[str], defaults: Mapping[str, Any] | None = None
) -> list[TargetSpec]:
    """Read a targets file.

    A file whose name ends with `.toml` has a table `[[target]]` for each target,
    with the options of `TargetSpec` as keys, and may have a table `[defaults]`.
    Durations may be text, as "250ms" or "1h". Any other file has one URL a line;
    empty lines, and lines that begin with `#`, say nothing.

    Args:
        path: of the file.
        defaults: options of targets that neither name them nor have them in `[defaults]`.
    Returns:
        At least one target.
    Raises:
        TargetsFileError: it cannot be read, an option is unknown or wrong, or no
            target is named, or two with the same label.
    """
    try:
        with open(path, "rb") as stream:
            octets = stream.read(MOST + 1)
    except OSError as error:
        raise TargetsFileError(path, error.strerror or str(error)) from error
    if len(octets) > MOST:
        raise TargetsFileError(path, f"larger than {MOST} octets")
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise TargetsFileError(path, "not UTF-8", line) from error
    if Path(path).suffix.lower() == ".toml":
        pairs = _from_toml(path, text, defaults or {})
    else:
        pairs = _from_lines(path, text, defaults or {})
    if not pairs:
        raise TargetsFileError(path, "names no target")
    seen: dict[str, int] = {}
    for spec, line in pairs:
        label = spec.label if spec.label is not None else spec.url
        if label in seen:
            key = "label" if spec.label is not None else "url"
            raise TargetsFileError(path, f"{label!r} is on line {seen[label]} already", line, key)
        seen[label] = line
    return [spec for spec, _ in pairs]


def _from_lines(
    path: str | os.PathLike[str], text: str, defaults: Mapping[str, Any]
) -> list[tuple[TargetSpec, int]]:
    """Read one URL a line."""
    pairs = []
    for number, line in enumerate(text.splitlines(), 1):
        url = line.strip()
        if not url or url.startswith("#"):
            continue
        pairs.append((_make(path, {**defaults, "url": url}, lambda key, at=number: at), number))
    return pairs


def _from_toml(
    path: str | os.PathLike[str], text: str, defaults: Mapping[str, Any]
) -> list[tuple[TargetSpec, int]]:
    """Read tables."""
    toml = _toml(path)
    try:
        content = toml.loads(text)
    except ValueError as error:  # TOMLDecodeError is one
        found = _AT.search(str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        raise TargetsFileError(path, str(error), line) from error
    places = _Places(text)
    for key in content:
        if key not in ("defaults", "target"):
            what = "unknown key; there are [defaults] and [[target]]"
            raise TargetsFileError(path, what, places.line("", 0, key), key)
    common = content.get("defaults", {})
    if not isinstance(common, dict):
        raise TargetsFileError(path, "must be a table", places.line("", 0, "defaults"), "defaults")
    common = dict(_options(path, common, lambda key: places.line("defaults", 0, key), ("url",)))
    tables = content.get("target", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        what = "must be tables, each under [[target]]"
        raise TargetsFileError(path, what, places.line("", 0, "target"), "target")
    pairs = []
    for index, table in enumerate(tables):

        def where(key: str, index: int = index, table: dict[str, Any] = table) -> int | None:
            if key in common and key not in table:
                return places.line("defaults", 0, key)
            return places.line("target", index, key)

        options = _options(path, table, where)
        if "url" not in options:
            raise TargetsFileError(path, "is missing", places.line("target", index, ""), "url")
        spec = _make(path, {**defaults, **common, **options}, where)
        pairs.append((spec, where("label" if "label" in table else "url") or 0))
    return pairs


def _toml(path: str | os.PathLike[str]) -> Any:
    """Give what reads TOML."""
    if sys.version_info >= (3, 11):
        import tomllib

        return tomllib
    try:  # pragma: no cover
        import tomli
    except ImportError as error:  # pragma: no cover
        what = "TOML needs Python 3.11, or tomli (pip install 'fasthio[poll]')"
        raise TargetsFileError(path, what) from error
    return tomli  # pragma: no cover


def _options(
    path: str | os.PathLike[str],
    table: Mapping[str, Any],
    where: Any,
    without: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Check the keys of a table, and read durations and tables in it."""
    options: dict[str, Any] = {}
    for key, value in table.items():
        if key not in OPTIONS or key in without:
            known = ", ".join(name for name in OPTIONS if name not in without)
            raise TargetsFileError(path, f"unknown key; there are {known}", where(key), key)
        if key in _TABLES:
            value = _table(path, key, value, where)
        elif key in _DURATIONS:
            value = _duration(path, key, value, where)
        elif key == "headers" and not isinstance(value, dict):
            raise TargetsFileError(path, "must be a table of names and values", where(key), key)
        options[key] = value
    return options


def _table(path: str | os.PathLike[str], key: str, value: Any, where: Any) -> Any:
    """Read backoff or circuit."""
    kind, names = _TABLES[key]
    if not isinstance(value, dict):
        raise TargetsFileError(path, f"must be a table of {', '.join(names)}", where(key), key)
    values = {}
    for name, each in value.items():
        full = f"{key}.{name}"
        if name not in names:
            what = f"unknown key; there are {', '.join(names)}"
            raise TargetsFileError(path, what, where(full), full)
        if name in _DURATIONS:
            each = _duration(path, full, each, where)
        elif isinstance(each, bool) or not isinstance(
            each, int if name == "failures" else (int, float)
        ):
            raise TargetsFileError(path, f"must be a number: {each!r}", where(full), full)
        values[name] = each
    try:
        return kind(**values)
    except ValueError as error:
        full = ".".join(str(error).split(" ", 2)[:2])  # the text begins with both names
        raise TargetsFileError(path, str(error), where(full), full) from error


def _duration(path: str | os.PathLike[str], key: str, value: Any, where: Any) -> float:
    try:
        return parse_duration(value)
    except ValueError as error:
        raise TargetsFileError(path, str(error), where(key), key) from error


def _make(path: str | os.PathLike[str], options: dict[str, Any], where: Any) -> TargetSpec:
    """Make the target; what it refuses is told with its line and key."""
    try:
        return TargetSpec(**options)
    except (ValueError, TypeError) as error:
        # the text begins with the name of the option, or is about the URL
        text = str(error)
        first = text.split(" ", 1)[0]
        key = first if first in OPTIONS else "url" if "URL" in text else "headers"
        raise TargetsFileError(path, text, where(key), key) from error


class _Places:
    """Find the line of a key; the standard library's reader does not tell."""

    def __init__(self, text: str) -> None:
        self._lines: dict[tuple[str, int, str], int] = {}
        table, index, prefix = "", 0, ""
        counts: dict[str, int] = {}
        quotes = ""
        for number, line in enumerate(text.splitlines(), 1):
            if quotes:  # inside a string of several lines
                if quotes in line:
                    quotes = ""
                continue
            header = _HEADER.match(line)
            if header is not None:
                names = [name.strip(" \"'") for name in header[2].split(".")]
                table, prefix = names[0], ".".join(names[1:])
                if header[1] == "[[" and not prefix:
                    counts[table] = counts.get(table, -1) + 1
                index = counts.get(table, 0)
                self._lines.setdefault((table, index, prefix), number)
                self._lines.setdefault(("", 0, table), number)
                continue
            key = _KEY.match(line)
            if key is not None:
                name = key[1] if key[2] is None else f"{key[1]}.{key[2]}"
                full = f"{prefix}.{name}" if prefix else name
                self._lines.setdefault((table, index, full), number)
                self._lines.setdefault((table, index, full.partition(".")[0]), number)
            for mark in ('"""', "'''"):
                if line.count(mark) % 2:
                    quotes = mark
                    break

    def line(self, table: str, index: int, key: str) -> int | None:
        """Give the line of a key; of the table where the key is written otherwise."""
        while True:
            found = self._lines.get((table, index, key))
            if found is not None or not key:
                return found if found is not None else self._lines.get(("", 0, table))
            key = key.rpartition(".")[0]


class TargetsFile:
    """A targets file that is read again when it changes.

    Attributes:
        path: of the file.
        specs: targets as they were last read without an error.
    """

    def __init__(
        self, path: str | os.PathLike[str], defaults: Mapping[str, Any] | None = None
    ) -> None:
        """Read the file.

        Args:
            path: of the file.
            defaults: as for `load_targets`.
        Raises:
            TargetsFileError: as `load_targets`.
        """
        self.path = os.fspath(path)
        self._defaults = dict(defaults or {})
        self._state = self._stat()
        self.specs = load_targets(self.path, self._defaults)

    def _stat(self) -> tuple[int, ...] | None:
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_size, found.st_ino)

    def reload(self) -> bool:
        """Read the file again if it has changed since it was last read.

        Returns:
            True where `specs` is another list now.
        Raises:
            TargetsFileError: it is wrong now; `specs` is as before, and it is not
                read again until it changes once more.
        """
        state = self._stat()
        if state == self._state:
            return False
        self._state = state
        self.specs = load_targets(self.path, self._defaults)
        return True

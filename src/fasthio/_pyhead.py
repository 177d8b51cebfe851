"""Heads of the Python engine, at once where they can be (RFC 9112 2 to 5).

The same as `src/_head.pxi`, function for function.
"""

from __future__ import annotations

from itertools import compress
from operator import ne
from typing import Any, Final

from multidict import CIMultiDict, istr

from ._pylines import FIELD, FIELD_LINE, KINDS, LENGTH, START_LINE, LineParser
from .grammar import Limits, limits_of

__all__ = ["HeadParser"]

_HEAD_END: Final = b"\r\n\r\n"
_KIND_SIZES: Final = frozenset(map(len, KINDS))
#: A head longer than this goes line by line; so the line cache stays small.
_QUICK_HEAD: Final = 8192
#: What no line begins with: octets are U+0000 to U+00FF.
_NO_PREFIX: Final = "\u0100"
#: Places of the lines of a head among its fields; the status line is -1.
_PLACES: Final = range(-1, _QUICK_HEAD)

#: Objects of field names made before, in every spelling met; bounded.
_names: dict[str, str] = {}
#: What `_copier_of` found; bounded.
_copies: dict[Any, Any] = {}


def _name_of(name: str) -> str:
    """Give the object of a field name: an istr keeps its folded name."""
    known = _names.get(name)
    if known is None:
        known = istr(name)
        if len(_names) < 512 and len(name) < 64:
            _names[name] = known
    return known


def _field_of(line: str) -> tuple[str, str] | None:
    """Read a field line that is right (RFC 9112 5); None where it is not, or is folded."""
    name, colon, value = line.partition(":")
    # printable ASCII is field content and cheap to see; all else is left to the pattern
    if name in _names and value.isascii() and value.isprintable():
        return (_names[name], value.strip(" ")) if colon else None
    match = FIELD.fullmatch(line)
    return None if match is None else (_name_of(match[1]), match[2].strip(" \t"))


def _copier_of(mapping: Any) -> Any:
    """Give the `copy` of a multidict type where what it makes is equal and of that type."""
    if not isinstance(mapping, type) or not issubclass(mapping, CIMultiDict):
        return None
    if mapping in _copies:
        return _copies[mapping]
    copy = None
    if mapping.copy is CIMultiDict.copy:
        one = mapping()
        one.add("name", "value")
        other = one.copy()
        # multidict in Python copies by way of `__init__`, which may make something else
        if type(other) is mapping and list(other.items()) == list(one.items()):
            copy = CIMultiDict.copy
    if len(_copies) <= 64:
        _copies[mapping] = copy
    return copy


class HeadParser(LineParser):
    """Parse heads; those that come in one piece at once."""

    __slots__ = (
        "_copy",
        "_kept",
        "_kinds",
        "_lines",
        "_pairs",
        "_prefixes",
        "_quick_room",
        "_status",
    )

    def __init__(self, *, limits: Limits | None = None, mapping: type[Any] | None = None) -> None:
        limits = limits_of(limits)
        copy = _copier_of(CIMultiDict if mapping is None else mapping)
        super().__init__(limits=limits, mapping=mapping)
        self._copy = copy
        self._quick_room = max(0, min(_QUICK_HEAD, self.limits.line, self.limits.head))
        # the template: the last head that came in one piece
        self._lines: list[str] = []
        self._pairs: list[tuple[str, str]] = []
        self._kinds: list[tuple[int, int]] = []  # index and kind of framing fields
        #: names with their colon, where no other field of the head has this name
        self._prefixes: list[str] = []
        self._status: tuple[Any, ...] = ()
        self._kept: Any = None  # its headers, kept to be copied; None before it came twice

    def _head(self, rx: bytes | bytearray, pos: int) -> int:
        """Take lines up to the end of the final head."""
        while self._state == START_LINE:
            if not self._scanned:
                line = self._quick_head(rx, pos)
                if line:
                    return line
            line = self._start_line(rx, pos)
            if line < 0:
                return pos
            pos = line
        mapping = None if self._interim else self.headers
        while True:
            most = max(0, self.limits.head - (self.consumed - self._section))
            lf = self._line(rx, pos, most, "head-too-large")
            if lf < 0:
                return pos
            ended = self._field_line(rx, pos, lf, mapping)
            self.consumed += lf + 1 - pos
            pos = lf + 1
            if ended:
                self._end_head()
                return pos

    def _quick_head(self, rx: bytes | bytearray, pos: int) -> int:
        """Take a final head at once where it is whole, plain and small; 0 where it is not.

        The last head is kept as a template: lines that are the same again need not
        be looked at, and headers with the same names are a copy of the last ones.
        """
        room = self._quick_room
        if self.consumed != self._section:
            room = max(0, min(room, self.limits.head - (self.consumed - self._section)))
        stop = rx.find(_HEAD_END, pos, pos + room)
        if stop < 0:
            return 0
        lines = rx[pos:stop].decode("iso-8859-1").split("\r\n")
        if len(lines) > self.limits.fields + 1:
            return 0
        last = self._lines
        if last and lines[0] == last[0]:
            self.version, self.status, self.reason = self._status
        elif not self._status_line(lines[0]):
            return 0
        elif self._interim:
            self._interim = False
            return 0
        if not (len(lines) == len(last) and self._quick_same(lines)):
            if not self._quick_fields(lines):
                # folded, ended by LF alone, or wrong: line by line
                self.version = self.status = self.reason = self.headers = None
                return 0
        self._count = len(lines) - 1
        self.consumed += stop + 4 - pos
        self._state = FIELD_LINE
        self._end_head()
        return stop + 4

    def _quick_same(self, lines: list[str]) -> bool:
        """Make the headers from the template's, where the names are the same."""
        pairs, prefixes = self._pairs, self._prefixes
        fresh = {}
        for index in compress(_PLACES, map(ne, lines, self._lines)):
            if index < 0:
                continue
            line = lines[index + 1]
            name = pairs[index][0]
            if not line.startswith(prefixes[index]):
                return False
            value = line[len(name) + 1 :]
            if value.isascii() and value.isprintable():  # it is field content, and cheap to see
                value = value.strip(" ")
            else:
                field = _field_of(line)
                if field is None:
                    return False
                value = field[1]
            fresh[index] = (name, value)
        if self._kept is None:
            if self._copy is None or len(fresh) == len(pairs):
                return False
            self._kept = self.mapping(pairs[:])
        headers = self._copy(self._kept)
        for name, value in fresh.values():
            headers[name] = value
        self.headers = headers
        for index, kind in self._kinds:
            self._quick_framing(lines, index, kind, fresh.get(index, pairs[index])[1])
        return True

    def _quick_fields(self, lines: list[str]) -> bool:
        """Make the headers field by field, and a template of the head; False if it is not plain."""
        last, old = self._lines, self._pairs
        pairs = []
        kinds = []
        for index in range(1, len(lines)):
            line = lines[index]
            if index < len(last) and line == last[index]:
                pair: tuple[str, str] | None = old[index - 1]
            else:
                pair = _field_of(line)
            if pair is None:
                return False
            if len(pair[0]) in _KIND_SIZES:
                kind = KINDS.get(pair[0].lower())
                if kind:
                    kinds.append((index - 1, kind))
            pairs.append(pair)
        if self._copy is None:
            headers = self.mapping()
            for name, value in pairs:
                self._add(headers, name, value)
            self.headers = headers
        else:
            self.headers = self.mapping(pairs[:])  # which it may change
        kept, prefixes = None, self._prefixes
        names = [pair[0] for pair in pairs]
        if names != [pair[0] for pair in old]:
            prefixes = [name + ":" for name in names]
            if len(set(names)) < len(names) or len({name.lower() for name in names}) < len(names):
                folded = [name.lower() for name in names]
                for index, name in enumerate(folded):
                    if folded.count(name) > 1:
                        prefixes[index] = _NO_PREFIX
        elif self._copy is not None:
            kept = self._copy(self.headers)
        self._lines = []  # an exception from outside may come between: no half of a template
        self._pairs, self._kinds, self._prefixes, self._kept = pairs, kinds, prefixes, kept
        self._status = (self.version, self.status, self.reason)
        self._lines = lines
        for index, kind in kinds:
            self._quick_framing(lines, index, kind, pairs[index][1])
        return True

    def _quick_framing(self, lines: list[str], index: int, kind: int, value: str) -> None:
        if kind == LENGTH and self._length < 0 and len(value) <= 18 and value.isdecimal():
            self._length = int(value)
            return
        offset = self.consumed + sum(map(len, lines[: index + 1])) + 2 * (index + 1)
        self._framing_field(kind, value, offset)

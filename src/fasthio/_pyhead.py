"""Lines and heads of the Python engine; the base of ResponseParser (RFC 9112 2 to 5).

The same as `src/_head.pxi`, function for function.
"""

from __future__ import annotations

import re
from itertools import compress
from operator import ne
from typing import Any, Final, NoReturn

from multidict import CIMultiDict, istr

from .errors import ParseError, parse_error
from .grammar import LIMITS, STATES, TOKEN, Limits
from .syntax import field_fault, length_of, status_line_fault

__all__ = ["HeadParser"]

_START_LINE: Final = STATES.index("start-line")
_FIELD_LINE: Final = STATES.index("field-line")
_FAILED: Final = STATES.index("failed")

_CR: Final = 0x0D
_LF: Final = 0x0A
_CRLF: Final = b"\r\n"
_HEAD_END: Final = b"\r\n\r\n"
_START: Final = b"HTTP/"
#: The kinds of field the parser itself reads.
_OTHER, _LENGTH, _CODING = range(3)
_KINDS: Final = {"content-length": _LENGTH, "transfer-encoding": _CODING}
_KIND_SIZES: Final = frozenset(map(len, _KINDS))
_TOKEN_CLASS: Final = re.escape(bytes(sorted(TOKEN)).decode("ascii"))
#: status line: version, status, reason (RFC 9112 4)
_STATUS_LINE: Final = re.compile(
    r"HTTP/(1\.[0-9]|0\.9) ([1-9][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?"
)
#: field-name ":" field-value with its OWS still on (RFC 9112 5)
_FIELD: Final = re.compile(rf"([{_TOKEN_CLASS}]+):([\t\x20-\x7e\x80-\xff]*)")
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
    match = _FIELD.fullmatch(line)
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


class HeadParser:
    """Parse the lines of heads and trailer sections."""

    def __init__(self, *, limits: Limits | None = None, mapping: type[Any] | None = None) -> None:
        self.limits = LIMITS if limits is None else limits
        self.mapping: type[Any] = CIMultiDict if mapping is None else mapping
        self._copy = _copier_of(self.mapping)
        self._asked = ""  # method as it was given, so that the same again costs nothing
        self.method = ""
        self._quick_room = max(0, min(_QUICK_HEAD, self.limits.line, self.limits.head))
        # the template: the last head that came in one piece
        self._lines: list[str] = []
        self._pairs: list[tuple[str, str]] = []
        self._kinds: list[tuple[int, int]] = []  # index and kind of framing fields
        #: names with their colon, where no other field of the head has this name
        self._prefixes: list[str] = []
        self._status: tuple[Any, ...] = ()
        self._kept: Any = None  # its headers, kept to be copied; None before it came twice

    def _start_head(self, method: str) -> None:
        if method is not self._asked:
            self._asked = method
            self.method = method.upper()
        self.version: tuple[int, int] | None = None
        self.status: int | None = None
        self.reason: str | None = None
        self.headers: Any = None
        self.interims = 0
        self.consumed = 0
        self.error: ParseError | None = None
        self._state = _START_LINE
        self._interim = False  # the present head is that of an interim response
        self._complete = False  # the final head is, and nothing was made of it yet
        self._scanned = 0  # octets of the present line that hold no LF
        self._section = 0  # offset where the head or trailer section began
        self._empties = 0
        self._begin_section()

    # lines

    def _fail(self, code: str, offset: int, near: bytes | bytearray = b"") -> NoReturn:
        """Record the error for good and raise it; `offset` counts from the message's start."""
        error = parse_error(code, offset=offset, state=STATES[self._state], near=near)
        self.error = error
        self._state = _FAILED
        raise error

    def _line(self, rx: bytes | bytearray, pos: int, most: int, code: str) -> int:
        """Find the LF that ends the line at `pos`; -1 until it comes.

        `most` is what the section may still hold, line ends included; `code` the
        error for more.
        """
        lf = rx.find(_LF, pos + self._scanned)
        have = (len(rx) if lf < 0 else lf + 1) - pos
        room = self.limits.line
        if most < room + 2:
            # the section has less room than a line: its own limit is met first
            if have > most or (have == most and lf < 0):
                self._fail(code, self.consumed + most, rx[pos : pos + min(32, most)])
        elif have > room:
            # the line end does not count, nor does a CR that may become one
            have -= lf >= 0
            if have - (rx[pos + have - 1] == _CR) > room:
                self._fail("line-too-long", self.consumed + room, rx[pos : pos + min(32, room)])
        if lf < 0:
            self._scanned = have
        else:
            self._scanned = 0
        return lf

    def _begin_section(self) -> None:
        self._count = 0
        self._name: str | None = None  # field whose value may still be folded
        self._values: list[str] = []
        self._kind = _OTHER
        self._field_at = 0
        self._codings: list[str] | None = None
        self._coding_at = 0
        self._length = -1
        self._length_fault: tuple[str, int, bytes] | None = None

    # head, line by line

    def _head(self, rx: bytes | bytearray, pos: int) -> int:
        """Take lines up to the end of the final head."""
        while self._state == _START_LINE:
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

    def _start_line(self, rx: bytes | bytearray, pos: int) -> int:
        """Take the line before the fields; -1 until it is whole, else where the next one begins."""
        have = len(rx) - pos
        for index in range(min(5, have) if self._scanned < 5 else 0):
            if rx[pos + index] == _START[index]:
                continue
            octet = rx[pos + index]
            if octet == _CR and index == 0:
                if have == 1:
                    break
                octet = rx[pos + 1]
                index = 1
            if octet == _LF and rx[pos] in _CRLF:
                return self._empty_line(rx, pos, index + 1)
            self._fail("bad-start", self.consumed + index, rx[pos : pos + index + 1])
        most = max(0, self.limits.head - (self.consumed - self._section))
        lf = self._line(rx, pos, most, "head-too-large")
        if lf < 0:
            return -1
        end = lf - (rx[lf - 1] == _CR)
        if not self._status_line(rx[pos:end].decode("iso-8859-1")):
            line = bytes(rx[pos:end])
            fault = status_line_fault(line)
            assert fault is not None
            self._fail(fault[0], self.consumed + fault[1], line[fault[1] :])
        if self._interim:
            self.interims += 1
            if self.interims > self.limits.interims:
                self._fail("too-many-interims", self.consumed, rx[pos:end])
        else:
            self.headers = self.mapping()
        self._state = _FIELD_LINE
        self.consumed += lf + 1 - pos
        return lf + 1

    def _status_line(self, line: str) -> bool:
        """Read a status line that is right (RFC 9112 4); False where it is not."""
        match = _STATUS_LINE.fullmatch(line)
        if match is None:
            return False
        version, digits, reason = match.groups()
        status = int(digits)
        self._interim = 100 <= status < 200 and status != 101  # RFC 9110 15.2
        if not self._interim:
            # 0.9 and 1.0 are 1.0; a higher minor version is 1.1 to us (RFC 9110 2.5)
            self.version = (1, 0) if version in ("1.0", "0.9") else (1, 1)
            self.status = status
            self.reason = (reason or "").strip(" \t")
        return True

    def _empty_line(self, rx: bytes | bytearray, pos: int, size: int) -> int:
        """Take an empty line before the status line (RFC 9112 2.2)."""
        self._empties += 1
        if self._empties > self.limits.empty_lines:
            self._fail("empty-lines", self.consumed, rx[pos : pos + size])
        self._scanned = 0
        self.consumed += size
        return pos + size

    def _field_line(self, rx: bytes | bytearray, pos: int, lf: int, mapping: Any) -> bool:
        """Take one line of a head or trailer section; True if it ends the section."""
        end = lf - (lf > pos and rx[lf - 1] == _CR)
        if end == pos:
            self._commit(mapping)
            return True
        text = rx[pos:end].decode("iso-8859-1")
        if text[0] in " \t" and self._name is not None:
            # obs-fold: the value goes on, joined by one space (RFC 9112 5.2)
            self._check_line(rx, pos, end)
            folded = text.strip(" \t")
            if folded:
                self._values.append(folded)
            return False
        self._commit(mapping)
        if self._count >= self.limits.fields:
            self._fail("too-many-fields", self.consumed, rx[pos:end])
        match = _FIELD.fullmatch(text)
        if match is None:
            self._check_line(rx, pos, end)
        assert match is not None
        self._count += 1
        self._name = match[1]
        value = match[2].strip(" \t")
        self._values = [value] if value else []
        self._kind = _KINDS.get(match[1].lower(), _OTHER)
        self._field_at = self.consumed
        return False

    def _check_line(self, rx: bytes | bytearray, pos: int, end: int) -> None:
        """Fail with what is wrong with a field line, if anything is."""
        line = bytes(rx[pos:end])
        fault = field_fault(line, self._name is None and self._count == 0)
        if fault is not None:
            self._fail(fault[0], self.consumed + fault[1], line[fault[1] :])

    def _commit(self, mapping: Any) -> None:
        """Put the field that can no more be folded into its mapping."""
        if self._name is None:
            return
        if mapping is not None:
            value = " ".join(self._values)
            mapping.add(istr(self._name), value)
            if self._kind and self._state == _FIELD_LINE:
                self._framing_field(self._kind, value, self._field_at)
        self._name = None

    def _framing_field(self, kind: int, value: str, offset: int) -> None:
        """Note what a field says about the body; faults count when the head is complete."""
        if kind == _CODING:
            if self._codings is None:
                self._coding_at = offset
                self._codings = [value]
            else:
                self._codings.append(value)
            return
        if self._length_fault is not None:
            return
        length, code = length_of(value)
        if not code and self._length not in (-1, length):
            code = "differing-lengths"
        if code:
            self._length_fault = (code, offset, value.encode("iso-8859-1"))
        else:
            self._length = length

    def _end_head(self) -> None:
        """End a head: an interim one is forgotten (RFC 9110 15.2), the final one complete."""
        if not self._interim:
            self._complete = True
            return
        self._interim = False
        self._state = _START_LINE
        self._section = self.consumed
        self._empties = 0
        self._begin_section()

    # head, at once

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
        self._state = _FIELD_LINE
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
                kind = _KINDS.get(pair[0].lower())
                if kind:
                    kinds.append((index - 1, kind))
            pairs.append(pair)
        if self._copy is None:
            self.headers = self.mapping()
            for name, value in pairs:
                self.headers.add(name, value)
        else:
            self.headers = self.mapping(pairs[:])  # which it may change
        names = [pair[0] for pair in pairs]
        if names != [pair[0] for pair in old]:
            self._kept = None
            self._prefixes = [name + ":" for name in names]
            if len(set(names)) < len(names) or len({name.lower() for name in names}) < len(names):
                folded = [name.lower() for name in names]
                for index, name in enumerate(folded):
                    if folded.count(name) > 1:
                        self._prefixes[index] = _NO_PREFIX
        elif self._copy is not None:
            self._kept = self._copy(self.headers)
        self._lines, self._pairs, self._kinds = lines, pairs, kinds
        self._status = (self.version, self.status, self.reason)
        for index, kind in kinds:
            self._quick_framing(lines, index, kind, pairs[index][1])
        return True

    def _quick_framing(self, lines: list[str], index: int, kind: int, value: str) -> None:
        if kind == _LENGTH and self._length < 0 and len(value) <= 18 and value.isdecimal():
            self._length = int(value)
            return
        offset = self.consumed + sum(map(len, lines[: index + 1])) + 2 * (index + 1)
        self._framing_field(kind, value, offset)

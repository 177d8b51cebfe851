"""Lines of the Python engine: status lines, field lines, the ends of sections (RFC 9112 2 to 5).

The same as `src/_lines.pxi`, function for function.
"""

from __future__ import annotations

import re
from typing import Any, Final, NoReturn

from multidict import CIMultiDict, istr

from .errors import ParseError, parse_error
from .grammar import STATES, TOKEN, Limits, limits_of
from .syntax import field_fault, length_of, status_line_fault

__all__ = [
    "CHUNK_DATA",
    "CHUNK_END",
    "CHUNK_SIZE",
    "CR",
    "CRLF",
    "DONE",
    "FAILED",
    "FIELD",
    "FIELD_LINE",
    "FIXED",
    "KINDS",
    "LENGTH",
    "START_LINE",
    "TRAILER",
    "UNTIL_CLOSE",
    "LineParser",
]

(
    START_LINE,
    FIELD_LINE,
    FIXED,
    CHUNK_SIZE,
    CHUNK_DATA,
    CHUNK_END,
    TRAILER,
    UNTIL_CLOSE,
    DONE,
    FAILED,
) = range(len(STATES))

CR: Final = 0x0D
_LF: Final = 0x0A
CRLF: Final = b"\r\n"
_START: Final = b"HTTP/"
#: The kinds of field the parser itself reads.
_OTHER, LENGTH, _CODING = range(3)
KINDS: Final = {"content-length": LENGTH, "transfer-encoding": _CODING}
_TOKEN_CLASS: Final = re.escape(bytes(sorted(TOKEN)).decode("ascii"))
#: status line: version, status, reason (RFC 9112 4)
_STATUS_LINE: Final = re.compile(
    r"HTTP/(1\.[0-9]|0\.9) ([1-9][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?"
)
#: field-name ":" field-value with its OWS still on (RFC 9112 5)
FIELD: Final = re.compile(rf"([{_TOKEN_CLASS}]+):([\t\x20-\x7e\x80-\xff]*)")


class LineParser:
    """Parse the lines of heads and trailer sections."""

    # with more than 30 attributes in a dict CPython is slower: all parsing by a tenth (measured)
    __slots__ = (
        "_add",
        "_asked",
        "_coding_at",
        "_codings",
        "_complete",
        "_count",
        "_empties",
        "_field_at",
        "_interim",
        "_kind",
        "_length",
        "_length_fault",
        "_name",
        "_scanned",
        "_section",
        "_state",
        "_values",
        "consumed",
        "error",
        "headers",
        "interims",
        "limits",
        "mapping",
        "method",
        "reason",
        "status",
        "version",
    )

    def __init__(self, *, limits: Limits | None = None, mapping: type[Any] | None = None) -> None:
        limits = limits_of(limits)
        mapping = CIMultiDict if mapping is None else mapping
        add = mapping.add  # first what may fail: then all stays as it was
        self.limits = limits
        self.mapping: type[Any] = mapping
        self._add = add
        self._asked = ""  # method as it was given, so that the same again costs nothing
        self.method = ""

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object: it is of one connection")

    def _start_head(self, method: str) -> None:
        if method is not self._asked:
            self.method = str.upper(method)  # whatever a subclass makes of it
            self._asked = method
        self.version: tuple[int, int] | None = None
        self.status: int | None = None
        self.reason: str | None = None
        self.headers: Any = None
        self.interims = 0
        self.consumed = 0
        self.error: ParseError | None = None
        self._state = START_LINE
        self._interim = False  # the present head is that of an interim response
        self._complete = False  # the final head is, and nothing was made of it yet
        self._scanned = 0  # octets of the present line that hold no LF
        self._section = 0  # offset where the head or trailer section began
        self._empties = 0
        self._begin_section()

    def _fail(self, code: str, offset: int, near: bytes | bytearray = b"") -> NoReturn:
        """Record the error for good and raise it; `offset` counts from the message's start."""
        error = parse_error(code, offset=offset, state=STATES[self._state], near=near)
        self.error = error
        self._state = FAILED
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
            if have - (rx[pos + have - 1] == CR) > room:
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

    def _start_line(self, rx: bytes | bytearray, pos: int) -> int:
        """Take the line before the fields; -1 until it is whole, else where the next one begins."""
        have = len(rx) - pos
        for index in range(min(5, have) if self._scanned < 5 else 0):
            if rx[pos + index] == _START[index]:
                continue
            octet = rx[pos + index]
            if octet == CR and index == 0:
                if have == 1:
                    break
                octet = rx[pos + 1]
                index = 1
            if octet == _LF and rx[pos] in CRLF:
                return self._empty_line(rx, pos, index + 1)
            self._fail("bad-start", self.consumed + index, rx[pos : pos + index + 1])
        most = max(0, self.limits.head - (self.consumed - self._section))
        lf = self._line(rx, pos, most, "head-too-large")
        if lf < 0:
            return -1
        end = lf - (rx[lf - 1] == CR)
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
        self._state = FIELD_LINE
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
        end = lf - (lf > pos and rx[lf - 1] == CR)
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
        match = FIELD.fullmatch(text)
        if match is None:
            self._check_line(rx, pos, end)
        assert match is not None
        self._count += 1
        self._name = match[1]
        value = match[2].strip(" \t")
        self._values = [value] if value else []
        self._kind = KINDS.get(match[1].lower(), _OTHER)
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
            self._add(mapping, istr(self._name), value)
            if self._kind and self._state == FIELD_LINE:
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
        self._state = START_LINE
        self._section = self.consumed
        self._empties = 0
        self._begin_section()

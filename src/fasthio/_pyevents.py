"""The Python engine of event streams: the same class as in `_events.pxi`.

Lines and fields follow WHATWG HTML 9.2.5 and 9.2.6. The two engines give the
same events, the same attributes and the same errors at every split.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NoReturn

from ._pynet import check_growable
from .errors import ParseError, parse_error
from .grammar import RETRY_DIGITS, Limits, limits_of

if TYPE_CHECKING:
    from collections.abc import MutableSequence

__all__ = ["EventParser"]

_BOM: Final = b"\xef\xbb\xbf"
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_AT_WORK: Final = "the parser is at work: a call while another one is under way"
_INTERRUPTED: Final = "an exception has broken the last call off: begin anew with reset()"
_NEAR: Final = 32  # octets of a line that an error shows


class EventParser:
    """Parse an event stream as its octets come (WHATWG HTML 9.2).

    Args:
        limits: bounds `event_line`, `event` and `events`; None for the defaults.
    Attributes:
        leid: last event id, str, or None before the first; changes at the blank
            line that ends an event. Settable: the id to start from.
        retry: reconnection time, milliseconds, or None. Settable.
        bom: U+FEFF if the stream began with one, else None.
        consumed: octets of this stream taken so far.
        count: events of this stream dispatched so far.
        ended: True once the end of the stream was met.
        error: the error the stream failed with, or None.
    """

    __slots__ = (
        "_begun",
        "_bom",
        "_broken",
        "_busy",
        "_consumed",
        "_count",
        "_data",
        "_ended",
        "_error",
        "_event_limit",
        "_id",
        "_leid",
        "_line_limit",
        "_name",
        "_queue_limit",
        "_raw",
        "_retry",
        "_scan",
        "_size",
        "_swallow",
    )

    _bom: str | None
    _busy: bool
    _data: list[bytes]
    _error: ParseError | None
    _id: str | None
    _leid: str | None
    _name: str
    _raw: bytearray | None
    _retry: int | None

    def __init__(self, *, limits: Limits | None = None) -> None:
        if getattr(self, "_busy", False):
            raise RuntimeError(_AT_WORK)  # untraced
        self._busy = False  # a call is under way: none may begin within it
        limits = limits_of(limits)
        self._line_limit = limits.event_line
        self._event_limit = limits.event
        self._queue_limit = limits.events
        self._leid = None
        self._retry = None
        self.reset()

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object: it is of one connection")

    @property
    def leid(self) -> str | None:
        """Last event id, or None before the first."""
        return self._leid

    @leid.setter
    def leid(self, leid: str | None) -> None:
        if leid is not None and not isinstance(leid, str):
            raise TypeError("leid must be a str or None, not " + type(leid).__name__)
        self._leid = self._id = leid

    @property
    def retry(self) -> int | None:
        """Reconnection time in milliseconds, or None if the stream gave none."""
        return self._retry

    @retry.setter
    def retry(self, retry: int | None) -> None:
        if retry is not None and not isinstance(retry, int):
            raise TypeError("retry must be an int or None, not " + type(retry).__name__)
        self._retry = retry

    @property
    def bom(self) -> str | None:
        """U+FEFF if the stream began with one, else None."""
        return self._bom

    @property
    def consumed(self) -> int:
        """Octets of this stream taken so far."""
        return self._consumed

    @property
    def count(self) -> int:
        """Events of this stream dispatched so far."""
        return self._count

    @property
    def ended(self) -> bool:
        """Whether the end of the stream was met."""
        return self._ended

    @property
    def error(self) -> ParseError | None:
        """The error the stream failed with, or None."""
        return self._error

    def reset(self) -> None:
        """Make ready for a new stream, as after a reconnect.

        An unfinished event, an error and the end are forgotten; `leid` and
        `retry` are kept, and events without an id take `leid`.   hio: D79.
        """
        if self._busy:
            raise RuntimeError(_AT_WORK)  # untraced
        self._broken = False  # a call ended halfway: the same octets would be taken again
        self._begun = False  # the first octets were looked at for a BOM
        self._bom = None
        self._consumed = 0
        self._count = 0
        self._data = []  # data lines of the unfinished event
        self._ended = False
        self._error = None
        self._id = self._leid  # the spec's last event ID buffer
        self._name = ""
        self._raw = None
        self._scan = 0  # octets in front of raw known to hold no line end
        self._size = 0  # octets in data, the joining line feeds counted
        self._swallow = False  # the last line end was a CR: an LF belongs to it

    def feed(
        self, raw: bytearray, events: MutableSequence[dict[str, Any]], eof: bool = False
    ) -> int:
        """Take whole lines from the front of `raw` and append the events they end.

        Args:
            raw: octets received, oldest first. What was understood is deleted,
                once a call; an unfinished line stays. No view of it may be held.
            events: where to append; each event is a dict of `id` (str, or None
                before the first id), `name` ("" unless given) and `data` (str).
            eof: True once the stream has ended; sticky. An unfinished event is
                dropped (WHATWG HTML 9.2.6), and so is what is left in `raw`.
        Returns:
            Events appended. Nothing is taken once the end was met.
        Raises:
            TypeError: `raw` is no bytearray.
            EventLineError: a line is longer than `limits.event_line`.
            EventError: the data of an event is larger than `limits.event`, or
                `events` is longer than `limits.events` allows. Events before
                the fault are appended first, the same error is raised again.
        Cost: O(new octets).   hio: D70 to D78.
        """
        if not isinstance(raw, bytearray):
            raise TypeError("raw must be a bytearray, not " + type(raw).__name__)
        if self._error is not None and not self._broken:  # else events before it were lost
            raise self._error.with_traceback(None)
        eof = bool(eof)
        if self._busy:
            raise RuntimeError(_AT_WORK)  # untraced
        if self._broken:
            raise RuntimeError(_INTERRUPTED)
        if self._ended:
            return 0
        if raw is not self._raw:
            self._raw = raw
            self._scan = 0
        room = -1
        if self._queue_limit is not None:
            room = max(self._queue_limit - len(events), 0)
        found: list[dict[str, Any]] = []
        check_growable(raw)  # before anything is taken
        self._broken = True
        try:
            self._busy = True  # an error is made of Python code, which may let others run
            dead = self._take(raw, found, room)
        finally:
            self._busy = False
        if eof and self._error is None:
            self._drop()
            dead = len(raw)
        if dead:
            del raw[:dead]
            self._consumed += dead
        if found:
            events.extend(found)
            self._count += len(found)
        self._broken = False
        if self._error is not None:
            raise self._error
        return len(found)

    def _drop(self) -> None:
        """End the stream: an event no blank line has ended is not dispatched (9.2.6)."""
        self._ended = True
        self._raw = None
        self._data = []
        self._size = 0

    def _fail(self, code: str, at: int, near: bytes) -> None:
        """Note the error, `at` octets from the front of raw."""
        self._error = parse_error(
            code, offset=self._consumed + at, state="event-stream", near=near[:_NEAR]
        )

    def _take(self, raw: bytearray, found: list[dict[str, Any]], room: int) -> int:
        """Parse the whole lines of raw; return how many octets they are."""
        start = 0
        if not self._begun:  # one BOM before the first line is no part of it (9.2.5)
            head = bytes(raw[:3])
            if head == _BOM:
                self._bom = "\ufeff"
                start = 3
            elif _BOM.startswith(head):
                return 0  # the rest of it may follow
            self._begun = True
        if self._swallow and raw:  # an LF after a CR is of the same line end (9.2.5)
            self._swallow = False
            if raw[0] == 0x0A:
                start = 1
        scan = max(start, self._scan)
        end = max(raw.rfind(b"\n", scan), raw.rfind(b"\r", scan)) + 1
        if end:
            block = bytes(raw[start:end])
            taken = self._lines(block, start, found, room)
            if end < len(raw):
                self._swallow = False  # what follows is there, and no LF
            if self._error is not None:
                return start + taken
            start = end
        self._scan = len(raw) - start
        if self._scan > self._line_limit:
            self._fail(
                "event-line-too-long", start, bytes(raw[start : start + self._line_limit + 1])
            )
        return start

    def _lines(self, block: bytes, start: int, found: list[dict[str, Any]], room: int) -> int:
        """Parse whole lines; return the octets before the line that failed, if one did."""
        if b"\r" in block:
            lines = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
            self._swallow = block.endswith(b"\r")
        else:
            lines = block.split(b"\n")
        lines.pop()  # what follows the last line end
        long = len(lines)
        if len(block) > self._line_limit:
            limit = self._line_limit
            long = next((i for i, line in enumerate(lines) if len(line) > limit), long)
        code, index = self._fields(lines[:long], found, room)
        if not code:
            if long == len(lines):
                return len(block)
            code, index = "event-line-too-long", long
        at = 0
        if index:
            ends = _LINE_END.finditer(block)
            for _ in range(index):
                at = next(ends).end()
        self._fail(code, start + at, lines[index][: self._line_limit + 1])
        return at

    def _fields(
        self, lines: list[bytes], found: list[dict[str, Any]], room: int
    ) -> tuple[str, int]:
        """Parse lines (9.2.6); return the code and the index of the line that failed, or ""."""
        data = self._data
        most = self._event_limit
        for index, line in enumerate(lines):
            if not line:  # dispatch
                if data:
                    if len(found) == room:
                        return "too-many-events", index
                    text = b"\n".join(data).decode("utf-8", "replace")
                    found.append({"id": self._id, "name": self._name, "data": text})
                    self._data = data = []
                    self._size = 0
                self._leid = self._id
                self._name = ""
                continue
            field, _, value = line.partition(b":")
            if value.startswith(b" "):
                value = value[1:]
            if field == b"data":
                size = self._size + len(value) + (1 if data else 0)
                if size > most:
                    return "event-too-large", index
                data.append(value)
                self._size = size
            elif field:  # else a comment
                self._field(field, value)
        return "", 0

    def _field(self, field: bytes, value: bytes) -> None:
        """Take a field other than data; one of no known name is ignored (9.2.6)."""
        if field == b"event":
            self._name = value.decode("utf-8", "replace")
        elif field == b"id":
            if b"\x00" not in value:
                self._id = value.decode("utf-8", "replace")
        elif field == b"retry" and value.isdigit():
            digits = value.lstrip(b"0")
            if len(digits) <= RETRY_DIGITS:
                self._retry = int(digits or b"0")

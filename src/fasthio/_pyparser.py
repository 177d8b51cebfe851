"""The Python engine: an incremental HTTP/1.1 response parser (RFC 9112).

The same parser as `src/_parser.pyx`, function for function; so are its bases, `_pylines`,
`_pyhead` and `_pybody`, and those of the C engine. `_parser.pyi` holds the documentation
of both. What a line that is refused had wrong, and how list valued framing fields are
read, is in `syntax`, which both engines use.
"""

from __future__ import annotations

from operator import index
from typing import Any, Final

from ._pybody import BodyParser
from ._pyevents import EventParser
from ._pyjson import plain_json
from ._pylines import (
    CHUNK_DATA,
    CHUNK_END,
    CHUNK_SIZE,
    DONE,
    FAILED,
    FIELD_LINE,
    FIXED,
    START_LINE,
    TRAILER,
    UNTIL_CLOSE,
)
from ._pynet import peek, receive, send
from ._pypublish import Publisher, intact
from .errors import ParseError
from .grammar import FRAMINGS, MAX_LENGTH, STATES, Limits

__all__ = [
    "NAME",
    "EventParser",
    "Publisher",
    "ResponseParser",
    "intact",
    "peek",
    "plain_json",
    "receive",
    "send",
]

NAME: Final = "py"

_AT_WORK: Final = "the parser is at work: a call from within its own mapping, or from two threads"
_INTERRUPTED: Final = "an exception has broken the last call off: begin anew with start()"
_OWN_BODY: Final = "the body of this message is no buffer to read it from"
_MOST_RECEIVED: Final = MAX_LENGTH // 2  # octets of a message that may be claimed


class ResponseParser(BodyParser):
    """Parse HTTP/1.1 responses from a buffer that fills as octets come."""

    __slots__ = ("_busy", "_eof", "_pending")

    def __init__(self, *, limits: Limits | None = None, mapping: type[Any] | None = None) -> None:
        if getattr(self, "_busy", False):
            raise RuntimeError(_AT_WORK)
        self._busy = False  # a call is under way: none may begin within it
        super().__init__(limits=limits, mapping=mapping)
        self._start("GET")

    def start(self, method: str = "GET") -> None:
        if not isinstance(method, str):
            raise TypeError(f"method must be a str, not {type(method).__name__}")
        self._start(method)

    def _start(self, method: str) -> None:
        if self._busy:
            raise RuntimeError(_AT_WORK)
        self._start_message(method)
        self._eof = False
        # octets given to feed() of a line that is not whole
        self._pending: bytearray | None = None

    def reset(self) -> None:
        self._start(self.method)

    def start_body(self, framing: str, length: int | None = None) -> None:
        if not isinstance(framing, str):
            raise TypeError(f"framing must be a str, not {type(framing).__name__}")
        if framing not in FRAMINGS:
            raise ValueError(f"framing must be one of {FRAMINGS}, not {framing!r}")
        if (framing == "fixed") != (length is not None):
            raise ValueError("length goes with framing 'fixed' and only with it")
        if length is not None:
            length = index(length)
            if not 0 <= length <= MAX_LENGTH:
                raise ValueError(f"length must be from 0 to {MAX_LENGTH}, not {length}")
        self._start(self.method)
        self.headers = self.mapping()
        self._enter_body(FRAMINGS.index(framing), length or 0, 0)

    # attributes computed from others

    @property
    def state(self) -> str:
        return STATES[self._state]

    @property
    def framing(self) -> str | None:
        return None if self._framing < 0 else FRAMINGS[self._framing]

    @property
    def done(self) -> bool:
        return self._state == DONE

    @property
    def wanted(self) -> int:
        return self._wanted()

    def snapshot(self) -> tuple[Any, ...]:
        return (
            self.headed,
            self._state == DONE,
            self._wanted(),
            self.version,
            self.status,
            self.reason,
            self.headers,
            None if self._framing < 0 else FRAMINGS[self._framing],
            self.length,
            self.body,
            self.trailers,
            self.conflicted,
        )

    def received(self, count: int) -> None:
        count = index(count)
        wanted = self._wanted()
        most = max(0, _MOST_RECEIVED - self.consumed)
        if 0 <= wanted < most:
            most = wanted
        if not 0 <= count <= most:
            raise ValueError(f"count must be from 0 to {most}, not {count}")
        self.consumed += count
        self._taken += count
        if wanted > 0:
            self._left -= count
            if self._left == 0:
                self._end_data()

    # parsing

    def parse(self, rx: bytearray, eof: bool = False) -> int:
        return self._run(rx, bool(eof), False)

    def parse_head(self, rx: bytearray, eof: bool = False) -> int:
        return self._run(rx, bool(eof), True)

    def take(self, rx: bytearray, eof: bool = False) -> int:
        eof = bool(eof)
        before = self.consumed
        try:
            count = self._run(rx, eof, False)
        except BaseException:
            if isinstance(rx, bytearray):
                try:
                    del rx[: self.consumed - before]
                except BaseException:
                    self._break_off()
                    raise
            raise
        try:
            del rx[:count]
        except BaseException:  # somebody has a view: the same octets would be taken again
            self._break_off()
            raise
        return count

    def feed(self, data: bytes | bytearray | memoryview, eof: bool = False) -> int:
        eof = bool(eof)
        if type(data) is bytes:
            return self._feed(data, eof)
        try:
            view = memoryview(data)
        except TypeError as error:
            raise TypeError(str(error).removeprefix("memoryview: ")) from None
        try:
            with view:  # held as long as the call, as a buffer is
                if not view.c_contiguous:
                    raise BufferError("memoryview: underlying buffer is not C-contiguous")
                if data is self.body:
                    raise ValueError(_OWN_BODY)
                return self._feed(view.tobytes(), eof)
        finally:
            del data  # an error that is kept holds this frame, which must hold no view

    def _feed(self, data: bytes, eof: bool) -> int:
        """Take octets; those of a line that is not whole are kept until the rest comes."""
        if self._busy:
            raise RuntimeError(_AT_WORK)
        try:
            kept = self._pending
            octets: bytes | bytearray = data
            if kept:
                kept += data
                octets = kept
            count = self._advance(octets, eof, False)
            rest = len(octets) - count
            if self._state == DONE:
                self._pending = None
                return len(data) - rest  # what is left is no part of this message
            if kept:
                del kept[:count]
            elif rest:
                self._pending = bytearray(octets[count:])
            return len(data)
        except (ParseError, BufferError):
            self._pending = None
            raise
        except BaseException:  # what is kept and what came would be taken twice, or not at all
            self._pending = None
            self._break_off()
            raise

    def _run(self, rx: bytearray, eof: bool, head_only: bool) -> int:
        if not isinstance(rx, bytearray):
            raise TypeError(f"rx must be a bytearray, not {type(rx).__name__}")
        if rx is self.body:
            raise ValueError(_OWN_BODY)  # it moves while its octets are put into it
        if self._pending:
            raise ValueError("octets of this message are kept: go on with feed()")
        return self._advance(rx, eof, head_only)

    def _advance(self, rx: bytes | bytearray, eof: bool, head_only: bool) -> int:
        if self._busy:
            raise RuntimeError(_AT_WORK)
        if self.error is not None:
            raise self.error.with_traceback(None)
        if self._state == FAILED:
            raise RuntimeError(_INTERRUPTED)
        if eof:
            self._eof = True
        try:
            self._busy = True
            if type(rx) is bytes:  # which nobody can resize
                return self._walk(rx, head_only)
            with memoryview(rx):  # held: a mapping that resizes it gets a BufferError
                return self._walk(rx, head_only)
        except (ParseError, BufferError):
            raise  # nothing is half done: a body that somebody views did not grow
        except BaseException:
            self._break_off()
            raise
        finally:
            self._busy = False

    def _break_off(self) -> None:
        """End the message for good: it is half parsed, or its octets would be taken again."""
        self._state = FAILED
        self._scanned = 0

    def _walk(self, rx: bytes | bytearray, head_only: bool) -> int:
        pos = 0
        while True:
            state = self._state
            if state <= FIELD_LINE:
                before = pos
                pos = self._head(rx, pos)
                if self._complete:
                    self._choose_framing()
                elif pos == before:
                    break
            elif state == DONE or (head_only and self.headed):
                break
            elif state == FIXED or state == CHUNK_DATA:
                pos = self._data(rx, pos)
                if self._left:
                    break
            elif state == UNTIL_CLOSE:
                pos = self._rest(rx, pos)
                break
            elif state == TRAILER:
                pos = self._trailer(rx, pos)
                if self._state == TRAILER:
                    break
            else:
                before = pos
                pos = self._chunks(rx, pos)
                if self._state == state and pos == before:
                    break
        if self._eof and not (head_only and self.headed):
            self._close()
        return pos

    def _close(self) -> None:
        """Take the end of the stream: the message is complete, or it never will be (RFC 9112 8)."""
        state = self._state
        end = self.consumed + self._scanned  # where the octets end
        if state == UNTIL_CLOSE:
            self._finish()
        elif state == TRAILER and self.consumed == self._section and not self._scanned:
            self._finish()  # the last chunk came: nothing of the body is missing (RFC 9112 8)
        elif state == TRAILER:
            self._fail("closed-in-trailers", end)
        elif state == FIXED:
            self._fail("closed-in-body", end)
        elif state in (CHUNK_SIZE, CHUNK_DATA, CHUNK_END):
            self._fail("closed-in-chunk", end)
        elif state == START_LINE and not self._scanned:
            self._fail("closed-before-start", end)
        elif state <= FIELD_LINE:
            self._fail("closed-in-head", end)

"""The Python engine: an incremental HTTP/1.1 response parser (RFC 9112).

The same parser as `src/_parser.pyx`, function for function (heads: `_pyhead` and
`src/_head.pxi`); `_parser.pyi` holds the documentation of both. What a line that
is refused had wrong, and how list valued framing fields are read, is in `syntax`,
which both engines use.
"""

from __future__ import annotations

import re
from typing import Any, Final

from ._pyevents import EventParser
from ._pyhead import HeadParser
from ._pyjson import plain_json
from ._pynet import peek, receive, send
from ._pypublish import Publisher
from .grammar import FRAMINGS, MAX_LENGTH, STATES, Limits
from .syntax import codings_of, extensions_of

__all__ = [
    "NAME",
    "EventParser",
    "Publisher",
    "ResponseParser",
    "peek",
    "plain_json",
    "receive",
    "send",
]

NAME: Final = "py"

(
    _START_LINE,
    _FIELD_LINE,
    _FIXED,
    _CHUNK_SIZE,
    _CHUNK_DATA,
    _CHUNK_END,
    _TRAILER,
    _UNTIL_CLOSE,
    _DONE,
    _FAILED,
) = range(len(STATES))
_NO_BODY, _BY_LENGTH, _CHUNKED, _BY_CLOSE = range(len(FRAMINGS))

_AT_WORK: Final = "the parser is at work: a call from within its own mapping, or from two threads"
_OWN_BODY: Final = "the body of this message is no buffer to read it from"

_CR: Final = 0x0D
_CRLF: Final = b"\r\n"
#: a chunk-size line without extensions (RFC 9112 7.1)
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")
#: Longest chunk that is gathered with others before it is put into the body.
_GATHER: Final = 16384


class ResponseParser(HeadParser):
    """Parse HTTP/1.1 responses from a buffer that fills as octets come."""

    _busy = False  # a call is under way: none may begin within it

    def __init__(self, *, limits: Limits | None = None, mapping: type[Any] | None = None) -> None:
        if self._busy:
            raise RuntimeError(_AT_WORK)
        super().__init__(limits=limits, mapping=mapping)
        self.start()

    def start(self, method: str = "GET") -> None:
        if not isinstance(method, str):
            raise TypeError(f"method must be a str, not {type(method).__name__}")
        if self._busy:
            raise RuntimeError(_AT_WORK)
        self._pending = bytearray()  # octets given to feed() of a line that is not whole
        self._start_head(method)
        self.length: int | None = None
        self.trailers: Any = None
        self.codings: tuple[str, ...] = ()
        self.conflicted = False
        self.headed = False
        self.body = bytearray()
        self.extensions: dict[str, str | None] = {}
        self._trailing: Any = None
        self._framing = -1
        self._eof = False
        self._left = 0  # octets of the body or chunk still to come
        self._taken = 0  # octets of body so far
        self._overhead = 0  # chunk extension octets so far

    def reset(self) -> None:
        self.start(self.method)

    def start_body(self, framing: str, length: int | None = None) -> None:
        if framing not in FRAMINGS:
            raise ValueError(f"framing must be one of {FRAMINGS}, not {framing!r}")
        if (framing == "fixed") != (length is not None):
            raise ValueError("length goes with framing 'fixed' and only with it")
        if length is not None and not 0 <= length <= MAX_LENGTH:
            raise ValueError(f"length must be from 0 to {MAX_LENGTH}, not {length}")
        self.start(self.method)
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
        return self._state == _DONE

    @property
    def wanted(self) -> int:
        if self._state == _FIXED or self._state == _CHUNK_DATA:
            return self._left
        return -1 if self._state == _UNTIL_CLOSE and self.limits.body is None else 0

    def snapshot(self) -> tuple[Any, ...]:
        return (
            self.headed,
            self._state == _DONE,
            self.wanted,
            self.version,
            self.status,
            self.reason,
            self.headers,
            self.framing,
            self.length,
            self.body,
            self.trailers,
            self.conflicted,
        )

    def received(self, count: int) -> None:
        wanted = self.wanted
        if count < 0 or (count > wanted and wanted >= 0):
            raise ValueError(f"count must be from 0 to {wanted}, not {count}")
        self.consumed += count
        self._taken += count
        if wanted > 0:
            self._left -= count
            if self._left == 0:
                self._end_data()

    # parsing

    def parse(self, rx: bytearray, eof: bool = False) -> int:
        return self._run(rx, eof, False)

    def parse_head(self, rx: bytearray, eof: bool = False) -> int:
        return self._run(rx, eof, True)

    def take(self, rx: bytearray, eof: bool = False) -> int:
        before = self.consumed
        try:
            count = self._run(rx, eof, False)
        except BaseException:
            if isinstance(rx, bytearray):
                del rx[: self.consumed - before]
            raise
        del rx[:count]
        return count

    def feed(self, data: bytes | bytearray | memoryview, eof: bool = False) -> int:
        if type(data) is not bytes:
            with memoryview(data) as view:
                if not view.c_contiguous:
                    raise BufferError("data must be contiguous")
                if data is self.body:
                    raise ValueError(_OWN_BODY)
                data = view.tobytes()
        kept = self._pending
        octets: bytes | bytearray = data
        if kept:
            if self._busy:
                raise RuntimeError(_AT_WORK)
            kept += data
            octets = kept
        try:
            count = self._advance(octets, eof, False)
        except BaseException:
            self._pending = bytearray()
            raise
        rest = len(octets) - count
        if self._state == _DONE:
            self._pending = bytearray()
            return len(data) - rest  # what is left is no part of this message
        if kept:
            del kept[:count]
        elif rest:
            self._pending = bytearray(octets[count:])
        return len(data)

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
        if eof:
            self._eof = True
        self._busy = True
        try:
            return self._walk(rx, head_only)
        finally:
            self._busy = False

    def _walk(self, rx: bytes | bytearray, head_only: bool) -> int:
        pos = 0
        while True:
            state = self._state
            if state <= _FIELD_LINE:
                before = pos
                pos = self._head(rx, pos)
                if self._complete:
                    self._choose_framing()
                elif pos == before:
                    break
            elif state == _DONE or (head_only and self.headed):
                break
            elif state == _FIXED or state == _CHUNK_DATA:
                pos = self._data(rx, pos)
                if self._left:
                    break
            elif state == _UNTIL_CLOSE:
                pos = self._rest(rx, pos)
                break
            elif state == _TRAILER:
                pos = self._trailer(rx, pos)
                if self._state == _TRAILER:
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
        if state == _UNTIL_CLOSE:
            self._finish()
        elif state == _TRAILER and self.consumed == self._section and not self._scanned:
            self._finish()  # the last chunk came: nothing of the body is missing (RFC 9112 8)
        elif state == _TRAILER:
            self._fail("closed-in-trailers", end)
        elif state == _FIXED:
            self._fail("closed-in-body", end)
        elif state in (_CHUNK_SIZE, _CHUNK_DATA, _CHUNK_END):
            self._fail("closed-in-chunk", end)
        elif state == _START_LINE and not self._scanned:
            self._fail("closed-before-start", end)
        elif state <= _FIELD_LINE:
            self._fail("closed-in-head", end)

    # body

    def _choose_framing(self) -> None:
        """Choose the framing of the body, the final head being complete (RFC 9112 6.3)."""
        self._complete = False
        status = self.status
        assert status is not None
        framing, length, offset = _BY_CLOSE, 0, self.consumed
        # 6.3 (1), (2): no body, whatever the framing fields say
        if (
            status < 200
            or status in (204, 304)
            or self.method == "HEAD"
            or (self.method == "CONNECT" and status < 300)
        ):
            framing = _NO_BODY
        elif self._codings is not None:
            # 6.3 (3), (4): Transfer-Encoding overrides Content-Length
            value = ", ".join(self._codings)
            self.codings, chunked, code = codings_of(value)
            if code:
                self._fail(code, self._coding_at, value.encode("iso-8859-1"))
            self.conflicted = self._length >= 0 or self._length_fault is not None
            # HTTP/1.0 has no chunked coding (6.1): read until close
            if chunked and self.version == (1, 1):
                framing = _CHUNKED
            elif chunked:
                self.codings += ("chunked",)
        elif self._length_fault is not None:
            # 6.3 (5): the framing is invalid
            self._fail(*self._length_fault)
        elif self._length >= 0:
            framing, length = _BY_LENGTH, self._length
        self._enter_body(framing, length, offset)

    def _enter_body(self, framing: int, length: int, offset: int) -> None:
        self._framing = framing
        self.headed = True
        self._left = 0
        if framing == _NO_BODY or (framing == _BY_LENGTH and not length):
            self.length = 0
            self._state = _DONE
        elif framing == _BY_LENGTH:
            self.length = length
            if self.limits.body is not None and length > self.limits.body:
                self._fail("body-too-large", offset)
            self._left = length
            self._state = _FIXED
        elif framing == _CHUNKED:
            self._state = _CHUNK_SIZE
        else:
            self._state = _UNTIL_CLOSE

    def _data(self, rx: bytes | bytearray, pos: int) -> int:
        """Take octets of a body or chunk whose size is known."""
        count = min(self._left, len(rx) - pos)
        if count:
            if count < _GATHER:
                self.body += rx[pos : pos + count]
            else:
                # PyPy would keep a view that is not released for long
                with memoryview(rx) as view, view[pos : pos + count] as piece:
                    self.body += piece
            self.consumed += count
            self._taken += count
            self._left -= count
        if self._left == 0:
            self._end_data()
        return pos + count

    def _end_data(self) -> None:
        if self._state == _CHUNK_DATA:
            self._state = _CHUNK_END
        else:
            self._finish()

    def _rest(self, rx: bytes | bytearray, pos: int) -> int:
        """Take octets of a body that the peer ends by closing."""
        count = len(rx) - pos
        limit = self.limits.body
        over = limit is not None and len(self.body) + count > limit
        if over:
            assert limit is not None
            count = max(0, limit - len(self.body))
        with memoryview(rx) as view, view[pos : pos + count] as piece:
            self.body += piece
        self.consumed += count
        self._taken += count
        if over:
            self._fail("body-too-large", self.consumed)
        return pos + count

    def _chunks(self, rx: bytes | bytearray, pos: int) -> int:
        """Take chunks from `pos` on, as many as are whole (RFC 9112 7.1)."""
        if self._state == _CHUNK_END:
            return self._chunk_end(rx, pos)
        parts: list[bytes | bytearray] = []
        gathered = 0
        begin = pos
        line: bytes | None = None
        count = 0
        # short whole chunks one after the other, put into the body in one go
        while not self._scanned and self.limits.body is None:
            # most chunks of a body are of one size
            if line is None or not rx.startswith(line, pos):
                match = _CHUNK_LINE.match(rx, pos)
                if match is None:
                    break
                line, count = match[0], int(match[1], 16)
                if not count or count > _GATHER:
                    break
            after = pos + len(line) + count
            if not rx.startswith(_CRLF, after):
                break
            parts.append(rx[pos + len(line) : after])
            gathered += count
            pos = after + 2
        if parts:
            self.body += b"".join(parts)
            self._taken += gathered
            self.consumed += pos - begin
        return self._chunk_line(rx, pos)

    def _chunk_line(self, rx: bytes | bytearray, pos: int) -> int:
        """Take one chunk-size line with its extensions."""
        limits = self.limits
        lf = self._line(rx, pos, limits.line + 2, "line-too-long")
        if lf < 0:
            return pos
        # LF alone is refused here: others read such a line in another way (RFC 9112 7.1)
        if lf == pos or rx[lf - 1] != _CR:
            self._fail("bad-chunk-line", self.consumed + lf - pos, rx[pos : lf + 1])
        line = bytes(rx[pos : lf - 1])
        size, pairs, code, index = extensions_of(line)
        if code:
            self._fail(code, self.consumed + index, line[index:])
        digits = len(line) - len(line.lstrip(b"0123456789ABCDEFabcdef"))
        self._overhead += len(line) - digits
        if self._overhead > limits.extensions + self._taken:
            self._fail("extensions-too-large", self.consumed, line)
        for name, value in pairs:
            if name not in self.extensions and len(self.extensions) >= limits.fields:
                self._fail("too-many-extensions", self.consumed, line)
            self.extensions[name] = value
        if limits.body is not None and size > limits.body - len(self.body):
            self._fail("body-too-large", self.consumed, line)
        self.consumed += lf + 1 - pos
        if size:
            self._left = size
            self._state = _CHUNK_DATA
        else:
            self._state = _TRAILER
            self._trailing = self.mapping()
            self._section = self.consumed
            self._begin_section()
        return lf + 1

    def _chunk_end(self, rx: bytes | bytearray, pos: int) -> int:
        """Take the CRLF after the data of a chunk; `_scanned` counts the CR (RFC 9112 7.1)."""
        for index in range(self._scanned, 2):
            if pos + index >= len(rx):
                self._scanned = index
                return pos
            if rx[pos + index] != _CRLF[index]:
                self._fail("bad-chunk-end", self.consumed + index, rx[pos : pos + index + 1])
        self._scanned = 0
        self.consumed += 2
        self._state = _CHUNK_SIZE
        return pos + 2

    def _trailer(self, rx: bytes | bytearray, pos: int) -> int:
        """Take trailer lines (RFC 9112 7.1.2); they are never merged into the headers."""
        while True:
            most = max(0, self.limits.trailers - (self.consumed - self._section))
            lf = self._line(rx, pos, most, "trailers-too-large")
            if lf < 0:
                return pos
            ended = self._field_line(rx, pos, lf, self._trailing)
            if self._count:
                self.trailers = self._trailing
            self.consumed += lf + 1 - pos
            pos = lf + 1
            if ended:
                self._finish()
                return pos

    def _finish(self) -> None:
        """End the message; the length is now that of the body."""
        if self._framing != _BY_LENGTH:
            self.length = self._taken
        self._state = _DONE

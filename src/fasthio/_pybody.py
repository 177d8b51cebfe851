"""Bodies of the Python engine: framing, data, chunks, trailers (RFC 9112 6 and 7).

The same as `src/_body.pxi`, function for function.
"""

from __future__ import annotations

import re
from typing import Any, Final

from ._pyhead import HeadParser
from ._pylines import (
    CHUNK_DATA,
    CHUNK_END,
    CHUNK_SIZE,
    CR,
    CRLF,
    DONE,
    FIXED,
    TRAILER,
    UNTIL_CLOSE,
)
from .grammar import FRAMINGS
from .syntax import codings_of, extensions_of

__all__ = ["BodyParser"]

_NO_BODY, _BY_LENGTH, _CHUNKED, _BY_CLOSE = range(len(FRAMINGS))

#: a chunk-size line without extensions (RFC 9112 7.1)
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")
#: Longest chunk that is gathered with others before it is put into the body.
_GATHER: Final = 16384


class BodyParser(HeadParser):
    """Parse bodies and trailer sections."""

    __slots__ = (
        "_framing",
        "_left",
        "_overhead",
        "_taken",
        "_trailing",
        "body",
        "codings",
        "conflicted",
        "extensions",
        "headed",
        "length",
        "trailers",
    )

    def _start_message(self, method: str) -> None:
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
        self._left = 0  # octets of the body or chunk still to come
        self._taken = 0  # octets of body so far
        self._overhead = 0  # chunk extension octets so far

    def _wanted(self) -> int:
        if self._state == FIXED or self._state == CHUNK_DATA:
            return self._left
        return -1 if self._state == UNTIL_CLOSE and self.limits.body is None else 0

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
            self._state = DONE
        elif framing == _BY_LENGTH:
            self.length = length
            if self.limits.body is not None and length > self.limits.body:
                self._fail("body-too-large", offset)
            self._left = length
            self._state = FIXED
        elif framing == _CHUNKED:
            self._state = CHUNK_SIZE
        else:
            self._state = UNTIL_CLOSE

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
        if self._state == CHUNK_DATA:
            self._state = CHUNK_END
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
        if self._state == CHUNK_END:
            return self._chunk_end(rx, pos)
        parts: list[bytes | bytearray] = []
        gathered = 0
        begin = pos
        line: bytes | None = None
        count = 0
        first = (0, 0)  # octets of the first line, and of its chunk
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
            if not rx.startswith(CRLF, after):
                break
            if not parts:
                first = len(line), count
            parts.append(rx[pos + len(line) : after])
            gathered += count
            pos = after + 2
        if parts:
            try:
                self.body += b"".join(parts)
            except BufferError:  # somebody views the body: all before its data is taken
                self.consumed += first[0]
                self._left = first[1]
                self._state = CHUNK_DATA
                raise
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
        if lf == pos or rx[lf - 1] != CR:
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
            self._state = CHUNK_DATA
        else:
            self._state = TRAILER
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
            if rx[pos + index] != CRLF[index]:
                self._fail("bad-chunk-end", self.consumed + index, rx[pos : pos + index + 1])
        self._scanned = 0
        self.consumed += 2
        self._state = CHUNK_SIZE
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
        self._state = DONE

# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, binding=False, embedsignature=False, freethreading_compatible=True
"""The C engine: an incremental HTTP/1.1 response parser (RFC 9112).

The same parser as `fasthio/_pyparser.py`, function for function (heads: `_head.pxi`
and `fasthio/_pyhead.py`); `_parser.pyi` holds the documentation of both. What a line
that is refused had wrong, and how list valued framing fields are read, is in
`fasthio.syntax`, which both use.

On free-threaded CPython each call holds its parser, and the buffer it was given, by a
critical section; what the module itself holds is not changed after its import. A section
is let go where Python code runs in between: then `_busy` refuses who comes meanwhile.
"""

cimport cython

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport (
    PyByteArray_AS_STRING,
    PyByteArray_FromStringAndSize,
    PyByteArray_GET_SIZE,
    PyByteArray_Resize,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.object cimport PyObject, PyObject_SetItem
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.list cimport PyList_GET_ITEM
from cpython.unicode cimport PyUnicode_DecodeLatin1
from libc.stdint cimport uint64_t
from libc.string cimport memchr, memcmp, memcpy, memmove, memset

from multidict import CIMultiDict, istr

from fasthio.errors import ParseError, parse_error
from fasthio.grammar import (
    COMMON_FIELDS,
    FIELD_CONTENT,
    FRAMINGS,
    LIMITS,
    MAX_LENGTH,
    STATES,
    TOKEN,
)
from fasthio.syntax import (
    codings_of,
    extensions_of,
    field_fault,
    length_of,
    status_line_fault,
)

__all__ = [
    "NAME", "EventParser", "Publisher", "ResponseParser", "peek", "plain_json", "receive", "send",
]

NAME = "c"

include "_tables.pxi"
include "_net.pxi"
include "_json.pxi"
include "_events.pxi"
include "_head.pxi"


cdef octets_t NOTHING = b""  # for buffers of no octets, which may have no address
AT_WORK = "the parser is at work: a call from within its own mapping, or from two threads"
OWN_BODY = "the body of this message is no buffer to read it from"


cdef inline int check_buffer(object rx) except -1:
    """Hold that a buffer is a bytearray, or of a subclass; anything else is a wrong call."""
    if not isinstance(rx, bytearray):
        raise TypeError(f"rx must be a bytearray, not {type(rx).__name__}")
    return 0


cdef class ResponseParser(HeadParser):
    cdef readonly object length
    cdef readonly object trailers
    cdef readonly object codings
    cdef readonly bint conflicted
    cdef readonly bint headed
    cdef bytearray _body
    cdef dict _extensions
    cdef object _trailing
    cdef int _framing
    cdef bint _eof
    cdef uint64_t _left        # octets of the body or chunk still to come
    cdef long long _taken      # octets of body so far
    cdef long long _overhead   # chunk extension octets so far
    cdef Py_ssize_t _capacity  # octets the body was once made for
    cdef long long _most_body  # -1: no limit
    cdef bint _busy            # a call is under way: none may begin within it
    cdef char *_pending           # octets given to feed() of a line that is not whole
    cdef Py_ssize_t _pending_size, _pending_room

    def __init__(self, *, limits=None, mapping=None):
        if self._busy:
            raise RuntimeError(AT_WORK)
        HeadParser.__init__(self, limits=limits, mapping=mapping)
        self._most_body = -1 if self.limits.body is None else self.limits.body
        self._start("GET")

    def __dealloc__(self):
        PyMem_Free(self._pending)

    def start(self, method="GET"):
        if not isinstance(method, str):
            raise TypeError(f"method must be a str, not {type(method).__name__}")
        with cython.critical_section(self):
            self._start(method)

    cdef int _start(self, method) except -1:
        if self._busy:
            raise RuntimeError(AT_WORK)
        self._start_head(method)
        self._pending_size = 0
        if self._pending_room > PENDING_ROOM:
            PyMem_Free(self._pending)
            self._pending = NULL
            self._pending_room = 0
        self.length = None
        self.trailers = None
        self.codings = ()
        self.conflicted = False
        self.headed = False
        self._body = None
        self._extensions = None
        self._trailing = None
        self._framing = UNKNOWN
        self._eof = False
        self._left = 0
        self._taken = 0
        self._overhead = 0
        self._capacity = 0
        return 0

    def reset(self):
        with cython.critical_section(self):
            self._start(self.method)

    def start_body(self, str framing not None, length=None):
        if framing not in FRAMINGS:
            raise ValueError(f"framing must be one of {FRAMINGS}, not {framing!r}")
        if (framing == "fixed") != (length is not None):
            raise ValueError("length goes with framing 'fixed' and only with it")
        if length is not None and not 0 <= length <= MAX_LENGTH:
            raise ValueError(f"length must be from 0 to {MAX_LENGTH}, not {length}")
        cdef int number = FRAMINGS.index(framing)
        cdef long long octets = length or 0
        with cython.critical_section(self):
            self._start(self.method)
            self.headers = self.mapping()
            self._enter_body(number, octets, 0)

    # attributes computed from others

    @property
    def state(self):
        return STATES[self._state]

    @property
    def framing(self):
        return None if self._framing < 0 else FRAMINGS[self._framing]

    @property
    def done(self):
        return self._state == DONE

    @property
    def body(self):
        with cython.critical_section(self):
            if self._body is None:
                self._body = bytearray()
            return self._body

    @property
    def extensions(self):
        with cython.critical_section(self):
            if self._extensions is None:
                self._extensions = {}
            return self._extensions

    @property
    def wanted(self):
        with cython.critical_section(self):
            return self._wanted()

    cdef object _wanted(self):
        if self._state == FIXED or self._state == CHUNK_DATA:
            return self._left
        return -1 if self._state == UNTIL_CLOSE and self._most_body < 0 else 0

    def snapshot(self):
        with cython.critical_section(self):
            if self._body is None:
                self._body = bytearray()
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
                self._body,
                self.trailers,
                self.conflicted,
            )

    def received(self, count):
        with cython.critical_section(self):
            wanted = self._wanted()
            if count < 0 or (count > wanted and wanted >= 0):
                raise ValueError(f"count must be from 0 to {wanted}, not {count}")
            self.consumed += count
            self._taken += count
            if wanted > 0:
                self._left -= count
                if self._left == 0:
                    self._end_data()

    # parsing

    def parse(self, rx, bint eof=False):
        check_buffer(rx)
        with cython.critical_section(self, rx):
            return self._run(<bytearray>rx, eof, False)

    def parse_head(self, rx, bint eof=False):
        check_buffer(rx)
        with cython.critical_section(self, rx):
            return self._run(<bytearray>rx, eof, True)

    def take(self, rx, bint eof=False):
        cdef long long before
        cdef Py_ssize_t count
        check_buffer(rx)
        with cython.critical_section(self, rx):
            before = self.consumed
            try:
                count = self._run(<bytearray>rx, eof, False)
            except BaseException:
                fasthio_drop(rx, <Py_ssize_t>(self.consumed - before))
                raise
            fasthio_drop(rx, count)
            return count

    def feed(self, data, bint eof=False):
        cdef Py_buffer view
        if PyBytes_CheckExact(data):  # they stay as they are, whatever runs meanwhile
            with cython.critical_section(self):
                return self._feed(
                    <octets_t>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), eof
                )
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            with cython.critical_section(self):
                if data is self._body:
                    raise ValueError(OWN_BODY)
                return self._feed(<octets_t>view.buf if view.len else NOTHING, view.len, eof)
        finally:
            PyBuffer_Release(&view)  # untraced

    cdef Py_ssize_t _feed(self, octets_t octets, Py_ssize_t size, bint eof) except -1:
        """Take octets; those of a line that is not whole are kept until the rest comes."""
        cdef Py_ssize_t kept = self._pending_size, count, rest
        cdef octets_t buf = octets
        if kept:
            self._keep(octets, size)
            if 0 < self._scanned <= kept and kept + size <= self._room and not eof:
                # a line that goes on and may: all there is to do where octets drip in (measured)
                if self._scanned == kept and not fasthio_has(<const char *>octets, size, LF):
                    self._scanned = kept + size
                    return size
            buf = <octets_t>self._pending
        elif self._state == FIXED and self.error is None and not (eof or self._eof):
            return self._data(octets, size, 0)
        try:
            count = self._advance(buf, kept + size, eof, False)
        except BaseException:
            self._pending_size = 0
            raise
        rest = kept + size - count
        if self._state == DONE:
            self._pending_size = 0
            return size - rest  # what is left is no part of this message
        if kept:
            if count:
                memmove(self._pending, self._pending + count, rest)
                self._pending_size = rest
        elif rest:
            self._keep(octets + count, rest)
        return size

    cdef int _keep(self, octets_t octets, Py_ssize_t size) except -1:
        """Put octets at the end of what is kept."""
        cdef Py_ssize_t want = self._pending_size + size
        cdef void *room
        if self._busy:
            raise RuntimeError(AT_WORK)
        if want > self._pending_room:
            room = PyMem_Realloc(self._pending, max(2 * want, 256))
            if room == NULL:
                raise MemoryError
            self._pending = <char *>room
            self._pending_room = max(2 * want, 256)
        memcpy(self._pending + self._pending_size, octets, size)
        self._pending_size = want
        return 0

    cdef Py_ssize_t _run(self, bytearray rx, bint eof, bint head_only) except -1:
        cdef Py_buffer view
        cdef Py_ssize_t size = PyByteArray_GET_SIZE(rx)
        if rx is self._body:
            raise ValueError(OWN_BODY)  # it moves while its octets are put into it
        if 0 < self._scanned <= size <= self._room and not (eof or self._pending_size):
            # a line that goes on and may: all there is to do where octets drip in (measured)
            if not fasthio_has(
                PyByteArray_AS_STRING(rx) + self._scanned, size - self._scanned, LF
            ):
                self._scanned = size
                return 0
        if self._pending_size:
            raise ValueError("octets of this message are kept: go on with feed()")
        if self._state == FIXED and not (eof or self._eof or head_only):
            return self._data(<octets_t>PyByteArray_AS_STRING(rx), size, 0)  # no Python code runs
        fasthio_hold(rx, &view)
        try:
            return self._advance(
                <octets_t>PyByteArray_AS_STRING(rx), size, eof, head_only
            )
        finally:
            fasthio_release(rx, &view)  # untraced

    cdef Py_ssize_t _advance(
        self, octets_t buf, Py_ssize_t size, bint eof, bint head_only
    ) except -1:
        if self._busy:
            raise RuntimeError(AT_WORK)
        if self.error is not None:
            raise self.error.with_traceback(None)
        if eof:
            self._eof = True
        self._busy = True
        try:
            return self._walk(buf, size, head_only)
        finally:
            self._busy = False  # untraced

    cdef Py_ssize_t _walk(self, octets_t buf, Py_ssize_t size, bint head_only) except -1:
        cdef Py_ssize_t pos = 0, before
        cdef int state
        while True:
            state = self._state
            if state <= FIELD_LINE:
                before = pos
                pos = self._head(buf, size, pos)
                if self._complete:
                    self._choose_framing()
                elif pos == before:
                    break
            elif state == DONE or (head_only and self.headed):
                break
            elif state == FIXED:
                pos = self._data(buf, size, pos)
                if self._left:
                    break
            elif state == UNTIL_CLOSE:
                pos = self._rest(buf, size, pos)
                break
            elif state == TRAILER:
                pos = self._trailer(buf, size, pos)
                if self._state == TRAILER:
                    break
            else:
                before = pos
                pos = self._chunks(buf, size, pos)
                if self._state == state and pos == before:
                    break
        if self._eof and not (head_only and self.headed):
            self._close()
        return pos

    cdef int _close(self) except -1:
        """Take the end of the stream: the message is complete, or it never will be (RFC 9112 8)."""
        cdef int state = self._state
        cdef long long end = self.consumed + self._scanned  # where the octets end
        if state == UNTIL_CLOSE:
            self._finish()
        elif state == TRAILER and self.consumed == self._section and not self._scanned:
            self._finish()  # the last chunk came: nothing of the body is missing (RFC 9112 8)
        elif state == TRAILER:
            self._fail("closed-in-trailers", end, b"")
        elif state == FIXED:
            self._fail("closed-in-body", end, b"")
        elif state == CHUNK_SIZE or state == CHUNK_DATA or state == CHUNK_END:
            self._fail("closed-in-chunk", end, b"")
        elif state == START_LINE and not self._scanned:
            self._fail("closed-before-start", end, b"")
        elif state <= FIELD_LINE:
            self._fail("closed-in-head", end, b"")
        return 0

    cdef int _choose_framing(self) except -1:
        """Choose the framing of the body, the final head being complete (RFC 9112 6.3)."""
        cdef int framing = BY_CLOSE
        cdef long long length = 0
        self._complete = False
        # 6.3 (1), (2): no body, whatever the framing fields say
        if (
            self._code < 200
            or self._code == 204
            or self._code == 304
            or self._bodiless
            or (self._tunnel and self._code < 300)
        ):
            framing = NO_BODY
        elif self._codings is not None:
            # 6.3 (3), (4): Transfer-Encoding overrides Content-Length
            value = ", ".join(self._codings)
            chunked = value == "chunked"
            if not chunked:
                self.codings, chunked, code = codings_of(value)
                if code:
                    self._fail(code, self._coding_at, value.encode("iso-8859-1"))
            self.conflicted = self._length >= 0 or self._length_fault is not None
            # HTTP/1.0 has no chunked coding (6.1): read until close
            if chunked and self.version is _version_11:
                framing = CHUNKED
            elif chunked:
                self.codings += ("chunked",)
        elif self._length_fault is not None:
            # 6.3 (5): the framing is invalid
            code, offset, near = self._length_fault
            self._fail(code, offset, near)
        elif self._length >= 0:
            framing = BY_LENGTH
            length = self._length
        return self._enter_body(framing, length, self.consumed)

    cdef int _enter_body(self, int framing, long long length, long long offset) except -1:
        self._framing = framing
        self.headed = True
        self._left = 0
        if framing == NO_BODY or (framing == BY_LENGTH and not length):
            self.length = 0
            self._state = DONE
        elif framing == BY_LENGTH:
            self.length = length
            if self._most_body >= 0 and length > self._most_body:
                self._fail("body-too-large", offset, b"")
            self._left = length
            self._state = FIXED
        elif framing == CHUNKED:
            self._state = CHUNK_SIZE
        else:
            self._state = UNTIL_CLOSE
        return 0

    # body

    cdef int _grow(self, Py_ssize_t held, Py_ssize_t more) except -1:
        """Make the body `more` octets longer.

        A bytearray alone grows by an eighth, which copies a long body many times. So
        one of a known length is made for it, but for no more than GROW_TIMES of what
        came; others double. Neither is made for more than a few MiB ahead.
        """
        cdef Py_ssize_t want = held + more, most, slack
        if want > self._capacity:
            most = want
            if self._state == FIXED and FASTHIO_INSIDE:
                most = min(GROW_TIMES * want, want + GROW_STEP)
                # a little more where that is all: to fall short would copy it near its end
                slack = min(most, GROW_STEP) // 4
                if self._left <= <uint64_t>(most - held + slack):
                    most += slack
            elif held:
                most = min(2 * held, want + GROW_STEP)
            if self._state == FIXED and self._left < <uint64_t>(most - held):
                most = held + <Py_ssize_t>self._left
            if most > want:
                PyByteArray_Resize(self._body, most)
            self._capacity = max(most, want)
        return fasthio_resize(self._body, want)

    cdef int _append(self, octets_t octets, Py_ssize_t count) except -1:
        """Put octets at the end of the body."""
        cdef Py_ssize_t held
        if self._body is None and (self._state != FIXED or <uint64_t>count == self._left):
            self._body = PyByteArray_FromStringAndSize(<const char *>octets, count)
        elif count:
            if self._body is None:
                self._body = bytearray()
            with cython.critical_section(self._body):
                held = PyByteArray_GET_SIZE(self._body)
                self._grow(held, count)
                memcpy(PyByteArray_AS_STRING(self._body) + held, octets, count)
        self.consumed += count
        self._taken += count
        return 0

    cdef Py_ssize_t _data(self, octets_t buf, Py_ssize_t size, Py_ssize_t pos) except -1:
        """Take octets of a body whose size is known."""
        cdef Py_ssize_t count = size - pos
        if <uint64_t>count > self._left:
            count = <Py_ssize_t>self._left
        if count:
            self._append(buf + pos, count)
            self._left -= count
        if self._left == 0:
            self._end_data()
        return pos + count

    cdef int _end_data(self) except -1:
        if self._state == CHUNK_DATA:
            self._state = CHUNK_END
        else:
            self._finish()
        return 0

    cdef Py_ssize_t _rest(self, octets_t buf, Py_ssize_t size, Py_ssize_t pos) except -1:
        """Take octets of a body that the peer ends by closing."""
        cdef Py_ssize_t count = size - pos, held
        cdef bint over = False
        if self._most_body >= 0:
            held = 0 if self._body is None else PyByteArray_GET_SIZE(self._body)
            if count > self._most_body - held:
                over = True
                count = <Py_ssize_t>max(0, self._most_body - held)
        self._append(buf + pos, count)
        if over:
            self._fail("body-too-large", self.consumed, b"")
        return pos + count

    cdef Py_ssize_t _chunks(self, octets_t buf, Py_ssize_t size, Py_ssize_t pos) except -1:
        """Take chunks from `pos` on."""
        cdef Py_ssize_t end = pos
        if not self._scanned:
            if self._body is None:
                self._body = bytearray()
            with cython.critical_section(self._body):
                end = self._plain_chunks(buf, size, pos)
        return self._slow_chunk(buf, size, pos) if end == pos else end

    cdef Py_ssize_t _plain_chunks(
        self, octets_t buf, Py_ssize_t size, Py_ssize_t pos
    ) except -1:
        """Take chunks from `pos` on, as many as are plain; the body is resized once.

        What stops it, a line with extensions, the last chunk, a line that is not whole,
        goes the slow way (RFC 9112 7.1).
        """
        cdef octets_t at = buf + pos
        cdef octets_t end = buf + size
        cdef octets_t line
        cdef char *first = NULL
        cdef char *to = NULL
        cdef Py_ssize_t held, part, width = 0, total = 0
        cdef uint64_t left = self._left, same = 0, word = 0, mask = 0, pattern = 0
        cdef int state = self._state
        cdef bint ended = False
        held = PyByteArray_GET_SIZE(self._body)
        while True:
            if state == CHUNK_SIZE:
                line = at
                if end - at >= 8:
                    memcpy(&word, at, 8)
                if width and end - at >= 8 and (word & mask) == pattern:
                    # the same size line again: most chunks of a body are of one size
                    left = same
                    at += width
                else:
                    left = 0
                    while at < end and at - line < 16 and HEX[at[0]] >= 0:
                        left = left << 4 | <uint64_t>HEX[at[0]]
                        at += 1
                    if left == 0 or end - at < 2 or at[0] != CR or at[1] != LF:
                        if left == 0 and at > line and end - at >= 4 and memcmp(at, b"\r\n\r\n", 4) == 0:
                            # the last chunk, and no trailers
                            at += 4
                            ended = True
                        else:
                            at = line
                        break
                    at += 2
                    width = 0
                    if at - line < 8 and end - line >= 8:
                        width = at - line
                        memset(&mask, 0, 8)
                        memset(&mask, 0xFF, width)
                        pattern = word & mask
                        same = left
                if self._most_body >= 0 and left > <uint64_t>max(
                    0, self._most_body - held - (to - first)
                ):
                    at = line
                    break
                state = CHUNK_DATA
            if state == CHUNK_DATA:
                part = end - at
                if part == 0:
                    break
                if <uint64_t>part > left:
                    part = <Py_ssize_t>left
                if to == NULL:
                    # the data of all these chunks is no more than the octets at hand
                    self._grow(held, end - at if left < <uint64_t>(end - at) else part)
                    first = to = PyByteArray_AS_STRING(self._body) + held
                memcpy(to, at, part)
                to += part
                at += part
                left -= part
                if left:
                    break
                state = CHUNK_END
            if end - at < 2 or at[0] != CR or at[1] != LF:
                break
            at += 2
            state = CHUNK_SIZE
        if at == buf + pos:
            return pos
        if to != NULL:
            total = to - first
            fasthio_resize(self._body, held + total)
        self.consumed += at - buf - pos
        self._taken += total
        self._state = state
        self._left = left if state == CHUNK_DATA else 0
        if ended:
            self._finish()
        return at - buf

    cdef Py_ssize_t _slow_chunk(self, octets_t buf, Py_ssize_t size, Py_ssize_t pos) except -1:
        """Go on where `_plain_chunks` stopped."""
        if self._state == CHUNK_END:
            return self._chunk_end(buf, size, pos)
        if self._state == CHUNK_DATA:
            return pos
        return self._chunk_line(buf, size, pos)

    cdef Py_ssize_t _chunk_line(self, octets_t buf, Py_ssize_t size, Py_ssize_t pos) except -1:
        """Take one chunk-size line with its extensions."""
        cdef Py_ssize_t lf = self._line(buf, size, pos, self._most_line + 2, "line-too-long")
        cdef Py_ssize_t digits = 0, held
        if lf < 0:
            return pos
        # LF alone is refused here: others read such a line in another way (RFC 9112 7.1)
        if lf == pos or buf[lf - 1] != CR:
            self._fail(
                "bad-chunk-line", self.consumed + lf - pos, (buf + pos)[: min(32, lf + 1 - pos)]
            )
        line = (buf + pos)[: lf - 1 - pos]
        length, pairs, code, index = extensions_of(line)
        if code:
            self._fail(code, self.consumed + index, line[index:])
        while pos + digits < lf and HEX[buf[pos + digits]] >= 0:
            digits += 1
        self._overhead += lf - 1 - pos - digits
        if self._overhead > self.limits.extensions + self._taken:
            self._fail("extensions-too-large", self.consumed, line)
        for name, value in pairs:
            if self._extensions is None:
                self._extensions = {}
            if name not in self._extensions and len(self._extensions) >= self._most_fields:
                self._fail("too-many-extensions", self.consumed, line)
            self._extensions[name] = value
        if self._most_body >= 0:
            held = 0 if self._body is None else PyByteArray_GET_SIZE(self._body)
            if length > self._most_body - held:
                self._fail("body-too-large", self.consumed, line)
        self.consumed += lf + 1 - pos
        if length:
            self._left = length
            self._state = CHUNK_DATA
        else:
            self._state = TRAILER
            self._trailing = self.mapping()
            self._section = self.consumed
            self._begin_section()
        return lf + 1

    cdef Py_ssize_t _chunk_end(self, octets_t buf, Py_ssize_t size, Py_ssize_t pos) except -1:
        """Take the CRLF after the data of a chunk; `_scanned` counts the CR (RFC 9112 7.1)."""
        cdef Py_ssize_t index
        for index in range(self._scanned, 2):
            if pos + index >= size:
                self._scanned = index
                self._room = 0
                return pos
            if buf[pos + index] != (LF if index else CR):
                self._fail("bad-chunk-end", self.consumed + index, (buf + pos)[: index + 1])
        self._scanned = 0
        self.consumed += 2
        self._state = CHUNK_SIZE
        return pos + 2

    cdef Py_ssize_t _trailer(self, octets_t buf, Py_ssize_t size, Py_ssize_t pos) except -1:
        """Take trailer lines (RFC 9112 7.1.2); they are never merged into the headers."""
        cdef Py_ssize_t most, lf
        cdef bint ended
        while True:
            most = max(0, <Py_ssize_t>(self._most_trailers - (self.consumed - self._section)))
            lf = self._line(buf, size, pos, most, "trailers-too-large")
            if lf < 0:
                return pos
            ended = self._field_line(buf, pos, lf, self._trailing)
            if self._count:
                self.trailers = self._trailing
            self.consumed += lf + 1 - pos
            pos = lf + 1
            if ended:
                self._finish()
                return pos

    cdef int _finish(self) except -1:
        """End the message; the length is now that of the body."""
        if self._framing != BY_LENGTH:
            self.length = self._taken
        self._state = DONE
        return 0


include "_publish.pxi"

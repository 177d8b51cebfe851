# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, binding=False, embedsignature=False, freethreading_compatible=True
"""The C engine: an incremental HTTP/1.1 response parser (RFC 9112).

The same parser as `fasthio/_pyparser.py`, function for function; so are its bases,
`_lines.pxi`, `_head.pxi` and `_body.pxi`, and those of the Python engine. `_parser.pyi`
holds the documentation of both. What a line that is refused had wrong, and how list
valued framing fields are read, is in `fasthio.syntax`, which both use.

On free-threaded CPython each call holds its parser, and the buffer it was given, by a
critical section. What the module itself holds is not changed after its import, but for
`_copies`: a dict, which has a lock of its own, and each thread would put the same in it. A
section is let go where Python code runs in between: then `_busy` refuses who comes meanwhile.
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
from cpython.number cimport PyNumber_Index
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
    MAX_LENGTH,
    STATES,
    TOKEN,
    limits_of,
)
from fasthio.syntax import (
    codings_of,
    extensions_of,
    field_fault,
    length_of,
    status_line_fault,
)

__all__ = [
    "NAME", "EventParser", "Publisher", "ResponseParser", "intact", "peek", "plain_json", "receive",
    "send",
]

NAME = "c"

include "_tables.pxi"
include "_net.pxi"
include "_json.pxi"
include "_events.pxi"
include "_lines.pxi"
include "_head.pxi"
include "_body.pxi"


cdef octets_t NOTHING = b""  # for buffers of no octets, which may have no address
AT_WORK = "the parser is at work: a call from within its own mapping, or from two threads"
INTERRUPTED = "an exception has broken the last call off: begin anew with start()"
OWN_BODY = "the body of this message is no buffer to read it from"
MOST_RECEIVED = MAX_LENGTH // 2  # octets of a message that may be claimed: no count overflows


cdef inline int check_buffer(object rx) except -1:
    """Hold that a buffer is a bytearray, or of a subclass; anything else is a wrong call."""
    if not isinstance(rx, bytearray):
        raise TypeError(f"rx must be a bytearray, not {type(rx).__name__}")
    return 0


cdef class ResponseParser(BodyParser):
    cdef bint _eof
    cdef bint _busy               # a call is under way: none may begin within it
    cdef char *_pending           # octets given to feed() of a line that is not whole
    cdef Py_ssize_t _pending_size, _pending_room

    def __init__(self, *, limits=None, mapping=None):
        if self._busy:
            raise RuntimeError(AT_WORK)
        BodyParser.__init__(self, limits=limits, mapping=mapping)
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
        self._start_message(method)
        self._eof = False
        self._pending_size = 0
        if self._pending_room > PENDING_ROOM:
            PyMem_Free(self._pending)
            self._pending = NULL
            self._pending_room = 0
        return 0

    def reset(self):
        with cython.critical_section(self):
            self._start(self.method)

    def start_body(self, framing, length=None):
        if not isinstance(framing, str):
            raise TypeError(f"framing must be a str, not {type(framing).__name__}")
        if framing not in FRAMINGS:
            raise ValueError(f"framing must be one of {FRAMINGS}, not {framing!r}")
        if (framing == "fixed") != (length is not None):
            raise ValueError("length goes with framing 'fixed' and only with it")
        if length is not None:
            length = PyNumber_Index(length)
            if not 0 <= length <= MAX_LENGTH:
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
        count = PyNumber_Index(count)
        with cython.critical_section(self):
            wanted = self._wanted()
            most = max(0, MOST_RECEIVED - self.consumed)
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

    def parse(self, rx, bint eof=False):
        check_buffer(rx)
        with cython.critical_section(self, rx):
            return fasthio_number(
                self._run(<bytearray>rx, eof, False), &self._state, &self._scanned
            )

    def parse_head(self, rx, bint eof=False):
        check_buffer(rx)
        with cython.critical_section(self, rx):
            return fasthio_number(
                self._run(<bytearray>rx, eof, True), &self._state, &self._scanned
            )

    def take(self, rx, bint eof=False):
        cdef long long before
        cdef Py_ssize_t count
        check_buffer(rx)
        with cython.critical_section(self, rx):
            before = self.consumed
            try:
                count = self._run(<bytearray>rx, eof, False)
            except BaseException:
                try:
                    fasthio_drop(rx, <Py_ssize_t>(self.consumed - before))
                except BaseException:
                    self._break_off()
                    raise
                raise
            try:
                fasthio_drop(rx, count)
            except BaseException:  # somebody has a view: the same octets would be taken again
                self._break_off()
                raise
            return count

    def feed(self, data, bint eof=False):
        cdef Py_buffer view
        if PyBytes_CheckExact(data):  # they stay as they are, whatever runs meanwhile
            with cython.critical_section(self):
                return fasthio_number(
                    self._feed(<octets_t>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), eof),
                    &self._state, &self._scanned,
                )
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            with cython.critical_section(self):
                if data is self._body:
                    raise ValueError(OWN_BODY)
                return fasthio_number(
                    self._feed(<octets_t>view.buf if view.len else NOTHING, view.len, eof),
                    &self._state, &self._scanned,
                )
        finally:
            PyBuffer_Release(&view)  # untraced

    cdef Py_ssize_t _feed(self, octets_t octets, Py_ssize_t size, bint eof) except -1:
        """Take octets; those of a line that is not whole are kept until the rest comes."""
        cdef Py_ssize_t kept = self._pending_size, count, rest
        cdef octets_t buf = octets
        if kept:
            self._keep(octets, size)
            if (
                0 < self._scanned <= kept and kept + size <= self._room
                and not (eof or self._eof)
            ):
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
            try:
                self._keep(octets + count, rest)
            except BaseException:  # untraced; no memory: what came before would be taken again
                self._break_off()
                raise
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
        if 0 < self._scanned <= size <= self._room and not (
            eof or self._eof or self._pending_size
        ):
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
        if self._state == FAILED:
            raise RuntimeError(INTERRUPTED)
        if eof:
            self._eof = True
        self._busy = True
        try:
            return self._walk(buf, size, head_only)
        except (ParseError, BufferError):
            raise  # nothing is half done: a body that somebody views did not grow
        except BaseException:
            self._break_off()
            raise
        finally:
            self._busy = False  # untraced

    cdef int _break_off(self) except -1:
        """End the message for good: it is half parsed, or its octets would be taken again."""
        self._state = FAILED
        self._scanned = self._room = 0
        return 0

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


include "_publish.pxi"

# The C engine of event streams: the same class as in fasthio/_pyevents.py, which
# has the docstrings. Included by _parser.pyx; sections are of WHATWG HTML.

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memchr, memcmp, memcpy

from fasthio.errors import parse_error  # untraced
from fasthio.grammar import RETRY_DIGITS, limits_of  # untraced

cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

cdef enum:
    EV_NEAR = 32  # octets of a line that an error shows
    EV_KEEP = 65536  # octets of data buffer kept from one event to the next
    EV_LONG_DIGITS = 18  # digits a long long holds for sure

cdef Py_ssize_t ev_retry_digits = RETRY_DIGITS  # untraced


cdef inline Py_ssize_t ev_find(const char *buf, Py_ssize_t size, Py_ssize_t at, char octet) noexcept:
    """Return the place of the octet from `at` on, or size."""
    cdef const char *place
    if at >= size:
        return size
    place = <const char *>memchr(buf + at, octet, size - at)
    return size if place == NULL else place - buf


EV_AT_WORK = "the parser is at work: a call while another one is under way"  # untraced
EV_INTERRUPTED = "an exception has broken the last call off: begin anew with reset()"  # untraced


cdef class EventParser:
    """Parse an event stream as its octets come (WHATWG HTML 9.2)."""

    cdef object _raw, _leid, _id, _name, _known, _retry, _bom, _error
    cdef Py_ssize_t _line_limit, _event_limit, _queue_limit  # queue: -1 for none
    cdef long long _consumed, _count
    cdef Py_ssize_t _scan  # octets in front of raw known to hold no line end
    cdef char *_data  # data of the unfinished event
    cdef Py_ssize_t _held  # octets allocated for it
    cdef Py_ssize_t _size  # octets in it; -1 before the first data field
    cdef bint _begun, _swallow, _ended
    cdef bint _busy  # a call is under way: none may begin within it
    cdef bint _broken  # a call ended halfway: the same octets would be taken again

    def __cinit__(self):
        self._data = NULL
        self._held = 0
        self._size = -1

    def __dealloc__(self):
        PyMem_Free(self._data)

    def __init__(self, *, limits=None):
        if self._busy:
            raise RuntimeError(EV_AT_WORK)  # untraced
        limits = limits_of(limits)
        self._line_limit = min(limits.event_line, PY_SSIZE_T_MAX - 1)
        self._event_limit = min(limits.event, PY_SSIZE_T_MAX - 1)
        self._queue_limit = -1 if limits.events is None else min(limits.events, PY_SSIZE_T_MAX)
        self._known = ""  # the last name given: most streams use few
        self._leid = None
        self._retry = None
        self._reset()

    def __reduce__(self):
        raise TypeError(f"cannot pickle {type(self).__name__!r} object: it is of one connection")

    @property
    def leid(self):
        """Last event id, or None before the first."""
        with cython.critical_section(self):
            return self._leid

    @leid.setter
    def leid(self, leid):
        if leid is not None and not isinstance(leid, str):
            raise TypeError("leid must be a str or None, not " + type(leid).__name__)
        with cython.critical_section(self):
            self._leid = self._id = leid

    @property
    def retry(self):
        """Reconnection time in milliseconds, or None if the stream gave none."""
        with cython.critical_section(self):
            return self._retry

    @retry.setter
    def retry(self, retry):
        if retry is not None and not isinstance(retry, int):
            raise TypeError("retry must be an int or None, not " + type(retry).__name__)
        with cython.critical_section(self):
            self._retry = retry

    @property
    def bom(self):
        """U+FEFF if the stream began with one, else None."""
        with cython.critical_section(self):
            return self._bom

    @property
    def consumed(self):
        """Octets of this stream taken so far."""
        with cython.critical_section(self):
            return self._consumed

    @property
    def count(self):
        """Events of this stream dispatched so far."""
        with cython.critical_section(self):
            return self._count

    @property
    def ended(self):
        """Whether the end of the stream was met."""
        with cython.critical_section(self):
            return self._ended

    @property
    def error(self):
        """The error the stream failed with, or None."""
        with cython.critical_section(self):
            return self._error

    def reset(self):
        """Make ready for a new stream, as after a reconnect."""
        with cython.critical_section(self):
            self._reset()

    cdef int _reset(self) except -1:
        if self._busy:
            raise RuntimeError(EV_AT_WORK)  # untraced
        self._begun = False
        self._bom = None
        self._consumed = 0
        self._count = 0
        self._size = -1
        self._ended = False
        self._broken = False
        self._error = None
        self._id = self._leid  # the spec's last event ID buffer
        self._name = ""
        self._raw = None
        self._scan = 0
        self._swallow = False  # the last line end was a CR: an LF belongs to it
        self._shrink()
        return 0

    def feed(self, raw, events, eof=False):
        """Take whole lines from the front of `raw` and append the events they end."""
        if not isinstance(raw, bytearray):
            raise TypeError("raw must be a bytearray, not " + type(raw).__name__)
        with cython.critical_section(self, raw):
            error = self._error
            if error is None or self._broken:  # events before the error were lost
                return self._feed(<bytearray>raw, events, eof)
        raise error.with_traceback(None)

    cdef Py_ssize_t _feed(self, bytearray raw, events, bint eof) except -1:
        cdef Py_buffer view
        cdef Py_ssize_t dead, size
        cdef Py_ssize_t room = -1
        cdef list found
        if self._busy:
            raise RuntimeError(EV_AT_WORK)  # untraced
        if self._broken:
            raise RuntimeError(EV_INTERRUPTED)
        if self._ended:
            return 0
        if raw is not self._raw:
            self._raw = raw
            self._scan = 0
        if self._queue_limit >= 0:
            room = max(self._queue_limit - len(events), 0)
        found = []
        fasthio_growable(raw)  # fails while somebody has a view, before anything is taken
        self._busy = True  # an error is made of Python code, which may let others run
        self._broken = True
        PyObject_GetBuffer(raw, &view, PyBUF_SIMPLE)  # held: nobody may move the octets
        try:
            size = view.len
            dead = self._take(<const char *>view.buf, size, found, room)
        finally:
            self._busy = False
            PyBuffer_Release(&view)
        if eof and self._error is None:
            self._drop()
            dead = size
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

    cdef _drop(self):
        """End the stream: an event no blank line has ended is not dispatched (9.2.6)."""
        self._ended = True
        self._raw = None
        self._size = -1
        self._shrink()

    cdef void _shrink(self) noexcept:
        """Give back a data buffer that one large event has made."""
        if self._held > EV_KEEP:
            PyMem_Free(self._data)
            self._data = NULL
            self._held = 0

    cdef int _fail(self, str code, Py_ssize_t at, const char *near, Py_ssize_t size) except -1:
        """Note the error, `at` octets from the front of raw."""
        self._error = parse_error(
            code,
            offset=self._consumed + at,
            state="event-stream",
            near=near[:min(size, self._line_limit + 1, EV_NEAR)],
        )
        return 0

    cdef int _append(self, const char *text, Py_ssize_t size, bint joined) except -1:
        """Put a line at the end of the data, which `_size` counts, behind an LF if joined."""
        cdef Py_ssize_t start = self._size + 1 if joined else 0
        cdef Py_ssize_t held = start + size
        cdef char *data
        if held > self._held:
            if held < 2 * self._held:
                held = 2 * self._held
            if held < 256:
                held = 256
            data = <char *>PyMem_Realloc(self._data, held)
            if data == NULL:
                raise MemoryError()
            self._data = data
            self._held = held
        if joined:
            self._data[start - 1] = c"\n"
        if size:  # the buffer may be NULL still
            memcpy(self._data + start, text, size)
        self._size = start + size
        return 0

    cdef Py_ssize_t _take(
        self, const char *buf, Py_ssize_t size, list found, Py_ssize_t room
    ) except -1:
        """Parse the whole lines in buf; return how many octets they are."""
        cdef Py_ssize_t pos = 0
        cdef Py_ssize_t lf, cr, end, length, skip, total
        cdef Py_ssize_t count = 0
        cdef const char *line
        cdef object text
        cdef const char *only = NULL  # a first data line, still in buf and not in _data
        if not self._begun:  # one BOM before the first line is no part of it (9.2.5)
            length = min(size, 3)
            if memcmp(buf, b"\xef\xbb\xbf", length) == 0:
                if length < 3:
                    return 0  # the rest of it may follow
                self._bom = "\ufeff"
                pos = 3
            self._begun = True
        if self._swallow and size:  # an LF after a CR is of the same line end (9.2.5)
            self._swallow = False
            if buf[0] == c"\n":
                pos = 1
        lf = ev_find(buf, size, max(pos, self._scan), c"\n")
        cr = ev_find(buf, size, max(pos, self._scan), c"\r")
        while True:
            end = min(lf, cr)
            length = end - pos
            line = buf + pos
            if length > self._line_limit:
                self._fail("event-line-too-long", pos, line, length)
                break
            if end == size:
                break
            if length == 0:  # dispatch
                if self._size >= 0:
                    if count == room:
                        self._fail("too-many-events", pos, line, 0)
                        break
                    line = self._data
                    if only != NULL:
                        line = only
                    text = PyUnicode_DecodeUTF8(line, self._size, b"replace")
                    found.append({"id": self._id, "name": self._name, "data": text})
                    count += 1
                    only = NULL
                    self._size = -1
                    self._shrink()
                self._leid = self._id
                self._name = ""
            elif line[0] == c"d" and length >= 4 and memcmp(line, b"data", 4) == 0 and (
                length == 4 or line[4] == c":"
            ):
                skip = 4 if length == 4 else 6 if length > 5 and line[5] == c" " else 5
                total = self._size + 1 + length - skip
                if total > self._event_limit:
                    self._fail("event-too-large", pos, line, length)
                    break
                if self._size < 0:
                    only = line + skip
                    self._size = total
                else:
                    if only != NULL:
                        self._append(only, self._size, False)
                        only = NULL
                    self._append(line + skip, length - skip, True)
            elif line[0] != c":":  # else a comment
                self._field(line, length)
            pos = end + 1
            if end == lf:
                lf = ev_find(buf, size, pos, c"\n")
                continue
            if pos == size:
                self._swallow = True
            elif lf == pos:
                pos += 1
                lf = ev_find(buf, size, pos, c"\n")
            cr = ev_find(buf, size, pos, c"\r")
        if only != NULL:
            self._append(only, self._size, False)
        self._scan = size - pos
        return pos

    cdef int _field(self, const char *line, Py_ssize_t length) except -1:
        """Take a field other than data; one of no known name is ignored (9.2.6)."""
        cdef Py_ssize_t name = ev_find(line, length, 0, c":")
        cdef Py_ssize_t skip = name
        cdef const char *value
        cdef const char *known
        cdef Py_ssize_t size = 0
        if skip < length:
            skip += 2 if skip + 1 < length and line[skip + 1] == c" " else 1
        value = line + skip
        length -= skip
        if name == 2 and memcmp(line, b"id", 2) == 0:
            if memchr(value, 0, length) == NULL:
                self._id = PyUnicode_DecodeUTF8(value, length, b"replace")
        elif name == 5 and memcmp(line, b"event", 5) == 0:
            known = PyUnicode_AsUTF8AndSize(self._known, &size)
            if size != length or memcmp(known, value, size) != 0:
                self._known = PyUnicode_DecodeUTF8(value, length, b"replace")
            self._name = self._known
        elif name == 5 and memcmp(line, b"retry", 5) == 0:
            self._wait(value, length)
        return 0

    cdef int _wait(self, const char *value, Py_ssize_t length) except -1:
        """Take a reconnection time of nothing but digits (9.2.6)."""
        cdef Py_ssize_t index
        cdef long long number = 0
        if length == 0:
            return 0
        for index in range(length):
            if value[index] < c"0" or value[index] > c"9":
                return 0
        while length > 1 and value[0] == c"0":
            value += 1
            length -= 1
        if length <= EV_LONG_DIGITS:
            for index in range(length):
                number = number * 10 + (value[index] - c"0")
            self._retry = number
        elif length <= ev_retry_digits:
            self._retry = int(value[:length])
        return 0

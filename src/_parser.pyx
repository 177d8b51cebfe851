# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, binding=True, embedsignature=False
"""The C engine: an incremental HTTP/1.1 response parser (RFC 9112).

The same parser as `fasthio/_pyparser.py`, function for function; `_parser.pyi`
holds the documentation of both. What a line that is refused had wrong, and how
list valued framing fields are read, is in `fasthio.syntax`, which both use.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport (
    PyByteArray_AS_STRING,
    PyByteArray_FromStringAndSize,
    PyByteArray_GET_SIZE,
    PyByteArray_Resize,
)
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.object cimport PyObject, PyObject_SetItem
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.unicode cimport PyUnicode_DecodeLatin1
from libc.stdint cimport uint64_t
from libc.string cimport memchr, memcmp, memcpy

from multidict import CIMultiDict, istr

from fasthio.errors import parse_error
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

__all__ = ["NAME", "EventParser", "ResponseParser", "peek", "receive", "send"]

NAME = "c"

include "_net.pxi"
include "_events.pxi"

cdef extern from *:
    """
    static inline PyObject *fasthio_ascii(const char *octets, Py_ssize_t size)
    {
        PyObject *text = PyUnicode_New(size, 127);
        if (text != NULL && size)
            memcpy(PyUnicode_1BYTE_DATA(text), octets, (size_t)size);
        return text;
    }
    """
    object fasthio_ascii(const char *octets, Py_ssize_t size)

# The numbers of the states and framings are their places in the grammar's tuples.
cdef enum State:
    START_LINE
    FIELD_LINE
    FIXED
    CHUNK_SIZE
    CHUNK_DATA
    CHUNK_END
    TRAILER
    UNTIL_CLOSE
    DONE
    FAILED

cdef enum Framing:
    UNKNOWN = -1
    NO_BODY = 0
    BY_LENGTH
    CHUNKED
    BY_CLOSE

cdef enum Kind:
    OTHER
    LENGTH
    CODING

if STATES != (
    "start-line", "field-line", "fixed", "chunk-size", "chunk-data", "chunk-end", "trailer",
    "until-close", "done", "failed",
) or FRAMINGS != ("none", "fixed", "chunked", "close"):
    raise ImportError("fasthio._parser was built for another grammar: reinstall fasthio")

cdef enum:
    CR = 0x0D
    LF = 0x0A
    SP = 0x20
    HTAB = 0x09
    COLON = 0x3A
    # classes of octets
    IS_TOKEN = 1
    IS_CONTENT = 2
    # a head longer than this, or with more fields, goes line by line; so the template stays small
    QUICK_HEAD = 8192
    QUICK_FIELDS = 128
    SLOTS = 512
    # chunks that are put into the body in one go
    SEGMENTS = 256

ctypedef const unsigned char *octets_t

cdef struct Known:
    const char *octets
    Py_ssize_t size
    int kind
    PyObject *name

cdef struct Line:
    Py_ssize_t offset
    Py_ssize_t size        # without its CRLF
    Py_ssize_t name_size
    int kind
    bint single            # no other field of the head has this name
    bint fresh             # not the same as in the template
    PyObject *name
    PyObject *value

# Filled once at import, read only from then on: safe without a lock.
cdef unsigned char CLASSES[256]
cdef signed char HEX[256]
cdef Known NAMES[SLOTS]
cdef list _spellings = []
cdef object _version_10 = (1, 0)
cdef object _version_11 = (1, 1)
cdef object _empty = ""


cdef inline unsigned int slot_of(octets_t name, Py_ssize_t size) noexcept nogil:
    cdef unsigned int mix = <unsigned int>size * 31
    mix += (name[0] | 0x20) * 7 + (name[size - 1] | 0x20) * 113 + (name[size >> 1] | 0x20) * 29
    return (mix + (mix >> 7)) & (SLOTS - 1)


cdef int fill_tables() except -1:
    """Fill the tables from the grammar."""
    cdef int octet
    cdef unsigned int slot
    cdef bytes spelled
    for octet in range(256):
        CLASSES[octet] = (IS_TOKEN if octet in TOKEN else 0) | (
            IS_CONTENT if octet in FIELD_CONTENT else 0
        )
        HEX[octet] = -1
    for octet in range(16):
        HEX[b"0123456789abcdef"[octet]] = octet
        HEX[b"0123456789ABCDEF"[octet]] = octet
    for field in COMMON_FIELDS:
        for text in {field, field.lower()}:
            spelled = text.encode("ascii")
            name = istr(text)
            _spellings.append((spelled, name))  # keeps both alive
            slot = slot_of(spelled, len(spelled))
            while NAMES[slot].octets != NULL:
                slot = (slot + 1) & (SLOTS - 1)
            NAMES[slot].octets = spelled
            NAMES[slot].size = len(spelled)
            NAMES[slot].kind = kind_of(spelled, len(spelled))
            NAMES[slot].name = <PyObject *>name
    return 0


cdef int kind_of(octets_t name, Py_ssize_t size) noexcept nogil:
    """Tell whether the parser itself reads a field."""
    cdef const char *want
    cdef Py_ssize_t index
    if size == 14:
        want = b"content-length"
    elif size == 17:
        want = b"transfer-encoding"
    else:
        return OTHER
    for index in range(size):
        # tchar | 0x20 is its lower case, and no other token octet folds onto a letter or "-"
        if (name[index] | 0x20) != <unsigned char>want[index]:
            return OTHER
        if name[index] < 0x40 and name[index] != 0x2D:
            return OTHER
    return LENGTH if size == 14 else CODING


cdef object name_of(octets_t name, Py_ssize_t size, int *kind):
    """Give the object of a field name and its kind; `size` > 0, all octets tchar."""
    cdef unsigned int slot = slot_of(name, size)
    while NAMES[slot].octets != NULL:
        if NAMES[slot].size == size and memcmp(NAMES[slot].octets, name, size) == 0:
            kind[0] = NAMES[slot].kind
            return <object>NAMES[slot].name
        slot = (slot + 1) & (SLOTS - 1)
    kind[0] = kind_of(name, size)
    return istr(fasthio_ascii(<const char *>name, size))


cdef inline octets_t content_end(octets_t at, octets_t end, int *wide) noexcept nogil:
    """Find the first octet that is no field content; `wide` is set where obs-text is met."""
    cdef uint64_t word, low = <uint64_t>0x0101010101010101, high = <uint64_t>0x8080808080808080
    cdef uint64_t seven
    while True:
        while end - at >= 8:
            memcpy(&word, at, 8)
            seven = word ^ (low * 0x7F)
            # an octet below SP, or DEL: found eight at a time, then looked at one by one
            if ((word - low * 0x20) & ~word & high) or ((seven - low) & ~seven & high):
                break
            wide[0] |= (word & high) != 0
            at += 8
        # one by one to the next octet that is none, or past these eight
        while at < end:
            if not CLASSES[at[0]] & IS_CONTENT:
                return at
            wide[0] |= at[0] >= 0x80
            at += 1
            if (at - 1)[0] == HTAB:
                break
        if at >= end:
            return at


cdef inline object text_of(octets_t octets, Py_ssize_t size, int wide):
    """Make the text of octets that are ISO-8859-1."""
    if wide:
        return PyUnicode_DecodeLatin1(<const char *>octets, size, NULL)
    return fasthio_ascii(<const char *>octets, size)


cdef inline object value_of(octets_t at, octets_t end, int wide):
    """Make the text of a field value, OWS trimmed (RFC 9112 5.1)."""
    while at < end and (at[0] == SP or at[0] == HTAB):
        at += 1
    while at < end and ((end - 1)[0] == SP or (end - 1)[0] == HTAB):
        end -= 1
    return text_of(at, end - at, wide)


cdef struct Segment:
    octets_t octets
    Py_ssize_t size


cdef inline bint same_name(Line *one, octets_t head, Line *other) noexcept nogil:
    """Tell whether two lines of one head have the same name in any case."""
    cdef Py_ssize_t index
    cdef octets_t a = head + one.offset
    cdef octets_t b = head + other.offset
    if one.name_size != other.name_size:
        return False
    for index in range(one.name_size):
        if (a[index] | 0x20) != (b[index] | 0x20):
            return False
    return True


cdef dict _copies = {}


cdef object copier_of(object mapping):
    """Give the `copy` of a multidict type where it copies to the same type, else None."""
    if mapping not in _copies:
        copy = None
        if isinstance(mapping, type) and issubclass(mapping, CIMultiDict):
            if mapping.copy is CIMultiDict.copy and type(mapping().copy()) is mapping:
                copy = CIMultiDict.copy
        if len(_copies) > 64:
            return copy
        _copies[mapping] = copy
    return _copies[mapping]


fill_tables()


cdef class ResponseParser:
    cdef readonly object limits
    cdef readonly object mapping
    cdef readonly str method
    cdef readonly object version
    cdef readonly object status
    cdef readonly object reason
    cdef readonly object headers
    cdef readonly object length
    cdef readonly object trailers
    cdef readonly object codings
    cdef readonly bint conflicted
    cdef readonly bint headed
    cdef readonly Py_ssize_t interims
    cdef readonly long long consumed
    cdef readonly object error
    cdef str _asked            # method as it was given, so that the same again costs nothing
    cdef bytearray _body
    cdef dict _extensions
    cdef object _copy
    cdef object _add
    cdef int _state
    cdef int _framing
    cdef int _code             # status as a number
    cdef bint _eof
    cdef bint _interim
    cdef bint _bodiless        # HEAD
    cdef bint _tunnel          # CONNECT
    cdef Py_ssize_t _scanned   # octets of the present line that hold no LF
    cdef long long _section    # offset where the head or trailer section began
    cdef Py_ssize_t _empties
    cdef uint64_t _left        # octets of the body or chunk still to come
    cdef long long _taken      # octets of body so far
    cdef long long _overhead   # chunk extension octets so far
    # limits, as numbers
    cdef Py_ssize_t _most_line, _most_fields, _most_head, _most_trailers
    cdef long long _most_body  # -1: no limit
    # fields of the present section
    cdef Py_ssize_t _count
    cdef object _name          # field whose value may still be folded, or None
    cdef object _value
    cdef list _folds           # further parts of the value, or None
    cdef int _kind
    cdef long long _field_at
    cdef str _codings          # Transfer-Encoding, all values joined, or None
    cdef long long _coding_at
    cdef long long _length     # -1: none
    cdef object _length_fault  # None, or (code, offset, near)
    cdef object _trailing
    # the template: the last head that came in one piece
    cdef char *_head_octets
    cdef Py_ssize_t _head_size, _head_room
    cdef Py_ssize_t _head_begin     # where its fields begin
    cdef Line *_head_lines
    cdef Py_ssize_t _head_count, _head_lines_room
    cdef object _head_version, _head_status, _head_reason
    cdef Py_ssize_t _misses         # heads that were not like it
    cdef bint _hits                 # one was, since it was kept
    cdef object _head_headers       # its headers, kept to be copied; None before it came twice

    def __init__(self, *, limits=None, mapping=None):
        self.limits = limits = LIMITS if limits is None else limits
        self.mapping = mapping = CIMultiDict if mapping is None else mapping
        self._copy = copier_of(mapping)
        self._add = mapping.add
        self._most_line = limits.line
        self._most_fields = limits.fields
        self._most_head = limits.head
        self._most_trailers = limits.trailers
        self._most_body = -1 if limits.body is None else limits.body
        self._drop_template()
        self._start("GET")

    def __dealloc__(self):
        self._drop_template()
        PyMem_Free(self._head_lines)
        PyMem_Free(self._head_octets)

    def start(self, str method not None="GET"):
        self._start(method)

    cdef int _start(self, str method) except -1:
        if method is not self._asked:
            self._asked = method
            self.method = method.upper()
            self._bodiless = self.method == "HEAD"
            self._tunnel = self.method == "CONNECT"
        self.version = None
        self.status = None
        self.reason = None
        self.headers = None
        self.length = None
        self._body = None
        self._extensions = None
        self.trailers = None
        self.codings = ()
        self.conflicted = False
        self.interims = 0
        self.consumed = 0
        self.headed = False
        self.error = None
        self._state = START_LINE
        self._framing = UNKNOWN
        self._eof = False
        self._scanned = 0
        self._section = 0
        self._empties = 0
        self._left = 0
        self._taken = 0
        self._overhead = 0
        self._interim = False
        self._trailing = None
        self._begin_section()
        return 0

    def reset(self):
        self._start(self.method)

    def start_body(self, str framing not None, length=None):
        if framing not in FRAMINGS:
            raise ValueError(f"framing must be one of {FRAMINGS}, not {framing!r}")
        if (framing == "fixed") != (length is not None):
            raise ValueError("length goes with framing 'fixed' and only with it")
        if length is not None and not 0 <= length <= MAX_LENGTH:
            raise ValueError(f"length must be from 0 to {MAX_LENGTH}, not {length}")
        self._start(self.method)
        self.headers = self.mapping()
        self._enter_body(FRAMINGS.index(framing), length or 0, 0)

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
        if self._body is None:
            self._body = bytearray()
        return self._body

    @property
    def extensions(self):
        if self._extensions is None:
            self._extensions = {}
        return self._extensions

    @property
    def wanted(self):
        if self._state == FIXED or self._state == CHUNK_DATA:
            return self._left
        return -1 if self._state == UNTIL_CLOSE and self._most_body < 0 else 0

    def received(self, count):
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

    def parse(self, bytearray rx not None, bint eof=False):
        return self._run(rx, eof, False)

    def parse_head(self, bytearray rx not None, bint eof=False):
        return self._run(rx, eof, True)

    cdef Py_ssize_t _run(self, bytearray rx, bint eof, bint head_only) except -1:
        cdef Py_buffer view
        if self.error is not None:
            raise self.error.with_traceback(None)
        if eof:
            self._eof = True
        # held during the call: whoever resizes rx meanwhile gets a BufferError, not us a stale pointer
        PyObject_GetBuffer(rx, &view, PyBUF_SIMPLE)
        try:
            return self._advance(<octets_t>view.buf, view.len, head_only)
        finally:
            PyBuffer_Release(&view)

    cdef Py_ssize_t _advance(self, octets_t buf, Py_ssize_t size, bint head_only) except -1:
        cdef Py_ssize_t pos = 0, before
        cdef int state
        while True:
            state = self._state
            if state <= FIELD_LINE:
                before = pos
                pos = self._head(buf, size, pos)
                if self._state <= FIELD_LINE and pos == before:
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

    cdef int _fail(self, str code, long long offset, bytes near) except -1:
        """Record the error for good and raise it; `offset` counts from the message's start."""
        error = parse_error(code, offset=offset, state=STATES[self._state], near=near)
        self.error = error
        self._state = FAILED
        raise error

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

    # lines

    cdef Py_ssize_t _line(
        self, octets_t buf, Py_ssize_t size, Py_ssize_t pos, Py_ssize_t most, str code
    ) except -2:
        """Find the LF that ends the line at `pos`; -1 until it comes.

        `most` is what the section may still hold, line ends included; `code` the
        error for more.
        """
        cdef Py_ssize_t have = size - pos, room = self._most_line
        cdef octets_t found = NULL
        if have > self._scanned:
            found = <octets_t>memchr(buf + pos + self._scanned, LF, have - self._scanned)
        if found != NULL:
            have = found + 1 - buf - pos
        if most < room + 2:
            # the section has less room than a line: its own limit is met first
            if have > most or (have == most and found == NULL):
                self._fail(code, self.consumed + most, (buf + pos)[: min(32, most)])
        elif have > room:
            # the line end does not count, nor does a CR that may become one
            have -= found != NULL
            if have - (buf[pos + have - 1] == CR) > room:
                self._fail("line-too-long", self.consumed + room, (buf + pos)[: min(32, room)])
        if found == NULL:
            self._scanned = have
            return -1
        self._scanned = 0
        return found - buf

    # head

    cdef inline int _begin_section(self) except -1:
        self._count = 0
        self._name = None
        self._value = None
        self._folds = None
        self._kind = OTHER
        self._codings = None
        self._length = -1
        self._length_fault = None
        return 0

    cdef Py_ssize_t _head(self, octets_t buf, Py_ssize_t size, Py_ssize_t pos) except -1:
        """Take lines up to the end of the final head."""
        cdef Py_ssize_t line, lf, most
        cdef bint ended
        while self._state == START_LINE:
            if not self._scanned:
                line = self._quick_head(buf, size, pos)
                if line:
                    return line
            line = self._start_line(buf, size, pos)
            if line < 0:
                return pos
            pos = line
        mapping = None if self._interim else self.headers
        while True:
            most = max(0, <Py_ssize_t>(self._most_head - (self.consumed - self._section)))
            lf = self._line(buf, size, pos, most, "head-too-large")
            if lf < 0:
                return pos
            ended = self._field_line(buf, pos, lf, mapping)
            self.consumed += lf + 1 - pos
            pos = lf + 1
            if ended:
                self._end_head()
                return pos

    cdef Py_ssize_t _start_line(self, octets_t buf, Py_ssize_t size, Py_ssize_t pos) except -2:
        """Take the line before the fields; -1 until it is whole, else where the next one begins."""
        cdef Py_ssize_t have = size - pos, index = 0, most, lf, end
        cdef octets_t at = buf + pos
        cdef const char *want = b"HTTP/"
        cdef unsigned char octet
        if self._scanned < 5:
            while index < have and index < 5:
                octet = at[index]
                if octet == <unsigned char>want[index]:
                    index += 1
                    continue
                if octet == CR and index == 0:
                    if have == 1:
                        break
                    octet = at[1]
                    index = 1
                if octet == LF and (at[0] == CR or at[0] == LF):
                    return self._empty_line(buf, pos, index + 1)
                self._fail("bad-start", self.consumed + index, at[: index + 1])
        most = max(0, <Py_ssize_t>(self._most_head - (self.consumed - self._section)))
        lf = self._line(buf, size, pos, most, "head-too-large")
        if lf < 0:
            return -1
        end = lf - (1 if buf[lf - 1] == CR else 0)
        if not self._status_line(at, buf + end):
            line = at[: end - pos]
            code, index = status_line_fault(line)
            self._fail(code, self.consumed + index, line[index:])
        if self._interim:
            self.interims += 1
            if self.interims > self.limits.interims:
                self._fail("too-many-interims", self.consumed, at[: min(32, end - pos)])
        else:
            self.headers = self.mapping()
        self._state = FIELD_LINE
        self.consumed += lf + 1 - pos
        return lf + 1

    cdef bint _status_line(self, octets_t at, octets_t end) except -1:
        """Read a status line that is right (RFC 9112 4); False where it is not."""
        cdef int wide = 0
        if end - at < 12 or at[6] != 0x2E or at[8] != SP:
            return False
        if not (0x30 <= at[7] <= 0x39 and (at[5] == 0x31 or (at[5] == 0x30 and at[7] == 0x39))):
            return False
        if not (0x31 <= at[9] <= 0x39 and 0x30 <= at[10] <= 0x39 and 0x30 <= at[11] <= 0x39):
            return False
        if end - at > 12 and (at[12] != SP or content_end(at + 13, end, &wide) != end):
            return False
        self._code = (at[9] - 0x30) * 100 + (at[10] - 0x30) * 10 + (at[11] - 0x30)
        self._interim = 100 <= self._code < 200 and self._code != 101  # RFC 9110 15.2
        if not self._interim:
            # 0.9 and 1.0 are 1.0; a higher minor version is 1.1 to us (RFC 9110 2.5)
            self.version = _version_10 if at[5] == 0x30 or at[7] == 0x30 else _version_11
            self.status = self._code
            self.reason = value_of(at + 13, end, wide) if end - at > 12 else _empty
        return True

    cdef Py_ssize_t _empty_line(self, octets_t buf, Py_ssize_t pos, Py_ssize_t size) except -2:
        """Take an empty line before the status line (RFC 9112 2.2)."""
        self._empties += 1
        if self._empties > self.limits.empty_lines:
            self._fail("empty-lines", self.consumed, (buf + pos)[:size])
        self._scanned = 0
        self.consumed += size
        return pos + size

    cdef Py_ssize_t _quick_head(self, octets_t buf, Py_ssize_t size, Py_ssize_t pos) except -1:
        """Take a final head at once where it is whole, plain and small; 0 where it is not.

        Python objects are nine tenths of what a response costs (measured). So the
        last head is kept as a template: lines that are the same again give the same
        objects again, and headers with the same names are a copy of the last ones.
        """
        cdef Line lines[QUICK_FIELDS]
        cdef octets_t head = buf + pos
        cdef Py_ssize_t room = min(QUICK_HEAD, self._most_line, size - pos)
        cdef Py_ssize_t begin, total, index
        cdef Py_ssize_t count = 0
        cdef bint known
        room = min(room, <Py_ssize_t>(self._most_head - (self.consumed - self._section)))
        if room < 16:
            return 0
        known = self._head_begin and self._head_begin <= room and memcmp(
            head, self._head_octets, self._head_begin
        ) == 0
        if known:
            begin = self._head_begin
            self.version = self._head_version
            self.status = self._head_status
            self.reason = self._head_reason
            self._code = self.status
            if self._head_headers is not None and self._head_size <= room and memcmp(
                head + begin, self._head_octets + begin, self._head_size - begin
            ) == 0:
                self.headers = self._copy(self._head_headers)
                self._hits = True
                self._quick_framing(self._head_lines, self._head_count)
                return self._quick_end(pos, self._head_size, self._head_count)
        else:
            begin = self._quick_status(head, room)
            if not begin:
                return 0
        try:
            total = self._quick_fields(head, room, begin, lines, &count)
            if not total:
                # folded, ended by LF alone, not whole, or wrong: line by line
                self.version = self.status = self.reason = None
                return 0
            self._fill(head, begin, total, lines, count)
            self._quick_framing(lines, count)
        finally:
            for index in range(count):
                Py_DECREF(<object>lines[index].name)
                Py_DECREF(<object>lines[index].value)
        return self._quick_end(pos, total, count)

    cdef int _quick_framing(self, Line *lines, Py_ssize_t count) except -1:
        cdef Py_ssize_t index
        for index in range(count):
            if lines[index].kind:
                self._framing_field(
                    lines[index].kind,
                    <object>lines[index].value,
                    self.consumed + lines[index].offset,
                )
        return 0

    cdef Py_ssize_t _quick_end(
        self, Py_ssize_t pos, Py_ssize_t total, Py_ssize_t count
    ) except -1:
        self._count = count
        self.consumed += total
        self._state = FIELD_LINE
        self._end_head()
        return pos + total

    cdef Py_ssize_t _quick_status(self, octets_t head, Py_ssize_t room) except -1:
        """Read the status line of a final head; 0 where it is anything else."""
        cdef octets_t lf = <octets_t>memchr(head, LF, room)
        if lf == NULL or lf - head < 2 or (lf - 1)[0] != CR or memcmp(head, b"HTTP/", 5) != 0:
            return 0
        if not self._status_line(head, lf - 1):
            return 0
        if self._interim:
            self._interim = False
            return 0
        return lf + 1 - head

    cdef Py_ssize_t _quick_fields(
        self, octets_t head, Py_ssize_t room, Py_ssize_t begin, Line *lines, Py_ssize_t *size
    ) except -1:
        """Read all field lines; gives the size of the head, 0 where it is not plain.

        `lines` owns a reference to each name and value, `size` of them at any time.
        """
        cdef octets_t at = head + begin
        cdef octets_t end = head + room
        cdef octets_t stop, colon
        cdef Line *line
        cdef Line *last
        cdef Py_ssize_t most = min(QUICK_FIELDS, self._most_fields)
        cdef int wide, kind
        while end - at >= 2:
            if at[0] == CR:
                return at + 2 - head if at[1] == LF else 0
            if size[0] >= most:
                return 0
            line = lines + size[0]
            last = self._head_lines + size[0] if size[0] < self._head_count else NULL
            if last != NULL:
                if end - at >= last.size + 2 and memcmp(
                    at, self._head_octets + last.offset, last.size + 2
                ) == 0:
                    line[0] = last[0]
                    line.offset = at - head
                    line.fresh = False
                    Py_INCREF(<object>line.name)
                    Py_INCREF(<object>line.value)
                    size[0] += 1
                    at += last.size + 2
                    continue
                if end - at <= last.name_size or memcmp(
                    at, self._head_octets + last.offset, last.name_size + 1
                ) != 0:
                    last = NULL
            if last != NULL:
                colon = at + last.name_size
            else:
                colon = at
                while colon < end and CLASSES[colon[0]] & IS_TOKEN:
                    colon += 1
                if colon == at or colon == end or colon[0] != COLON:
                    return 0
            wide = 0
            stop = content_end(colon + 1, end, &wide)
            if end - stop < 2 or stop[0] != CR or stop[1] != LF:
                return 0
            if last != NULL:
                name = <object>last.name
                kind = last.kind
            else:
                name = name_of(at, colon - at, &kind)
            value = value_of(colon + 1, stop, wide)
            line.offset = at - head
            line.size = stop - at
            line.name_size = colon - at
            line.kind = kind
            line.single = last != NULL and last.single
            line.fresh = True
            Py_INCREF(name)
            Py_INCREF(value)
            line.name = <PyObject *>name
            line.value = <PyObject *>value
            size[0] += 1
            at = stop + 2
        return 0

    cdef int _fill(
        self, octets_t head, Py_ssize_t begin, Py_ssize_t total, Line *lines, Py_ssize_t count
    ) except -1:
        """Make the headers: a copy of the template's with what changed, or field by field."""
        cdef Py_ssize_t index, fresh = 0
        cdef bint alike = count == self._head_count
        cdef bint single = True
        if alike:
            for index in range(count):
                if lines[index].fresh:
                    fresh += 1
                    single = single and lines[index].single
                    # names are the template's own objects where they are the same octets
                    if lines[index].name != self._head_lines[index].name:
                        alike = False
        if alike and single and self._head_headers is not None:
            headers = self._copy(self._head_headers)
            if fresh:
                for index in range(count):
                    if lines[index].fresh:
                        PyObject_SetItem(
                            headers, <object>lines[index].name, <object>lines[index].value
                        )
            self.headers = headers
            self._hits = True
            return 0
        if self._copy is None:
            headers = self.mapping()
            for index in range(count):
                self._add(headers, <object>lines[index].name, <object>lines[index].value)
        else:
            # a multidict that knows its size at once need not grow: a third of the cost (measured)
            headers = self.mapping(
                [(<object>lines[index].name, <object>lines[index].value) for index in range(count)]
            )
        self.headers = headers
        # heads that never come again are not worth keeping, each fourth one at most
        self._misses += 1
        if self._head_count == 0 or self._hits or self._misses & 3 == 0 or (
            alike and self._head_headers is None
        ):
            self._keep_template(head, begin, total, lines, count)
            self._hits = False
            if alike and self._copy is not None:
                self._head_headers = self._copy(headers)
        return 0

    cdef int _keep_template(
        self, octets_t head, Py_ssize_t begin, Py_ssize_t total, Line *lines, Py_ssize_t count
    ) except -1:
        """Make this head the template."""
        cdef Py_ssize_t index, other
        cdef void *room
        self._drop_template()
        if self._head_room < total:
            room = PyMem_Realloc(self._head_octets, total)
            if room == NULL:
                raise MemoryError
            self._head_octets = <char *>room
            self._head_room = total
        if self._head_lines_room < count:
            room = PyMem_Realloc(self._head_lines, count * sizeof(Line))
            if room == NULL:
                raise MemoryError
            self._head_lines = <Line *>room
            self._head_lines_room = count
        memcpy(self._head_octets, head, total)
        for index in range(count):
            lines[index].single = True
            for other in range(index):
                if same_name(&lines[index], head, &lines[other]):
                    lines[index].single = self._head_lines[other].single = False
            Py_INCREF(<object>lines[index].name)
            Py_INCREF(<object>lines[index].value)
            self._head_lines[index] = lines[index]
        self._head_count = count
        self._head_size = total
        self._head_begin = begin
        self._head_version = self.version
        self._head_status = self.status
        self._head_reason = self.reason
        return 0

    cdef int _drop_template(self) except -1:
        cdef Py_ssize_t count = self._head_count, index
        self._head_count = self._head_size = self._head_begin = 0
        self._head_version = self._head_status = self._head_reason = self._head_headers = None
        for index in range(count):
            Py_DECREF(<object>self._head_lines[index].name)
            Py_DECREF(<object>self._head_lines[index].value)
        return 0

    cdef bint _field_line(
        self, octets_t buf, Py_ssize_t pos, Py_ssize_t lf, object mapping
    ) except -1:
        """Take one line of a head or trailer section; True if it ends the section."""
        cdef Py_ssize_t end = lf - (1 if lf > pos and buf[lf - 1] == CR else 0)
        cdef octets_t at = buf + pos
        cdef octets_t stop = buf + end
        cdef octets_t colon = at
        cdef int wide = 0
        if end == pos:
            self._commit(mapping)
            return True
        if (at[0] == SP or at[0] == HTAB) and self._name is not None:
            # obs-fold: the value goes on, joined by one space (RFC 9112 5.2)
            self._check_line(at, end - pos)
            content_end(at, stop, &wide)
            folded = value_of(at, stop, wide)
            if folded:
                if self._folds is None:
                    self._folds = [self._value] if self._value else []
                self._folds.append(folded)
            return False
        self._commit(mapping)
        if self._count >= self._most_fields:
            self._fail("too-many-fields", self.consumed, at[: min(32, end - pos)])
        while colon < stop and CLASSES[colon[0]] & IS_TOKEN:
            colon += 1
        if (
            colon == at
            or colon == stop
            or colon[0] != COLON
            or content_end(colon + 1, stop, &wide) != stop
        ):
            self._check_line(at, end - pos)
            raise AssertionError("field line refused without a fault")
        self._count += 1
        self._name = name_of(at, colon - at, &self._kind)
        self._value = value_of(colon + 1, stop, wide)
        self._field_at = self.consumed
        return False

    cdef int _check_line(self, octets_t at, Py_ssize_t size) except -1:
        """Fail with what is wrong with a field line, if anything is."""
        line = at[:size]
        fault = field_fault(line, self._name is None and self._count == 0)
        if fault is not None:
            code, index = fault
            self._fail(code, self.consumed + index, line[index:])
        return 0

    cdef int _commit(self, object mapping) except -1:
        """Put the field that can no more be folded into its mapping."""
        if self._name is None:
            return 0
        if mapping is not None:
            value = self._value if self._folds is None else " ".join(self._folds)
            self._add(mapping, self._name, value)
            if self._kind and self._state == FIELD_LINE:
                self._framing_field(self._kind, value, self._field_at)
        self._name = None
        self._folds = None
        return 0

    cdef int _framing_field(self, int kind, str value, long long offset) except -1:
        """Note what a field says about the body; faults count when the head is complete."""
        cdef long long number = 0
        cdef Py_ssize_t size = len(value), index
        if kind == CODING:
            if self._codings is None:
                self._coding_at = offset
                self._codings = value
            else:
                self._codings += ", " + value
            return 0
        if self._length_fault is not None:
            return 0
        code = ""
        if 0 < size <= 18:
            for index in range(size):
                if not c"0" <= value[index] <= c"9":
                    number = -1
                    break
                number = number * 10 + (<int>value[index] - 0x30)
        else:
            number = -1
        if number < 0:
            length, code = length_of(value)
            number = length
        if not code and self._length >= 0 and self._length != number:
            code = "differing-lengths"
        if code:
            self._length_fault = (code, offset, value.encode("iso-8859-1"))
        else:
            self._length = number
        return 0

    cdef int _end_head(self) except -1:
        """Choose the framing of the body (RFC 9112 6.3)."""
        cdef int framing = BY_CLOSE
        cdef long long length = 0
        if self._interim:
            self._interim = False
            self._state = START_LINE
            self._section = self.consumed
            self._empties = 0
            self._begin_section()
            return 0
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
            chunked = self._codings == "chunked"
            if not chunked:
                self.codings, chunked, code = codings_of(self._codings)
                if code:
                    near = self._codings.encode("iso-8859-1")
                    self._fail(code, self._coding_at, near)
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

    cdef int _append(self, octets_t octets, Py_ssize_t count) except -1:
        """Put octets at the end of the body."""
        cdef Py_ssize_t size
        if self._body is None:
            self._body = PyByteArray_FromStringAndSize(<const char *>octets, count)
        elif count:
            size = PyByteArray_GET_SIZE(self._body)
            PyByteArray_Resize(self._body, size + count)
            memcpy(PyByteArray_AS_STRING(self._body) + size, octets, count)
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
        """Take chunks from `pos` on, as many as are plain, and put them into the body in one go.

        What stops the quick way, a line with extensions, the last chunk, a line that
        is not whole, goes the slow way (RFC 9112 7.1).
        """
        cdef Segment segments[SEGMENTS]
        cdef Py_ssize_t count = 0, total = 0, at = pos, digits, part
        cdef Py_ssize_t held = 0 if self._body is None else PyByteArray_GET_SIZE(self._body)
        cdef uint64_t left = self._left
        cdef int state = self._state
        if self._scanned:
            return self._slow_chunk(buf, size, pos)
        while count < SEGMENTS:
            if state == CHUNK_SIZE:
                left = 0
                digits = 0
                while at + digits < size and digits < 16 and HEX[buf[at + digits]] >= 0:
                    left = left << 4 | <uint64_t>HEX[buf[at + digits]]
                    digits += 1
                if (
                    left == 0
                    or size - at - digits < 2
                    or buf[at + digits] != CR
                    or buf[at + digits + 1] != LF
                ):
                    break
                if self._most_body >= 0 and left > <uint64_t>max(
                    0, self._most_body - (held + total)
                ):
                    break
                at += digits + 2
                state = CHUNK_DATA
            if state == CHUNK_DATA:
                part = size - at
                if part == 0:
                    break
                if <uint64_t>part > left:
                    part = <Py_ssize_t>left
                segments[count].octets = buf + at
                segments[count].size = part
                count += 1
                total += part
                at += part
                left -= part
                if left:
                    break
                state = CHUNK_END
            if size - at < 2 or buf[at] != CR or buf[at + 1] != LF:
                break
            at += 2
            state = CHUNK_SIZE
        if at == pos:
            return self._slow_chunk(buf, size, pos)
        self._gather(segments, count, held, total)
        self.consumed += at - pos
        self._taken += total
        self._state = state
        self._left = left if state == CHUNK_DATA else 0
        return at

    cdef int _gather(
        self, Segment *segments, Py_ssize_t count, Py_ssize_t held, Py_ssize_t total
    ) except -1:
        """Put segments at the end of the body, with one resize."""
        cdef Py_ssize_t index
        cdef char *to
        if self._body is None:
            self._body = bytearray()
        if total:
            PyByteArray_Resize(self._body, held + total)
            to = PyByteArray_AS_STRING(self._body) + held
            for index in range(count):
                memcpy(to, segments[index].octets, segments[index].size)
                to += segments[index].size
        return 0

    cdef Py_ssize_t _slow_chunk(self, octets_t buf, Py_ssize_t size, Py_ssize_t pos) except -1:
        """Go on where the quick way of `_chunks` stopped."""
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

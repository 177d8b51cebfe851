# Lines of the C engine: status lines, field lines, the ends of sections. Included by _parser.pyx.

cdef class LineParser:
    cdef readonly object limits
    cdef readonly object mapping
    cdef readonly str method
    cdef readonly object version
    cdef readonly object status
    cdef readonly object reason
    cdef readonly object headers
    cdef readonly Py_ssize_t interims
    cdef readonly long long consumed
    cdef readonly object error
    cdef object _asked            # method as it was given, so that the same again costs nothing
    cdef bint _bodiless        # HEAD
    cdef bint _tunnel          # CONNECT
    cdef object _add
    cdef int _state
    cdef int _code             # status as a number
    cdef bint _interim         # the present head is that of an interim response
    cdef bint _complete        # the final head is, and nothing was made of it yet
    cdef Py_ssize_t _scanned   # octets of the present line that hold no LF
    cdef Py_ssize_t _room      # octets the present line may have, while some are scanned
    cdef long long _section    # offset where the head or trailer section began
    cdef Py_ssize_t _empties
    # limits, as numbers
    cdef Py_ssize_t _most_line, _most_fields, _most_head, _most_trailers
    # fields of the present section
    cdef Py_ssize_t _count
    cdef object _name          # field whose value may still be folded, or None
    cdef object _value
    cdef list _folds           # further parts of the value, or None
    cdef int _kind
    cdef long long _field_at
    cdef list _codings         # values of Transfer-Encoding, or None
    cdef long long _coding_at
    cdef long long _length     # -1: none
    cdef object _length_fault  # None, or (code, offset, near)

    def __init__(self, *, limits=None, mapping=None):
        limits = limits_of(limits)
        mapping = CIMultiDict if mapping is None else mapping
        add = mapping.add  # first what may fail: then all stays as it was
        self._most_line = limits.line
        self._most_fields = limits.fields
        self._most_head = limits.head
        self._most_trailers = limits.trailers
        self.limits = limits
        self.mapping = mapping
        self._add = add

    def __reduce__(self):
        raise TypeError(f"cannot pickle {type(self).__name__!r} object: it is of one connection")

    cdef int _start_head(self, method) except -1:
        if method is not self._asked:
            self.method = str.upper(method)  # whatever a subclass makes of it
            self._asked = method
            self._bodiless = self.method == "HEAD"
            self._tunnel = self.method == "CONNECT"
        self.version = None
        self.status = None
        self.reason = None
        self.headers = None
        self.interims = 0
        self.consumed = 0
        self.error = None
        self._state = START_LINE
        self._interim = False
        self._complete = False
        self._scanned = 0
        self._room = 0
        self._section = 0
        self._empties = 0
        return self._begin_section()

    cdef int _fail(self, str code, long long offset, bytes near) except -1:
        """Record the error for good and raise it; `offset` counts from the message's start."""
        error = parse_error(code, offset=offset, state=STATES[self._state], near=near)
        self.error = error
        self._room = 0
        self._state = FAILED
        raise error

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
            self._room = min(room, most - 1)
            return -1
        self._scanned = 0
        return found - buf

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
            if self._scanned < 5:
                self._room = 0  # its first octets are still to be looked at
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
        if end - at > 12 and (at[12] != SP or fasthio_content(at + 13, end, &wide) != end):
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
            fasthio_content(at, stop, &wide)
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
            or fasthio_content(colon + 1, stop, &wide) != stop
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
                self._codings = [value]
            else:
                self._codings.append(value)
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
        """End a head: an interim one is forgotten (RFC 9110 15.2), the final one complete."""
        if not self._interim:
            self._complete = True
            return 0
        self._interim = False
        self._state = START_LINE
        self._section = self.consumed
        self._empties = 0
        return self._begin_section()

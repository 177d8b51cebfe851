# Lines and heads of the C engine; the base of ResponseParser. Included by _parser.pyx.

cdef class HeadParser:
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
    cdef object _copy
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
    # the template: the last head that came in one piece
    cdef char *_head_octets
    cdef Py_ssize_t _head_size, _head_room
    cdef Py_ssize_t _head_begin     # where its fields begin
    cdef Line *_head_lines
    cdef Py_ssize_t _head_count, _head_lines_room
    cdef object _head_version, _head_status, _head_reason
    cdef int _head_code
    cdef object _head_headers       # its headers, kept to be copied; None before it came twice
    cdef bint _head_framed          # it has framing fields
    cdef bint _head_plain           # ... one, a Content-Length that is right
    cdef long long _head_length
    cdef Py_ssize_t _turns          # heads that were not the same
    cdef bint _hits                 # one was like it, since it was kept
    cdef list _pairs                # of names and values, used again and again
    cdef bint _recycle              # ... which the mapping allows

    def __init__(self, *, limits=None, mapping=None):
        self.limits = limits = LIMITS if limits is None else limits
        self.mapping = mapping = CIMultiDict if mapping is None else mapping
        self._copy = copier_of(mapping)
        self._add = mapping.add
        self._recycle = self._copy is not None and plain_init(mapping)
        self._most_line = limits.line
        self._most_fields = limits.fields
        self._most_head = limits.head
        self._most_trailers = limits.trailers
        self._drop_template()

    def __dealloc__(self):
        self._drop_template()
        PyMem_Free(self._head_lines)
        PyMem_Free(self._head_octets)

    cdef int _start_head(self, method) except -1:
        if method is not self._asked:
            self._asked = method
            self.method = method.upper()
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

    # lines

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

    # head, line by line

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

    # head, at once

    cdef Py_ssize_t _quick_head(self, octets_t buf, Py_ssize_t size, Py_ssize_t pos) except -1:
        """Take a final head at once where it is whole, plain and small; 0 where it is not.

        Python objects are nine tenths of what a response costs (measured). So the
        last head is kept as a template: headers with the same names are a copy of the
        last ones, in which only the values that are not the same are made and set.
        """
        cdef octets_t head = buf + pos
        cdef Py_ssize_t room = min(QUICK_HEAD, self._most_line, size - pos)
        cdef Py_ssize_t begin = self._head_begin, total, same
        room = min(room, <Py_ssize_t>(self._most_head - (self.consumed - self._section)))
        if room < 16:
            return 0
        same = fasthio_prefix(head, <octets_t>self._head_octets, min(self._head_size, room))
        if begin and begin <= same:
            self.version = self._head_version
            self.status = self._head_status
            self.reason = self._head_reason
            self._code = self._head_code
            total = 0
            if self._head_headers is not None:
                total = self._quick_alike(head, room, same)
        else:
            begin = self._quick_status(head, room)
            if not begin:
                return 0
            total = 0
        if not total:
            total = self._quick_fields(head, room, begin)
            if not total:
                # folded, ended by LF alone, not whole, or wrong: line by line
                self.version = self.status = self.reason = None
                return 0
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

    cdef Py_ssize_t _quick_alike(
        self, octets_t head, Py_ssize_t room, Py_ssize_t same
    ) except -1:
        """Take a head that has the names of the template; gives its size, 0 where it has others.

        `same` octets are known to be the same. Lines whose values are not are scanned.
        """
        cdef Change changes[QUICK_FIELDS]
        cdef Line *lines = self._head_lines
        cdef Line *line
        cdef octets_t model = <octets_t>self._head_octets
        cdef octets_t end = head + room
        cdef octets_t stop
        cdef Py_ssize_t size = self._head_size, many = self._head_count
        cdef Py_ssize_t index = 0, count = 0, number
        cdef Py_ssize_t shift = 0  # from places in the template to places in the head
        cdef bint known = True     # the length is
        cdef int wide
        while same < size:
            while index < many and lines[index].offset + lines[index].size + 2 <= same:
                index += 1
            if index == many:
                return 0
            line = lines + index
            number = line.offset + line.name_size + 1
            if same < number or not line.single:
                return 0
            # what is the same is content here, too; where the value ends is not the same
            stop = head + shift + min(same, line.offset + line.size)
            wide = line.wide
            stop = fasthio_content(stop, end, &wide)
            if end - stop < 2 or stop[0] != CR or stop[1] != LF:
                return 0
            changes[count].line = index
            changes[count].offset = line.offset + shift
            changes[count].value = head + shift + number
            changes[count].stop = stop
            changes[count].wide = wide
            count += 1
            index += 1
            same = line.offset + line.size + 2
            shift = stop + 2 - head - same
            same += fasthio_prefix(
                head + shift + same, model + same, min(size - same, room - shift - same)
            )
        if count:
            self._turns += 1
            if self._turns & 15 == 0:
                return 0  # what changed once may stay as it is now: the template is made anew
        headers = self._copy(self._head_headers)
        for number in range(count):
            line = lines + changes[number].line
            value = value_of(changes[number].value, changes[number].stop, changes[number].wide)
            PyObject_SetItem(headers, <object>line.name, value)
            if line.kind and self._head_plain:
                known = False
                self._framing_field(line.kind, value, self.consumed + changes[number].offset)
        self.headers = headers
        self._hits = True
        self._count = many
        if self._head_plain:
            if known:
                self._length = self._head_length
        elif self._head_framed:
            self._alike_framing(changes, count)
        return size + shift

    cdef int _alike_framing(self, Change *changes, Py_ssize_t count) except -1:
        """Note the framing fields, changed or not, in their order and with their places."""
        cdef Line *line
        cdef Py_ssize_t index, number = 0, shift = 0
        for index in range(self._head_count):
            line = self._head_lines + index
            value = <object>line.value
            if number < count and changes[number].line == index:
                if line.kind:
                    value = value_of(
                        changes[number].value, changes[number].stop, changes[number].wide
                    )
                    self._framing_field(line.kind, value, self.consumed + line.offset + shift)
                shift = changes[number].offset - line.offset + (
                    changes[number].stop - changes[number].value
                ) - (line.size - line.name_size - 1)
                number += 1
            elif line.kind:
                self._framing_field(line.kind, value, self.consumed + line.offset + shift)
        return 0

    cdef Py_ssize_t _quick_fields(
        self, octets_t head, Py_ssize_t room, Py_ssize_t begin
    ) except -1:
        """Read all field lines; gives the size of the head, 0 where it is not plain.

        Names and values go into the pairs that a multidict is made from. One that knows
        its size at once need not grow: a third of the cost of `add`; and pairs that are
        used again save as much (measured).
        """
        cdef Line lines[QUICK_FIELDS]
        cdef octets_t at = head + begin
        cdef octets_t end = head + room
        cdef octets_t stop, colon
        cdef Line *line
        cdef Py_ssize_t most = min(QUICK_FIELDS, self._most_fields), count = 0, have
        cdef unsigned int slot
        cdef int wide, width
        cdef list pairs = self._pairs
        cdef PyObject *known
        cdef PyObject *pair
        self._pairs = None  # in use
        if pairs is None:
            pairs = []
        have = len(pairs)
        while True:
            if end - at < 2:
                count = -1
                break
            if at[0] == CR:
                if at[1] != LF:
                    count = -1
                break
            if count >= most:
                count = -1
                break
            line = lines + count
            known = NULL
            width = fasthio_colon(at) if end - at >= KNOWN_QUICK else KNOWN_QUICK
            colon = at + width
            if 0 < width < KNOWN_QUICK:
                slot = slot_of(at, width)
                while NAMES[slot].size:
                    if NAMES[slot].size == width and fasthio_same(at, NAMES[slot].octets, width):
                        known = NAMES[slot].name
                        line.kind = NAMES[slot].kind
                        break
                    slot = (slot + 1) & (SLOTS - 1)
            if known == NULL:
                colon = at
                while colon < end and CLASSES[colon[0]] & IS_TOKEN:
                    colon += 1
                if colon == at or colon == end or colon[0] != COLON:
                    count = -1
                    break
            wide = 0
            stop = fasthio_content(colon + 1, end, &wide)
            if end - stop < 2 or stop[0] != CR or stop[1] != LF:
                count = -1
                break
            if known == NULL:
                name = self._name_at(count, at, colon - at, &line.kind)
                known = <PyObject *>name
            value = value_of(colon + 1, stop, wide)
            if count < have and fasthio_only(<PyObject *>PyList_GET_ITEM(pairs, count)):
                pair = <PyObject *>PyList_GET_ITEM(pairs, count)
                fasthio_put(pair, 0, known)
                fasthio_put(pair, 1, <PyObject *>value)
            elif count < have:
                pairs[count] = (<object>known, value)
            else:
                pairs.append((<object>known, value))
                have += 1
            line.offset = at - head
            line.size = stop - at
            line.name_size = colon - at
            line.wide = wide
            line.name = known
            line.value = <PyObject *>value
            count += 1
            at = stop + 2
        if count >= 0:
            if count < have:
                del pairs[count:]
            if self._copy is None:
                headers = self.mapping()
                for pair_ in pairs:
                    self._add(headers, pair_[0], pair_[1])
            else:
                # a mapping that is not plain may change what it is given
                headers = self.mapping(pairs if self._recycle else pairs[:])
            self.headers = headers
            self._count = count
            for have in range(count):
                if lines[have].kind:
                    self._framing_field(
                        lines[have].kind,
                        <object>lines[have].value,
                        self.consumed + lines[have].offset,
                    )
            self._quick_keep(head, begin, at + 2 - head, lines, count)
        if self._recycle:
            self._pairs = pairs
        return at + 2 - head if count >= 0 else 0

    cdef object _name_at(self, Py_ssize_t index, octets_t at, Py_ssize_t size, int *kind):
        """Give the object of a field name that is not known: the template may have it."""
        cdef Line *line = self._head_lines + index
        if index < self._head_count and line.name_size == size and memcmp(
            at, self._head_octets + line.offset, size
        ) == 0:
            kind[0] = line.kind
            return <object>line.name
        return name_of(at, size, kind)

    cdef int _quick_keep(
        self, octets_t head, Py_ssize_t begin, Py_ssize_t total, Line *lines, Py_ssize_t count
    ) except -1:
        """Make this head the template where it is of use.

        The second head with the same names brings its headers along, to be copied. Heads
        that never come again are not worth keeping, each fourth one at most.
        """
        cdef Py_ssize_t index
        cdef bint alike = count == self._head_count
        if alike:
            for index in range(count):
                # names are the template's own objects where they are the same octets
                if lines[index].name != self._head_lines[index].name:
                    alike = False
                    break
        if not alike:
            self._turns += 1
            if self._head_begin == 0 or self._hits or self._turns & 3 == 0:
                self._hits = False
                self._keep_template(head, begin, total, lines, count)
        elif self._copy is not None and (self._head_headers is None or self._turns & 15 == 0):
            self._keep_template(head, begin, total, lines, count)
            self._head_headers = self._copy(self.headers)
        return 0

    cdef int _keep_template(
        self, octets_t head, Py_ssize_t begin, Py_ssize_t total, Line *lines, Py_ssize_t count
    ) except -1:
        """Make this head the template."""
        cdef Py_ssize_t index, other, framed = 0, codings = 0
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
            framed += lines[index].kind != OTHER
            codings += lines[index].kind == CODING
            Py_INCREF(<object>lines[index].name)
            Py_INCREF(<object>lines[index].value)
            self._head_lines[index] = lines[index]
        self._head_count = count
        self._head_size = total
        self._head_begin = begin
        self._head_version = self.version
        self._head_status = self.status
        self._head_reason = self.reason
        self._head_code = self._code
        # one Content-Length that is right: its number need not be read again
        self._head_framed = framed > 0
        self._head_plain = framed == 1 and codings == 0 and self._length >= 0
        self._head_length = self._length
        return 0

    cdef int _drop_template(self) except -1:
        cdef Py_ssize_t count = self._head_count, index
        self._head_count = self._head_size = self._head_begin = 0
        self._head_version = self._head_status = self._head_reason = self._head_headers = None
        for index in range(count):
            Py_DECREF(<object>self._head_lines[index].name)
            Py_DECREF(<object>self._head_lines[index].value)
        return 0

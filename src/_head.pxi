# Heads of the C engine, at once where they can be. Included by _parser.pyx.

cdef class HeadParser(LineParser):
    cdef object _copy
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
        limits = limits_of(limits)
        copy = copier_of(CIMultiDict if mapping is None else mapping)
        LineParser.__init__(self, limits=limits, mapping=mapping)
        self._copy = copy
        self._recycle = self._copy is not None and plain_init(self.mapping)
        self._drop_template()

    def __dealloc__(self):
        self._drop_template()
        PyMem_Free(self._head_lines)
        PyMem_Free(self._head_octets)

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
        self._head_version = self._head_status = self._head_reason = None
        for index in range(count):
            Py_DECREF(<object>self._head_lines[index].name)
            Py_DECREF(<object>self._head_lines[index].value)
        self._head_headers = None  # last: what a mapping does when it goes may be anything
        return 0

# Bodies of the C engine: framing, data, chunks, trailers. Included by _parser.pyx.

cdef class BodyParser(HeadParser):
    cdef readonly object length
    cdef readonly object trailers
    cdef readonly object codings
    cdef readonly bint conflicted
    cdef readonly bint headed
    cdef bytearray _body
    cdef dict _extensions
    cdef object _trailing
    cdef int _framing
    cdef uint64_t _left        # octets of the body or chunk still to come
    cdef long long _taken      # octets of body so far
    cdef long long _overhead   # chunk extension octets so far
    cdef Py_ssize_t _capacity  # octets the body was once made for
    cdef long long _most_body  # -1: no limit

    def __init__(self, *, limits=None, mapping=None):
        HeadParser.__init__(self, limits=limits, mapping=mapping)
        self._most_body = -1 if self.limits.body is None else self.limits.body

    cdef int _start_message(self, method) except -1:
        self._start_head(method)
        self.length = None
        self.trailers = None
        self.codings = ()
        self.conflicted = False
        self.headed = False
        self._body = None
        self._extensions = None
        self._trailing = None
        self._framing = UNKNOWN
        self._left = 0
        self._taken = 0
        self._overhead = 0
        self._capacity = 0
        return 0

    cdef object _wanted(self):
        if self._state == FIXED or self._state == CHUNK_DATA:
            return self._left
        return -1 if self._state == UNTIL_CLOSE and self._most_body < 0 else 0

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
        cdef octets_t mark = at  # what is before it is counted
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
                        if (
                            left == 0 and at > line and end - at >= 4
                            and memcmp(at, b"\r\n\r\n", 4) == 0
                        ):
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
                    # where somebody views the body all before its data is taken, as elsewhere
                    self.consumed += at - mark
                    mark = at
                    self._state = CHUNK_DATA
                    self._left = left
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
        self.consumed += at - mark
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

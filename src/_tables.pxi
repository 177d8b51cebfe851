# Tables and small functions of the C engine. Included by _parser.pyx.

cdef extern from *:
    """
    static inline PyObject *fasthio_ascii(const char *octets, Py_ssize_t size)
    {
        PyObject *text = PyUnicode_New(size, 127);
        if (text != NULL && size)
            memcpy(PyUnicode_1BYTE_DATA(text), octets, (size_t)size);
        return text;
    }

    /* Place of the first octet, in memory order, whose top bit is set in a word. */
    static inline int fasthio_first(uint64_t marks)
    {
    #if defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        return __builtin_ctzll(marks) >> 3;
    #else
        unsigned char octets[8];
        int index = 0;
        memcpy(octets, &marks, 8);
        while (index < 7 && !(octets[index] & 0x80))
            index++;
        return index;
    #endif
    }
    """
    object fasthio_ascii(const char *octets, Py_ssize_t size)
    int fasthio_first(uint64_t marks) nogil

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
    # octets a body may be made longer than what was received
    GROW_STEP = 4194304

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
    cdef uint64_t word, marks, low = <uint64_t>0x0101010101010101, high = <uint64_t>0x8080808080808080
    cdef uint64_t delete
    while end - at >= 8:
        memcpy(&word, at, 8)
        delete = word ^ (low * 0x7F)
        # marks octets below SP and DEL eight at a time; a borrow may mark more, but only
        # behind the first in little-endian order, and each is looked at again
        marks = ((word - low * 0x20) & ~word & high) | ((delete - low) & ~delete & high)
        wide[0] |= (word & high) != 0
        if marks == 0:
            at += 8
            continue
        at += fasthio_first(marks)
        if not CLASSES[at[0]] & IS_CONTENT:
            return at
        at += 1
    while at < end and CLASSES[at[0]] & IS_CONTENT:
        wide[0] |= at[0] >= 0x80
        at += 1
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

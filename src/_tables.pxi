# Tables and small functions of the C engine. Included by _parser.pyx.

cdef extern from *:
    """
    #define FASTHIO_FAILED 9  /* the last of the states */

    static inline PyObject *fasthio_ascii(const char *octets, Py_ssize_t size)
    {
        PyObject *text = PyUnicode_New(size, 127);
        if (text != NULL && size)
            memcpy(PyUnicode_1BYTE_DATA(text), octets, (size_t)size);
        return text;
    }

    #if defined(__SSE2__) && defined(__GNUC__)
    #include <emmintrin.h>
    #define FASTHIO_SSE2 1
    #define FASTHIO_LOAD(at) _mm_loadu_si128((const __m128i *)(at))
    #endif

    /* Find the first octet that is no field content: a control character but HTAB, or DEL
       (RFC 9110 5.5). `wide` is set where obs-text is met before it. */
    static inline const unsigned char *fasthio_content(
        const unsigned char *at, const unsigned char *end, int *wide)
    {
    #ifdef FASTHIO_SSE2
        const __m128i most = _mm_set1_epi8(0x1F), del = _mm_set1_epi8(0x7F);
        const __m128i tab = _mm_set1_epi8(0x09);
        while (end - at >= 16) {
            const __m128i octets = FASTHIO_LOAD(at);
            const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(octets, most), octets);
            const __m128i bad = _mm_or_si128(
                _mm_andnot_si128(_mm_cmpeq_epi8(octets, tab), low), _mm_cmpeq_epi8(octets, del));
            const unsigned int marks = (unsigned int)_mm_movemask_epi8(bad);
            const unsigned int tops = (unsigned int)_mm_movemask_epi8(octets);
            if (marks) {
                *wide |= (tops & (marks ^ (marks - 1))) != 0;
                return at + __builtin_ctz(marks);
            }
            *wide |= tops != 0;
            at += 16;
        }
    #endif
        while (at < end && ((*at >= 0x20 && *at != 0x7F) || *at == 0x09)) {
            *wide |= *at >= 0x80;
            at++;
        }
        return at;
    }

    /* Count how many octets are the same at the beginning of both. */
    static inline Py_ssize_t fasthio_prefix(
        const unsigned char *one, const unsigned char *other, Py_ssize_t size)
    {
        Py_ssize_t index = 0;
    #ifdef FASTHIO_SSE2
        while (size - index >= 16) {
            const unsigned int same = (unsigned int)_mm_movemask_epi8(
                _mm_cmpeq_epi8(FASTHIO_LOAD(one + index), FASTHIO_LOAD(other + index)));
            if (same != 0xFFFF)
                return index + __builtin_ctz(~same);
            index += 16;
        }
    #endif
        while (index < size && one[index] == other[index])
            index++;
        return index;
    }

    /* Tell whether an octet is among others, of which there is often one alone. */
    static inline int fasthio_has(const char *octets, Py_ssize_t size, char octet)
    {
        return size == 1 ? *octets == octet : memchr(octets, octet, (size_t)size) != NULL;
    }

    /* Find the first colon of 32 octets; its place, 32 if there is none. */
    static inline int fasthio_colon(const unsigned char *at)
    {
    #ifdef FASTHIO_SSE2
        const __m128i colon = _mm_set1_epi8(':');
        const unsigned int marks =
            (unsigned int)_mm_movemask_epi8(_mm_cmpeq_epi8(FASTHIO_LOAD(at), colon))
            | (unsigned int)_mm_movemask_epi8(_mm_cmpeq_epi8(FASTHIO_LOAD(at + 16), colon)) << 16;
        return marks ? __builtin_ctz(marks) : 32;
    #else
        const unsigned char *found = (const unsigned char *)memchr(at, ':', 32);
        return found ? (int)(found - at) : 32;
    #endif
    }

    /* Tell whether the first `size` of 32 octets are the same. */
    static inline int fasthio_same(
        const unsigned char *one, const unsigned char *other, Py_ssize_t size)
    {
    #ifdef FASTHIO_SSE2
        const unsigned int same =
            (unsigned int)_mm_movemask_epi8(_mm_cmpeq_epi8(FASTHIO_LOAD(one), FASTHIO_LOAD(other)))
            | (unsigned int)_mm_movemask_epi8(
                _mm_cmpeq_epi8(FASTHIO_LOAD(one + 16), FASTHIO_LOAD(other + 16))) << 16;
        return (~same & (((unsigned int)1 << size) - 1)) == 0;
    #else
        return memcmp(one, other, (size_t)size) == 0;
    #endif
    }

    /* Put an item in the place of another in a tuple that nobody else knows. */
    static inline void fasthio_put(PyObject *pair, Py_ssize_t index, PyObject *item)
    {
        PyObject *old = PyTuple_GET_ITEM(pair, index);
        Py_INCREF(item);
        PyTuple_SET_ITEM(pair, index, item);
        Py_DECREF(old);
    }

    /* What stands in a bytearray is the same in CPython 3.10 to 3.14. Looking there saves
       an eighth of a short response, and a body that is made for its length at once is
       not cut down again by PyByteArray_Resize, which would copy it (both measured). */
    #if defined(PYPY_VERSION) || defined(Py_GIL_DISABLED) || PY_VERSION_HEX >= 0x030F0000
    #define FASTHIO_INSIDE 0
    #else
    #define FASTHIO_INSIDE 1
    #endif

    /* Make a bytearray so long; what is new in it is not set. */
    static inline int fasthio_resize(PyObject *buffer, Py_ssize_t size)
    {
    #if FASTHIO_INSIDE
        PyByteArrayObject *self = (PyByteArrayObject *)buffer;
        if (self->ob_exports == 0 && size + (self->ob_start - self->ob_bytes) < self->ob_alloc) {
            Py_SET_SIZE(self, size);
            self->ob_start[size] = 0;
            return 0;
        }
    #endif
        return PyByteArray_Resize(buffer, size);
    }

    /* Delete octets from the front of a bytearray. A small one keeps its room: what is
       received next goes there, for which it would be allocated again (measured). */
    static inline int fasthio_drop(PyObject *buffer, Py_ssize_t count)
    {
        const Py_ssize_t rest = PyByteArray_GET_SIZE(buffer) - count;
        PyObject *front, *stop;
        int failed;
        if (count == 0)
            return 0;
    #if FASTHIO_INSIDE
        {
            PyByteArrayObject *self = (PyByteArrayObject *)buffer;
            if (self->ob_exports == 0 && self->ob_alloc <= 4096) {
                if (rest)
                    memmove(self->ob_start, self->ob_start + count, (size_t)rest);
                Py_SET_SIZE(self, rest);
                self->ob_start[rest] = 0;
                return 0;
            }
        }
    #endif
        if (rest == 0)
            return PyByteArray_Resize(buffer, 0);
        stop = PyLong_FromSsize_t(count);
        if (stop == NULL)
            return -1;
        front = PySlice_New(NULL, stop, NULL);
        Py_DECREF(stop);
        if (front == NULL)
            return -1;
        failed = PyObject_DelItem(buffer, front);
        Py_DECREF(front);
        return failed;
    }

    /* Hold a bytearray: who resizes it meanwhile gets a BufferError, not us a stale pointer. */
    static inline int fasthio_hold(PyObject *buffer, Py_buffer *view)
    {
    #if FASTHIO_INSIDE
        (void)view;
        ((PyByteArrayObject *)buffer)->ob_exports++;
        return 0;
    #else
        return PyObject_GetBuffer(buffer, view, PyBUF_SIMPLE);
    #endif
    }

    static inline void fasthio_release(PyObject *buffer, Py_buffer *view)
    {
    #if FASTHIO_INSIDE
        (void)view;
        ((PyByteArrayObject *)buffer)->ob_exports--;
    #else
        (void)buffer;
        PyBuffer_Release(view);
    #endif
    }

    /* Give how many octets were taken as an int. Where there is no memory for it the message
       is broken off, as the caller cannot know that they were. */
    static inline PyObject *fasthio_number(Py_ssize_t count, int *state, Py_ssize_t *scanned)
    {
        PyObject *number = PyLong_FromSsize_t(count);
        if (number == NULL) {
            *state = FASTHIO_FAILED;
            *scanned = 0;
        }
        return number;
    }

    /* Tell whether only its owner, who asks, knows an object. */
    static inline int fasthio_only(PyObject *object)
    {
    #ifdef Py_GIL_DISABLED
        (void)object;
        return 0;  /* references of other threads are counted elsewhere */
    #else
        return Py_REFCNT(object) == 1;
    #endif
    }
    """
    object fasthio_ascii(const char *octets, Py_ssize_t size)
    const unsigned char *fasthio_content(
        const unsigned char *at, const unsigned char *end, int *wide) nogil
    Py_ssize_t fasthio_prefix(
        const unsigned char *one, const unsigned char *other, Py_ssize_t size) nogil
    bint fasthio_has(const char *octets, Py_ssize_t size, char octet) nogil
    int fasthio_colon(const unsigned char *at) nogil
    int fasthio_same(const unsigned char *one, const unsigned char *other, Py_ssize_t size) nogil
    void fasthio_put(PyObject *pair, Py_ssize_t index, PyObject *item)
    bint fasthio_only(PyObject *object)
    object fasthio_number(Py_ssize_t count, int *state, Py_ssize_t *scanned)
    int FASTHIO_FAILED
    bint FASTHIO_INSIDE
    int fasthio_resize(object buffer, Py_ssize_t size) except -1
    int fasthio_drop(object buffer, Py_ssize_t count) except -1
    int fasthio_hold(object buffer, Py_buffer *view) except -1
    void fasthio_release(object buffer, Py_buffer *view)

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

_OTHER_GRAMMAR = "fasthio._parser was built for another grammar: reinstall fasthio"  # untraced

if STATES != (  # untraced
    "start-line", "field-line", "fixed", "chunk-size", "chunk-data", "chunk-end",  # untraced
    "trailer", "until-close", "done", "failed",
) or FAILED != FASTHIO_FAILED or FRAMINGS != ("none", "fixed", "chunked", "close"):  # untraced
    raise ImportError(_OTHER_GRAMMAR)

cdef enum:
    CR = 0x0D
    LF = 0x0A
    SP = 0x20
    HTAB = 0x09
    COLON = 0x3A
    # class of octets
    IS_TOKEN = 1
    # a head longer than this, or with more fields, goes line by line; so the template stays small
    QUICK_HEAD = 8192
    QUICK_FIELDS = 128
    SLOTS = 512
    # octets that the name of a common field may have, and of one that is found at once
    KNOWN_ROOM = 48
    KNOWN_QUICK = 32
    # octets of room for a line that are held from one message to the next
    PENDING_ROOM = 16384
    # octets a body may be made longer than what was received, and how many times as long
    GROW_STEP = 4194304
    GROW_TIMES = 16

ctypedef const unsigned char *octets_t

cdef struct Known:
    unsigned char octets[KNOWN_ROOM]
    Py_ssize_t size
    int kind
    PyObject *name

cdef struct Line:
    Py_ssize_t offset
    Py_ssize_t size        # without its CRLF
    Py_ssize_t name_size
    int kind
    bint single            # no other field of the head has this name
    int wide               # the value may have obs-text
    PyObject *name
    PyObject *value

# A field of a head that is otherwise like the template.
cdef struct Change:
    Py_ssize_t line        # its place among the lines of the template
    Py_ssize_t offset      # where it begins
    octets_t value
    octets_t stop
    int wide

# Filled once at import, read only from then on: safe without a lock.
cdef unsigned char CLASSES[256]
cdef signed char HEX[256]
cdef Known NAMES[SLOTS]
cdef list _spellings = []  # untraced
cdef object _version_10 = (1, 0)  # untraced
cdef object _version_11 = (1, 1)  # untraced
cdef object _empty = ""  # untraced


cdef inline unsigned int slot_of(octets_t name, Py_ssize_t size) noexcept nogil:
    cdef unsigned int mix = <unsigned int>size * 31
    mix += (name[0] | 0x20) * 7 + (name[size - 1] | 0x20) * 113 + (name[size >> 1] | 0x20) * 29
    return (mix + (mix >> 7)) & (SLOTS - 1)


cdef int fill_tables() except -1:
    """Fill the tables from the grammar."""
    cdef int octet
    cdef unsigned int slot
    cdef bytes spelled
    cdef unsigned char one
    cdef int wide = 0
    for octet in range(256):
        CLASSES[octet] = IS_TOKEN if octet in TOKEN else 0
        HEX[octet] = -1
        one = octet
        if (fasthio_content(&one, &one + 1, &wide) != &one) != (octet in FIELD_CONTENT):
            raise ImportError(_OTHER_GRAMMAR)
    for octet in range(16):
        HEX[b"0123456789abcdef"[octet]] = octet
        HEX[b"0123456789ABCDEF"[octet]] = octet
    for field in COMMON_FIELDS:
        if len(field) > KNOWN_ROOM:
            raise ImportError(_OTHER_GRAMMAR)
        for text in {field, field.lower()}:
            spelled = text.encode("ascii")
            name = istr(text)
            _spellings.append(name)  # keeps it alive
            slot = slot_of(spelled, len(spelled))
            while NAMES[slot].size:
                slot = (slot + 1) & (SLOTS - 1)
            memcpy(NAMES[slot].octets, <const char *>spelled, len(spelled))
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
    return LENGTH if size == 14 else CODING


cdef object name_of(octets_t name, Py_ssize_t size, int *kind):
    """Give the object of a field name and its kind; `size` > 0, all octets tchar."""
    cdef unsigned int slot = slot_of(name, size)
    while NAMES[slot].size:
        if NAMES[slot].size == size and memcmp(NAMES[slot].octets, name, size) == 0:
            kind[0] = NAMES[slot].kind
            return <object>NAMES[slot].name
        slot = (slot + 1) & (SLOTS - 1)
    kind[0] = kind_of(name, size)
    return istr(fasthio_ascii(<const char *>name, size))


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


cdef dict _copies = {}  # what copier_of found; bounded  # untraced


cdef object copier_of(object mapping):
    """Give the `copy` of a multidict type where what it makes is equal and of that type."""
    if not isinstance(mapping, type) or not issubclass(mapping, CIMultiDict):
        return None
    if mapping in _copies:
        return _copies[mapping]
    copy = None
    if mapping.copy is CIMultiDict.copy:
        one = mapping()
        one.add("name", "value")
        other = one.copy()
        # multidict in Python copies by way of `__init__`, which may make something else
        if type(other) is mapping and list(other.items()) == list(one.items()):
            copy = CIMultiDict.copy
    if len(_copies) <= 64:
        _copies[mapping] = copy
    return copy


cdef bint plain_init(object mapping):
    """Tell whether a mapping type is made by multidict alone, which keeps no pair it is given."""
    return (
        type(mapping) is type(CIMultiDict)
        and mapping.__init__ is CIMultiDict.__init__
        and mapping.__new__ is CIMultiDict.__new__
    )


fill_tables()  # untraced

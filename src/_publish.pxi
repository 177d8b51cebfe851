# What a parser found, put into the slots of a respondent; see fasthio/_pypublish.py.
#
# Included by _parser.pyx. A response is some sixty reads and writes of them, which cost a tenth
# here of what they cost in Python (measured). Nothing of a Publisher changes after it is made.

cdef extern from *:
    """
    #include "structmember.h"
    #if !defined(PYPY_VERSION) && PY_VERSION_HEX >= 0x030A0000 && PY_VERSION_HEX < 0x030D0000
      #define FASTHIO_GETS_METHODS 1  /* these have it among what is for all to use */
    #else
      #define FASTHIO_GETS_METHODS 0
    #endif
    /* Give the slot of all instances of a class that a descriptor stands for; NULL where it
       stands for none, or a class has its own __setattr__ or __getattribute__. */
    static PyMemberDef *fasthio_slot(PyObject *descriptor, PyObject *kind) {
        PyTypeObject *type = (PyTypeObject *)kind;
        PyMemberDef *slot;
        if (Py_TYPE(descriptor) != &PyMemberDescr_Type
                || !PyType_IsSubtype(type, PyDescr_TYPE(descriptor))
                || type->tp_setattro != PyObject_GenericSetAttr
                || type->tp_getattro != PyObject_GenericGetAttr)
            return NULL;
        slot = ((PyMemberDescrObject *)descriptor)->d_member;
        return slot->type == T_OBJECT_EX && !(slot->flags & READONLY) ? slot : NULL;
    }
    /* Tell whether a method of an instance is a function, and nothing stands before it;
       -1 where looking fails. */
    static inline int fasthio_intact(PyObject *owner, PyObject *name, PyObject *function) {
        PyObject *method = NULL;
        int is;
    #if FASTHIO_GETS_METHODS
        /* no object of a bound method is made: half the cost (measured) */
        if (_PyObject_GetMethod(owner, name, &method)) {
            is = method == function;
            Py_DECREF(method);
            return is;
        }
    #else
        method = PyObject_GetAttr(owner, name);
    #endif
        if (method == NULL) {
            if (!PyErr_ExceptionMatches(PyExc_AttributeError))
                return -1;
            PyErr_Clear();
            return 0;
        }
        is = Py_TYPE(method) == &PyMethod_Type && PyMethod_GET_FUNCTION(method) == function
            && PyMethod_GET_SELF(method) == owner;
        Py_DECREF(method);
        return is;
    }
    static inline int fasthio_is(PyObject *it, PyObject *kind) {
        return PyObject_TypeCheck(it, (PyTypeObject *)kind);
    }
    /* PyMember_GetOne and PyMember_SetOne, where there is a GIL without their calls: a
       quarter of their cost (measured). */
    static inline PyObject *fasthio_get(PyObject *owner, PyMemberDef *slot) {
    #ifndef Py_GIL_DISABLED
        PyObject *value = *(PyObject **)((char *)owner + slot->offset);
        if (value != NULL) {
            Py_INCREF(value);
            return value;
        }
    #endif
        return PyMember_GetOne((const char *)owner, slot);
    }
    static inline int fasthio_set(PyObject *owner, PyMemberDef *slot, PyObject *value) {
    #ifdef Py_GIL_DISABLED
        return PyMember_SetOne((char *)owner, slot, value);
    #else
        PyObject **place = (PyObject **)((char *)owner + slot->offset);
        PyObject *before = *place;
        Py_INCREF(value);
        *place = value;
        Py_XDECREF(before);
        return 0;
    #endif
    }
    """
    ctypedef struct PyMemberDef:
        pass
    int fasthio_intact(object owner, object name, object function) except -1
    bint fasthio_is(object it, object kind)
    PyMemberDef *fasthio_slot(object descriptor, object kind)
    object fasthio_get(object owner, PyMemberDef *slot)
    int fasthio_set(object owner, PyMemberDef *slot, object value) except -1

cdef enum:
    HAS_BODIED, HAS_BODY, HAS_CHUNKED, HAS_CLOSED, HAS_CODE, HAS_DATA, HAS_ENCODING, HAS_ENDED
    HAS_ENGINE, HAS_ERROR, HAS_ERRORED, HAS_EVENTED, HAS_FAULT, HAS_HEADED, HAS_HEADERS
    HAS_JSONED, HAS_LENGTH, HAS_METHOD, HAS_MSG, HAS_PARMS, HAS_PERSISTED, HAS_REASON
    HAS_REDIRECTANT, HAS_REUSABLE, HAS_SOURCE, HAS_STARTED, HAS_STATUS, HAS_TRAILS, HAS_VERSION
    HAS_BEGUN, HAS_GIVEN, HAS_OWN, HAS_PARSER
    SLOTTED
    TOLD = 12  # items of a snapshot

#: The names of these, in their order.
_SLOTS = (
    "bodied", "body", "chunked", "closed", "code", "data", "encoding", "ended",  # untraced
    "engine", "error", "errored", "evented", "fault", "headed", "headers",  # untraced
    "jsoned", "length", "method", "msg", "parms", "persisted", "reason",  # untraced
    "redirectant", "reusable", "eventSource", "started", "status", "trails", "version",  # untraced
    "_begun", "_given", "_own", "_parser",  # untraced
)  # fmt: skip
_CONNECTION = istr("Connection")  # untraced
_CONTENT_TYPE = istr("Content-Type")  # untraced
_NONE = []  # untraced
_ALIVE = ["keep-alive"]  # untraced


def intact(owner, tuple methods not None):  # untraced
    cdef tuple each
    for each in methods:
        if not fasthio_intact(owner, each[0], each[1]):
            return False
    return True


@cython.final
cdef class Publisher:
    cdef object _kind
    cdef tuple _owners  # what the slots are of: they go with it, whatever becomes of the class
    cdef tuple _blank
    cdef PyMemberDef **_places  # slots of these
    cdef object _encoding
    cdef object _media_of
    cdef object _redirects
    cdef PyMemberDef *_slots[SLOTTED]  # NULL: no slot, an attribute like others

    def __cinit__(self, kind, blank, media_of, redirects):
        cdef Py_ssize_t index
        if not isinstance(kind, type):
            raise TypeError(f"kind must be a class, not {type(kind).__name__}")
        self._kind = kind
        self._blank = tuple([(name, value, hasattr(value, "copy")) for name, value in blank.items()])
        self._places = <PyMemberDef **>PyMem_Realloc(
            NULL, max(1, len(self._blank)) * sizeof(PyMemberDef *)
        )
        if self._places == NULL:
            raise MemoryError
        self._owners = tuple([getattr(kind, each[0], None) for each in self._blank])
        self._owners += tuple([getattr(kind, name, None) for name in _SLOTS])
        for index in range(len(self._blank)):
            self._places[index] = fasthio_slot(self._owners[index], kind)
        self._encoding = blank["encoding"]
        self._media_of = media_of
        self._redirects = redirects
        for index in range(SLOTTED):
            self._slots[index] = fasthio_slot(self._owners[len(self._blank) + index], kind)

    def __dealloc__(self):
        PyMem_Free(self._places)

    cdef inline int _check(self, respondent) except -1:
        # not isinstance: what only says that it is one, as a mock does, has no such slots
        if not fasthio_is(respondent, self._kind):
            raise TypeError(
                f"respondent must be a {self._kind.__name__}, not {type(respondent).__name__}"
            )
        return 0

    cdef inline object _get(self, respondent, int index):
        if self._slots[index] == NULL:
            return getattr(respondent, _SLOTS[index])
        return fasthio_get(respondent, self._slots[index])

    cdef inline int _set(self, respondent, int index, value) except -1:
        if self._slots[index] == NULL:
            setattr(respondent, _SLOTS[index], value)
            return 0
        return fasthio_set(respondent, self._slots[index], value)

    cdef inline tuple _told(self, snapshot):
        if type(snapshot) is not tuple or len(<tuple>snapshot) != TOLD:
            raise TypeError(f"a snapshot is a tuple of {TOLD}, not {snapshot!r}")
        return <tuple>snapshot

    def fill(self, respondent):
        cdef Py_ssize_t index
        cdef tuple each
        self._check(respondent)
        for index in range(len(self._blank)):
            each = self._blank[index]
            value = each[1].copy() if each[2] else each[1]
            if self._places[index] == NULL:
                setattr(respondent, each[0], value)
            else:
                fasthio_set(respondent, self._places[index], value)

    def expect(self, respondent, method):
        self._check(respondent)
        self._set(respondent, HAS_METHOD, method)
        self._set(respondent, HAS_DATA, None)
        self._set(respondent, HAS_STATUS, None)
        self._set(respondent, HAS_CODE, None)
        self._set(respondent, HAS_REASON, None)
        self._set(respondent, HAS_EVENTED, None)
        self._begin(respondent)
        self._start(self._get(respondent, HAS_ENGINE), method)

    def begin(self, respondent):
        self._check(respondent)
        self._begin(respondent)

    cdef int _begin(self, respondent) except -1:
        self._set(respondent, HAS_BEGUN, True)
        self._set(respondent, HAS_GIVEN, False)
        self._set(respondent, HAS_HEADED, False)
        self._set(respondent, HAS_BODIED, False)
        self._set(respondent, HAS_ENDED, False)
        self._set(respondent, HAS_STARTED, False)
        self._set(respondent, HAS_ERRORED, False)
        self._set(respondent, HAS_REUSABLE, False)
        self._set(respondent, HAS_ERROR, None)
        self._set(respondent, HAS_FAULT, None)
        self._set(respondent, HAS_VERSION, None)
        self._set(respondent, HAS_HEADERS, None)
        self._set(respondent, HAS_PARMS, None)
        self._set(respondent, HAS_TRAILS, None)
        self._set(respondent, HAS_JSONED, None)
        self._set(respondent, HAS_SOURCE, None)
        self._set(respondent, HAS_ENCODING, self._encoding)
        return 0

    cdef int _start(self, engine, method) except -1:
        if type(engine) is ResponseParser and type(method) is str:
            with cython.critical_section(engine):
                (<ResponseParser>engine)._start(method)
        else:
            engine.start(method)
        return 0

    def advance(self, respondent):
        cdef bint closed
        self._check(respondent)
        engine = self._get(respondent, HAS_ENGINE)
        msg = self._get(respondent, HAS_MSG)
        if not self._get(respondent, HAS_BEGUN):
            self._begin(respondent)
            self._start(engine, self._get(respondent, HAS_METHOD))
        closed = self._get(respondent, HAS_CLOSED)
        if msg:
            self._set(respondent, HAS_STARTED, True)
        elif not (
            closed
            or engine.done
            or (self._get(respondent, HAS_EVENTED) and self._get(respondent, HAS_BODY))
        ):
            return  # without `msg`: all or some was received in place
        try:
            engine.take(msg, closed)
        except ParseError:
            respondent._salvage()
            raise
        cdef tuple snapshot = self._told(engine.snapshot())
        self._set(respondent, HAS_BODY, snapshot[9])
        if snapshot[0] and not self._get(respondent, HAS_HEADED):
            self._head(respondent, snapshot)
            self._persist(respondent, snapshot)
        if self._get(respondent, HAS_EVENTED):
            respondent._parse_events()
        if snapshot[1]:
            self._finish(respondent, snapshot)
            self._set(respondent, HAS_ENDED, True)
            self._set(respondent, HAS_STARTED, False)
            self._set(respondent, HAS_PARSER, None)
            self._set(respondent, HAS_OWN, None)

    cdef int _persist(self, respondent, tuple snapshot) except -1:
        """Set `persisted` where it is as in most responses, else let the respondent do it."""
        if snapshot[3] == _version_11:
            values = snapshot[6].getall(_CONNECTION, _NONE)
            if not values or values == _ALIVE:
                persisted = snapshot[7] == "chunked" or snapshot[8] is not None
                return self._set(respondent, HAS_PERSISTED, persisted)
        respondent.checkPersisted()
        return 0

    def head(self, respondent, snapshot):
        self._check(respondent)
        self._head(respondent, self._told(snapshot))

    cdef int _head(self, respondent, tuple snapshot) except -1:
        headers = snapshot[6]
        status = snapshot[4]
        self._set(respondent, HAS_GIVEN, True)
        self._set(respondent, HAS_HEADED, True)
        self._set(respondent, HAS_VERSION, snapshot[3])
        self._set(respondent, HAS_STATUS, status)
        self._set(respondent, HAS_CODE, status)
        self._set(respondent, HAS_REASON, snapshot[5])
        self._set(respondent, HAS_HEADERS, headers)
        if snapshot[7] == "chunked":
            self._set(respondent, HAS_CHUNKED, True)
            self._set(respondent, HAS_LENGTH, None)
            self._set(respondent, HAS_PARMS, self._get(respondent, HAS_ENGINE).extensions)
        else:
            self._set(respondent, HAS_CHUNKED, False)
            self._set(respondent, HAS_LENGTH, snapshot[8])
        content_type = headers.get(_CONTENT_TYPE)
        if content_type:
            jsoned, evented, encoding = self._media_of(content_type)
            self._set(respondent, HAS_JSONED, jsoned)
            self._set(respondent, HAS_EVENTED, evented)
            self._set(respondent, HAS_ENCODING, encoding)
            if evented:
                respondent._begin_events()
        if status in self._redirects:
            self._set(respondent, HAS_REDIRECTANT, True)
        elif self._get(respondent, HAS_REDIRECTANT):
            self._set(respondent, HAS_REDIRECTANT, False)
        return 0

    def finish(self, respondent, snapshot):
        self._check(respondent)
        self._finish(respondent, self._told(snapshot))

    cdef int _finish(self, respondent, tuple snapshot) except -1:
        if self._get(respondent, HAS_EVENTED):
            self._set(respondent, HAS_LENGTH, len(self._get(respondent, HAS_BODY)))
        else:
            self._set(respondent, HAS_LENGTH, snapshot[8])
        self._set(respondent, HAS_TRAILS, snapshot[10])
        self._set(respondent, HAS_BODIED, True)
        self._set(respondent, HAS_GIVEN, False)
        reusable = (
            bool(self._get(respondent, HAS_PERSISTED))
            and not self._get(respondent, HAS_CLOSED)
            and not snapshot[11]  # conflicting framing fields (RFC 9112 6.3)
            and snapshot[7] != "close"
            and snapshot[4] != 101
        )
        return self._set(respondent, HAS_REUSABLE, reusable)

    def response(self, respondent, request):
        self._check(respondent)
        return {
            "version": self._get(respondent, HAS_VERSION),
            "status": self._get(respondent, HAS_STATUS),
            "reason": self._get(respondent, HAS_REASON),
            "headers": self._get(respondent, HAS_HEADERS),
            "body": self._get(respondent, HAS_BODY),
            "data": self._get(respondent, HAS_DATA),
            "request": request,
            "errored": self._get(respondent, HAS_ERRORED),
            "error": self._get(respondent, HAS_ERROR),
        }

# Receive and send without an exception for "not now"; see fasthio/_pynet.py.
#
# Included by _parser.pyx. The GIL is released around the system calls that may take
# long; the buffer is not touched meanwhile. Octets go through the stack until it is
# known how many there are, so that a call which finds nothing allocates nothing.

cdef extern from *:
    """
    #include <errno.h>
    #ifdef _WIN32
      #include <winsock2.h>
      #define fasthio_socket SOCKET
      static int fasthio_errno(void) {
          int code = WSAGetLastError();
          switch (code) {
              case WSAEWOULDBLOCK: return EAGAIN;
              case WSAECONNRESET: return ECONNRESET;
              case WSAEINTR: return EINTR;
              default: return code ? code : EIO;
          }
      }
      #define FASTHIO_NOSIGNAL 0
    #else
      #include <sys/types.h>
      #include <sys/socket.h>
      #define fasthio_socket int
      static int fasthio_errno(void) { return errno ? errno : EIO; }
      #ifdef MSG_NOSIGNAL
        #define FASTHIO_NOSIGNAL MSG_NOSIGNAL
      #else
        #define FASTHIO_NOSIGNAL 0
      #endif
    #endif
    static Py_ssize_t fasthio_recv(int fd, char *where, Py_ssize_t size, int flags) {
        Py_ssize_t count;
        do {
            count = (Py_ssize_t)recv((fasthio_socket)fd, where, (size_t)size, flags);
        } while (count < 0 && fasthio_errno() == EINTR);
        return count < 0 ? -(Py_ssize_t)fasthio_errno() : count;
    }
    static Py_ssize_t fasthio_send(int fd, const char *what, Py_ssize_t size) {
        Py_ssize_t count;
        do {
            count = (Py_ssize_t)send((fasthio_socket)fd, what, (size_t)size, FASTHIO_NOSIGNAL);
        } while (count < 0 && fasthio_errno() == EINTR);
        return count < 0 ? -(Py_ssize_t)fasthio_errno() : count;
    }
    #ifdef MSG_DONTWAIT
      #define FASTHIO_NOW MSG_DONTWAIT
    #else
      #define FASTHIO_NOW 0
    #endif
    #define FASTHIO_PEEK (MSG_PEEK | FASTHIO_NOW)
    #ifdef __linux__
      #include <sys/mman.h>
    #endif
    /* Ask for huge pages for a large block of malloc: of its whole mapping, as one that
       is split by what is asked for its parts cannot be moved without being copied. */
    static void fasthio_huge(PyObject *buffer) {
    #if defined(__linux__) && defined(MADV_HUGEPAGE) && FASTHIO_INSIDE
        const size_t page = 4096, head = 2 * sizeof(size_t);
        const size_t where = (size_t)((PyByteArrayObject *)buffer)->ob_bytes;
        const size_t size = (size_t)((PyByteArrayObject *)buffer)->ob_alloc;
        const size_t first = (where - head) & ~(page - 1);
        const size_t last = (where + size + head + page - 1) & ~(page - 1);
        (void)madvise((void *)first, last - first, MADV_HUGEPAGE);
    #else
        (void)buffer;
    #endif
    }
    /* Give how long a bytearray may become before it is moved. */
    static inline Py_ssize_t fasthio_room(PyObject *buffer) {
    #if FASTHIO_INSIDE
        PyByteArrayObject *self = (PyByteArrayObject *)buffer;
        return self->ob_alloc - (self->ob_start - self->ob_bytes) - 1;
    #else
        return PyByteArray_GET_SIZE(buffer);
    #endif
    }
    /* Fail where somebody has a view of a bytearray, so that it cannot grow. Whoever asks
       holds it by a critical section; without memory it could not be made short again. */
    static inline int fasthio_growable(PyObject *buffer) {
        const Py_ssize_t size = PyByteArray_GET_SIZE(buffer);
    #ifndef PYPY_VERSION
        if (((PyByteArrayObject *)buffer)->ob_exports == 0)
            return 0;
    #endif
        if (PyByteArray_Resize(buffer, size + 1) < 0)
            return -1;
        return PyByteArray_Resize(buffer, size);
    }
    """
    int fasthio_growable(bytearray buffer) except -1
    Py_ssize_t fasthio_room(bytearray buffer)
    void fasthio_huge(bytearray buffer)
    Py_ssize_t fasthio_recv(int fd, char *where, Py_ssize_t size, int flags) nogil
    Py_ssize_t fasthio_send(int fd, const char *what, Py_ssize_t size) nogil
    int FASTHIO_PEEK
    int FASTHIO_NOW

from cpython.bytearray cimport (
    PyByteArray_AS_STRING as _net_octets,
    PyByteArray_GET_SIZE as _net_size,
)
from cpython.long cimport PyLong_AsLongLongAndOverflow
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.limits cimport LLONG_MAX, LLONG_MIN
from libc.string cimport memcpy as _net_copy

cdef enum:
    _NET_STACK = 16384
    _NET_MOST = 2147483647
    _NET_STEP = 4194304  # octets a large buffer is made longer by ahead of time, at least


cdef Py_ssize_t _receive_large(
    int fd, bytearray buffer, Py_ssize_t size, Py_ssize_t ahead
) except? -2:
    """Receive straight into place at the end of a buffer that will get `ahead` more octets."""
    cdef Py_ssize_t before = _net_size(buffer), count, room
    cdef Py_buffer held
    # what the peer has announced costs memory only as it comes, and the buffer is moved
    # a few times in all: room for as much again as there is, for a step at least
    room = before if before > _NET_STEP else _NET_STEP
    room = ahead if room > ahead else room
    if fasthio_room(buffer) < before + size:
        PyByteArray_Resize(buffer, before + (room if room > size else size))
        fasthio_huge(buffer)
    fasthio_resize(buffer, before + size)
    # held, nobody can resize the buffer while the kernel writes into it
    PyObject_GetBuffer(buffer, &held, PyBUF_SIMPLE)
    with nogil:
        count = fasthio_recv(fd, <char *>held.buf + before, size, 0)
    PyBuffer_Release(&held)
    fasthio_resize(buffer, before + (count if count > 0 else 0))
    return count


cdef inline long long _net_number(object number) except? -2:
    """Give an integer; one that is beyond 64 bits as the largest or smallest there is."""
    cdef int beyond = 0
    cdef long long value = PyLong_AsLongLongAndOverflow(number, &beyond)
    if beyond:
        value = LLONG_MAX if beyond > 0 else LLONG_MIN
    return value


cdef int _net_fd(object fd) except? -2:
    """Give a file descriptor; what no int of C holds is none."""
    cdef long long number = _net_number(PyNumber_Index(fd))
    if not -_NET_MOST - 1 <= number <= _NET_MOST:
        raise OverflowError(f"fd is no file descriptor: {fd}")
    return <int>number


def receive(fd, buffer, size, ahead=0):  # untraced
    cdef int socket = _net_fd(fd)
    cdef long long most, coming
    size = PyNumber_Index(size)
    most = _net_number(size)
    coming = _net_number(PyNumber_Index(ahead))
    if not isinstance(buffer, bytearray):
        raise TypeError(f"buffer must be a bytearray, not {type(buffer).__name__}")
    if most <= 0:
        raise ValueError(f"size must be positive: {size}")
    with cython.critical_section(buffer):  # nobody may move it while octets are put into it
        if most > _NET_MOST or _net_size(<bytearray>buffer) > PY_SSIZE_T_MAX - most - 1:
            raise ValueError(f"size must be at most {_NET_MOST}: {size}")
        return _receive(
            socket, <bytearray>buffer, <Py_ssize_t>most, <Py_ssize_t>min(coming, PY_SSIZE_T_MAX)
        )


cdef Py_ssize_t _receive(
    int fd, bytearray buffer, Py_ssize_t size, Py_ssize_t ahead
) except? -2:
    """Receive by way of the stack, and straight into place what is more than it takes."""
    cdef char stack[_NET_STACK]
    cdef Py_ssize_t before, count, more
    cdef Py_ssize_t first = size if size < _NET_STACK else _NET_STACK
    cdef char *where
    cdef Py_buffer held
    fasthio_growable(buffer)  # before octets are taken that would be lost
    if FASTHIO_INSIDE and ahead >= _NET_STEP and size > _NET_STACK:
        return _receive_large(fd, buffer, size, ahead)
    # a nonblocking socket gives so few octets sooner than the GIL would be back
    count = fasthio_recv(fd, stack, first, FASTHIO_NOW)
    if count <= 0:
        return count
    before = _net_size(buffer)
    if count < first or size == first:
        fasthio_resize(buffer, before + count)
        _net_copy(_net_octets(buffer) + before, stack, count)
        return count
    # the stack was filled, so there may be more: the rest straight into place
    fasthio_resize(buffer, before + size)
    where = _net_octets(buffer) + before
    _net_copy(where, stack, count)
    # held, nobody can resize the buffer while the kernel writes into it
    PyObject_GetBuffer(buffer, &held, PyBUF_SIMPLE)
    with nogil:
        more = fasthio_recv(fd, where + count, size - count, 0)
    PyBuffer_Release(&held)
    if more > 0:
        count += more
    fasthio_resize(buffer, before + count)
    return count


def send(fd, buffer):  # untraced
    # held, the buffer is not moved; what another thread writes into it may be sent half changed
    cdef Py_buffer view
    cdef Py_ssize_t count
    cdef int socket = _net_fd(fd)
    PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE)
    if view.len == 0:
        count = 0
    else:
        with nogil:
            count = fasthio_send(socket, <const char *>view.buf, view.len)
    PyBuffer_Release(&view)
    return count


def peek(int fd):  # untraced
    """Tell, without taking anything, what `receive` would: 1, 0 at the end, or minus the errno."""
    cdef char octet
    return fasthio_recv(fd, &octet, 1, FASTHIO_PEEK)

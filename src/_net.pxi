# Receive and send without an exception for "not now"; see fasthio/_pynet.py.
#
# Included by _parser.pyx. The GIL is released around the system calls only; the
# buffer is not touched meanwhile, octets go through the stack until it is known
# how many there are, so that a call which finds nothing allocates nothing.

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
    #define FASTHIO_PEEK MSG_PEEK
    """
    Py_ssize_t fasthio_recv(int fd, char *where, Py_ssize_t size, int flags) nogil
    Py_ssize_t fasthio_send(int fd, const char *what, Py_ssize_t size) nogil
    int FASTHIO_PEEK

from cpython.bytearray cimport (
    PyByteArray_AS_STRING as _net_octets,
    PyByteArray_GET_SIZE as _net_size,
)
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.string cimport memcpy as _net_copy

cdef enum:
    _NET_STACK = 16384


def receive(int fd, bytearray buffer not None, Py_ssize_t size):
    cdef char stack[_NET_STACK]
    cdef Py_ssize_t before, count, more
    cdef Py_ssize_t first = size if size < _NET_STACK else _NET_STACK
    cdef char *where
    cdef Py_buffer held
    if first <= 0:
        raise ValueError(f"size must be positive: {size}")
    with nogil:
        count = fasthio_recv(fd, stack, first, 0)
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


def send(int fd, buffer not None):
    cdef Py_buffer view
    cdef Py_ssize_t count
    PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE)
    if view.len == 0:
        count = 0
    else:
        with nogil:
            count = fasthio_send(fd, <const char *>view.buf, view.len)
    PyBuffer_Release(&view)
    return count


def peek(int fd):
    """Tell, without taking anything, what `receive` would: 1, 0 at the end, or minus the errno."""
    cdef char octet
    cdef Py_ssize_t count
    with nogil:
        count = fasthio_recv(fd, &octet, 1, FASTHIO_PEEK)
    return count

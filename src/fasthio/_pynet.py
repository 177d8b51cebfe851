"""Receive and send without an exception for "not now": the Python engine's part.

The same functions as in `src/_net.pxi`. An exception costs ten times what the
system call costs, and most calls of an idle client find nothing.
"""

from __future__ import annotations

import os
from contextlib import suppress
from operator import index
from typing import Final

__all__ = ["check_growable", "peek", "receive", "send"]

#: This engine has no cheap way to look without taking; callers read instead.
peek: Final = None
#: Most octets of one call.
_MOST: Final = 2**31 - 1
# bytearrays: of anything else a slice that is assigned to makes one each time (measured)
_OCTET: Final = bytearray(1)
_NOTHING: Final = bytearray()


def _descriptor(fd: int) -> int:
    """Give a file descriptor; what no int of C holds is none."""
    number = index(fd)
    if not -_MOST - 1 <= number <= _MOST:
        raise OverflowError(f"fd is no file descriptor: {fd}")
    return number


def check_growable(buffer: bytearray) -> None:
    """See whether a buffer may grow.

    Args:
        buffer: left as it is.
    Raises:
        BufferError: somebody has a view of it.
    """
    held = len(buffer)
    try:  # in one statement: no call may come between
        buffer[held:], buffer[held:] = _OCTET, _NOTHING
    except BaseException:
        if len(buffer) > held:
            buffer.pop()  # there was no memory between the two
        raise


def receive(fd: int, buffer: bytearray, size: int, ahead: int = 0) -> int:
    """Append what a nonblocking socket has received, `size` octets at most.

    Args:
        fd: file descriptor of the socket.
        buffer: where the octets are appended.
        size: most octets to take in this call.
        ahead: octets that are to come into the buffer, this call's among them, where
            they are many: the C engine makes room ahead for them, step by step.
    Returns:
        Octets appended, 0 once the peer has closed its side, or minus the errno.
    Raises:
        TypeError: `buffer` is no bytearray; nothing was received then.
        BufferError: somebody has a view of it; nothing was received.
        ValueError: `size` is not positive: 0 octets would look like the end. Or it is
            beyond 2**31 - 1.
    """
    fd = _descriptor(fd)
    size = index(size)
    index(ahead)
    if not isinstance(buffer, bytearray):
        raise TypeError(f"buffer must be a bytearray, not {type(buffer).__name__}")
    if size <= 0:
        raise ValueError(f"size must be positive: {size}")
    if size > _MOST:
        raise ValueError(f"size must be at most {_MOST}: {size}")
    check_growable(buffer)  # before octets are taken that would be lost
    try:
        octets = os.read(fd, size)
    except OSError as error:
        return -(error.errno or 1)
    buffer += octets
    return len(octets)


def send(fd: int, buffer: bytearray | bytes | memoryview) -> int:
    """Send from the front of a buffer on a nonblocking socket.

    Args:
        fd: file descriptor of the socket.
        buffer: octets to send; not changed.
    Returns:
        Octets sent, or minus the errno.
    """
    fd = _descriptor(fd)
    if isinstance(buffer, (bytes, bytearray)):
        # no view of our own: one that an interrupt leaves would keep the buffer from being emptied
        if not buffer:
            return 0
    else:
        with suppress(TypeError), memoryview(buffer) as view:  # what is no buffer is told below
            if view.c_contiguous and not view.nbytes:
                return 0
    try:
        return os.write(fd, buffer)
    except OSError as error:
        return -(error.errno or 1)

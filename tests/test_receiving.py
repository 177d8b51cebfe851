"""Receive, send and look: what the engines do on a socket, without an exception for "not now"."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from array import array
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


def test_receive(engine: ModuleType, pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    buffer = bytearray(b"old")
    assert engine.receive(ours.fileno(), buffer, 10) == -errno.EAGAIN
    assert buffer == b"old"
    theirs.send(b"0123456789abc")
    assert engine.receive(ours.fileno(), buffer, 10) == 10
    assert engine.receive(ours.fileno(), buffer, 10) == 3
    assert buffer == b"old0123456789abc"
    theirs.close()
    assert engine.receive(ours.fileno(), buffer, 10) == 0
    assert engine.receive(999_999, buffer, 10) == -errno.EBADF
    assert buffer == b"old0123456789abc"


@pytest.mark.parametrize("size", [16383, 16384, 16385, 100_000])
def test_receive_much(
    engine: ModuleType, pair: tuple[socket.socket, socket.socket], size: int
) -> None:
    ours, theirs = pair
    data = os.urandom(60_000)
    buffer = bytearray()
    theirs.sendall(data)
    while len(buffer) < len(data):
        before = len(buffer)
        count = engine.receive(ours.fileno(), buffer, size)
        assert 0 < count <= size
        assert len(buffer) == before + count
    assert buffer == data


@pytest.mark.parametrize("size", [0, -1])
def test_receive_nothing(
    engine: ModuleType, pair: tuple[socket.socket, socket.socket], size: int
) -> None:
    """To receive no octets is a wrong call: the answer would look like the end."""
    ours, theirs = pair
    theirs.send(b"abc")
    buffer = bytearray()
    with pytest.raises(ValueError, match="size must be positive"):
        engine.receive(ours.fileno(), buffer, size)
    assert engine.receive(ours.fileno(), buffer, 10) == 3


def test_receive_what_no_buffer_can_hold(
    engine: ModuleType, pair: tuple[socket.socket, socket.socket]
) -> None:
    """A size beyond all bounds, or a buffer that cannot grow: refused, no octet is lost."""
    ours, theirs = pair
    theirs.send(b"a" * 20_000)
    buffer = bytearray(b"x" * 100)
    for size in (2**31, sys.maxsize - 10, sys.maxsize):
        with pytest.raises(ValueError, match="size must be at most 2147483647"):
            engine.receive(ours.fileno(), buffer, size)
    with memoryview(buffer), pytest.raises(BufferError):
        engine.receive(ours.fileno(), buffer, 30_000)
    assert buffer == b"x" * 100
    while len(buffer) < 20_100:
        assert engine.receive(ours.fileno(), buffer, 30_000) > 0
    assert buffer == b"x" * 100 + b"a" * 20_000


def test_receive_into_a_bytearray_alone(
    engine: ModuleType, pair: tuple[socket.socket, socket.socket]
) -> None:
    """Anything else is refused before an octet is taken; a subclass is as good."""

    class Own(bytearray):
        pass

    ours, theirs = pair
    theirs.send(b"abc")
    for wrong in ([], None, b"", memoryview(bytearray(3))):
        told = f"^buffer must be a bytearray, not {type(wrong).__name__}$"
        with pytest.raises(TypeError, match=told):
            engine.receive(ours.fileno(), wrong, 10)
    buffer = Own(b"x")
    assert engine.receive(ours.fileno(), buffer, 10) == 3
    assert buffer == b"xabc"
    assert engine.send(ours.fileno(), buffer) == 4
    for wrong in ([], None):
        told = f"^a bytes-like object is required, not '{type(wrong).__name__}'$"
        with pytest.raises(TypeError, match=told):
            engine.send(ours.fileno(), wrong)


def test_receive_into_what_is_held(
    engine: ModuleType, pair: tuple[socket.socket, socket.socket]
) -> None:
    """A buffer with a view on it cannot grow: that is the program's error, octets stay whole."""
    ours, theirs = pair
    buffer = bytearray(b"x")
    theirs.send(b"abc")
    with memoryview(buffer), pytest.raises(BufferError):
        engine.receive(ours.fileno(), buffer, 10)
    assert buffer == b"x"


@pytest.mark.parametrize("begun", [0, 10, 5_000_000])
def test_receive_what_is_announced(
    engine: ModuleType, pair: tuple[socket.socket, socket.socket], begun: int
) -> None:
    """Room is made ahead of time; what is in the buffer is what came, whatever was announced."""
    ours, theirs = pair
    fd = ours.fileno()
    head = os.urandom(begun)
    data = os.urandom(9_000_000)
    buffer = bytearray(b"gone" + head)
    del buffer[:4]  # such a buffer does not begin where its memory does
    sent = taken = 0
    ours.setblocking(False)
    theirs.setblocking(False)
    for _ in range(200_000):
        if taken == len(data):
            break
        if sent < len(data):
            with contextlib.suppress(BlockingIOError):
                sent += theirs.send(data[sent : sent + 100_000])
        count = engine.receive(fd, buffer, 1_048_576, 20_000_000 - taken)
        assert count == -errno.EAGAIN or 0 < count <= 1_048_576
        taken += max(count, 0)
        assert len(buffer) == begun + taken
    assert buffer == head + data
    assert engine.receive(fd, buffer, 1_048_576, 20_000_000) == -errno.EAGAIN
    theirs.sendall(b"abc")
    with memoryview(buffer), pytest.raises(BufferError):
        engine.receive(fd, buffer, 1_048_576, 20_000_000)
    assert buffer == head + data
    theirs.close()
    while engine.receive(fd, buffer, 1_048_576, 20_000_000) > 0:
        pass
    del buffer[begun + len(data) :]
    buffer += b"more"
    del buffer[:begun]
    assert buffer == data + b"more"


@pytest.mark.parametrize(
    ("descriptor", "size", "ahead", "error", "text"),
    [
        (1.0, 1, 0, TypeError, "'float' object cannot be interpreted as an integer"),
        (None, 1, 0, TypeError, "'NoneType' object cannot be interpreted as an integer"),
        (2**31, 1, 0, OverflowError, "fd is no file descriptor: 2147483648"),
        (-(2**70), 1, 0, OverflowError, f"fd is no file descriptor: {-(2**70)}"),
        (0, 1.5, 0, TypeError, "'float' object cannot be interpreted as an integer"),
        (0, 2**70, 0, ValueError, f"size must be at most 2147483647: {2**70}"),
        (0, -(2**70), 0, ValueError, f"size must be positive: {-(2**70)}"),
        (0, 1, 1.5, TypeError, "'float' object cannot be interpreted as an integer"),
    ],
)
def test_receive_called_wrongly(
    engine: ModuleType, descriptor: Any, size: Any, ahead: Any, error: type[Exception], text: str
) -> None:
    buffer = bytearray(b"old")
    with pytest.raises(error) as caught:
        engine.receive(descriptor, buffer, size, ahead)
    assert (type(caught.value), str(caught.value), buffer) == (error, text, b"old")
    if descriptor != 0:
        with pytest.raises(error) as caught:
            engine.send(descriptor, b"x")
        assert (type(caught.value), str(caught.value)) == (error, text)


def test_receive_with_much_ahead(
    engine: ModuleType, pair: tuple[socket.socket, socket.socket]
) -> None:
    """What is to come may be more than any buffer holds: it is a word alone."""
    ours, theirs = pair
    theirs.send(b"abc")
    buffer = bytearray()
    assert engine.receive(ours.fileno(), buffer, 10, 2**70) == 3
    assert buffer == b"abc"
    assert engine.receive(ours.fileno(), buffer, 10, -(2**70)) == -errno.EAGAIN


def test_send_what_is_no_octets(engine: ModuleType) -> None:
    """Nothing to send is nothing sent; what is no buffer is a wrong call."""
    for empty in (b"", bytearray(), memoryview(b""), array("I"), memoryview(b"")[::2]):
        if memoryview(empty).c_contiguous:
            assert engine.send(-1, empty) == 0
        else:
            with pytest.raises(BufferError):
                engine.send(-1, empty)
    assert engine.send(-1, b"x") == -errno.EBADF
    for wrong, error, text in (
        ("text", TypeError, "a bytes-like object is required, not 'str'"),
        (None, TypeError, "a bytes-like object is required, not 'NoneType'"),
        (
            memoryview(b"abcd")[::2],
            BufferError,
            "memoryview: underlying buffer is not C-contiguous",
        ),
    ):
        with pytest.raises(error) as caught:
            engine.send(-1, wrong)
        assert str(caught.value) == text


def test_send(engine: ModuleType, pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    assert engine.send(ours.fileno(), bytearray(b"abc")) == 3
    assert engine.send(ours.fileno(), b"def") == 3
    assert engine.send(ours.fileno(), b"") == 0
    assert theirs.recv(10) == b"abcdef"
    for _ in range(1000):
        count = engine.send(ours.fileno(), bytearray(100_000))
        if count < 100_000:
            break
    assert count == -errno.EAGAIN or 0 < count < 100_000
    theirs.close()
    assert engine.send(ours.fileno(), b"x") in (-errno.EPIPE, -errno.ECONNRESET)
    assert engine.send(999_999, b"x") == -errno.EBADF


def test_peek(engine: ModuleType, pair: tuple[socket.socket, socket.socket]) -> None:
    if engine.peek is None:
        assert engine.NAME == "py"  # this engine reads instead
        return
    ours, theirs = pair
    assert engine.peek(ours.fileno()) == -errno.EAGAIN
    theirs.send(b"abc")
    assert engine.peek(ours.fileno()) == 1
    assert ours.recv(10) == b"abc"
    theirs.close()
    assert engine.peek(ours.fileno()) == 0

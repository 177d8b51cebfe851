"""Parse every case from memory that ends where a page begins that nobody may read.

Run by test_parser_memory.py in a process of its own: one octet read too far is a
segmentation fault there. A bytearray cannot be told where to keep its octets, so its
pointers are set by hand, and set back before it is freed. CPython alone, 3.10 to 3.14.
"""

from __future__ import annotations

import ctypes
import importlib
import mmap
import sys
import sysconfig
from typing import Any

from cases import CASES, Run, fault_of, run, snapshot
from fasthio.errors import ParseError

PAGE = mmap.PAGESIZE
PAGES = 40  # room for the longest case


#: Words before the type of an object: its references, and on free-threaded CPython its thread, too.
COUNTS = 3 if sysconfig.get_config_var("Py_GIL_DISABLED") else 1


class ByteArray(ctypes.Structure):
    """The head of a bytearray object, as CPython's cpython/bytearrayobject.h has it."""

    _fields_ = (
        ("counts", ctypes.c_ssize_t * COUNTS),
        ("type", ctypes.c_void_p),
        ("size", ctypes.c_ssize_t),
        ("alloc", ctypes.c_ssize_t),
        ("bytes", ctypes.c_void_p),
        ("start", ctypes.c_void_p),
        ("exports", ctypes.c_ssize_t),
    )


class Guarded:
    """A bytearray whose last octet is the last before a page without access."""

    def __init__(self) -> None:
        self.map = mmap.mmap(-1, (PAGES + 1) * PAGE)
        where = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        self.end = where + PAGES * PAGE
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        if protect(self.end, PAGE, 0):
            raise OSError(ctypes.get_errno(), "mprotect")
        self.octets = bytearray(b"placeholder")
        self.head = ByteArray.from_address(id(self.octets))
        # a layout that is not the one above must not be written to
        if self.head.size != 11 or ctypes.string_at(self.head.start, 11) != b"placeholder":
            raise RuntimeError("bytearray has another layout")
        self.own = (self.head.size, self.head.alloc, self.head.bytes, self.head.start)

    def put(self, octets: bytes) -> bytearray:
        """Give the bytearray with these octets, the last one at the guard page."""
        start = self.end - len(octets)
        ctypes.memmove(start, octets, len(octets))
        head = self.head
        # not freed meanwhile, not resized: nothing else of it matters
        head.size, head.alloc, head.bytes, head.start = len(octets), len(octets), start, start
        return self.octets

    def restore(self) -> None:
        """Let the bytearray be an ordinary one again."""
        head = self.head
        head.size, head.alloc, head.bytes, head.start = self.own


def guarded_run(parser: Any, guarded: Guarded, pieces: list[bytes], method: str, eof: bool) -> Run:
    """Parse pieces as cases.run does, out of guarded memory."""
    parser.start(method)
    rest, at = b"", 0
    try:
        while at < len(pieces) and not parser.done:
            rest += pieces[at]
            at += 1
            before = parser.consumed
            try:
                parser.parse(guarded.put(rest))
            finally:
                rest = rest[parser.consumed - before :]
        if eof:
            before = parser.consumed
            parser.parse(guarded.put(rest), True)
            rest = rest[parser.consumed - before :]
    except ParseError as error:
        if fault_of(error) != fault_of(parser.error):
            raise AssertionError("another error than it keeps") from error
    return Run(snapshot(parser), rest + b"".join(pieces[at:]))


def main() -> None:
    """Run every case on the C engine: whole, octet by octet, and split in two.

    Not on the Python engine: CPython's own searches look at the NUL behind the octets.
    """
    engine = importlib.import_module("fasthio._parser")
    guarded = Guarded()
    count = 0
    try:
        for case in CASES:
            octets = case.octets
            parser = engine.ResponseParser(limits=case.bounds)
            want = run(parser, [octets], case.method, case.eof)
            ways = [[octets]]
            if len(octets) < 2000:
                ways.append([octets[at : at + 1] for at in range(len(octets))])
                ways += [[octets[:at], octets[at:]] for at in range(len(octets))]
            for pieces in ways:
                got = guarded_run(parser, guarded, pieces, case.method, case.eof)
                if got != want:
                    raise AssertionError(f"{case.name}: {got} is not {want}")
                count += 1
    finally:
        guarded.restore()
    print(f"{count} runs at the guard page", flush=True)
    if "--overrun" in sys.argv:  # the guard page is there: the proof
        ctypes.string_at(guarded.end, 1)


if __name__ == "__main__":
    main()

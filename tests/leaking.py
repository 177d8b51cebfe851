"""Parse a hundred thousand messages and tell whether memory grew.

Run by test_parser_memory.py in a process of its own. All cases of the corpus are
parsed again and again, right ones and wrong ones, whole and in two pieces, on one
parser and on parsers that are thrown away.
"""

from __future__ import annotations

import gc
import importlib
import resource
import sys

from cases import CASES
from fasthio.errors import ParseError


def main(name: str, messages: int) -> None:
    """Warm up, parse, and show by how many blocks and KiB each third made memory grow at least."""
    engine = importlib.import_module(name)
    cases = [case for case in CASES if len(case.octets) < 1000 and not case.limits]
    parser = engine.ResponseParser()

    def round_(count: int) -> None:
        nonlocal parser
        for index in range(count):
            case = cases[index % len(cases)]
            if index % 16 == 0:
                parser = engine.ResponseParser()
            parser.start(case.method)
            rx = bytearray(case.octets)
            half = len(rx) // 2 if index % 3 == 0 else len(rx)
            try:
                taken = parser.parse(rx[:half])
                parser.parse(rx[taken:], case.eof)
            except ParseError:
                try:
                    parser.parse(rx)
                except ParseError:
                    pass
        # a parser that was left half way holds what came so far: begin at the same place
        parser = engine.ResponseParser()
        gc.collect()

    # in thirds, of which what leaks shows in each: free-threaded CPython frees late, and needs more
    # memory for a while without losing any
    part = messages // 3
    round_(max(3 * len(cases), part))
    grown: list[int] = []
    raised: list[int] = []
    for _ in range(3):
        before, peak = sys.getallocatedblocks(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        round_(part)
        grown.append(sys.getallocatedblocks() - before)
        # what is larger than a block of Python's allocator shows in the peak alone
        raised.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak)
    print(min(grown), min(raised))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

"""Count the instructions of the C engine on responses of doubling size (needs valgrind).

    python tools/linear.py [--size N]

Each thing that can grow in a response (tests/growing.py) is parsed
at a size, at twice and at four times the size, in one piece and octet by octet, under
callgrind. Linear means four times the instructions for four times the octets; what
takes more than five times is shown as WRONG, and the exit status is 1. The tests count
the same on the Python engine without any tool.
"""

from __future__ import annotations

import argparse
import ctypes
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATHS = [str(ROOT / "src"), str(ROOT / "tests")]
STEPS = (1 << 30, 1)
MOST = 5.0
FEW = 200_000  # below it is what objects and allocations cost
#: Ends a count of callgrind.
MARKS = b"""
#include <valgrind/callgrind.h>
void dump(void) { CALLGRIND_DUMP_STATS; }
"""


def child(size: int, marks: str) -> None:
    """Parse it all, under callgrind, and end a count after each."""
    sys.path[:0] = PATHS
    from fasthio._parser import ResponseParser
    from fasthio.errors import ParseError
    from growing import GROWS, WIDE

    dump = ctypes.CDLL(marks).dump
    parser = ResponseParser(limits=WIDE)
    dump()
    for make in GROWS.values():
        for step in STEPS:
            for times in (1, 2, 4):
                octets = make(size * times)
                rx = bytearray()
                try:
                    for at in range(0, len(octets), step):
                        rx += octets[at : at + step]
                        del rx[: parser.parse(rx)]
                except ParseError:
                    pass
                dump()
                parser.reset()


def main() -> int:
    """Count and show; give 1 where something is not linear."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--size", type=int, default=4096)
    options.add_argument("--child", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.child:
        child(given.size, given.child)
        return 0
    sys.path[:0] = PATHS
    from growing import GROWS

    with tempfile.TemporaryDirectory() as folder:
        marks = f"{folder}/marks.so"
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", marks], input=MARKS, check=True
        )
        subprocess.run(
            ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={folder}/out",
             "--toggle-collect=__pyx_pw_*ResponseParser_*parse",
             sys.executable, __file__, f"--child={marks}", f"--size={given.size}"],
            check=True, env={"PYTHONHASHSEED": "0", "PYTHONPATH": ":".join(PATHS)},
        )  # fmt: skip
        files = sorted(Path(folder).glob("out.*"), key=lambda path: int(path.suffix[1:]))
        counts = [
            int(found[1])
            for path in files
            if (found := re.search(r"^(?:totals|summary): (\d+)", path.read_text(), re.M))
        ]
    counts = counts[1:]  # before the first mark nothing was parsed
    wrong = 0
    print(f"{'what grows':34} {'step':>5} {'instructions':>12} {'x2':>6} {'x4':>6}")
    for index, (what, step) in enumerate((what, step) for what in GROWS for step in STEPS):
        one, two, four = counts[3 * index : 3 * index + 3]
        bad = four > MOST * one and four - one > FEW
        wrong += bad
        shown = "1" if step == 1 else "all"
        ratio = f"{two / one:6.2f} {four / two:6.2f}"
        print(f"{what:34} {shown:>5} {one:12,} {ratio} {'WRONG' if bad else ''}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())

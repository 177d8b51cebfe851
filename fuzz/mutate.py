"""Fuzz both engines against each other without any tool: mutate the corpus for a while.

    python fuzz/mutate.py --seconds 60 [--seed N] [--engines py,c]

What breaks the law is written to fuzz/found/ as the atheris targets read it.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
from pathlib import Path

from harness import METHODS, Checker

from cases import CASES
from fasthio.engine import load

FOUND = Path(__file__).parent / "found"
SNIPPETS = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b";", b"=", b",", b'"', b"\\", b"0", b"5", b"a",
    b"\0", b"\x7f", b"\xff", b"\r\n\r\n", b"chunked", b"gzip, ", b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 C\r\n\r\n",
    b"HTTP/1.1 204 N\r\n", b"ffffffffffffffff", b"0\r\n\r\n", b"5\r\nhello\r\n", b"a: b\r\n",
    b" fold\r\n", b";a=b", b';a="b"', b"1\r\nx\r\n" * 20, b"x" * 40, b"00000000",
]  # fmt: skip


def mutated(random_: random.Random, octets: bytes, others: list[bytes]) -> bytes:
    """Change some octets: insert, delete, replace, repeat, or cross with another case."""
    for _ in range(random_.choice((0, 1, 1, 2, 3, 5))):
        at = random_.randrange(len(octets) + 1)
        to = min(len(octets), at + random_.choice((1, 1, 2, 3, 8, 30)))
        way = random_.random()
        if way < 0.4:
            octets = octets[:at] + random_.choice(SNIPPETS) + octets[at:]
        elif way < 0.6:
            octets = octets[:at] + octets[to:]
        elif way < 0.75:
            octets = octets[:at] + bytes([random_.randrange(256)]) + octets[at + 1 :]
        elif way < 0.9:
            octets = octets[:to] + octets[at:]
        else:
            other = random_.choice(others)
            octets = octets[:at] + other[random_.randrange(len(other) + 1) :]
    return octets[:4096]


def main() -> int:
    """Fuzz until the time is over; give 1 where the law was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--engines", default="py,c")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    random_ = random.Random(seed)
    check = Checker(*map(load, options.engines.split(",")))
    seeds = [(case.octets, case.method) for case in CASES if len(case.octets) <= 2048]
    others = [octets for octets, _ in seeds if octets]
    began = time.monotonic()
    count = 0
    print(f"seed {seed}", flush=True)
    while time.monotonic() - began < options.seconds:
        octets, method = random_.choice(seeds)
        index = METHODS.index(method) if method in METHODS else 0
        if random_.random() < 0.1:
            index = random_.randrange(len(METHODS))
        flags = random_.choice((0, 0, 1)) | random_.choice((0, 2)) | index << 2
        flags |= 16 if random_.random() < 0.1 else 0
        data = bytes([flags, random_.randrange(256)]) + mutated(random_, octets, others)
        try:
            check(data)
        except Exception as error:
            FOUND.mkdir(exist_ok=True)
            path = FOUND / f"mutate-{hashlib.sha1(data).hexdigest()[:12]}"
            path.write_bytes(data)
            print(f"{path}: {type(error).__name__}: {error}")
            return 1
        count += 1
    print(f"{count} inputs in {time.monotonic() - began:.0f} s, the law held")
    return 0


if __name__ == "__main__":
    sys.exit(main())

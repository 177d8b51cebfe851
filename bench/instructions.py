"""Count the instructions of a response with valgrind.

A process under callgrind imports everything once and forks for each peer and
each of two run lengths; what the longer one executes more, divided by the
messages it parses more, is the cost of one message.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .messages import make_case
from .parsers import check, find_peers

__all__ = ["CASES", "LENGTHS", "count_instructions"]

ROOT = Path(__file__).resolve().parent.parent
CASES = ("small", "first-seen", "same")
#: Passes over the 200 messages of a case; the shorter one warms up.
LENGTHS = (1, 3)
#: What is not worth its time under valgrind.
_SLOW = {"h11", "http.client"}

_COLLECTED = re.compile(r"==(\d+)== Collected : (\d+)")


def count_instructions(timeout: float = 900) -> dict[str, Any]:
    """Count for all peers; where there is no valgrind, say so.

    Args:
        timeout: seconds the whole may take.
    Returns:
        Under "counts" instructions a response by case and peer; under "reason"
        why there are none.
    """
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        return {"counts": {}, "reason": "valgrind is not installed"}
    print("parsers: instructions", flush=True)
    with tempfile.TemporaryDirectory(prefix="fasthio-bench-") as folder:
        command = [
            valgrind, "--tool=callgrind", f"--callgrind-out-file={folder}/out.%p",
            sys.executable, "-m", "bench.instructions",
        ]  # fmt: skip
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True,
                timeout=timeout, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return {"counts": {}, "reason": f"valgrind took more than {timeout:.0f} s"}
    collected = {int(pid): int(count) for pid, count in _COLLECTED.findall(done.stderr)}
    totals: dict[tuple[str, str], dict[int, int]] = {}
    wrong: dict[str, str] = {}
    for line in done.stdout.splitlines():
        if line.startswith("wrong\t"):
            _, case, name, reason = line.split("\t")
            wrong[name] = f"{case}: {reason}"
        elif line.startswith("child\t"):
            _, case, name, passes, messages, pid = line.split("\t")
            if int(pid) in collected:
                totals.setdefault((case, name), {})[int(passes) * int(messages)] = collected[
                    int(pid)
                ]
    counts: dict[str, dict[str, float]] = {}
    for (case, name), each in totals.items():
        if len(each) == len(LENGTHS):
            (few, least), (many, most) = sorted(each.items())
            counts.setdefault(case, {})[name] = (most - least) / (many - few)
    if not counts:
        return {"counts": {}, "reason": f"valgrind failed: {done.stderr[-300:]}"}
    version = subprocess.run([valgrind, "--version"], capture_output=True, text=True, check=True)
    return {"counts": counts, "wrong": wrong, "valgrind": version.stdout.strip()}


def main() -> None:
    """Run under valgrind: fork for each peer and length, one after the other."""
    peers = find_peers()
    for name in CASES:
        case = make_case(name)
        for peer, run in peers.runs.items():
            if peer in _SLOW:
                continue
            for passes in LENGTHS:
                sys.stdout.flush()
                pid = os.fork()
                if not pid:
                    reason = check(peer, run, case)
                    if reason is not None:
                        print(f"wrong\t{name}\t{peer}\t{reason}", flush=True)
                        os._exit(1)
                    for _ in range(passes):
                        run(case.messages)
                    os._exit(0)
                _, status = os.waitpid(pid, 0)
                if status == 0:
                    print(f"child\t{name}\t{peer}\t{passes}\t{len(case.messages)}\t{pid}")


if __name__ == "__main__":
    main()

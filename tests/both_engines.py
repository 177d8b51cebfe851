"""Run the suite under both engines: what `make test` does.

Tests that take the `engine` fixture run on each engine by themselves; the others,
of the client and what stands on it, run once in a process of each engine. Without
a C engine all run once. The last line sums up as pytest does.

FASTHIO_COUNTS names a file to write the counts of each engine to, as JSON.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped|xfailed|xpassed)")


def has_c() -> bool:
    """Tell whether the C engine is there."""
    probe = [sys.executable, "-c", "import fasthio._parser"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def run(engine: str, arguments: list[str]) -> tuple[int, Counter[str]]:
    """Run pytest in a process of one engine, its output passed on as it comes.

    Returns:
        pytest's exit status, and the counts of its closing line.
    """
    colour = "yes" if sys.stdout.isatty() else "no"
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", f"--color={colour}", *arguments],
        cwd=ROOT,
        env={**os.environ, "FASTHIO_ENGINE": engine},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    last = ""
    with process:
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            last = line if line.strip() else last
    counts: Counter[str] = Counter()
    for number, what in COUNT.findall(re.sub(r"\x1b\[[\d;]*m", "", last)):
        counts["errors" if what == "error" else what] += int(number)
    return process.returncode, counts


def main() -> int:
    """Run all that is to be run, sum up, and give the exit status."""
    start = time.monotonic()
    arguments = sys.argv[1:]
    if has_c():
        runs = [("c", arguments), ("py", ["-m", "not engines", *arguments])]
    else:
        print("no C engine: the suite runs on the pure Python engine alone", flush=True)
        runs = [("py", arguments)]
    total: Counter[str] = Counter()
    each: dict[str, Counter[str]] = {}
    worst = 0
    for engine, options in runs:
        print(f"\n--- the client on engine {engine} ---", flush=True)
        status, counts = run(engine, options)
        total += counts
        each[engine] = counts
        worst = worst or status
    if os.environ.get("FASTHIO_COUNTS"):
        Path(os.environ["FASTHIO_COUNTS"]).write_text(json.dumps(each))
    kinds = ("failed", "passed", "skipped", "xfailed", "xpassed", "errors")
    words = ", ".join(f"{total[kind]} {kind}" for kind in kinds if total[kind])
    engines = " and ".join(engine for engine, _ in runs)
    print(f"\nboth runs together, engines {engines}:" if len(runs) > 1 else f"\nengine {engines}:")
    print(f"===== {words or 'no tests ran'} in {time.monotonic() - start:.2f}s =====", flush=True)
    return worst


if __name__ == "__main__":
    sys.exit(main())

"""Measure all and write RESULTS.md, results.json and the plots: `python -m bench.run`."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import bench_events, chores, endtoend, instructions, machine, parsing, plots, ratios, report
from .goals import judge
from .timing import interleave

if TYPE_CHECKING:
    from collections.abc import Callable

    from .bench_events import Peer

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
REPORT = HERE / "RESULTS.md"

#: Octets of an event stream, and of the largest feed hio gets: its time is quadratic in it.
STREAM = 1 << 18
HIO_FARTHEST = 1 << 16

PARTS = ("parsers", "instructions", "clients", "chores", "events", "poller")


def measure_events(rounds: int) -> list[dict[str, Any]]:
    """Measure event streams with the peers of bench_events, interleaved as the rest is."""
    print("events", flush=True)
    peers = bench_events.find_peers()
    results = []
    for ends in ("LF", "CRLF"):
        stream, events = bench_events.make_stream(STREAM, bench_events.ENDS[ends])
        for feed in bench_events.FEEDS:
            pieces = [stream[i : i + feed] for i in range(0, len(stream), feed)]
            blocks = {}
            wrong = []
            for name, run in peers.items():
                if name == "hio" and feed > HIO_FARTHEST:
                    continue
                if run(pieces) != events:
                    wrong.append(name)
                blocks[name] = _repeat(run, pieces)
            found = interleave(blocks, rounds)
            us = {name: each["cpu_median"] / events for name, each in found.items()}
            results.append({"ends": ends, "feed": feed, "us": us, "wrong": wrong})
    return results


def _repeat(run: Peer, pieces: list[bytes]) -> Callable[[int], None]:
    def block(count: int) -> None:
        for _ in range(count):
            run(pieces)

    return block


def measure_poller(rounds: int) -> dict[str, Any]:
    """Run the benchmark of the poller, a script of its own: see there."""
    script = HERE / "bench_poller.py"
    print("poller", flush=True)
    with tempfile.TemporaryDirectory(prefix="fasthio-bench-") as folder:
        path = Path(folder, "poller.json")
        done = subprocess.run(
            [sys.executable, str(script), "--rounds", str(rounds), "--json", str(path)],
            capture_output=True, text=True, timeout=3600, check=False,
        )  # fmt: skip
        if done.returncode:
            return {"text": f"failed: {done.stderr[-500:]}", "goals": {}}
        return dict(json.loads(path.read_text(encoding="utf-8")))


def measure(parts: list[str], rounds: int, results: dict[str, Any]) -> dict[str, Any]:
    """Measure the parts; what was measured of others before stays, with its own date."""
    makers: dict[str, Callable[[], Any]] = {
        "parsers": lambda: parsing.measure_parsers(rounds),
        "instructions": instructions.count_instructions,
        "clients": lambda: endtoend.measure_clients(rounds),
        "chores": lambda: chores.measure_chores(rounds),
        "events": lambda: measure_events(max(3, rounds // 3)),
        "poller": lambda: measure_poller(max(3, rounds // 3)),
    }
    for part in parts:
        measured = {**machine.describe(), "rounds": rounds}
        results[part] = makers[part]()
        if part == "parsers":
            results["drips"] = parsing.measure_drips(max(3, rounds // 3))
        results.setdefault("measured", {})[part] = measured
    return results


def write(results: dict[str, Any]) -> None:
    """Write all that is made from results."""
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    REPORT.write_text(report.write_report(results), encoding="utf-8")
    try:
        drawn = plots.draw(results)
    except ImportError as error:
        print(f"no plots: {error}", file=sys.stderr)
        drawn = []
    for path in (RESULTS, REPORT, ratios.draw(results), *drawn):
        with contextlib.suppress(ValueError):
            path = path.relative_to(Path.cwd())
        print(f"written: {path}")


def main() -> None:
    """Read the command line, measure, write, and say what was reached."""
    options = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    options.add_argument("--rounds", type=int, default=31, help="rounds of each measurement")
    options.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options.add_argument(
        "--report", action="store_true", help="measure nothing, write from results.json again"
    )
    given = options.parse_args()
    results: dict[str, Any] = {}
    if RESULTS.exists() and (given.report or set(given.parts) != set(PARTS)):
        results = json.loads(RESULTS.read_text(encoding="utf-8"))
    if not given.report:
        results = measure(given.parts, given.rounds, results)
    write(results)
    out = io.StringIO()
    for verdict in judge(results):
        figure = "not measured" if verdict.figure is None else f"{verdict.figure:.2f}"
        mark = {True: "met    ", False: "NOT MET", None: "       "}[verdict.met]
        print(f"{mark} {figure:>12}  {verdict.goal.row}: {verdict.goal.text}", file=out)
    print(out.getvalue(), end="")


if __name__ == "__main__":
    main()

"""The schedule alone in virtual time: cost a poll, drift, fairness. No sockets.

    python bench/simulate_schedule.py [--targets N ...] [--every S] [--seconds S] [--plot FILE]

Each target is polled every `--every` seconds for `--seconds` of virtual time; polls
take no time. Lateness is what a tock of 1/32 s makes of it, and nothing more.
"""

from __future__ import annotations

import argparse
import heapq
import random
import statistics
import time
from pathlib import Path
from typing import Any

from fasthio.scheduling import Grid, Schedule

TOCK = 0.03125


class PlainHeap:
    """The textbook schedule, to compare with: one heap over all items."""

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, Any]] = []
        self.serial = 0

    def put(self, item: Any, due: float) -> None:
        """Add an item."""
        self.serial += 1
        heapq.heappush(self.heap, (due, self.serial, item))

    def take(self, tyme: float) -> list[tuple[Any, float]]:
        """Take out what is due."""
        taken = []
        while self.heap and self.heap[0][0] <= tyme:
            due, _, item = heapq.heappop(self.heap)
            taken.append((item, due))
        return taken


def simulate(schedule: Any, targets: int, every: float, seconds: float) -> dict[str, float]:
    """Run a schedule over virtual time."""
    rng = random.Random(1)
    grids = [Grid(rng.random() * every, every) for _ in range(targets)]
    numbers = [0] * targets
    lateness: list[float] = []
    last = [0.0] * targets
    for target in range(targets):
        schedule.put(target, grids[target].tyme(0))
    polls = 0
    tyme, tick = 0.0, 0
    began = time.process_time()
    while tyme < seconds:
        for target, due in schedule.take(tyme):
            last[target] = due
            number = numbers[target] = numbers[target] + 1
            schedule.put(target, grids[target].tyme(number))
            polls += 1
            if not polls % 97:
                lateness.append(tyme - due)
        tick += 1
        tyme = tick * TOCK
    spent = time.process_time() - began
    # how far the last poll of a target was due from where its first one and the interval put it
    drift = max(
        abs(last[target] - grids[target].phase - (numbers[target] - 1) * every)
        for target in range(targets)
        if numbers[target]
    )
    lateness.sort()
    return {
        "polls": polls,
        "us": spent / polls * 1e6,
        "drift": drift,
        "late_median": statistics.median(lateness),
        "late_most": lateness[-1],
        "fair": max(numbers) - min(numbers),
    }


def main() -> None:
    """Simulate and print a table; draw it where asked to."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument(
        "--targets", nargs="+", type=int, default=[100, 1_000, 10_000, 30_000, 100_000]
    )
    options.add_argument("--every", type=float, default=10.0)
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--plot", type=Path)
    given = options.parse_args()
    print(f"Polls every {given.every:g} s, {given.seconds:g} s of virtual time, tock 1/32 s.")
    print()
    print(
        "| targets | polls | cost a poll | one heap over all | drift | lateness median, most "
        "| polls of targets differ by |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    costs: dict[str, list[float]] = {"fasthio": [], "one heap": []}
    for targets in given.targets:
        runs, plain = [], []
        for _ in range(given.rounds):
            runs.append(simulate(Schedule(), targets, given.every, given.seconds))
            plain.append(simulate(PlainHeap(), targets, given.every, given.seconds))
        run = runs[0]
        cost = min(each["us"] for each in runs)
        other = min(each["us"] for each in plain)
        costs["fasthio"].append(cost)
        costs["one heap"].append(other)
        print(
            f"| {targets:,} | {run['polls']:,.0f} | {cost:.2f} us | {other:.2f} us "
            f"| {run['drift']:.0e} s | {run['late_median'] * 1e3:.1f} ms, "
            f"{run['late_most'] * 1e3:.1f} ms | {run['fair']:.0f} |",
            flush=True,
        )
    if given.plot is not None:
        draw(given.plot, given.targets, costs)


def draw(path: Path, targets: list[int], costs: dict[str, list[float]]) -> None:
    """Draw the cost a poll over the number of targets."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3.5))
    for name, each in costs.items():
        axes.plot(targets, each, marker="o", label=name)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("targets")
    axes.set_ylabel("CPU a poll, us")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    main()

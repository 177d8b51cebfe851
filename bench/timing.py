"""Interleaved timing: all in turn, round after round, so that noise hits all alike."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Figures", "interleave", "no_collector"]

#: Runs a number of operations.
Block = Callable[[int], Any]


@dataclass
class Figures:
    """What was measured of one peer, in seconds an operation, one entry a round."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def add(self, cpu: float, wall: float, count: int) -> None:
        """Add a round of `count` operations."""
        self.cpu.append(cpu / count)
        self.wall.append(wall / count)

    def sum_up(self, scale: float = 1e6) -> dict[str, float]:
        """Give medians and minima of processor and wall time, in microseconds."""
        return {
            "cpu_median": statistics.median(self.cpu) * scale,
            "cpu_min": min(self.cpu) * scale,
            "wall_median": statistics.median(self.wall) * scale,
            "wall_min": min(self.wall) * scale,
            "rounds": len(self.cpu),
        }


@contextmanager
def no_collector() -> Iterator[None]:
    """Collect now and not again before the end of the block, for all peers alike."""
    gc.collect()
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _take(block: Block, count: int) -> tuple[float, float]:
    wall = time.perf_counter()
    cpu = time.process_time()
    block(count)
    return time.process_time() - cpu, time.perf_counter() - wall


def _calibrate(block: Block, seconds: float) -> int:
    """Find how many operations take about so long; warms up on the way."""
    count = 1
    while True:
        spent = min(_take(block, count)[0] for _ in range(2))
        if spent >= seconds / 4 or count >= 1 << 20:
            return max(1, round(count * seconds / max(spent, 1e-9)))
        count *= 4


def interleave(
    blocks: Mapping[str, Block], rounds: int, seconds: float = 0.004, seed: int = 1
) -> dict[str, dict[str, float]]:
    """Measure each block in every round, in an order that changes from round to round.

    Args:
        blocks: what to run, by name; called with how many operations to do.
        rounds: how often each is measured.
        seconds: about how long one measurement takes; an operation that takes
            longer is done once.
        seed: of the order.
    Returns:
        For each name medians and minima in microseconds an operation.
    """
    rng = random.Random(seed)
    with no_collector():
        counts = {name: _calibrate(block, seconds) for name, block in blocks.items()}
    figures = {name: Figures() for name in blocks}
    order = list(blocks)
    for _ in range(rounds):
        rng.shuffle(order)
        with no_collector():
            for name in order:
                cpu, wall = _take(blocks[name], counts[name])
                figures[name].add(cpu, wall, counts[name])
    return {name: each.sum_up() for name, each in figures.items()}

"""What was to be reached, and whether it was: one row for each goal of the design."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["GOALS", "Goal", "Verdict", "judge"]

MIB = 1024 * 1024
#: Keys into nested results.
Path = tuple[str, ...]


@dataclass(frozen=True)
class Goal:
    """One comparison of a row.

    Attributes:
        row: what is measured.
        text: the goal in words.
        bound: the figure that is to be reached.
        least: True where at least `bound`, False where at most.
        figure: gives the figure from the results; KeyError where it is not there.
        unit: what stands behind the figure.
    """

    row: str
    text: str
    bound: float
    least: bool
    figure: Callable[[dict[str, Any]], float]
    unit: str = "x"


@dataclass(frozen=True)
class Verdict:
    """A goal with what was measured; `figure` None where nothing was."""

    goal: Goal
    figure: float | None

    @property
    def met(self) -> bool | None:
        """Tell whether the goal is met; None where it was not measured."""
        if self.figure is None:
            return None
        compare = operator.ge if self.goal.least else operator.le
        return bool(compare(self.figure, self.goal.bound))


def _cpu(results: dict[str, Any], where: Path, name: str) -> float:
    found: Any = results
    for key in where:
        found = found[key]
    return float(found[name]["cpu_median"])


def _ratio(where: Path, other: str, ours: str) -> Callable[[dict[str, Any]], float]:
    return lambda results: _cpu(results, where, other) / _cpu(results, where, ours)


def _parser(case: str, other: str, ours: str = "fasthio C") -> Callable[[dict[str, Any]], float]:
    return _ratio(("parsers", case, "us"), other, ours)


def _worst(*figures: Callable[[dict[str, Any]], float]) -> Callable[[dict[str, Any]], float]:
    return lambda results: min(figure(results) for figure in figures)


def _scene(scene: str, other: str, ours: str = "fasthio") -> Callable[[dict[str, Any]], float]:
    return _ratio(("clients", "scenes", scene, "us"), other, ours)


def _chore(chore: str) -> Callable[[dict[str, Any]], float]:
    return _ratio(("chores", chore), "hio", "fasthio")


def _linear(results: dict[str, Any]) -> float:
    costs = results["drips"]["fasthio C"]
    sizes = sorted(costs, key=int)
    return float(costs[sizes[-1]] / costs[sizes[0]])


def _events(ends: str, other: str) -> Callable[[dict[str, Any]], float]:
    def figure(results: dict[str, Any]) -> float:
        for row in results["events"]:
            if row["ends"] == ends and row["feed"] == 4096:
                return float(row["us"][other] / row["us"]["fasthio c"])
        raise KeyError(ends)

    return figure


def _flat(results: dict[str, Any]) -> float:
    costs = [row["us"]["fasthio c"] for row in results["events"] if row["ends"] == "LF"]
    return float(max(costs) / min(costs))


def _memory(results: dict[str, Any]) -> float:
    scene = results["clients"]["scenes"]["big"]
    return float(scene["us"]["fasthio"]["memory"] / scene["size"])


def _instructions(results: dict[str, Any]) -> float:
    return float(results["instructions"]["counts"]["small"]["fasthio C"] / 1000)


def _poller(key: str) -> Callable[[dict[str, Any]], float]:
    return lambda results: float(results["poller"]["goals"][key])


_FED = ("chunks-16k-fed-8k", "chunks-16k-fed-64k")

#: All goals, in the order of the design.
GOALS = [
    Goal("small JSON response, three values change", "15x hio", 15, True, _parser("small", "hio")),
    Goal("small JSON response, three values change", "5x httptools", 5, True,
         _parser("small", "httptools")),
    Goal("a head never seen before", "8x hio", 8, True, _parser("first-seen", "hio")),
    Goal("a head never seen before", "2.8x httptools", 2.8, True,
         _parser("first-seen", "httptools")),
    Goal("the same head again", "22x hio", 22, True, _parser("same", "hio")),
    Goal("the same head again", "8x httptools", 8, True, _parser("same", "httptools")),
    Goal("instructions of the small response", "at most 9 k", 9, False, _instructions, " k"),
    Goal("chunked 64 KiB in 64 B chunks", "140x hio", 140, True, _parser("chunks-64", "hio")),
    Goal("chunked 64 KiB in 64 B chunks", "10x httptools", 10, True,
         _parser("chunks-64", "httptools")),
    Goal("chunked 64 KiB in 4 KiB chunks", "14x hio", 14, True, _parser("chunks-4k", "hio")),
    Goal("chunked 64 KiB in 4 KiB chunks", "2.5x httptools", 2.5, True,
         _parser("chunks-4k", "httptools")),
    Goal("chunked 1 MiB in 16 KiB chunks, fed 8 and 64 KiB (the worse)", "4.5x hio", 4.5, True,
         _worst(*(_parser(case, "hio") for case in _FED))),
    Goal("chunked 1 MiB in 16 KiB chunks, fed 8 and 64 KiB (the worse)", "1.5x httptools", 1.5,
         True, _worst(*(_parser(case, "httptools") for case in _FED))),
    Goal("1 MiB with Content-Length, fed 64 KiB", "2.5x hio", 2.5, True,
         _parser("length-1m", "hio")),
    Goal("1 MiB with Content-Length, fed 64 KiB", "at most 1.35 of a plain copy", 1.35, False,
         _parser("length-1m", "fasthio C", "plain copy")),
    Goal("the small response byte by byte", "6x hio", 6, True, _parser("bytewise", "hio")),
    Goal("the small response byte by byte", "linear: an octet of 16 kB costs at most 1.25 of one "
         "of 1 kB", 1.25, False, _linear),
    Goal("pure-Python engine, small response", "2x hio", 2, True,
         _parser("small", "hio", "fasthio Python")),
    Goal("pure-Python engine, 64 B chunks", "5x hio", 5, True,
         _parser("chunks-64", "hio", "fasthio Python")),
    Goal("keep-alive poll, whole client, CPU", "4.5x hio", 4.5, True, _scene("small", "hio")),
    Goal("keep-alive poll, whole client, CPU", "1.7x pycurl", 1.7, True,
         _scene("small", "pycurl")),
    Goal("keep-alive poll, whole client, CPU", "at most 2 of a raw socket", 2, False,
         _scene("small", "fasthio", "raw socket")),
    Goal("idle `service()`", "3x hio", 3, True, _chore("idle")),
    Goal("HTTP `Client()`", "2x hio", 2, True, _chore("make-http")),
    Goal("HTTPS `Client()`, from the second one on", "20x hio", 20, True, _chore("make-https")),
    Goal("5,000 idle connections, one sweep", "under 5 us", 5, False, _poller("sweep_us"), " us"),
    Goal("1 % of 3,000 connections active, a request", "20x hio", 20, True,
         _poller("active_ratio")),
    Goal("all of 3,000 connections active, a request", "2.8x hio", 2.8, True,
         _poller("all_ratio")),
    Goal("polls a CPU second over 1, 100, 1,000, 5,000 connections", "ahead of every peer", 1,
         True, _poller("ahead_cpu")),
    Goal("polls a second over 1, 100, 1,000, 5,000 connections", "ahead of every peer", 1, True,
         _poller("ahead_wall")),
    Goal("the schedule alone, 100,000 targets", "flat: a poll costs at most 2 of one among 1,000",
         2, False, _poller("flat")),
    Goal("the schedule alone, 100,000 targets", "no drift", 1e-6, False, _poller("drift"), " s"),
    Goal("real-time Doist, one client, request to response", "under 200 us", 200, False,
         _poller("doist_us"), " us"),
    Goal("64 MiB download, CPU", "2.1x hio", 2.1, True, _scene("big", "hio")),
    Goal("64 MiB download, CPU", "1.3x pycurl", 1.3, True, _scene("big", "pycurl")),
    Goal("64 MiB download, peak memory", "1 body", 1.05, False, _memory, " bodies"),
    Goal("server-sent events, 4 KiB feeds, LF", "18x hio", 18, True, _events("LF", "hio")),
    Goal("server-sent events, 4 KiB feeds, CRLF", "10x hio", 10, True, _events("CRLF", "hio")),
    Goal("server-sent events, 4 KiB feeds, LF", "5x httpx-sse", 5, True,
         _events("LF", "httpx-sse")),
    Goal("server-sent events, 4 KiB feeds, CRLF", "5x httpx-sse", 5, True,
         _events("CRLF", "httpx-sse")),
    Goal("server-sent events, feeds of 1 KiB to 1 MiB", "flat: dearest at most 1.5 of cheapest",
         1.5, False, _flat),
]  # fmt: skip


def judge(results: dict[str, Any]) -> list[Verdict]:
    """Give the verdict on each goal."""
    verdicts = []
    for goal in GOALS:
        try:
            figure: float | None = goal.figure(results)
        except (KeyError, TypeError, ZeroDivisionError, ValueError):
            figure = None
        verdicts.append(Verdict(goal, figure))
    return verdicts

"""Show polls as they go, and sum them up: the output of `fasthio poll` and `fasthio demo`."""

from __future__ import annotations

import json
import math
import time
from collections import Counter, deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from .engine import ENGINE

if TYPE_CHECKING:
    from .pollcore import PollResult

__all__ = ["JsonLines", "Lines", "Tally", "Totals", "View", "make_view", "percentile"]

#: Latencies kept to take percentiles of: the latest, so that memory stays bounded.
KEPT = 100_000


def percentile(latencies: Iterable[float], share: float) -> float | None:
    """Give the nearest-rank percentile: the least value that `share` of all do not exceed.

    Args:
        latencies: in any order.
        share: above 0, at most 1; 0.95 for p95.
    Returns:
        One of the values; None when there is none.
    """
    ordered = sorted(latencies)
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else None


class Tally:
    """Count the polls of one URL, or of all.

    Attributes:
        requests: polls that ended.
        failures: how many failed, by kind.
        octets: of all bodies.
        events: server-sent events.
        latencies: the latest `KEPT`, in seconds, of polls that had a whole response.
        last: the latest result.
    """

    def __init__(self) -> None:
        self.requests = 0
        self.answered = 0
        self.failures: Counter[str] = Counter()
        self.octets = 0
        self.events = 0
        self.latencies: deque[float] = deque(maxlen=KEPT)
        self.last: PollResult | None = None

    def add(self, result: PollResult) -> None:
        """Count one result."""
        self.requests += 1
        self.octets += result.octets
        self.events += result.events
        if result.failure is not None:
            self.failures[result.failure] += 1
        if result.latency is not None:
            self.answered += 1
            self.latencies.append(result.latency)
        self.last = result

    @property
    def failed(self) -> int:
        """Give how many polls failed."""
        return sum(self.failures.values())


class Totals:
    """Count the polls of all URLs, and of each."""

    def __init__(self, urls: Iterable[str]) -> None:
        self.all = Tally()
        self.each = {url: Tally() for url in urls}
        self.start = time.monotonic()

    def add(self, result: PollResult) -> None:
        """Count one result."""
        self.all.add(result)
        self.each[result.url].add(result)

    def summary(self) -> list[str]:
        """Sum up all polls in a few lines of text."""
        tally = self.all
        seconds = time.monotonic() - self.start
        kinds = ", ".join(f"{kind} {n}" for kind, n in tally.failures.most_common())
        lines = [
            f"requests  {tally.requests} in {seconds:.1f} s",
            f"failures  {tally.failed}" + (f" ({kinds})" if kinds else ""),
            f"octets    {tally.octets} of bodies"
            + (f", {tally.events} events" if tally.events else ""),
        ]
        if tally.latencies:
            shares = "  ".join(
                f"p{share} {in_ms(percentile(tally.latencies, share / 100))}"
                for share in (50, 95, 99)
            )
            kept = len(tally.latencies)
            which = f"of {kept}" if kept == tally.answered else f"of the last {kept}"
            lines.append(f"latency   {shares}  ({which} whole responses)")
        else:
            lines.append("latency   no whole response")
        lines.append(f"engine    {ENGINE}")
        return lines


class View(Protocol):
    """What is shown while polling."""

    def show(self, result: PollResult) -> None:
        """Take in one result, already counted."""

    def refresh(self) -> None:
        """Redraw, if it is time to."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class Lines:
    """Show each result as one plain line."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def show(self, result: PollResult) -> None:
        """Write the line of one result."""
        clock = time.strftime("%H:%M:%S", time.localtime(result.time))
        print(clock, result.url, describe(result), file=self.stream, flush=True)

    def refresh(self) -> None:
        """Do nothing: each line is written when it comes."""

    def close(self) -> None:
        """Do nothing: there is nothing to put back."""


class Table:
    """Show a live table with a row for each URL; needs rich."""

    def __init__(self, stream: TextIO, totals: Totals) -> None:
        from rich.console import Console
        from rich.live import Live

        self.totals = totals
        self.live = Live(
            console=Console(file=stream), auto_refresh=False, vertical_overflow="visible"
        )
        self.drawn = 0.0
        self.live.start()

    def show(self, result: PollResult) -> None:
        """Do nothing: the next redraw shows it."""

    def refresh(self) -> None:
        """Redraw, at most five times a second."""
        now = time.monotonic()
        if now - self.drawn >= 0.2:
            self.drawn = now
            self.live.update(self.table(), refresh=True)

    def close(self) -> None:
        """Draw the final state and leave it standing."""
        self.live.update(self.table(), refresh=True)
        self.live.stop()

    def table(self) -> Any:
        """Build the table of what is counted so far."""
        from rich import box
        from rich.table import Table as RichTable
        from rich.text import Text

        table = RichTable(box=box.SIMPLE_HEAD)
        table.add_column("URL", no_wrap=True)
        for title in ("polls", "failed", "octets", "p50", "p95"):
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("last")  # the one to be folded where the terminal is narrow
        for url, tally in self.totals.each.items():
            last = tally.last
            bad = last is not None and last.failure is not None
            table.add_row(
                Text(url),
                str(tally.requests),
                Text(str(tally.failed), style="red" if tally.failed else ""),
                str(tally.octets),
                in_ms(percentile(tally.latencies, 0.5)),
                in_ms(percentile(tally.latencies, 0.95)),
                Text(describe(last) if last else "", style="red" if bad else "green"),
            )
        return table


class JsonLines:
    """Write each result as one line of JSON."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, result: PollResult) -> None:
        """Write one result, and see that it is on its way."""
        self.stream.write(json.dumps(result.as_dict()) + "\n")
        self.stream.flush()


def make_view(stream: TextIO, totals: Totals) -> View:
    """Choose the live table for a terminal where rich is installed, else plain lines.

    Args:
        stream: where it is shown.
        totals: what it shows.
    """
    if not stream.isatty():
        return Lines(stream)
    try:
        return Table(stream, totals)
    except ImportError:
        return Lines(stream)


def describe(result: PollResult) -> str:
    """Describe one result in words."""
    if result.status is None or result.latency is None:
        return f"FAILED {result.failure}: {printable(result.error or '')}"
    words = [f"{result.status} {printable(result.reason)}".rstrip()]
    words.append(f"{result.octets} octets")
    if result.events:
        words.append(f"{result.events} events")
    if result.redirects:
        words.append(f"{result.redirects} redirected")
    words.append(in_ms(result.latency))
    return ("FAILED " if result.failure else "") + ", ".join(words)


def printable(text: str) -> str:
    """Replace what a server could use to play with the terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def in_ms(seconds: float | None) -> str:
    """Give a duration in milliseconds, a dash where there is none."""
    return "-" if seconds is None else f"{seconds * 1000:.2f} ms"

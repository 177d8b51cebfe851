"""Show polls as they go, and sum them up: the output of `fasthio poll` and `fasthio demo`."""

from __future__ import annotations

import heapq
import json
import re
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, TextIO

from .engine import ENGINE
from .histogram import Histogram
from .sinks import SinkError

if TYPE_CHECKING:
    from .polling import Poller
    from .results import PollResult

__all__ = ["JsonLines", "Lines", "Table", "Tally", "Totals", "View", "make_view", "sparkline"]

#: Latencies that a sparkline shows.
SPARKS: Final = 16
#: What a sparkline is made of, a failure last.
BARS: Final = "▁▂▃▄▅▆▇█"
FAILED: Final = "!"
#: Seconds between two drawings of the table, and lines that are kept free round it.
REDRAW: Final = 0.25
FREE_LINES: Final = 12
#: Columns of a terminal from which on sparklines have their full length.
WIDE: Final = 110
#: Blanks between two columns of the table.
GAP: Final = 2

_ROOT: Final = re.compile(r"https?://[^/?#]+(?=/)")


class Tally:
    """Count the polls of one target, or of all.

    Attributes:
        label: of the target.
        requests: polls that were begun and have ended.
        skipped: due polls that were not begun, by reason.
        failures: how many failed, by reason.
        octets: of all bodies.
        events: server-sent events.
        latencies: of polls that had a whole response.
        recent: the latest latencies in seconds; None for a failure.
        last: the latest result of a poll that was begun.
    """

    __slots__ = (
        "events",
        "failures",
        "label",
        "last",
        "latencies",
        "octets",
        "recent",
        "requests",
        "skipped",
    )

    def __init__(self, label: str = "") -> None:
        self.label = label
        self.requests = 0
        self.skipped: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.octets = 0
        self.events = 0
        self.latencies = Histogram()
        self.recent: deque[float | None] = deque(maxlen=SPARKS)
        self.last: PollResult | None = None

    def add(self, result: PollResult) -> None:
        """Count one result."""
        if result.outcome == "skipped":
            self.skipped[result.reason] += result.count
            return
        self.requests += 1
        self.octets += result.octets
        self.events += len(result.events)
        if result.failed:
            self.failures[result.reason] += 1
        whole = result.outcome in ("ok", "unchanged", "unexpected")
        if whole and result.latency is not None:
            self.latencies.add(result.latency.total)
            self.recent.append(None if result.failed else result.latency.total)
        else:
            self.recent.append(None)
        self.last = result

    @property
    def failed(self) -> int:
        """Give how many polls failed."""
        return sum(self.failures.values())

    @property
    def failing(self) -> bool:
        """Tell whether the latest poll failed."""
        return self.last is not None and self.last.failed

    @property
    def recent_latency(self) -> float:
        """Give the greatest of the latest latencies in seconds."""
        return max((each for each in self.recent if each is not None), default=0.0)


class Totals:
    """Count the polls of all targets, and of each.

    Attributes:
        all: what all came to.
        each: tallies by label, of targets that have had a result.
        start: clock when counting began, in seconds.
        timeline: latencies by time, for the plot.
    """

    def __init__(self) -> None:
        self.all = Tally()
        self.each: dict[str, Tally] = {}
        self.start = time.monotonic()
        self.timeline = Timeline()
        self._marks: deque[tuple[float, int]] = deque([(self.start, 0)])

    def add(self, result: PollResult) -> None:
        """Count one result."""
        tally = self.each.get(result.label)
        if tally is None:
            tally = self.each[result.label] = Tally(result.label)
        tally.add(result)
        self.all.add(result)
        if result.latency is not None and result.outcome in ("ok", "unchanged", "unexpected"):
            self.timeline.add(time.monotonic() - self.start, result.latency.total)

    def rate(self) -> float:
        """Give the polls a second over the last few seconds."""
        now = time.monotonic()
        marks = self._marks
        if now - marks[-1][0] >= 0.5:
            marks.append((now, self.all.requests))
        while len(marks) > 1 and now - marks[0][0] > 5.0:
            marks.popleft()
        then, count = marks[0]
        return (self.all.requests - count) / max(now - then, 1e-3)

    def summary(self, histogram: bool = False) -> list[str]:
        """Sum up all polls in a few lines of text.

        Args:
            histogram: add the distribution of latencies.
        """
        tally = self.all
        seconds = time.monotonic() - self.start
        kinds = ", ".join(f"{kind} {n}" for kind, n in tally.failures.most_common())
        lines = [
            f"requests  {tally.requests} in {seconds:.1f} s",
            f"failures  {tally.failed}" + (f" ({kinds})" if kinds else ""),
        ]
        if tally.skipped:
            reasons = ", ".join(f"{kind} {n}" for kind, n in tally.skipped.most_common())
            lines.append(f"skipped   {sum(tally.skipped.values())} ({reasons})")
        lines.append(
            f"octets    {tally.octets} of bodies"
            + (f", {tally.events} events" if tally.events else "")
        )
        latencies = tally.latencies
        if latencies.count:
            shares = "  ".join(
                f"p{share} {in_ms(latencies.percentile(share / 100))}" for share in (50, 95, 99)
            )
            lines.append(f"latency   {shares}  (of {latencies.count} whole responses)")
        else:
            lines.append("latency   no whole response")
        if histogram:
            lines += ["", *latencies.summary(), ""]
        lines.append(f"engine    {ENGINE}")
        return lines


class Timeline:
    """Latencies by time, in at most `MOST` intervals: they double when there are too many.

    Attributes:
        width: of an interval, in seconds.
        intervals: histograms, the first one from 0 on.
    """

    MOST: Final = 240

    def __init__(self) -> None:
        self.width = 1.0
        self.intervals: list[Histogram] = []

    def add(self, seconds: float, latency: float) -> None:
        """Count a latency at a time since the start."""
        while seconds >= self.width * self.MOST:
            self._halve()
        at = int(seconds / self.width)
        while len(self.intervals) <= at:
            self.intervals.append(Histogram(5))
        self.intervals[at].add(latency)

    def _halve(self) -> None:
        merged = []
        for at in range(0, len(self.intervals), 2):
            first = self.intervals[at]
            for other in self.intervals[at + 1 : at + 2]:
                first.merge(other)
            merged.append(first)
        self.intervals = merged
        self.width *= 2


class View(Protocol):
    """What is shown while polling."""

    def show(self, result: PollResult) -> None:
        """Take in one result, already counted."""

    def say(self, text: str) -> None:
        """Tell what is no result."""

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
        clock = time.strftime("%H:%M:%S", time.localtime(result.started))
        print(clock, printable(result.label), describe(result), file=self.stream, flush=True)

    def say(self, text: str) -> None:
        """Write a line."""
        print(printable(text), file=self.stream, flush=True)

    def refresh(self) -> None:
        """Do nothing: each line is written when it comes."""

    def close(self) -> None:
        """Do nothing: there is nothing to put back."""


class Table:
    """Show a live table of the targets that need looking at; needs rich."""

    def __init__(
        self,
        stream: TextIO,
        totals: Totals,
        poller: Poller | None = None,
        count: int | None = None,
        duration: float | None = None,
    ) -> None:
        """Begin to draw.

        Args:
            stream: a terminal.
            totals: what is shown.
            poller: whose state is shown, too.
            count: polls there will be in all; None where that is not known.
            duration: seconds it will take in all; None where that is not known.
        """
        from rich.console import Console
        from rich.live import Live

        self.totals = totals
        self.poller = poller
        self.count = count
        self.duration = duration
        self.said: deque[str] = deque(maxlen=3)
        self.live = Live(console=Console(file=stream), auto_refresh=False, vertical_overflow="crop")
        self.drawn = 0.0
        self._rooted = 0  # labels that `_root` was found of
        self._root = ""
        self.live.start()

    def show(self, result: PollResult) -> None:
        """Do nothing: the next redraw shows it."""

    def say(self, text: str) -> None:
        """Show a line under the table."""
        self.said.append(printable(text))

    def refresh(self) -> None:
        """Redraw, a few times a second."""
        now = time.monotonic()
        if now - self.drawn >= REDRAW:
            self.drawn = now
            self.live.update(self.draw(), refresh=True)

    def close(self) -> None:
        """Draw the final state and leave it standing."""
        self.live.update(self.draw(), refresh=True)
        self.live.stop()

    def draw(self) -> Any:
        """Build all that is shown."""
        from rich.console import Group
        from rich.text import Text

        width, _ = self.live.console.size
        parts: list[Any] = [
            *(Text(each, no_wrap=True, overflow="ellipsis") for each in self.headlines(width)),
            Text(),
            self.table(),
        ]
        bar = self.bar(width)
        if bar is not None:
            parts += [Text(), bar]
        parts += [Text(each, style="yellow") for each in self.said]
        return Group(*parts)

    def headlines(self, width: int) -> list[str]:
        """Write the state of all in a line, or two where the terminal is narrow.

        Args:
            width: columns there are.
        """
        tally = self.totals.all
        shares = "  ".join(
            f"p{share} {short_ms(tally.latencies.percentile(share / 100))}"
            for share in (50, 95, 99)
        )
        words = [
            f"{tally.requests:,} polls",
            f"{self.totals.rate():,.0f}/s",
            f"{tally.failed:,} failed",
        ]
        if tally.skipped:
            words.append(f"{sum(tally.skipped.values()):,} skipped")
        poller = self.poller
        if poller is not None:
            words.append(f"{poller.flying:,} under way")
            if poller.waiting:
                words.append(f"{poller.waiting:,} waiting")
            words.append(f"{poller.connections:,} connections")
        lines = [", ".join(words), shares]
        if poller is not None and poller.stalled:
            lines.append("STALLED: results are not taken")
        root = self.root()
        if root:
            lines[1] += f"   targets of {printable(root)}"
        if sum(map(len, lines)) + 3 * (len(lines) - 1) <= width:
            return ["   ".join(lines)]
        return lines

    def root(self) -> str:
        """Give scheme and authority where the labels of all targets are URLs that share them."""
        each = self.totals.each
        if len(each) != self._rooted:
            self._rooted = len(each)
            found = {_ROOT.match(label) for label in each} if len(each) > 1 else {None}
            roots = {match and match[0] for match in found}
            self._root = (roots.pop() or "") if len(roots) == 1 else ""
        return self._root

    def table(self) -> Any:
        """Build the table: the failing first, then the slowest; as many columns as fit."""
        from rich import box
        from rich.table import Table as RichTable
        from rich.text import Text

        width, height = self.live.console.size
        each = self.totals.each
        shown = heapq.nsmallest(
            max(3, height - FREE_LINES),
            each.values(),
            key=lambda tally: (not tally.failing, -tally.recent_latency),
        )
        columns = [column for column in COLUMNS if width >= column.least]
        sparks = SPARKS if width >= WIDE else SPARKS // 2
        # with the box, that makes GAP
        table = RichTable(
            box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 0, 0, GAP - 1)
        )
        # what the others leave is shared by the target and its last result
        free = width - sum(column.width(sparks) + GAP for column in columns) - GAP
        last = min(48, max(12, free // 2))
        name = max(8, free - last)
        table.add_column("target", no_wrap=True, width=name)
        for column in columns:
            table.add_column(
                column.title, justify=column.justify, no_wrap=True, width=column.width(sparks)
            )
        table.add_column("last", overflow="ellipsis", no_wrap=True, width=last)
        root = len(self.root())
        for tally in shown:
            result = tally.last
            table.add_row(
                Text(shorten(printable(tally.label[root:]), name)),
                *(Text(*column.cell(tally, sparks)) for column in columns),
                Text(brief(result) if result else "", style="red" if tally.failing else "green"),
            )
        if len(shown) < len(each):
            table.caption = f"{len(each) - len(shown):,} more that are faster"
        return table

    def progress(self) -> tuple[float, str] | None:
        """Tell how far it is, from 0 to 1 and in words; None where the work has no end."""
        if self.count is not None:
            done = self.totals.all.requests + sum(self.totals.all.skipped.values())
            return min(1.0, done / max(1, self.count)), f"{done:,}/{self.count:,}"
        if self.duration is not None:
            spent = min(time.monotonic() - self.totals.start, self.duration)
            return spent / self.duration, f"{spent:.0f}/{self.duration:g} s"
        return None

    def bar(self, width: int) -> Any:
        """Build the progress bar; None where the work has no end.

        Args:
            width: columns there are.
        """
        from rich.text import Text

        progress = self.progress()
        if progress is None:
            return None
        share, words = progress
        words = f" {share:4.0%}  {words}"
        cells = max(1, width - len(words))
        done = int(cells * share)
        # told apart without colours, too
        return Text.assemble(
            ("\N{BOX DRAWINGS HEAVY HORIZONTAL}" * done, "green"),
            ("\N{BOX DRAWINGS LIGHT DOUBLE DASH HORIZONTAL}" * (cells - done), "dim"),
            words,
            no_wrap=True,
        )


class Column(NamedTuple):
    """A column of the table between the target and its last result."""

    title: str
    least: int  # columns that the terminal must have
    wide: int  # its own; 0 for as many as there are sparks
    justify: Literal["left", "right"]
    cell: Callable[[Tally, int], tuple[str, str]]  # text and style

    def width(self, sparks: int) -> int:
        """Give its columns.

        Args:
            sparks: latencies that a sparkline shows.
        """
        return self.wide or sparks


def _failed(tally: Tally, sparks: int) -> tuple[str, str]:
    return f"{tally.failed:,}", "red" if tally.failed else ""


#: Columns in the order in which they stand.
COLUMNS: Final = (
    Column("polls", 88, 7, "right", lambda tally, _: (f"{tally.requests:,}", "")),
    Column("failed", 48, 6, "right", _failed),
    Column("p50", 72, 7, "right", lambda tally, _: (short_ms(tally.latencies.percentile(0.5)), "")),
    Column(
        "p95", 56, 7, "right", lambda tally, _: (short_ms(tally.latencies.percentile(0.95)), "")
    ),
    Column("latest", 76, 0, "left", lambda tally, sparks: (sparkline(tally.recent, sparks), "")),
)


class JsonLines:
    """Write each result as one line of JSON, at once."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, result: PollResult) -> None:
        """Write one result, and see that it is on its way.

        Raises:
            SinkError: the system refuses, as on a full disk.
            BrokenPipeError: nobody reads it any more.
        """
        try:
            self.stream.write(json.dumps(result.as_dict()) + "\n")
            self.stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            name = getattr(self.stream, "name", "--json")
            raise SinkError(f"{name}: {error.strerror or error}") from error


def make_view(
    stream: TextIO,
    totals: Totals,
    poller: Poller | None = None,
    count: int | None = None,
    duration: float | None = None,
) -> View:
    """Choose the live table for a terminal where rich is installed, else plain lines.

    Args:
        stream: where it is shown.
        totals: what it shows.
        poller: whose state is shown, too.
        count: polls there will be in all; None where that is not known.
        duration: seconds it will take in all; None where that is not known.
    """
    if not stream.isatty():
        return Lines(stream)
    try:
        return Table(stream, totals, poller, count, duration)
    except ImportError:
        return Lines(stream)


def sparkline(latencies: deque[float | None], most: int = SPARKS) -> str:
    """Draw latencies in a row, the greatest of them highest; failures as !.

    Args:
        latencies: in seconds, the oldest first; None for a failure.
        most: the latest so many are drawn.
    """
    latencies = deque(latencies, most)
    known = [each for each in latencies if each is not None]
    top = max(known, default=0.0)
    return "".join(
        FAILED if each is None else BARS[int(each / top * (len(BARS) - 1))] if top else BARS[0]
        for each in latencies
    )


def describe(result: PollResult) -> str:
    """Describe one result in words."""
    if result.outcome == "skipped":
        times = f", {result.count} polls" if result.count > 1 else ""
        return f"SKIPPED {result.reason}{times}"
    if result.outcome == "cancelled":
        return f"CANCELLED {result.reason}"
    latency = result.latency
    if result.outcome in ("error", "timeout") or latency is None:
        return f"FAILED {result.reason}: {printable(result.error or result.outcome)}"
    words = [f"{result.status} {printable(result.phrase)}".rstrip()]
    words.append(f"{result.octets} octets")
    if result.events:
        words.append(f"{len(result.events)} events")
    if result.redirects:
        words.append(f"{result.redirects} redirected")
    if result.attempts > 1:
        words.append(f"{result.attempts} attempts")
    words.append(in_ms(latency.total))
    return ("FAILED " if result.failed else "") + ", ".join(words)


def brief(result: PollResult) -> str:
    """Describe one result in few words, what matters most first."""
    latency = result.latency
    if result.outcome in ("skipped", "error", "timeout", "cancelled") or latency is None:
        return describe(result)
    words = [f"{result.status} {printable(result.phrase)}".rstrip(), short_ms(latency.total)]
    words.append(f"{len(result.events)} events" if result.events else f"{result.octets:,} octets")
    return ("FAILED " if result.failed else "") + ", ".join(words)


def shorten(text: str, width: int) -> str:
    """Leave out the middle of what is too long: it is its end that tells URLs apart.

    Args:
        text: to be shortened.
        width: characters that it may have, at least 3.
    """
    if len(text) <= width:
        return text
    head = (width - 1) // 3
    return f"{text[:head]}\N{HORIZONTAL ELLIPSIS}{text[len(text) - (width - 1 - head) :]}"


def printable(text: str) -> str:
    """Replace what a server could use to play with the terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def in_ms(seconds: float | None) -> str:
    """Give a duration in milliseconds, a dash where there is none."""
    return "-" if seconds is None else f"{seconds * 1000:.2f} ms"


def short_ms(seconds: float | None) -> str:
    """Give a duration in at most seven characters, a dash where there is none."""
    if seconds is None:
        return "-"
    if seconds >= 99.95:
        return f"{seconds:,.0f} s"
    if seconds >= 0.9995:
        return f"{seconds:.1f} s"
    if seconds < 0.0000995:
        return f"{seconds * 1e6:.0f} us"
    milliseconds = seconds * 1000
    if milliseconds >= 99.5:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds:.3g} ms" if milliseconds >= 0.995 else f"{milliseconds:.2g} ms"

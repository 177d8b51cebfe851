"""Show a fleet as it goes: a live table of its workers, or a plain line now and then."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO

from .pollview import in_ms, printable

if TYPE_CHECKING:
    from .fleetmembers import FleetSummary

__all__ = ["FleetLines", "FleetTable", "FleetView", "make_fleet_view"]

#: Seconds between two drawings of the table, and between two plain lines.
REDRAW: Final = 0.5
LINE: Final = 5.0


class FleetView(Protocol):
    """What is shown while a fleet polls."""

    def say(self, text: str) -> None:
        """Tell what happened."""

    def refresh(self, summary: FleetSummary) -> None:
        """Show the figures, if it is time to."""

    def close(self) -> None:
        """Leave the terminal as it was."""


def headline(summary: FleetSummary) -> str:
    """Write the state of the whole fleet in one line.

    Args:
        summary: of the fleet.
    """
    total = summary.total
    shares = " ".join(
        f"p{share} {in_ms(total.latencies.percentile(share / 100))}" for share in (50, 95, 99)
    )
    words = [
        f"{len(summary.rows)} workers",
        f"{summary.targets:,} targets",
        f"{total.requests:,} polls",
        f"{sum(row['rate'] for row in summary.rows):,.0f}/s",
        f"{total.failed:,} failed",
    ]
    if summary.doubles:
        words.append(f"{summary.doubles:,} doubles")
    stalled = [row["worker"] for row in summary.rows if row["stalled"]]
    if stalled:
        words.append(f"STALLED: results are not taken ({', '.join(stalled)})")
    return f"{', '.join(words)}   {shares}"


class FleetLines:
    """Show a line every few seconds, and each event."""

    def __init__(self, stream: TextIO) -> None:
        """Begin.

        Args:
            stream: where it is shown.
        """
        self.stream = stream
        self.next = time.monotonic() + LINE

    def say(self, text: str) -> None:
        """Write a line."""
        print(printable(text), file=self.stream, flush=True)

    def refresh(self, summary: FleetSummary) -> None:
        """Write a line, if it is time to."""
        now = time.monotonic()
        if now >= self.next:
            self.next = now + LINE
            self.say(f"{time.strftime('%H:%M:%S')} {headline(summary)}")

    def close(self) -> None:
        """Do nothing: there is nothing to put back."""


class FleetTable:
    """Show a live table of the workers; needs rich."""

    def __init__(self, stream: TextIO) -> None:
        """Begin to draw.

        Args:
            stream: a terminal.
        Raises:
            ImportError: there is no rich.
        """
        from rich.console import Console
        from rich.live import Live

        self.said: deque[str] = deque(maxlen=5)
        self.live = Live(console=Console(file=stream), auto_refresh=False, vertical_overflow="crop")
        self.drawn = 0.0
        self.summary: FleetSummary | None = None
        self.live.start()

    def say(self, text: str) -> None:
        """Show a line under the table."""
        self.said.append(printable(text))

    def refresh(self, summary: FleetSummary) -> None:
        """Redraw, twice a second."""
        self.summary = summary
        now = time.monotonic()
        if now - self.drawn >= REDRAW:
            self.drawn = now
            self.live.update(self.draw(summary), refresh=True)

    def close(self) -> None:
        """Draw the final state and leave it standing."""
        if self.summary is not None:
            self.live.update(self.draw(self.summary), refresh=True)
        self.live.stop()

    def draw(self, summary: FleetSummary) -> Any:
        """Build all that is shown.

        Args:
            summary: of the fleet.
        """
        from rich import box
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD)
        table.add_column("worker", overflow="ellipsis", no_wrap=True, min_width=12)
        for title in ("targets", "polls", "/s", "failed", "p50", "p95", "p99", "flying", "heard"):
            table.add_column(title, justify="right", no_wrap=True)
        for row in summary.rows:
            table.add_row(
                Text(printable(row["worker"])),
                f"{row['targets']:,}",
                f"{row['requests']:,}",
                f"{row['rate']:,.0f}",
                Text(f"{row['failed']:,}", style="red" if row["failed"] else ""),
                *(in_ms(each) for each in row["latencies"]),
                f"{row['flying']:,}",
                f"{row['silent']:.1f} s",
            )
        said = [Text(each, style="yellow") for each in self.said]
        return Group(Text(headline(summary)), table, *said)


def make_fleet_view(stream: TextIO) -> FleetView:
    """Choose the live table for a terminal where rich is installed, else plain lines.

    Args:
        stream: where it is shown.
    """
    if stream.isatty():
        try:
            return FleetTable(stream)
        except ImportError:
            pass
    return FleetLines(stream)

"""Draw latencies as SVG: their distribution, and their course. Needs nothing else."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .histogram import Histogram
    from .pollview import Timeline, Totals

__all__ = ["draw_latency"]

WIDTH: Final = 760
HEIGHT: Final = 300
LEFT: Final = 70
RIGHT: Final = 20
TOP: Final = 40
BOTTOM: Final = 45
#: Shares at which the axis of the distribution is marked.
SHARES: Final = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)
#: Percentiles drawn over time, with their colours.
COURSES: Final = ((0.5, "#1b7837"), (0.95, "#e08214"), (0.99, "#b2182b"))


def draw_latency(path: str | os.PathLike[str], totals: Totals) -> None:
    """Write the plot.

    Args:
        path: of the SVG file; it is replaced as a whole.
        totals: what was counted.
    Raises:
        OSError: it cannot be written.
    """
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT * 2}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT * 2}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT * 2}" fill="white"/>',
        *_distribution(totals.all.latencies),
        f'<g transform="translate(0 {HEIGHT})">',
        *_course(totals.timeline),
        "</g>",
        "</svg>",
    ]
    written = os.fspath(path) + ".part"
    with open(written, "w", encoding="utf-8") as stream:
        stream.write("\n".join(parts) + "\n")
    os.replace(written, path)


class _Scale:
    """Map latencies to heights, by their logarithm."""

    def __init__(self, least: float, most: float) -> None:
        self.low = math.floor(math.log10(max(least, 1e-6)))
        self.high = max(self.low + 1, math.ceil(math.log10(max(most, 1e-6))))

    def y(self, seconds: float) -> float:
        share = (math.log10(max(seconds, 1e-6)) - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - min(1.0, max(0.0, share)) * (HEIGHT - TOP - BOTTOM)

    def axis(self) -> list[str]:
        parts = []
        for power in range(self.low, self.high + 1):
            y = self.y(10.0**power)
            parts.append(
                f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
                'stroke="#ddd"/>'
                f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_unit(power)}</text>'
            )
        return parts


def _unit(power: int) -> str:
    if power >= 0:
        return f"{10**power} s"
    return f"{10 ** (power + 3)} ms" if power >= -3 else f"{10 ** (power + 6)} us"


def _title(text: str) -> str:
    return f'<text x="{LEFT}" y="22" font-size="14" font-weight="bold">{text}</text>'


def _distribution(latencies: Histogram) -> list[str]:
    """Draw the latency at each share, those near 1 spread out."""
    parts = [_title(f"Latency by percentile, {latencies.count:,} whole responses")]
    if not latencies.count:
        return parts
    scale = _Scale(latencies.least, latencies.most)
    nines = max(2.0, math.log10(latencies.count) + 0.3)

    def x(share: float) -> float:
        spread = -math.log10(max(1.0 - share, 10.0**-nines))
        return LEFT + spread / nines * (WIDTH - LEFT - RIGHT)

    parts += scale.axis()
    for share in SHARES:
        if -math.log10(1.0 - share) > nines:
            break
        parts.append(
            f'<line x1="{x(share):.1f}" x2="{x(share):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" '
            'stroke="#eee"/>'
            f'<text x="{x(share):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">'
            f"{share * 100:g} %</text>"
        )
    points = []
    seen = 0
    for top, count in latencies:
        points.append((x(seen / latencies.count), scale.y(min(top, latencies.most))))
        seen += count
        points.append((x(seen / latencies.count), scale.y(min(top, latencies.most))))
    parts.append(_line(points, "#2166ac"))
    return parts


def _course(timeline: Timeline) -> list[str]:
    """Draw percentiles over time."""
    parts = [_title(f"Latency over time, intervals of {timeline.width:g} s")]
    known = [each for each in timeline.intervals if each.count]
    if not known:
        return parts
    scale = _Scale(min(each.least for each in known), max(each.most for each in known))
    parts += scale.axis()
    count = max(2, len(timeline.intervals))
    across = (WIDTH - LEFT - RIGHT) / (count - 1)
    for at in range(0, count, max(1, count // 8)):
        parts.append(
            f'<text x="{LEFT + at * across:.1f}" y="{HEIGHT - BOTTOM + 18}" '
            f'text-anchor="middle">{at * timeline.width:g} s</text>'
        )
    for number, (share, colour) in enumerate(COURSES):
        points = []
        for at, each in enumerate(timeline.intervals):
            value = each.percentile(share)
            if value is not None:
                points.append((LEFT + at * across, scale.y(value)))
        parts.append(_line(points, colour))
        parts.append(
            f'<text x="{WIDTH - RIGHT - 140 + number * 50}" y="22" fill="{colour}">'
            f"p{share * 100:g}</text>"
        )
    return parts


def _line(points: list[tuple[float, float]], colour: str) -> str:
    if len(points) == 1:
        x, y = points[0]
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'

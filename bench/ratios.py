"""Draw how many times the processor time of fasthio others take, as one SVG for the README.

`python -m bench.ratios` draws it again from results.json; `make bench` does so by itself.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["draw", "picture", "rows"]

FOLDER = Path(__file__).resolve().parent
PATH = FOLDER / "plots" / "ratios.svg"

#: What is shown of the parsers, the clients and the chores.
PARSERS = {
    "small": "parse: 731 octets of JSON",
    "first-seen": "parse: a head never seen before",
    "chunks-64": "parse: 64 KiB in 64 B chunks",
    "chunks-16k-fed-64k": "parse: 1 MiB in 16 KiB chunks",
    "length-1m": "parse: 1 MiB with Content-Length",
}
CLIENTS = {
    "small": "client: small JSON answer",
    "small-tls": "client: the same over TLS",
    "big": "client: 64 MiB file",
}
CHORES = {"idle": "client: service() with nothing to do", "make-http": "client: Client()"}
#: Bounds, not peers.
BOUNDS = {"plain copy", "raw socket"}

WIDTH, LEFT, RIGHT, TOP, STEP = 860, 270, 40, 64, 30
OURS, HIO, PEER, TEXT, FAINT = "#0b6e4f", "#c8553d", "#6b7785", "#1f2933", "#d5dbe1"
#: Text over lines of the grid.
OVER = 'font-size="11" paint-order="stroke" stroke="#ffffff" stroke-width="3"'
FONT = "ui-sans-serif, system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif"


class Row(NamedTuple):
    """One comparison: processor time of others over that of fasthio."""

    title: str
    hio: float
    peer: str | None
    ratio: float | None


def _row(title: str, times: dict[str, float], ours: str) -> Row:
    own = times[ours]
    peers = {
        name: value
        for name, value in times.items()
        if not name.startswith(("fasthio", "hio")) and name not in BOUNDS
    }
    best = min(peers, key=lambda name: peers[name]) if peers else None
    return Row(title, times["hio"] / own, best, peers[best] / own if best else None)


def rows(results: dict[str, Any]) -> list[Row]:
    """Compute the ratios, of medians of processor time; the peer is the fastest there is."""

    def medians(found: dict[str, dict[str, float]]) -> dict[str, float]:
        return {name: each["cpu_median"] for name, each in found.items()}

    made = []
    for case, title in PARSERS.items():
        if case in results.get("parsers", {}):
            made.append(_row(title, medians(results["parsers"][case]["us"]), "fasthio C"))
    for each in results.get("events", []):
        if (each["ends"], each["feed"]) == ("LF", 4096):
            made.append(_row("parse: server-sent events", each["us"], "fasthio c"))
    scenes = results.get("clients", {}).get("scenes", {})
    for scene, title in CLIENTS.items():
        if scene in scenes:
            made.append(_row(title, medians(scenes[scene]["us"]), "fasthio"))
    for chore, title in CHORES.items():
        if chore in results.get("chores", {}):
            made.append(_row(title, medians(results["chores"][chore]), "fasthio"))
    return made


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _axis(found: list[Row]) -> tuple[Callable[[float], float], list[float]]:
    """Make a logarithmic axis that all ratios fit on, with its ticks."""
    values = [value for row in found for value in (row.hio, row.ratio) if value]
    low, high = min(0.5, *values), max(20.0, *values) * 1.6
    scale = (WIDTH - LEFT - RIGHT) / math.log(high / low)
    ticks = [tick for tick in (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if tick <= high]
    return lambda value: LEFT + math.log(value / low) * scale, [t for t in ticks if t >= low]


def picture(results: dict[str, Any]) -> str:
    """Draw the ratios: right of the line fasthio takes less time than the other, left of it more.

    Raises:
        ValueError: the results hold nothing that is shown.
    """
    found = rows(results)
    if not found:
        raise ValueError("no results to draw")
    x, ticks = _axis(found)
    bottom = TOP + STEP * len(found)
    height = bottom + 44
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" font-family="{FONT}" font-size="13">',
        "<title>Processor time of others over that of fasthio</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="24" fill="{TEXT}" font-size="15" font-weight="600">'
        "Processor time of others, fasthio's being 1 (logarithmic)</text>",
        f'<circle cx="22" cy="44" r="5" fill="{HIO}"/>'
        f'<text x="33" y="48" fill="{TEXT}">hio</text>'
        f'<circle cx="72" cy="44" r="5" fill="{PEER}"/>'
        f'<text x="83" y="48" fill="{TEXT}">the fastest of the other libraries measured</text>',
    ]
    for tick in ticks:
        strong = tick == 1
        lines.append(
            f'<line x1="{x(tick):.1f}" y1="{TOP - 6}" x2="{x(tick):.1f}" y2="{bottom}" '
            f'stroke="{OURS if strong else FAINT}" stroke-width="{2 if strong else 1}"/>'
            f'<text x="{x(tick):.1f}" y="{bottom + 18}" fill="{OURS if strong else TEXT}" '
            f'text-anchor="middle" font-size="12">{tick:g}</text>'
        )
    for place, row in enumerate(found):
        y = TOP + STEP * place + STEP / 2
        lines.append(
            f'<text x="{LEFT - 12}" y="{y + 4:g}" fill="{TEXT}" text-anchor="end">'
            f"{html.escape(row.title)}</text>"
        )
        if row.peer is not None and row.ratio is not None:
            lines.append(
                f'<circle cx="{x(row.ratio):.1f}" cy="{y + 6:g}" r="5" fill="{PEER}"/>'
                f'<text x="{x(row.ratio) + 9:.1f}" y="{y + 10:g}" fill="{PEER}" {OVER}>'
                f"{_number(row.ratio)} {html.escape(row.peer.partition(' ')[0])}</text>"
            )
        lines.append(
            f'<circle cx="{x(row.hio):.1f}" cy="{y - 6:g}" r="5" fill="{HIO}"/>'
            f'<text x="{x(row.hio) + 9:.1f}" y="{y - 2:g}" fill="{HIO}" {OVER}>'
            f"{_number(row.hio)}</text>"
        )
    first = next(iter(results.get("measured", {}).values()), {})
    about = ", ".join(
        str(first[key]) for key in ("python", "processor", "date", "commit") if first.get(key)
    )
    lines.append(
        f'<text x="16" y="{height - 8}" fill="{PEER}" font-size="11">{html.escape(about)}</text>'
    )
    return "\n".join([*lines, "</svg>", ""])


def draw(results: dict[str, Any]) -> Path:
    """Write the picture; returns where."""
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(picture(results), encoding="utf-8")
    return PATH


if __name__ == "__main__":
    print(f"written: {draw(json.loads((FOLDER / 'results.json').read_text(encoding='utf-8')))}")

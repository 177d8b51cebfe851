"""Make the pictures of the README: `python tools/pictures.py [poll] [ratios]`.

`poll` runs `fasthio demo` as a terminal would show it and keeps what its live view shows after
four of five seconds, as docs/pictures/poll.svg; needs rich. `ratios` draws bench/results.json.
"""

from __future__ import annotations

import io
import json
import re
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
POLL = ROOT / "docs" / "pictures" / "poll.svg"
#: Columns of the terminal, and seconds into the demo at which the picture is taken.
COLUMNS, MOMENT = 100, 4.0


class Terminal(io.StringIO):
    """Stand for a terminal that nobody looks at."""

    def isatty(self) -> bool:
        """Say that it is one."""
        return True


def poll() -> Path:
    """Run the demo and draw its live view."""
    from rich.console import Console

    from fasthio import cli, pollview

    frames: list[tuple[float, Any]] = []
    draw = pollview.Table.draw

    def kept(table: Any) -> Any:
        frame = draw(table)
        frames.append((time.monotonic() - table.totals.start, frame))
        return frame

    with (
        mock.patch.object(pollview.Table, "draw", kept),
        mock.patch.object(sys, "stdout", Terminal()),
    ):
        status = cli.main(["demo"])
    if status != 0 or not frames:
        raise RuntimeError(f"the demo ended with {status} after {len(frames)} frames")
    _, frame = min(frames, key=lambda each: abs(each[0] - MOMENT))
    console = Console(
        file=io.StringIO(), width=COLUMNS, force_terminal=True, color_system="truecolor",
        record=True, legacy_windows=False,
    )  # fmt: skip
    console.print(frame)
    drawn = console.export_svg(title="fasthio demo", unique_id="fasthio")
    # no fonts from elsewhere
    drawn = re.sub(r"@font-face \{.*?\}\n?", "", drawn, flags=re.DOTALL)
    drawn = drawn.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace")
    POLL.parent.mkdir(exist_ok=True)
    POLL.write_text("\n".join(line.rstrip() for line in drawn.splitlines()) + "\n", "utf-8")
    return POLL


def ratios() -> Path:
    """Draw the results of the benchmarks."""
    from bench import ratios as made

    results = ROOT / "bench" / "results.json"
    return made.draw(json.loads(results.read_text(encoding="utf-8")))


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "src")]
    makers = {"poll": poll, "ratios": ratios}
    for name in sys.argv[1:] or list(makers):
        if name not in makers:
            sys.exit(f"pictures: {' and '.join(makers)}, not {name!r}")
        print(f"written: {makers[name]().relative_to(ROOT)}")

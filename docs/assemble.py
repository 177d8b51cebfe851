"""Assemble docs/differences.md from the parts in docs/differences.d.

Run as `python docs/assemble.py`; with `--check` it changes nothing and fails
where the page is not what it would write.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
PARTS = HERE / "differences.d"
PAGE = HERE / "differences.md"

HEAD = """\
# Differences from hio

Where hio gives a usable answer fasthio gives the same: the same request octets, attributes,
types and order. Where hio hangs, crashes with an untyped exception, corrupts or loses data,
leaks credentials or answers differently at another split, fasthio gives the right answer or a
typed error. These are all of those places. Each has a test that carries its number.

This page is assembled from `differences.d` by `python docs/assemble.py`.

| | hio | fasthio | why |
| --- | --- | --- | --- |
"""


def rows() -> list[str]:
    """Give all rows, in the order of their numbers.

    Raises:
        SystemExit: a line is no row, or a number comes twice.
    """
    found: dict[int, str] = {}
    for part in sorted(PARTS.glob("*.md")):
        for line in part.read_text().splitlines():
            match = re.match(r"\| D(\d+) \|.*\|$", line)
            if match is None:
                if line.startswith("| D"):
                    sys.exit(f"{part.name}: not a row: {line}")
                continue
            number = int(match[1])
            if number in found:
                sys.exit(f"{part.name}: D{number} is there already")
            found[number] = line
    return [found[number] for number in sorted(found)]


def page() -> str:
    """Give the text of the page."""
    return HEAD + "\n".join(rows()) + "\n"


def main() -> None:
    """Write the page, or check it."""
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page())
    elif not PAGE.exists() or PAGE.read_text() != page():
        sys.exit("docs/differences.md is not current: run python docs/assemble.py")


if __name__ == "__main__":
    main()

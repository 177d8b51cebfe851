"""Run the suite on each Python with each hio that it can have, and write the table of that.

    python tools/matrix.py list             the cells
    python tools/matrix.py run [CELL ...]   run all, or some, into docs/matrix.json, and
    python tools/matrix.py table [--check]  write the table of docs/compatibility.md

A cell is PYTHON-HIO, as 3.13-0.6.19, with -pure for the wheel without the C engine. The suite runs
on an installed wheel (tools/wheeltest.py); --core runs the part of it that meets hio and Python.
A Python that is not on the PATH is one of pyenv, else that of Debian forky (tools/forky.py).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import wheeltest

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "docs" / "matrix.json"
PAGE = ROOT / "docs" / "compatibility.md"
BEGIN = "<!-- made of docs/matrix.json by tools/matrix.py -->\n"
END = "<!-- so far -->\n"
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14", "3.14t")
#: The versions of hio, with the Python that each asks for.
HIOS = {
    "0.6.10": (3, 10, 4),
    "0.6.14": (3, 12, 2),
    "0.6.19": (3, 12, 6),
    "0.7.20": (3, 14, 0),
}
PURE = ("3.10-0.6.10", "3.14-0.7.20")
FORKY = "3.14"
#: Free-threaded (tools/freethreaded.py): lmdb and brotli turn the GIL on, orjson refuses it.
THREADED = "3.14t"
THREADED_OPTIONS = ("--no-gil", "--without", "orjson")


def find(version: str) -> str | None:
    """Find a Python of that version that can make virtual environments."""
    name = f"python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    places = [shutil.which(name), *sorted(map(str, pyenv.glob(f"{version}.*/bin/{name}")))]
    places.append(str(ROOT / "build" / name / "bin" / name))  # of tools/freethreaded.py
    places = [place for place in places if place and Path(place).exists()]
    for place in places:
        probe = [place, "-c", "import venv, ensurepip"]
        if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return place
    return None


def micro(python: str | None) -> tuple[int, ...]:
    """Tell the full version of a Python; that of forky is new enough for all."""
    if python is None:
        return (99,)
    code = "import sys; print(*sys.version_info[:3])"
    shown = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return tuple(map(int, shown.stdout.split()))


def cells() -> list[str]:
    """List what can be run: each Python with each hio that installs there."""
    found = []
    for version in PYTHONS:
        python = find(version)
        if python is None and version != FORKY:
            print(f"skipped: there is no Python {version} here", file=sys.stderr, flush=True)
            continue
        minor = tuple(map(int, version.rstrip("t").split(".")))
        for hio, least in HIOS.items():
            if minor >= least[:2] and micro(python) >= least:
                found.append(f"{version}-{hio}")
    return found + [f"{cell}-pure" for cell in PURE if cell in found]


def run(cell: str, sdist: Path, rest: list[str]) -> int:
    """Run one cell; its exit status, 77 where it is skipped."""
    version, hio, *pure = cell.split("-")
    python = find(version)
    tool = ["forky.py"] if python is None else ["wheeltest.py", "--python", python]
    build = ["--build", "pure" if pure else "strict"]
    command = [sys.executable, str(ROOT / "tools" / tool[0]), *tool[1:], "--hio", hio, *build]
    command += THREADED_OPTIONS if version == THREADED else ()
    command += ["--sdist", str(sdist), "--record", str(RECORDS), *rest]
    print(f"--- {cell} ---", flush=True)
    return subprocess.run(command, check=False).returncode


def counted(counts: dict[str, int] | None) -> str:
    """Write the counts of one engine."""
    if counts is None:
        return ""
    if set(counts) <= {"passed", "skipped"}:
        return f"{counts.get('passed', 0):,}"
    return ", ".join(f"{number:,} {what}" for what, number in sorted(counts.items()))


def rows(records: list[dict[str, Any]]) -> list[str]:
    """Write the rows of the table."""
    lines = [
        "| Python | hio | multidict | wheel | tests | on C | on Python | skipped | of |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    for record in records:
        name = f"{record['implementation']} {record['python']}"
        name += " free-threaded" if record["free_threaded"] else ""
        engines = record["engines"]
        skipped = sum(counts.get("skipped", 0) for counts in engines.values())
        scope = record["scope"]
        if record["left_out"]:
            scope += f", without {', '.join(record['left_out'])}"
        interpreter, abi, platform = record["wheel"].split("-")
        tags = abi if platform == "linux_x86_64" else f"{interpreter}-{abi}-{platform}"
        of = " ".join(filter(None, [record.get("commit"), record["date"]]))
        columns = [
            name, record["hio"], record["multidict"], f"`{tags}`", scope,
            counted(engines.get("c")), counted(engines.get("py")), str(skipped), of,
        ]  # fmt: skip
        lines.append(f"| {' | '.join(columns)} |")
    return lines


def page() -> str:
    """Make the whole text of the page."""
    text = PAGE.read_text(encoding="utf-8")
    records = json.loads(RECORDS.read_text(encoding="utf-8"))
    before, _, after = text.partition(BEGIN)
    _, _, after = after.partition(END)
    assert after, f"{PAGE} has no place for the table"
    return before + BEGIN + "\n".join(rows(records)) + "\n" + END + after


def main() -> int:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("list", "run", "table"))
    parser.add_argument("--check", action="store_true", help="fail where the table is not current")
    options, rest = parser.parse_known_args()
    if options.what == "list":
        print(*cells(), sep="\n")
        return 0
    if options.what == "run":
        chosen = [part for part in rest if not part.startswith("-")]
        rest = [part for part in rest if part.startswith("-")]
        # one sdist for all: its table is that of its records, which change from cell to cell
        with tempfile.TemporaryDirectory(prefix="fasthio-") as name:
            sdist = wheeltest.build_sdist(Path(name))
            rest += ["--commit", wheeltest.commit()]
            states = {cell: run(cell, sdist, rest) for cell in chosen or cells()}
        PAGE.write_text(page(), encoding="utf-8")
        for cell, state in states.items():
            print(f"{cell}: {'skipped' if state == 77 else 'failed' if state else 'passed'}")
        return int(any(state not in (0, 77) for state in states.values()))
    if not options.check:
        PAGE.write_text(page(), encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != page():
        sys.exit("docs/compatibility.md is not what docs/matrix.json says: tools/matrix.py table")
    return 0


if __name__ == "__main__":
    sys.exit(main())

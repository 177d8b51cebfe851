"""Write the changes that are not released yet, changelog.d/, to the head of CHANGELOG.md.

    python tools/changes.py             make that section anew
    python tools/changes.py --check     fail where it is not what changelog.d/ says
    python tools/changes.py --release   date it, and remove the files it was made of

towncrier does the work; it has to be installed.
"""

from __future__ import annotations

import argparse
import datetime
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UNRELEASED = re.compile(r"## [^\n]* \(not released\)\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)


def version() -> str:
    """Read the version of the package."""
    text = (ROOT / "src" / "fasthio" / "__init__.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    assert match is not None
    return match[1]


def build(root: Path, date: str, *options: str) -> None:
    """Let towncrier write the section of our version in the tree at root."""
    log = root / "CHANGELOG.md"
    log.write_text(UNRELEASED.sub("", log.read_text(encoding="utf-8")), encoding="utf-8")
    command = [sys.executable, "-m", "towncrier", "build", "--name", "fasthio"]
    command += ["--version", version(), "--date", date, "--dir", str(root), *options]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr + done.stdout)
    # towncrier leaves empty lines at the end
    log.write_text(log.read_text(encoding="utf-8").rstrip() + "\n", encoding="utf-8")


def made() -> str:
    """Make the whole text of CHANGELOG.md, in a folder of its own."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for file in ("CHANGELOG.md", "pyproject.toml"):
            shutil.copy(ROOT / file, root)
        shutil.copytree(ROOT / "changelog.d", root / "changelog.d")
        build(root, "not released", "--keep")
        return (root / "CHANGELOG.md").read_text(encoding="utf-8")


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true")
    what.add_argument("--release", action="store_true")
    options = parser.parse_args()
    log = ROOT / "CHANGELOG.md"
    if options.release:
        build(ROOT, datetime.date.today().isoformat(), "--yes")
    elif not options.check:
        log.write_text(made(), encoding="utf-8")
    elif log.read_text(encoding="utf-8") != made():
        sys.exit("CHANGELOG.md is not what changelog.d/ says: run tools/changes.py")


if __name__ == "__main__":
    main()

"""Do what the README says, word for word, in a fresh clone.

`python tools/newcomer.py [PYTHON ...]`: for each Python given (by default its own) clones the
committed state of this repository, runs the console blocks of README.md and its python blocks as
one program, in an environment of their own, then each of examples/*.py. `--skip WORD` leaves out
commands that hold the word, such as "make test".
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def blocks(text: str, language: str) -> list[str]:
    """Give the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def shell(commands: str, folder: Path, environment: dict[str, str], quiet: bool = False) -> None:
    """Run commands in one bash, as typed one after the other; the first that fails ends it."""
    print("".join(f"  $ {line}\n" for line in commands.splitlines()), end="", flush=True)
    start = time.monotonic()
    done = subprocess.run(
        ["bash", "-c", f"set -em\ntrap 'kill $(jobs -p) 2>/dev/null || :' EXIT\n{commands}"],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    shown = done.stdout.splitlines()
    failed = [line for line in shown[:-25] if line.startswith(("FAILED", "ERROR"))]
    for line in shown[-3:] if quiet and done.returncode == 0 else [*failed, *shown[-25:]]:
        print(f"    {line}")
    print(f"    ({time.monotonic() - start:.0f} s)", flush=True)
    if done.returncode != 0:
        sys.exit(f"newcomer: ended with {done.returncode}")


def typed(block: str, skip: list[str]) -> str:
    """Make a script of a console block: Ctrl-C where the reader would press it."""
    lines = [line[2:] for line in block.splitlines() if line.startswith("$ ")]
    lines = [line for line in lines if not any(word in line for word in skip)]
    script = []
    for line in lines:
        if line.startswith("fasthio watch"):
            line = f"{line} & watch=$!; sleep 8; kill -INT $watch; wait $watch"
        script.append(line)
        if line.endswith(" &"):
            script.append("sleep 5")
    return "\n".join(script)


def trial(python: str, skip: list[str]) -> None:
    """Be new here."""
    print(f"{python}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run(["git", "clone", "--quiet", ROOT, folder / "fasthio"], check=True)
        clone = folder / "fasthio"
        own = folder / "own"
        subprocess.run([python, "-m", "venv", own], check=True)
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("PYTHONPATH", "VIRTUAL_ENV")
        }
        environment |= {"PATH": f"{own / 'bin'}{os.pathsep}{environment['PATH']}", "PYTHON": python}
        readme = (clone / "README.md").read_text(encoding="utf-8")
        for block in blocks(readme, "console"):
            if commands := typed(block, skip):
                shell(commands, clone, environment, quiet=True)
        program = folder / "program.py"
        program.write_text("\n".join(blocks(readme, "python")), encoding="utf-8")
        shell(f"python {program}", folder, environment)
        needs = "trustme 'fasthio[fleet]'"  # as examples/README.md says
        shell(f"pip install --quiet --disable-pip-version-check {needs}", folder, environment, True)
        for example in sorted((clone / "examples").glob("*.py")):
            shell(f"python examples/{example.name}", clone, environment)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pythons", nargs="*", default=[sys.executable])
    parser.add_argument("--skip", action="append", default=[], help="leave out such commands")
    options = parser.parse_args()
    for python in options.pythons:
        trial(python, options.skip)
    print("newcomer: all went as written")

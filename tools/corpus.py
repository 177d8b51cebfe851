"""Look after the corpus of responses in tests/corpus/.

    python tools/corpus.py fill     write the logs of new cases in full
    python tools/corpus.py seeds    write the cases as fuzz seeds, fuzz/seeds/
    python tools/corpus.py oracles  write docs/oracles.md

A new case needs only what its author knows: `error bad-status`, or `status 200`
and `body "hello"`. `fill` runs it on both engines, refuses where a line that
stands there is not among theirs, and writes the whole log. Read it before you
commit it: from then on it is the law.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from cases import CASES, FOLDER, Case, log_of, run  # noqa: E402
from fasthio.engine import load  # noqa: E402

SEEDS = ROOT / "fuzz" / "seeds"


def log_from(case: Case, name: str) -> list[str]:
    """Run a case on an engine and write down what it says."""
    parser = load(name).ResponseParser(limits=case.bounds)
    result = run(parser, [case.octets], case.method, case.eof)
    return log_of(parser, result.rest)


def missing(case: Case, log: list[str]) -> list[str]:
    """Give the lines an author wrote that a log does not have."""
    stated = [line for line in case.log if not line.endswith(' ""') or line.startswith("reason")]
    stated = [line for line in stated if line]
    if not any(line.startswith(("error", "state")) for line in stated):
        stated.append("state done")
    return [line for line in stated if not any(f"{said} ".startswith(f"{line} ") for said in log)]


def fill() -> int:
    """Write the logs in full; give the number of cases that are not as their author says."""
    wrong = 0
    logs: dict[tuple[str, str], list[str]] = {}
    for case in CASES:
        log = log_from(case, "py")
        other = log_from(case, "c")
        lacks = missing(case, log)
        if log != other or lacks:
            wrong += 1
            print(f"{case.name}\n  lacks {lacks}\n  py {log}\n  c  {other}")
            continue
        logs[case.file, case.title] = log
    for path in sorted(FOLDER.glob("*.md")):
        text = path.read_text("utf-8")

        def write(match: re.Match[str], stem: str = path.stem) -> str:
            log = logs.get((stem, match[2]))
            return match[0] if log is None else f"{match[1]}```log\n" + "\n".join(log) + "\n```\n"

        path.write_text(
            re.sub(
                r"(^### ([^\n]+)\n(?:(?!^###).)*?)```log\n.*?```\n", write, text, flags=re.M | re.S
            ),
            "utf-8",
        )
    return wrong


def seeds() -> int:
    """Write each case as a file that the fuzz targets read."""
    shutil.rmtree(SEEDS, ignore_errors=True)
    SEEDS.mkdir(parents=True)
    for number, case in enumerate(CASES):
        if len(case.octets) <= 4096:
            name = re.sub(r"[^a-z0-9]+", "-", case.name.lower()).strip("-")
            (SEEDS / f"{number:03}-{name[:60]}").write_bytes(seed_of(case))
    print(f"{len(list(SEEDS.iterdir()))} seeds in {SEEDS.relative_to(ROOT)}")
    return 0


def seed_of(case: Case) -> bytes:
    """Write a case as the fuzz targets read it: two octets of settings, then the response."""
    methods = ("GET", "HEAD", "CONNECT", "POST")
    method = methods.index(case.method) if case.method in methods else 0
    return bytes([method << 2 | case.eof << 1 | bool(case.limits), 0]) + case.octets


def oracles() -> int:
    """Write the table of all cases that other parsers read in another way."""
    from oracles import PAGE, page

    PAGE.write_text(page(), "utf-8")
    print(PAGE.relative_to(ROOT))
    return 0


def main() -> int:
    """Run one command."""
    commands = {"fill": fill, "seeds": seeds, "oracles": oracles}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("command", choices=commands)
    return int(commands[parser.parse_args().command]() > 0)


if __name__ == "__main__":
    sys.exit(main())

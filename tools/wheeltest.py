"""Run the suite on an installed wheel, far from the sources.

    python tools/wheeltest.py [--python EXE] [--hio VERSION] [PYTEST ARGUMENTS ...]

Builds an sdist, of it a wheel for that Python, installs the wheel with what the suite needs into a
fresh virtual environment in a temporary folder, unpacks the sdist there without the package, and
runs the suite in that folder. So what passes is what users get: nothing of src/ can be imported.
The sdist needs the module `build` in the Python that runs this.

--record FILE adds what was run and what came of it to a JSON file: tools/matrix.py makes the table
of docs/compatibility.md of such records.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
#: The parts that meet hio, Python and the operating system; the rest differs less with these.
CORE = (
    "client_alike client_containers client_doers client_programs client_replaced clienting "
    "connecting engine errors grammar installing interpreters kept_heads package parser "
    "parser_buffers parser_calls parser_grammar parser_memory polling polling_checks "
    "polling_hostile polling_names polling_redirects publishing receiving redirecting repeating "
    "request_differences requesting responding responding_by_hand response_differences running "
    "stream_asking stream_ends streaming syntax tls_receiving tls_sessions tlsing waiting"
)
#: Asked of the Python that has the wheel.
FACTS = """
import json, platform, sys, sysconfig
from importlib import metadata
from pathlib import Path
import fasthio
try:
    import fasthio._parser as engine
except ImportError:
    engine = None
print(json.dumps({
    "package": str(Path(fasthio.__file__).resolve()),
    "engine": engine and Path(engine.__file__).name,
    "implementation": platform.python_implementation(),
    "python": platform.python_version(),
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "hio": metadata.version("hio"),
    "multidict": metadata.version("multidict"),
    "system": platform.platform(terse=True),
}))
"""


def run(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command that has to succeed."""
    print("+", *command, file=sys.stderr, flush=True)
    return subprocess.run([str(part) for part in command], check=True, text=True, **options)


def commit(tree: Path = ROOT) -> str:
    """Name the commit of this tree, with a + where something else than the table was changed."""
    git = ["git", "-C", str(tree)]
    table = [":!docs/matrix.json", ":!docs/compatibility.md"]
    try:
        named = subprocess.run(
            [*git, "rev-parse", "--short=9", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--", ".", *table], capture_output=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return named + "+" * bool(changed)


def clean_environment(**more: str) -> dict[str, str]:
    """Give our environment without what would lead Python to the sources."""
    kept = {name: os.environ[name] for name in os.environ if not name.startswith("PYTHON")}
    kept.pop("FASTHIO_ENGINE", None)
    return {**kept, **more}


def importing(tree: Path, names: set[str]) -> list[str]:
    """List the test modules that cannot be without a package that is left out."""
    if not names:
        return []
    tests = {path: path.read_text() for path in sorted((tree / "tests").glob("*.py"))}

    def ask(names: set[str]) -> list[Path]:
        asked = rf"^(?:import|from) (?:{'|'.join(map(re.escape, names))})\b"
        return [path for path, text in tests.items() if re.search(asked, text, re.MULTILINE)]

    helpers = {path.stem for path in ask(names) if not path.stem.startswith("test_")}
    found = [path for path in ask(names | helpers) if path.stem.startswith("test_")]
    return [str(path.relative_to(tree)) for path in found]


def bounds(requirements: list[str]) -> list[str]:
    """Give those that bound what hio asks for: what else there is in --also comes later."""
    return [one for one in requirements if one.startswith(("cbor2", "lmdb", "multidict"))]


def build_sdist(folder: Path) -> Path:
    """Build the sdist of this tree."""
    run(sys.executable, "-m", "build", "--sdist", "--outdir", folder, ROOT, stdout=sys.stderr)
    return only(folder, "*.tar.gz")


def only(folder: Path, pattern: str) -> Path:
    """Give the one file of a folder that matches."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        sys.exit(f"one {pattern} was expected in {folder}, there are {len(found)}")
    return found[0]


def unpack_tests(sdist: Path, folder: Path) -> Path:
    """Unpack an sdist and take the package out of it."""
    with tarfile.open(sdist) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extractall(folder, filter="data")
        else:
            archive.extractall(folder)
    tree = only(folder, "fasthio-*")
    shutil.rmtree(tree / "src" / "fasthio")
    return tree


def requirements(python: Path, wheel: Path, without: set[str]) -> list[str]:
    """List what the extras that the suite needs ask for, but for what is left out."""
    code = (
        "import email, sys, zipfile; from pip._vendor.packaging.requirements import Requirement\n"
        "archive = zipfile.ZipFile(sys.argv[1])\n"
        "name = next(n for n in archive.namelist() if n.endswith('.dist-info/METADATA'))\n"
        "metadata = email.message_from_bytes(archive.read(name))\n"
        "asked = ('poll', 'test', 'compress', 'fleet', 'speed')\n"
        "for one in map(Requirement, metadata.get_all('Requires-Dist')):\n"
        "    if one.name != 'fasthio' and (one.marker is None or "
        "any(one.marker.evaluate({'extra': extra}) for extra in asked)):\n"
        "        print(one.name, one.specifier)"
    )
    listed = run(python, "-c", code, wheel, capture_output=True).stdout.splitlines()
    return ["".join(line.split()) for line in listed if line.split()[0].lower() not in without]


def parse_arguments() -> tuple[argparse.Namespace, list[str]]:
    """Read the command line; what is not ours is pytest's."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", default=sys.executable, help="the Python to test with")
    parser.add_argument("--hio", help="the version of hio; without it the newest that installs")
    parser.add_argument("--build", choices=("strict", "pure"), default="strict")
    parser.add_argument("--sdist", type=Path, help="take this one")
    parser.add_argument("--wheel", type=Path, help="take this one; give its sdist as well")
    parser.add_argument("--core", action="store_true", help=f"only tests of: {CORE}")
    parser.add_argument("--without", default="", help="needs of the suite to leave out: a,b")
    parser.add_argument("--also", default="", help="requirements of pip to add: a,b<2")
    parser.add_argument(
        "--bare",
        action="store_true",
        help="install hio without what it asks for; what is needed of that stands in --also",
    )
    parser.add_argument(
        "--no-gil",
        action="store_true",
        help="keep the GIL off where something would turn it on again",
    )
    parser.add_argument("--record", type=Path, help="add the outcome to this JSON file")
    parser.add_argument("--commit", help="what the record says the sdist is of")
    parser.add_argument("--temporary", help="the folder for temporary files")
    return parser.parse_known_args()


def main() -> int:
    """Build, install, run; give the suite's exit status."""
    options, rest = parse_arguments()
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wheeltest-", dir=options.temporary) as name:
        folder = Path(name).resolve()
        sdist = (options.sdist or build_sdist(folder)).resolve()
        tree = unpack_tests(sdist, folder / "tree")
        run(options.python, "-m", "venv", folder / "venv")
        # not resolved: a link inside a virtual environment is what makes it one
        python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
        wheel = options.wheel and options.wheel.resolve()
        if wheel is None:
            run(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, sdist,
                env=clean_environment(FASTHIO_BUILD=options.build))  # fmt: skip
            wheel = only(folder, "*.whl")
        without = {part.strip().lower() for part in options.without.split(",") if part}
        hio = [f"hio=={options.hio}"] if options.hio else []
        also = [part for part in options.also.split(",") if part]
        needs = requirements(python, wheel, without)
        install = [python, "-m", "pip", "install", "--quiet"]
        if not options.bare:
            run(*install, wheel, *hio, *bounds(also), env=clean_environment())
            run(python, "-W", "ignore", tree / "tools" / "bare.py", cwd=folder,
                env=clean_environment(), stdout=sys.stderr)  # fmt: skip
        if options.bare:
            run(*install, "--no-deps", wheel, *hio, env=clean_environment())
            needs = [need for need in needs if not need.startswith("hio")]
            run(*install, *also, *needs, env=clean_environment())
        else:
            run(*install, wheel, *hio, *also, *needs, env=clean_environment())
        gil = {"PYTHON_GIL": "0"} if options.no_gil else {}
        asked = run(python, "-W", "ignore", "-c", FACTS, cwd=folder, capture_output=True,
                    env=clean_environment(**gil))  # fmt: skip
        facts = json.loads(asked.stdout)
        if folder / "venv" not in Path(facts.pop("package")).parents:
            sys.exit("the package that is imported is not that of the wheel")
        if (facts["engine"] is None) != (options.build == "pure" and options.wheel is None):
            sys.exit(f"the wheel {wheel.name} has the engine {facts['engine']}")
        absent = importing(tree, without)
        ignored = [f"--ignore={path}" for path in absent]
        core = [f"tests/test_{module}.py" for module in CORE.split()] if options.core else []
        core = [path for path in core if path not in absent]
        counts = folder / "counts.json"
        suite = subprocess.run(
            [python, "tests/both_engines.py", "-p", "no:cacheprovider", *ignored, *core, *rest],
            cwd=tree,
            env=clean_environment(
                **gil,
                FASTHIO_COUNTS=str(counts),
                FASTHIO_REQUIRE_C="0" if facts["engine"] is None else "1",
            ),
            check=False,
        )
        record = {
            **facts,
            "wheel": re.sub(r"^fasthio-[^-]+-", "", wheel.stem),
            "scope": "core" if core else "full",
            "left_out": sorted(without),
            "also": also,
            "bare": options.bare,
            "engines": json.loads(counts.read_text()),
            "passed": suite.returncode == 0,
            "seconds": round(time.monotonic() - start),
            "date": datetime.date.today().isoformat(),
            "commit": options.commit or commit(),
        }
    if rest:
        print("not recorded: pytest was given arguments of its own", file=sys.stderr)
    elif options.record is not None:
        add_record(options.record, record)
    return suite.returncode


def key(record: dict[str, Any]) -> list[Any]:
    """Tell which place of the matrix a record is of; a later one takes it."""
    minor = [int(part) for part in record["python"].split(".")[:2]]
    hio = [int(part) for part in record["hio"].split(".")]
    pure = record["engine"] is None
    return [record["implementation"], minor, record["free_threaded"], hio, pure]


def add_record(path: Path, record: dict[str, Any]) -> None:
    """Put a record into the file of records, in order."""
    records = json.loads(path.read_text()) if path.exists() else []
    records = [other for other in records if key(other) != key(record)]
    records = sorted([*records, record], key=key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())

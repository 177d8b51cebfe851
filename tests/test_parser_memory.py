"""Memory: no octet read too far, nothing leaked, each in a process of its own."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import fasthio
from conftest import MISSING_C

TESTS = Path(__file__).parent


def script(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script of this folder with the fasthio under test."""
    package = Path(fasthio.__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": f"{package}{os.pathsep}{TESTS}"}
    return subprocess.run(
        [sys.executable, str(TESTS / name), *arguments],
        env=environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


@pytest.mark.skipif(MISSING_C is not None, reason=f"no C engine: {MISSING_C}")
@pytest.mark.skipif(
    sys.implementation.name != "cpython" or sys.platform == "win32" or sys.version_info >= (3, 15),
    reason="sets the pointers inside a bytearray, whose layout is known for CPython 3.10 to 3.14",
)
@pytest.mark.parametrize("overrun", [False, True])
def test_no_octet_behind_the_buffer_is_read(overrun: bool) -> None:
    """Every case, at every split, parsed up to the edge of a page without access.

    The process that then reads one octet behind the edge must end of it.
    """
    done = script("guarded.py", *["--overrun"] * overrun)
    assert done.stdout.endswith("runs at the guard page\n"), done.stderr
    assert int(done.stdout.split()[0]) > 10_000
    assert (done.returncode in (-signal.SIGSEGV, -signal.SIGBUS)) is overrun
    assert overrun or done.returncode == 0, done.stderr


@pytest.mark.skipif(
    importlib.util.find_spec("_testcapi") is None,
    reason="this Python has no _testcapi, by which memory is denied: not tested here",
)
def test_without_memory(engine: ModuleType) -> None:
    """Each allocation of each call denied: MemoryError or the right result, nothing in between."""
    if engine.__name__ == "fasthio._pyparser" and sys.version_info[:2] in ((3, 12), (3, 13)):
        pytest.skip("CPython 3.12 and 3.13 crash in Python code where there is no memory")
    done = script("nomemory.py", engine.__name__)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.endswith(" calls were denied memory\n")
    assert int(done.stdout.split()[0]) > 1000


def test_nothing_leaks(engine: ModuleType) -> None:
    """A hundred thousand messages, right and wrong, leave no more objects than a few."""
    done = script("leaking.py", engine.__name__, "100000")
    assert done.returncode == 0, done.stderr
    blocks, kibibytes = map(int, done.stdout.split())
    assert blocks < 500
    assert kibibytes < 2048

"""running: `fasthio run` runs programs as Python does, with ours for hio's."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SCRIPT = """
import sys
import helper
from hio.core.http import Client, clienting
import __main__
print(__name__, sys.argv[1:], Client.__module__, clienting.Client is Client)
print(__main__.__dict__ is globals(), helper.NAME, sys.path[0] == helper.HOME)
class Pickled: pass
import pickle
print(type(pickle.loads(pickle.dumps(Pickled()))) is Pickled)
sys.exit(7)
"""
HELPER = "import os\nNAME = 'helper'\nHOME = os.path.dirname(os.path.abspath(__file__))\n"
SEEN = "__main__ ['-x', '--count', 'two words'] fasthio.clienting True\nTrue helper True\nTrue\n"
ARGUMENTS = ["-x", "--count", "two words"]


def fasthio(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "fasthio", *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Give a directory with a program `main.py` and a module it imports."""
    home = tmp_path / "program"
    home.mkdir()
    (home / "main.py").write_text(SCRIPT)
    (home / "helper.py").write_text(HELPER)
    return home


def test_script(program: Path, tmp_path: Path) -> None:
    done = fasthio("run", str(program / "main.py"), *ARGUMENTS, cwd=tmp_path)
    assert (done.stdout, done.returncode) == (SEEN, 7), done.stderr


def test_module(program: Path) -> None:
    done = fasthio("run", "-m", "main", *ARGUMENTS, cwd=program)
    assert (done.stdout, done.returncode) == (SEEN, 7), done.stderr


def test_package(program: Path, tmp_path: Path) -> None:
    (program / "__main__.py").write_text(SCRIPT.replace("import helper", "from . import helper"))
    (program / "__init__.py").write_text("")
    done = fasthio("run", "-m", "program", *ARGUMENTS, cwd=tmp_path)
    assert done.stdout == SEEN.replace("helper True", "helper False"), done.stderr
    assert done.returncode == 7


def test_directory(program: Path) -> None:
    (program / "main.py").rename(program / "__main__.py")
    done = fasthio("run", str(program), *ARGUMENTS)
    assert done.stdout == SEEN, done.stderr


def test_archive(program: Path, tmp_path: Path) -> None:
    archive = tmp_path / "program.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(program / "main.py", "__main__.py")
        file.write(program / "helper.py", "helper.py")
    done = fasthio("run", str(archive), *ARGUMENTS)
    assert done.stdout == SEEN, done.stderr


def test_program_that_ends_well(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("print('done')")
    done = fasthio("run", str(tmp_path / "p.py"))
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)


def test_exception_of_the_program(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("raise KeyError('gone')")
    done = fasthio("run", str(tmp_path / "p.py"))
    assert done.returncode == 1
    assert done.stderr.strip().endswith("KeyError: 'gone'")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nowhere/p.py"], "no such program: nowhere/p.py"),
        (["-m", "no_such_module"], "no module named no_such_module"),
        (["-m", "no_such_package.module"], "no module named no_such_package.module"),
        (["-m"], "argument -m: expected a module"),
        ([], "no program given"),
        (["-q", "p.py"], "no such option: -q"),
        ([os.path.dirname(__file__)], f"no __main__ in {os.path.dirname(__file__)}"),
    ],
)
def test_usage_errors(arguments: list[str], complaint: str) -> None:
    done = fasthio("run", *arguments)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1] == f"fasthio run: error: {complaint}"
    assert "Traceback" not in done.stderr


def test_help() -> None:
    done = fasthio("run", "--help")
    assert done.returncode == 0
    assert "fasthio run -m MODULE" in done.stdout


def test_a_module_that_a_program_lacks_is_its_own_error(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("import missing_dependency")
    done = fasthio("run", "-m", "package.module", cwd=tmp_path)
    assert done.returncode == 1
    assert "No module named 'missing_dependency'" in done.stderr

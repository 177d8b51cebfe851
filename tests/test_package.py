"""The package's top level: public names, all there, and cheap until used."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import fasthio

ROOT = Path(__file__).parent.parent


def test_every_public_name_is_there() -> None:
    for name in fasthio.__all__:
        assert getattr(fasthio, name) is not None
        assert name in dir(fasthio)


def test_modules_are_attributes_without_an_import() -> None:
    code = "import fasthio; print(fasthio.clienting.Client is fasthio.Client)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "True\n", done.stderr


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'fasthio' has no attribute 'Clint'"):
        fasthio.Clint  # noqa: B018


def test_version_is_that_of_the_distribution() -> None:
    assert metadata.version("fasthio") == fasthio.__version__


def test_importing_loads_neither_hio_nor_an_engine() -> None:
    code = (
        "import sys; before = set(sys.modules); import fasthio; fasthio.install(lazy=True); "
        "print(sorted(name.partition('.')[0] for name in set(sys.modules) - before "
        "if name.partition('.')[0] in ('hio', 'multidict') or name.startswith('fasthio._') "
        # these cost each start of an environment with a .pth more than all else
        "or name in ('typing', 'threading', 'importlib.util')))"
    )
    environment = {name: os.environ[name] for name in os.environ if name != "FASTHIO_ENGINE"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "[]\n", done.stderr


def test_typing_information_is_installed() -> None:
    home = Path(fasthio.__file__).parent
    assert (home / "py.typed").exists()
    assert (home / "_parser.pyi").exists()


def test_the_library_needs_hio_alone() -> None:
    asked = metadata.requires("fasthio") or []
    assert [line for line in asked if "extra ==" not in line] == ["hio>=0.6.10"]


def test_table_of_runs_is_that_of_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    matrix = runpy.run_path(str(ROOT / "tools" / "matrix.py"))
    assert matrix["PAGE"].read_text(encoding="utf-8") == matrix["page"]()
    for record in json.loads(matrix["RECORDS"].read_text(encoding="utf-8")):
        assert record["passed"], f"{record['python']} with hio {record['hio']}"


def test_wheels_are_tested_with_all_that_the_tests_read() -> None:
    """What cibuildwheel copies for the tests is there, and is the whole of the engine's source."""
    tomllib = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    sources = settings["tool"]["cibuildwheel"]["test-sources"]
    for name in sources:
        assert (ROOT / name).exists(), name
    engine = {f"src/{path.name}" for path in (ROOT / "src").glob("*.p*")}
    assert engine == {name for name in sources if name.startswith("src/")}


def test_free_threaded_wheels_are_tested_with_all_but_orjson() -> None:
    """What cibuildwheel installs for the tests there is the extra test without the extra speed."""
    tomllib = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (other,) = settings["tool"]["cibuildwheel"]["overrides"]
    *asked, extras = settings["project"]["optional-dependencies"]["test"]
    assert other["test-requires"] == asked
    named = set(extras.removeprefix("fasthio[").removesuffix("]").split(","))
    assert named - set(other["test-extras"]) == {"speed"}


def test_published_pythons_are_those_that_are_said() -> None:
    """The classifiers, cibuildwheel and the matrix are of the same Pythons."""
    tomllib = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    said = {
        line.rpartition(" ")[2]
        for line in settings["project"]["classifiers"]
        if line.startswith("Programming Language :: Python :: 3.")
    }
    built = {name.removesuffix("-*") for name in settings["tool"]["cibuildwheel"]["build"]}
    assert built == {f"cp{version.replace('.', '')}" for version in said} | {"cp314t"}
    assert f">={min(said, key=lambda v: int(v[2:]))}" == settings["project"]["requires-python"]

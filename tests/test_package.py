"""The package's top level: public names, all there, and cheap until used."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import fasthio


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
        "if name.partition('.')[0] in ('hio', 'multidict') or name.startswith('fasthio._')))"
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

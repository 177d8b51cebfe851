"""engine: which engine runs, and what is said where it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from types import ModuleType

import pytest

from conftest import MISSING_C, compiler_at_hand
from fasthio import engine as choosing

# stands for a machine without the extension
HIDE_C = "import sys; sys.modules['fasthio._parser'] = None; "


def python(code: str, engine: str | None = None, *options: str) -> subprocess.CompletedProcess[str]:
    """Run code in a Python of its own with FASTHIO_ENGINE set so."""
    environment = {name: os.environ[name] for name in os.environ if name != "FASTHIO_ENGINE"}
    if engine is not None:
        environment["FASTHIO_ENGINE"] = engine
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_c_engine_is_not_silently_absent() -> None:
    required = os.environ.get("FASTHIO_REQUIRE_C") or ("1" if compiler_at_hand() else "0")
    assert required != "1" or MISSING_C is None, (
        f"there is a compiler and no C engine ({MISSING_C}): install again with "
        "FASTHIO_BUILD=strict to see why, or set FASTHIO_REQUIRE_C=0"
    )


def test_each_engine_has_the_whole_api(engine: ModuleType) -> None:
    for name in ("ResponseParser", "EventParser", "receive", "send"):
        assert callable(getattr(engine, name))


def test_choice_is_exported() -> None:
    module = choosing.load(choosing.ENGINE)
    assert choosing.ResponseParser is module.ResponseParser
    assert choosing.EventParser is module.EventParser
    assert choosing.receive is module.receive
    assert choosing.send is module.send


def test_py_can_always_be_asked_for() -> None:
    # pysodium, which hio 0.7 imports, on Python 3.14
    quiet = ("-W", "ignore:Due to '_pack_'")
    done = python("import fasthio; print(fasthio.ENGINE)", "py", "-W", "error", *quiet)
    assert (done.stdout, done.stderr) == ("py\n", "")


@pytest.mark.parametrize("value", [None, "", "auto"])
def test_auto_takes_what_there_is(value: str | None) -> None:
    done = python("import fasthio; print(fasthio.ENGINE)", value)
    assert done.stdout == ("c\n" if MISSING_C is None else "py\n")


def test_auto_without_c_warns_once_and_runs() -> None:
    done = python(
        HIDE_C + "import fasthio, fasthio.engine, fasthio.responding; print(fasthio.ENGINE)",
        "auto",
    )
    assert done.stdout == "py\n"
    assert done.stderr.count("EngineWarning: fasthio runs its Python engine") == 1
    assert "or set FASTHIO_ENGINE=py for no warning\n" in done.stderr


def test_the_warning_is_a_runtime_warning() -> None:
    assert issubclass(choosing.EngineWarning, RuntimeWarning)
    done = python(HIDE_C + "import fasthio; fasthio.ENGINE", "auto", "-W", "error::RuntimeWarning")
    assert done.returncode == 1
    assert "EngineWarning" in done.stderr


def test_c_asked_for_and_missing_is_an_import_error() -> None:
    done = python(HIDE_C + "import fasthio", "c")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: the C engine fasthio._parser cannot be loaded")
    assert "compiler" in last
    assert last.endswith("or set FASTHIO_ENGINE=py or auto")


@pytest.mark.skipif(MISSING_C is not None, reason="no C engine here: covered by the test above")
def test_c_asked_for_and_there() -> None:
    assert python("import fasthio; print(fasthio.ENGINE)", "c").stdout == "c\n"


def test_an_unknown_engine_is_named() -> None:
    done = python("import fasthio", "rust")
    assert done.returncode == 1
    assert "ValueError: FASTHIO_ENGINE must be c, py or auto: 'rust'" in done.stderr


def test_load_refuses_other_names() -> None:
    with pytest.raises(ValueError, match="engine must be one of c, py: 'rust'"):
        choosing.load("rust")


def test_the_python_engine_is_never_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in it is told as it is: no advice about compilers would help."""
    monkeypatch.setitem(sys.modules, "fasthio._pyparser", None)
    with pytest.raises(ImportError, match="_pyparser") as caught:
        choosing.load("py")
    assert "compiler" not in str(caught.value)

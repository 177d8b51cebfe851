"""Choose the engine, once: FASTHIO_ENGINE=c, py or auto (C where it is built).

The only module that knows there are two. `c` fails here when the extension is
missing; `auto` takes the Python engine then and says so with one warning.
"""

from __future__ import annotations

import importlib
import os
import warnings
from types import ModuleType
from typing import TYPE_CHECKING, Final

__all__ = [
    "ENGINE",
    "ENGINES",
    "EngineWarning",
    "EventParser",
    "Publisher",
    "ResponseParser",
    "choose",
    "intact",
    "load",
    "peek",
    "plain_json",
    "receive",
    "send",
]

#: Module of each engine, by its name.
ENGINES: Final = {"c": "fasthio._parser", "py": "fasthio._pyparser"}


class EngineWarning(RuntimeWarning):
    """Tell that the C engine is missing and the Python engine runs in its place."""


def load(name: str) -> ModuleType:
    """Import one engine.

    Args:
        name: "c" or "py".
    Returns:
        The engine's module.
    Raises:
        ValueError: no engine has that name.
        ImportError: the C engine is not built, or does not load; the cause is attached.
    """
    if name not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}: {name!r}")
    try:
        return importlib.import_module(ENGINES[name])
    except ImportError as error:
        if name != "c":
            raise
        other = "py or auto" if os.environ.get("FASTHIO_ENGINE") == "c" else "py for no warning"
        raise ImportError(
            f"the C engine {ENGINES['c']} cannot be loaded ({error}): reinstall fasthio with a "
            "C compiler and the Python headers at hand (pip install --force-reinstall "
            f"--no-cache-dir), or set FASTHIO_ENGINE={other}",
            name=ENGINES["c"],
        ) from error


def choose(wanted: str | None) -> tuple[str, ModuleType]:
    """Choose and import the engine for a value of FASTHIO_ENGINE.

    Args:
        wanted: "c", "py", "auto"; None or "" mean auto.
    Returns:
        Name and module of the engine that runs.
    Raises:
        ValueError: `wanted` is none of these.
        ImportError: "c" is wanted and missing.
    """
    wanted = wanted or "auto"
    if wanted not in (*ENGINES, "auto"):
        raise ValueError(f"FASTHIO_ENGINE must be c, py or auto: {wanted!r}")
    if wanted != "auto":
        return wanted, load(wanted)
    try:
        return "c", load("c")
    except ImportError as error:
        warnings.warn(f"fasthio runs its Python engine: {error}", EngineWarning, stacklevel=2)
        return "py", load("py")


ENGINE, _module = choose(os.environ.get("FASTHIO_ENGINE"))

if TYPE_CHECKING:
    from ._parser import (
        EventParser,
        Publisher,
        ResponseParser,
        intact,
        peek,
        plain_json,
        receive,
        send,
    )
else:
    EventParser = _module.EventParser
    Publisher = _module.Publisher
    ResponseParser = _module.ResponseParser
    intact = _module.intact
    peek = _module.peek
    plain_json = _module.plain_json
    receive = _module.receive
    send = _module.send

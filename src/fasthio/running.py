"""Run a Python program with fasthio's client in the place of hio's: `fasthio run`."""

from __future__ import annotations

import importlib.util
import os
import pkgutil
import runpy
import sys

from .installing import install

__all__ = ["ProgramError", "run_module", "run_script"]


class ProgramError(ValueError):
    """Tell that there is no such program to run."""


def run_script(path: str, arguments: list[str]) -> None:
    """Run a script, or a directory or archive with a `__main__`, as `python PATH` does.

    Args:
        path: the script; its directory becomes `sys.path[0]`.
        arguments: what follows it in `sys.argv`.
    Raises:
        ProgramError: nothing is at `path`, or a directory or archive without a `__main__`.
        SystemExit: the program ends so; any other exception of the program is passed on.
    """
    if not os.path.exists(path):
        raise ProgramError(f"no such program: {path}")
    importer = pkgutil.get_importer(path)
    if importer is not None and importer.find_spec("__main__") is None:
        raise ProgramError(f"no __main__ in {path}")
    sys.argv[:] = [path, *arguments]
    if importer is None:
        _lead_path(os.path.dirname(os.path.realpath(path)))
    else:  # a directory or archive: runpy puts it there
        _lead_path(None)
    install()
    runpy.run_path(path, run_name="__main__")


def run_module(name: str, arguments: list[str]) -> None:
    """Run a module or package, as `python -m NAME` does.

    Args:
        name: dotted name; the current directory becomes `sys.path[0]`.
        arguments: what follows the module's file in `sys.argv`.
    Raises:
        ProgramError: no module has that name.
        SystemExit: the program ends so; any other exception of the program is passed on.
    """
    sys.argv[:] = [name, *arguments]
    _lead_path(os.getcwd())
    install()
    try:
        found = importlib.util.find_spec(name) is not None
    except ModuleNotFoundError as error:  # of a parent package
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        found = False
    if not found:
        raise ProgramError(f"no module named {name}")
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _lead_path(entry: str | None) -> None:
    """Replace our own first entry of `sys.path`, unless Python was told to have none."""
    if getattr(sys.flags, "safe_path", False):  # Python 3.11: -P, -I, PYTHONSAFEPATH
        return
    sys.path[:1] = [] if entry is None else [entry]

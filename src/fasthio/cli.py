"""The command: `fasthio poll`, `watch`, `demo`, `run` and `info`; also `python -m fasthio`."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import sysconfig
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Final

from . import __version__, arguments, pollcli
from .arguments import UsageError

__all__ = ["main"]

#: Exit statuses: all polls succeeded, a poll failed, the command was given wrongly.
OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2

RUN_USAGE: Final = "fasthio run [-h] PROGRAM [ARGS ...]\n       fasthio run -m MODULE [ARGS ...]"

RUN_HELP: Final = "Run a program as Python does, with fasthio's client in the place of hio's."

#: What `info` looks for beyond hio.
OPTIONAL: Final = (
    "rich", "prometheus-client", "orjson", "brotli", "zstandard", "distributed", "pyarrow",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: what follows the command's name; None for `sys.argv[1:]`.
    Returns:
        Exit status: 0, 1 if a poll failed or Ctrl-C came before any was made, 2 if the
            command was given wrongly.
    Raises:
        SystemExit: help or version was asked for, an option is wrong, or the program
            of `fasthio run` ended so.
    """
    argv = list(sys.argv[1:] if arguments is None else arguments)
    if argv[:1] == ["run"]:  # what follows belongs to the program, argparse must not see it
        return _run(argv[1:])
    try:
        return _carry_out(argv)
    except KeyboardInterrupt:  # while it began, or ended: what runs takes it by itself
        print("interrupted", file=sys.stderr)
        return FAILED


def _carry_out(argv: list[str]) -> int:
    parser = _make_parser()
    options = parser.parse_args(argv)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        status = command(options)
        if sys.stdout is not None:  # closed by whoever started us
            sys.stdout.flush()
        return status
    except UsageError as error:
        print(
            f"{options.parser.format_usage()}{options.parser.prog}: error: {error}", file=sys.stderr
        )
        return USAGE
    except BrokenPipeError:  # whoever read our output has enough
        _abandon_output()
        return FAILED
    except OSError as error:  # what we print cannot be written: the disk is full, say
        if error.filename is not None:
            raise  # of a file: a command tells of it by itself, so that this is a bug
        try:
            if sys.stdout is not None:
                sys.stdout.flush()  # it may be something else that failed
        except OSError:
            _abandon_output()
        print(f"{options.parser.prog}: error: {error}", file=sys.stderr)
        return FAILED


def _abandon_output() -> None:
    """Let what is still to be printed go nowhere, as Python would complain of it at exit."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# Arguments -------------------------------------------------------------------


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fasthio", description="hio's HTTP client, made fast.")
    parser.add_argument("--version", action="version", version=f"fasthio {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    pollcli.add_poll(commands)

    watch = commands.add_parser(
        "watch",
        usage="fasthio watch [OPTIONS] URL",
        help="print the events of an event stream as they come",
        description="Print server-sent events as they come, notes on connections to standard "
        "error. A stream that is dropped is taken up again after its last event. The exit status "
        "is 1 if there is no event stream, if it ends with an error, or if fewer events than "
        "--count came. Ctrl-C ends watching.",
    )
    watch.add_argument("url", metavar="URL", type=arguments.url, help="http:// or https:// URL")
    watch.add_argument("--last-event-id", metavar="ID", help="go on after the event of this id")
    watch.add_argument(
        "--count", type=arguments.positive, metavar="N", help="stop after so many events"
    )
    watch.add_argument(
        "--timeout", type=arguments.duration, metavar="S", help="stop after so many seconds"
    )
    watch.add_argument(
        "--idle",
        type=arguments.duration,
        metavar="S",
        help="give a connection up after so many seconds without an event or a comment",
    )
    watch.add_argument(
        "--no-reconnect",
        action="store_false",
        dest="reconnect",
        help="end when the connection does",
    )
    arguments.add_headers(watch)
    watch.add_argument("--json", action="store_true", help="print each event as a line of JSON")
    watch.set_defaults(command=_watch, parser=watch)

    pollcli.add_demo(commands)

    # for the list of commands alone; see `main`
    commands.add_parser("run", help="run a program with fasthio's client in the place of hio's")

    info = commands.add_parser("info", help="print versions, engine, hio found and platform")
    info.set_defaults(command=_info, parser=info)
    return parser


# Commands --------------------------------------------------------------------


def _watch(options: argparse.Namespace) -> int:
    from . import watching

    plan = watching.WatchPlan(
        url=options.url,
        headers=tuple(options.headers),
        last_event_id=options.last_event_id,
        count=options.count,
        timeout=options.timeout,
        idle=options.idle,
        reconnect=options.reconnect,
    )
    show = watching.make_printer(sys.stdout, options.json)
    try:
        end = watching.Watch(plan, show, watching.note).run()
    except KeyboardInterrupt:
        return OK
    except watching.PlanError as error:
        raise UsageError(str(error)) from error
    if end.failure is None:
        return OK
    watching.note(f"FAILED {end.failure}: {end.error}")
    return FAILED


def _run(arguments: list[str]) -> int:
    from .running import ProgramError, run_module, run_script

    try:
        if arguments[:1] in (["-h"], ["--help"]):
            print(f"usage: {RUN_USAGE}\n\n{RUN_HELP}")
        elif arguments[:1] == ["-m"]:
            if len(arguments) == 1:
                raise ProgramError("argument -m: expected a module")
            run_module(arguments[1], arguments[2:])
        elif not arguments:
            raise ProgramError("no program given")
        elif arguments[0].startswith("-"):
            raise ProgramError(f"no such option: {arguments[0]}")
        else:
            run_script(arguments[0], arguments[1:])
    except ProgramError as error:
        print(f"usage: {RUN_USAGE}\nfasthio run: error: {error}", file=sys.stderr)
        return USAGE
    return OK


def _info(options: argparse.Namespace) -> int:
    import warnings

    with warnings.catch_warnings(record=True):  # it is told below, in words
        warnings.simplefilter("always")
        from . import engine
    module = sys.modules[engine.ENGINES[engine.ENGINE]]
    print(f"fasthio    {__version__}")
    print(f"engine     {engine.ENGINE} ({module.__file__})")
    if engine.ENGINE != "c":
        print(f"           {_why_not_c()}")
    print(f"hio        {_version('hio')} ({_location('hio')})")
    print(f"multidict  {_version('multidict')}")
    threads = " free-threaded" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    print(f"Python     {platform.python_implementation()} {platform.python_version()}{threads}")
    print(f"           {sys.executable}")
    print(f"platform   {platform.platform()}")
    extras = [f"{name} {_version(name)}" for name in OPTIONAL]
    print(f"optional   {', '.join(extras)}")
    return OK


def _why_not_c() -> str:
    from . import engine

    if os.environ.get("FASTHIO_ENGINE") == "py":
        return "asked for by FASTHIO_ENGINE=py"
    try:
        engine.load("c")
    except ImportError as error:
        return str(error)
    return "asked for"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


def _location(name: str) -> str:
    from importlib.util import find_spec

    spec = find_spec(name)
    return "not found" if spec is None else str(spec.origin)

"""The command: `fasthio poll`, `watch`, `demo`, `run` and `info`; also `python -m fasthio`."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Final, TextIO

from . import __version__

if TYPE_CHECKING:
    from .pollcore import PollPlan, PollResult

__all__ = ["main"]

#: Exit statuses: all polls succeeded, a poll failed, the command was given wrongly.
OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2

RUN_USAGE: Final = "fasthio run [-h] PROGRAM [ARGS ...]\n       fasthio run -m MODULE [ARGS ...]"

RUN_HELP: Final = "Run a program as Python does, with fasthio's client in the place of hio's."

#: What `info` looks for beyond hio.
OPTIONAL: Final = ("rich", "prometheus-client", "orjson", "brotli", "zstandard")


class UsageError(Exception):
    """Tell that the command was given wrongly."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: what follows the command's name; None for `sys.argv[1:]`.
    Returns:
        Exit status: 0, 1 if a poll failed, 2 if the command was given wrongly.
    Raises:
        SystemExit: help or version was asked for, an option is wrong, or the program
            of `fasthio run` ended so.
    """
    argv = list(sys.argv[1:] if arguments is None else arguments)
    if argv[:1] == ["run"]:  # what follows belongs to the program, argparse must not see it
        return _run(argv[1:])
    parser = _make_parser()
    options = parser.parse_args(argv)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except UsageError as error:
        print(
            f"{options.parser.format_usage()}{options.parser.prog}: error: {error}", file=sys.stderr
        )
        return USAGE
    except BrokenPipeError:
        # whoever read our output has enough; keep Python from complaining at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


# Arguments -------------------------------------------------------------------


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fasthio", description="hio's HTTP client, made fast.")
    parser.add_argument("--version", action="version", version=f"fasthio {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    poll = commands.add_parser(
        "poll",
        help="poll URLs and tell how they answer",
        description="Poll URLs through Client and ClientDoer. A response with a status of 400 or "
        "above, a malformed one and none at all are failures. The exit status is 1 if any poll "
        "failed. Ctrl-C ends polling with the summary.",
    )
    poll.add_argument("urls", nargs="+", metavar="URL", type=_url, help="http:// or https:// URL")
    poll.add_argument(
        "--every", type=_seconds, metavar="S", help="seconds between polls of a URL (default 1)"
    )
    poll.add_argument(
        "--count",
        type=_positive,
        metavar="N",
        help="polls of each URL (default: without end if --every is given, else 1)",
    )
    poll.add_argument("--method", type=_method, default="GET", metavar="M", help="default GET")
    _add_headers(poll)
    poll.add_argument(
        "--timeout",
        type=_duration,
        default=10.0,
        metavar="S",
        help="seconds a poll may take (default 10)",
    )
    _add_json(poll)
    poll.set_defaults(command=_poll, parser=poll)

    watch = commands.add_parser(
        "watch",
        help="print the events of an event stream as they come",
        description="Print server-sent events as they come, notes on connections to standard "
        "error. A stream that is dropped is taken up again after its last event. The exit status "
        "is 1 if there is no event stream, if it ends with an error, or if fewer events than "
        "--count came. Ctrl-C ends watching.",
    )
    watch.add_argument("url", metavar="URL", type=_url, help="http:// or https:// URL")
    watch.add_argument("--last-event-id", metavar="ID", help="go on after the event of this id")
    watch.add_argument("--count", type=_positive, metavar="N", help="stop after so many events")
    watch.add_argument("--timeout", type=_duration, metavar="S", help="stop after so many seconds")
    watch.add_argument(
        "--idle",
        type=_duration,
        metavar="S",
        help="give a connection up after so many seconds without an event or a comment",
    )
    watch.add_argument(
        "--no-reconnect",
        action="store_false",
        dest="reconnect",
        help="end when the connection does",
    )
    _add_headers(watch)
    watch.add_argument("--json", action="store_true", help="print each event as a line of JSON")
    watch.set_defaults(command=_watch, parser=watch)

    demo = commands.add_parser(
        "demo",
        help="poll a server that comes with fasthio",
        description="Start a server on a free loopback port and poll its endpoints: JSON, "
        "chunked, redirect, slow and event stream.",
    )
    demo.add_argument(
        "--duration", type=_duration, default=5.0, metavar="S", help="seconds (default 5)"
    )
    demo.add_argument(
        "--every", type=_seconds, default=0.5, metavar="S", help="seconds between polls of a URL"
    )
    _add_json(demo)
    demo.set_defaults(command=_demo, parser=demo)

    # for the list of commands alone; see `main`
    commands.add_parser("run", help="run a program with fasthio's client in the place of hio's")

    info = commands.add_parser("info", help="print versions, engine, hio found and platform")
    info.set_defaults(command=_info, parser=info)
    return parser


def _add_headers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        type=_header,
        metavar="'K: V'",
        dest="headers",
        help="field to send; may be repeated",
    )


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="write each result as a line of JSON to FILE; - is standard output, "
        "all else goes to standard error then",
    )


def _url(text: str) -> str:
    from .pollcore import check_url

    try:
        check_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"not a number of seconds: {text!r}")
    return value


def _seconds(text: str) -> float:
    value = _number(text)
    if value < 0.0:
        raise argparse.ArgumentTypeError(f"must not be negative: {text}")
    return value


def _duration(text: str) -> float:
    value = _number(text)
    if value <= 0.0:
        raise argparse.ArgumentTypeError(f"must be above 0: {text}")
    return value


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1: {text!r}")
    return value


def _is_token(text: str) -> bool:
    from .grammar import TOKEN

    return bool(text) and all(ord(char) in TOKEN for char in text)


def _method(text: str) -> str:
    if not _is_token(text):  # RFC 9110 9.1
        raise argparse.ArgumentTypeError(f"not a method: {text!r}")
    return text.upper()


def _header(text: str) -> tuple[str, str]:
    from .grammar import FIELD_CONTENT

    name, colon, value = text.partition(":")
    if not colon or not _is_token(name):  # RFC 9110 5.1
        raise argparse.ArgumentTypeError(f"not of the form 'Name: value': {text!r}")
    if any(ord(char) not in FIELD_CONTENT for char in value):  # RFC 9110 5.5
        raise argparse.ArgumentTypeError(f"value of {name} holds what no field may: {value!r}")
    return name, value.strip(" \t")


# Commands --------------------------------------------------------------------


def _poll(options: argparse.Namespace) -> int:
    from .pollcore import PollPlan

    count = options.count
    if count is None and options.every is None:
        count = 1
    plan = PollPlan(
        urls=tuple(options.urls),
        every=1.0 if options.every is None else options.every,
        count=count,
        method=options.method,
        headers=tuple(options.headers),
        timeout=options.timeout,
    )
    return _carry_out(plan, options.json)


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


def _demo(options: argparse.Namespace) -> int:
    from .demo import PATHS, serving
    from .pollcore import PollPlan

    with serving() as root:
        plan = PollPlan(
            urls=tuple(root + path for path in PATHS),
            every=options.every,
            count=None,
            duration=options.duration,
        )
        return _carry_out(plan, options.json)


def _carry_out(plan: PollPlan, json_path: str | None) -> int:
    """Poll, show the results and sum them up."""
    from . import pollcore, pollview

    totals = pollview.Totals(plan.urls)
    with _open_json(json_path) as json_stream:
        stream = sys.stderr if json_stream is sys.stdout else sys.stdout
        lines = pollview.JsonLines(json_stream) if json_stream is not None else None
        view = pollview.make_view(stream, totals)

        def report(result: PollResult) -> None:
            totals.add(result)
            if lines is not None:
                lines.write(result)
            view.show(result)

        try:
            pollcore.poll(plan, report, view.refresh)
        except KeyboardInterrupt:
            pass  # polls under way are dropped; the rest is summed up
        except pollcore.PlanError as error:
            raise UsageError(str(error)) from error
        finally:
            view.close()
        print(*totals.summary(), sep="\n", file=stream, flush=True)
    return FAILED if totals.all.failed else OK


@contextlib.contextmanager
def _open_json(path: str | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
    elif path == "-":
        yield sys.stdout
    else:
        try:
            stream = open(path, "w", encoding="utf-8")
        except OSError as error:
            raise UsageError(f"argument --json: {error}") from None
        with stream:
            yield stream


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
    print(f"Python     {platform.python_implementation()} {platform.python_version()}")
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

"""The commands `poll` and `demo`: their options, and what they set going."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TextIO

from . import arguments

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from .pollview import JsonLines
    from .sinks import Sink
    from .targetfile import TargetsFile
    from .targets import TargetSpec

__all__ = ["add_demo", "add_poll"]

#: Exit statuses: all polls succeeded; a poll failed, or results could not be written.
OK = 0
FAILED = 1


def add_poll(commands: Any) -> None:
    """Add the command `poll`."""
    poll = commands.add_parser(
        "poll",
        usage="fasthio poll [OPTIONS] [URL ...]",
        help="poll URLs and tell how they answer",
        description="Poll URLs, each on a connection of its own that is kept. A response with a "
        "status of 400 or above, one that is not as expected, a malformed one and none at all are "
        "failures; after failures a target is polled less often. The exit status is 1 if any poll "
        "failed, or what was found could not be written. Ctrl-C lets polls under way end; a second "
        "one ends them.",
    )
    _add_what(poll)
    _add_when(poll)
    _add_how(poll)
    _add_where(poll)
    _add_results(poll)
    poll.set_defaults(command=run_poll, parser=poll)


def _add_what(poll: Any) -> None:
    what = poll.add_argument_group("what is polled")
    what.add_argument(
        "urls", nargs="*", metavar="URL", type=arguments.url, help="http:// or https:// URL"
    )
    what.add_argument(
        "--targets",
        metavar="FILE",
        help="read targets from FILE, too: TOML where it ends with .toml, else a URL a line; "
        "read again when it changes",
    )
    what.add_argument("--method", type=arguments.method, metavar="M", help="default GET")
    arguments.add_headers(what)
    what.add_argument(
        "--expect",
        type=arguments.status_list,
        metavar="STATUS",
        help="what is a success, as 200 or 200,404 (default: below 400)",
    )
    what.add_argument(
        "--conditional",
        action="store_true",
        default=None,
        help="ask only for what has changed, by ETag and Last-Modified",
    )


def _add_when(poll: Any) -> None:
    when = poll.add_argument_group("when", "seconds, or with a unit: 250ms, 2m, 1h")
    often = when.add_mutually_exclusive_group()
    often.add_argument(
        "--every", type=arguments.seconds, metavar="S", help="between polls of a URL (default 1)"
    )
    often.add_argument(
        "--rate", type=arguments.rate, metavar="N", help="polls a second, of all URLs together"
    )
    when.add_argument(
        "--count",
        type=arguments.positive,
        metavar="N",
        help="polls of each URL (default: without end if --every, --rate, --duration or "
        "--targets is given, else 1)",
    )
    when.add_argument(
        "--duration", type=arguments.duration, metavar="S", help="begin no poll after that"
    )
    when.add_argument(
        "--timeout", type=arguments.duration, metavar="S", help="a poll may take (default 10)"
    )
    when.add_argument(
        "--retries", type=arguments.whole, metavar="N", help="further attempts within a poll"
    )
    when.add_argument(
        "--jitter",
        type=arguments.seconds,
        metavar="S",
        help="put each poll off by up to that, less than --every",
    )


def _add_how(poll: Any) -> None:
    how = poll.add_argument_group("how many at once")
    how.add_argument(
        "--concurrency",
        type=arguments.positive,
        default=1_000,
        metavar="N",
        help="polls under way at most (default 1000)",
    )
    how.add_argument(
        "--connections-per-origin",
        type=arguments.positive,
        metavar="N",
        help="share so many connections to a server among its URLs",
    )


def _add_where(poll: Any) -> None:
    where = poll.add_argument_group(
        "where", "a Dask cluster whose workers each poll a part; needs the extra fleet"
    )
    cluster = where.add_mutually_exclusive_group()
    cluster.add_argument(
        "--scheduler",
        type=arguments.scheduler,
        metavar="ADDRESS",
        help="of a cluster that runs: tcp://HOST:PORT or tls://HOST:PORT",
    )
    cluster.add_argument(
        "--workers",
        type=arguments.positive,
        metavar="N",
        help="start a cluster of N workers on this machine",
    )
    where.add_argument("--tls-ca", metavar="FILE", help="certificates that are trusted")
    where.add_argument("--tls-cert", metavar="FILE", help="certificate to show to the scheduler")
    where.add_argument("--tls-key", metavar="FILE", help="its private key")


def _add_results(poll: Any) -> None:
    out = poll.add_argument_group("results")
    out.add_argument(
        "--out",
        action="append",
        default=[],
        metavar="FILE",
        help="add results to FILE: .jsonl, .csv or .sqlite; may be repeated",
    )
    _add_json(out)
    out.add_argument("--histogram", action="store_true", help="print the distribution of latencies")
    out.add_argument("--plot", metavar="FILE", help="draw latencies into an SVG file at the end")
    out.add_argument(
        "--metrics",
        type=arguments.port,
        metavar="PORT",
        help="answer Prometheus on this port of 127.0.0.1; 0 for a free one",
    )


def add_demo(commands: Any) -> None:
    """Add the command `demo`."""
    demo = commands.add_parser(
        "demo",
        help="poll a server that comes with fasthio",
        description="Start a server on a free loopback port and poll its endpoints: JSON, "
        "chunked, redirect, slow and event stream.",
    )
    demo.add_argument(
        "--duration", type=arguments.duration, default=5.0, metavar="S", help="seconds (default 5)"
    )
    demo.add_argument(
        "--every",
        type=arguments.seconds,
        default=0.5,
        metavar="S",
        help="seconds between polls of a URL",
    )
    _add_json(demo)
    demo.set_defaults(command=run_demo, parser=demo)


def _add_json(parser: Any) -> None:
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="write each result as a line of JSON to FILE; - is standard output, "
        "all else goes to standard error then",
    )


def run_poll(options: argparse.Namespace) -> int:
    """Poll as the options say; give the exit status."""
    from .targetfile import TargetsFile, TargetsFileError
    from .targets import LONGEST

    given: dict[str, Any] = {
        "method": options.method,
        "headers": tuple(options.headers) or None,
        "expect": options.expect,
        "conditional": options.conditional,
        "every": options.every,
        "timeout": options.timeout,
        "retries": options.retries,
        "jitter": options.jitter,
        "count": options.count,
    }
    given = {name: value for name, value in given.items() if value is not None}
    endless = options.every is not None or options.rate or options.duration or options.targets
    if options.count is None and not endless:
        given["count"] = 1
    if options.rate is not None:
        given["every"] = LONGEST  # no jitter is too long for it; `respec` has the one that holds
    if not options.urls and options.targets is None:
        raise arguments.UsageError("the following arguments are required: URL or --targets")
    file: TargetsFile | None = None
    own: list[TargetSpec] = []
    try:
        own = _make_specs(list(dict.fromkeys(options.urls)), given)
        if options.targets is not None:
            file = TargetsFile(options.targets, given)
    except TargetsFileError as error:
        raise arguments.UsageError(f"argument --targets: {error}") from error
    except ValueError as error:
        raise arguments.UsageError(str(error)) from error

    def respec(specs: list[TargetSpec]) -> list[TargetSpec]:
        both = own + specs
        if options.rate is not None:
            every = min(len(both) / options.rate, LONGEST)
            both = [replace(spec, every=every, jitter=min(spec.jitter, every / 2)) for spec in both]
        return both

    specs = respec(file.specs if file is not None else [])
    if options.scheduler is not None or options.workers is not None or _tls(options):
        return _carry_out_elsewhere(options, specs, file, respec)
    return _carry_out(options, specs, file, respec)


def _tls(options: argparse.Namespace) -> bool:
    return any((options.tls_ca, options.tls_cert, options.tls_key))


def _carry_out_elsewhere(
    options: argparse.Namespace, specs: list[TargetSpec], file: TargetsFile | None, respec: Any
) -> int:
    """Poll from the workers of a cluster."""
    from .fleetrun import check_options, run_fleet
    from .pollview import JsonLines

    check_options(options)
    with _open_json(options.json) as json_stream:
        stream = sys.stderr if json_stream is sys.stdout else sys.stdout
        lines = None if json_stream is None else JsonLines(json_stream)
        return run_fleet(options, specs, file, respec, lines, stream)


def _make_specs(urls: list[str], given: dict[str, Any]) -> list[TargetSpec]:
    from .targets import TargetSpec

    return [TargetSpec(url, **given) for url in urls]


def run_demo(options: argparse.Namespace) -> int:
    """Poll a server of our own; give the exit status."""
    from .demo import PATHS, serving
    from .targets import TargetSpec

    options.concurrency, options.connections_per_origin = 100, None
    options.out, options.metrics, options.plot, options.histogram = [], None, None, False
    options.count = None
    with serving() as root:
        specs = [TargetSpec(root + path, every=options.every, label=path) for path in PATHS]
        return _carry_out(options, specs, None, list)


def _carry_out(
    options: argparse.Namespace,
    specs: list[TargetSpec],
    file: TargetsFile | None,
    respec: Any,
) -> int:
    """Poll, show the results and sum them up."""
    from . import pollview
    from .metrics import Metrics
    from .plotting import draw_latency
    from .polling import Poller
    from .pollrun import PollRun

    _raise_descriptors()
    for each in (sys.stdout, sys.stderr):
        if hasattr(each, "reconfigure"):  # what a terminal cannot show is no reason to end
            each.reconfigure(errors="replace")
    poller = Poller(
        concurrency=options.concurrency, connections_per_origin=options.connections_per_origin
    )
    totals = pollview.Totals()
    due = None
    if file is None and all(spec.count is not None for spec in specs):
        due = sum(spec.count or 0 for spec in specs)
    with contextlib.ExitStack() as stack:
        sinks: list[Sink | JsonLines] = []
        for path in options.out:
            sink = _open_sink(path)
            stack.callback(sink.close)  # where the run, which does it, is not come to
            sinks.append(sink)
        metrics = None
        if options.metrics is not None:
            metrics = _open_metrics(Metrics, poller, totals, options.metrics)
            stack.callback(metrics.close)
        # last: what it held is gone then, which a command given wrongly must not do
        json_stream = stack.enter_context(_open_json(options.json))
        if json_stream is not None:
            sinks.append(pollview.JsonLines(json_stream))
        stream = sys.stderr if json_stream is sys.stdout else sys.stdout
        if metrics is not None:
            print(f"metrics   http://127.0.0.1:{metrics.port}/metrics", file=stream, flush=True)
        view = pollview.make_view(stream, totals, poller, due, options.duration)
        run = PollRun(
            poller,
            specs,
            totals,
            view,
            file=file,
            respec=respec,
            sinks=sinks,
            duration=options.duration,
        )
        try:
            run.run()
        finally:
            view.close()
        print(*totals.summary(options.histogram), sep="\n", file=stream, flush=True)
        failure = run.failure
        if options.plot is not None:
            try:
                draw_latency(options.plot, totals)
            except OSError as error:
                failure = f"{options.plot}: {error.strerror or error}"
    if failure is not None:
        print(f"error: {failure}", file=sys.stderr)
        return FAILED
    return FAILED if totals.all.failed else OK


def _open_sink(path: str) -> Sink:
    from .sinks import open_sink

    try:
        return open_sink(path)
    except (ValueError, OSError) as error:
        raise arguments.UsageError(f"argument --out: {error}") from error


def _open_metrics(kind: Any, poller: Any, totals: Any, port: int) -> Any:
    try:
        return kind(poller, totals, port)
    except ImportError:
        raise arguments.UsageError(
            "argument --metrics: needs prometheus-client (pip install 'fasthio[poll]')"
        ) from None
    except OSError as error:
        raise arguments.UsageError(
            f"argument --metrics: port {port}: {error.strerror or error}"
        ) from error


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
            raise arguments.UsageError(
                f"argument --json: {path}: {error.strerror or error}"
            ) from None
        try:
            yield stream
        finally:
            # each line was flushed as it came: what is left was refused, and told of
            with contextlib.suppress(OSError):
                stream.close()


def _raise_descriptors() -> None:
    """Let this process have as many connections as the system allows."""
    try:
        import resource
    except ImportError:  # Windows has no such limit  # pragma: no cover
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

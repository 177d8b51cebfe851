"""Run a fleet to its end: the command `fasthio poll` with `--scheduler` or `--workers`."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final, TextIO

from . import arguments
from .fleeterrors import FleetError
from .fleetview import make_fleet_view
from .targetfile import TargetsFile, TargetsFileError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from .fleet import Fleet
    from .fleetview import FleetView
    from .pollview import JsonLines
    from .targets import TargetSpec

__all__ = ["FleetRun", "check_options", "open_cluster", "run_fleet"]

#: Seconds between two looks at the targets file, and the longest wait.
LOOK: Final = 1.0
NAP: Final = 0.25
#: Exit statuses: all polls succeeded; a poll failed, or the fleet could not go on.
OK: Final = 0
FAILED: Final = 1


class FleetRun:
    """Run a fleet until it is done, or a signal ends it.

    The first SIGINT or SIGTERM lets polls under way end and begins no others; the
    second ends them, too.
    """

    def __init__(
        self,
        fleet: Fleet,
        view: FleetView,
        *,
        file: TargetsFile | None = None,
        respec: Callable[[list[TargetSpec]], list[TargetSpec]] | None = None,
        lines: JsonLines | None = None,
        duration: float | None = None,
    ) -> None:
        """Take what is to be run.

        Args:
            fleet: with its targets.
            view: shows it.
            file: targets file that is looked at again and again.
            respec: makes the targets of what the file says.
            lines: where results are written that are streamed.
            duration: seconds after which no poll is begun any more; None for no end.
        """
        self.fleet = fleet
        self.view = view
        self.file = file
        self.respec = respec
        self.lines = lines
        self.duration = duration
        self._signals = 0
        self._said = 0.0

    def run(self) -> None:
        """Run to the end; the fleet is closed then.

        Raises:
            FleetError: the fleet cannot go on.
        """
        with self._obeying():
            try:
                self._loop()
            finally:
                self.fleet.close()
                self._take(0.0)
                self._show()
        if self.fleet.failure is not None:
            raise self.fleet.failure

    @contextlib.contextmanager
    def _obeying(self) -> Iterator[None]:
        """Take signals while the block runs."""
        if threading.current_thread() is not threading.main_thread():
            yield  # signals are the main thread's
            return

        def signalled(number: int, frame: Any) -> None:
            self._signals += 1

        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, signalled) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _loop(self) -> None:
        fleet = self.fleet
        now = time.monotonic()
        until = None if self.duration is None else now + self.duration
        next_look = now + LOOK
        while True:
            self._take(NAP)
            self._show()
            now = time.monotonic()
            if self._signals > 1 or fleet.done:
                return
            if not fleet.stopping and (self._signals or (until is not None and now >= until)):
                if self._signals:
                    self.view.say("ending: polls under way go on, once more to end them")
                fleet.stop()
            elif self.file is not None and now >= next_look and not fleet.stopping:
                next_look = now + LOOK
                self._look(self.file)

    def _take(self, seconds: float) -> None:
        """Take the results that have come, waiting for the first one."""
        result = self.fleet.take(seconds)
        until = time.monotonic() + NAP
        while result is not None:
            if self.lines is not None:
                self.lines.write(result)
            if time.monotonic() > until and seconds:
                return
            result = self.fleet.take(0.0)

    def _show(self) -> None:
        summary = self.fleet.summary()
        fresh = [event for event in summary.events if event.time > self._said]
        for event in fresh:  # several may be of one time
            self._said = max(self._said, event.time)
            self.view.say(event.text)
        self.view.refresh(summary)

    def _look(self, file: TargetsFile) -> None:
        """Read the targets file again where it has changed; a wrong one changes nothing."""
        try:
            if not file.reload():
                return
            specs = file.specs if self.respec is None else self.respec(file.specs)
            added, removed = self.fleet.replace(specs)
        except (TargetsFileError, ValueError) as error:
            self.view.say(f"{error}; the targets stay as they are")
            return
        self.view.say(f"{file.path}: {len(added)} targets added, {len(removed)} removed")


@contextlib.contextmanager
def open_cluster(options: argparse.Namespace) -> Iterator[Any]:
    """Give the client of the cluster that the options name, for the time of the block.

    Args:
        options: of the command.
    Yields:
        A `distributed.Client`.
    Raises:
        FleetError: it cannot be reached, or does not come up.
    """
    from . import fleetjoining

    if options.workers is not None:
        with fleetjoining.local(options.workers) as client:
            yield client
        return
    security = fleetjoining.make_security(options.tls_ca, options.tls_cert, options.tls_key)
    client = fleetjoining.connect(options.scheduler, security=security)
    try:
        yield client
    finally:
        client.close(timeout=2.0)


def check_options(options: argparse.Namespace) -> None:
    """See whether the options can go together.

    Args:
        options: of the command.
    Raises:
        UsageError: they cannot, or the package is missing.
    """
    tls = [name for name in ("tls_ca", "tls_cert", "tls_key") if getattr(options, name) is not None]
    if tls and not (options.scheduler or "").startswith("tls://"):
        raise arguments.UsageError(
            f"argument --{tls[0].replace('_', '-')}: needs --scheduler tls://HOST:PORT"
        )
    if (options.scheduler or "").startswith("tls://") and len(tls) < 3:
        raise arguments.UsageError(
            "argument --scheduler: tls:// needs --tls-ca, --tls-cert and --tls-key"
        )
    for name in ("metrics", "plot"):
        if getattr(options, name) is not None:
            raise arguments.UsageError(f"argument --{name}: not with --scheduler or --workers")
    try:
        import distributed  # noqa: F401
    except ImportError:
        name = "--scheduler" if options.scheduler is not None else "--workers"
        raise arguments.UsageError(
            f"argument {name}: needs distributed (pip install 'fasthio[fleet]')"
        ) from None


def run_fleet(
    options: argparse.Namespace,
    specs: list[TargetSpec],
    file: TargetsFile | None,
    respec: Callable[[list[TargetSpec]], list[TargetSpec]],
    lines: JsonLines | None,
    stream: TextIO,
) -> int:
    """Poll from a cluster as the options say; give the exit status.

    Args:
        options: of the command, which `check_options` has found to go together.
        specs: the targets.
        file: targets file that is looked at again and again.
        respec: makes the targets of what the file says.
        lines: where results are written as lines of JSON; None for nowhere.
        stream: where the fleet is shown.
    """
    from .fleet import Fleet

    # what becomes of workers and scheduler is told here, in its place
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    view = None
    try:
        with open_cluster(options) as client:
            fleet = Fleet(
                client,
                out=options.out,
                stream=lines is not None,
                bodies=False,
                workers=options.workers or 1,
                concurrency=options.concurrency,
                connections_per_origin=options.connections_per_origin,
            )
            try:
                fleet.add_all(specs)
                view = make_fleet_view(stream)
                duration = options.duration
                run = FleetRun(
                    fleet, view, file=file, respec=respec, lines=lines, duration=duration
                )
                run.run()
            finally:
                fleet.close()
                if view is not None:
                    view.close()
                    summary = fleet.summary()
                    text = summary.lines(options.histogram)
                    print(*text, sep="\n", file=stream, flush=True)
    except (FleetError, ValueError, TypeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    return FAILED if summary.total.failed else OK

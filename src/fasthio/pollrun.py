"""Run a poller to its end: results counted, shown and written, targets reloaded, signals obeyed."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from .sinks import SinkError
from .targetfile import TargetsFile, TargetsFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .polling import Poller
    from .pollview import JsonLines, Totals, View
    from .results import PollResult
    from .sinks import Sink
    from .targets import TargetSpec

__all__ = ["PollRun"]

#: Seconds between two writes of what sinks have gathered, and two looks at the targets file.
WRITE: Final = 0.5
LOOK: Final = 1.0
#: Longest wait in seconds: bounds how late the view is redrawn.
NAP: Final = 0.25


class PollRun:
    """Run a poller until it is done, or a signal ends it.

    The first SIGINT or SIGTERM lets polls under way end and begins no others; the
    second ends them, too. Either way every poll that was due is told and written.

    Attributes:
        failure: why results could not be written any more; None where they could.
    """

    def __init__(
        self,
        poller: Poller,
        specs: Sequence[TargetSpec],
        totals: Totals,
        view: View,
        *,
        file: TargetsFile | None = None,
        respec: Callable[[list[TargetSpec]], list[TargetSpec]] | None = None,
        sinks: Sequence[Sink | JsonLines] = (),
        duration: float | None = None,
    ) -> None:
        """Take what is to be run.

        Args:
            poller: without targets; it is closed at the end.
            specs: its targets.
            totals: counts results.
            view: shows them.
            file: targets file that is looked at again and again.
            respec: makes the targets of what the file says.
            sinks: where results are written.
            duration: seconds after which no poll is begun any more; None for no end.
        """
        self.poller = poller
        self.specs = list(specs)
        self.totals = totals
        self.view = view
        self.file = file
        self.respec = respec
        self.sinks = list(sinks)
        self.duration = duration
        self.failure: str | None = None
        self._signals = 0
        self._broken: OSError | None = None  # nobody can be shown anything any more

    def run(self) -> None:
        """Run to the end.

        Raises:
            BrokenPipeError: nobody reads what is shown any more.
            OSError: it cannot be written.
        """
        poller = self.poller
        with self._obeying():
            try:
                self._loop()
            finally:
                poller.close()
                self._take()
                self._write(close=True)
        if self._broken is not None:
            raise self._broken

    @contextlib.contextmanager
    def _obeying(self) -> Iterator[None]:
        """Take signals while the block runs."""
        if threading.current_thread() is not threading.main_thread():
            yield  # signals are the main thread's
            return
        before = {
            number: signal.signal(number, self._signalled)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _signalled(self, number: int, frame: Any) -> None:
        self._signals += 1
        self.poller.wake()

    def _loop(self) -> None:
        poller = self.poller
        for spec in self.specs:
            poller.add(spec)
        now = time.monotonic()
        until = None if self.duration is None else now + self.duration
        next_write, next_look = now + WRITE, now + LOOK
        while True:
            poller.service()
            self._take()
            self.view.refresh()
            now = time.monotonic()
            if now >= next_write:
                next_write = now + WRITE
                self._write()
            if self.file is not None and now >= next_look:
                next_look = now + LOOK
                self._look(self.file)
            if self._signals > 1 or poller.done or self._broken is not None:
                return
            if not poller.stopping and (
                self._signals or self.failure or (until is not None and now >= until)
            ):
                if self._signals:
                    self.view.say("ending: polls under way go on, once more to end them")
                poller.stop()
                continue
            nap = NAP
            if until is not None and not poller.stopping:
                nap = min(nap, max(0.0, until - now))
            poller.wait(nap)

    def _take(self) -> None:
        """Take the results that have come."""
        results = self.poller.results
        while results:
            result: PollResult = results.popleft()
            self.totals.add(result)
            for sink in self.sinks:
                try:
                    sink.write(result)
                except SinkError as error:
                    self.failure = str(error)
                except BrokenPipeError as error:
                    self._broken = error
            if self._broken is None:
                try:
                    self.view.show(result)
                except OSError as error:  # what comes after is still written to files
                    self._broken = error

    def _write(self, close: bool = False) -> None:
        """Write what sinks have gathered."""
        for sink in self.sinks:
            end = getattr(sink, "close" if close else "flush", None)
            if end is None:
                continue
            try:
                end()
            except SinkError as error:
                self.failure = str(error)

    def _look(self, file: TargetsFile) -> None:
        """Read the targets file again where it has changed; a wrong one changes nothing."""
        if self.poller.stopping:
            return
        try:
            if not file.reload():
                return
            specs = file.specs if self.respec is None else self.respec(file.specs)
        except TargetsFileError as error:
            self.view.say(f"{error}; the targets stay as they are")
            return
        added, removed = self.poller.replace(specs)
        self._take()  # the last of those that are gone
        for target in removed:
            self.totals.each.pop(target.label, None)
        self.view.say(f"{file.path}: {len(added)} targets added, {len(removed)} removed")

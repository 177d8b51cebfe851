"""The poller: many Clients, one selector, one schedule.

Work is done only where a socket is ready, a poll is due or a time is over. What
is due is decided in tyme; how long things took is measured by the clock.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from weakref import WeakValueDictionary

from hio.base import doing

from .attempting import BATCH, Attempter
from .grammar import Limits
from .lookup import Lookup
from .pacing import Backoff, Circuit
from .results import Latency, PollResult
from .scheduling import FOREVER, Grid
from .targets import Target, TargetSpec
from .waiting import READ, ReadyDoist, Waker, make_readiness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from ssl import SSLContext

    from .waiting import Readiness

__all__ = [
    "Backoff",
    "Circuit",
    "Latency",
    "PollResult",
    "Poller",
    "PollerDoer",
    "ReadyDoist",
    "Target",
    "TargetSpec",
    "poll",
]

#: Descriptors that are left to the rest of the program.
SPARE: Final = 64

#: Sockets that Python's select takes on Windows.
WINDOWS_SELECT: Final = 512
F = TypeVar("F", bound="Callable[..., Any]")
#: Longest wait of `poll` in seconds: signals are looked at between.
NAP: Final = 0.5


def _guarded(method: F) -> F:
    """Let a method find the poller whole, and note where an exception leaves it otherwise."""

    @wraps(method)
    def guarded(poller: Poller, *pa: Any, **kwa: Any) -> Any:
        try:
            if poller._unsound:
                poller._mend()
            return method(poller, *pa, **kwa)
        except (KeyError, TypeError, ValueError):  # a wrong call: nothing was begun
            raise
        except BaseException:
            poller._note_break()
            raise

    return cast("F", guarded)


class Poller(Attempter):
    """Poll targets, each at its own pace.

    Attributes:
        results: results that nobody has taken yet, the oldest first.
        counts: due polls by outcome, each counted once.
        begun: polls begun.
        stalled: True while nothing is begun as `results` is full.
        stalls: how often that has happened.
        wakes: sockets that were ready and handled.
    """

    def __init__(
        self,
        *,
        concurrency: int = 1_000,
        connections_per_origin: int | None = None,
        connections: int | None = None,
        openings: float = 1_000.0,
        backlog: int = 10_000,
        on_result: Callable[[PollResult], Any] | None = None,
        budget: float = 0.010,
        longest_retry_after: float = 3_600.0,
        limits: Limits | None = None,
        context: SSLContext | None = None,
        seed: int | None = None,
        tymth: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        lookup: Lookup | None = None,
    ) -> None:
        """Set up; nothing is opened yet.

        Args:
            concurrency: polls under way at once, at most; never more than `connections`.
            connections_per_origin: None for a connection for each target; else targets
                of one origin share so many.
            connections: open at once at most, idle ones included; None for as many as
                the system lets this process have.
            openings: connections opened per second at most; the first polls of targets
                added together are spread accordingly.
            backlog: results that may wait to be taken; no poll is begun beyond that.
            on_result: called with each result instead of leaving it in `results`; then
                there is no backlog.
            budget: seconds that one `service` may take for what is ready.
            longest_retry_after: seconds for which Retry-After is obeyed at most.
            limits: bounds on what one response may cost; the body's is the target's.
            context: TLS context of all connections; None for the default one.
            seed: of the jitter; None for another one each time.
            tymth: gives the tyme; None for the clock until `wind`.
            clock: gives the time that latencies are measured by, in seconds.
            wall: gives the seconds since the epoch.
            lookup: what finds the addresses of hosts; None for one of its own.
        Raises:
            ValueError: an argument that cannot be; its text begins with the name.
        """
        if limits is not None and not isinstance(limits, Limits):
            raise ValueError(f"limits must be Limits, not {type(limits).__name__}")
        if on_result is not None and not callable(on_result):
            raise ValueError(f"on_result must be callable: {type(on_result).__name__}")
        super().__init__(
            tymth=tymth,
            clock=clock,
            wall=wall,
            concurrency=concurrency,
            each=connections_per_origin,
            connections=_descriptors() if connections is None else connections,
            openings=openings,
            backlog=backlog,
            longest=longest_retry_after,
            seed=seed,
        )
        if not budget > 0.0:
            raise ValueError(f"budget must be above 0 seconds: {budget!r}")
        self._on_result = on_result
        if on_result is not None:
            self._backlog = sys.maxsize  # nothing waits to be taken
        self.wakes = 0
        self._shared = connections_per_origin is not None
        self._budget = budget
        self._limits = limits
        self._context = context
        self._shortcuts = WeakValueDictionary()
        self._own_lookup = lookup is None
        self._lookup = lookup
        self._ever = False  # there has been a target
        self._spread = -FOREVER  # tyme up to which first polls are spread
        self._readiness: Readiness | None = None
        self._waker: Waker | None = None
        self._events: list[tuple[int, int]] = []  # found by `wait`

    # targets

    @_guarded
    def add(self, url: str | TargetSpec, **options: Any) -> Target:
        """Add a target; its first poll is due at once, or a little later among many.

        Args:
            url: absolute http or https URL, or a TargetSpec.
            options: see `TargetSpec`: every, method, headers, body, timeout,
                connect_timeout, retries, jitter, conditional, expect, label, count,
                redirects, max_body, backoff, circuit.
        Returns:
            The target.
        Raises:
            ValueError: an option that cannot be; its name begins the text.
            TypeError: no such option.
        """
        if isinstance(url, TargetSpec):
            if options:
                raise TypeError("options are in the TargetSpec already")
            spec = url
        else:
            spec = TargetSpec(url, **options)
        target = Target(spec)
        now = phase = self._now()
        self._spread = max(self._spread, now)
        if spec.every > 0.0:
            phase += (self._spread - now) % spec.every
            target._grid = Grid(phase, spec.every)
        self._spread += 1.0 / self._openings
        self._targets[target] = None
        self._live += 1
        self._ever = True
        if self._stopping:
            self._end(target)
        else:
            self._schedule(target, 0, phase)
        return target

    @_guarded
    def remove(self, target: Target) -> None:
        """Remove a target; a poll under way ends as cancelled.

        Raises:
            KeyError: it is none of this poller's.
        """
        self._check(target)
        self._retire(target, "removed")
        if target._flight is not None:
            self._cancel(target._flight, "removed")
        self._end(target)
        target.state = "removed"
        del self._targets[target]

    @_guarded
    def pause(self, target: Target) -> None:
        """Let no poll of a target fall due until `resume`; one under way goes on.

        Raises:
            KeyError: it is none of this poller's.
        """
        self._check(target)
        if target.paused or target.state == "done":
            return
        self._retire(target, "paused")
        target.paused = True
        if target._flight is None:
            target.state = "paused"

    @_guarded
    def resume(self, target: Target) -> None:
        """Let polls of a target fall due again, on the same grid as before.

        Raises:
            KeyError: it is none of this poller's.
        """
        self._check(target)
        if not target.paused:
            return
        target.paused = False
        if self._stopping:
            if target._flight is None:
                self._end(target)
            return
        now = self._now()
        if target._grid is not None:
            # nothing was due meanwhile: those numbers are left out
            target._number = max(target._number, target._grid.after(now) - 1)
        if target._flight is None:
            self._follow(target, target._number + 1, now)

    def _check(self, target: Target) -> None:
        if target not in self._targets:
            raise KeyError(target)

    def __iter__(self) -> Iterator[Target]:
        """Go through the targets there are now."""
        return iter(list(self._targets))

    def __len__(self) -> int:
        """Give how many targets there are."""
        return len(self._targets)

    def __bool__(self) -> bool:
        """Be true, also without targets."""
        return True

    def __contains__(self, target: object) -> bool:
        """Tell whether a target is one of this poller's."""
        return target in self._targets

    def replace(self, specs: Iterable[TargetSpec]) -> tuple[list[Target], list[Target]]:
        """Make the targets those of some specs; those that stay go on undisturbed.

        Args:
            specs: all that are to be there.
        Returns:
            Targets that were added, and those that were removed.
        """
        there: dict[TargetSpec, list[Target]] = {}
        for target in self._targets:
            there.setdefault(target.spec, []).append(target)
        missing = []
        for spec in specs:
            same = there.get(spec)
            if same:
                same.pop()
            else:
                missing.append(spec)
        gone = [target for rest in there.values() for target in rest]
        for target in gone:
            self.remove(target)
        return [self.add(spec) for spec in missing], gone

    # state

    @property
    def flying(self) -> int:
        """Polls under way."""
        return self._flying

    @property
    def waiting(self) -> int:
        """Due polls that wait for a place, an address or a connection."""
        resolving = sum(map(len, self._resolving.values()))
        return len(self._admission) + len(self._opening) + resolving

    @property
    def connections(self) -> int:
        """Connections that are open, or being opened."""
        return len(self._lines)

    @property
    def stopping(self) -> bool:
        """True after `stop`."""
        return self._stopping

    @property
    def done(self) -> bool:
        """True once nothing is left to do: stopped, or all targets are done."""
        if self._flying or self._owed:
            return False
        return self._stopping or (self._ever and not self._live)

    @property
    def next(self) -> float:
        """Tyme at which `service` has something to do even if no socket is ready."""
        return self.tyme if self._busy() else self._wake - self._shift

    # life

    def open(self) -> None:
        """Get ready; harmless when it is already. `service` does it too."""
        if self._readiness is not None:
            return
        readiness = make_readiness()
        if self._waker is None:
            self._waker = Waker()
        readiness.register(self._waker.fileno(), READ)
        self._lines.open(readiness)
        if self._lookup is None:
            self._lookup = Lookup(self.wake)
        self._readiness = readiness  # last: an interrupt before it leaves all to be done again

    def wake(self) -> None:
        """End a `wait`, from another thread or a signal handler."""
        waker = self._waker
        if waker is not None:
            waker.wake()

    def stop(self) -> None:
        """Begin nothing more; what is under way goes on to its end. See `done`."""
        try:
            if self._unsound:
                self._mend()
            if self._stopping:
                return
            self._stopping = True
            for target in self._targets:
                self._retire(target, "stopped")
                if target._flight is None:
                    self._end(target)
        except BaseException:
            self._note_break()
            raise

    def close(self) -> None:
        """Stop at once: what is under way ends as cancelled, all connections are closed.

        All that was due has its result then, also beyond the backlog. Harmless twice.
        """
        self.stop()
        try:
            for target in self._targets:
                if target._flight is not None:
                    self._cancel(target._flight, "stopped")
                    self._end(target)
            while self._owed:
                self._tell(self._owed[0])
                self._owed.popleft()
        except BaseException:
            self._note_break()
            raise
        self._lines.close()
        self._events = []
        if self._own_lookup and self._lookup is not None:
            self._lookup.close()
            self._lookup = None
        if self._readiness is not None:
            self._readiness.close()
            self._readiness = None
        if self._waker is not None:
            self._waker.close()
            self._waker = None
        if self._on_result is not None:
            self._hand_over(self._on_result)

    def fileno(self) -> int:
        """Give the descriptor that is readable while `service` has a socket to handle.

        Returns:
            -1 where there is none: not open, or this system has none.
        """
        return self._readiness.fileno() if self._readiness is not None else -1

    def _busy(self) -> bool:
        """Tell whether there is something to do at once."""
        return (
            self._stirred
            or bool(self._lines.again)
            or bool(self._events)
            or (self.stalled and self._room())
            or self._payable()
        )

    def wait(self, seconds: float) -> None:
        """Wait until there is something for `service` to do; by the clock alone.

        Args:
            seconds: to wait at most.
        """
        if self._readiness is None or self._busy():
            return
        seconds = min(seconds, self._wake - self._now())
        self._events = self._readiness.poll(max(0.0, seconds), BATCH)

    def service(self) -> int:
        """Handle what is ready, begin what is due, end what has taken too long.

        Never raises for what a backend does; what `on_result` raises is passed on.

        Returns:
            How many results have come.
        """
        came = self._came
        try:
            if self._unsound:
                self._mend()
            readiness = self._readiness
            if readiness is None:
                self.open()
                readiness = self._readiness
                assert readiness is not None
            events = self._events
            if events:
                self._events = []
            else:
                events = readiness.poll(0.0, BATCH)
            if events:
                self._handle(readiness, events)
            if self._lines.again:
                self._handle_again()
            tymth = self._tymth
            now = (tymth() if tymth is not None else self._clock() - self._start) + self._shift
            if now >= self._wake or self._stirred or self.stalled or self._resolving or self._owed:
                self._turn(now)
        except BaseException:
            self._note_break()
            raise
        if self._on_result is not None and self.results:
            self._hand_over(self._on_result)
        return self._came - came

    def _hand_over(self, on_result: Callable[[PollResult], Any]) -> None:
        while self.results:
            on_result(self.results.popleft())


class PollerDoer(doing.Doer):  # type: ignore[misc]  # hio has no types
    """Run a poller under a Doist.

    Each cycle handles what is ready within the poller's budget; with nothing ready
    that takes microseconds, however many targets there are. Under `ReadyDoist`, and
    under asyncio with `Doist.ado`, answers are handled as they arrive, too.

    Attributes:
        poller: what is wound, opened, serviced and closed.
    """

    def __init__(self, poller: Poller, **kwa: Any) -> None:
        """Take the poller.

        Args:
            poller: with targets or not; they may come and go while it runs.
            kwa: as for hio's Doer.
        """
        super().__init__(**kwa)
        self.poller = poller
        self._loop: Any = None
        self._fd = -1
        if self.tymth:
            poller.wind(self.tymth)

    def wind(self, tymth: Callable[[], float]) -> None:
        """Inject the tyme of a tymist into the doer and its poller."""
        super().wind(tymth)
        self.poller.wind(tymth)

    def enter(self, *, temp: bool | None = None) -> None:
        """Open the poller; where an asyncio loop runs, let it call when sockets are ready.

        Args:
            temp: of hio's doers since 0.6.19; a poller has no files to be temporary.
        """
        poller = self.poller
        poller.open()
        asyncio = sys.modules.get("asyncio")  # not loaded: then no loop of it runs
        if asyncio is None or poller.fileno() < 0:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        with suppress(NotImplementedError):  # Windows' proactor: then once a cycle
            loop.add_reader(poller.fileno(), self.ready)
            self._loop, self._fd = loop, poller.fileno()

    def recur(self, tyme: float) -> bool:
        """Service the poller once.

        Returns:
            True when it has nothing left to do: stopped, or all targets are done.
        """
        self.ready()
        return self.poller.done

    def fileno(self) -> int:
        """Give the descriptor to wait for; -1 for none."""
        return self.poller.fileno()

    def ready(self) -> int:
        """Handle what is ready, between two cycles; give how many results came."""
        poller = self.poller
        came = poller.service()
        if poller.next <= poller.tyme:
            poller.wake()  # no socket tells of it: at once again
        return came

    def exit(self) -> None:
        """Close the poller; what is under way ends as cancelled."""
        loop, self._loop = self._loop, None
        try:
            if loop is not None and not loop.is_closed():  # then it has let go by itself
                loop.remove_reader(self._fd)
        finally:
            self.poller.close()


def poll(
    targets: Iterable[str | TargetSpec],
    *,
    every: float | None = None,
    count: int | None = None,
    duration: float | None = None,
    poller: Poller | None = None,
    **options: Any,
) -> Iterator[PollResult]:
    """Poll, and give each result as it comes: no Doist to set up.

    ::

        for result in fasthio.poll(["http://localhost:8080/health"], every=1.0):
            print(result.label, result.outcome, result.latency)

    Polls go on while the caller holds a result only as far as the system's buffers
    go; when the loop is left, they end.

    Args:
        targets: URLs, or TargetSpecs, which bring their own options.
        every: seconds between polls of a URL; None for 1.
        count: polls of each URL; None for no end if `every` or `duration` is given,
            else for one.
        duration: seconds after which no poll is begun any more; None for no end.
        poller: to use instead of a new one; it is closed at the end. One with `on_result`
            hands the results to that, and nothing is yielded.
        options: of each URL; see `TargetSpec`.
    Yields:
        A result for each poll that was due; see `PollResult`.
    Raises:
        ValueError: an option that cannot be; nothing was polled.
        TypeError: no such option, or one URL in place of several; nothing was polled.
    """
    if isinstance(targets, (str, TargetSpec)):  # a str would be a URL for each character
        raise TypeError(f"targets must be several, as in [url]: {targets!r}")
    if count is None and every is None and duration is None:
        count = 1
    specs = [
        TargetSpec(each, every=1.0 if every is None else every, count=count, **options)
        if isinstance(each, str)
        else each
        for each in targets
    ]
    return _poll(poller if poller is not None else Poller(), specs, duration)


def _poll(poller: Poller, specs: list[TargetSpec], duration: float | None) -> Iterator[PollResult]:
    until = None if duration is None else poller.tyme + duration
    try:
        for spec in specs:
            poller.add(spec)
        if not specs:
            return
        results = poller.results
        while True:
            poller.service()
            while results:
                yield results.popleft()
            if poller.done:
                return
            nap = NAP
            if until is not None and not poller.stopping:
                left = until - poller.tyme
                if left <= 0.0:
                    poller.stop()
                    continue
                nap = min(nap, left)
            poller.wait(nap)
    finally:
        poller.close()


def _descriptors() -> int:
    """Give how many connections this process may have."""
    try:
        import resource
    # Windows: what Python's select takes there at once
    except ImportError:  # pragma: no cover
        return WINDOWS_SELECT - SPARE
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1_000_000 if soft == resource.RLIM_INFINITY else max(1, soft - SPARE)

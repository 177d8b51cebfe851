"""Watch an event stream and print its events as they come: what `fasthio watch` does."""

from __future__ import annotations

import json
import math
import selectors
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TextIO

from hio.help import Hict

from .clienting import Client
from .streaming import Stream
from .targets import check_url

__all__ = ["PlanError", "Watch", "WatchEnd", "WatchPlan", "make_printer", "note", "printable"]

#: Longest sleep in seconds: bounds how late anything but an octet is noticed.
NAP: Final = 0.05

# made anew for each sleep; poll(2) makes that cheap
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)
_ESCAPED: Final = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_ESCAPED[0x09] = "\t"


class PlanError(ValueError):
    """Tell that a URL, or what is to be sent to it, cannot be sent."""


@dataclass(frozen=True)
class WatchPlan:
    """Say what to watch and for how long.

    Args:
        url: absolute http or https URL, as `targets.check_url` takes it.
        headers: field names and values sent along, in order.
        last_event_id: id to go on after; None or "" for none.
        count: events after which to stop; None for no bound.
        timeout: seconds after which to stop; None for no bound.
        idle: seconds of silence after which a connection is given up; None for never.
        reconnect: True to take the stream up again when it is dropped.
    """

    url: str
    headers: tuple[tuple[str, str], ...] = ()
    last_event_id: str | None = None
    count: int | None = None
    timeout: float | None = None
    idle: float | None = None
    reconnect: bool = True


@dataclass(frozen=True)
class WatchEnd:
    """Tell how watching ended.

    Attributes:
        events: how many events came.
        failure: kind of failure, or code of the error; None for none.
        error: what failed, in words.
    """

    events: int
    failure: str | None = None
    error: str | None = None


class Watch:
    """Watch one stream.

    Args:
        plan: what to watch.
        show: called with each event as it comes, a dict of `id`, `name` and `data`.
        note: called with a line on each connection, drop and failed attempt.
    Raises:
        PlanError: the URL or a header cannot be sent.
    """

    def __init__(
        self,
        plan: WatchPlan,
        show: Callable[[dict[str, Any]], None],
        note: Callable[[str], None],
    ) -> None:
        self.plan = plan
        self.show = show
        self.note = note
        self.events = 0
        self.client: Client | None = None
        self._responses = 0
        self._lost = (0, 0)
        try:
            self._parts = check_url(plan.url)
        except ValueError as error:
            raise PlanError(str(error)) from error

    def run(self) -> WatchEnd:
        """Watch until the plan is done or the stream has ended for good.

        Raises:
            PlanError: a header cannot be sent.
            KeyboardInterrupt: passed on.
        """
        plan = self.plan
        until = math.inf if plan.timeout is None else time.monotonic() + plan.timeout
        try:
            self.client = client = self._connect()
            while True:
                client.service()
                stream = client.stream
                if stream is not None:
                    self._note_connected(stream)
                while client.events:
                    self.show(client.events.popleft())
                    self.events += 1
                    if self.events == plan.count:
                        return WatchEnd(self.events)
                if client.responses:
                    return self._ended(client.responses.popleft())
                if stream is not None:
                    self._note_dropped(stream)
                connector = client.connector
                if stream is None and not connector.connected and connector.refusals:
                    return WatchEnd(self.events, "refused", str(connector.fault))
                left = until - time.monotonic()
                if left <= 0.0:
                    return self._timed_out()
                self._wait(client, left)
        except socket.gaierror as error:
            return WatchEnd(self.events, "unresolved", str(error))
        except OSError as error:  # no sockets left, or whoever is shown the events has left
            if isinstance(error, BrokenPipeError):
                raise
            return WatchEnd(self.events, "system", str(error))
        finally:
            if self.client is not None:
                self.client.close()

    def _connect(self) -> Client:
        plan, parts = self.plan, self._parts
        headers = Hict([("Accept", "text/event-stream"), ("Cache-Control", "no-store")])
        for name in {name for name, _ in plan.headers}:
            headers.popall(name, None)
        for name, value in plan.headers:
            headers.add(name, value)
        if plan.last_event_id:
            headers["Last-Event-ID"] = plan.last_event_id.encode()  # UTF-8: WHATWG HTML 9.2.4
        try:
            client = Client(
                hostname=parts.hostname,
                port=parts.port,
                scheme=parts.scheme,
                portOptional=True,
                reconnectable=plan.reconnect,
                idle=plan.idle,
            )
            client.request(
                path=parts._replace(scheme="", netloc="", fragment="").geturl() or "/",
                qargs={},
                headers=headers,
            )
        except OSError:
            raise
        except ValueError as error:
            raise PlanError(f"{plan.url} cannot be watched: {error}") from error
        return client

    def _note_connected(self, stream: Stream) -> None:
        """Note a response that carries the stream."""
        if stream.responses > self._responses:
            self._responses = stream.responses
            self.note("connected" if stream.responses == 1 else "connected again")

    def _note_dropped(self, stream: Stream) -> None:
        """Note a drop, or an attempt that came to nothing."""
        if stream.state != "waiting" or self._lost == (stream.drops, stream.failures):
            return
        self._lost = (stream.drops, stream.failures)
        what = "not connected" if stream.failures else "dropped"
        why = f", {stream.reason}" if stream.reason else ""
        self.note(f"{what}{why}; next attempt in {stream.delay:g} s")

    def _ended(self, response: dict[str, Any]) -> WatchEnd:
        """See what the response means that ended it."""
        if response["errored"]:
            error = response["error"]
            return WatchEnd(self.events, getattr(error, "code", "") or "malformed", str(error))
        if response.get("evented") or response["status"] == 204:
            return WatchEnd(self.events)
        status = response["status"]
        if status != 200:
            return WatchEnd(
                self.events, f"status-{status}", f"{status} {response['reason']}".rstrip()
            )
        kind = response["headers"].get("content-type", "none")
        return WatchEnd(self.events, "no-stream", f"no event stream, but of type {kind}")

    def _timed_out(self) -> WatchEnd:
        plan = self.plan
        if plan.count is not None:
            error = f"{self.events} of {plan.count} events within {plan.timeout:g} s"
            return WatchEnd(self.events, "timeout", error)
        if self.client is None or self.client.stream is None:
            return WatchEnd(self.events, "timeout", f"no event stream within {plan.timeout:g} s")
        return WatchEnd(self.events)

    @staticmethod
    def _wait(client: Client, most: float) -> None:
        """Sleep until the socket is ready or something is due."""
        connector = client.connector
        nap = min(NAP, most)
        if client.stream is not None and client.stream.state == "waiting":
            time.sleep(max(min(nap, connector.tymer.remaining), 0.0))
            return
        if connector.cs is None or connector.cutoff:
            time.sleep(max(nap, 0.0))  # Windows' select refuses to wait for nothing
            return
        interest = selectors.EVENT_READ
        if not connector.accepted or (connector.connected and connector.txbs):
            interest |= selectors.EVENT_WRITE
        selector = _Selector()
        selector.register(connector.cs.fileno(), interest)
        selector.select(nap)


# Printing ---------------------------------------------------------------------


def printable(text: str) -> str:
    """Give text with its control characters escaped, so that no server moves the cursor."""
    return text.translate(_ESCAPED)


class Printer(Protocol):
    """What prints events."""

    def __call__(self, event: dict[str, Any]) -> None:
        """Print an event."""


def _lines(event: dict[str, Any]) -> list[str]:
    """Give the lines of data, fit to be printed."""
    return [printable(line) for line in str(event["data"]).split("\n")]


def _clock() -> str:
    return time.strftime("%H:%M:%S")


class Plain:
    """Print each event as a line; further lines of its data follow, indented."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __call__(self, event: dict[str, Any]) -> None:
        """Print an event."""
        words = [_clock(), printable(event["name"]) or "message"]
        if event["id"]:
            words.append(f"#{printable(event['id'])}")
        first, *more = _lines(event)
        print("\n    ".join([" ".join([*words, first]), *more]), file=self.stream, flush=True)


class Json:
    """Print each event as a line of JSON with the time it came, in seconds since the epoch."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __call__(self, event: dict[str, Any]) -> None:
        """Print an event."""
        print(json.dumps({"time": time.time(), **event}), file=self.stream, flush=True)


class Rich:
    """Print each event in colours; needs rich."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        self.console = Console(file=stream, highlight=False, markup=False, emoji=False)

    def __call__(self, event: dict[str, Any]) -> None:
        """Print an event."""
        from rich.text import Text

        name = printable(event["name"])
        text = Text.assemble(
            (_clock(), "dim"), " ", (name or "message", "bold cyan" if name else "cyan")
        )
        if event["id"]:
            text.append(f" #{printable(event['id'])}", "yellow")
        first, *more = _lines(event)
        text.append(f" {first}")
        for line in more:
            text.append(f"\n    {line}")
        self.console.print(text, soft_wrap=True)


def make_printer(stream: TextIO | None, as_json: bool) -> Printer:
    """Make what prints to a stream.

    Args:
        stream: where to; None, as Python has it for a closed standard output, for nowhere.
        as_json: True for lines of JSON; else colours on a terminal if rich is
            there, plain lines otherwise.
    """
    if stream is None:
        return lambda event: None
    if as_json:
        return Json(stream)
    if stream.isatty():
        try:
            return Rich(stream)
        except ImportError:
            pass
    return Plain(stream)


def note(text: str) -> None:
    """Print a note to standard error."""
    print(f"{_clock()} {printable(text)}", file=sys.stderr, flush=True)

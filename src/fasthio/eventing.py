"""Server-sent events in hio's shape: `EventSource` over an `EventParser`.

Sections are of WHATWG HTML 9.2, Server-sent events.
"""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

from hio.core.http import httping

from .engine import EventParser

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from .errors import ParseError
    from .grammar import Limits

__all__ = ["EventSource"]


def _decode(data: str) -> Any:
    """Return the value of JSON text, or the text where it is none.   hio: D75."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):  # no JSON, or nested deeper than Python goes
        return data


class _Appending:
    """Append one by one, decoded where asked for: a program's own container may do more than hold.

    As hio does.
    """

    def __init__(self, events: Any, dictable: bool) -> None:
        self.events = events
        self.dictable = dictable

    def __len__(self) -> int:
        return len(self.events)

    def extend(self, events: Iterable[dict[str, Any]]) -> None:
        for event in events:
            if self.dictable:
                event["data"] = _decode(event["data"])
            self.events.append(event)


class EventSource(httping.EventSource):  # type: ignore[misc]  # hio has no types
    """Turn the octets of an event stream into dicts in a deque.

    Args:
        raw: octets of the stream as they come, deleted from the front as they
            are understood; a new bytearray if None.
        events: where events go, each a dict of `id`, `name` and `data`; a new
            deque if None.
        dictable: True to replace `data` by its value where it is JSON.
        limits: bounds of a line, an event and the queue of events (octets,
            octets, events); None for the defaults.
    Attributes:
        raw, events, dictable: as given.
        parser: generator that parses, None once the stream is done.
        leid: last event id, str, or None before the first. It names an event
            that is in `events`, or an id alone that a blank line has ended.
        retry: reconnection time in milliseconds, or None.
        bom: U+FEFF if the stream began with one, else None.
        closed: True once `close` was called: no more octets will come.
        ended: True once the stream is closed and all of it parsed.
        engine: the EventParser underneath.
        error: the EventError the stream failed with, or None.
    hio: D70 to D79.
    """

    Engine: ClassVar[type[EventParser]] = EventParser

    def __init__(
        self,
        raw: bytearray | None = None,
        events: deque[dict[str, Any]] | None = None,
        dictable: bool = False,
        *,
        limits: Limits | None = None,
    ) -> None:
        self.raw: bytearray = raw if raw is not None else bytearray()
        self.events: deque[dict[str, Any]] = events if events is not None else deque()
        self.dictable = bool(dictable)
        self.engine = self.Engine(limits=limits)
        self.parser: Generator[bool | None, None, None] | None = None
        self.ended: bool | None = None
        self.closed: bool | None = None
        self.makeParser()

    @property
    def leid(self) -> str | None:
        """Last event id, or None before the first. Settable: the id to go on from."""
        return self.engine.leid

    @leid.setter
    def leid(self, leid: str | None) -> None:
        self.engine.leid = leid

    @property
    def retry(self) -> int | None:
        """Reconnection time in milliseconds, or None if the stream gave none. Settable."""
        return self.engine.retry

    @retry.setter
    def retry(self, retry: int | None) -> None:
        self.engine.retry = retry

    @property
    def bom(self) -> str | None:
        """U+FEFF if the stream began with one, else None."""
        return self.engine.bom

    @property
    def error(self) -> ParseError | None:
        """The EventError the stream failed with, or None."""
        return self.engine.error

    def close(self) -> None:
        """Say that no more octets will come.

        What is in `raw` by then is parsed by the next `parse`. An event that no
        blank line has ended is dropped (9.2.6).   hio: D76.
        """
        self.closed = True

    def reset(self, raw: bytearray | None = None) -> None:
        """Begin a new stream, as after a reconnect; keep `leid`, `retry` and `events`.

        Args:
            raw: octets of the new stream; None to go on with the present
                bytearray, emptied of what the old stream has left.
        hio: D79.
        """
        if raw is None:
            del self.raw[:]
        self.closed = None
        self.makeParser(raw)

    def makeParser(self, raw: bytearray | None = None) -> None:
        """Make a fresh parser and assign it to `parser`; `leid` and `retry` are kept.

        Args:
            raw: octets to parse from now on; None to go on with the present ones.
        hio: D79.
        """
        if raw is not None:
            self.raw = raw
        self.ended = None
        self.engine.reset()
        self.parser = self.parseEvents()

    def parseEvents(self) -> Generator[bool | None, None, None]:
        """Parse events out of `raw` into `events`, as far as the octets go.

        Yields:
            None while more octets may come; True once closed and all is parsed.
        Raises:
            EventError: the stream exceeds a limit. Events before the fault are
                in `events`; `parse` raises it again until `reset`.
        """
        self._service()
        while not self.engine.ended:
            yield None
            self._service()
        self.ended = True
        yield True

    def parseEventStream(self) -> Generator[bool | None, None, None]:
        """Parse one event stream from its beginning, a BOM included.

        As `parseEvents`, but it forgets an unfinished event and the end of an
        earlier stream first.   hio: D71.
        """
        self.ended = None
        self.engine.reset()
        yield from self.parseEvents()

    def parse(self) -> None:
        """Parse what is in `raw`; once the stream is done `parser` is None, `ended` True.

        Raises:
            EventError: the stream exceeds a limit; the same one each time.
            BufferError: somebody has a view of `raw`; nothing was taken, and it may go on.
            RuntimeError: after an exception of another kind, that ended the call before:
                the octets are half parsed, and the parser begins anew with `reset`.
        """
        if self.engine.error is not None:  # the generator it came out of is done for
            raise self.engine.error.with_traceback(None)
        if self.parser is None:
            return
        try:
            done = next(self.parser)
        except BaseException:  # the generator is done for, not the stream
            self.parser = self.parseEvents()
            raise
        if done is not None:
            self.parser.close()
            self.parser = None

    def _service(self) -> None:
        """Feed the engine once."""
        if not self.raw and not self.closed:
            return
        events: Any = self.events
        if self.dictable or type(events) is not deque:
            events = _Appending(events, self.dictable)
        self.engine.feed(self.raw, events, bool(self.closed))

"""Where the octets of a body go as they come: decoded, to a file or callback, or kept.

A drain takes what the parser has put into its body away from there, so that no
more of it is held than came in one step.
"""

from __future__ import annotations

import errno
import io
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from .errors import exchange_error, parse_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from .decoding import Decoder

__all__ = ["Drain", "sink_of"]

#: Without maxBody a decoded body may have this many octets ...
FLOOR: Final = 16_777_216
#: ... or this many times those that were received, whichever is more.
RATIO: Final = 100


def sink_of(sink: Any) -> Callable[[bytes], Any]:
    """Take a sink: something with `write`, or something to call with octets.

    Raises:
        ValueError: it is neither.
    """
    write = getattr(sink, "write", None)
    if callable(write):
        if isinstance(sink, io.RawIOBase):
            return partial(_write_whole, write)
        return write  # type: ignore[no-any-return]
    if callable(sink):
        return sink  # type: ignore[no-any-return]
    raise ValueError(f"sink must be callable or have write(): {type(sink).__name__}")


def _write_whole(write: Callable[[bytes | memoryview], int | None], octets: bytes) -> None:
    """Write all octets to a file without a buffer, which may take a part of them.

    Raises:
        BlockingIOError: it takes none now: what waits for it would be without bound.
    """
    rest = memoryview(octets)
    while rest:
        count = write(rest)
        if not count:
            raise BlockingIOError(errno.EAGAIN, "the file takes no octets now")
        rest = rest[count:]


class Drain:
    """Lead a body away while it comes.

    Args:
        sink: what octets are given to; None to keep them in `body`.
        decoder: of the content coding; None where there is none.
        limit: octets that may come out; None for a bound on the ratio, where
            they are decoded, and for none where they are not.
        state: of a parser that takes such a body; a `ParseError` tells it.
    Attributes:
        body: what was not given to a sink.
        busy: True while octets are given on: a sink may call whatever it likes.
        received: octets taken so far.
        given: octets given on so far, decoded.
    """

    def __init__(
        self,
        sink: Callable[[bytes], Any] | None,
        decoder: Decoder | None,
        limit: int | None,
        state: str = "until-close",
    ) -> None:
        self.body = bytearray()
        self.busy = False
        self.received = 0
        self.given = 0
        self._sink = sink
        self._decoder = decoder
        self._limit = limit
        self._state = state

    @property
    def sunk(self) -> bool:
        """True once a sink got octets: they cannot be taken back."""
        return self._sink is not None and self.given > 0

    def take(self, body: bytearray) -> None:
        """Take all octets out of a body and give them on.

        Raises:
            LimitError: more octets than the limit, or than any honest coding gives.
            DecodeError: they are not of the coding they should be.
            SinkError: the sink raised; its exception is the cause.
        """
        if not body:
            return
        octets = bytes(body)
        body.clear()
        self.received += len(octets)
        self.busy = True
        try:
            if self._decoder is None:
                self._give(octets)
                return
            for piece in self._decoder.feed(octets):
                self._give(piece)
        finally:
            self.busy = False

    def finish(self) -> None:
        """Say that the body is complete.

        Raises:
            DecodeError: what was coded is not complete.
        """
        if self._decoder is not None:
            self._decoder.finish()

    def _give(self, octets: bytes) -> None:
        self.given += len(octets)
        limit = self._limit
        if limit is None and self._decoder is not None:
            limit = max(FLOOR, RATIO * self.received)
        if limit is not None and self.given > limit:
            raise parse_error("body-too-large", offset=self.received, state=self._state)
        if self._sink is None:
            self.body += octets
            return
        try:
            self._sink(octets)
        except Exception as error:  # whatever a program's own code raises ends this exchange only
            raise exchange_error("sink", f"{type(error).__name__}: {error}", error) from error

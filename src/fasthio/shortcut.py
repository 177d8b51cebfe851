"""The short way of a poll: its request out and its response in, with nothing in between.

Most polls go over a connection that is open, and most responses come whole in one
receive. Those need no Client: one buffer and one parser serve all connections, and
stay in the processor's caches. All else is the Client's, which takes over what was
sent and received so far, and makes of it what it always does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hio.help import Hict
from multidict import istr

from .engine import ResponseParser
from .engine import receive as _receive
from .engine import send as _send
from .errors import ParseError

if TYPE_CHECKING:
    from .grammar import Limits

__all__ = ["Shortcut"]

#: Octets of a response that is received at once; a longer one is the Client's.
SIZE: Final = 16_384

_CONNECTION: Final = istr("Connection")
_CONTENT_TYPE: Final = istr("Content-Type")
_PERSISTENT: Final[tuple[list[str], ...]] = ([], ["keep-alive"], ["Keep-Alive"])


class Shortcut:
    """Send requests, and receive responses that are whole and plain.

    Attributes:
        parser: holds the response after `receive` has given True.
        rx: octets received after it has given False.
        count: what the system gave at the last `receive`: octets, 0 for the end of the
            connection, or minus the errno.
    """

    __slots__ = ("__weakref__", "_parse", "_start", "count", "parser", "rx")

    def __init__(self, limits: Limits) -> None:
        """Set up.

        Args:
            limits: bounds on what one response may cost.
        """
        self.parser = ResponseParser(limits=limits, mapping=Hict)
        self.rx = bytearray()
        self.count = 0
        self._start = self.parser.start
        self._parse = self.parser.parse

    #: Send from the front of a request: octets sent, or minus the errno.
    send = staticmethod(_send)

    def receive(self, fd: int, method: str) -> bool:
        """Receive, and parse a response that has come whole.

        Args:
            fd: descriptor of a connection on which nothing but this response is awaited.
            method: of the request.
        Returns:
            True for a response that was consumed to its last octet, and after which the
            connection may carry another request (RFC 9112 9.3); False for all else, as
            redirects and event streams: what has come is in `rx`, whose owner empties it.
        """
        rx = self.rx
        count = self.count = _receive(fd, rx, SIZE)
        if count <= 0 or count == SIZE:
            return False  # there may be more behind it that nobody asked for (RFC 9112 6.3)
        self._start(method)
        try:
            if self._parse(rx) != count:
                return False
        except ParseError:
            return False
        parser = self.parser
        if not parser.done or parser.version != (1, 1) or parser.conflicted:
            return False
        status = parser.status
        assert status is not None
        if (300 <= status < 400 and status != 304) or status < 200:
            return False
        headers = parser.headers
        if headers.getall(_CONNECTION, []) not in _PERSISTENT:
            return False
        media = headers.get(_CONTENT_TYPE)
        if media is not None and "event-stream" in media.lower():
            return False
        rx.clear()
        return True

"""The engines: what `_parser` (C) and `_pyparser` (Python) both offer, documented once.

Both give the same values, states, errors and texts on every input, however it was
cut into pieces.
"""

from collections.abc import Callable, Collection, Mapping, MutableSequence
from typing import Any, Final, NoReturn, final

from typing_extensions import Self, disjoint_base

from .errors import ParseError
from .grammar import Limits

__all__ = [
    "NAME",
    "EventParser",
    "Publisher",
    "ResponseParser",
    "intact",
    "peek",
    "plain_json",
    "receive",
    "send",
]

NAME: Final[str]
"""Name of the engine: "c" or "py"."""

@disjoint_base
class LineParser:
    """Parse the lines of heads and trailer sections; a base of ResponseParser."""

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied or pickled: a parser is of one connection.

        Raises:
            TypeError: always, unless a subclass says what a copy has.
        """
    @property
    def limits(self) -> Limits:
        """Bounds in force."""
    @property
    def mapping(self) -> type[Any]:
        """Type of `headers` and `trailers`."""
    @property
    def method(self) -> str:
        """Method of the request that the response answers, in upper case."""
    @property
    def version(self) -> tuple[int, int] | None:
        """(1, 1) or (1, 0), None before the status line (RFC 9112 2.3).

        0.9 and 1.0 are (1, 0); 1.1 and any higher minor version are (1, 1).
        """
    @property
    def status(self) -> int | None:
        """Status code, 100 to 999; None before the final status line (RFC 9112 4)."""
    @property
    def reason(self) -> str | None:
        """Reason phrase as sent, ISO-8859-1, white space at its ends removed; may be ""."""
    @property
    def headers(self) -> Any:
        """Fields of the final head in a `mapping`: repeated ones in order, OWS removed,
        folded ones joined by one space (RFC 9112 5); None before the status line."""
    @property
    def interims(self) -> int:
        """Interim responses read before the final one: each 1xx but 101 (RFC 9110 15.2)."""
    @property
    def consumed(self) -> int:
        """Octets of this message taken so far, its interim responses included."""
    @property
    def error(self) -> ParseError | None:
        """What the message failed with, or None."""

@disjoint_base
class HeadParser(LineParser):
    """Parse heads, those that come in one piece at once; a base of ResponseParser."""

@disjoint_base
class BodyParser(HeadParser):
    """Choose the framing and parse bodies and trailers; a base of ResponseParser."""

    @property
    def headed(self) -> bool:
        """True once the final head is complete."""
    @property
    def length(self) -> int | None:
        """Content-Length where it frames the body; once done the octets of the body."""
    @property
    def trailers(self) -> Any:
        """Trailer fields in a `mapping`, None if there were none; never merged into
        `headers` (RFC 9112 7.1.2)."""
    @property
    def codings(self) -> tuple[str, ...]:
        """Transfer codings left on the body, first applied first, in lower case (RFC 9112 6.1)."""
    @property
    def conflicted(self) -> bool:
        """True where Transfer-Encoding and Content-Length both came: the connection must
        not be used again (RFC 9112 6.3)."""

@disjoint_base
class ResponseParser(BodyParser):
    """Parse HTTP/1.1 responses from a buffer that fills as octets come (RFC 9112).

    One parser reads one response after the other: `start` before each. What it hands
    out belongs to the caller and is not touched again after the next `start`.
    """

    def __init__(self, *, limits: Limits | None = None, mapping: type[Any] | None = None) -> None:
        """Make a parser, ready for the response to a GET.

        Args:
            limits: bounds on what one response may cost; None for `grammar.LIMITS`.
            mapping: type of headers and trailers, made without arguments, or from pairs
                where it is a CIMultiDict; needs `add(name, value)`. None for CIMultiDict.
        """
    def start(self, method: str = "GET") -> None:
        """Begin a new exchange, in any state; all of the last message is forgotten.

        Args:
            method: method of the request: HEAD and CONNECT change what has a body
                (RFC 9112 6.3).
        Raises:
            TypeError: the method is no str.
        Cost: O(1); `body` and `headers` are new objects, those handed out stay as they are.
        """
    def reset(self) -> None:
        """Begin a new exchange with the method of the last one."""
    def start_body(self, framing: str, length: int | None = None) -> None:
        """Begin a new exchange at its body, the head being known from elsewhere.

        Args:
            framing: one of `grammar.FRAMINGS`.
            length: octets of the body, with framing "fixed" and only with it.
        Raises:
            TypeError: the framing is no str, or the length no integer.
            ValueError: an argument that cannot be.
            LimitError: the body is longer than `limits.body`.
        """
    def parse(self, rx: bytearray, eof: bool = False) -> int:
        """Consume response octets from the front of `rx`.

        Args:
            rx: received octets, oldest first, without those that earlier calls counted.
                Read only: never resized, no view kept.
            eof: True once the peer will send no more; sticky until `start`.
        Returns:
            Octets of `rx` now dead, 0 <= n <= len(rx). The caller deletes them. Octets
            behind the end of the message are left.
        Raises:
            StatusLineError, VersionError: the status line (RFC 9112 2.3, 4).
            FieldError: a field or trailer line (RFC 9112 5).
            FramingError: Content-Length or Transfer-Encoding (RFC 9112 6), raised when
                the head is complete.
            ChunkError: a chunk-size line, or no CRLF after the data (RFC 9112 7.1).
            LimitError: more than `limits` allow.
            ClosureError: `eof` inside the message (RFC 9112 8).
            RuntimeError: called while a call of the same parser is under way; or after one
                that ended in an exception of another kind, as MemoryError: the message is
                half parsed, and its parser begins anew with `start`.
            ValueError: octets of this message are kept by `feed`; or `rx` is its `body`.
        The same ParseError is raised again by each call until `start`. What was consumed
        before it is in `consumed`, what was understood in the attributes.
        Cost: O(new octets), however they were cut.   hio: D20, D21, D30 to D36.
        """
    def parse_head(self, rx: bytearray, eof: bool = False) -> int:
        """Consume as `parse` does, but stop when the final head is complete."""
    def take(self, rx: bytearray, eof: bool = False) -> int:
        """Consume as `parse` does, and delete from the front of `rx` what is dead.

        Args:
            rx: received octets; those that were consumed before an error are deleted, too.
            eof: as for `parse`.
        Returns:
            Octets deleted.
        Raises:
            BufferError: somebody else has a view of `rx`; the message cannot go on.
            ParseError: as for `parse`.
        """
    def feed(self, data: bytes | bytearray | memoryview, eof: bool = False) -> int:
        """Consume octets that are handed over as they came, without a buffer of the caller's.

        The octets of a line that is not whole are kept until its rest is fed. For a
        message either feed all of it or use `parse` and `take`.

        Args:
            data: the next octets; no view of them is kept.
            eof: as for `parse`.
        Returns:
            Octets of `data` that belong to the message: all of them, but where it has
            ended the rest is the caller's, to feed after the next `start`.
        Raises:
            TypeError, BufferError: `data` is no contiguous buffer.
            BufferError: somebody has a view of `body`, or it is viewed by `data`: what was
                taken is in `consumed`, the rest of the message is to be fed from there on.
            ValueError: `data` is the `body` of this message.
            RuntimeError: called while a call of the same parser is under way.
            ParseError: as for `parse`.
        Cost: O(new octets); one copy of the body less than through a receive buffer.
        """
    @property
    def state(self) -> str:
        """State of the parser, one of `grammar.STATES`."""
    @property
    def done(self) -> bool:
        """True once the message is complete."""
    @property
    def framing(self) -> str | None:
        """How the body ends, one of `grammar.FRAMINGS` (RFC 9112 6.3); None in the head."""
    @property
    def body(self) -> bytearray:
        """Body so far, chunked coding removed. The owner of the response may take octets
        from its front meanwhile; `limits.body` bounds what is held."""
    @property
    def extensions(self) -> dict[str, str | None]:
        """Chunk extensions, the last of each name; None without a value (RFC 9112 7.1.1)."""
    @property
    def wanted(self) -> int:
        """Octets that may be put straight at the end of `body`: of the fixed body or chunk
        under way, 0 if none, -1 without bound until the peer closes."""
    def snapshot(
        self,
    ) -> tuple[
        bool,
        bool,
        int,
        tuple[int, int] | None,
        int | None,
        str | None,
        Any,
        str | None,
        int | None,
        bytearray,
        Any,
        bool,
    ]:
        """Give at once what is known of the message; nothing is copied.

        Returns:
            The attributes `headed`, `done`, `wanted`, `version`, `status`, `reason`,
            `headers`, `framing`, `length`, `body`, `trailers` and `conflicted`, in this
            order. One by one they cost the C engine five times as much.
        """
    def received(self, count: int) -> None:
        """Note that octets were put straight at the end of `body`, none being left in `rx`.

        Args:
            count: octets, at most `wanted`.
        Raises:
            TypeError: the count is no integer.
            ValueError: more than were wanted; or beyond 2**62 octets in all.
        """

@disjoint_base
class EventParser:
    """Parse an event stream as its octets come (WHATWG HTML 9.2)."""

    def __init__(self, *, limits: Limits | None = None) -> None:
        """Make a parser for the beginning of a stream.

        Args:
            limits: bounds `event_line`, `event` (octets) and `events`; None for the defaults.
        """
    def __reduce__(self) -> NoReturn:
        """Refuse to be copied or pickled: a parser is of one connection.

        Raises:
            TypeError: always, unless a subclass says what a copy has.
        """
    leid: str | None
    """Last event id, None before the first; changes at the blank line that ends an event.
    Settable: the id to go on from."""
    retry: int | None
    """Reconnection time, milliseconds, or None. Settable."""
    @property
    def bom(self) -> str | None:
        """U+FEFF if the stream began with one, else None."""
    @property
    def consumed(self) -> int:
        """Octets of this stream taken so far."""
    @property
    def count(self) -> int:
        """Events of this stream dispatched so far."""
    @property
    def ended(self) -> bool:
        """True once the end of the stream was met."""
    @property
    def error(self) -> ParseError | None:
        """The error the stream failed with, or None."""
    def feed(
        self, raw: bytearray, events: MutableSequence[dict[str, Any]], eof: bool = False
    ) -> int:
        """Take whole lines from the front of `raw` and append what they dispatch to `events`.

        Args:
            raw: octets of the stream, oldest first; what is taken is deleted from it, an
                unfinished line stays.
            events: where dicts of `id`, `name` and `data` go.
            eof: True once no more octets will come: an unfinished event is dropped.
        Returns:
            Events appended.
        Raises:
            EventError: a line, an event or the queue exceeds its limit; raised again by
                each call until `reset`. Events before it are in `events`.
            BufferError: somebody has a view of `raw`; nothing was taken.
            RuntimeError: called while a call of the same parser is under way; or after one
                that ended in an exception of another kind, as MemoryError: the octets are
                half parsed, and the parser begins anew with `reset`.
        Cost: O(new octets).   hio: D70 to D78.
        """
    def reset(self) -> None:
        """Begin a new stream: an unfinished event is dropped; `leid` and `retry` stay.

        Raises:
            RuntimeError: called while a call of the same parser is under way.
        """

@final
class Publisher:
    """Give what a parser found the names that a respondent has for it.

    The engines know a respondent by these names alone. What it finds out for itself are
    its methods `checkPersisted` (of the less common responses), `_begin_events`,
    `_parse_events`, and `_salvage`, which takes what came before a fault.
    """

    def __new__(
        cls,
        kind: type[Any],
        blank: Mapping[str, Any],
        media_of: Callable[[str], tuple[bool, bool, str]],
        redirects: Collection[int],
    ) -> Self:
        """Set up for the respondents of a class; the C engine reaches those in slots directly.

        Args:
            kind: the class.
            blank: what its attributes begin with, by name; what has a `copy` is copied.
            media_of: reads a Content-Type: is it JSON, an event stream, and its charset.
            redirects: statuses that make a response a redirect.
        Raises:
            KeyError: `blank` has no `encoding`, the one of a body without a charset.
            TypeError: `kind` is no class.
        """
    def fill(self, respondent: Any) -> None:
        """Set all attributes to what they begin with.

        Raises:
            TypeError: it is none of that class; so in all other methods.
        """
    def expect(self, respondent: Any, method: str) -> None:
        """Set up for the response to a request, its parser too; whatever it had is forgotten.

        Args:
            respondent: it.
            method: of the request, in upper case.
        """
    def begin(self, respondent: Any) -> None:
        """Forget the last message; not `closed`, which may have come before this one."""
    def advance(self, respondent: Any) -> None:
        """Parse the octets at hand, as far as they go, and set what is known then.

        Raises:
            ParseError: what came is no response, or was cut off.
            TypeError: `msg` is no bytearray.
        """
    def head(self, respondent: Any, snapshot: tuple[Any, ...]) -> None:
        """Set what a head says, but `persisted`.

        Args:
            respondent: it.
            snapshot: of the parser, with the head complete.
        Raises:
            TypeError: it is no snapshot; so in `finish`.
        """
    def finish(self, respondent: Any, snapshot: tuple[Any, ...]) -> None:
        """Set what is known at the end of a body.

        Args:
            respondent: it.
            snapshot: of the parser, with the message complete.
        """
    def response(self, respondent: Any, request: Any) -> dict[str, Any]:
        """Give a response as a client puts it out.

        Args:
            respondent: it, its message complete.
            request: what the response tells of its request.
        """

def receive(fd: int, buffer: bytearray, size: int, ahead: int = 0) -> int:
    """Append what a nonblocking socket has received, `size` octets at most.

    Args:
        fd: file descriptor of the socket.
        buffer: where the octets are appended.
        size: most octets to take in this call.
        ahead: octets that are to come into the buffer, this call's among them, where
            they are many: the C engine makes room ahead for them, step by step.
    Returns:
        Octets appended, 0 once the peer has closed its side, or minus the errno.
    Raises:
        TypeError: `buffer` is no bytearray; nothing was received then.
        BufferError: somebody has a view of it; nothing was received.
        ValueError: `size` is not positive: 0 octets would look like the end. Or it is
            beyond 2**31 - 1.
        OverflowError: the descriptor is beyond an int of C.
    """

def send(fd: int, buffer: bytearray | bytes | memoryview) -> int:
    """Send from the front of a buffer on a nonblocking socket.

    Args:
        fd: file descriptor of the socket.
        buffer: octets to send; not changed. Where it is empty nothing is asked of the socket.
    Returns:
        Octets sent, or minus the errno.
    Raises:
        TypeError, BufferError: `buffer` is no contiguous buffer.
        OverflowError: the descriptor is beyond an int of C.
    """

def intact(owner: object, methods: tuple[tuple[str, Any], ...]) -> bool:
    """Tell whether no program has put something of its own in the place of methods.

    Looked at are the instance and its class, but not the `__dict__` of either: a look at
    that of an instance makes all its attributes slower from then on in CPython 3.11.

    Args:
        owner: the instance.
        methods: names of methods, each with the function that it is by itself.
    Returns:
        True where each is that function, bound to `owner`.
    Raises:
        TypeError: `methods` is no tuple.
    """

def plain_json(body: bytearray, most: int, digits: int) -> bool:
    """Tell whether octets that may be JSON hold few arrays and objects and no long number.

    Args:
        body: the octets, not changed.
        most: arrays and objects there may be; brackets within strings count as well.
        digits: fewest digits in a row, at least 1, that make a number long.
    Returns:
        True where there are at most `most` of the former and none of the latter.
    Raises:
        TypeError: the body is no bytearray.
    """

peek: Callable[[int], int] | None
"""Look whether a nonblocking socket has octets, without taking any: their number (1 at
most), 0 once the peer has closed its side, or minus the errno. None on the Python engine."""

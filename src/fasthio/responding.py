"""Respondent: hio's face over the response parser.

The engine finds out what the octets mean; this module gives it the names and
the step-by-step manner that hio's programs know.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from hio.core.http import httping
from hio.help import Hict
from multidict import istr

from .copying import Tied
from .engine import Publisher, ResponseParser, intact
from .errors import ParseError, Reason
from .eventing import EventSource
from .jsoning import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from .grammar import Limits

__all__ = ["REDIRECTS", "UNMADE", "Respondent"]

#: Statuses that make a response a redirect (RFC 9110 15.4). hio: D26, 308 is one too.
REDIRECTS = frozenset((300, 301, 302, 303, 307, 308))

_ENCODING = "ISO-8859-1"
# looked up more than once: an istr keeps its folded name
_CONNECTION = istr("Connection")

_NO_OPTIONS: frozenset[str] = frozenset()
_HTTP_11 = (1, 1)


@lru_cache(maxsize=256)  # servers send few media types, over and over
def _media_of(content_type: str) -> tuple[bool, bool, str]:
    """Read a Content-Type: is it JSON, an event stream, and its charset (RFC 9110 8.3)."""
    media, *parameters = content_type.split(";")
    media = media.lower()
    encoding = _ENCODING
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            encoding = value.strip().strip('"')  # hio: D29
    return ("application/json" in media, "text/event-stream" in media, encoding)


@lru_cache(maxsize=256)
def _options_of(connection: str) -> frozenset[str]:
    """Read a Connection field value: its options, in lower case (RFC 9110 7.6.1)."""
    return frozenset(option.strip(" \t").lower() for option in connection.split(","))


#: In place of a generator that nobody has asked for yet.
UNMADE: Any = object()


def _blank() -> dict[str, Any]:
    """Give the attributes that a respondent begins with."""
    blank = dict(vars(httping.Parsent()))
    blank.pop("parser", None)
    blank.update(
        dict.fromkeys(
            ("fault", "_own", "status", "code", "reason", "redirectant", "redirected",
             "evented", "eventSource", "engine", "redirects", "redirectable", "events",
             "retry", "leid")
        ),
        reusable=False, resumed=False, _begun=False, _given=False, _parser=UNMADE,
    )  # fmt: skip
    return blank


_BLANK = _blank()


#: Gives the dict of an instance, where attributes are that a program has added.
_others_of: Callable[[Any], dict[str, Any]] = vars(httping.Parsent)["__dict__"].__get__


class _Slotted:
    """Hold the attributes: the C engine sets slots at a tenth of their cost in Python."""

    __slots__ = tuple(_BLANK)


class Respondent(_Slotted, Tied, httping.Parsent):  # type: ignore[misc]  # hio has no types
    """Parse responses out of a buffer, one step at each `parse()`.

    Attributes beyond hio's:
        engine: the `ResponseParser` at work; `engine.wanted` and
            `engine.received` let a connector put large bodies straight in place.
        fault: the exception behind `error`, or None.
        resumed: True where the next event stream carries on the last one: its
            events have `leid` for their id until they bring one. Settable.
        reusable: True once a response is complete and its connection may carry
            another exchange (RFC 9112 9.3).
    """

    Retry = 100  # milliseconds before an event stream is asked for again

    # made by hio's base, which has no types
    msg: bytearray
    dictable: bool
    version: tuple[int, int] | None
    length: int | None
    chunked: bool | None
    jsoned: bool | None
    encoding: str
    persisted: bool | None
    started: bool | None
    headed: bool | None
    bodied: bool | None
    ended: bool | None
    closed: bool | None
    errored: bool
    error: str | None
    headers: Any
    parms: dict[str, str | None] | None
    trails: Any
    body: bytearray
    data: Any
    method: str
    engine: ResponseParser
    fault: Exception | None
    reusable: bool
    resumed: bool
    status: int | None
    code: int | None
    reason: str | None
    redirectant: bool | None
    redirected: bool | None
    redirects: list[Any]
    redirectable: bool
    evented: bool | None
    events: deque[Any]
    retry: int
    leid: str | None
    eventSource: EventSource | None
    _begun: bool
    _given: bool  # the engine itself parsed the head of the present body
    _parser: Any  # what `parser` gives, UNMADE where nobody has asked yet
    _own: Generator[bool | None, None, None] | None  # what it gave, as long as nobody drove it

    #: The steps of parsing, as they are by themselves: a program's own are gone through.
    _Ways: ClassVar[tuple[tuple[str, Any], ...]]
    #: Sets the attributes; each subclass has its own.
    publisher: ClassVar[Publisher]

    def __init_subclass__(cls, **kwa: Any) -> None:
        """Give a subclass a publisher of its own: it may have put something before a slot."""
        super().__init_subclass__(**kwa)
        cls.publisher = _publisher_of(cls)

    def __init__(
        self,
        redirects: list[Any] | None = None,
        redirectable: bool = True,
        events: deque[Any] | None = None,
        retry: int | None = None,
        leid: str | None = None,
        *,
        limits: Limits | None = None,
        **kwa: Any,
    ) -> None:
        """Set up for the first response.

        Args:
            redirects: responses that were redirects so far.
            redirectable: True to let redirects be followed.
            events: where server-sent events are put.
            retry: milliseconds before an event stream is asked for again.
            leid: id of the last event seen; hio ignores it (hio: D27).
            limits: bounds on what a response may cost; None for the default ones.
            kwa: `msg`, `dictable` and `method` as for hio's Parsent.
        Raises:
            TypeError: another argument is given.
        """
        self.publisher.fill(self)
        self.engine = ResponseParser(limits=limits, mapping=Hict)
        self.redirects = redirects if redirects is not None else []
        self.redirectable = bool(redirectable)
        self.events = events if events is not None else deque()
        self.retry = retry if retry is not None else self.Retry
        self.leid = leid
        msg = kwa.pop("msg", None)
        if msg is not None:
            self.msg = msg
        self.dictable = bool(kwa.pop("dictable", None))
        method = kwa.pop("method", "GET")
        self.method = method.upper() if method else "GET"
        if kwa:
            raise TypeError(f"Respondent takes no argument {next(iter(kwa))!r}")
        if type(self).makeParser is not Respondent.makeParser:
            self.makeParser()

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        """All attributes and their values, a copy: most are no items of a dict (hio: D99)."""
        held = {name: getattr(self, name) for name in _BLANK if hasattr(self, name)}
        return {**held, **_others_of(self)}

    @property
    def parser(self) -> Generator[bool | None, None, None] | None:
        """Generator of the present message, made when it is first asked for; None at its end."""
        parser = self._parser
        if parser is UNMADE:
            parser = self._parser = self._own = self.parseMessage()
        return parser  # type: ignore[no-any-return]

    @parser.setter
    def parser(self, parser: Generator[bool | None, None, None] | None) -> None:
        self._parser = parser

    @property
    def begun(self) -> bool:
        """True once `parse` has made a step for the present response.

        Until then all attributes are still those of the response before.
        """
        return self._begun

    def reinit(
        self, redirectable: bool | None = None, *, method: str | None = "GET", **kwa: Any
    ) -> None:
        """Set up for another response; what is None stays as it is.

        Args:
            redirectable: True to let redirects be followed.
            method: of the request that the next response answers.
            kwa: `msg` and `dictable` as for hio's Parsent; a `msg` that is another
                buffer starts the parser afresh (hio: D22).
        """
        if method is not None:
            self.method = method.upper()
        self.data = self.status = self.code = self.reason = self.evented = None
        if redirectable is not None:
            self.redirectable = bool(redirectable)
        if kwa:
            before = self.msg
            super().reinit(method=None, **kwa)
            if self.msg is not before:
                self.makeParser()

    def close(self) -> None:
        """Say that the peer will send no more; counts before the first `parse` too (hio: D20)."""
        super().close()
        if self.eventSource is not None:
            self.eventSource.close()

    def makeParser(self, msg: bytearray | None = None) -> None:
        """Make all fresh for the next message.

        Args:
            msg: buffer to parse from; None for the present one.
        """
        if msg is not None:
            self.msg = msg
        self.closed = self._begun = self._given = False
        if (self.errored or not self.ended) and self.engine.wanted:
            self.engine.reset()  # no octet of the next message belongs into this body
        parser = self._parser
        if parser is not None and parser is not UNMADE:
            if parser is self._own:
                return  # one that nobody drove by hand is as good as new
            parser.close()
        self._parser = UNMADE

    def checkPersisted(self) -> None:
        """Set `persisted`: may the connection stay open after this response (RFC 9112 9.3)."""
        headers = self.headers
        version = self.version
        if isinstance(headers, Hict):
            connection = headers.getall(_CONNECTION, ())
        else:  # a program's, whose names are in lower case as hio looks for them
            connection = [headers.get("connection") or ""]
        options = _NO_OPTIONS.union(*map(_options_of, connection))
        if version == _HTTP_11:
            self.persisted = "close" not in options and (self.chunked or self.length is not None)
        elif version == (1, 0):
            # close goes before all else (RFC 9112 9.3)
            self.persisted = "close" not in options and bool(
                self.evented
                or headers.get("keep-alive")
                or "keep-alive" in options
                or "keep-alive" in (headers.get("proxy-connection") or "").lower()
            )

    # generators, as programs that drive the parser by hand know them

    def parseMessage(self) -> Generator[bool | None, None, None]:
        """Parse one message, head and body.

        Yields:
            None while octets are missing, True when the message has ended,
            well or with `errored` and `error` set.
        """
        self._own = None
        self.publisher.begin(self)
        while not (self.started or self.closed):
            if self.msg:
                self.started = True
                break
            yield None
        try:
            for part in (self.parseHead, self.parseBody):
                for result in part():
                    if result is not None:
                        break
                    yield None
        except ParseError as error:
            self._fail(error)
        self.ended = True
        self.started = False
        yield True

    def parseHead(self) -> Generator[bool | None, None, None]:
        """Parse the head of a message.

        Yields:
            None while octets are missing, True when the head is complete.
        Raises:
            ParseError: the head is malformed, or cut off by the peer's closing.
        """
        if self.headed:
            return
        self.engine.start(self.method)
        self.body = self.engine.body
        while True:
            self._consume(self.engine.parse_head)
            if self.engine.headed:
                break
            yield None
        self._publish(self.engine.snapshot())
        yield True

    def parseBody(self) -> Generator[bool | None, None, None]:
        """Parse the body of a message.

        Where the head was not parsed here, the attributes `chunked` and
        `length` say how, as the program assigned them.

        Yields:
            None while octets are missing, True when the body is complete.
        Raises:
            ParseError: the body is malformed, or cut off by the peer's closing.
            ValueError: `length` is negative.
        """
        if self.bodied:
            return
        engine = self.engine
        if not self._given:
            if self.chunked:
                engine.start_body("chunked")
                self.parms = engine.extensions
            elif self.length is not None:
                engine.start_body("fixed", self.length)
            else:
                engine.start_body("close")
            self.body = engine.body
            if self.eventSource is not None:
                self.eventSource.makeParser(raw=self.body)
        while True:
            try:
                self._consume(engine.parse)
            finally:
                if self.evented:
                    self._parse_events()
            if engine.done:
                break
            yield None
        self.publisher.finish(self, engine.snapshot())
        yield True

    # the same in one go

    def parse(self) -> None:
        """Parse as far as the octets at hand go; never raises for what a peer sent.

        When the message has ended, `ended` is True and `parser` None.
        """
        parser = self._parser
        if parser is None:
            return
        if (parser is not UNMADE and parser is not self._own) or not (
            self._begun or intact(self, self._Ways)
        ):
            super().parse()
            return
        try:
            self.publisher.advance(self)
        except ParseError as error:
            self._fail(error)
            self.ended = True
            self.started = False
            self._parser = self._own = None

    def dictify(self) -> None:
        """Decode the body as JSON into `data` where its type or `dictable` asks for it.

        `data` is None where the body is no JSON; nesting too deep for the
        decoder is no JSON either (hio: D28).
        """
        if self.jsoned or self.dictable:
            try:
                self.data = decode(self.body)
            except (ValueError, RecursionError):
                self.data = None

    # steps

    def _consume(self, step: Callable[[bytearray, bool], int]) -> None:
        """Let the engine take octets from the front of `msg`, and delete them once."""
        engine = self.engine
        before = engine.consumed
        try:
            step(self.msg, bool(self.closed))
        finally:
            del self.msg[: engine.consumed - before]

    def _publish(self, snapshot: tuple[Any, ...]) -> None:
        """Give the head its hio names.

        Args:
            snapshot: the engine's, with the head complete.
        """
        self.publisher.head(self, snapshot)
        self.checkPersisted()

    def _salvage(self) -> None:
        """Take what came before a fault: the head; events, and a fault of theirs, count first."""
        engine = self.engine
        if engine.headed and not self.headed:
            self._publish(engine.snapshot())
        if self.evented:
            self._parse_events()

    def _begin_events(self) -> None:
        """Set up for an event stream."""
        engine = self.engine
        self.body = engine.body
        source = self.eventSource = EventSource(
            raw=self.body, events=self.events, dictable=self.dictable, limits=engine.limits
        )
        if self.resumed:
            source.leid = self.leid

    def _parse_events(self) -> None:
        """Let the event source take whole lines out of the body."""
        source = self.eventSource
        if source is None:
            return
        if self.engine.done:
            source.close()  # an event that is not finished now never will be
        try:
            source.parse()
        finally:  # events before a fault count
            if source.retry is not None:
                self.retry = source.retry
            if source.leid is not None:
                self.leid = source.leid

    def _fail(self, error: ParseError) -> None:
        """Record an error; what came before it stays readable."""
        engine = self.engine
        if engine.headed and not self.headed:
            self._publish(engine.snapshot())
        self.version = engine.version
        self.status = self.code = engine.status
        self.reason = engine.reason
        self.headers = Hict() if engine.headers is None else engine.headers
        self.body = engine.body
        self.errored = True
        self.error = Reason.of(error)
        self.fault = error
        self.reusable = False


def _publisher_of(kind: type[Respondent]) -> Publisher:
    """Make what sets the attributes of a class's instances."""
    return Publisher(kind, _BLANK, _media_of, REDIRECTS)


Respondent.publisher = _publisher_of(Respondent)
Respondent._Ways = tuple(
    (name, getattr(Respondent, name))
    for name in ("parseMessage", "parseHead", "parseBody", "checkPersisted")
)

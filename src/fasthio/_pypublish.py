"""What a parser found, put into the attributes of a respondent; the same as `src/_publish.pxi`."""

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING, Any, Final

from multidict import istr

from .errors import ParseError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

__all__ = ["Publisher", "intact"]

# looked up in every response: an istr keeps its folded name
_CONNECTION: Final = istr("Connection")
_CONTENT_TYPE: Final = istr("Content-Type")
_HTTP_11: Final = (1, 1)
#: Connection in most responses: no field, or one.
_NONE: Final[list[str]] = []
_ALIVE: Final = ["keep-alive"]
#: Items of a snapshot.
_TOLD: Final = 12


def intact(owner: object, methods: tuple[tuple[str, Any], ...]) -> bool:
    if type(methods) is not tuple:
        raise TypeError(f"methods must be a tuple, not {type(methods).__name__}")
    for name, function in methods:
        method = getattr(owner, name, None)
        if (
            type(method) is not MethodType
            or method.__func__ is not function
            or method.__self__ is not owner
        ):
            return False
    return True


class Publisher:
    """Give what a parser found the names that a respondent has for it."""

    __slots__ = ("_blank", "_encoding", "_kind", "_media_of", "_redirects")

    def __init__(
        self,
        kind: type[Any],
        blank: Mapping[str, Any],
        media_of: Callable[[str], tuple[bool, bool, str]],
        redirects: Collection[int],
    ) -> None:
        if not isinstance(kind, type):
            raise TypeError(f"kind must be a class, not {type(kind).__name__}")
        self._kind = kind
        self._blank = [(name, value, hasattr(value, "copy")) for name, value in blank.items()]
        self._encoding = blank["encoding"]
        self._media_of = media_of
        self._redirects = redirects

    def _check(self, respondent: Any) -> None:
        # not isinstance: what only says that it is one, as a mock does, has no such slots
        if self._kind not in type(respondent).__mro__:
            raise TypeError(
                f"respondent must be a {self._kind.__name__}, not {type(respondent).__name__}"
            )

    def _told(self, snapshot: Any) -> tuple[Any, ...]:
        if type(snapshot) is not tuple or len(snapshot) != _TOLD:
            raise TypeError(f"a snapshot is a tuple of {_TOLD}, not {snapshot!r}")
        return snapshot

    def fill(self, respondent: Any) -> None:
        self._check(respondent)
        for name, value, copied in self._blank:
            setattr(respondent, name, value.copy() if copied else value)

    def expect(self, respondent: Any, method: str) -> None:
        self._check(respondent)
        respondent.method = method
        respondent.data = respondent.status = respondent.code = respondent.reason = None
        respondent.evented = None
        self._begin(respondent)
        respondent.engine.start(method)

    def begin(self, respondent: Any) -> None:
        self._check(respondent)
        self._begin(respondent)

    def _begin(self, respondent: Any) -> None:
        respondent._begun = True
        respondent._given = respondent.headed = respondent.bodied = respondent.ended = False
        respondent.started = respondent.errored = respondent.reusable = False
        respondent.error = respondent.fault = respondent.version = respondent.headers = None
        respondent.parms = respondent.trails = respondent.jsoned = None
        respondent.eventSource = None
        respondent.encoding = self._encoding

    def advance(self, respondent: Any) -> None:
        self._check(respondent)
        engine = respondent.engine
        msg = respondent.msg
        if not respondent._begun:
            self._begin(respondent)
            engine.start(respondent.method)
        closed = bool(respondent.closed)
        if msg:
            respondent.started = True
        elif not (closed or engine.done or (respondent.evented and respondent.body)):
            return  # without `msg`: all or some was received in place
        try:
            engine.take(msg, closed)
        except ParseError:
            respondent._salvage()
            raise
        snapshot = self._told(engine.snapshot())
        respondent.body = snapshot[9]
        if snapshot[0] and not respondent.headed:
            self._head(respondent, snapshot)
            self._persist(respondent, snapshot)
        if respondent.evented:
            respondent._parse_events()
        if snapshot[1]:
            self._finish(respondent, snapshot)
            respondent.ended = True
            respondent.started = False
            respondent._parser = respondent._own = None

    def _persist(self, respondent: Any, snapshot: tuple[Any, ...]) -> None:
        """Set `persisted` where it is as in most responses, else let the respondent do it."""
        if snapshot[3] == _HTTP_11:
            values = snapshot[6].getall(_CONNECTION, _NONE)
            if not values or values == _ALIVE:
                respondent.persisted = snapshot[7] == "chunked" or snapshot[8] is not None
                return
        respondent.checkPersisted()

    def head(self, respondent: Any, snapshot: tuple[Any, ...]) -> None:
        self._check(respondent)
        self._head(respondent, self._told(snapshot))

    def _head(self, respondent: Any, snapshot: tuple[Any, ...]) -> None:
        headers = snapshot[6]
        status = snapshot[4]
        respondent._given = respondent.headed = True
        respondent.version = snapshot[3]
        respondent.status = respondent.code = status
        respondent.reason = snapshot[5]
        respondent.headers = headers
        if snapshot[7] == "chunked":
            respondent.chunked = True
            respondent.length = None
            respondent.parms = respondent.engine.extensions
        else:
            respondent.chunked = False
            respondent.length = snapshot[8]
        content_type = headers.get(_CONTENT_TYPE)
        if content_type:
            jsoned, evented, encoding = self._media_of(content_type)
            respondent.jsoned = jsoned
            respondent.evented = evented
            respondent.encoding = encoding
            if evented:
                respondent._begin_events()
        if status in self._redirects:
            respondent.redirectant = True
        elif respondent.redirectant:
            respondent.redirectant = False

    def finish(self, respondent: Any, snapshot: tuple[Any, ...]) -> None:
        self._check(respondent)
        self._finish(respondent, self._told(snapshot))

    def _finish(self, respondent: Any, snapshot: tuple[Any, ...]) -> None:
        respondent.length = len(respondent.body) if respondent.evented else snapshot[8]
        respondent.trails = snapshot[10]
        respondent.bodied = True
        respondent._given = False
        respondent.reusable = (
            bool(respondent.persisted)
            and not respondent.closed
            and not snapshot[11]  # conflicting framing fields (RFC 9112 6.3)
            and snapshot[7] != "close"
            and snapshot[4] != 101
        )

    def response(self, respondent: Any, request: Any) -> dict[str, Any]:
        self._check(respondent)
        return {
            "version": respondent.version,
            "status": respondent.status,
            "reason": respondent.reason,
            "headers": respondent.headers,
            "body": respondent.body,
            "data": respondent.data,
            "request": request,
            "errored": respondent.errored,
            "error": respondent.error,
        }

"""The exceptions fasthio raises or records, each under hio's own class where hio has one.

A response that cannot be understood is a `ParseError`. It leaves the parser as
an exception; in `Client` it is recorded on the response and never escapes
`service()`.
"""

from __future__ import annotations

import socket

from hio.core.http import httping

from .grammar import ERRORS, EXCHANGE_ERRORS

__all__ = [
    "ChunkError",
    "ClosureError",
    "ConnectionEndedError",
    "DecodeError",
    "EventError",
    "EventLineError",
    "ExchangeError",
    "ExchangeTimeoutError",
    "FieldError",
    "FramingError",
    "LimitError",
    "LineLimitError",
    "ParseError",
    "Reason",
    "RedirectError",
    "RequestError",
    "ResolutionError",
    "SinkError",
    "StatusLineError",
    "StreamEndedError",
    "TlsError",
    "VersionError",
    "exchange_error",
    "parse_error",
    "untraced",
]


class ParseError(httping.HTTPException):  # type: ignore[misc]  # hio has no types
    """Tell what was wrong with a response and where.

    Attributes:
        code: key of `grammar.ERRORS`.
        offset: octets from the start of the message to the fault.
        state: parser state, one of `grammar.STATES`, or "event-stream".
        rfc: section the input breaks, or that asks for the limit.
        near: at most 32 octets from the fault on; empty where the peer closed.
    """

    code: str
    offset: int
    state: str
    rfc: str
    near: bytes

    def __init__(self, message: str) -> None:
        # hio's classes below set `args` from other things than a message: set it last
        Exception.__init__(self, message)
        self.args = (message,)


class StatusLineError(ParseError, httping.BadStatusLine):  # type: ignore[misc]
    """Report a status line that is none (RFC 9112 4)."""


class VersionError(ParseError, httping.UnknownProtocol):  # type: ignore[misc]
    """Report an HTTP version this client does not speak (RFC 9112 2.3)."""


class FieldError(ParseError, ValueError):
    """Report a malformed field or trailer line (RFC 9112 5)."""


class FramingError(ParseError, ValueError):
    """Report fields that contradict each other about where the body ends (RFC 9112 6)."""


class ChunkError(ParseError, ValueError):
    """Report malformed chunked coding (RFC 9112 7.1)."""


class LimitError(ParseError):
    """Report a response that exceeds one of `grammar.Limits`."""


class LineLimitError(LimitError, httping.LineTooLong):  # type: ignore[misc]
    """Report a line, head or trailer section that exceeds its limit."""


class ClosureError(ParseError, httping.PrematureClosure):  # type: ignore[misc]
    """Report a connection that closed before the message was complete (RFC 9112 8)."""


class EventError(ParseError):
    """Report an event stream that exceeds its limits (WHATWG HTML 9.2)."""


class EventLineError(EventError, httping.LineTooLong):  # type: ignore[misc]
    """Report a line of an event stream that exceeds its limit (WHATWG HTML 9.2.5)."""


_KINDS: dict[str, type[ParseError]] = {
    "closure": ClosureError,
    "status-line": StatusLineError,
    "version": VersionError,
    "field": FieldError,
    "framing": FramingError,
    "chunk": ChunkError,
    "limit": LimitError,
    "line-limit": LineLimitError,
    "event": EventError,
    "event-line": EventLineError,
}


def parse_error(code: str, *, offset: int, state: str, near: bytes | bytearray = b"") -> ParseError:
    """Build the exception for a code, with its one text.

    Args:
        code: key of `grammar.ERRORS`.
        offset: octets from the start of the message to the fault.
        state: parser state the fault was met in.
        near: octets from the fault on; the first 32 are kept.
    Returns:
        The exception, not raised.
    Raises:
        KeyError: no such code.
    """
    spec = ERRORS[code]
    near = bytes(near[:32])
    where = f" near {near!r}" if near else ""
    error = _KINDS[spec.kind](f"{spec.text}, at octet {offset}{where} [{code}, {spec.rfc}]")
    error.code = code
    error.offset = offset
    error.state = state
    error.rfc = spec.rfc
    error.near = near
    if isinstance(error, httping.BadStatusLine):
        error.line = near.decode("iso-8859-1")
    elif isinstance(error, httping.UnknownProtocol):
        error.version = near.decode("iso-8859-1")
    elif isinstance(error, httping.PrematureClosure):
        error.msg = error.args[0]
    return error


class ExchangeError(httping.HTTPException):  # type: ignore[misc]
    """Tell why an exchange ended without a whole response, where no response is at fault.

    Attributes:
        code: key of `grammar.EXCHANGE_ERRORS`.
        rfc: section the decision rests on.
    """

    code: str = ""
    rfc: str = ""

    def __init__(self, message: str = "") -> None:
        # not OSError's own, which reads a number and a path out of its arguments
        Exception.__init__(self, message)
        self.args = (message,)

    def __str__(self) -> str:
        """Give the text alone; OSError would print its number before it."""
        return str(self.args[0])


class ResolutionError(ExchangeError, socket.gaierror):
    """Report a host name that does not resolve."""


class ConnectionEndedError(ExchangeError, ConnectionError):
    """Report a connection that could not be made, or that ended too early."""


class TlsError(ExchangeError, ConnectionError):
    """Report a TLS handshake that failed, a refused certificate among the reasons."""


class ExchangeTimeoutError(ExchangeError, TimeoutError):
    """Report an exchange that took longer than the program allows."""


class RedirectError(ExchangeError):
    """Report a redirect that is not followed (RFC 9110 15.4)."""


class StreamEndedError(ExchangeError):
    """Report an event stream that the server does not carry on (WHATWG HTML 9.2.3)."""


class DecodeError(ExchangeError, ValueError):
    """Report a body that is not of its content coding (RFC 9110 8.4)."""


class SinkError(ExchangeError):
    """Report a program's sink that raised; its exception is the cause."""


class RequestError(ExchangeError, ValueError):
    """Report a queued request that cannot be built."""


_EXCHANGE_KINDS: dict[str, type[ExchangeError]] = {
    "resolution": ResolutionError,
    "connection": ConnectionEndedError,
    "tls": TlsError,
    "timeout": ExchangeTimeoutError,
    "stream": StreamEndedError,
    "redirect": RedirectError,
    "decoding": DecodeError,
    "sink": SinkError,
    "request": RequestError,
}


def exchange_error(code: str, detail: str = "", cause: Exception | None = None) -> ExchangeError:
    """Build the exception for a code, with its one text.

    Args:
        code: key of `grammar.EXCHANGE_ERRORS`.
        detail: what is particular to this case; never a secret.
        cause: the exception behind it, if any; its errno is kept.
    Returns:
        The exception, not raised.
    Raises:
        KeyError: no such code.
    """
    spec = EXCHANGE_ERRORS[code]
    text = f"{spec.text}: {detail}" if detail else spec.text
    text = f"{text} [{code}, {spec.rfc}]"
    error = _EXCHANGE_KINDS[spec.kind](text)
    error.code = code
    error.rfc = spec.rfc
    error.__cause__ = cause
    if isinstance(error, OSError):
        error.errno = getattr(cause, "errno", None)
    return error


def untraced(error: Exception) -> Exception:
    """Take the tracebacks off an error that is to be kept, and off what is behind it.

    Its frames would keep alive all that was at work, and what keeps the error is
    among that. What a program's own sink raised keeps its traceback.

    Args:
        error: the exception.
    Returns:
        The same exception.
    """
    each: BaseException | None = error
    seen: list[BaseException] = []
    while each is not None and each not in seen:
        seen.append(each)
        each.__traceback__ = None
        if isinstance(each, SinkError):
            break
        each = each.__cause__ or each.__context__
    return error


class Reason(str):
    """The text of an error as `response["error"]` holds it, with its type kept.

    Attributes:
        code: code of the error (`grammar.ERRORS` or an exchange code), or "".
        exception: the exception the text is of, or None.
    """

    __slots__ = ("code", "exception")

    code: str
    exception: Exception | None

    def __new__(cls, text: str, code: str = "", exception: Exception | None = None) -> Reason:
        """Make the text and attach code and exception to it."""
        self = super().__new__(cls, text)
        self.code = code
        self.exception = exception
        return self

    @classmethod
    def of(cls, error: Exception) -> Reason:
        """Make the reason of an exception, which loses its traceback; see `untraced`."""
        untraced(error)
        return cls(str(error), getattr(error, "code", ""), error)

    def __reduce__(self) -> tuple[type[Reason], tuple[str, str]]:
        """Pickle and deep-copy the text and code; a traceback is not carried along."""
        return (type(self), (str(self), self.code))

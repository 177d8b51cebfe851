"""The grammar both engines share: limits, octet classes, states, error texts.

Nothing here parses. The two engines read these tables, so a limit, a state or
the text of an error exists once. Sections are of RFC 9112 (HTTP/1.1) and
RFC 9110 (HTTP semantics) unless another source is named.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, NamedTuple

__all__ = [
    "COMMON_FIELDS",
    "ERRORS",
    "EXCHANGE_ERRORS",
    "FIELD_CONTENT",
    "FRAMINGS",
    "LIMITS",
    "MAX_LENGTH",
    "RETRY_DIGITS",
    "STATES",
    "TOKEN",
    "TRANSITIONS",
    "ErrorSpec",
    "Limits",
    "limits_of",
]

# Octet classes ---------------------------------------------------------------

#: tchar, the octets of a token (RFC 9110 5.6.2).
TOKEN: Final = frozenset(
    b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

#: HTAB, SP, VCHAR and obs-text: what a field value, a reason phrase or a chunk
#: extension may hold (RFC 9110 5.5).
FIELD_CONTENT: Final = frozenset([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])

#: Largest Content-Length taken (RFC 9110 8.6 asks for an overflow check); 2**63 - 1.
MAX_LENGTH: Final = 0x7FFF_FFFF_FFFF_FFFF

#: Most significant digits of a `retry` field; a number of so many still fits a float.
RETRY_DIGITS: Final = 300

# States ----------------------------------------------------------------------

#: States of a ResponseParser, in the order of the numbers the engines use.
STATES: Final = (
    "start-line",
    "field-line",
    "fixed",
    "chunk-size",
    "chunk-data",
    "chunk-end",
    "trailer",
    "until-close",
    "done",
    "failed",
)

#: Every edge of the state machine: from, to, what takes it.
TRANSITIONS: Final = (
    ("start-line", "start-line", "an empty line before the status line (2.2)"),
    ("start-line", "field-line", "a status line (4)"),
    ("start-line", "failed", "anything else, or the peer closed"),
    ("field-line", "field-line", "a field line, or a folded one (5)"),
    ("field-line", "start-line", "the end of an interim head (RFC 9110 15.2)"),
    ("field-line", "fixed", "the end of the head, Content-Length > 0 (6.3)"),
    ("field-line", "chunk-size", "the end of the head, chunked (6.3)"),
    ("field-line", "until-close", "the end of the head, no length known (6.3)"),
    ("field-line", "done", "the end of the head, no body (6.3)"),
    ("field-line", "failed", "a bad field or framing, a limit, or the peer closed"),
    ("fixed", "done", "the last octet of the body (6.2)"),
    ("fixed", "failed", "the peer closed (8)"),
    ("chunk-size", "chunk-data", "a chunk-size line (7.1)"),
    ("chunk-size", "trailer", "the last chunk's line (7.1)"),
    ("chunk-size", "failed", "a bad line, a limit, or the peer closed"),
    ("chunk-data", "chunk-end", "the last octet of the chunk (7.1)"),
    ("chunk-data", "failed", "the peer closed (8)"),
    ("chunk-end", "chunk-size", "CRLF after the chunk (7.1)"),
    ("chunk-end", "failed", "anything else, or the peer closed"),
    ("trailer", "trailer", "a trailer field line (7.1.2)"),
    ("trailer", "done", "the empty line, or the peer closed right after the last chunk"),
    ("trailer", "failed", "a bad field, a limit, or the peer closed"),
    ("until-close", "done", "the peer closed (6.3)"),
    ("until-close", "failed", "a limit"),
)

#: How the end of the body is found (6.3).
FRAMINGS: Final = ("none", "fixed", "chunked", "close")

# Limits ----------------------------------------------------------------------


#: Least and most that a limit may be set to. A line must have room for the start
#: of a status line, a head for a status line behind its empty lines.
_RANGES: Final = {
    "line": (32, 1 << 30),
    "fields": (1, 1 << 20),
    "head": (1024, 1 << 30),
    "interims": (0, 1 << 20),
    "empty_lines": (0, 100),
    "extensions": (0, 1 << 30),
    "trailers": (2, 1 << 30),
    "body": (0, MAX_LENGTH),
}


@dataclass(frozen=True)
class Limits:
    """Bound what one response may cost; sizes in octets, None for no bound.

    Args:
        line: longest status, field or trailer line and chunk-size line, without
            its line end (hio's MAX_LINE_SIZE).
        fields: field lines in one head or trailer section (hio's MAX_HEADERS),
            and distinct chunk extensions in one message.
        head: whole head, interim or final, empty lines before it included.
        interims: interim responses before the final one.
        empty_lines: empty lines taken before a status line (2.2).
        extensions: chunk extension octets in one message beyond the count of
            body octets that came with them.
        trailers: whole trailer section.
        body: body octets held at once; None as in hio.
        event_line: one line of an event stream.
        event: data of one event.
        events: events in the queue of an event stream, not yet taken; None as in hio.
    Raises:
        ValueError: a limit is no int, or out of its range.
    """

    line: int = 65_536
    fields: int = 100
    head: int = 262_144
    interims: int = 32
    empty_lines: int = 8
    extensions: int = 16_384
    trailers: int = 65_536
    body: int | None = None
    event_line: int = 1_048_576
    event: int = 16_777_216
    events: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("body", "events") and value is None:
                continue
            least, most = _RANGES.get(field.name, (1, MAX_LENGTH))
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                raise ValueError(
                    f"limit {field.name} must be an int from {least} to {most}, not {value!r}"
                )


#: The limits in force where none are given.
LIMITS: Final = Limits()


def limits_of(limits: Limits | None) -> Limits:
    """Give the limits that are in force for what a caller gave.

    Args:
        limits: what was given; None for `LIMITS`.
    Returns:
        The limits.
    Raises:
        TypeError: what was given are no limits.
    """
    if limits is None:
        return LIMITS
    if not isinstance(limits, Limits):
        raise TypeError(f"limits must be Limits, not {type(limits).__name__}")
    return limits


# Errors ----------------------------------------------------------------------


class ErrorSpec(NamedTuple):
    """One way for a response to be wrong: the kind of error, its source, its text."""

    kind: str
    rfc: str
    text: str


#: Every code a parser may fail with.
ERRORS: Final[dict[str, ErrorSpec]] = {
    # the peer closed too early
    "closed-before-start": ErrorSpec(
        "closure", "RFC 9112 8", "connection closed unexpectedly, before the response began"
    ),
    "closed-in-head": ErrorSpec(
        "closure", "RFC 9112 8", "connection closed unexpectedly inside the head"
    ),
    "closed-in-body": ErrorSpec(
        "closure",
        "RFC 9112 8",
        "connection closed unexpectedly before Content-Length octets of body came",
    ),
    "closed-in-chunk": ErrorSpec(
        "closure", "RFC 9112 8", "connection closed unexpectedly before the last chunk of the body"
    ),
    "closed-in-trailers": ErrorSpec(
        "closure", "RFC 9112 8", "connection closed unexpectedly inside the trailer section"
    ),
    # status line
    "empty-lines": ErrorSpec(
        "status-line", "RFC 9112 2.2", "too many empty lines before the status line"
    ),
    "bad-start": ErrorSpec("status-line", "RFC 9112 4", "response does not begin with HTTP/"),
    "bad-version": ErrorSpec(
        "status-line", "RFC 9112 2.3", "HTTP version is not digit, dot, digit and a space"
    ),
    "unknown-version": ErrorSpec("version", "RFC 9112 2.3", "HTTP version is not 0.9 or 1.x"),
    "bad-status": ErrorSpec(
        "status-line", "RFC 9112 4", "status is not three digits from 100 to 999"
    ),
    # lines
    "bare-cr": ErrorSpec("field", "RFC 9112 2.2", "CR without LF inside a line"),
    "control-octet": ErrorSpec("field", "RFC 9110 5.5", "control octet inside a line"),
    "leading-space": ErrorSpec("field", "RFC 9112 2.2", "white space before the first field"),
    "no-colon": ErrorSpec("field", "RFC 9112 5", "field line without a colon"),
    "empty-name": ErrorSpec("field", "RFC 9112 5", "field line without a name"),
    "space-before-colon": ErrorSpec(
        "field", "RFC 9112 5.1", "white space between field name and colon"
    ),
    "bad-name": ErrorSpec("field", "RFC 9110 5.1", "octet in a field name that no token may hold"),
    # framing
    "bad-length": ErrorSpec("framing", "RFC 9110 8.6", "Content-Length is not 1*DIGIT"),
    "differing-lengths": ErrorSpec("framing", "RFC 9112 6.3", "Content-Length values differ"),
    "length-overflow": ErrorSpec("framing", "RFC 9110 8.6", "Content-Length is too large a number"),
    "bad-coding": ErrorSpec(
        "framing", "RFC 9112 6.1", "Transfer-Encoding is not a list of codings"
    ),
    "chunked-repeated": ErrorSpec("framing", "RFC 9112 6.1", "chunked is applied more than once"),
    "chunked-not-last": ErrorSpec("framing", "RFC 9112 6.1", "chunked is not the final coding"),
    "chunked-parameters": ErrorSpec("framing", "RFC 9112 7.1", "chunked takes no parameters"),
    # chunks
    "bad-chunk-size": ErrorSpec("chunk", "RFC 9112 7.1", "chunk-size is not 1*HEXDIG"),
    "chunk-size-overflow": ErrorSpec("chunk", "RFC 9112 7.1", "chunk-size is too large a number"),
    "bad-chunk-line": ErrorSpec(
        "chunk", "RFC 9112 7.1", "chunk-size line is not ended by CRLF alone"
    ),
    "bad-extension": ErrorSpec("chunk", "RFC 9112 7.1.1", "malformed chunk extension"),
    "bad-chunk-end": ErrorSpec("chunk", "RFC 9112 7.1", "no CRLF after the data of a chunk"),
    # limits
    "line-too-long": ErrorSpec("line-limit", "RFC 9110 5.4", "line is longer than the limit"),
    "head-too-large": ErrorSpec("line-limit", "RFC 9110 5.4", "head is larger than the limit"),
    "too-many-fields": ErrorSpec("limit", "RFC 9110 5.4", "more field lines than the limit"),
    "too-many-interims": ErrorSpec(
        "limit", "RFC 9110 15.2", "more interim responses than the limit"
    ),
    "too-many-extensions": ErrorSpec(
        "limit", "RFC 9112 7.1.1", "more distinct chunk extensions than the limit"
    ),
    "extensions-too-large": ErrorSpec(
        "limit", "RFC 9112 7.1.1", "more chunk extension octets than the limit"
    ),
    "trailers-too-large": ErrorSpec(
        "line-limit", "RFC 9112 7.1.2", "trailer section is larger than the limit"
    ),
    "body-too-large": ErrorSpec("limit", "RFC 9110 15.5.14", "body is larger than the limit"),
    # event streams (WHATWG HTML 9.2)
    "event-line-too-long": ErrorSpec(
        "event-line", "WHATWG HTML 9.2.5", "line of an event stream is longer than the limit"
    ),
    "event-too-large": ErrorSpec(
        "event", "WHATWG HTML 9.2.6", "data of an event is larger than the limit"
    ),
    "too-many-events": ErrorSpec(
        "event", "WHATWG HTML 9.2.6", "more events wait in the queue than the limit"
    ),
}

#: Every code an exchange may fail with where no response is at fault.
EXCHANGE_ERRORS: Final[dict[str, ErrorSpec]] = {
    # before there is a connection
    "unresolved": ErrorSpec("resolution", "RFC 9110 4.3.3", "host name does not resolve"),
    "refused": ErrorSpec("connection", "RFC 9110 4.3.3", "no address of the host answers"),
    "tls": ErrorSpec("tls", "RFC 9110 4.3.3", "TLS handshake failed"),
    "certificate": ErrorSpec("tls", "RFC 9110 4.3.4", "certificate of the server is not accepted"),
    # the connection ended
    "closed": ErrorSpec(
        "connection", "RFC 9112 9.6", "connection was closed before the request was sent"
    ),
    "reset": ErrorSpec(
        "connection", "RFC 9112 9.5", "connection failed before the response was complete"
    ),
    "reopened": ErrorSpec(
        "connection", "RFC 9110 9.2.2", "connection was reopened and the request not sent again"
    ),
    "interrupted": ErrorSpec(
        "connection", "RFC 9110 9.2.2", "service was interrupted and the request not sent again"
    ),
    "unsafe-retry": ErrorSpec(
        "connection", "RFC 9110 9.2.2", "request is not idempotent and so not sent again"
    ),
    "retries": ErrorSpec(
        "connection", "RFC 9110 9.2.2", "connection ended each time the request was sent"
    ),
    # time limits
    "timeout-connect": ErrorSpec("timeout", "RFC 9112 9.5", "connection took longer than allowed"),
    "timeout-first": ErrorSpec(
        "timeout", "RFC 9112 9.5", "first octet of the response took longer than allowed"
    ),
    "timeout-total": ErrorSpec("timeout", "RFC 9112 9.5", "exchange took longer than allowed"),
    "timeout-idle": ErrorSpec(
        "timeout", "WHATWG HTML 9.2.7", "event stream was silent for longer than allowed"
    ),
    # event streams that are taken up again
    "stream-status": ErrorSpec(
        "stream", "WHATWG HTML 9.2.3", "event stream ended by a response that is not 200"
    ),
    "stream-type": ErrorSpec(
        "stream", "WHATWG HTML 9.2.3", "event stream ended by a response of another type"
    ),
    # redirects
    "redirect-missing": ErrorSpec("redirect", "RFC 9110 15.4", "redirect without a Location"),
    "redirect-malformed": ErrorSpec("redirect", "RFC 9110 10.2.2", "Location is no URI reference"),
    "redirect-scheme": ErrorSpec("redirect", "RFC 9110 4.2", "redirect leaves http and https"),
    "redirect-insecure": ErrorSpec(
        "redirect", "RFC 9110 17.9", "redirect leads from https to http"
    ),
    "redirect-limit": ErrorSpec("redirect", "RFC 9110 15.4", "more redirects than allowed"),
    "redirect-failed": ErrorSpec("redirect", "RFC 9110 15.4", "following the redirect raised"),
    # bodies
    "undecodable": ErrorSpec("decoding", "RFC 9110 8.4", "body is not of its content coding"),
    "sink": ErrorSpec("sink", "RFC 9110 6.4", "sink did not take the body"),
    # the program
    "bad-request": ErrorSpec("request", "RFC 9112 3", "request cannot be built"),
}

#: Field names whose objects the C engine makes once, in the spellings servers use.
COMMON_FIELDS: Final = (
    "Accept-Ranges",
    "Access-Control-Allow-Credentials",
    "Access-Control-Allow-Headers",
    "Access-Control-Allow-Methods",
    "Access-Control-Allow-Origin",
    "Access-Control-Expose-Headers",
    "Access-Control-Max-Age",
    "Age",
    "Allow",
    "Alt-Svc",
    "CESR-Attachment",
    "CF-Cache-Status",
    "CF-RAY",
    "Cache-Control",
    "Connection",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Content-Length",
    "Content-Location",
    "Content-Range",
    "Content-Security-Policy",
    "Content-Type",
    "Cross-Origin-Opener-Policy",
    "Cross-Origin-Resource-Policy",
    "Date",
    "ETag",
    "Expires",
    "Keep-Alive",
    "Last-Modified",
    "Link",
    "Location",
    "Permissions-Policy",
    "Pragma",
    "Proxy-Connection",
    "Referrer-Policy",
    "Retry-After",
    "Server",
    "Server-Timing",
    "Set-Cookie",
    "Signature",
    "Signature-Input",
    "Strict-Transport-Security",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "Vary",
    "Via",
    "WWW-Authenticate",
    "X-Cache",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-Powered-By",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "X-Request-ID",
    "X-XSS-Protection",
)

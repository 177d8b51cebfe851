"""Redirects: from a response and its request to the next request, or to a refusal.

Pure rules (RFC 9110 15.4, 10.2.2, 17.9; RFC 3986 5); nothing here connects.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote, urljoin, urlsplit

from .errors import exchange_error
from .urls import normalize_host_port

__all__ = [
    "CREDENTIALS",
    "MAX_REDIRECTS",
    "Target",
    "headers_for",
    "locate",
    "location_of",
    "method_for",
]

#: Most redirects followed in one exchange, where the program sets no number.
MAX_REDIRECTS: Final = 20

#: Fields that only the origin they were meant for may see (RFC 9110 15.4).
CREDENTIALS: Final = frozenset(("authorization", "cookie", "proxy-authorization"))

#: Fields that tell of a body, beside all that begin with "content-" (RFC 9110 15.4).
_OF_BODY: Final = frozenset(
    ("digest", "expect", "last-modified", "repr-digest", "trailer", "transfer-encoding")
)

_PORTS: Final = {"http": 80, "https": 443}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
#: What a text about a Location must not show.
_USERINFO: Final = re.compile(r"//[^/?#]*@")
#: hio takes a Location that is percent-encoded as a whole; so do we.
_ENCODED: Final = re.compile(r"https?%3a%2f%2f", re.IGNORECASE)
#: What stays as it came in path and query; all else is percent-encoded (RFC 3986 3.3, 3.4).
_SAFE: Final = "/%:@!$&'()*+,;=-._~[]"


class Target(NamedTuple):
    """Where a redirect leads."""

    scheme: str
    hostname: str
    port: int
    path: str  # without escapes, as hio's Requester keeps it
    query: str
    fragment: str
    origin_form: str  # what the request line bears (RFC 9112 3.2.1)

    def same_origin(self, scheme: str, hostname: str, port: int) -> bool:
        """Tell whether this is the origin of `scheme`, `hostname` and `port` (RFC 9110 4.3.1)."""
        return (self.scheme, self.hostname.lower(), self.port) == (scheme, hostname.lower(), port)


def location_of(headers: Any) -> str | None:
    """Read the Location of a response.

    Args:
        headers: mapping of the response's fields, or None.
    Returns:
        The value, or None where there is none, or an empty one.
    Raises:
        RedirectError: several that differ (RFC 9110 5.3: the field is no list).
    """
    if headers is None or "location" not in headers:
        return None
    values = set(headers.getall("location")) if hasattr(headers, "getall") else set()
    if len(values) > 1:
        raise exchange_error("redirect-malformed", "several that differ")
    value = headers["location"].strip(" \t")
    return value or None


def locate(base: str, location: str | None) -> Target:
    """Resolve a Location against the URL of the request.

    Args:
        base: absolute URL of the request that was redirected.
        location: value of the field, or None where it is missing.
    Returns:
        The target, without userinfo: that is never sent (RFC 9110 4.2.4).
    Raises:
        RedirectError: missing, malformed, neither http nor https, or http from
            https (RFC 9110 10.2.2, 4.2, 17.9). hio: D60, D61.
    """
    if location is None:
        raise exchange_error("redirect-missing")
    if _CONTROL.search(location):
        raise exchange_error("redirect-malformed", _show(location))
    if _ENCODED.match(location):
        head, mark, query = location.partition("?")
        location = unquote(head) + mark + query
    with contextlib.suppress(UnicodeError):
        # fields are decoded as ISO-8859-1; what is not ASCII in there is UTF-8 these days
        location = location.encode("iso-8859-1").decode("utf-8")
    try:
        return _target(urlsplit(base), location)
    except ValueError as error:
        raise exchange_error("redirect-malformed", _show(location), error) from error


def _show(location: str) -> str:
    """Give a Location for an error text, short and without userinfo."""
    return repr(_USERINFO.sub("//", location)[:80])


def _target(base: Any, location: str) -> Target:
    """Resolve; ValueError for what is no URI reference."""
    reference = urlsplit(location)
    scheme = reference.scheme.lower() or base.scheme
    if scheme not in _PORTS:
        raise exchange_error("redirect-scheme", scheme[:20])
    if not reference.netloc and (reference.scheme or location.startswith("//")):
        raise ValueError("no host where one belongs")  # RFC 9110 4.2.1: MUST be refused
    if scheme == "http" and base.scheme == "https":
        raise exchange_error("redirect-insecure")
    splits = urlsplit(urljoin(base.geturl(), location))
    authority = splits.netloc.rpartition("@")[2]
    if "\\" in splits.netloc:
        # some take it for a slash: then another host is meant
        raise ValueError("backslash in the authority")
    hostname, port = normalize_host_port(authority, None, _PORTS[scheme])
    if not hostname or authority.startswith("[") is not (":" in hostname):
        raise ValueError("no host, or brackets round what is no IPv6 address")
    if not hostname.isascii():
        hostname = hostname.encode("idna").decode("ascii")
    path = quote(splits.path, safe=_SAFE) or "/"
    query = quote(splits.query, safe=_SAFE + "?")
    shown = unquote(path)
    if _CONTROL.search(shown) or "?" in shown or "#" in shown or shown.startswith("//"):
        shown = path  # taken apart again, these would mean something else
    return Target(
        scheme,
        hostname.lower(),
        port,
        shown,
        query,
        # inherited where the Location has none (RFC 9110 10.2.2)
        splits.fragment or base.fragment,
        f"{path}?{query}" if query else path,
    )


def method_for(status: int, method: str) -> tuple[str, bool]:
    """Choose the method of the next request.

    Args:
        status: of the redirect.
        method: of the request that was redirected.
    Returns:
        The method, and True where the body goes along. hio: D62, always the
        same method and never the body.
    """
    if status in (307, 308):  # RFC 9110 15.4.8, 15.4.9
        return method, True
    if method in ("GET", "HEAD"):
        return method, False
    if status == 303 or method == "POST":  # 15.4.4; 15.4.2 and 15.4.3 for POST
        return "GET", False
    return method, True


def headers_for(headers: Any, *, bodied: bool, trusted: bool, same: bool) -> list[tuple[str, Any]]:
    """Choose the fields of the next request.

    Args:
        headers: mapping of the present request's fields.
        bodied: True where the body goes along.
        trusted: True where credentials may go along (RFC 9110 15.4). hio: D63.
        same: True for the same origin; a Host of the program's making is for
            that one alone.
    Returns:
        Name and value pairs, in order.
    """
    kept = []
    for name, value in headers.items():
        lower = name.lower()
        if (not trusted and lower in CREDENTIALS) or (not same and lower == "host"):
            continue
        if not bodied and (lower.startswith("content-") or lower in _OF_BODY):
            continue
        kept.append((name, value))
    return kept

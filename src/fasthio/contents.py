"""Content of a request: octets, JSON, url-encoded and multipart forms."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus

from .urls import check_text, form_octets

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["body_octets", "check_items", "encode_body", "form_body", "json_body"]

#: Boundaries tried before a form is refused that seems to hold them all.
BOUNDARY_TRIES: Final = 64

_encode_json = json.JSONEncoder(separators=(",", ":")).encode


def check_items(items: object, argument: str) -> None:
    """Refuse what has no items.

    Args:
        items: what should be a mapping.
        argument: name of the argument it came as.
    Raises:
        ValueError: it is none.
    hio: D16.
    """
    if not hasattr(items, "items"):
        raise ValueError(f"{argument} must be a mapping, not {type(items).__name__}")


def body_octets(body: object) -> bytes | bytearray:
    """Take a body as octets.

    Raises:
        ValueError: it is none (hio: D16).
    """
    if isinstance(body, (bytes, bytearray)):
        return body
    try:
        return memoryview(body).tobytes()  # type: ignore[arg-type]
    except TypeError:
        raise ValueError(f"body must be octets or str, not {type(body).__name__}") from None


def encode_body(body: str) -> bytes:
    """Encode a body given as text, as Latin-1 like hio.

    Raises:
        ValueError: a character beyond Latin-1 (hio: D16).
    """
    try:
        return body.encode("iso-8859-1")
    except UnicodeEncodeError as ex:
        raise ValueError(f"body holds a character beyond Latin-1 at index {ex.start}") from None


def json_body(data: object) -> bytes:
    """Make the JSON body.

    Raises:
        ValueError: data has no JSON form (hio: D16).
    """
    try:
        return _encode_json(data).encode("ascii")
    except (TypeError, ValueError, RecursionError) as ex:
        raise ValueError(f"data has no JSON form: {ex}") from ex


def _form_name(name: object) -> bytes:
    """Make the octets of a form name.

    Raises:
        ValueError: a control character or a lone surrogate in it (hio: D12).
    """
    octets = form_octets(name, "fargs")
    check_text(octets.decode("iso-8859-1"), "fargs")
    return octets


def form_body(fargs: Any, kind: object, draw: Callable[[], str]) -> tuple[bytes, str]:
    """Make the form body.

    Args:
        fargs: form names and values.
        kind: Content-Type given, or None.
        draw: draws a boundary.
    Returns:
        (body, its Content-Type).
    Raises:
        ValueError: fargs is no mapping or holds what no form may.
    """
    check_items(fargs, "fargs")
    items = [(_form_name(name), form_octets(value, "fargs")) for name, value in fargs.items()]
    if isinstance(kind, (bytes, bytearray)):  # hio: D18
        kind = kind.decode("iso-8859-1")
    if isinstance(kind, str) and kind.startswith("multipart/form-data"):
        boundary, body = _multipart(items, draw)
        return body, f"multipart/form-data; boundary={boundary}"
    # application/x-www-form-urlencoded (WHATWG URL 5.2); hio: D11
    form = "&".join([f"{quote_plus(name)}={quote_plus(value)}" for name, value in items])
    return form.encode("ascii"), "application/x-www-form-urlencoded; charset=utf-8"


def _multipart(items: list[tuple[bytes, bytes]], draw: Callable[[], str]) -> tuple[str, bytes]:
    """Make a multipart/form-data body (RFC 7578).

    Args:
        items: names and values; in names the quote is escaped as browsers do
            (WHATWG HTML 4.10.22.8).
        draw: draws a boundary.
    Returns:
        (boundary, body).
    Raises:
        ValueError: every boundary drawn is in the data.
    hio: D12, D13.
    """
    for _ in range(BOUNDARY_TRIES):
        boundary = draw()
        mark = boundary.encode("ascii")
        if not any(mark in name or mark in value for name, value in items):
            break
    else:
        raise ValueError(f"fargs hold each of {BOUNDARY_TRIES} boundaries drawn")
    parts = [
        b'\r\n--%b\r\nContent-Disposition: form-data; name="%b"\r\n'
        b"Content-Type: text/plain; charset=utf-8\r\n\r\n%b"
        % (mark, name.replace(b'"', b"%22"), value)
        for name, value in items
    ]
    parts.append(b"\r\n--%b--" % mark)
    return boundary, b"".join(parts)

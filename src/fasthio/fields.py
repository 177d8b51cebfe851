"""Header fields of a request: names, values, and the ones that may come once."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from .grammar import FIELD_CONTENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["field_lines", "field_name", "field_value", "is_token"]

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
#: Octets no field value may hold (RFC 9110 5.5).
_BAD_VALUE: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_VALUE_OCTETS: Final = bytes(sorted(FIELD_CONTENT))
_DIGITS: Final = re.compile(rb"[0-9]+")


def is_token(text: object) -> bool:
    """Tell whether text is a token (RFC 9110 5.6.2)."""
    return isinstance(text, str) and _TOKEN.fullmatch(text) is not None


@lru_cache(maxsize=512)
def field_name(name: str | bytes) -> bytes:
    """Make a field name as it goes out, title-cased as hio does.

    Raises:
        ValueError: no token (RFC 9110 5.1; hio: D06).
    """
    if isinstance(name, bytes):
        name = name.decode("iso-8859-1")
    if not is_token(name):
        raise ValueError(f"headers: field name is no token: {name!r:.80}")
    return name.encode("ascii").title()


def field_value(name: bytes, value: object) -> bytes:
    """Make the octets of a field value: text as Latin-1, an int in digits.

    Args:
        name: of the field, for the text of an error.
        value: str, int or octets.
    Raises:
        ValueError: another type, a character beyond Latin-1, or a control octet
            but HTAB (RFC 9110 5.5).
    hio: D07.
    """
    if isinstance(value, str):
        if value.isascii() and value.isprintable():
            return value.encode("ascii")
        try:
            octets = value.encode("iso-8859-1")
        except UnicodeEncodeError as ex:
            raise ValueError(
                f"headers: {name.decode()} holds a character beyond Latin-1 at index {ex.start}"
            ) from None
    elif isinstance(value, int):
        return str(value).encode("ascii")
    elif isinstance(value, (bytes, bytearray, memoryview)):
        octets = bytes(value)
    else:
        raise ValueError(
            f"headers: {name.decode()} must be str, int or octets, not {type(value).__name__}"
        )
    if octets.translate(None, _VALUE_OCTETS):  # many times the speed of a search
        found = _BAD_VALUE.search(octets)
        assert found
        raise ValueError(
            f"headers: {name.decode()} holds control octet {found.group()!r}"
            f" at index {found.start()}"
        )
    return octets


def field_lines(
    items: Iterable[tuple[str | bytes, object]], length: int
) -> tuple[list[bytes], Mapping[bytes, bytes]]:
    """Make the field lines of the headers.

    Args:
        items: field names and values.
        length: octets of the body.
    Returns:
        (lines, values of the fields that may come once).
    Raises:
        ValueError: a name or value is refused, Host or Content-Length comes
            with two values (RFC 9110 7.2, 8.6), Content-Length is not the
            length of the body, or Transfer-Encoding is there (RFC 9112 6.1).
    hio: D06, D07, D08, D09, D10.
    """
    lines: list[bytes] = []
    lone: dict[bytes, bytes] = {}
    for name, value in items:
        title = field_name(name)
        octets = field_value(title, value)
        if title == b"Host" or title == b"Content-Length":
            bare = octets.strip(b" \t")
            if title in lone:
                if lone[title] != bare:
                    raise ValueError(f"headers: {title.decode()} comes with two values")
                continue
            lone[title] = bare
            if title == b"Content-Length":
                if bare == b"%d" % length:
                    pass
                elif not _DIGITS.fullmatch(bare):
                    raise ValueError(f"headers: Content-Length is no number: {bare[:40]!r}")
                elif bare.lstrip(b"0") != (b"%d" % length if length else b""):
                    raise ValueError(
                        f"headers: Content-Length is {bare[:40].decode()},"
                        f" the body that goes out has {length} octets"
                    )
        elif title == b"Transfer-Encoding":
            raise ValueError(
                "headers: Transfer-Encoding cannot be given, a body goes out with Content-Length"
            )
        lines.append(title + b": " + octets)
    return lines, lone

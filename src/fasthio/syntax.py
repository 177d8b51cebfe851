"""The cold half of the parser, shared by both engines.

The engines accept what is right by themselves, each in its own fast way. What
they do not accept comes here: a line to be told what is wrong with it, or a
framing field that is a list. So an error has the same code, offset and text on
both engines by construction.

Lines are given without their line end. Offsets are indices into the line.
"""

from __future__ import annotations

import re
from typing import Final

from .grammar import FIELD_CONTENT, MAX_LENGTH, TOKEN

__all__ = [
    "Fault",
    "codings_of",
    "extensions_of",
    "field_fault",
    "length_of",
    "status_line_fault",
]

#: Code of the error and offset in the line.
Fault = tuple[str, int]

_SP_HTAB: Final = b" \t"
_DIGITS: Final = frozenset(b"0123456789")
_HEXDIGITS: Final = frozenset(b"0123456789ABCDEFabcdef")
_TCHAR: Final = r"!#$%&'*+\-.^_`|~0-9A-Za-z"
_BWS: Final = r"[ \t]*"
_QUOTED: Final = (
    r'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'  # RFC 9110 5.6.4
)
_VALUE: Final = rf"[{_TCHAR}]+|{_QUOTED}"

#: transfer-coding = token *( OWS ";" OWS parameter ), RFC 9110 10.1.4
_CODING: Final = re.compile(
    rf"([{_TCHAR}]+)((?:{_BWS};{_BWS}[{_TCHAR}]+{_BWS}={_BWS}(?:{_VALUE}))*)"
)
#: chunk-ext-name [ BWS "=" BWS chunk-ext-val ], RFC 9112 7.1.1
_EXTENSION: Final = re.compile(rf"([{_TCHAR}]+)(?:{_BWS}={_BWS}({_VALUE}))?")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)


def _content_fault(line: bytes, start: int) -> Fault | None:
    """Find the first octet that no field content may hold (RFC 9110 5.5, RFC 9112 2.2)."""
    for index in range(start, len(line)):
        if line[index] not in FIELD_CONTENT:
            return ("bare-cr" if line[index] == 0x0D else "control-octet", index)
    return None


def status_line_fault(line: bytes) -> Fault | None:
    """Name what is wrong with a status line that begins with `HTTP/`.

    Args:
        line: the line, without its line end.
    Returns:
        Code and offset, or None where the line is right (RFC 9112 4).
    """
    # HTTP-version SP, RFC 9112 2.3: one digit, a dot, one digit
    for index, want in ((5, _DIGITS), (6, b"."), (7, _DIGITS), (8, b" ")):
        if index >= len(line) or line[index] not in want:
            return ("bad-version", min(index, len(line)))
    if line[5] != 0x31 and line[5:8] != b"0.9":
        return ("unknown-version", 5)
    # status-code = 3DIGIT; below 100 there is no class (RFC 9110 15)
    for index in (9, 10, 11):
        if index >= len(line) or line[index] not in _DIGITS or (index == 9 and line[9] == 0x30):
            return ("bad-status", min(index, len(line)))
    # the space before an empty reason is often left out (RFC 9112 4 asks for it)
    if len(line) > 12 and line[12] != 0x20:
        return ("bad-status", 12)
    return _content_fault(line, 13)


def field_fault(line: bytes, first: bool) -> Fault | None:
    """Name what is wrong with a field or trailer line.

    Args:
        line: the line, not empty, without its line end.
        first: no field line came before it in this section.
    Returns:
        Code and offset, or None where the line is right (RFC 9112 5).
    """
    if line[0] in _SP_HTAB:
        # before the first field there is nothing to fold onto (RFC 9112 2.2)
        return ("leading-space", 0) if first else _content_fault(line, 0)
    end = 0
    while end < len(line) and line[end] in TOKEN:
        end += 1
    if end == len(line):
        return ("no-colon", 0)
    octet = line[end]
    if octet == 0x3A:
        return ("empty-name", 0) if end == 0 else _content_fault(line, end + 1)
    if octet not in FIELD_CONTENT:
        return _content_fault(line, end)
    if 0x3A not in line:
        return ("no-colon", 0)
    if octet in _SP_HTAB and line[end:].lstrip(_SP_HTAB)[:1] == b":":
        return ("space-before-colon", end)  # a proxy may strip it, we must not guess: RFC 9112 5.1
    return ("bad-name", end)


def length_of(value: str) -> tuple[int, str]:
    """Read a Content-Length field value.

    Args:
        value: one field value, OWS trimmed; a list of equal numbers is taken as
            one, as merging recipients make it (RFC 9112 6.3).
    Returns:
        Octets and "", or 0 and the code of the fault (RFC 9110 8.6).
    """
    length = -1
    for element in value.split(","):
        digits = element.strip(" \t")
        if not (digits.isascii() and digits.isdigit()):
            return (0, "bad-length")
        digits = digits.lstrip("0")
        if len(digits) > 19 or int(digits or "0") > MAX_LENGTH:
            return (0, "length-overflow")
        number = int(digits or "0")
        if length not in (-1, number):
            return (0, "differing-lengths")
        length = number
    return (length, "")


def codings_of(value: str) -> tuple[tuple[str, ...], bool, str]:
    """Read the Transfer-Encoding of a message.

    Args:
        value: all field values joined by commas.
    Returns:
        The codings below chunked in order (lower case), whether chunked is the
        final one, and the code of the fault or "" (RFC 9112 6.1, 7.1).
    """
    names: list[str] = []
    parameters = ""
    index = 0
    while True:
        # empty list elements are to be taken (RFC 9110 5.6.1.2)
        while index < len(value) and value[index] in " \t,":
            index += 1
        if index == len(value):
            break
        match = _CODING.match(value, index)
        if match is None:
            return ((), False, "bad-coding")
        index = match.end()
        while index < len(value) and value[index] in " \t":
            index += 1
        if index < len(value) and value[index] != ",":
            # chunked;q=1 is a coding with a rank: TE syntax, not Transfer-Encoding's
            return ((), False, "bad-coding")
        # it can only be the last one so far: behind it each coding is a fault
        if names and names[-1] == "chunked":
            repeated = match[1].lower() == "chunked"
            return ((), False, "chunked-repeated" if repeated else "chunked-not-last")
        names.append(match[1].lower())
        parameters = match[2]
    if names and names[-1] == "chunked":
        if parameters:
            return ((), False, "chunked-parameters")
        return (tuple(names[:-1]), True, "")
    return (tuple(names), False, "")


def extensions_of(line: bytes) -> tuple[int, list[tuple[str, str | None]], str, int]:
    """Read a chunk-size line that is more than its size.

    Args:
        line: the line, without its CRLF.
    Returns:
        Size in octets, extensions in order (quoted strings unquoted, None
        without a value), code of the fault or "", its offset (RFC 9112 7.1.1).
    """
    end = 0
    while end < len(line) and line[end] in _HEXDIGITS:
        end += 1
    if end == 0:
        return (0, [], "bad-chunk-size", 0)
    digits = line[:end].lstrip(b"0")
    if len(digits) > 16:
        return (0, [], "chunk-size-overflow", 0)
    size = int(digits or b"0", 16)
    pairs: list[tuple[str, str | None]] = []
    text = line.decode("iso-8859-1")
    index = end
    while True:
        # BWS is to be taken before ";" (RFC 9110 5.6.3), and at the end of the
        # line, where old servers pad the size to a fixed width
        while index < len(text) and text[index] in " \t":
            index += 1
        if index == len(text):
            return (size, pairs, "", 0)
        if text[index] != ";":
            code = "bad-extension" if pairs or b";" in line[:index] else "bad-chunk-size"
            return (0, [], code, index)
        index += 1
        while index < len(text) and text[index] in " \t":
            index += 1
        if index == len(text) or text[index] == ";":
            continue  # an empty extension, as hio takes it: nothing can be misread
        match = _EXTENSION.match(text, index)
        if match is None:
            return (0, [], "bad-extension", index)
        index = match.end()
        value: str | None = match[2]
        if value is not None and value[0] == '"':
            value = _ESCAPE.sub(r"\1", value[1:-1])
        pairs.append((match[1], value))

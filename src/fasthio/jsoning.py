"""JSON of bodies as Python's `json` reads it; by orjson where that gives the same."""

from __future__ import annotations

import json
from typing import Any, Final

try:
    import orjson
except ImportError:  # the extra `speed`
    _quick: Any = None
    _Refused: type[ValueError] = ValueError
else:
    _quick = orjson.loads
    _Refused = orjson.JSONDecodeError

__all__ = ["LARGEST", "LEAST", "MOST", "decode"]

#: Octets of a body that orjson may read: below, the looks cost more than they save
#: (measured: 75 octets 0.95 us in place of 0.61); beyond, they take too large a copy.
LEAST: Final = 200
LARGEST: Final = 1 << 20
#: Arrays and objects of such a body: `json` ends at some 1,000 within each other, orjson at 1,024.
MOST: Final = 500

#: Digits to 0, all else to a space. Integers beyond 64 bits, of 19 digits at least, orjson
#: reads as floats; what else it reads it reads as `json` does, what it refuses `json` may take.
_DIGITS: Final = bytes(0x30 if 0x30 <= octet <= 0x39 else 0x20 for octet in range(256))
_LONG: Final = b"0" * 19

_decoder = json.JSONDecoder()
_decode = _decoder.decode
#: What the decoder does at heart, without its looks for white space on either side.
_scan: Any = _decoder.scan_once  # type: ignore[attr-defined]


def decode(body: bytearray) -> Any:
    """Decode UTF-8 octets of JSON.

    Args:
        body: the whole text, not changed.
    Returns:
        What `json.loads(body.decode())` returns, whether orjson is installed or not.
    Raises:
        ValueError: `body` is no JSON, or no UTF-8 (RFC 8259 8.1).
        RecursionError: it is nested deeper than Python goes.
    """
    if (
        _quick is not None
        and LEAST <= len(body) <= LARGEST
        and body.count(b"{") + body.count(b"[") <= MOST
        and _LONG not in body.translate(_DIGITS)
    ):
        try:
            return _quick(body)
        except _Refused:
            pass  # NaN, 1e400, a lone surrogate, or no JSON: `json` decides
    text = body.decode()
    try:
        data, end = _scan(text, 0)  # most begins and ends without white space
    except StopIteration:
        end = -1
    return data if end == len(text) else _decode(text)

"""JSON of bodies as Python's `json` reads it; by orjson where that gives the same."""

from __future__ import annotations

import json
from typing import Any, Final

from .engine import plain_json

try:
    import orjson
except ImportError:  # the extra `speed`
    _quick: Any = None
    _Refused: type[ValueError] = ValueError
else:
    _quick = orjson.loads
    _Refused = orjson.JSONDecodeError

__all__ = ["LARGEST", "LONG", "MOST", "decode"]

#: Most octets of a body that orjson may read: beyond, a look at all of it is no small matter.
LARGEST: Final = 1 << 20
#: Arrays and objects of such a body: `json` ends at some 1,000 within each other, orjson at 1,024.
MOST: Final = 500

#: Digits of the shortest integers beyond 64 bits: orjson reads those as floats. What else it
#: reads it reads as `json` does, what it refuses `json` may take.
LONG: Final = 19

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
    if _quick is not None and len(body) <= LARGEST and plain_json(body, MOST, LONG):
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

"""What octets of JSON hold; the same as `src/_json.pxi`."""

from __future__ import annotations

from typing import Final

__all__ = ["plain_json"]

#: Digits to 0, all else to a space.
_DIGITS: Final = bytes(0x30 if 0x30 <= octet <= 0x39 else 0x20 for octet in range(256))


def plain_json(body: bytearray, most: int, digits: int) -> bool:
    if not isinstance(body, bytearray):
        raise TypeError(f"body must be a bytearray, not {type(body).__name__}")
    if body.count(b"{") + body.count(b"[") > most:
        return False
    return digits > 0 and b"0" * digits not in body.translate(_DIGITS)

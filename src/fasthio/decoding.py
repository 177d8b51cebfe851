"""Content codings: gzip and deflate, br and zstd where their packages are at hand.

Decoders take octets as they come and give at most so many at a time, so that a
few octets which stand for a great many (a bomb) cost no more than the limit.
"""

from __future__ import annotations

import importlib
import zlib
from typing import TYPE_CHECKING, Any, Final, Protocol

from .errors import exchange_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Decoder", "accepted", "decoder_for"]

#: Most octets one step of a decoder gives.
STEP: Final = 262_144
#: Octets that zlib is given at once: a body can be of empty members alone, 20 octets each.
_PIECE: Final = 16_384
#: Most codings in one Content-Encoding; each may multiply what the next has to do.
MOST_CODINGS: Final = 3


class Decoder(Protocol):
    """Decode one coding."""

    def feed(self, octets: bytes) -> Iterator[bytes]:
        """Decode octets; give the result in pieces of some MiB at most, of `STEP` where it can be.

        Raises:
            DecodeError: the octets are not of this coding.
        """

    def finish(self) -> None:
        """Say that no more octets will come.

        Raises:
            DecodeError: the coded octets are not complete.
        """


class Zlib:
    """Decode gzip (RFC 1952) and deflate (RFC 1950, or RFC 1951 as some servers send it)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._object: Any = None
        self._begun = False

    def _start(self, octets: bytes) -> Any:
        if self.name == "gzip":
            return zlib.decompressobj(16 + zlib.MAX_WBITS)
        # deflate is the zlib format (RFC 9110 8.4.1.2); some send it without its frame
        framed = octets[0] & 0x0F == 8 and octets[0] >> 4 <= 7
        return zlib.decompressobj(zlib.MAX_WBITS if framed else -zlib.MAX_WBITS)

    def feed(self, octets: bytes) -> Iterator[bytes]:
        # zlib copies what it leaves, at the end of each member: of a piece, not of all
        for at in range(0, len(octets), _PIECE):
            yield from self._feed(octets[at : at + _PIECE])

    def _feed(self, octets: bytes) -> Iterator[bytes]:
        while octets:
            if self._object is None:
                if self._begun:
                    if self.name != "gzip":
                        raise exchange_error("undecodable", f"{self.name}: octets after the end")
                    if not octets.strip(b"\0"):
                        return  # padding after the last member (RFC 1952 2.2)
                self._object = self._start(octets)
                self._begun = True
            try:
                given = self._object.decompress(octets, STEP)
            except zlib.error as error:
                raise exchange_error("undecodable", f"{self.name}: {error}", error) from error
            if given:
                yield given
            if self._object.eof:
                octets = self._object.unused_data
                self._object = None
            else:
                octets = self._object.unconsumed_tail

    def finish(self) -> None:
        if self._object is not None:
            raise exchange_error("undecodable", f"{self.name}: cut off")


class Brotli:
    """Decode br (RFC 7932) with the brotli package, which can bound what a step gives."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._object = module.Decompressor()
        self._begun = False

    def feed(self, octets: bytes) -> Iterator[bytes]:
        while True:
            self._begun = self._begun or bool(octets)
            try:
                given = self._object.process(octets, output_buffer_limit=STEP)
            except self._module.error as error:
                raise exchange_error("undecodable", f"br: {error}", error) from error
            if given:
                yield given
            if self._object.can_accept_more_data():
                return
            octets = b""

    def finish(self) -> None:
        if self._begun and not self._object.is_finished():
            raise exchange_error("undecodable", "br: cut off")


class Zstandard:
    """Decode zstd (RFC 8878) with the zstandard package."""

    #: Octets given to the package at a time: four of them may stand for 128 KiB.
    PIECE: Final = 64
    #: Largest window taken (RFC 9659 3).
    WINDOW: Final = 8 << 20

    def __init__(self, module: Any) -> None:
        self._module = module
        self._decompressor = module.ZstdDecompressor(max_window_size=self.WINDOW)
        self._object: Any = None

    def feed(self, octets: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(octets):
            if self._object is None:
                self._object = self._decompressor.decompressobj()
            piece = octets[at : at + self.PIECE]
            at += len(piece)
            try:
                given = self._object.decompress(piece)
            except self._module.ZstdError as error:
                raise exchange_error("undecodable", f"zstd: {error}", error) from error
            if given:
                yield given
            if self._object.eof:
                at -= len(self._object.unused_data)
                self._object = None

    def finish(self) -> None:
        if self._object is not None:
            raise exchange_error("undecodable", "zstd: cut off")


def _brotli() -> Callable[[], Decoder] | None:
    """Find the brotli package; one that cannot bound its output will not do."""
    try:
        module = importlib.import_module("brotli")
    except ImportError:
        return None
    if not hasattr(module.Decompressor(), "can_accept_more_data"):
        return None
    return lambda: Brotli(module)


def _zstandard() -> Callable[[], Decoder] | None:
    """Find the zstandard package."""
    try:
        module = importlib.import_module("zstandard")
    except ImportError:
        return None
    return lambda: Zstandard(module)


#: How a decoder of each coding is made; None while its package was not looked for.
_makers: dict[str, Callable[[], Decoder]] = {}


def makers() -> dict[str, Callable[[], Decoder]]:
    """Give what makes a decoder, by coding, in the order we like them."""
    if not _makers:
        _makers["gzip"] = lambda: Zlib("gzip")
        _makers["deflate"] = lambda: Zlib("deflate")
        for name, find in (("br", _brotli), ("zstd", _zstandard)):
            maker = find()
            if maker is not None:
                _makers[name] = maker
    return _makers


def accepted() -> str:
    """Give the value of Accept-Encoding for what can be decoded here (RFC 9110 12.5.3)."""
    return ", ".join(makers())


class Chain:
    """Decode several codings, the last applied first (RFC 9110 8.4)."""

    def __init__(self, decoders: list[Decoder]) -> None:
        self._decoders = decoders

    def feed(self, octets: bytes) -> Iterator[bytes]:
        first, *rest = self._decoders
        if not rest:
            yield from first.feed(octets)
            return
        tail = Chain(rest)
        for piece in first.feed(octets):
            yield from tail.feed(piece)

    def finish(self) -> None:
        for decoder in self._decoders:
            decoder.finish()


def decoder_for(value: str) -> Decoder | None:
    """Make the decoder for a Content-Encoding.

    Args:
        value: of the field; repeated fields joined by commas.
    Returns:
        The decoder; None for identity, for a coding not known here, and for
        more codings than `MOST_CODINGS`: then the body stays as it came.
    """
    names = [name.strip(" \t").lower() for name in value.split(",")]
    names = [name.removeprefix("x-") for name in names if name not in ("", "identity")]
    known = makers()
    if not names or len(names) > MOST_CODINGS or any(name not in known for name in names):
        return None
    return Chain([known[name]() for name in reversed(names)])

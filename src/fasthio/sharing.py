"""Which worker an origin goes to: rendezvous hashing.

Each worker has a weight for each origin, drawn by a hash of both; the heaviest one
has the origin. So all agree without asking each other, shares are even, and a
worker's coming or going moves only what it wins or leaves behind.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["share_out", "weigh"]


def weigh(worker: str, origin: tuple[Any, ...]) -> int:
    """Give the weight of a worker for an origin.

    Args:
        worker: its name.
        origin: scheme, host and port.
    Returns:
        A number of 64 bits; the same on every machine and in every run.
    """
    text = "\0".join((worker, *map(str, origin)))
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def share_out(workers: Iterable[str], origin: tuple[Any, ...]) -> str | None:
    """Give the worker that an origin goes to.

    Args:
        workers: names of those there are, each once.
        origin: scheme, host and port.
    Returns:
        The heaviest one; None where there are no workers.
    Cost: O(workers).
    """
    return max(workers, key=lambda worker: (weigh(worker, origin), worker), default=None)

"""Measure the parsers: every case, all peers interleaved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .messages import CASES, Case, drip, make_case
from .parsers import Peer, check, find_peers, plain_copy
from .timing import interleave

if TYPE_CHECKING:
    from .timing import Block

__all__ = ["DRIPS", "measure_case", "measure_drips", "measure_parsers"]

#: Octets of the messages that show whether byte by byte is linear.
DRIPS = (1_000, 4_000, 16_000)


def _block(run: Peer, case: Case) -> Block:
    """Give a block that parses so many messages of a case."""
    messages = case.messages
    many = len(messages)

    def block(count: int) -> None:
        rounds, rest = divmod(count, many)
        for _ in range(rounds):
            run(messages)
        if rest:
            run(messages[:rest])

    return block


def measure_case(case: Case, rounds: int, seconds: float = 0.004) -> dict[str, Any]:
    """Measure all peers on a case; those that fail it are named with the reason."""
    peers = find_peers()
    wrong = dict(peers.missing)
    blocks: dict[str, Block] = {}
    for name, run in peers.runs.items():
        reason = check(name, run, case)
        if reason is None:
            blocks[name] = _block(run, case)
        else:
            wrong[name] = reason
    if case.name == "length-1m":
        blocks["plain copy"] = _block(plain_copy(), case)
    return {
        "title": case.title,
        "octets": case.octets,
        "us": interleave(blocks, rounds, seconds),
        "wrong": wrong,
    }


def measure_parsers(rounds: int, seconds: float = 0.004) -> dict[str, Any]:
    """Measure all cases."""
    results = {}
    for name in CASES:
        print(f"parsers: {name}", flush=True)
        results[name] = measure_case(make_case(name), rounds, seconds)
    return results


def measure_drips(rounds: int) -> dict[str, Any]:
    """Measure byte by byte at growing sizes: microseconds an octet."""
    print("parsers: byte by byte at growing sizes", flush=True)
    peers = find_peers(["fasthio C", "fasthio Python", "hio", "httptools"]).runs
    blocks: dict[str, Block] = {}
    sizes: dict[str, int] = {}
    for octets in DRIPS:
        case = drip(octets)
        for name, run in peers.items():
            if check(name, run, case) is None:
                blocks[f"{name}@{octets}"] = _block(run, case)
                sizes[f"{name}@{octets}"] = case.octets
    found = interleave(blocks, rounds)
    results: dict[str, dict[str, float]] = {}
    for key, figures in found.items():
        name, _, size = key.partition("@")
        results.setdefault(name, {})[size] = figures["cpu_median"] / sizes[key]
    return results

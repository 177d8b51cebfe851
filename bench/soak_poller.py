"""Ten thousand targets for minutes, a tenth of them hostile: every due poll told once, memory flat.

    python bench/soak_poller.py [--targets N] [--every S] [--seconds S]

Good backends are an nginx on four loopback addresses; the others are a server, in a
process of its own, that stalls, drips, resets, closes, lies about lengths and sends
endless heads and bodies. Exits with 1 where a poll is missing or told twice, where
a good backend's poll failed, or where memory has grown.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import multiprocessing
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from bench.bench_poller import serve  # noqa: E402
from bench.poller_peers import memory  # noqa: E402
from fasthio.histogram import Histogram  # noqa: E402
from fasthio.polling import Poller  # noqa: E402

ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def misbehave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request in the way that its path names."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            way = head.split(b" ", 2)[1].strip(b"/").decode()
            if way == "stall":
                await asyncio.sleep(3600)
            elif way == "drip":
                for octet in OK * 1000:
                    if writer.is_closing():
                        return
                    writer.write(bytes([octet]))
                    await asyncio.sleep(0.2)
            elif way == "reset":
                writer.transport.abort()
                return
            elif way == "close":
                writer.write(OK[:20])
                await writer.drain()
                return
            elif way == "short":
                writer.write(OK[:-1])
                await writer.drain()
                return
            elif way == "garbage":
                writer.write(b"\x00\xff" * 4000)
            elif way == "head":
                writer.write(b"HTTP/1.1 200 OK\r\n" + b"X-Field: value\r\n" * 2000)
            elif way == "body":
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                for _ in range(64):
                    writer.write(b"x" * 65_536)
                    await writer.drain()
            elif way == "late":
                await asyncio.sleep(1.5)
                writer.write(OK)
            elif way == "twice":
                writer.write(OK + OK)
            else:
                writer.write(b"HTTP/1.1 503 Busy\r\nRetry-After: 20\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
    writer.close()


WAYS = (
    "stall", "drip", "reset", "close", "short", "garbage", "head", "body", "late", "twice", "busy",
)  # fmt: skip


def serve_hostile(pipe: Any) -> None:
    """Run the hostile server until the process is ended."""

    async def main() -> None:
        server = await asyncio.start_server(misbehave, "127.0.0.9", 0, backlog=4096)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # peers that leave are no event
    asyncio.run(main())


def soak(port: int, hostile: int, targets: int, every: float, seconds: float) -> int:
    """Poll, account, and tell; give the exit status."""
    poller = Poller(concurrency=4_000, openings=1_000.0)
    bad = targets // 10
    for number in range(targets - bad):
        address = ADDRESSES[number % len(ADDRESSES)]
        url = f"http://{address}:{port}/small"
        poller.add(url, every=every, timeout=8.0, label=f"good {number}")
    for number in range(bad):
        url = f"http://127.0.0.9:{hostile}/{WAYS[number % len(WAYS)]}"
        poller.add(url, every=every, timeout=5.0, max_body=1_000_000, label=f"bad {number}")
    everything = list(poller)
    reached = dict.fromkeys(everything, 0)
    troubles: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    latencies = Histogram()  # a list of them would grow

    def account(result: Any) -> None:
        if result.number != reached[result.target]:
            pending.setdefault(result.target, []).append(result)
            return
        reached[result.target] += result.count
        kind = result.label.split()[0]
        outcomes[f"{kind} {result.outcome} {result.reason}".strip()] += result.count
        if kind == "good":
            if result.outcome != "ok" and result.reason != "stopped":
                troubles[f"good backend: {result.outcome} {result.reason}"] += 1
            elif result.latency is not None:
                latencies.add(result.latency.total)
        for other in pending.pop(result.target, ()):
            account(other)

    pending: dict[Any, list[Any]] = {}
    began, cpu = time.monotonic(), time.process_time()
    samples: list[tuple[float, int]] = []
    next_sample = began + every * 2  # when all have been polled
    while time.monotonic() < began + seconds:
        poller.service()
        while poller.results:
            account(poller.results.popleft())
        if time.monotonic() >= next_sample:
            if len(samples) == 5 or time.monotonic() > began + seconds - 20.0:
                gc.collect()  # it takes a while among so many objects: twice will do
            samples.append((time.monotonic() - began, memory()))
            next_sample += max(5.0, seconds / 20)
            print(
                f"{samples[-1][0]:6.0f} s {samples[-1][1] / 2**20:7.1f} MiB "
                f"{sum(outcomes.values()):9,} polls {poller.connections:6,} connections "
                f"{poller.flying:5,} under way {poller.waiting:5,} waiting",
                flush=True,
            )
        poller.wait(0.5)
    poller.stop()
    while not poller.done:
        poller.service()
        while poller.results:
            account(poller.results.popleft())
        poller.wait(0.5)
    ended = poller._now()
    poller.close()
    while poller.results:  # what was not begun at the end
        account(poller.results.popleft())
    cpu = time.process_time() - cpu
    for target in everything:
        if target in pending:
            troubles["told out of turn, or twice"] += len(pending[target])
        grid = target._grid
        assert grid is not None
        due = grid.number(ended - 9.0) + 1  # what fell due until a while before the end
        if reached[target] < due:
            troubles["missing"] += due - reached[target]
        if reached[target] > grid.number(ended) + 1:
            troubles["told before it was due"] += 1
    total = sum(outcomes.values())
    if sum(poller.counts.values()) != total:
        troubles["counted otherwise"] += 1
    first, last = samples[min(5, len(samples) - 1)][1], samples[-1][1]
    if last > first * 1.05 + 2 * 2**20:
        troubles[f"memory grew from {first / 2**20:.0f} to {last / 2**20:.0f} MiB"] += 1
    print()
    for name, count in sorted(outcomes.items()):
        print(f"{count:9,} {name}")
    print()
    print(
        f"{total:,} due polls, {poller.begun:,} begun, {cpu / max(poller.begun, 1) * 1e6:.0f} us "
        f"CPU each; good backends p50 {(latencies.percentile(0.5) or 0) * 1e3:.2f} ms, "
        f"p99 {(latencies.percentile(0.99) or 0) * 1e3:.2f} ms"
    )
    for trouble, count in troubles.items():
        print(f"TROUBLE {trouble}: {count}")
    print("failed" if troubles else "every due poll accounted for exactly once; memory flat")
    return 1 if troubles else 0


def main() -> int:
    """Start the servers and soak."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--targets", type=int, default=10_000)
    options.add_argument("--every", type=float, default=10.0)
    options.add_argument("--seconds", type=float, default=180.0)
    given = options.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    hostile = context.Process(target=serve_hostile, args=(there,), daemon=True)
    hostile.start()
    try:
        with serve("0.0.0.0") as port:
            return soak(port, here.recv(), given.targets, given.every, given.seconds)
    finally:
        hostile.terminate()
        hostile.join(10)


if __name__ == "__main__":
    sys.exit(main())

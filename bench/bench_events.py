"""Measure event streams beside hio, httpx-sse and aiohttp-sse-client.

    python bench/bench_events.py [--rounds 15] [--size 1048576] [--json FILE]

All run in one process, one after the other in each round; the medians of the
rounds are shown, in microseconds an event. Each peer gets the same octets cut
the same way and makes one object an event with id, name and data as text, let go
of after its piece. A peer that is not installed is left out and named.
"""

from __future__ import annotations

import argparse
import asyncio
import codecs
import contextlib
import importlib
import json
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from hio.core.http import httping

from fasthio import eventing

FEEDS = (1024, 4096, 16_384, 65_536, 1_048_576)
ENDS = {"LF": b"\n", "CRLF": b"\r\n", "CR": b"\r"}
ENGINES = {"c": "fasthio._parser", "py": "fasthio._pyevents"}

#: Takes the pieces of a stream and returns the events in it.
Peer = Callable[[Sequence[bytes]], int]


def make_stream(size: int, end: bytes) -> tuple[bytes, int]:
    """Make a stream of events as mailboxes send them; return it and how many they are."""
    events = []
    total = count = 0
    while total < size:
        data = b'{"v":"KERI10JSON","t":"icp","s":"%x","d":"EAbcdefghijklmnop"}' % count
        event = end.join([b"id: %d" % count, b"event: message", b"data: " + data, b"", b""])
        events.append(event)
        total += len(event)
        count += 1
    return b"".join(events), count


def run_source(source: Any, pieces: Sequence[bytes]) -> int:
    """Drive an EventSource, hio's or ours."""
    events: deque[dict[str, Any]] = deque()
    raw = bytearray()
    es = source(raw=raw, events=events)
    count = 0
    for piece in pieces:
        raw += piece
        es.parse()
        count += len(events)
        events.clear()
    return count


def ours(engine: str) -> Peer:
    """Give our EventSource on one engine."""

    class Source(eventing.EventSource):
        Engine = importlib.import_module(ENGINES[engine]).EventParser

    return lambda pieces: run_source(Source, pieces)


def run_hio(pieces: Sequence[bytes]) -> int:
    """Drive hio's EventSource."""
    return run_source(httping.EventSource, pieces)


def httpx_sse() -> Peer:
    """Give httpx-sse: its line decoder and its event decoder, over decoded text."""
    decoders = importlib.import_module("httpx_sse._decoders")

    def run(pieces: Sequence[bytes]) -> int:
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        lines = decoders.SSELineDecoder()
        decoder = decoders.SSEDecoder()
        count = 0
        for piece in pieces:
            for line in lines.decode(decode(piece)):
                if decoder.decode(line) is not None:
                    count += 1
        for line in lines.flush():  # it keeps a CR at the end back
            if decoder.decode(line) is not None:
                count += 1
        return count

    return run


def aiohttp_sse_client() -> Peer:
    """Give aiohttp-sse-client over aiohttp's StreamReader, fed piece by piece."""
    client = importlib.import_module("aiohttp_sse_client.client")
    streams = importlib.import_module("aiohttp.streams")

    class Protocol:
        _reading_paused = False

        def pause_reading(self, *_: Any, **__: Any) -> None:
            """Take no notice: the pieces are there already."""

        def resume_reading(self, *_: Any, **__: Any) -> None:
            """Take no notice."""

    class Response:
        status = 200

    async def drive(pieces: Sequence[bytes]) -> int:
        source = client.EventSource("http://127.0.0.1/", session=object())
        response = Response()
        reader = streams.StreamReader(Protocol(), 1 << 24, loop=asyncio.get_running_loop())
        response.content = reader  # type: ignore[attr-defined]
        source._response = response
        count = 0
        for piece in pieces:
            reader.feed_data(piece)
        reader.feed_eof()

        async def stop(*_: Any) -> None:
            raise StopAsyncIteration

        source.connect = stop  # its end of a stream is a reconnect
        source._reconnection_time *= 0
        with contextlib.suppress(StopAsyncIteration):
            while True:
                await source.__anext__()
                count += 1
        return count

    return lambda pieces: asyncio.run(drive(pieces))


def find_peers() -> dict[str, Peer]:
    """Give the peers that are installed, by name; name the missing ones on stderr."""
    makers: dict[str, Callable[[], Peer]] = {
        "fasthio c": lambda: ours("c"),
        "fasthio py": lambda: ours("py"),
        "hio": lambda: run_hio,
        "httpx-sse": httpx_sse,
        "aiohttp-sse": aiohttp_sse_client,
    }
    peers = {}
    for name, maker in makers.items():
        try:
            peers[name] = maker()
        except ImportError as error:
            print(f"{name} left out: {error}", file=sys.stderr)
    return peers


def measure(
    peers: dict[str, Peer], stream: bytes, count: int, feed: int, rounds: int
) -> dict[str, tuple[float, bool]]:
    """Return each peer's median microseconds an event, and whether it found all events."""
    pieces = [stream[i : i + feed] for i in range(0, len(stream), feed)]
    times: dict[str, list[float]] = {name: [] for name in peers}
    right = {}
    for _ in range(rounds):
        for name, peer in peers.items():
            if sum(times[name]) > 5.0:  # hio is quadratic in the feed
                continue
            begun = time.perf_counter()
            found = peer(pieces)
            times[name].append(time.perf_counter() - begun)
            right[name] = found == count
    return {
        name: (statistics.median(spent) / count * 1e6, right[name]) for name, spent in times.items()
    }


def main() -> None:
    """Measure and print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=15, help="rounds of each measurement")
    options.add_argument("--size", type=int, default=1 << 20, help="octets of the stream")
    options.add_argument("--json", metavar="FILE", help="write the figures there, too")
    given = options.parse_args()
    peers = find_peers()
    print(f"Python {sys.version.split()[0]}, microseconds an event, medians of {given.rounds}")
    print("| ends | feed | " + " | ".join(peers) + " | hio / c | httpx-sse / c |")
    print("| --- " * (len(peers) + 4) + "|")
    results = []
    first, count = make_stream(100_000, b"\n")
    measure(peers, first, count, 1024, given.rounds)  # what comes first pays for fresh memory
    for ends, end in ENDS.items():
        stream, count = make_stream(given.size, end)
        for feed in FEEDS:
            found = measure(peers, stream, count, feed, given.rounds)
            figures = {name: spent for name, (spent, _) in found.items()}
            wrong = [name for name, (_, right) in found.items() if not right]
            results.append({"ends": ends, "feed": feed, "us": figures, "wrong": wrong})
            cells = [f"{figures[name]:.3f}{'*' * (name in wrong)}" for name in peers]
            for peer in ("hio", "httpx-sse"):
                both = peer in figures and "fasthio c" in figures
                cells.append(f"{figures[peer] / figures['fasthio c']:.1f}" if both else "")
            print(f"| {ends} | {feed} | " + " | ".join(cells) + " |", flush=True)
    print("* loses events: it depends on where the octets were cut, or does not know the line end")
    if given.json:
        with open(given.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()

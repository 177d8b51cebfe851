"""Measure whole clients against nginx, interleaved, each in a process of its own.

All of them and nginx share one processor, where the system lets them: else each request
also pays for waking the other processor, which on a virtual machine costs more than most
of the clients do and changes from minute to minute.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .clients import CLIENTS, ORJSON, SPIN
from .serving import BIG, CHUNKED, serve
from .timing import Figures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .serving import Server

__all__ = ["SCENES", "measure_clients"]

ROOT = Path(__file__).resolve().parent.parent

#: Name, title, path, TLS, least octets of the body (0: JSON), requests a round, rounds of ten.
SCENES: list[tuple[str, str, str, bool, int, int, int]] = [
    ("small", "small JSON answer, keep-alive", "/small", False, 0, 100, 10),
    ("small-orjson", "the same with orjson, but hio, which has its own", "/small", False, 0, 100,
     10),
    ("small-tls", "small JSON answer over TLS", "/small", True, 0, 100, 10),
    ("chunked", "64 KiB chunked", "/chunked", False, CHUNKED, 20, 10),
    ("chunked-tls", "the same over TLS", "/chunked", True, CHUNKED, 20, 10),
    ("big", "64 MiB file", "/big", False, BIG, 1, 4),
    ("big-tls", "the same over TLS", "/big", True, BIG, 1, 2),
]  # fmt: skip


class Remote:
    """A worker process."""

    def __init__(self, name: str, port: int, authority: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.clients", name, str(port), authority],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.began = self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return dict(json.loads(line)) if line else {"failed": "the worker died"}

    def run(self, path: str, count: int, size: int) -> dict[str, Any]:
        """Let it fetch; returns what it measured."""
        assert self.process.stdin is not None
        try:
            print(json.dumps({"path": path, "count": count, "size": size}),
                  file=self.process.stdin, flush=True)  # fmt: skip
        except OSError:
            return {"failed": "the worker died"}
        return self._read()

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def _measure_scene(
    server: Server, scene: tuple[str, str, str, bool, int, int, int], rounds: int
) -> dict[str, Any]:
    name, title, path, secured, size, count, share = scene
    rng = random.Random(2)
    authority = server.authority if secured else ""
    wanted = list(CLIENTS)
    if name == "small":
        wanted += [each + SPIN for each in ("hio", "fasthio")]
    wrong: dict[str, str] = {}
    remotes: dict[str, Remote] = {}
    figures: dict[str, Figures] = {}
    memory: dict[str, int] = {}
    try:
        for each in wanted:
            decoder = ORJSON if name.endswith(ORJSON) and each != "hio" else ""
            remote = remotes[each] = Remote(each + decoder, server.port(secured), authority)
            answer = remote.began
            if "ready" in answer:  # warm up; the first is also the one whose memory counts
                answer = remote.run(path, 1 if size >= BIG else count, size)
                memory[each] = int(answer.get("memory", 0))
            if "cpu" not in answer:
                wrong[each] = answer.get("missing") or answer.get("failed") or "no answer"
                remotes.pop(each).close()
            else:
                figures[each] = Figures()
        order = list(remotes)
        for _ in range(max(3, rounds * share // 10)):
            rng.shuffle(order)
            for each in order:
                answer = remotes[each].run(path, count, size)
                if "cpu" in answer:
                    figures[each].add(answer["cpu"], answer["wall"], 1)
                else:
                    wrong[each] = answer.get("failed", "no answer")
    finally:
        for remote in remotes.values():
            remote.close()
    found = {each: one.sum_up() for each, one in figures.items() if one.cpu and each not in wrong}
    for each, figure in found.items():
        figure["memory"] = memory[each]
    return {"title": title, "size": size, "us": found, "wrong": wrong}


@contextmanager
def _on_one_processor() -> Iterator[bool]:
    """Keep this process, and those that it starts, on one processor; tells whether they are."""
    if not hasattr(os, "sched_setaffinity"):
        yield False
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield True
    finally:
        os.sched_setaffinity(0, before)


def measure_clients(rounds: int) -> dict[str, Any]:
    """Measure all scenes; where there is no nginx, say so."""
    try:
        with _on_one_processor() as together, serve() as server:
            results: dict[str, Any] = {"nginx": server.version, "together": together, "scenes": {}}
            for scene in SCENES:
                print(f"clients: {scene[0]}", flush=True)
                results["scenes"][scene[0]] = _measure_scene(server, scene, rounds)
            return results
    except RuntimeError as error:
        print(f"clients left out: {error}", file=sys.stderr)
        return {"nginx": None, "reason": str(error), "scenes": {}}

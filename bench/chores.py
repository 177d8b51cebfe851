"""Measure what a client costs besides its requests: doing nothing, and being made."""

from __future__ import annotations

import importlib
import socket
import time
from typing import TYPE_CHECKING, Any

from .timing import interleave

if TYPE_CHECKING:
    from .timing import Block

__all__ = ["measure_chores"]

MODULES = {"fasthio": "fasthio.clienting", "hio": "hio.core.http.clienting"}


def _connect(module: Any, port: int) -> Any:
    client = module.Client(hostname="127.0.0.1", port=port)
    client.reopen()
    deadline = time.monotonic() + 10
    while not client.connector.connected:
        client.service()
        if time.monotonic() > deadline:
            raise RuntimeError("no connection")
    return client


def _service(client: Any) -> Block:
    def block(count: int) -> None:
        service = client.service
        for _ in range(count):
            service()

    return block


def _make(module: Any, scheme: str, port: int) -> Block:
    def block(count: int) -> None:
        make = module.Client
        for _ in range(count):
            make(hostname="127.0.0.1", port=port, scheme=scheme)

    return block


def measure_chores(rounds: int) -> dict[str, Any]:
    """Measure hio and ours: idle and waiting `service()`, and construction."""
    print("clients: idle service, construction", flush=True)
    modules = {name: importlib.import_module(path) for name, path in MODULES.items()}
    results: dict[str, Any] = {}
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        port = listener.getsockname()[1]
        idle = {name: _connect(module, port) for name, module in modules.items()}
        waiting = {name: _connect(module, port) for name, module in modules.items()}
        for client in waiting.values():
            client.request(method="GET", path="/")
            client.service()
        results["idle"] = interleave({n: _service(c) for n, c in idle.items()}, rounds)
        results["waiting"] = interleave({n: _service(c) for n, c in waiting.items()}, rounds)
        for name, client in waiting.items():
            if client.responses or not client.waited:
                raise RuntimeError(f"{name} did not wait for its response")
        for client in (*idle.values(), *waiting.values()):
            client.close()
        for scheme, seconds in (("http", 0.004), ("https", 0.05)):
            blocks = {name: _make(module, scheme, port) for name, module in modules.items()}
            for block in blocks.values():
                block(1)  # the first one of a process may pay for what all share
            results[f"make-{scheme}"] = interleave(
                blocks, rounds if scheme == "http" else max(3, rounds // 4), seconds
            )
    return results

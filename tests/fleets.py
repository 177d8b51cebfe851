"""Real Dask clusters for tests: a scheduler and workers, each a process on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parent.parent / "src"
#: Seconds within which a process must be there, or gone.
PATIENCE = 40.0


def wait_until(true: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Wait until something is true, and give it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        value = true()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds:g} s: {what}")


class Cluster:
    """A scheduler and its workers.

    Args:
        folder: for their files and what they say.
        tls: options of TLS for each of them.
    """

    def __init__(self, folder: Path, tls: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.tls = tls
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        file = folder / "scheduler.json"
        protocol = ("--protocol", "tls") if tls else ()
        self.start(
            "scheduler",
            "distributed.cli.dask_scheduler",
            "--host", "127.0.0.1", "--port", "0", "--scheduler-file", os.fspath(file), *protocol,
        )  # fmt: skip

        def read() -> str | None:
            with contextlib.suppress(OSError, ValueError, KeyError):
                return str(json.loads(file.read_text())["address"])
            return None

        self.address: str = wait_until(read, "scheduler")

    def start(self, name: str, module: str, *options: str, **env: str) -> None:
        """Start a process."""
        inherited = {**os.environ, "PYTHONPATH": os.fspath(SOURCE), "PYTHONWARNINGS": "ignore"}
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", module, *options,
                 "--dashboard-address", "127.0.0.1:0", *self.tls],
                cwd=self.folder, env={**inherited, **env},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def work(self, *names: str, **env: str) -> None:
        """Start workers; they join in their own time."""
        for name in names:
            self.start(
                name,
                "distributed.cli.dask_worker",
                self.address, "--nthreads", "1", "--no-nanny", "--name", name,
                "--host", "127.0.0.1", "--local-directory", os.fspath(self.folder), **env,
            )  # fmt: skip

    def send(self, name: str, number: int) -> None:
        """Send a signal to a process."""
        self.processes[name].send_signal(number)

    def kill(self, name: str) -> None:
        """Kill a process, and wait for its end."""
        process = self.processes.pop(name)
        process.kill()
        process.wait(PATIENCE)

    def close(self) -> None:
        """Kill all that still runs."""
        if "COVERAGE_PROCESS_CONFIG" in os.environ:
            self._end_workers()
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
            process.kill()
        for process in self.processes.values():
            process.wait(PATIENCE)

    def _end_workers(self) -> None:
        """End workers by their own doing: one that is killed writes down no line that it ran."""
        workers = [process for name, process in self.processes.items() if name != "scheduler"]
        for process in workers:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)


@contextlib.contextmanager
def serving(folder: Path, *workers: str, tls: tuple[str, ...] = ()) -> Iterator[Cluster]:
    """Run a cluster for the time of the block."""
    cluster = Cluster(folder, tls)
    try:
        cluster.work(*workers)
        yield cluster
    finally:
        cluster.close()


class Backend:
    """A server of many origins: one address, a port for each, requests counted."""

    def __init__(self, origins: int) -> None:
        self.counts: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        lock = threading.Lock()
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                with lock:
                    backend.counts[f"{self.server.server_port}{self.path}"] += 1
                    backend.headers.append(dict(self.headers))
                    del backend.headers[:-16]
                status = 503 if self.path.startswith("/503") else 200
                body = self.path.encode()
                self.send_response(status)
                if self.path == "/503-retry":
                    self.send_header("Retry-After", "3600")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(origins)]
        for server in self.servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def urls(self) -> list[str]:
        """URL of each origin."""
        return [f"http://127.0.0.1:{server.server_port}" for server in self.servers]

    def close(self) -> None:
        """Close all."""
        for server in self.servers:
            server.shutdown()
            server.server_close()

"""What polling costs: beside hio in one loop, and beside other clients with equal work.

    python bench/bench_poller.py [--parts schedule idle active doist peers]
                                 [--rounds N] [--json FILE]

Needs nginx, started here on a free loopback port; peers that are not installed are
left out and named. Prints Markdown. CPU is processor time of this process alone.
With `--json` it also writes the text, the figures of the goals and those of the plots.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from hio.base import doing  # noqa: E402
from hio.core.http import clienting as hio_clienting  # noqa: E402

from bench import poller_peers, serving, simulate_schedule  # noqa: E402
from fasthio.clienting import Client, ClientDoer  # noqa: E402
from fasthio.polling import Poller, PollerDoer, ReadyDoist  # noqa: E402

PARTS = ("schedule", "idle", "active", "doist", "peers")
PATH = poller_peers.PATH
#: Package that each peer needs.
NEEDS = {"aiohttp": "aiohttp", "httpx": "httpx", "pycurl": "pycurl"}
#: Connections at which peers are measured, and seconds that one run may take.
COUNTS = (1, 100, 1_000, 5_000)
PATIENCE = 60.0

_CONFIG = """
daemon off;
master_process off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {base}/nginx.pid;
error_log {base}/error.log warn;
events {{ worker_connections {files}; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_body_temp_path {base}/body;
    proxy_temp_path {base}/proxy;
    fastcgi_temp_path {base}/fastcgi;
    uwsgi_temp_path {base}/uwsgi;
    scgi_temp_path {base}/scgi;
    server {{
        listen {address}:{port} backlog=4096;
        location = /small {{
            default_type application/json;
            add_header Cache-Control "no-cache, no-store";
            add_header ETag '"$request_id"';
            add_header X-Request-Id $request_id;
            return 200 '{small}';
        }}
    }}
}}
"""


@contextmanager
def serve(address: str = "127.0.0.1") -> Iterator[int]:
    """Run nginx with room for many connections; gives its port.

    Raises:
        RuntimeError: nginx is not there or does not come up.
    """
    nginx = serving.find_nginx()
    if nginx is None:
        raise RuntimeError("nginx is not installed (Debian: apt install nginx-light)")
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    small = json.dumps({"ok": True, "items": [f"{item:08d}" for item in range(25)]})
    with tempfile.TemporaryDirectory(prefix="fasthio-bench-") as base:
        for _ in range(5):
            port = serving._free_port()
            config = Path(base, "nginx.conf")
            config.write_text(
                _CONFIG.format(base=base, address=address, port=port, small=small, files=files)
            )
            command = [nginx, "-c", str(config), "-p", base, "-e", f"{base}/error.log"]
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            try:
                until = time.monotonic() + 10.0
                while process.poll() is None and time.monotonic() < until:
                    if serving._answers(port):
                        yield port
                        return
                    time.sleep(0.02)
            finally:
                process.terminate()
                process.wait(10)
        raise RuntimeError(f"nginx does not come up: {Path(base, 'error.log').read_text()[-300:]}")


#: Figures that goals and plots are made of.
FIGURES: dict[str, Any] = {"goals": {}, "peers": {}, "schedule": {}}


def bench_schedule(rounds: int) -> Iterator[str]:
    """Measure the schedule alone, in virtual time."""
    yield "### The schedule alone, each target every 10 s of virtual time"
    yield ""
    yield (
        "| targets | CPU a poll | one heap over all | drift | late at a tock of 1/32 s "
        "| polls of targets differ by |"
    )
    yield "| --- | --- | --- | --- | --- | --- |"
    for targets in (100, 1_000, 10_000, 100_000):
        runs = [
            simulate_schedule.simulate(simulate_schedule.Schedule(), targets, 10.0, 40.0)
            for _ in range(rounds)
        ]
        plain = [
            simulate_schedule.simulate(simulate_schedule.PlainHeap(), targets, 10.0, 40.0)
            for _ in range(rounds)
        ]
        ours, theirs = min(run["us"] for run in runs), min(run["us"] for run in plain)
        FIGURES["schedule"][str(targets)] = {"fasthio": ours, "one heap": theirs}
        yield (
            f"| {targets:,} | {ours:.2f} us | {theirs:.2f} us | {runs[0]['drift']:.0e} s "
            f"| at most {runs[0]['late_most'] * 1e3:.1f} ms | {runs[0]['fair']:.0f} |"
        )
    costs = [each["fasthio"] for each in FIGURES["schedule"].values()]
    FIGURES["goals"]["flat"] = max(costs[1:]) / costs[1]  # from 1,000 targets on
    FIGURES["goals"]["drift"] = max(run["drift"] for run in runs)
    yield ""


# this process: fasthio and hio in turn ----------------------------------------


def connected_poller(port: int, count: int) -> Poller:
    """Make a poller whose targets have their connections and are not due for long."""
    poller = Poller(openings=2_000.0, concurrency=count, backlog=count * 2 + 8)
    for number in range(count):
        poller.add(f"http://127.0.0.1:{port}{PATH}", every=1e6, label=str(number), timeout=60.0)
    came = 0
    while came < count:
        poller.service()
        while poller.results:
            assert poller.results.popleft().ok
            came += 1
        poller.wait(1.0)
    assert poller.connections == count
    return poller


def connected_clients(port: int, count: int) -> list[Any]:
    """Make hio's clients, connected."""
    clients = []
    for number in range(count):
        client = hio_clienting.Client(hostname="127.0.0.1", port=port, path=PATH)
        client.reopen()
        clients.append(client)
        if number % 100 == 99 or number == count - 1:
            while not all(each.connector.connected for each in clients[-100:]):
                for each in clients[-100:]:
                    each.service()
    return clients


def cpu_of(call: Callable[[], Any], times: int) -> float:
    """Give the processor time of a call in microseconds."""
    before = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - before) / times * 1e6


def bench_idle(port: int, rounds: int) -> Iterator[str]:
    """Measure one service of many idle connections."""
    yield "### One service, nothing to do"
    yield ""
    yield "| idle connections | hio, all clients | fasthio Poller | ratio |"
    yield "| --- | --- | --- | --- |"
    for count in _fitting((100, 1_000, 5_000), 2):
        poller, clients = connected_poller(port, count), connected_clients(port, count)

        def sweep(clients: list[Any] = clients) -> None:
            for client in clients:
                client.service()

        ours, theirs = [], []
        for _ in range(rounds):
            ours.append(cpu_of(poller.service, 10_000))
            theirs.append(cpu_of(sweep, max(1, 5_000 // count)))
        one, two = statistics.median(theirs), statistics.median(ours)
        if count == 5_000:
            FIGURES["goals"]["sweep_us"] = two
        yield f"| {count:,} | {one:,.0f} us | {two:.2f} us | {one / two:,.0f}x |"
        poller.close()
        for client in clients:
            client.close()
    yield ""


def poll_active(poller: Poller, requests: int) -> float:
    """Let active targets go round; CPU microseconds a request."""
    results = poller.results
    came = 0
    before = time.process_time()
    while came < requests:
        poller.service()
        while results:
            assert results.popleft().ok
            came += 1
        poller.wait(1.0)
    return (time.process_time() - before) / came * 1e6


def sweep_active(clients: list[Any], active: list[Any], requests: int) -> float:
    """Let active clients go round, all serviced; CPU microseconds a request."""
    came = 0
    before = time.process_time()
    for client in active:
        client.request(method="GET", path=PATH)
    while came < requests:
        for client in clients:
            client.service()
        for client in active:
            if client.responses:
                assert client.responses.popleft()["status"] == 200
                came += 1
                client.request(method="GET", path=PATH)
    spent = (time.process_time() - before) / came * 1e6
    while any(client.requests or client.waited for client in active):
        for client in clients:
            client.service()
    for client in active:
        client.responses.clear()
    return spent


def bench_active(port: int, rounds: int) -> Iterator[str]:
    """Measure requests over a part of the connections, and over all."""
    count = 3_000
    if not _fitting((count,), 2):
        return
    yield f"### CPU a request, {count:,} connections open"
    yield ""
    yield "| active | hio | fasthio Poller | ratio |"
    yield "| --- | --- | --- | --- |"
    clients = connected_clients(port, count)
    for active in (count // 100, count):
        poller = connected_poller(port, count)
        for target in list(poller)[:active]:
            poller.remove(target)
            poller.add(target.url, every=0.0, label=target.label, timeout=60.0)
        poll_active(poller, active * 2)
        while poller.connections < count:  # they are connected again
            poll_active(poller, active)
        ours, theirs = [], []
        requests = max(active, 300)
        for _ in range(rounds):
            ours.append(poll_active(poller, requests * 3))
            theirs.append(sweep_active(clients, clients[:active], requests))
        one, two = statistics.median(theirs), statistics.median(ours)
        FIGURES["goals"]["active_ratio" if active < count else "all_ratio"] = one / two
        yield f"| {active:,} | {one:,.0f} us | {two:.1f} us | {one / two:.1f}x |"
        poller.close()
    for client in clients:
        client.close()
    yield ""


class Asker(doing.Doer):  # type: ignore[misc]
    """Send a request, wait for its response, note how long that took."""

    def __init__(self, client: Any, many: int) -> None:
        super().__init__()
        self.client = client
        self.many = many
        self.took: list[float] = []
        self.sent = 0.0

    def recur(self, tyme: float) -> bool:
        """Look for the response."""
        if self.client.responses:
            self.took.append(time.perf_counter() - self.sent)
            self.client.responses.popleft()
            self.sent = 0.0
            if len(self.took) == self.many:
                raise KeyboardInterrupt  # ends the Doist in order
        if not self.sent:
            self.sent = time.perf_counter()
            self.client.request(method="GET", path=PATH)
            self.client.service()
        return False


def bench_doist(port: int) -> Iterator[str]:
    """Measure from request to response in a real-time Doist."""
    yield "### Request to response in a real-time Doist, one connection"
    yield ""
    yield "| | median | 99 % |"
    yield "| --- | --- | --- |"
    rows: list[tuple[str, list[float]]] = []
    for name, cls, doer, doist, many in (
        ("hio Client, Doist", hio_clienting.Client, hio_clienting.ClientDoer, doing.Doist, 60),
        ("fasthio Client, hio's Doist", Client, ClientDoer, doing.Doist, 60),
        ("fasthio Client, ReadyDoist", Client, ClientDoer, ReadyDoist, 3_000),
    ):
        client = cls(hostname="127.0.0.1", port=port, path=PATH)
        asker = Asker(client, many)
        doist(real=True, doers=[doer(client=client), asker]).do()
        rows.append((name, asker.took[5:]))
    took: list[float] = []
    poller = Poller(on_result=lambda result: took.append(result.latency.total))
    poller.add(f"http://127.0.0.1:{port}{PATH}", every=0.0, count=3_000)
    ReadyDoist(real=True, doers=[PollerDoer(poller)]).do()
    rows.append(("fasthio Poller, ReadyDoist", took[5:]))
    for name, times in rows:
        times.sort()
        high = times[int(len(times) * 0.99)]
        if name == "fasthio Client, ReadyDoist":
            FIGURES["goals"]["doist_us"] = statistics.median(times) * 1e6
        yield f"| {name} | {statistics.median(times) * 1e6:,.0f} us | {high * 1e6:,.0f} us |"
    yield ""


def _fitting(counts: tuple[int, ...], clients: int = 1) -> list[int]:
    """Leave out numbers of connections for which this system has too few descriptors."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return [count for count in counts if count * clients + 100 <= hard]


# peers, each in a process of its own -----------------------------------------


def run_peer(name: str, port: int, connections: int, requests: int) -> dict[str, Any] | None:
    """Run one peer; None where that took too long, or failed, which is told then."""
    command = [sys.executable, str(HERE / "poller_peers.py"), name]
    command += [str(port), str(connections), str(requests)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        print(f"{name} at {connections}: {done.stderr[-300:]}", file=sys.stderr)
        return None
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def bench_peers(port: int, rounds: int) -> Iterator[str]:
    """Measure all peers at several numbers of connections."""
    missing = [name for name, need in NEEDS.items() if importlib.util.find_spec(need) is None]
    ahead: dict[str, list[float]] = {"cpu_median": [], "wall_median": []}
    for connections in _fitting(COUNTS):
        requests = max(4_000, connections * 2)
        found: dict[str, list[dict[str, Any]]] = {}
        names = [name for name in poller_peers.PEERS if name not in missing]
        gone: list[str] = []
        for turn in range(rounds):
            # in another order each time
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                run = None if name in gone else run_peer(name, port, connections, requests)
                if run is not None:
                    found.setdefault(name, []).append(run)
                elif name not in gone:
                    gone.append(name)
        figures = FIGURES["peers"][str(connections)] = {
            name: {
                "cpu_median": statistics.median(run["cpu_us"] for run in runs),
                "cpu_min": min(run["cpu_us"] for run in runs),
                "wall_median": statistics.median(1e6 / run["per_second"] for run in runs),
                "kib": statistics.median(run["kib_each"] for run in runs),
            }
            for name, runs in found.items()
        }
        ours = figures.get("fasthio Poller")
        for name, each in figures.items():
            if ours is not None and not name.startswith("fasthio"):
                for key, ratios in ahead.items():
                    ratios.append(each[key] / ours[key])
        yield f"### {connections:,} connections, all busy"
        yield ""
        yield "| | requests/s | requests/CPU s | CPU a request, minimum | memory a connection |"
        yield "| --- | --- | --- | --- | --- |"
        for name in sorted(figures, key=lambda name: figures[name]["cpu_median"]):
            each = figures[name]
            memory = f"{each['kib']:.1f} KiB" if connections >= 100 else ""
            yield (
                f"| {name} | {1e6 / each['wall_median']:,.0f} | {1e6 / each['cpu_median']:,.0f} "
                f"| {each['cpu_median']:.0f} us, {each['cpu_min']:.0f} us | {memory} |"
            )
        for name in gone:
            most = (connections * 2 + requests) / PATIENCE
            yield f"| {name} | given up after {PATIENCE:.0f} s: below {most:,.0f} | | | |"
        yield ""
    if ahead["cpu_median"] and len(FIGURES["peers"]) == len(COUNTS) and not missing:
        FIGURES["goals"]["ahead_cpu"] = min(ahead["cpu_median"])
        FIGURES["goals"]["ahead_wall"] = min(ahead["wall_median"])
    if missing:
        yield f"Not installed: {', '.join(missing)}."
        yield ""


def main() -> None:
    """Run the parts asked for."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options.add_argument("--rounds", type=int, default=5, help="rounds of each measurement")
    options.add_argument("--json", type=Path, help="write text and figures there, too")
    given = options.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    said: list[str] = []
    with serve() as port:
        parts: dict[str, Callable[[], Iterator[str]]] = {
            "schedule": lambda: bench_schedule(max(1, given.rounds // 2)),
            "idle": lambda: bench_idle(port, given.rounds),
            "active": lambda: bench_active(port, given.rounds),
            "doist": lambda: bench_doist(port),
            "peers": lambda: bench_peers(port, max(1, given.rounds // 2)),
        }
        for part in given.parts:
            for line in parts[part]():
                said.append(line)
                print(line, flush=True)
            gc.collect()
    if given.json is not None:
        given.json.write_text(json.dumps({"text": "\n".join(said), **FIGURES}), encoding="utf-8")


if __name__ == "__main__":
    main()

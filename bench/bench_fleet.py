"""What a fleet costs beside the bare poller, and what it reaches with more workers.

    python -m bench.bench_fleet [--seconds S] [--rounds N] [--targets N]

Needs nginx and distributed. Scheduler, workers, coordinator and nginx share the
processors of this machine, so that beyond them more workers bring no more polls:
what carries over to more machines is processor time a poll. Writes FLEET.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from . import bench_poller, machine, poller_peers

HERE = Path(__file__).resolve().parent
REPORT = HERE / "FLEET.md"
WORKERS = (1, 2, 4)
#: Addresses of the loopback network that make as many origins.
ORIGINS = 32
#: Seconds of a window: the least of many is what nobody else had a part in.
WINDOW = 0.25


def urls_of(port: int, targets: int) -> list[str]:
    """Give the URLs, the origins in turn."""
    return [
        f"http://127.0.0.{1 + number % ORIGINS}:{port}{poller_peers.PATH}?{number}"
        for number in range(targets)
    ]


def run_bare(port: int, targets: int, seconds: float, out: str) -> dict[str, float]:
    """Poll by a poller alone, results counted and written as a worker does it."""
    from fasthio.fleetledger import Figures
    from fasthio.polling import Poller
    from fasthio.sinks import open_sink

    poller, figures, sink = Poller(), Figures(), open_sink(out)
    for number, url in enumerate(urls_of(port, targets)):
        poller.add(url, every=0.0, label=str(number))

    def go(until: float) -> None:
        write = 0.0
        while time.monotonic() < until:
            poller.service()
            while poller.results:
                result = poller.results.popleft()
                sink.write(result)
                figures.add(result)
            if time.monotonic() >= write:
                write = time.monotonic() + 0.5
                sink.flush()
            poller.wait(0.25)

    go(time.monotonic() + 1.0)  # all are connected
    samples = []
    for _ in range(round(seconds / WINDOW) + 1):
        samples.append((time.monotonic(), time.process_time(), poller.begun))
        go(time.monotonic() + WINDOW)
    failed = figures.failed
    poller.close()
    sink.close()
    return {**windows([samples]), "failed": failed}


def windows(workers: list[list[tuple[float, ...]]]) -> dict[str, float]:
    """Give the least processor time a poll of all windows, and the highest rate.

    Args:
        workers: samples of each: clock, processor time, polls begun.
    """
    costs, rates = [], []
    for at in range(1, len(workers[0])):
        took = max(each[at][0] - each[at - 1][0] for each in workers)
        spent = sum(each[at][1] - each[at - 1][1] for each in workers)
        polls = sum(each[at][2] - each[at - 1][2] for each in workers)
        if polls:
            costs.append(spent / polls * 1e6)
            rates.append(polls / took)
    return {"rate": max(rates), "cpu_us": min(costs), "cpu_median_us": statistics.median(costs)}


def bare(port: int, targets: int, seconds: float) -> dict[str, float]:
    """The same in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="fasthio-bench-") as folder:
        done = subprocess.run(
            [sys.executable, "-m", "bench.bench_fleet", "--bare", str(port), "--targets",
             str(targets), "--seconds", str(seconds), "--out", f"{folder}/r.jsonl"],
            capture_output=True, text=True, check=True, timeout=seconds + 60,
        )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _memory() -> float:
    """Give the memory of this process in KiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1024


def _sample(dask_worker: Any) -> tuple[float, ...]:
    """Give a worker's clock, processor time, polls begun and memory."""
    (actor,) = dask_worker.state.actors.values()
    return time.monotonic(), time.process_time(), actor._thread.poller.begun, _memory()


def run_fleet(
    port: int, workers: int, targets: int, seconds: float, stream: bool
) -> dict[str, float]:
    """Poll by a fleet, results counted and written by its workers, or streamed."""
    from fasthio.fleet import Fleet, local
    from fasthio.targets import TargetSpec

    specs = [
        TargetSpec(url, every=0.0, label=str(number))
        for number, url in enumerate(urls_of(port, targets))
    ]
    with tempfile.TemporaryDirectory(prefix="fasthio-bench-") as folder, local(workers) as client:
        out = () if stream else (f"{folder}/r.jsonl",)
        with Fleet(client, out=out, workers=workers, bodies=False, backlog=100_000) as fleet:

            def go(until: float) -> None:
                while time.monotonic() < until:
                    if fleet.take(0.05) is not None:
                        while fleet.take(0.0) is not None:
                            pass

            before = client.run(_sample)
            fleet.add_all(specs)
            go(time.monotonic() + 2.0)
            own, polls = time.process_time(), fleet.summary().total.requests
            samples = [client.run(_sample)]
            for _ in range(round(seconds / WINDOW)):
                go(time.monotonic() + WINDOW)
                samples.append(client.run(_sample))
            summary, own = fleet.summary(), time.process_time() - own
    grown = sum(samples[-1][each][3] - before[each][3] for each in before)
    return {
        **windows([[sample[each] for sample in samples] for each in before]),
        "coordinator_us": own / (summary.total.requests - polls) * 1e6,
        "kib_each": grown / targets,
        "failed": summary.total.failed,
    }


def weigh_ledger(targets: int = 20_000) -> float:
    """Give what a target costs the coordinator, in KiB."""
    from fasthio.fleetledger import Share
    from fasthio.targets import TargetSpec

    before = _memory()
    shares = [
        Share(number, TargetSpec(f"http://host{number}.example/status", every=10.0), 0.0)
        for number in range(targets)
    ]
    return (_memory() - before) / len(shares)


def best(runs: list[dict[str, float]]) -> dict[str, float]:
    """Give the least processor time and the highest rate of several runs."""
    found = {name: min(run[name] for run in runs) for name in runs[0]}
    found["rate"] = max(run["rate"] for run in runs)
    found["failed"] = sum(run["failed"] for run in runs)
    return found


def measure(port: int, targets: int, seconds: float, rounds: int) -> dict[str, Any]:
    """Measure all, in turn."""
    found: dict[str, list[dict[str, float]]] = {}
    for turn in range(rounds):
        runs: dict[str, Any] = {"bare": lambda: bare(port, targets, seconds)}
        for workers in WORKERS:
            runs[str(workers)] = lambda n=workers: run_fleet(port, n, targets, seconds, False)
        runs["stream"] = lambda: run_fleet(port, 1, targets, seconds, True)
        for name, run in runs.items():
            each = run()
            found.setdefault(name, []).append(each)
            print(f"round {turn + 1}, {name}: {json.dumps(each)}", file=sys.stderr, flush=True)
    return {name: best(runs) for name, runs in found.items()}


def write(found: dict[str, Any], ledger: float, targets: int, rounds: int) -> str:
    """Write the report."""
    about = machine.describe()
    base = found["bare"]
    lines = [
        "# The fleet, measured",
        "",
        f"{about['date']}, commit {about['commit']}, {about['processor']}, load {about['load']}, "
        f"{about['python']}, engine {about['engine']}.",
        "",
        f"{targets} targets on {ORIGINS} origins of one nginx, each polled again as soon as the "
        "last poll has ended; results counted and written as lines of JSON by whoever polls. The "
        f"best window of {WINDOW:g} s of {rounds} rounds in turn. Scheduler, workers, coordinator, "
        "nginx and whatever else ran share "
        "this machine's processors: rates do not grow beyond them, processor time a poll is what "
        "carries over.",
        "",
        "| | polls/s | CPU a poll, polling process | beside the bare poller | CPU a poll, "
        "coordinator |",
        "| --- | --- | --- | --- | --- |",
    ]
    names = {
        "bare": "poller alone",
        "1": "fleet of 1 worker",
        "2": "fleet of 2 workers",
        "4": "fleet of 4 workers",
        "stream": "fleet of 1 worker, results streamed instead of written",
    }
    for name, title in names.items():
        each = found[name]
        beside = each["cpu_us"] / base["cpu_us"] - 1
        own = f"{each['coordinator_us']:.2f} us" if "coordinator_us" in each else ""
        lines.append(
            f"| {title} | {each['rate']:,.0f} | {each['cpu_us']:.1f} us "
            f"| {'' if name == 'bare' else f'{beside:+.1%}'} | {own} |"
        )
    lines += [
        "",
        f"Failed polls in all of it: {sum(int(each['failed']) for each in found.values())}. "
        f"A connected target costs its worker {found['1']['kib_each']:.1f} KiB, a target costs the "
        f"coordinator {ledger:.1f} KiB.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Read the command line, measure, write."""
    options = argparse.ArgumentParser(prog="python -m bench.bench_fleet", description=__doc__)
    options.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--targets", type=int, default=256)
    options.add_argument("--bare", type=int, help=argparse.SUPPRESS)
    options.add_argument("--out", help=argparse.SUPPRESS)
    given = options.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if given.bare is not None:
        print(json.dumps(run_bare(given.bare, given.targets, given.seconds, given.out)))
        return
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(HERE.parent), str(HERE.parent / "src"), os.environ.get("PYTHONPATH", "")]
    )  # workers find what is measured
    ledger = weigh_ledger()
    with bench_poller.serve("0.0.0.0") as port:
        found = measure(port, given.targets, given.seconds, given.rounds)
    text = write(found, ledger, given.targets, given.rounds)
    REPORT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()

"""Poll from several worker processes on this machine, as a fleet.

python examples/fleet.py [URL ...]

Needs the extra `fleet`.
"""

import contextlib
import sys

from fasthio.demo import serving


def main() -> None:
    """Poll each URL a few times and show which worker had it."""
    try:
        import distributed  # noqa: F401
    except ImportError:
        sys.exit("a fleet needs Dask: pip install 'fasthio[fleet]'")
    from fasthio.fleet import Fleet, FleetError, local

    with contextlib.ExitStack() as stack:
        urls = sys.argv[1:]
        if not urls:
            urls = [f"{stack.enter_context(serving())}/json" for _ in range(4)]
        try:
            client = stack.enter_context(local(workers=2))
            fleet = stack.enter_context(Fleet(client, workers=2))
        except FleetError as error:
            sys.exit(f"no fleet: {error}")
        for url in urls:
            fleet.add(url, every=0.2, count=5)
        for result in fleet.results():
            latency = 0.0 if result.latency is None else result.latency.total
            print(f"{result.worker}  {result.outcome:8} {1000 * latency:7.2f} ms  {result.url}")
        print(*fleet.summary().lines(), sep="\n")


if __name__ == "__main__":  # the workers import this file, too
    main()

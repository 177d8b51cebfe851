"""Poll many targets on one schedule with the poller.

python examples/poller.py [URL ...]
"""

import collections
import contextlib
import sys

import fasthio
from fasthio.demo import serving


def main() -> None:
    """Poll each target five times a second for one second, then sum up."""
    with contextlib.ExitStack() as stack:
        urls = sys.argv[1:]
        if not urls:
            root = stack.enter_context(serving())
            urls = [f"{root}/json?target={number}" for number in range(20)]
            urls += [f"{root}/nothing-there", f"{root}/slow"]
        outcomes = collections.Counter()
        slowest = None
        for result in fasthio.poll(urls, every=0.2, duration=1.0, timeout=2.0):
            outcomes[result.outcome] += result.count
            if result.ok and (slowest is None or result.latency.total > slowest.latency.total):
                slowest = result
        for outcome, count in outcomes.most_common():
            print(f"{count:5d} {outcome}")
        if slowest is not None:
            print(f"slowest: {1000 * slowest.latency.total:.1f} ms, {slowest.label}")


if __name__ == "__main__":
    main()

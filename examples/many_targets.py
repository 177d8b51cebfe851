"""Poll many targets at once, one client each.

python examples/many_targets.py [URL ...]
"""

import contextlib
import sys
import time

import fasthio
from fasthio.demo import serving


def main() -> None:
    """Send one request to each target and show the responses as they come."""
    with contextlib.ExitStack() as stack:
        urls = sys.argv[1:]
        if not urls:
            root = stack.enter_context(serving())
            urls = [f"{root}/json?target={number}" for number in range(30)]
        clients = {
            url: stack.enter_context(fasthio.openClient(path=url, timeout=10.0)) for url in urls
        }
        started = time.monotonic()
        for client in clients.values():
            client.request()
        waiting = dict(clients)
        while waiting:
            for url, client in list(waiting.items()):
                client.service()
                if (response := client.respond()) is not None:
                    del waiting[url]
                    took = 1000 * (time.monotonic() - started)
                    print(f"{took:7.1f} ms  {response.error or response.status}  {url}")
            time.sleep(0.0005)
        print(f"{len(clients)} targets")


if __name__ == "__main__":
    main()

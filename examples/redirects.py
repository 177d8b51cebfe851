"""Follow a redirect and tell the way.

python examples/redirects.py [URL]
"""

import contextlib
import sys
import time

import fasthio
from fasthio.demo import serving


def main() -> None:
    """Ask for a page that has moved."""
    with contextlib.ExitStack() as stack:
        url = sys.argv[1] if len(sys.argv) > 1 else stack.enter_context(serving()) + "/redirect"
        client = stack.enter_context(fasthio.openClient(path=url, timeout=10.0, maxRedirects=5))
        client.request()
        while not client.responses:
            client.service()
            time.sleep(0.001)
        response = client.responses.popleft()
        for step in response.get("redirects", []):
            print(step["status"], step["request"]["path"], "->", step["headers"]["Location"])
        print(response["status"], response["request"]["path"])
        if response["errored"]:
            sys.exit(response["error"])


if __name__ == "__main__":
    main()

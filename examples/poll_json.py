"""Poll a JSON document a few times over one connection.

python examples/poll_json.py [URL]
"""

import contextlib
import sys
import time

import fasthio
from fasthio.demo import serving


def main() -> None:
    """Send three requests and show their responses as they come."""
    with contextlib.ExitStack() as stack:
        url = sys.argv[1] if len(sys.argv) > 1 else stack.enter_context(serving()) + "/json"
        client = stack.enter_context(
            fasthio.openClient(path=url, headers={"Accept": "application/json"}, timeout=10.0)
        )
        for number in range(3):
            client.request(reply=f"poll {number}")
        answered = 0
        while answered < 3:
            client.service()
            while client.responses:
                response = client.responses.popleft()
                answered += 1
                what = response["error"] if response["errored"] else response["data"]
                print(response["request"]["reply"], response["status"], str(what)[:60])
            time.sleep(0.001)


if __name__ == "__main__":
    main()

"""Show server-sent events as they come.

python examples/event_stream.py [URL [COUNT]]
"""

import contextlib
import sys
import time

import fasthio
from fasthio.demo import serving


def main() -> None:
    """Take events off the client until there were enough, or the stream has ended."""
    with contextlib.ExitStack() as stack:
        url = sys.argv[1] if len(sys.argv) > 1 else stack.enter_context(serving()) + "/events"
        count = int(sys.argv[2]) if len(sys.argv) > 2 else 5
        client = stack.enter_context(
            fasthio.openClient(path=url, headers={"Accept": "text/event-stream"})
        )
        client.request()
        while count > 0 and not (client.responses and not client.events):
            client.service()
            while client.events and count > 0:
                event = client.events.popleft()
                count -= 1
                print(event["id"], event["name"] or "message", repr(event["data"]))
            time.sleep(0.005)
        for response in client.responses:
            if response["errored"]:
                print("ended:", response["error"])
        print("last event id:", client.respondent.leid)


if __name__ == "__main__":
    main()

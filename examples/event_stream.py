"""Show server-sent events as they come, over as many connections as it takes.

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
        count = int(sys.argv[2]) if len(sys.argv) > 2 else 7  # the demo sends 5 at a time
        client = stack.enter_context(
            fasthio.openClient(
                path=url,
                headers={"Accept": "text/event-stream"},
                reconnectable=True,  # ask again after a drop, from the last event on
                idle=60.0,  # give up a connection that is silent for so long
            )
        )
        client.request()
        while count > 0 and not client.responses:
            client.service()
            while client.events and count > 0:
                event = client.events.popleft()
                count -= 1
                print(event["id"], event["name"] or "message", repr(event["data"]))
            time.sleep(0.005)
        if client.responses:
            print("ended:", client.respond().error or "in order")
        elif client.stream is not None:
            print(f"{client.stream.drops} drops, last event id {client.respondent.leid}")


if __name__ == "__main__":
    main()

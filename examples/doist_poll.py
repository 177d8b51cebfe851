"""Poll from within a hio Doist, and end with the work.

python examples/doist_poll.py [URL]
"""

import contextlib
import sys

from hio.base import doing

import fasthio
from fasthio.demo import serving


class PollDoer(doing.DoDoer):
    """Send a request each `every` seconds of tyme, `count` times, and show the responses."""

    def __init__(self, client, every=0.1, count=5, **kwa):
        self.client = client
        self.every = every
        self.count = count
        self.carrier = fasthio.ClientDoer(client=client)
        super().__init__(doers=[self.carrier, doing.doify(self.poll)], **kwa)

    def poll(self, tymth=None, tock=0.0, **opts):
        """Send what is due and show what has come, until all was answered."""
        due = tymth()
        sent = answered = 0
        while answered < self.count:
            if sent < self.count and tymth() >= due:
                self.client.request()
                sent += 1
                due += self.every
            while (response := self.client.respond()) is not None:
                answered += 1
                what = response.error if response.errored else f"{len(response.body)} octets"
                print(answered, response.status, what)
            yield tock
        self.remove([self.carrier])  # closes the client
        return True


def main() -> None:
    """Run until the polls are done."""
    with contextlib.ExitStack() as stack:
        url = sys.argv[1] if len(sys.argv) > 1 else stack.enter_context(serving()) + "/json"
        client = fasthio.Client(path=url, timeout=5.0, reconnectable=True)
        doist = doing.Doist(real=True, tock=0.01, limit=30.0)
        doist.do(doers=[PollDoer(client)])


if __name__ == "__main__":
    main()

"""A program written for hio alone, run with fasthio in the place of hio's client.

python examples/hio_program.py

The first two statements are all that was added. `fasthio run` does without them.
"""

import fasthio

fasthio.install()

from hio.base import doing  # noqa: E402
from hio.core import http  # noqa: E402

from fasthio.demo import serving  # noqa: E402


class Asker(doing.DoDoer):
    """Do as programs with hio do: a client, its doer, a wait for the response."""

    def __init__(self, url, **kwa):
        self.client = http.clienting.Client(path=url)
        self.clientDoer = http.clienting.ClientDoer(client=self.client)
        super().__init__(doers=[self.clientDoer, doing.doify(self.ask)], **kwa)

    def ask(self, tymth=None, tock=0.0, **opts):
        """Send a request and wait for its response."""
        self.client.request(method="GET", path="/json", qargs={"from": "hio"})
        while not self.client.responses:
            yield tock
        response = self.client.respond()
        assert isinstance(response, http.clienting.Response)
        print(type(self.client).__module__, response.status, response.reason, response.data["path"])
        self.remove([self.clientDoer])
        return True


def main() -> None:
    """Run until it is done."""
    with serving() as url:
        doist = doing.Doist(real=True, tock=0.03125, limit=10.0)
        doist.do(doers=[Asker(f"{url}/json")])


if __name__ == "__main__":
    main()

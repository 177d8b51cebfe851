"""Write a body to a file while it comes; it is never held as a whole.

python examples/download.py [URL [FILE]]
"""

import contextlib
import hashlib
import sys
import time

import fasthio
from fasthio.demo import serving


class File:
    """Write to a file, and count and hash what goes there."""

    def __init__(self, file):
        self.file = file
        self.octets = self.most = 0
        self.digest = hashlib.sha256()

    def write(self, octets: bytes) -> None:
        """Take what has come."""
        self.file.write(octets)
        self.octets += len(octets)
        self.most = max(self.most, len(octets))
        self.digest.update(octets)


def main() -> None:
    """Fetch a URL into a file."""
    with contextlib.ExitStack() as stack:
        url = sys.argv[1] if len(sys.argv) > 1 else stack.enter_context(serving()) + "/chunked"
        name = sys.argv[2] if len(sys.argv) > 2 else "download.bin"
        file = File(stack.enter_context(open(name, "wb")))
        client = stack.enter_context(
            fasthio.openClient(path=url, sink=file, timeout={"connect": 10.0, "first": 10.0})
        )
        client.request()
        while not client.responses:
            client.service()
            time.sleep(0.0005)
        response = client.respond()
        if response.errored or response.status != 200:
            sys.exit(f"{response.status} {response.error}")
        print(f"{file.octets:,} octets, {file.most:,} of them at once at most")
        print("sha256", file.digest.hexdigest())


if __name__ == "__main__":
    main()

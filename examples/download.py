"""Write a body to a file while it comes.

python examples/download.py [URL [FILE]]
"""

import contextlib
import hashlib
import sys
import time

import fasthio
from fasthio.demo import serving


def main() -> None:
    """Take the body off the respondent piece by piece; it is never held as a whole."""
    with contextlib.ExitStack() as stack:
        url = sys.argv[1] if len(sys.argv) > 1 else stack.enter_context(serving()) + "/chunked"
        name = sys.argv[2] if len(sys.argv) > 2 else "download.bin"
        client = stack.enter_context(
            fasthio.openClient(path=url, timeout={"connect": 10.0, "first": 10.0})
        )
        file = stack.enter_context(open(name, "wb"))
        digest = hashlib.sha256()
        octets = most = 0

        def take(body: bytearray) -> None:
            nonlocal octets, most
            octets += len(body)
            most = max(most, len(body))
            digest.update(body)
            file.write(body)
            body.clear()

        client.request()
        while not client.responses:
            client.service()
            respondent = client.respondent
            if not client.responses and respondent.headed and respondent.status == 200:
                take(respondent.body)
            time.sleep(0.0005)
        response = client.respond()
        if response.errored or response.status != 200:
            sys.exit(f"{response.status} {response.error}")
        take(response.body)  # what had not been taken when the end came
        print(f"{octets:,} octets, {most:,} of them held at once at most")
        print("sha256", digest.hexdigest())


if __name__ == "__main__":
    main()

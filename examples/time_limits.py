"""What happens when a server is too slow, or is not there.

python examples/time_limits.py
"""

import socket
import time

import fasthio
from fasthio.demo import serving


def ask(**about):
    """Make one request and wait for its response, which always comes."""
    with fasthio.openClient(**about) as client:
        client.request()
        while not client.responses:
            client.service()
            time.sleep(0.001)
        return client.respond()


def main() -> None:
    """Meet each limit once."""
    with serving() as url:
        response = ask(path=f"{url}/slow", timeout=0.05)  # the answer takes 0.25 s
        print("whole exchange:", response.error.code)
        response = ask(path=f"{url}/slow", timeout={"first": 0.05})
        print("first octet:   ", response.error.code)
        response = ask(path=f"{url}/slow", timeout={"connect": 1.0, "first": 1.0, "total": 2.0})
        print("in time:       ", response.status)

    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: refused
        port = nobody.getsockname()[1]
        response = ask(hostname="127.0.0.1", port=port, timeout={"connect": 0.1})
        print("connecting:    ", response.error.code)


if __name__ == "__main__":
    main()

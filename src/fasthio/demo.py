"""A small HTTP server on the loopback interface, for `fasthio demo` to poll.

`python -m fasthio.demo [PORT]` serves until it is interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

__all__ = ["PATHS", "main", "serving"]

#: What the server has to offer, in the order the demo polls it.
PATHS: Final = ("/json", "/chunked", "/redirect", "/slow", "/events")

#: Seconds the slow endpoint takes.
DELAY: Final = 0.25

#: Length of the chunked body and of each of its chunks, in octets.
CHUNKED: Final = 65_536
CHUNK: Final = 4_096


class DemoHandler(BaseHTTPRequestHandler):
    """Answer GET and HEAD for each of `PATHS`, on persistent connections."""

    protocol_version = "HTTP/1.1"
    server_version = "fasthio-demo"
    sys_version = ""
    wbufsize = -1  # head and body leave together
    disable_nagle_algorithm = True  # what is flushed leaves at once
    timeout = 30.0

    def do_GET(self) -> None:
        """Answer with the endpoint's body."""
        path = self.path.partition("?")[0]
        if path == "/json":
            self.send_json({"path": path, "time": time.time(), "items": list(range(32))})
        elif path == "/chunked":
            self.send_chunks("application/octet-stream", [b"x" * CHUNK] * (CHUNKED // CHUNK))
        elif path == "/redirect":
            self.send_response(302)
            self.send_header("Location", "/json")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path == "/slow":
            time.sleep(DELAY)
            self.send_json({"path": path, "slept": DELAY})
        elif path == "/events":
            last = self.headers.get("Last-Event-ID", "")
            first = int(last) + 1 if re.fullmatch("[0-9]{1,9}", last) else 1
            numbers = range(first, first + 5)
            messages = [f"id: {n}\ndata: message {n}\n\n".encode() for n in numbers]
            self.send_chunks("text/event-stream", [b"retry: 1000\n\n", *messages])
        else:
            self.send_error(404)

    do_HEAD = do_GET

    def send_json(self, value: Any) -> None:
        """Send a value as JSON with a Content-Length."""
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_chunks(self, content_type: str, chunks: list[bytes]) -> None:
        """Send a body in chunked coding, each chunk on its own."""
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.command == "HEAD":
            return
        for chunk in chunks:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the demo's own output is what is to be seen."""


class DemoServer(ThreadingHTTPServer):
    """Serve each connection in its own thread, none of which outlives the program."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128  # clients that connect at the same time

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report what goes wrong in a handler, but not that its client left early."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def serving(port: int = 0) -> Iterator[str]:
    """Serve on the loopback interface while the context lasts.

    Args:
        port: TCP port; 0 for one that is free.
    Yields:
        The server's root, such as "http://127.0.0.1:40123".
    Raises:
        OSError: the port is taken.
    """
    with DemoServer(("127.0.0.1", port), DemoHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted.

    Args:
        arguments: what follows the module's name; None for `sys.argv[1:]`.
    Returns:
        Exit status: 0, or 1 if the port is taken.
    Raises:
        SystemExit: help was asked for, or an argument is wrong.
    """
    parser = argparse.ArgumentParser(
        prog="python -m fasthio.demo", description="Serve on the loopback interface until Ctrl-C."
    )
    parser.add_argument("port", nargs="?", type=int, default=0, help="0, the default, finds one")
    port = parser.parse_args(arguments).port
    try:
        with contextlib.suppress(KeyboardInterrupt), serving(port) as root:
            print(f"{root} has {' '.join(PATHS)}; Ctrl-C ends it", flush=True)
            threading.Event().wait()
    except (OSError, OverflowError) as error:
        print(f"{parser.prog}: port {port}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

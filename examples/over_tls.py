"""TLS: a server whose authority the client knows, and a client that does not know it.

python examples/over_tls.py        (needs the package trustme)
"""

import contextlib
import http.server
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import fasthio

try:
    import trustme
except ImportError:
    sys.exit("this makes its authority with trustme: pip install trustme")


class Handler(http.server.BaseHTTPRequestHandler):
    """Answer each GET with a line of text."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        body = b"over TLS\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@contextlib.contextmanager
def serving_tls(authority: trustme.CA) -> Iterator[int]:
    """Serve on a free port of the loopback interface; gives the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # the stranger hangs up in the handshake
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def ask(**about):
    """Make one request and wait for its response."""
    with fasthio.openClient(scheme="https", hostname="localhost", timeout=10.0, **about) as client:
        client.request()
        while not client.responses:
            client.service()
            time.sleep(0.001)
        return client.respond(), client.connector.resumed


def main() -> None:
    """Ask as one who trusts the authority, then as a stranger."""
    authority = trustme.CA()
    with tempfile.TemporaryDirectory() as folder, serving_tls(authority) as port:
        ca_file = str(Path(folder, "ca.pem"))
        authority.cert_pem.write_to_path(ca_file)
        response, _ = ask(port=port, cafilepath=ca_file)
        print("with the authority:", response.status, bytes(response.body))
        response, _ = ask(port=port)
        print("without it:        ", response.error.code)


if __name__ == "__main__":
    main()

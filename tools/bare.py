"""Use fasthio where there is nothing but fasthio and hio: run by tools/wheeltest.py.

What asks for an extra has to say which; all else has to work.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

import fasthio

EXTRAS = ("rich", "prometheus_client", "brotli", "zstandard", "pytest", "h11", "httptools")
#: Calls of service() before a poll of the loopback counts as lost.
PATIENCE = 1_000_000


class Handler(BaseHTTPRequestHandler):
    """Answer with a little JSON."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        body = b'{"ok": true}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command fasthio."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "fasthio", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def main() -> None:
    """Check it all."""
    there = [name for name in EXTRAS if importlib.util.find_spec(name)]
    assert not there, f"not bare: {there}"

    parser = fasthio.ResponseParser()
    assert parser.parse(bytearray(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")) == 40
    assert parser.done
    assert parser.body == b"hi"

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    with fasthio.openClient(hostname="127.0.0.1", port=port) as client:
        client.request(path="/")
        for _ in range(PATIENCE):
            client.service()
            if client.responses:
                break
        assert client.responses.popleft()["data"] == {"ok": True}

    url = f"http://127.0.0.1:{port}/"
    done = command("poll", "--count", "2", url)
    assert done.returncode == 0, done.stderr
    done = command("poll", "--count", "1", "--metrics", "0", url)
    assert done.returncode == 2
    assert "pip install 'fasthio[poll]'" in done.stderr, done.stderr
    with TemporaryDirectory() as folder:
        targets = Path(folder, "targets.toml")
        targets.write_text(f'[[target]]\nurl = "{url}"\n')
        done = command("poll", "--count", "1", "--targets", str(targets))
    if sys.version_info < (3, 11) and not importlib.util.find_spec("tomli"):
        assert "pip install 'fasthio[poll]'" in done.stderr, done.stderr
    else:
        assert done.returncode == 0, done.stderr
    assert "rich missing" in command("info").stdout
    server.shutdown()
    print(f"bare: fasthio {fasthio.__version__}, engine {fasthio.ENGINE}: all works")


if __name__ == "__main__":
    main()

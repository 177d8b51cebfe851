"""The server of the end-to-end benchmarks: nginx on free loopback ports, plain and TLS."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BIG", "CHUNKED", "Server", "find_nginx", "serve"]

#: Octets of the big file and of the chunked answer.
BIG = 64 * 1024 * 1024
CHUNKED = 64 * 1024

_CONFIG = """
daemon off;
master_process off;
worker_processes 1;
pid {base}/nginx.pid;
error_log {base}/error.log warn;
events {{ worker_connections 512; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    sendfile on;
    default_type application/octet-stream;
    client_body_temp_path {base}/body;
    proxy_temp_path {base}/proxy;
    fastcgi_temp_path {base}/fastcgi;
    uwsgi_temp_path {base}/uwsgi;
    scgi_temp_path {base}/scgi;
    server {{
        listen 127.0.0.1:{plain};
        listen 127.0.0.1:{secure} ssl;
        ssl_certificate {base}/server.pem;
        ssl_certificate_key {base}/server.pem;
        root {base}/files;
        location = /small {{
            default_type application/json;
            add_header Cache-Control "no-cache, no-store";
            add_header ETag '"$request_id"';
            add_header Vary Accept-Encoding;
            add_header X-Request-Id $request_id;
            add_header X-Frame-Options DENY;
            add_header Strict-Transport-Security "max-age=31536000; includeSubDomains";
            return 200 '{small}';
        }}
        # nginx does not know how long what it has rewritten is: chunked
        location = /chunked {{ sub_filter_types *; sub_filter "no such text" "none"; }}
        location = /big {{ }}
    }}
}}
"""


@dataclass(frozen=True)
class Server:
    """Where the server listens.

    Attributes:
        plain: port of HTTP.
        secure: port of HTTPS.
        authority: path of the certificate authority's certificate.
        version: of nginx.
    """

    plain: int
    secure: int
    authority: str
    version: str

    def port(self, secured: bool) -> int:
        """Give the port, of HTTPS where `secured`."""
        return self.secure if secured else self.plain


def find_nginx() -> str | None:
    """Give the path of nginx, which may stand outside a user's PATH."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _write_files(base: Path) -> None:
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(base / "ca.pem"))
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(base / "server.pem"))
    files = base / "files"
    files.mkdir()
    block = bytes(range(256)) * 4096
    (files / "chunked").write_bytes((bytes(range(32, 96)) * 1024)[:CHUNKED])
    with open(files / "big", "wb") as file:
        for _ in range(BIG // len(block)):
            file.write(block)


@contextmanager
def serve(attempts: int = 5) -> Iterator[Server]:
    """Run nginx for the time of the block.

    Raises:
        RuntimeError: nginx is not there or does not come up.
    """
    nginx = find_nginx()
    if nginx is None:
        raise RuntimeError("nginx is not installed (Debian: apt install nginx-light)")
    said = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True)
    version = (said.stderr + said.stdout).strip().rpartition("/")[2]
    small = json.dumps({"aid": "EKC8085pwSwzLwUGzh-HrEoFDwZnCJq27bVp5atdMT9o", "ok": True,
                        "items": [f"{item:08d}" for item in range(25)]})  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="fasthio-bench-") as folder:
        base = Path(folder)
        _write_files(base)
        for _ in range(attempts):  # another may take a port that was free just now
            plain, secure = _free_port(), _free_port()
            config = base / "nginx.conf"
            config.write_text(_CONFIG.format(base=base, plain=plain, secure=secure, small=small))
            process = subprocess.Popen(
                [nginx, "-c", str(config), "-p", folder, "-e", f"{folder}/error.log"],
                stderr=subprocess.DEVNULL,
            )
            try:
                deadline = time.monotonic() + 10
                while process.poll() is None and time.monotonic() < deadline:
                    if _answers(plain) and _answers(secure):
                        yield Server(plain, secure, str(base / "ca.pem"), version)
                        return
                    time.sleep(0.02)
            finally:
                process.terminate()
                process.wait(10)
        log = base / "error.log"
        reason = log.read_text()[-300:] if log.exists() else "no log"
        raise RuntimeError(f"nginx does not come up: {reason}")

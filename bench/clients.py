"""Clients side by side: each gets a whole answer and makes the same of it.

Run as a worker, one process for each client, told what to do in lines of JSON on
its standard input; see `bench.endtoend`. What each does of a small answer: its
status, its Content-Type asked for in another case than it came in, its JSON
decoded by the standard library's decoder, or where its name ends in -orjson by orjson,
as far as it can be told to. Of a big one: its status and its body
in one piece in memory. Each keeps one connection and is used the fastest way its
own documentation offers for one request after the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import resource
import select
import socket
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["CLIENTS", "NOTES", "main"]

#: Fetches a path; returns status, Content-Type and body.
Fetch = Callable[[str], "tuple[int, str | None, Any]"]
#: Makes the fetch of a client for a port, with the authority's certificate over TLS.
Maker = Callable[[int, "str | None"], Fetch]

HOST = "127.0.0.1"
SPIN = "-spin"
ORJSON = "-orjson"


def _url(port: int, authority: str | None) -> str:
    return f"{'https' if authority else 'http'}://{HOST}:{port}"


def _context(authority: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority)


def raw_socket(port: int, authority: str | None) -> Fetch:
    """Send and receive with hardly a look at what comes: the floor."""
    sock = socket.create_connection((HOST, port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if authority:
        sock = _context(authority).wrap_socket(sock, server_hostname=HOST)

    def fetch(path: str) -> tuple[int, str | None, Any]:
        sock.sendall(b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % path.encode())
        data = sock.recv(65_536)
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += sock.recv(65_536)
        at = data.find(b"Content-Length: ", 0, end)
        if at < 0:  # chunked: only to its end, not decoded
            parts = [data]
            while not parts[-1].endswith(b"0\r\n\r\n"):
                parts.append(sock.recv(65_536))
            return int(data[9:12]), None, b"".join(parts)
        length = int(data[at + 16 : data.find(b"\r", at)])
        at = data.find(b"Content-Type: ", 0, end)
        media = data[at + 14 : data.find(b"\r", at)].decode()
        if len(data) == end + 4 + length:
            return int(data[9:12]), media, data[end + 4 :]
        body = bytearray(length)
        view = memoryview(body)
        have = len(data) - end - 4
        view[:have] = data[end + 4 :]
        while have < length:
            have += sock.recv_into(view[have : have + (1 << 20)])
        return int(data[9:12]), media, body

    return fetch


def _hio_like(module: Any, spin: bool, port: int, authority: str | None) -> Fetch:
    """Drive a Client, hio's or ours; wait for the socket between services unless spinning."""
    tls = {"cafilepath": authority} if authority else {}
    client = module.Client(
        hostname=HOST, port=port, scheme="https" if authority else "http", bs=65_536, **tls
    )
    deadline = time.monotonic() + 10
    client.reopen()
    while not client.connector.connected:
        client.connector.serviceConnect()
        if time.monotonic() > deadline:
            raise RuntimeError("no connection")
    poller = select.poll()
    poller.register(client.connector.cs, select.POLLIN)
    responses, service, wait = client.responses, client.service, poller.poll
    pending = getattr(client.connector.cs, "pending", None)

    def fetch(path: str) -> tuple[int, str | None, Any]:
        client.request(method="GET", path=path)
        service()
        while not responses:
            if not spin and not (pending and pending()):
                wait(10_000)
            service()
        response = responses.popleft()
        if response["errored"]:
            raise RuntimeError(str(response["error"]))
        found = response["body"] if response["data"] is None else response["data"]
        return response["status"], response["headers"].get("content-type"), found

    return fetch


def hio(port: int, authority: str | None, spin: bool = False) -> Fetch:
    """hio's Client; a larger receive than its own 8,096 octets serves it best."""
    from hio.core.http import clienting

    return _hio_like(clienting, spin, port, authority)


def fasthio(port: int, authority: str | None, spin: bool = False) -> Fetch:
    """Our Client, used in the same way; `main` has chosen its JSON decoder."""
    from fasthio import clienting

    return _hio_like(clienting, spin, port, authority)


def http_client(port: int, authority: str | None) -> Fetch:
    """The standard library's client."""
    from http.client import HTTPConnection, HTTPSConnection

    connection: HTTPConnection
    if authority:
        connection = HTTPSConnection(HOST, port, context=_context(authority))
    else:
        connection = HTTPConnection(HOST, port)

    def fetch(path: str) -> tuple[int, str | None, Any]:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.headers.get("content-type"), response.read()

    return fetch


def urllib3(port: int, authority: str | None) -> Fetch:
    """urllib3 on a pool of one."""
    import urllib3 as module

    if "future" in str(getattr(module, "__file__", "")) or module.__version__.split(".")[2:3] > [
        "900"
    ]:
        raise ImportError("another package has taken the place of urllib3: urllib3-future")
    pool: Any
    if authority:
        pool = module.HTTPSConnectionPool(HOST, port, maxsize=1, ca_certs=authority)
    else:
        pool = module.HTTPConnectionPool(HOST, port, maxsize=1)

    def fetch(path: str) -> tuple[int, str | None, Any]:
        response = pool.urlopen("GET", path, retries=False)
        return response.status, response.headers.get("content-type"), response.data

    return fetch


def requests(port: int, authority: str | None) -> Fetch:
    """requests with a session that does not look at the environment."""
    import requests as module
    from urllib3 import __version__ as below

    if below.split(".")[2:3] > ["900"]:
        raise ImportError("requests would run on urllib3-future")
    session = module.Session()
    session.trust_env = False
    session.verify = authority or True
    base = _url(port, authority)

    def fetch(path: str) -> tuple[int, str | None, Any]:
        response = session.get(base + path)
        return response.status_code, response.headers.get("content-type"), response.content

    return fetch


def niquests(port: int, authority: str | None) -> Fetch:
    """niquests in the same way."""
    import niquests as module

    session = module.Session()
    session.trust_env = False
    session.verify = authority or True
    base = _url(port, authority)

    def fetch(path: str) -> tuple[int, str | None, Any]:
        response = session.get(base + path)
        return response.status_code, response.headers.get("content-type"), response.content

    return fetch


def httpx(port: int, authority: str | None) -> Fetch:
    """httpx, blocking: faster than its asynchronous client for one after the other."""
    import httpx as module

    client = module.Client(
        base_url=_url(port, authority),
        verify=_context(authority) if authority else True,
        trust_env=False,
    )

    def fetch(path: str) -> tuple[int, str | None, Any]:
        response = client.get(path)
        return response.status_code, response.headers.get("content-type"), response.content

    return fetch


def geventhttpclient(port: int, authority: str | None) -> Fetch:
    """geventhttpclient's HTTPClient with one connection."""
    from geventhttpclient import HTTPClient

    tls = (
        {"ssl_context_factory": lambda *_, **__: _context(authority), "insecure": False}
        if authority
        else {}
    )
    client = HTTPClient(HOST, port, ssl=bool(authority), concurrency=1, **tls)

    def fetch(path: str) -> tuple[int, str | None, Any]:
        response = client.get(path)
        body = response.read()
        return response.status_code, response.get("content-type"), body

    return fetch


def pycurl(port: int, authority: str | None) -> Fetch:
    """pycurl with one handle; fields collected into a dict, the body in a BytesIO."""
    import pycurl as module

    curl = module.Curl()
    curl.setopt(module.TCP_NODELAY, 1)
    curl.setopt(module.BUFFERSIZE, 512 * 1024)
    curl.setopt(module.NOPROXY, "*")
    if authority:
        curl.setopt(module.CAINFO, authority)
    base = _url(port, authority)
    headers: dict[str, str] = {}

    def on_header(line: bytes) -> None:
        name, colon, value = line.partition(b":")
        if colon:
            headers[name.decode("latin-1").lower()] = value.strip().decode("latin-1")

    curl.setopt(module.HEADERFUNCTION, on_header)
    last = ""

    def fetch(path: str) -> tuple[int, str | None, Any]:
        nonlocal last
        headers.clear()
        buffer = io.BytesIO()
        curl.setopt(module.WRITEFUNCTION, buffer.write)
        if path != last:
            curl.setopt(module.URL, base + path)
            last = path
        curl.perform()
        status = curl.getinfo(module.RESPONSE_CODE)
        return status, headers.get("content-type"), buffer.getvalue()

    return fetch


def pyreqwest(port: int, authority: str | None) -> Fetch:
    """pyreqwest's blocking client."""
    from pyreqwest.client import SyncClientBuilder

    builder = SyncClientBuilder().http1_only().no_proxy()
    if authority:
        builder = builder.add_root_certificate_pem(Path(authority).read_bytes())
    client = builder.build()
    base = _url(port, authority)

    def fetch(path: str) -> tuple[int, str | None, Any]:
        response = client.get(base + path).build().send()
        return response.status, response.get_header("content-type"), response.bytes()

    return fetch


class _Aiohttp:
    """aiohttp: a whole run inside its own loop, so that only requests are measured."""

    def __init__(self, port: int, authority: str | None) -> None:
        import aiohttp

        self.loop = asyncio.new_event_loop()
        self.base = _url(port, authority)
        self.session: Any = None
        self.make = aiohttp.ClientSession
        self.connector = aiohttp.TCPConnector
        self.tls: Any = _context(authority) if authority else True

    def fetch_all(self, path: str, count: int, use: Callable[..., Any]) -> None:
        """Fetch a path so many times."""
        self.loop.run_until_complete(self._fetch_all(path, count, use))

    def close(self) -> None:
        """Close the session and the loop."""
        if self.session is not None:
            self.loop.run_until_complete(self.session.close())
        self.loop.close()

    async def _fetch_all(self, path: str, count: int, use: Callable[..., Any]) -> None:
        if self.session is None:
            self.session = self.make(connector=self.connector(ssl=self.tls), trust_env=False)
        url = self.base + path
        for _ in range(count):
            async with self.session.get(url) as response:
                body = await response.read()
                use(response.status, response.headers.get("content-type"), body)


#: All clients by name.
CLIENTS: dict[str, Any] = {
    "raw socket": raw_socket,
    "fasthio": fasthio,
    "hio": hio,
    "pycurl": pycurl,
    "pyreqwest": pyreqwest,
    "geventhttpclient": geventhttpclient,
    "http.client": http_client,
    "urllib3": urllib3,
    "requests": requests,
    "niquests": niquests,
    "httpx": httpx,
    "aiohttp": _Aiohttp,
}

#: What is to be known of some.
NOTES = {
    "raw socket": "looks for the length and the end of the head, does not parse; the floor",
    "pyreqwest": "its own threads do the network: processor time is that of all threads",
    "hio": "`bs=65536`; `select.poll` waits between one `service()` and the next",
    "fasthio": "used as hio is, without orjson where others do without",
}


#: Decodes what a client has left encoded.
_loads: Callable[[bytes | bytearray], Any] = json.loads


def _choose_decoder(quick: bool) -> None:
    """Let all in this process that can decode with orjson if `quick`, else none."""
    global _loads
    from fasthio import jsoning

    if not quick:
        jsoning._quick = None
        return
    import orjson

    if jsoning._quick is not orjson.loads:
        raise ImportError("fasthio does not use orjson")
    _loads = orjson.loads


def _use_small(status: int, media: str | None, body: Any) -> None:
    if status != 200 or media != "application/json":
        raise RuntimeError(f"unexpected answer: {status} {media}")
    # hio and ours have decoded it by now; pyreqwest's octets are no bytes
    if type(body) is not dict:
        body = _loads(body if isinstance(body, (bytes, bytearray)) else bytes(body))
    if body["ok"] is not True:
        raise RuntimeError("unexpected JSON")


def _use_body(size: int) -> Callable[..., None]:
    def use(status: int, _: str | None, body: Any) -> None:
        if status != 200 or len(body) < size:
            raise RuntimeError(f"unexpected answer: {status}, {len(body)} octets")

    return use


def _memory(key: str) -> int:
    """Read a figure of this process in octets: VmRSS, VmHWM."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {key}")


def _reset_peak() -> None:
    """Let the peak of resident memory start again at what it is now."""
    Path("/proc/self/clear_refs").write_text("5")


class Worker:
    """One client at work."""

    def __init__(self, name: str, port: int, authority: str | None) -> None:
        _choose_decoder(name.endswith(ORJSON))
        name = name.removesuffix(ORJSON)
        spin = name.endswith(SPIN)
        maker = CLIENTS[name.removesuffix(SPIN)]
        made = maker(port, authority, True) if spin else maker(port, authority)
        if isinstance(made, _Aiohttp):
            self.fetch_all = made.fetch_all
            self.close = made.close
        else:
            self.fetch = made

    def fetch_all(self, path: str, count: int, use: Callable[..., Any]) -> None:
        """Fetch a path so many times."""
        fetch = self.fetch
        for _ in range(count):
            use(*fetch(path))

    def close(self) -> None:
        """Leave all to the end of the process."""

    def run(self, path: str, count: int, size: int) -> dict[str, float]:
        """Fetch a path so many times, and measure."""
        use = _use_small if not size else _use_body(size)
        with contextlib.suppress(OSError):
            _reset_peak()
        memory = _memory("VmRSS")
        wall = time.perf_counter()
        cpu = time.process_time()
        self.fetch_all(path, count, use)
        cpu = time.process_time() - cpu
        wall = time.perf_counter() - wall
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "cpu": cpu / count,
            "wall": wall / count,
            "memory": _memory("VmHWM") - memory,
            "faults": usage.ru_minflt,
        }


def main() -> None:
    """Serve one client: make it, then do what each line says."""
    name, port, authority = sys.argv[1], int(sys.argv[2]), sys.argv[3] or None
    try:
        worker = Worker(name, port, authority)
    except ImportError as error:
        print(json.dumps({"missing": str(error)}), flush=True)
        return
    print(json.dumps({"ready": name}), flush=True)
    for line in sys.stdin:
        try:
            answer: dict[str, Any] = worker.run(**json.loads(line))
        except Exception as error:  # a peer's failure is shown, not hidden
            answer = {"failed": f"{type(error).__name__}: {error}"[:200]}
        print(json.dumps(answer), flush=True)
    worker.close()


if __name__ == "__main__":
    main()

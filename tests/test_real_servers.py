"""Client against real servers: nginx, hio's own under Bottle and Falcon, the standard library's."""

from __future__ import annotations

import gzip
import http.server
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import bottle
import falcon
import pytest
import trustme
from hio.base import tyming
from hio.core import tcp
from hio.core.http import serving

from fasthio.clienting import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")

CONFIG = """
daemon off;
master_process off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    client_max_body_size 100m;
    types {{ application/json json; text/plain txt; }}
    gzip_types application/json;
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{tls_port} ssl;
        ssl_certificate {directory}/server.pem;
        ssl_certificate_key {directory}/server.key;
        ssl_session_cache shared:s:1m;
        root {directory}/www;
        keepalive_requests 5;
        location /gone {{ return 410; }}
        location /moved {{ return 308 /small.json?x=%20; }}
        location /moved-tls {{ return 301 https://localhost:{tls_port}/small.json; }}
        location /drop {{ return 444; }}
        location /echo {{ return 200 "$request_method $args $http_x_own"; }}
        location /gzip.json {{ gzip on; gzip_min_length 1; alias {directory}/www/small.json; }}
        location /close {{ keepalive_timeout 0; return 200 "closing"; }}
    }}
}}
"""


def free_port() -> int:
    with socket.socket() as ss:
        ss.bind(("127.0.0.1", 0))
        port: int = ss.getsockname()[1]
    return port


class Nginx:
    """A running nginx, its ports and its authority."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ca = trustme.CA()
        self.cafilepath = str(directory / "ca.pem")
        self.ca.cert_pem.write_to_path(self.cafilepath)
        issued = self.ca.issue_cert("localhost", "127.0.0.1")
        issued.private_key_pem.write_to_path(str(directory / "server.key"))
        for blob in issued.cert_chain_pems:
            blob.write_to_path(str(directory / "server.pem"), append=True)
        www = directory / "www"
        www.mkdir()
        self.large = bytes(range(256)) * 40_000
        (www / "small.json").write_bytes(b'{"a": 1}')
        (www / "large.txt").write_bytes(self.large)
        (www / "empty.txt").write_bytes(b"")

    def start(self) -> subprocess.Popen[bytes]:
        """Start it; another port is tried where one was taken meanwhile."""
        assert NGINX is not None
        for _ in range(5):
            self.port, self.tls_port = free_port(), free_port()
            config = self.directory / "nginx.conf"
            config.write_text(
                CONFIG.format(directory=self.directory, port=self.port, tls_port=self.tls_port)
            )
            process = subprocess.Popen(
                [NGINX, "-p", str(self.directory), "-c", str(config)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for _ in range(100):
                if process.poll() is not None:
                    break
                try:
                    socket.create_connection(("127.0.0.1", self.tls_port), 1).close()
                except OSError:
                    time.sleep(0.05)
                else:
                    return process
            process.kill()
            process.wait()
        raise AssertionError((self.directory / "error.log").read_text())


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    if NGINX is None:
        pytest.skip("nginx is not installed: exchanges with it are not tested")
    server = Nginx(tmp_path_factory.mktemp("nginx"))
    process = server.start()
    yield server
    process.terminate()
    process.wait(10)


def run(client: Client, until: Callable[[], Any], seconds: float = 30.0) -> None:
    """Service in real time until a condition holds."""
    end = time.monotonic() + seconds
    while not until():
        client.service()
        time.sleep(0.0005)
        assert time.monotonic() < end, "no answer in time"


@pytest.fixture(params=["http", "https"])
def make(request: pytest.FixtureRequest, nginx: Nginx) -> Iterator[Callable[..., Client]]:
    clients = []

    def made(**kwa: Any) -> Client:
        if request.param == "https":
            kwa.setdefault("cafilepath", nginx.cafilepath)
        port = nginx.port if request.param == "http" else nginx.tls_port
        client = Client(hostname="localhost", port=port, scheme=request.param, **kwa)
        clients.append(client)
        return client

    yield made
    for client in clients:
        client.close()


def test_nginx_small(make: Callable[..., Client]) -> None:
    client = make()
    for number in range(4):
        client.request(path="/small.json", reply=number)
    run(client, lambda: len(client.responses) == 4)
    for number, response in enumerate(client.responses):
        assert response["data"] == {"a": 1}
        assert response["request"]["reply"] == number


def test_nginx_closes_after_five(make: Callable[..., Client]) -> None:
    """keepalive_requests 5: all are answered, `reconnectable` or not: nginx says when it closes."""
    client = make(reconnectable=True)
    for number in range(12):
        client.request(path="/echo", qargs={"n": number}, headers={"X-Own": str(number)})
    run(client, lambda: len(client.responses) == 12)
    for number, response in enumerate(client.responses):
        assert response["body"] == f"GET n={number} {number}".encode(), response
    client = make()
    for number in range(7):
        client.request(path="/echo", reply=number)
    run(client, lambda: len(client.responses) == 7)
    assert [r["errored"] for r in client.responses] == [False] * 7


def test_nginx_large(make: Callable[..., Client], nginx: Nginx) -> None:
    client = make()
    client.request(path="/large.txt")
    client.request(path="/large.txt", headers={"Range": "bytes=5-9"})
    client.request(method="HEAD", path="/large.txt")
    client.request(path="/empty.txt")
    run(client, lambda: len(client.responses) == 4)
    large, part, head, empty = client.responses
    assert large["body"] == nginx.large
    assert part["status"] == 206
    assert part["body"] == nginx.large[5:10]
    assert head["headers"]["content-length"] == str(len(nginx.large))
    assert head["body"] == empty["body"] == b""


def test_nginx_upload(make: Callable[..., Client]) -> None:
    client = make()
    client.request(method="POST", path="/echo", body=b"x" * 3_000_000)
    run(client, lambda: client.responses)
    assert client.responses[0]["body"] == b"POST  "


@pytest.mark.parametrize("decode", [True, False])
def test_nginx_gzip(make: Callable[..., Client], decode: bool) -> None:
    client = make(decode=decode)
    client.request(path="/gzip.json", headers={"Accept-Encoding": "gzip"})
    run(client, lambda: client.responses)
    (response,) = client.responses
    assert response["headers"]["Content-Encoding"] == "gzip"
    assert response["headers"]["Transfer-Encoding"] == "chunked"
    body = response["body"] if decode else gzip.decompress(response["body"])
    assert body == b'{"a": 1}'


def test_nginx_redirect(make: Callable[..., Client]) -> None:
    client = make()
    client.request(path="/moved")
    run(client, lambda: client.responses)
    assert client.responses[0]["data"] == {"a": 1}
    assert client.responses[0]["redirects"][0]["status"] == 308


def test_nginx_redirect_to_tls(nginx: Nginx) -> None:
    client = Client(hostname="localhost", port=nginx.port)
    client.request(path="/moved-tls")
    run(client, lambda: client.responses)
    assert client.responses[0]["error"].code == "certificate"  # its authority is not the system's
    client.close()


def test_nginx_drops(make: Callable[..., Client]) -> None:
    """444: nginx closes without an answer."""
    client = make()
    client.request(path="/drop")
    client.request(path="/small.json")
    run(client, lambda: len(client.responses) == 2)
    assert [r["errored"] for r in client.responses] == [True, True]


def test_nginx_statuses(make: Callable[..., Client]) -> None:
    client = make()
    client.request(path="/gone")
    client.request(path="/nowhere")
    client.request(path="/close")
    run(client, lambda: len(client.responses) == 3)
    assert [r["status"] for r in client.responses] == [410, 404, 200]


def test_nginx_session_is_resumed(nginx: Nginx) -> None:
    context = ssl.create_default_context(cafile=nginx.cafilepath)
    client = Client(
        hostname="localhost", port=nginx.tls_port, scheme="https", context=context,
        reconnectable=True,
    )  # fmt: skip
    client.request(path="/small.json")
    run(client, lambda: client.responses)
    assert not client.connector.resumed
    client.reopen()
    client.request(path="/small.json")
    run(client, lambda: len(client.responses) == 2)
    assert client.connector.resumed
    client.close()


# hio's own server, and what runs on it

# datetime.utcnow is hio's
of_hio = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")


def plain_app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """Answer as a WSGI application without a framework."""
    body = environ["wsgi.input"].read()
    path = environ["PATH_INFO"]
    if path == "/chunked":
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"one "
        yield b""
        yield b"two"
        return
    data = json.dumps({"method": environ["REQUEST_METHOD"], "path": path, "n": len(body)})
    start_response(
        "200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(data)))]
    )
    yield data.encode()


def bottle_app() -> Any:
    """Make an application of Bottle's."""
    app = bottle.Bottle()

    @app.get("/json")  # type: ignore[untyped-decorator]
    def _json() -> dict[str, Any]:
        return {"query": dict(bottle.request.query), "own": bottle.request.headers.get("X-Own")}

    @app.post("/echo")  # type: ignore[untyped-decorator]
    def _echo() -> bytes:
        bottle.response.content_type = "application/octet-stream"
        body: bytes = bottle.request.body.read()
        return body

    @app.get("/pieces")  # type: ignore[untyped-decorator]
    def _pieces() -> Iterator[bytes]:
        bottle.response.content_type = "text/plain"
        for number in range(50):
            yield b"%d," % number

    @app.get("/events")  # type: ignore[untyped-decorator]
    def _events() -> Iterator[bytes]:
        bottle.response.content_type = "text/event-stream"
        yield b"retry: 1000\n\n"
        for number in range(1, 6):
            yield b"id: %d\nevent: note\ndata: message %d\n\n" % (number, number)

    @app.get("/moved")  # type: ignore[untyped-decorator]
    def _moved() -> None:
        bottle.redirect("/json?from=moved", 303)

    return app


class FalconJson:
    """Answer with what was asked."""

    def on_get(self, req: Any, resp: Any) -> None:
        """Answer a GET."""
        resp.media = {"query": dict(req.params), "own": req.get_header("X-Own")}

    on_head = on_get


class FalconEcho:
    """Answer with the body."""

    def on_post(self, req: Any, resp: Any) -> None:
        """Answer a POST."""
        resp.content_type = "application/octet-stream"
        resp.data = req.bounded_stream.read()


class FalconStream:
    """Answer with a body that comes in pieces."""

    def __init__(self, content_type: str, pieces: list[bytes]) -> None:
        self.content_type, self.pieces = content_type, pieces

    def on_get(self, req: Any, resp: Any) -> None:
        """Answer a GET."""
        resp.content_type = self.content_type
        resp.stream = iter(self.pieces)


class FalconMoved:
    """Answer with a redirect."""

    def on_get(self, req: Any, resp: Any) -> None:
        """Answer a GET."""
        raise falcon.HTTPSeeOther("/json?from=moved")


def falcon_app() -> Any:
    """Make an application of Falcon's that answers as the one of Bottle's."""
    events = [b"id: %d\nevent: note\ndata: message %d\n\n" % (n, n) for n in range(1, 6)]
    app = falcon.App()
    app.add_route("/json", FalconJson())
    app.add_route("/echo", FalconEcho())
    app.add_route("/pieces", FalconStream("text/plain", [b"%d," % n for n in range(50)]))
    app.add_route("/events", FalconStream("text/event-stream", [b"retry: 1000\n\n", *events]))
    app.add_route("/moved", FalconMoved())
    return app


class Hosted:
    """An application on hio's server, over TCP or TLS, serviced beside its clients."""

    def __init__(self, app: Any, directory: Path, tls: bool) -> None:
        self.tymist = tyming.Tymist(tyme=0.0)
        about: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "tymth": self.tymist.tymen()}
        self.about: dict[str, Any] = {"hostname": "127.0.0.1"}
        if tls:
            ca = trustme.CA()
            issued = ca.issue_cert("localhost", "127.0.0.1")
            files = {name: str(directory / name) for name in ("ca.pem", "key.pem", "cert.pem")}
            ca.cert_pem.write_to_path(files["ca.pem"])
            issued.private_key_pem.write_to_path(files["key.pem"])
            issued.cert_chain_pems[0].write_to_path(files["cert.pem"])
            self.servant = tcp.ServerTls(
                certify=False, keypath=files["key.pem"], certpath=files["cert.pem"],
                cafilepath=files["ca.pem"], **about,
            )  # fmt: skip
            self.about = {
                "hostname": "localhost", "scheme": "https", "cafilepath": files["ca.pem"]
            }  # fmt: skip
        else:
            self.servant = tcp.Server(**about)
        assert self.servant.reopen()
        self.servant.eha = self.servant.ha  # hio compares with it, and it had port 0
        self.about["port"] = self.servant.ha[1]
        self.server = serving.Server(app=app, servant=self.servant, tymth=self.tymist.tymen())
        self.clients: list[Client] = []

    def client(self, **kwa: Any) -> Client:
        """Make a client of the server."""
        client = Client(tymth=self.tymist.tymen(), **{**self.about, **kwa})
        self.clients.append(client)
        return client

    def run(self, until: Callable[[], Any]) -> None:
        """Service all in turn until a condition holds."""
        end = time.monotonic() + 30.0
        while not until():
            for client in self.clients:
                client.service()
            self.server.service()
            self.tymist.tick()
            assert time.monotonic() < end, "no answer in time"

    def close(self) -> None:
        """Close all."""
        for client in self.clients:
            client.close()
        self.server.close()


@pytest.fixture(params=["tcp", "tls"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[Any], Hosted]]:
    made: list[Hosted] = []

    def hosted(app: Any) -> Hosted:
        made.append(Hosted(app, tmp_path, request.param == "tls"))
        return made[-1]

    yield hosted
    for each in made:
        each.close()


@of_hio
def test_hio_server(host: Callable[[Any], Hosted]) -> None:
    hosted = host(plain_app)
    client = hosted.client()
    client.request(path="/a")
    client.request(method="POST", path="/b", body=b"x" * 100_000)
    client.request(method="PUT", path="/c", data={"k": "v"})
    # on a connection of its own: hio's server forgets to chunk what follows a Content-Length
    other = hosted.client()
    other.request(path="/chunked")
    hosted.run(lambda: len(client.responses) == 3 and other.responses)
    a, b, c = client.responses
    assert a["data"] == {"method": "GET", "path": "/a", "n": 0}
    assert b["data"]["n"] == 100_000
    assert other.responses[0]["body"] == b"one two"
    assert c["data"]["n"] == 9


@of_hio
@pytest.mark.parametrize("app", [bottle_app, falcon_app], ids=["bottle", "falcon"])
def test_framework_on_hio_server(app: Callable[[], Any], host: Callable[[Any], Hosted]) -> None:
    hosted = host(app())
    body = bytes(range(256)) * 400
    client = hosted.client()
    client.request(path="/json", qargs={"a": "1"}, headers={"X-Own": "ours"})
    client.request(method="POST", path="/echo", body=body)
    client.request(path="/moved")
    client.request(path="/nowhere")
    client.request(method="HEAD", path="/json")
    hosted.run(lambda: len(client.responses) == 5)
    asked, echo, moved, nowhere, headed = client.responses
    assert asked["data"] == {"query": {"a": "1"}, "own": "ours"}
    assert echo["body"] == body
    assert moved["data"] == {"query": {"from": "moved"}, "own": None}
    assert [step["status"] for step in moved["redirects"]] == [303]
    assert (nowhere["status"], nowhere["errored"]) == (404, False)
    assert (headed["status"], headed["body"], headed["errored"]) == (200, b"", False)


@of_hio
@pytest.mark.parametrize("app", [bottle_app, falcon_app], ids=["bottle", "falcon"])
def test_framework_streams_on_hio_server(
    app: Callable[[], Any], host: Callable[[Any], Hosted]
) -> None:
    hosted = host(app())
    pieces, stream = hosted.client(), hosted.client()
    pieces.request(path="/pieces")
    stream.request(path="/events", headers={"Accept": "text/event-stream"})
    hosted.run(lambda: pieces.responses and stream.responses)
    assert pieces.responses[0]["headers"]["Transfer-Encoding"] == "chunked"
    assert pieces.responses[0]["body"] == b"".join(b"%d," % number for number in range(50))
    assert stream.responses[0]["evented"] is True
    assert [(event["id"], event["name"], event["data"]) for event in stream.events] == [
        (str(number), "note", f"message {number}") for number in range(1, 6)
    ]


# the standard library's


class Handler(http.server.BaseHTTPRequestHandler):
    """Answer with what was asked."""

    def do_GET(self) -> None:
        body = json.dumps({"path": self.path}).encode()
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/there")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        if self.path != "/until-close":
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        body = self.rfile.read(size)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


class Handler11(Handler):
    """The same with connections that persist."""

    protocol_version = "HTTP/1.1"


@pytest.fixture(params=[Handler, Handler11])
def stdlib(request: pytest.FixtureRequest) -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), request.param)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join(10)


def test_stdlib_server(stdlib: int) -> None:
    client = Client(hostname="127.0.0.1", port=stdlib, reconnectable=True)
    for number in range(5):
        client.request(path=f"/{number}")
        client.request(method="POST", path="/", body=b"%d" % number)
    run(client, lambda: len(client.responses) == 10)
    for number in range(5):
        assert client.responses[2 * number]["data"] == {"path": f"/{number}"}
        assert client.responses[2 * number + 1]["body"] == b"%d" % number
    client.close()


def test_stdlib_redirect(stdlib: int) -> None:
    """D57: a redirect is followed also where its connection closes, without reconnectable."""
    client = Client(hostname="127.0.0.1", port=stdlib)
    client.request(path="/moved")
    run(client, lambda: client.responses)
    assert client.responses[0]["data"] == {"path": "/there"}
    assert len(client.responses[0]["redirects"]) == 1
    client.close()


def test_stdlib_until_close(stdlib: int) -> None:
    client = Client(hostname="127.0.0.1", port=stdlib)
    client.request(path="/until-close", headers={"Connection": "close"})
    run(client, lambda: client.responses)
    assert client.responses[0]["data"] == {"path": "/until-close"}
    client.close()

"""demo: the embedded server offers what the demo says, and ends when it is to."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from fasthio import demo


@pytest.fixture
def connection() -> Iterator[http.client.HTTPConnection]:
    """Connect an independent client to the server."""
    with demo.serving() as root:
        connection = http.client.HTTPConnection(urlsplit(root).netloc, timeout=30)
        yield connection
        connection.close()


def get(
    connection: http.client.HTTPConnection, path: str, method: str = "GET"
) -> tuple[http.client.HTTPResponse, bytes]:
    connection.request(method, path)
    response = connection.getresponse()
    return response, response.read()


def test_json(connection: http.client.HTTPConnection) -> None:
    response, body = get(connection, "/json?x=1")
    assert response.status == 200
    assert response.headers["Content-Type"] == "application/json"
    assert json.loads(body)["path"] == "/json"


def test_chunked(connection: http.client.HTTPConnection) -> None:
    response, body = get(connection, "/chunked")
    assert response.headers["Transfer-Encoding"] == "chunked"
    assert body == b"x" * demo.CHUNKED


def test_redirect(connection: http.client.HTTPConnection) -> None:
    response, body = get(connection, "/redirect")
    assert (response.status, response.headers["Location"], body) == (302, "/json", b"")


def test_slow(connection: http.client.HTTPConnection) -> None:
    assert json.loads(get(connection, "/slow")[1]) == {"path": "/slow", "slept": demo.DELAY}


def test_events(connection: http.client.HTTPConnection) -> None:
    response, body = get(connection, "/events")
    assert response.headers["Content-Type"] == "text/event-stream"
    assert body.startswith(b"retry: 1000\n\nid: 1\ndata: message 1\n\n")
    assert body.count(b"data: ") == 5


def test_unknown(connection: http.client.HTTPConnection) -> None:
    assert get(connection, "/nothing")[0].status == 404


@pytest.mark.parametrize("path", ["/json", "/chunked", "/events"])
def test_head_and_the_connection_persists(
    connection: http.client.HTTPConnection, path: str
) -> None:
    response, body = get(connection, path, "HEAD")
    assert (response.status, body) == (200, b"")
    sock = connection.sock
    assert get(connection, "/json")[0].status == 200
    assert connection.sock is sock


def test_it_ends_with_its_context() -> None:
    before = set(threading.enumerate())  # those of other tests may end meanwhile
    with demo.serving() as root:
        assert set(threading.enumerate()) - before
        assert urlsplit(root).hostname == "127.0.0.1"
        port = urlsplit(root).port
        assert port
    assert not set(threading.enumerate()) - before
    with socket.socket() as sock:
        assert sock.connect_ex(("127.0.0.1", port)) != 0


def test_a_client_that_leaves_early_is_no_event(capfd: pytest.CaptureFixture[str]) -> None:
    with demo.serving() as root:
        address = (urlsplit(root).hostname, urlsplit(root).port)
        for _ in range(5):
            with socket.create_connection(address, timeout=30) as sock:
                sock.sendall(b"GET /chunked HTTP/1.1\r\nHost: x\r\n\r\n")
                sock.recv(1)
                # reset instead of a clean close
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection = http.client.HTTPConnection(*address, timeout=30)
        assert get(connection, "/json")[0].status == 200
        connection.close()
    assert capfd.readouterr().err == ""


# the server by itself


def test_a_port_that_is_taken_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert demo.main([str(taken.getsockname()[1])]) == 1
    assert "port" in capsys.readouterr().err
    assert demo.main(["65536"]) == 1


def test_it_serves_until_it_is_interrupted() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "fasthio.demo"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        root, _, what = process.stdout.readline().partition(" ")
        assert all(path in what for path in demo.PATHS)
        connection = http.client.HTTPConnection(urlsplit(root).netloc, timeout=30)
        response, body = get(connection, "/json")
        connection.close()
        assert response.status == 200
        assert json.loads(body)["path"] == "/json"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "", "")
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("error", "told"), [(ConnectionResetError(), False), (KeyError(1), True)])
def test_server_tells_of_its_own_faults_alone(
    error: Exception, told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """A client that left early is none."""
    server = demo.DemoServer(("127.0.0.1", 0), demo.BaseHTTPRequestHandler)
    try:
        raise error
    except type(error):
        server.handle_error(None, ("127.0.0.1", 1))
    server.server_close()
    assert ("KeyError" in capsys.readouterr().err) is told

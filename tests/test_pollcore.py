"""pollcore: what is polled, when, over which connections, and how it is told."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme

from fasthio import demo, pollcore
from fasthio.pollcore import PlanError, PollPlan, PollResult, check_url, judge

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Peer:
    """A server whose answers are given; tells what it got.

    Attributes:
        url: its root.
        requests: the heads it got, in order, with the number of their connection.
    """

    url: str
    requests: list[tuple[int, bytes]] = field(default_factory=list)


@contextlib.contextmanager
def peer(
    answer: Callable[[bytes], bytes | None], context: ssl.SSLContext | None = None
) -> Iterator[Peer]:
    """Serve on a free port: each request head is answered with what `answer` gives.

    With a context the server speaks TLS.

    None closes the connection; an empty answer leaves the request unanswered.
    """
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        scheme = "http" if context is None else "https"
        it = Peer(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")
        sockets: list[socket.socket] = []

        def serve(number: int, sock: socket.socket) -> None:
            received = b""
            with contextlib.suppress(OSError), contextlib.ExitStack() as closing:
                closing.enter_context(sock)
                if context is not None:
                    sock = closing.enter_context(context.wrap_socket(sock, server_side=True))
                while octets := sock.recv(65536):
                    received += octets
                    while b"\r\n\r\n" in received:
                        head, _, received = received.partition(b"\r\n\r\n")
                        it.requests.append((number, head))
                        reply = answer(head)
                        if reply is None:
                            return
                        sock.sendall(reply)

        def accept() -> None:
            with contextlib.suppress(OSError):
                for number in range(1000):
                    sock, _ = listener.accept()
                    sockets.append(sock)
                    threading.Thread(target=serve, args=(number, sock), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield it
        finally:
            # close() alone would leave accept() waiting
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            for sock in sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)


def free_port() -> int:
    """Give a port of the loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def poll(*urls: str, **options: Any) -> list[PollResult]:
    """Poll and give all results."""
    results: list[PollResult] = []
    options = {"every": 0.0, "timeout": 30.0, **options}
    pollcore.poll(PollPlan(urls=urls, **options), results.append)
    return results


# URLs ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1",
        "http://127.0.0.1:8080/path?query=1#fragment",
        "https://example.org/",
        "http://[::1]:80/",
        "HTTP://EXAMPLE.org/",
    ],
)
def test_good_url(url: str) -> None:
    assert check_url(url).hostname


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "must begin with http:// or https://: ''"),
        ("example.org", "must begin with http:// or https://: 'example.org'"),
        ("ftp://example.org/", "must begin with http:// or https://"),
        ("http:///path", "names no host"),
        ("http://:80/", "names no host"),
        ("http://example.org:port/", "bad URL"),
        ("http://example.org:65536/", "bad URL"),
        ("http://example.org:0/", "port 0"),
        ("http://[::1/", "bad URL"),
        ("http://user:word@example.org/", "user information"),
        ("http://example.org/a b", "white space"),
        ("http://example.org/\r\nX: y", "white space or a control character"),
    ],
)
def test_bad_url_is_named(url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match="URL") as caught:
        check_url(url)
    assert complaint in str(caught.value)
    assert repr(url) in str(caught.value)


# What is sent -------------------------------------------------------------------


def test_one_poll() -> None:
    with peer(lambda head: OK) as server:
        (result,) = poll(server.url + "/path?a=1&b=2#fragment")
    assert (result.status, result.reason, result.octets) == (200, "OK", 2)
    assert (result.failure, result.error, result.redirects, result.events) == (None, None, 0, 0)
    assert result.latency is not None
    assert result.latency > 0.0
    assert result.time > 1.6e9
    ((_, head),) = server.requests
    assert head.startswith(b"GET /path?a=1&b=2 HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("reference", "target"),
    [
        ("", "/"),
        ("/", "/"),
        ("?a=b", "/?a=b"),
        ("/a%20b/%2F/%25?x=%26&y=a%20b+c&flag", "/a%20b/%2F/%25?x=%26&y=a%20b+c&flag"),
        ("/?a=1&a=2&a=", "/?a=1&a=2&a="),
        ("//x/y/../z;p=1,2", "//x/y/../z;p=1,2"),
        ("/a:b@c?d=e?f/g", "/a:b@c?d=e?f/g"),
        ("/\u00e9?\u20ac=1#\u00e9", "/%C3%A9?%E2%82%AC=1"),
        ('/"<>\\^`{|}', "/%22%3C%3E%5C%5E%60%7B%7C%7D"),
    ],
)
def test_the_url_is_sent_as_it_stands(reference: str, target: str) -> None:
    with peer(lambda head: OK) as server:
        results = poll(server.url + reference, count=2)
    assert [result.failure for result in results] == [None, None]
    assert [head.split(b" ")[1].decode() for _, head in server.requests] == [target] * 2


def test_host_is_sent_without_the_port_of_the_scheme() -> None:
    with peer(lambda head: OK) as server:
        poll(server.url)
    assert f"\r\nHost: {server.url.removeprefix('http://')}\r\n".encode() in server.requests[0][1]
    requester = pollcore.TargetRequester("/x?y")
    requester.reinit(hostname="example.org", port=80, scheme="http")
    built = requester.rebuild(method="GET")
    assert built.startswith(b"GET /x?y HTTP/1.1\r\nHost: example.org\r\n")


def test_every_poll_sends_the_same_on_one_connection() -> None:
    with peer(lambda head: OK) as server:
        results = poll(server.url + "/path?a=1", count=5)
    assert [result.failure for result in results] == [None] * 5
    assert len(server.requests) == 5
    assert len(set(server.requests)) == 1


def test_method_and_headers() -> None:
    with peer(lambda head: OK.partition(b"ok")[0]) as server:
        headers = (("Accept", "text/plain"), ("X-One", "1"), ("X-One", "2"))
        (result,) = poll(server.url, method="HEAD", headers=headers)
    assert (result.failure, result.status, result.octets) == (None, 200, 0)
    lines = server.requests[0][1].split(b"\r\n")
    assert lines[0] == b"HEAD / HTTP/1.1"
    assert [line for line in lines if line.startswith((b"Accept:", b"X-One:"))] == [
        b"Accept: text/plain",
        b"X-One: 1",
        b"X-One: 2",
    ]


def test_several_urls() -> None:
    with peer(lambda head: OK) as one, peer(lambda head: OK) as two:
        results = poll(one.url, two.url, count=3)
    assert sorted(result.url for result in results) == sorted([one.url, two.url] * 3)
    assert (len(one.requests), len(two.requests)) == (3, 3)


# When ---------------------------------------------------------------------------


def test_duration_ends_it() -> None:
    with peer(lambda head: OK) as server:
        results = poll(server.url, count=None, duration=0.2)
    assert results
    assert all(result.failure is None for result in results)
    assert len(results) == len(server.requests)


def test_polls_of_a_url_keep_their_distance() -> None:
    with peer(lambda head: OK) as server:
        results = poll(server.url, count=3, every=0.1)
    # a lower bound only: a busy machine may be late, but never early
    assert results[2].time - results[0].time > 0.19


def test_refresh_is_called_while_nothing_happens() -> None:
    calls: list[int] = []
    with peer(lambda head: b"") as server:
        plan = PollPlan(urls=(server.url,), timeout=0.3)
        pollcore.poll(plan, lambda result: None, lambda: calls.append(1))
    assert len(calls) >= 3


def test_latency_holds_the_whole_response() -> None:
    with demo.serving() as root:
        (result,) = poll(root + "/slow")
    assert result.latency is not None
    assert result.latency >= demo.DELAY


# What comes back ----------------------------------------------------------------


def test_the_demo_server() -> None:
    with demo.serving() as root:
        results = poll(*(root + path for path in demo.PATHS), count=2)
    assert [result.error for result in results] == [None] * 2 * len(demo.PATHS)
    by_path = {result.url.removeprefix(root): result for result in results}
    assert by_path["/chunked"].octets == demo.CHUNKED
    assert by_path["/redirect"].redirects == 1
    assert by_path["/events"].events == 5
    assert by_path["/json"].redirects == by_path["/json"].events == 0


def test_redirect_elsewhere_and_back_to_the_start() -> None:
    with peer(lambda head: OK) as target:
        moved = f"HTTP/1.1 302 Found\r\nLocation: {target.url}/there\r\nContent-Length: 0\r\n\r\n"
        with peer(lambda head: moved.encode()) as start:
            results = poll(start.url + "/here", count=2)
    assert [(result.status, result.redirects) for result in results] == [(200, 1), (200, 1)]
    assert [head.split(b" ")[1] for _, head in start.requests] == [b"/here", b"/here"]
    assert [head.split(b" ")[1] for _, head in target.requests] == [b"/there", b"/there"]


# Failures -----------------------------------------------------------------------


def test_refused() -> None:
    results = poll(f"http://127.0.0.1:{free_port()}/", count=2, timeout=5.0)
    assert [result.failure for result in results] == ["refused", "refused"]
    assert all(result.status is result.latency is None and result.error for result in results)


def test_unresolved(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwa: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setattr(socket, "gethostbyname", fail)
    results = poll("http://nowhere.invalid/", count=2)
    assert [result.failure for result in results] == ["unresolved", "unresolved"]


def test_certificate_that_is_not_trusted() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with peer(lambda head: OK, context) as server:
        results = poll(server.url, count=2)
    assert [result.failure for result in results] == ["certificate", "certificate"]
    assert server.requests == []


def test_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with peer(lambda head: OK, context) as server:
        # a process of its own: which certificates are trusted is read once in each
        done = subprocess.run(
            [sys.executable, "-m", "fasthio", "poll", server.url, "--count", "3", "--every", "0"],
            env={**os.environ, "SSL_CERT_FILE": str(tmp_path / "ca.pem")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert {number for number, _ in server.requests} == {0}
    assert len(server.requests) == 3


def test_bad_status() -> None:
    with peer(lambda head: b"HTTP/1.1 503 Busy\r\nContent-Length: 3\r\n\r\nno!") as server:
        (result,) = poll(server.url)
    assert (result.status, result.octets) == (503, 3)
    assert (result.failure, result.error) == ("status-503", "503 Busy")
    assert result.latency is not None


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (b"SMTP ready\r\n\r\n", "bad-start"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "bad-length"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "bad-chunk-size"),
    ],
)
def test_malformed(answer: bytes, failure: str) -> None:
    with peer(lambda head: answer) as server:
        results = poll(server.url, count=2)
    assert [result.failure for result in results] == [failure, failure]
    assert all(result.latency is None for result in results)
    assert {number for number, _ in server.requests} == {0, 1}  # a fresh connection after


def test_closed_in_the_middle() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(65536)
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        (result,) = poll(f"http://127.0.0.1:{listener.getsockname()[1]}/", method="POST")
        thread.join(30)
    assert result.failure == "closed-in-body"


def test_no_answer_is_a_time_out_and_polling_goes_on() -> None:
    answers = iter([b"", OK])
    with peer(lambda head: next(answers)) as server:
        first, second = poll(server.url, count=2, timeout=0.3)
    assert (first.failure, first.status, first.latency) == ("timeout", None, None)
    assert first.error == "no whole response within 0.3 s"
    assert (second.failure, second.status) == (None, 200)
    assert [number for number, _ in server.requests] == [0, 1]


def test_one_url_that_fails_does_not_keep_the_others() -> None:
    with peer(lambda head: OK) as server:
        results = poll(server.url, f"http://127.0.0.1:{free_port()}/", count=2, timeout=5.0)
    good = [result for result in results if result.failure is None]
    assert [result.url for result in good] == [server.url] * 2
    assert len(results) == 4


def test_a_kept_connection_that_the_server_closed_is_no_failure() -> None:
    answers = iter([OK, None, OK, OK])
    with peer(lambda head: next(answers)) as server:
        results = poll(server.url, count=3)
    assert [result.failure for result in results] == [None] * 3
    assert [number for number, _ in server.requests] == [0, 0, 1, 1]


def test_a_server_that_closes_after_each_response_is_no_failure() -> None:
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    with peer(lambda head: closing) as server:
        results = poll(server.url, count=3, method="POST")
    assert [result.failure for result in results] == [None] * 3
    assert [number for number, _ in server.requests] == [0, 1, 2]


def test_a_fresh_connection_that_is_closed_is_a_failure() -> None:
    with peer(lambda head: None) as server:
        (result,) = poll(server.url)
    assert result.failure == "closed-before-start"
    assert len(server.requests) == 1


def test_what_is_not_idempotent_is_not_sent_twice() -> None:
    answers = iter([OK, None, OK])
    with peer(lambda head: next(answers)) as server:
        results = poll(server.url, count=3, method="POST")
    assert [result.failure for result in results] == [None, "closed-before-start", None]
    assert len(server.requests) == 3


def test_what_cannot_be_sent_is_named() -> None:
    url = r"http://a\b/"
    with pytest.raises(PlanError, match=r"http://a\\b/ cannot be polled"):
        poll(url)


def test_judge() -> None:
    assert judge({"errored": False, "status": 204, "reason": ""}) == (None, None)
    assert judge({"errored": False, "status": 304, "reason": ""}) == (None, None)
    assert judge({"errored": False, "status": 400, "reason": ""}) == ("status-400", "400")
    assert judge({"errored": True, "status": None, "error": "so"}) == ("malformed", "so")


def test_interrupt_is_passed_on_and_all_is_closed() -> None:
    def interrupt(result: PollResult) -> None:
        raise KeyboardInterrupt

    with peer(lambda head: OK) as server:
        plan = PollPlan(urls=(server.url, server.url), count=None, every=0.0)
        with pytest.raises(KeyboardInterrupt):
            pollcore.poll(plan, interrupt)

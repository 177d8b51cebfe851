"""Redirects: the pure rules, and followed by Client between scripted servers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hio.help import Hict

from fasthio import errors, redirecting
from fasthio.clienting import Client
from fasthio.redirecting import headers_for, locate, location_of, method_for
from servers import CLOSE, OK, RESET, SILENT, Loop, Request, Server, Wait, answer, fields_of

BASE = "http://example.com:80/a/b?c=d#e"

TARGETS = [
    ("http://example.org/x", ("http", "example.org", 80, "/x")),
    ("HTTP://Example.ORG", ("http", "example.org", 80, "/")),
    ("https://example.org:8443/x?y=1&y=2", ("https", "example.org", 8443, "/x?y=1&y=2")),
    ("//example.org/x", ("http", "example.org", 80, "/x")),
    ("/x", ("http", "example.com", 80, "/x")),
    ("x", ("http", "example.com", 80, "/a/x")),
    ("../x", ("http", "example.com", 80, "/x")),
    ("../../../x", ("http", "example.com", 80, "/x")),
    ("?q=1", ("http", "example.com", 80, "/a/b?q=1")),
    ("#f", ("http", "example.com", 80, "/a/b?c=d")),
    ("/%2F%41?%26=%20+", ("http", "example.com", 80, "/%2F%41?%26=%20+")),
    ("/a b", ("http", "example.com", 80, "/a%20b")),
    ("/caf\xc3\xa9", ("http", "example.com", 80, "/caf%C3%A9")),
    ("/caf\xe9", ("http", "example.com", 80, "/caf%C3%A9")),
    ("http://user:secret@example.org/x", ("http", "example.org", 80, "/x")),
    ("http://[::1]:81/x", ("http", "::1", 81, "/x")),
    ("http%3A%2F%2Fexample.org%2Fx?y=%3D", ("http", "example.org", 80, "/x?y=%3D")),
    ("/x?a={b}|c", ("http", "example.com", 80, "/x?a=%7Bb%7D%7Cc")),
    ("//example.org//x", ("http", "example.org", 80, "//x")),
]  # fmt: skip


@pytest.mark.parametrize(("location", "expected"), TARGETS)
def test_locate(location: str, expected: tuple[Any, ...]) -> None:
    target = locate(BASE, location)
    assert (target.scheme, target.hostname, target.port, target.origin_form) == expected


def test_locate_fragment() -> None:
    """RFC 9110 10.2.2: a fragment is inherited where the Location has none."""
    assert locate(BASE, "/x").fragment == "e"
    assert locate(BASE, "/x#y").fragment == "y"


@pytest.mark.parametrize(
    ("location", "code"),
    [
        (None, "redirect-missing"),
        ("http://", "redirect-malformed"),
        ("http:///x", "redirect-malformed"),
        ("http:x", "redirect-malformed"),
        ("//", "redirect-malformed"),
        ("///x", "redirect-malformed"),
        ("//?q", "redirect-malformed"),
        ("http://[::1/x", "redirect-malformed"),
        ("http://[zz]/x", "redirect-malformed"),
        ("http://h:x/", "redirect-malformed"),
        ("http://h:99999/", "redirect-malformed"),
        ("http://a\\@b/", "redirect-malformed"),
        ("http://a b/", "redirect-malformed"),
        ("/x\x00y", "redirect-malformed"),
        ("/x\r\ny", "redirect-malformed"),
        ("ftp://example.org/", "redirect-scheme"),
        ("javascript:alert(1)", "redirect-scheme"),
        ("file:///etc/passwd", "redirect-scheme"),
    ],
)
def test_locate_refuses(location: str | None, code: str) -> None:
    """D60: a missing or malformed Location is a typed error."""
    with pytest.raises(errors.RedirectError) as caught:
        locate(BASE, location)
    assert caught.value.code == code


def test_locate_refuses_to_become_insecure() -> None:
    """D60."""
    with pytest.raises(errors.RedirectError) as caught:
        locate("https://example.com:443/", "http://example.com/")
    assert caught.value.code == "redirect-insecure"
    assert locate("https://example.com:443/", "//example.org/").scheme == "https"


def test_no_secret_in_a_text() -> None:
    with pytest.raises(errors.RedirectError) as caught:
        locate(BASE, "http://user:secret@h:99999/")
    assert "secret" not in str(caught.value)


def test_location_of() -> None:
    assert location_of(None) is None
    assert location_of(Hict()) is None
    assert location_of(Hict([("Location", "  ")])) is None
    assert location_of({"location": "/x"}) == "/x"
    assert location_of(Hict([("location", " /x ")])) == "/x"
    assert location_of(Hict([("location", "/x"), ("Location", "/x")])) == "/x"
    with pytest.raises(errors.RedirectError):
        location_of(Hict([("location", "/x"), ("Location", "/y")]))


@pytest.mark.parametrize(
    ("status", "method", "expected"),
    [
        *[(s, "GET", ("GET", s in (307, 308))) for s in (300, 301, 302, 303, 307, 308)],
        *[(s, "HEAD", ("HEAD", s in (307, 308))) for s in (300, 301, 302, 303, 307, 308)],
        *[(s, "POST", ("GET", False)) for s in (300, 301, 302, 303)],
        *[(s, "POST", ("POST", True)) for s in (307, 308)],
        *[(s, "PUT", ("PUT", True)) for s in (300, 301, 302, 307, 308)],
        (303, "PUT", ("GET", False)),
        (303, "DELETE", ("GET", False)),
    ],
)
def test_method_for(status: int, method: str, expected: tuple[str, bool]) -> None:
    assert method_for(status, method) == expected


def test_headers_for() -> None:
    headers = Hict(
        [
            ("Accept", "a/b"), ("Authorization", "s"), ("cookie", "s"),
            ("Proxy-Authorization", "s"), ("Host", "h"), ("Content-Type", "t"),
            ("content-length", 3), ("Transfer-Encoding", "x"),
            ("X-Own", "1"),
        ]
    )  # fmt: skip

    def names(**kwa: bool) -> list[str]:
        return [name for name, _ in headers_for(headers, **kwa)]

    assert names(bodied=True, trusted=True, same=True) == list(headers)
    assert names(bodied=False, trusted=True, same=True) == [
        "Accept", "Authorization", "cookie", "Proxy-Authorization", "Host", "X-Own",
    ]  # fmt: skip
    assert names(bodied=False, trusted=False, same=False) == ["Accept", "X-Own"]
    assert "Host" not in names(bodied=True, trusted=True, same=False)
    assert "Authorization" in names(bodied=True, trusted=True, same=False)


# followed by Client


def redirect(status: int, location: str | None, **fields: str) -> bytes:
    if location is not None:
        fields["Location"] = location
    return answer(b"moved", status, **fields)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("closing", [False, True])
def test_followed(status: int, method: str, closing: bool) -> None:
    """D61, D62: relative, with the method and body of RFC 9110 15.4; reply and extras stay."""
    moved = redirect(status, "there?x=%20&x=2", **({"Connection": "close"} if closing else {}))
    if method == "HEAD":
        moved = moved.removesuffix(b"moved")
    expected, bodied = method_for(status, method)
    last = OK[:-2] if expected == "HEAD" else OK
    scripts = (
        [[Request(), moved, CLOSE], [Request(), last]]
        if closing
        else [[Request(), moved, Request(), last]]
    )
    with Server(*scripts) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        client.request(
            method=method, path="/a/b", data={"k": "v"}, reply={"r": 1}, mid=7,
            headers={"Authorization": "secret", "X-Own": "1"},
        )  # fmt: skip
        loop.run(client, until=lambda: client.responses, rounds=60)
        response = client.responses[0]
        assert not response["errored"], response["error"]
        assert response["status"] == 200
        assert response["request"]["reply"] == {"r": 1}
        assert response["request"]["mid"] == 7
        assert len(response["redirects"]) == 1
        assert response["redirects"][0]["status"] == status
        assert response["redirects"][0]["request"]["path"] == "/a/b"
        assert client.redirects == []
        second = server.requests[1]
        assert second.startswith(f"{expected} /a/there?x=%20&x=2 HTTP/1.1\r\n".encode())
        sent = fields_of(second)
        assert sent["authorization"] == "secret"
        assert sent["x-own"] == "1"
        with_body = bodied and expected != "GET"
        assert second.endswith(b'\r\n\r\n{"k":"v"}') is with_body
        assert ("content-length" in sent) is with_body
        if expected in ("GET",) and method != "GET":
            assert "content-type" not in sent


@pytest.mark.parametrize(
    ("location", "target"),
    [("there?x", "/there?x"), ("/there", "/there"), ("?x", "/?x"), ("*", "/*")],
)
def test_from_the_whole_server(location: str, target: str) -> None:
    """D60: what OPTIONS * is redirected to is relative to the root (RFC 9110 7.1)."""
    script = [Request(), redirect(307, location), Request(), OK]
    with Server(script) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        client.request(method="OPTIONS", path="*")
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert not client.responses[0]["errored"], client.responses[0]["error"]
        lines = [request.partition(b"\r\n")[0].decode() for request in server.requests]
        assert lines == ["OPTIONS * HTTP/1.1", f"OPTIONS {target} HTTP/1.1"]


@pytest.mark.parametrize("kwa", [{"body": b"raw"}, {"fargs": {"a": "b"}}, {"data": [1]}])
def test_body_goes_along(kwa: dict[str, Any]) -> None:
    """D62: 307 repeats method and body (hio: the body is lost)."""
    with Server([Request(), redirect(307, "/x"), Request(), OK]) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        client.request(method="POST", path="/p", **kwa)
        loop.run(client, until=lambda: client.responses, rounds=60)
        first, second = (request.partition(b"\r\n\r\n")[2] for request in server.requests)
        assert first == second != b""


@pytest.mark.parametrize("auth", [False, True])
def test_to_another_origin(auth: bool) -> None:
    """D63: without credentials, unless the program chooses otherwise."""
    with Server([Request(), OK]) as away:
        moved = redirect(302, f"http://user:pw@localhost:{away.port}/x")
        with Server([Request(), moved]) as home, Loop(home, away) as loop:
            client = loop.client(Client, home, redirectAuth=auth, reconnectable=True)
            secret = {"Authorization": "s", "Cookie": "s", "Proxy-Authorization": "s", "X": "y"}
            client.request(path="/a", headers={**secret, "Host": "home.example"})
            loop.run(client, until=lambda: client.responses, rounds=60)
            response = client.responses[0]
            assert response["request"]["host"] == "localhost"
            assert response["request"]["port"] == away.port
            sent = fields_of(away.requests[0])
            assert sent["host"] == f"localhost:{away.port}"
            assert sent["x"] == "y"
            for name in ("authorization", "cookie", "proxy-authorization"):
                assert (name in sent) is auth
            assert "user" not in away.requests[0].decode()
            assert "dXNlcjpwdw" not in away.requests[0].decode()


def test_next_request_goes_home() -> None:
    """D65: what is queued was meant for where the client was made for (hio: goes on away)."""
    with Server([Request(), OK]) as away:
        moved = redirect(302, f"http://127.0.0.1:{away.port}/x?y=z")
        with (
            Server([Request(), moved], [Request(), OK, Request(), OK]) as home,
            Loop(home, away) as loop,
        ):
            client = loop.client(Client, home, headers={"Authorization": "s"}, path="/base")
            own = client.connector
            client.request(path="/1")
            client.request(path="/2")
            loop.run(client, until=lambda: away.requests, rounds=60)
            client.request(path="/3")  # queued while the client is away
            loop.run(client, until=lambda: len(client.responses) == 3, rounds=100)
            assert [r["errored"] for r in client.responses] == [False] * 3
            assert client.connector is own
            assert client.requester.port == home.port
            assert client.respondent.msg is own.rxbs
            assert [request.split()[1] for request in home.requests] == [b"/1", b"/2", b"/3"]
            assert all(fields_of(r)["authorization"] == "s" for r in home.requests)
            assert len(away.requests) == 1
            assert "authorization" not in fields_of(away.requests[0])


def test_there_and_back() -> None:
    """A chain over two origins that ends at home, with what was stripped still stripped."""
    with Server() as away, Server() as home, Loop(home, away) as loop:
        home.scripts = [
            [Request(), redirect(307, f"http://127.0.0.1:{away.port}/x")],
            [Request(), OK, Request(), OK],
        ]
        away.scripts = [[Request(), redirect(307, f"http://127.0.0.1:{home.port}/y")]]
        client = loop.client(Client, home, headers={"Authorization": "s"})
        client.request(method="POST", path="/1", body=b"abc")
        client.request(path="/2")
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=100)
        assert [r["errored"] for r in client.responses] == [False, False]
        assert len(client.responses[0]["redirects"]) == 2
        assert home.requests[1].endswith(b"\r\n\r\nabc")
        assert "authorization" not in fields_of(home.requests[1])
        assert fields_of(home.requests[2])["authorization"] == "s"


REFUSED = [
    ("redirect-missing", None),
    ("redirect-missing", ""),
    ("redirect-malformed", "http://[::1"),
    ("redirect-malformed", "http://h:99999/"),
    ("redirect-scheme", "ftp://example.org/"),
    ("unresolved", "http://no-such-host.invalid/"),
]


@pytest.mark.usefixtures("no_names")
@pytest.mark.parametrize(("code", "location"), REFUSED)
def test_refused(code: str, location: str | None) -> None:
    """D60: a refused redirect is an errored response with the chain, never an exception."""
    script = [Request(), redirect(302, "/1"), Request(), redirect(302, location), Request(), OK]
    with Server(script) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        client.request(path="/0", reply=1)
        client.request(path="/next", reply=2)
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=60)
        first, second = client.responses
        assert first["errored"]
        assert first["error"].code == code
        assert isinstance(first["error"].exception, errors.ExchangeError)
        assert first["status"] == 302
        assert first["body"] == b"moved"
        assert first["request"]["reply"] == 1
        assert [each["status"] for each in first["redirects"]] == [302]
        assert not second["errored"]
        assert "redirects" not in second
        assert second["request"]["reply"] == 2
        assert client.respond().errored
        assert len(server.links) == 1


@pytest.mark.parametrize("most", [0, 1, 20])
def test_loop_ends(most: int) -> None:
    """D60: at most 20, or as many as the program says."""
    script = [Request(), redirect(302, "/again")] * 50
    with Server(script) as server, Loop(server) as loop:
        kwa = {} if most == 20 else {"maxRedirects": most}
        client = loop.client(Client, server, **kwa)
        client.request(path="/again")
        loop.run(client, until=lambda: client.responses, rounds=200)
        response = client.responses[0]
        assert response["error"].code == "redirect-limit"
        assert len(response["redirects"]) == most
        assert len(server.requests) == most + 1
        client.request(path="/again")
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=200)
        assert len(server.requests) == 2 * most + 2


def test_300_without_location() -> None:
    with (
        Server([Request(), redirect(300, None), Request(), redirect(304, None)[:-5]]) as server,
        Loop(server) as loop,
    ):
        client = loop.client(Client, server)
        client.request()
        client.request()
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=60)
        assert [r["errored"] for r in client.responses] == [False, False]
        assert [r["status"] for r in client.responses] == [300, 304]


def test_not_redirectable() -> None:
    with Server([Request(), redirect(308, "/x")]) as server, Loop(server) as loop:
        client = loop.client(Client, server, redirectable=False)
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert client.responses[0]["status"] == 308
        assert not client.responses[0]["errored"]


def test_another_name_for_the_loopback() -> None:
    """As in hio: the same server under another name of the loopback, on the same connection.

    Credentials are not sent to the other name all the same.
    """
    with Server() as server, Loop(server) as loop:
        location = f"http://localhost:{server.port}/there?name=fame"
        server.scripts = [[Request(), redirect(307, location), Request(), OK]]
        client = loop.client(Client, server)
        client.request(path="/a", headers={"Authorization": "s", "X": "y"})
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert len(server.links) == 1
        assert client.responses[0]["request"]["host"] == "127.0.0.1"
        sent = fields_of(server.requests[1])
        assert sent["host"] == f"127.0.0.1:{server.port}"
        assert "authorization" not in sent


def test_another_name_elsewhere_is_another_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    """D64: one address may serve many names; hio sends the old Host to all of them."""
    from fasthio import following

    monkeypatch.setattr(following, "is_loopback", lambda address: False)
    with Server() as server, Loop(server) as loop:
        location = f"http://localhost:{server.port}/there"
        server.scripts = [[Request(), redirect(307, location)], [Request(), OK]]
        client = loop.client(Client, server)
        client.request(path="/a")
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert len(server.links) == 2
        assert fields_of(server.requests[1])["host"] == f"localhost:{server.port}"


@pytest.mark.parametrize("reconnectable", [False, True])
def test_refused_target(reconnectable: bool) -> None:
    """D57: a target that takes no connections is an error, not a wait for ever."""
    with Server([], listening=False) as away:
        moved = redirect(302, f"http://127.0.0.1:{away.port}/x")
        with Server([Request(), moved], [Request(), OK]) as home, Loop(home) as loop:
            client = loop.client(Client, home, reconnectable=reconnectable)
            client.request()
            client.request()
            loop.run(client, until=lambda: len(client.responses) == 2, rounds=60)
            assert client.responses[0]["error"].code == "refused"
            assert not client.responses[1]["errored"]


@pytest.mark.parametrize("end", [CLOSE, RESET])
@pytest.mark.parametrize("reconnectable", [False, True])
def test_connection_ended_behind_the_redirect(end: str, reconnectable: bool) -> None:
    """D57: a redirect is not sent on a connection that the server has closed, unannounced."""
    with (
        Server([Request(), redirect(307, "/x"), end], [Request(), OK, Request(), OK]) as server,
        Loop(server) as loop,
    ):
        client = loop.client(Client, server, reconnectable=reconnectable)
        client.request(method="POST", path="/a", body=b"body")
        client.request(path="/b")
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=60)
        assert [r["errored"] for r in client.responses] == [False, False]
        assert [each.split()[1] for each in server.requests] == [b"/a", b"/x", b"/b"]


def test_redirect_before_the_request_was_read() -> None:
    """D57: it is not queued behind the rest of a body that the server may never read."""
    with (
        Server([redirect(303, "/x"), SILENT], [Request(), OK]) as server,
        Loop(server) as loop,
    ):
        client = loop.client(Client, server)
        client.request(method="POST", path="/a", body=b"x" * 30_000_000)
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert not client.responses[0]["errored"]
        assert [each.split()[:2] for each in server.requests] == [[b"GET", b"/x"]]


@pytest.mark.parametrize("away", [False, True])
def test_what_is_redirected_is_the_request_that_went_out(away: bool) -> None:
    """D62: not what the requester, another client's too, has been told meanwhile."""
    with (
        Server([Request(), Wait(9), lambda _: redirect(302, to)], [Request(), OK]) as server,
        Server([Request(), OK]) as elsewhere,
        Loop(server, elsewhere) as loop,
    ):
        to = f"http://127.0.0.1:{elsewhere.port}/b" if away else "b"
        server.scripts[0] += [Request(), OK]
        client = loop.client(Client, server)
        other = loop.client(Client, server, requester=client.requester)
        client.request(path="/a/a", headers={"X-Own": "1"}, reply="a")
        loop.run(client, until=lambda: server.requests, rounds=30)
        other.request(method="PUT", path="/other", headers={"X-Other": "2"}, body=b"octets")
        loop.run(client, other, until=lambda: client.responses and other.responses, rounds=60)
        assert client.responses[0]["request"]["reply"] == "a"
        assert not client.responses[0]["errored"]
        second = (elsewhere if away else server).requests[-1]
        assert second.startswith(b"GET /b " if away else b"GET /a/b ")
        assert second.endswith(b"\r\nX-Own: 1\r\n\r\n")
        assert b"X-Other" not in second


@pytest.mark.parametrize("status", [302, 307])
def test_an_override_changes_what_follows(status: int) -> None:
    """As with hio: what it tells the requester goes along."""

    class Adding(Client):
        def redirect(self) -> None:
            self.requester.headers["X-Own"] = str(len(self.redirects))
            super().redirect()

    script = [Request(), redirect(status, "/b"), Request(), redirect(status, "/c"), Request(), OK]
    with Server(script) as server, Loop(server) as loop:
        client = loop.client(Adding, server)
        client.request(path="/a")
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert client.responses[0]["status"] == 200
    owns = [fields_of(each).get("x-own") for each in server.requests]
    assert owns == [None, "1", "2"]


def test_redirect_called_by_hand_without_redirects() -> None:
    client = Client(hostname="127.0.0.1")
    client.redirect()
    assert not client.responses


def test_body_of_redirect_is_its_own() -> None:
    with (
        Server([Request(), redirect(302, "/1"), Request(), answer(b"final")]) as server,
        Loop(server) as loop,
    ):
        client = loop.client(Client, server)
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=60)
        response = SimpleNamespace(**client.responses[0])
        assert response.body == b"final"
        assert response.redirects[0]["body"] == b"moved"


def test_module_lists_what_it_offers() -> None:
    assert all(hasattr(redirecting, name) for name in redirecting.__all__)

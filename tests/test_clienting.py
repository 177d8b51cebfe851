"""Client beside hio's: the same exchanges, the same dicts, attributes and event streams."""

from __future__ import annotations

import copy
import inspect
import socket
from collections import deque
from typing import Any

import pytest
from hio.core import tcp, wiring
from hio.core.http import clienting as hio_clienting
from hio.core.http import httping
from hio.help import Hict

from fasthio import clienting, errors
from fasthio.clienting import Client, Response, backendRequest
from fasthio.connecting import Connector, ConnectorTls
from servers import CLOSE, JSON, OK, Loop, Request, Server, Wait, answer, fields_of

STREAM = (
    b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    b"retry: 1000\n\nid: 0\ndata: START\n\nid: 1\ndata: 1\ndata: 2\n\n"
)


def plain(value: Any, port: int) -> Any:
    """Make what an exchange gave comparable: ports and numbers in texts aside."""
    if isinstance(value, dict):
        return {key: plain(each, port) for key, each in value.items()}
    if isinstance(value, (list, deque)):
        return [plain(each, port) for each in value]
    if isinstance(value, Hict):
        return ("Hict", [(str(name).lower(), plain(each, port)) for name, each in value.items()])
    if isinstance(value, tuple):
        return tuple(plain(each, port) for each in value)
    if isinstance(value, str):
        return value.replace(str(port), "PORT")
    if type(value) is bytes:
        return value.replace(b"%d" % port, b"PORT")
    return "PORT" if value == port else value


SCENARIOS: dict[str, tuple[dict[str, Any], list[dict[str, Any]], list[Any]]] = {
    "get": ({}, [{"path": "/a?x=1&y=2", "reply": {"r": 1}, "mid": 5}], [Request(), OK]),
    "head": ({}, [{"method": "head"}, {}], [Request(), OK[:-2], Request(), OK]),
    "no content": ({}, [{}], [Request(), b"HTTP/1.1 204 No Content\r\n\r\n"]),
    "not modified": (
        {},
        [{}],
        [Request(), b"HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 9\r\n\r\n"],
    ),
    "json": ({}, [{}], [Request(), JSON]),
    "dictable": ({"dictable": True}, [{}], [Request(), answer(b'{"a": 1}')]),
    "no json": ({"dictable": True}, [{}], [Request(), answer(b"{")]),
    "chunked": (
        {},
        [{}],
        [
            Request(),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n"
            b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
        ],
    ),
    "until close": ({}, [{}], [Request(), b"HTTP/1.0 200 OK\r\n\r\nhello", CLOSE]),
    "post body": ({}, [{"method": "POST", "path": "/p", "body": b"abc"}], [Request(), OK]),
    "post str": ({}, [{"method": "POST", "path": "/p", "body": "abc"}], [Request(), OK]),
    "put data": ({}, [{"method": "PUT", "data": {"a": 1}}, {}], [Request(), OK, Request(), OK]),
    "post form": ({}, [{"method": "POST", "fargs": {"a": "1"}}], [Request(), OK]),
    "headers": (
        {"headers": {"Accept": "a/b"}, "qargs": {"q": "1"}, "path": "/base"},
        [{}, {"headers": Hict([("X-A", "1"), ("X-B", b"2"), ("X-C", 3)])}, {"qargs": {}}],
        [Request(), OK] * 3,
    ),
    "error status": ({}, [{}, {}], [Request(), answer(b"oops", 500), Request(), answer(b"", 404)]),
    "redirect": (
        {},
        [{"path": "/a?x=1"}, {"path": "/b"}],
        [
            Request(),
            b"HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\n"
            b"Location: http://127.0.0.1:%PORT%/there?name=fame&z=1\r\n\r\n",
            Request(),
            OK,
            Request(),
            OK,
        ],
    ),
    "redirect not wanted": (
        {"redirectable": False},
        [{}],
        [Request(), b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /x\r\n\r\n"],
    ),
    "close": ({}, [{"headers": {"Connection": "close"}}], [Request(), OK, CLOSE]),
}


def play(cls: Any, kwa: dict[str, Any], requests: Any, script: list[Any]) -> dict[str, Any]:
    with Server() as server, Loop(server) as loop:
        server.scripts = [
            [
                step.replace(b"%PORT%", b"%d" % server.port) if isinstance(step, bytes) else step
                for step in script
            ]
        ]
        client = loop.client(cls, server, **copy.deepcopy(kwa))
        assert client.reopen() is True
        for request in copy.deepcopy(requests):
            client.request(**request)
        queued = copy.deepcopy(list(client.requests))
        seen: list[Any] = []  # as they come: hio empties a body when the next one begins (D56)

        def all_seen() -> bool:
            seen.extend(copy.deepcopy(list(client.responses)[len(seen) :]))
            return len(seen) == len(requests)

        loop.run(client, until=all_seen, rounds=400)
        loop.rounds(3, client)
        respondent, requester, connector = client.respondent, client.requester, client.connector
        result = {
            "queued": queued,
            "responses": seen,
            "tuples": [tuple(client.attrify(response)) for response in seen],
            "sent": [request.decode("iso-8859-1") for request in server.requests],
            "links": len(server.links),
            "client": {
                name: getattr(client, name)
                for name in ("requests", "redirects", "events", "waited", "latest", "secured")
            },
            "respondent": {
                name: getattr(respondent, name)
                for name in (
                    "status", "code", "reason", "version", "headers", "body", "data", "errored",
                    "error", "ended", "headed", "bodied", "evented", "redirectable", "redirected",
                    "persisted", "chunked", "length", "jsoned", "dictable", "method", "msg",
                )
            },
            "requester": {
                name: getattr(requester, name)
                for name in (
                    "hostname", "port", "scheme", "method", "path", "qargs", "fragment",
                    "headers", "body", "data", "fargs", "head", "msg", "lines",
                )
            },
            "connector": {
                name: getattr(connector, name)
                for name in (
                    "hostname", "host", "port", "ha", "accepted", "connected", "cutoff", "opened",
                    "txbs", "rxbs", "bs", "wl", "reconnectable", "tymeout",
                )
            },
        }  # fmt: skip
        assert respondent.msg is connector.rxbs
        shown: dict[str, Any] = plain(result, server.port)
        return shown


@pytest.mark.parametrize("name", list(SCENARIOS))
def test_as_hio(name: str) -> None:
    kwa, requests, script = SCENARIOS[name]
    theirs = play(hio_clienting.Client, kwa, requests, script)
    ours = play(Client, kwa, requests, script)
    assert [list(response) for response in theirs["responses"]] == [
        list(response) for response in ours["responses"]
    ]
    for part in theirs:
        assert ours[part] == theirs[part], part


def test_signatures() -> None:
    """Parameters added beyond hio's are keyword-only."""
    for name in ("Client", "Requester", "Respondent", "ClientDoer"):
        theirs, ours = getattr(hio_clienting, name), getattr(clienting, name)
        for method, function in inspect.getmembers(theirs, inspect.isfunction):
            if method.startswith("_") and method != "__init__":
                continue
            have = inspect.signature(getattr(ours, method)).parameters
            want = inspect.signature(function).parameters
            kept = [p for p in have.values() if p.kind is not p.KEYWORD_ONLY or p.name in want]
            assert [p.name for p in kept] == [p.name for p in want.values()], (name, method)
            for parameter in want.values():
                if method != "enter":
                    assert have[parameter.name].default == parameter.default, (name, method)
    theirs_function = inspect.signature(hio_clienting.backendRequest)
    assert list(inspect.signature(backendRequest).parameters) == list(theirs_function.parameters)


def test_response_is_hios_namedtuple() -> None:
    assert Response is hio_clienting.Response
    made = Response((1, 1), 200, "OK", Hict(), bytearray(b"ok"), None, {}, False, None)
    assert made == hio_clienting.Response(
        (1, 1), 200, "OK", Hict(), bytearray(b"ok"), None, {}, False, None
    )


def test_attributes_of_the_connector() -> None:
    """All that hio's connectors set is there, also in later versions of hio."""
    for theirs, ours in ((tcp.Client, Connector), (tcp.ClientTls, ConnectorTls)):
        for name in vars(theirs(host="127.0.0.1", port=9)):
            assert hasattr(ours(host="127.0.0.1", port=9), name), name


def test_construct() -> None:
    client = Client(hostname="127.0.0.1", port=4321, scheme="https", name="n", uid=7)
    assert client.secured
    assert isinstance(client.connector, tcp.ClientTls)
    assert client.connector.ha == ("127.0.0.1", 4321)
    assert client.requester.build().startswith(b"GET / HTTP/1.1\r\nHost: 127.0.0.1:4321\r\n")
    client = Client(path="http://localhost:81/a/b?x=1&y#f", qargs={"z": "2"})
    assert not client.secured
    assert client.connector.hostname == "localhost"
    assert client.connector.ha == ("127.0.0.1", 81)
    assert client.requester.path == "/a/b"
    assert client.requester.qargs == {"z": "2", "x": "1", "y": "true"}
    assert client.requester.fragment == "f"
    assert Client(path="https://localhost/?").connector.port == 443
    assert Client(path="http://localhost/", hostname=None, port=None).connector.port == 80
    assert Client(hostname="localhost:8080").connector.port == 8080


@pytest.mark.parametrize(
    ("name", "kwa"),
    [
        ("hostname", {"hostname": None}),
        ("hostname", {"hostname": "a b"}),
        ("port", {"port": 70000}),
        ("port", {"port": "x"}),
        ("path", {"path": "/a\r\nX: y"}),
        ("path", {"path": "http://[::1"}),
        ("timeout", {"timeout": 0}),
        ("timeout", {"timeout": -1}),
        ("timeout", {"timeout": "1"}),
        ("timeout", {"timeout": float("nan")}),
        ("timeout", {"timeout": True}),
        ("timeout", {"timeout": (1, 2)}),
        ("timeout", {"timeout": {"read": 1}}),
        ("maxBody", {"maxBody": -1}),
        ("maxRedirects", {"maxRedirects": 1.5}),
        ("bufsize", {"bufsize": 0}),
        ("bufsize", {"bufsize": 2**31}),
        ("scheme", {"connector": tcp.Client(host="127.0.0.1", port=9), "scheme": "https"}),
        ("scheme", {"scheme": None}),
        ("scheme", {"scheme": b"https"}),
        ("connector", {"connector": object()}),
        ("limits", {"respondent": clienting.Respondent(), "maxBody": 5}),
    ],
)
def test_wrong_call(name: str, kwa: dict[str, Any]) -> None:
    """D40: a wrong argument is a ValueError that names it."""
    with pytest.raises(ValueError, match=name):
        Client(**kwa)


@pytest.mark.usefixtures("no_names")
def test_unresolved() -> None:
    """D41: a name that does not resolve is a typed error, and a gaierror as in hio."""
    with pytest.raises(errors.ResolutionError) as caught:
        Client(hostname="no-such-host.invalid")
    assert isinstance(caught.value, socket.gaierror)
    assert isinstance(caught.value, httping.HTTPException)
    assert caught.value.code == "unresolved"


def test_bufsize() -> None:
    """D42: bufsize is honoured; bs, which hio's connector takes, goes before it."""
    assert Client(hostname="127.0.0.1").connector.bs == 8096
    assert Client(hostname="127.0.0.1", bufsize=131072).connector.bs == 131072
    assert Client(hostname="127.0.0.1", bufsize=131072, bs=77).connector.bs == 77
    with Server([Request(), answer(b"x" * 5000)]) as server, Loop(server) as loop:
        wl = wiring.WireLog()
        wl.reopen()
        client = loop.client(Client, server, bufsize=100, wl=wl)
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=60)
        logged = wl.readRx()
        wl.close()
        assert client.responses[0]["body"] == b"x" * 5000
        assert logged.count(b"Rx") == -(-(5000 + len(answer(b"")) + 3) // 100)


def test_ipv6() -> None:
    """D41: IPv6, literal in every spelling."""
    try:
        server = Server([Request(), OK], family=socket.AF_INET6)
    except OSError as error:
        pytest.skip(f"no IPv6 on this machine: {error}")
    with server, Loop(server) as loop:
        for kwa in (
            {"hostname": "::1", "port": server.port},
            {"hostname": f"[::1]:{server.port}"},
            {"path": f"http://[::1]:{server.port}/a"},
        ):
            client = loop.client(Client, **kwa)
            client.request(path="/a")
            loop.run(client, until=lambda client=client: client.responses, rounds=60)
            assert client.responses[0]["status"] == 200
            assert client.responses[0]["request"]["host"] == "::1"
            assert client.connector.ha[:2] == ("::1", server.port)
        assert all(
            fields_of(request)["host"] == f"[::1]:{server.port}" for request in server.requests
        )


def test_next_address_on_refusal() -> None:
    """D41: a name with several addresses: the next one is tried."""
    from fasthio.resolving import Address

    with Server([Request(), OK]) as server, Loop(server) as loop:
        client = loop.client(Client, hostname="localhost", port=server.port)
        client.connector.addresses = [
            Address(socket.AF_INET, ("127.0.0.2", server.port)),
            Address(socket.AF_INET, ("127.0.0.3", server.port)),
            Address(socket.AF_INET, ("127.0.0.1", server.port)),
        ]
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert not client.responses[0]["errored"]
        assert client.connector.ha == ("127.0.0.1", server.port)


# event streams


def test_event_stream_reconnects() -> None:
    """As in hio: after a drop the stream is asked for again with Last-Event-ID."""
    rest = b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\nid: 2\ndata: 3\n\n"
    with (
        Server([Request(), STREAM, Wait(5), CLOSE], [Request(), rest]) as server,
        Loop(server, tock=0.25) as loop,
    ):
        client = loop.client(Client, server, reconnectable=True, tymeout=1.0)
        client.request(path="/stream", headers={"Accept": "application/json"})
        loop.run(client, until=lambda: len(client.events) == 2, rounds=60)
        assert client.waited
        assert client.respondent.retry == 1000
        assert client.respondent.leid == "1"
        assert not client.responses
        loop.run(client, until=lambda: len(client.events) == 3, rounds=60)
        assert [event["data"] for event in client.events] == ["START", "1\n2", "3"]
        assert "last-event-id" not in fields_of(server.requests[0])
        assert fields_of(server.requests[1])["last-event-id"] == "1"
        assert client.waited
        assert not client.respondent.ended
        assert client.respondent.leid == "2"


def test_event_stream_reconnects_without_id() -> None:
    """D68: also where no event had an id (hio: never asked for again)."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nretry: 10\n"
    with (
        Server([Request(), head + b"data: 1\n\n", CLOSE], [Request(), head + b"data: 2\n\n"]) as s,
        Loop(s) as loop,
    ):
        client = loop.client(Client, s, reconnectable=True)
        client.request()
        loop.run(client, until=lambda: len(client.events) == 2, rounds=60)
        assert [event["data"] for event in client.events] == ["1", "2"]


@pytest.mark.parametrize("framing", ["close", "chunked", "fixed"])
def test_event_stream_ends(framing: str) -> None:
    """D69: without reconnectable the end of a stream is a response; the queue goes on."""
    events = b"data: 1\n\ndata: 2\n\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    octets = {
        "close": head + b"\r\n" + events,
        "chunked": head + b"Transfer-Encoding: chunked\r\n\r\n12\r\n" + events + b"\r\n0\r\n\r\n",
        "fixed": head + b"Content-Length: 18\r\n\r\n" + events,
    }[framing]
    end = [CLOSE] if framing == "close" else [Request(), OK]
    with Server([Request(), octets, *end], [Request(), OK]) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        client.request(reply=1)
        client.request(reply=2)
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=60)
        assert [event["data"] for event in client.events] == ["1", "2"]
        first, second = client.responses
        assert first["status"] == 200
        assert not first["errored"]
        assert first["request"]["reply"] == 1
        assert not second["errored"]

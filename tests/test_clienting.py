"""Client beside hio's: the same exchanges, the same dicts, attributes and ways of use."""

from __future__ import annotations

import copy
import gc
import inspect
import pickle
import socket
import sys
import weakref
from collections import deque
from typing import Any

import pytest
from hio.base import doing, tyming
from hio.core import tcp, wiring
from hio.core.http import clienting as hio_clienting
from hio.core.http import httping
from hio.help import Hict

from fasthio import clienting, errors
from fasthio.clienting import Client, ClientDoer, Response, backendRequest, openClient
from fasthio.connecting import Connector, ConnectorTls
from fasthio.grammar import Limits
from servers import CLOSE, OK, RESET, Loop, Request, Server, Wait, answer, fields_of

JSON = answer(b'{"a": [1, null], "b": {"c": "d"}}', Content_Type="application/json")
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


# how programs use it


def test_requests_are_theirs_to_append() -> None:
    """The same dict may be appended again and again; it is never changed."""
    with Server([Request(), OK] * 3) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        request = {
            "method": "GET", "path": "/echo?name=fame", "qargs": {}, "fragment": "",
            "headers": {"Accept": "a/b"}, "body": None, "mid": 1, "drop": ".stuff",
        }  # fmt: skip
        before = copy.deepcopy(request)
        client.requests.append(request)
        assert client.requests[0] is request
        client.requests.append(request)
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=60)
        before["qargs"] = {"name": "fame"}  # hio's requester puts the query of a path there
        assert request == before
        assert client.responses[0]["request"]["drop"] == ".stuff"
        assert client.responses[0]["request"]["path"] == "/echo"


def test_given_containers() -> None:
    requests: deque[Any] = deque()
    responses: deque[Any] = deque()
    events: deque[Any] = deque()
    redirects: list[Any] = []
    client = Client(
        hostname="127.0.0.1", requests=requests, responses=responses, events=events,
        redirects=redirects,
    )  # fmt: skip
    assert client.requests is requests
    assert client.responses is responses
    assert client.events is events
    assert client.redirects is redirects
    assert client.respondent.events is events


def test_identity_and_equality() -> None:
    client = Client(hostname="127.0.0.1")
    doer = ClientDoer(client)
    assert client != doer
    assert client in [doer, client]
    assert client not in [Client(hostname="127.0.0.1")]
    assert {client: 1}[client] == 1


def test_close_twice() -> None:
    client = Client(hostname="127.0.0.1")
    client.close()
    client.reopen()
    client.close()
    client.close()
    assert client.connector.cs is None
    assert not client.connector.opened


class Guarded(Client):
    """A subclass as programs write it."""

    def __init__(self, *pa: Any, maxRedirects: int = 1, **kwa: Any) -> None:
        self.maxRedirects = maxRedirects
        self._blockPrivate = None
        self.called = 0
        super().__init__(*pa, **kwa)

    def redirect(self) -> None:
        self.called += 1
        if len(self.redirects) > self.maxRedirects:
            response = self.redirects.pop()
            if self.redirects:
                response["redirects"] = list(self.redirects)
            self.redirects = []
            self.responses.append(response)
            self.waited = False
            self.respondent.redirectant = False
            self.respondent.redirected = False
            return
        super().redirect()


def test_subclass_with_its_own_redirect() -> None:
    redirect = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /x\r\n\r\n"
    script = [Request(), redirect, Request(), redirect, Request(), OK]
    with Server(script) as server, Loop(server) as loop:
        client = loop.client(Guarded, server)
        client.request(reply=1)
        client.request(reply=2)
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=60)
        first, second = client.responses
        assert client.maxRedirects == 1
        assert client.called == 2
        assert first["status"] == 302
        assert first["request"]["reply"] == 1
        assert len(first["redirects"]) == 1
        assert second["status"] == 200
        assert "redirects" not in second
        assert len(server.links) == 1


def test_waited_set_to_false() -> None:
    """The program gives up on an exchange: its response answers no later request."""
    with (
        Server([Request(), Wait(4), answer(b"late")], [Request(), answer(b"good")]) as server,
        Loop(server) as loop,
    ):
        client = loop.client(Client, server)
        client.request(path="/1")
        loop.run(client, until=lambda: server.requests, rounds=40)
        client.waited = False
        client.request(path="/2")
        loop.run(client, until=lambda: client.responses, rounds=60)
        loop.rounds(10, client)
        assert [response["body"] for response in client.responses] == [b"good"]


def test_connector_methods_replaced_by_lambdas() -> None:
    client = Client(hostname="127.0.0.1", port=9)
    calls: list[str] = []
    connector = client.connector
    connector.accepted = connector.connected = True
    for name in ("serviceConnect", "serviceSends", "serviceReceives", "close"):
        setattr(connector, name, lambda name=name: calls.append(name))
    connector.tx = lambda octets: calls.append(bytes(octets[:5]).decode())
    client.request()
    client.service()
    client.service()
    # a look before it is used, then as hio
    services = ["serviceSends", "serviceReceives"]
    assert calls == ["serviceReceives", "GET /", *services, *services]
    connector.accepted = False
    client.service()
    assert "serviceConnect" in calls
    connector.rxbs.extend(OK)
    connector.accepted = True
    client.service()
    assert client.responses[0]["body"] == b"ok"


@pytest.mark.parametrize("name", ["receive", "send"])
def test_connector_receive_and_send_replaced(name: str) -> None:
    with Server([Request(), OK]) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        calls = []
        own = getattr(client.connector, name)

        def spy(*pa: Any) -> Any:
            calls.append(pa)
            return own(*pa)

        setattr(client.connector, name, spy)
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert calls


def test_monkeypatched_service(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(clienting.Client, "service", lambda self: calls.append(self))
    client = Client(hostname="127.0.0.1")
    doer = ClientDoer(client)
    doer.recur(0.0)
    assert calls == [client]


class Fake:
    """What programs give to the real ClientDoer in their tests."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def wind(self, tymth: Any) -> None:
        self.calls.append("wind")

    def reopen(self) -> None:
        self.calls.append("reopen")

    def service(self) -> None:
        self.calls.append("service")

    def close(self) -> None:
        self.calls.append("close")

    def request(self, **kwa: Any) -> None:
        self.calls.append("request")


def test_doer_runs_a_fake() -> None:
    fake = Fake()
    doist = doing.Doist(limit=0.1, tock=0.03125, doers=[ClientDoer(fake)])
    doist.do()
    calls = fake.calls
    assert calls[0] == "wind"
    assert calls[-1] == "close"
    assert calls.count("reopen") == 1
    assert calls.count("service") >= 2
    assert calls.index("reopen") < calls.index("service")


def test_doer_winds_at_construction() -> None:
    tymist = tyming.Tymist(tyme=5.0)
    client = Client(hostname="127.0.0.1", port=9)
    doer = ClientDoer(client, tymth=tymist.tymen())
    assert client.connector.tyme == 5.0
    doer.enter(temp=None)
    assert client.connector.opened
    doer.exit()
    assert not client.connector.opened
    assert isinstance(doer, doing.Doer)


def test_doer_under_a_doist() -> None:
    with Server([Request(), JSON]) as server:
        client = Client(hostname="127.0.0.1", port=server.port)
        client.request()

        class ServerDoer(doing.Doer):  # type: ignore[misc]
            def recur(self, tyme: float) -> bool:
                server.step()
                return bool(client.responses)

        doing.Doist(limit=20.0, tock=0.125, doers=[ClientDoer(client), ServerDoer()]).do()
        assert client.responses[0]["data"] == {"a": [1, None], "b": {"c": "d"}}
        assert client.connector.cs is None


def test_open_client() -> None:
    with openClient(hostname="127.0.0.1", port=9) as client:
        assert type(client) is Client
        assert client.connector.opened
    assert not client.connector.opened
    with openClient(cls=Guarded, hostname="127.0.0.1", port=9) as client:
        assert type(client) is Guarded
    with pytest.raises(ValueError, match="hostname"), openClient(hostname=None):
        pass


def test_respond() -> None:
    client = Client(hostname="127.0.0.1")
    assert client.respond() is None
    with Server([Request(), OK]) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=60)
        response = client.respond()
        assert isinstance(response, Response)
        assert response.status == 200
        assert response.body == b"ok"
        assert client.respond() is None
        assert Client.attrify(dict(zip(Response._fields, response, strict=True))) == response


def drive(generator: Any, loop: Loop) -> Any:
    """Run a generator to its end beside the servers; give what it returns."""
    for _ in range(60):
        try:
            given = next(generator)
        except StopIteration as stop:
            return stop.value
        assert given == b""
        loop.round()
    raise AssertionError("the generator did not end")


def test_service_while_gen() -> None:
    """D52: hio's raises AttributeError."""
    with Server([Request(), OK]) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        client.request()
        result = drive(client.serviceWhileGen(tymeout=5.0), loop)
        assert isinstance(result, Response)
        assert result.body == b"ok"
        client.request()
        assert drive(client.serviceWhileGen(tymeout=0.05), loop) is None


@pytest.mark.parametrize("buffered", [False, True])
def test_backend_request(buffered: bool, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring.WireLog, "HeadDirPath", str(tmp_path))
    with Server([Request(), JSON, CLOSE]) as server, Loop(server) as loop:
        generator = backendRequest(
            loop.tymth, host="127.0.0.1", port=server.port, path="/x", qargs={"a": "b"},
            buffered=buffered,
        )  # fmt: skip
        result = drive(generator, loop)
        assert result["data"] == {"a": [1, None], "b": {"c": "d"}}
        assert server.requests[0].startswith(b"GET /x?a=b HTTP/1.1\r\n")
        assert fields_of(server.requests[0])["connection"] == "close"
        logs = list(tmp_path.rglob("*.log"))
        assert len(logs) == (1 if buffered else 0)
        if buffered:
            logged = logs[0].read_bytes()
            assert b"Tx" in logged
            assert b"GET /x?a=b" in logged
            assert b"HTTP/1.1 200" in logged


def test_backend_request_time_is_up() -> None:
    with Server([Request()]) as server, Loop(server, tock=0.25) as loop:
        generator = backendRequest(loop.tymth, host="127.0.0.1", port=server.port, tymeout=1.0)
        assert drive(generator, loop) is None


def test_backend_request_wrong_call() -> None:
    """D53: the reason comes out, not an UnboundLocalError."""
    with pytest.raises(ValueError, match="port"):
        next(backendRequest(tyming.Tymist().tymen(), host="127.0.0.1", port=-1))


def test_transmit_alone() -> None:
    """A bare transmit sends what the requester holds; its method counts for the response."""
    with Server([Request(), OK[:-2], Request(), OK]) as server, Loop(server) as loop:
        client = loop.client(Client, server, method="HEAD", path="/x", headers={"A": "b"})
        client.transmit()
        assert client.waited
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert client.responses[0]["body"] == b""
        assert client.responses[0]["request"]["path"] == "/x"
        assert "reply" not in client.responses[0]["request"]
        client.transmit(method="GET", path="/y")
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=60)
        assert client.responses[1]["body"] == b"ok"


def test_reopen_after_the_respondent_was_closed() -> None:
    """What is said of the connection before does not count for the next one."""
    with Server([], [Request(), OK[:-1], Wait(3), OK[-1:]]) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        client.reopen()
        loop.run(client, until=lambda: client.connector.connected, rounds=40)
        client.respondent.close()
        client.reopen()
        assert not client.respondent.closed
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert not client.responses[0]["errored"]
        assert client.responses[0]["body"] == b"ok"


@pytest.mark.parametrize("cls", [hio_clienting.Client, Client])
def test_redirect_of_the_programs_own_making(cls: Any) -> None:
    """As in hio, `redirect` asks no more of the last redirect than its headers."""
    with Server([]) as home, Server([Request(), OK]) as away, Loop(home, away) as loop:
        client = loop.client(cls, home)
        client.reopen()
        loop.run(client, until=lambda: client.connector.connected, rounds=40)
        location = f"http://127.0.0.1:{away.port}/next"
        client.redirects = [{"headers": Hict({"Location": location}), "method": "GET"}]
        client.redirect()
        assert client.connector.ha == ("127.0.0.1", away.port)
        assert client.respondent.msg is client.connector.rxbs
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert client.responses[0]["body"] == b"ok"
        assert away.requests[0].startswith(b"GET /next HTTP/1.1\r\n")


@pytest.mark.parametrize("closing", [True, False], ids=["closes", "goes on to listen"])
def test_next_request_after_a_response_that_said_close(closing: bool) -> None:
    """Witnesses say close with each response and yet serve on; no `reconnectable` is set."""
    last = [CLOSE] if closing else []
    close = answer(b"ok", Connection="close")
    with Server([Request(), close, *last], [Request(), OK]) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        client.reopen()
        client.request(path="/1")
        loop.run(client, until=lambda: client.responses, rounds=60)
        loop.rounds(5, client)
        client.request(method="POST", path="/2", body=b"x")
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=60)
        assert [each["status"] for each in client.responses] == [200, 200]
        assert not any(each["errored"] for each in client.responses)


def ended_between(cls: Any, **kwa: Any) -> list[Any]:
    """Give `respondent.ended` after each service between one response and the next."""
    with Server([Request(), OK, Request(), Wait(4), OK]) as server, Loop(server) as loop:
        client = loop.client(cls, server, **kwa)
        assert client.reopen() is True
        client.request(path="/1")
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert client.respondent.ended
        client.request(path="/2")
        seen = []

        def second() -> bool:
            seen.append(bool(client.respondent.ended))
            return len(client.responses) == 2

        loop.run(client, until=second, rounds=60)
        return seen


@pytest.mark.parametrize("given", ["own parts", "hio's respondent"])
def test_ended_is_of_the_response_under_way(given: str) -> None:
    """A program that waits for `ended` does not take the last response's for the next one's."""

    def parts() -> dict[str, Any]:
        return {} if given == "own parts" else {"respondent": hio_clienting.Respondent()}

    for seen in (ended_between(hio_clienting.Client), ended_between(Client, **parts())):
        assert len(seen) > 2
        assert seen[-1]
        assert not any(seen[1:-1])


def test_transmit_before_and_by_hand() -> None:
    """The connector driven by hand, as hio's own tests do."""
    with Server([Request(), OK]) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        assert client.connector.reopen() is True
        loop.run(until=lambda: client.connector.serviceConnect(), rounds=40)
        octets = client.requester.rebuild()
        client.connector.tx(octets)
        client.connector.serviceSends()
        assert not client.connector.txbs
        loop.run(
            until=lambda: client.connector.serviceReceives() or client.connector.rxbs, rounds=40
        )
        assert client.connector.rxbs == OK
        for _ in range(10):
            if client.respondent.parser is None:
                break
            client.respondent.parse()
        client.respondent.dictify()
        assert client.respondent.body == b"ok"
        assert not client.connector.rxbs


@pytest.mark.parametrize("order", ["transmit first", "connect first"])
def test_sent_by_hand_then_serviced(order: str) -> None:
    """What the program sent by hand is not sent twice."""
    with Server([Request(), Wait(2), OK]) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        if order == "transmit first":
            client.transmit()
        loop.run(until=lambda: client.connector.serviceConnect(), rounds=40)
        if order == "connect first":
            client.transmit()
        client.connector.serviceSends()
        loop.run(client, until=lambda: client.responses, rounds=40)
        assert not client.responses[0]["errored"]
        assert not server.links[0].received


def test_hios_own_parts() -> None:
    """hio's connector, requester and respondent may be given."""
    for parts in ("connector", "requester", "respondent", "all"):
        script = [Request(), OK, Request(), JSON, Request(), b"HTTP/1.0 200 OK\r\n\r\nhello", CLOSE]
        with Server(script, [Request(), b"HTTP", CLOSE]) as server, Loop(server) as loop:
            kwa: dict[str, Any] = {}
            if parts in ("connector", "all"):
                kwa["connector"] = tcp.Client(host="127.0.0.1", port=server.port, tymth=loop.tymth)
            if parts in ("requester", "all"):
                kwa["requester"] = hio_clienting.Requester()
            if parts in ("respondent", "all"):
                kwa["respondent"] = hio_clienting.Respondent()
            client = loop.client(Client, server, **kwa)
            for name in kwa:
                assert getattr(client, name) is kwa[name]
            for number in range(4):
                client.request(path=f"/{number}", reply=number)
            loop.run(client, until=lambda c=client: len(c.responses) == 4, rounds=60)
            assert [r["body"] for r in client.responses][:3] == [
                b"ok",
                b'{"a": [1, null], "b": {"c": "d"}}',
                b"hello",
            ]
            assert [r["request"]["reply"] for r in client.responses] == [0, 1, 2, 3]
            assert [r["errored"] for r in client.responses] == [False, False, False, True]


@pytest.mark.parametrize("cut", range(0, 60, 3))
def test_hios_own_parts_cut_off(cut: int) -> None:
    octets = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    with Server([Request(), octets[:cut], CLOSE]) as server, Loop(server) as loop:
        client = loop.client(
            Client, server, respondent=hio_clienting.Respondent(),
            connector=tcp.Client(host="127.0.0.1", port=server.port, tymth=loop.tymth),
        )  # fmt: skip
        client.request()
        client.request()
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=60)
        assert client.responses[1]["errored"]


def test_errors_can_be_kept() -> None:
    """A reason compares, pickles and copies as the text it is."""
    with Server([Request(), CLOSE]) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=60)
        error = client.responses[0]["error"]
        assert isinstance(error, str)
        assert client.respondent.errored
        assert client.respondent.error == error
        again = pickle.loads(pickle.dumps(client.responses[0]))
        assert again["error"] == error
        assert again["error"].code == error.code
        assert copy.deepcopy(client.responses[0])["error"].code == error.code


ENDS: dict[str, list[Any]] = {
    "in order": [Request(), OK],
    "cut": [Request(), OK[:20], CLOSE],
    "reset": [Request(), RESET],
    "malformed": [Request(), b"SSH-2.0\r\n"],
    "bad chunk": [Request(), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
    "bad event": [
        Request(),
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nlonger",
    ],
    "bad coding": [Request(), answer(b"no gzip", Content_Encoding="gzip")],
    "bad location": [Request(), answer(b"", 302, Location="http://[/")],
    "silent": [Request()],
    "bad request": [Request()],
}


@pytest.mark.parametrize("end", list(ENDS))
def test_an_error_that_is_kept_keeps_nothing_else(end: str) -> None:
    """A client that is dropped is gone, without a run of the garbage collector."""
    with Server(ENDS[end]) as server, Loop(server) as loop:
        client = Client(
            hostname="127.0.0.1", port=server.port, tymth=loop.tymth, timeout=0.5, decode=True,
            limits=Limits(event_line=5),
        )  # fmt: skip
        gone = [weakref.ref(each) for each in (client, client.connector, client.respondent)]
        client.requests.append({"path": "/\n" if end == "bad request" else "/"})
        responses = client.responses
        loop.run(client, until=lambda: responses, rounds=200)
        error = responses[0]["error"]
        assert (error is None) is (end == "in order")
        client.close()
        gc.disable()
        try:
            del client
            if sys.implementation.name != "cpython":
                gc.collect()
            assert [each() for each in gone] == [None, None, None]
        finally:
            gc.enable()


def test_request_defaults_are_copies() -> None:
    client = Client(hostname="127.0.0.1", headers={"A": "b"}, qargs={"c": "d"})
    client.request()
    request = client.requests[0]
    assert request["headers"] == client.requester.headers
    assert request["headers"] is not client.requester.headers
    assert request["qargs"] is not client.requester.qargs
    assert list(request) == [
        "method", "path", "qargs", "fragment", "headers", "body", "data", "fargs",
    ]  # fmt: skip
    client.request(reply=None, extra=None)
    assert "reply" not in client.requests[1]
    assert "extra" not in client.requests[1]


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

"""Client as programs use it: subclassed, patched, driven by hand, with hio's own parts."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import weakref
from collections import deque
from typing import Any

import pytest
from hio.core import tcp
from hio.core.http import clienting as hio_clienting
from hio.help import Hict

from fasthio import clienting
from fasthio.clienting import Client, ClientDoer, Response, openClient
from fasthio.grammar import Limits
from fasthio.requesting import Requester
from servers import CLOSE, JSON, OK, RESET, Loop, Request, Server, Wait, answer


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


def test_rebuild_that_takes_names_alone() -> None:
    """A requester of a program's own gets its arguments by name, as from hio's client."""

    class Named(Requester):
        def rebuild(self, **kwa: Any) -> bytes:
            return super().rebuild(**kwa)

    with Server([Request(), OK]) as server, Loop(server) as loop:
        client = loop.client(Client, server, requester=Named(port=server.port))
        client.request(path="/a")
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert not client.responses[0]["errored"]


@pytest.mark.parametrize("name", ["build", "rebuild", "reinit", "transmit"])
@pytest.mark.parametrize("of_class", [False, True])
def test_method_replaced_is_called_for_the_same_request(
    monkeypatch: pytest.MonkeyPatch, name: str, of_class: bool
) -> None:
    """D80: on the instance, or on the class."""
    with Server([Request(), OK] * 4) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        for _ in range(2):
            client.request(path="/same")
            loop.run(client, until=lambda: client.responses, rounds=60)
            client.responses.clear()
        of: Any = client if name == "transmit" else client.requester
        of = type(of) if of_class else of
        calls = []
        real = getattr(of, name)

        def replaced(*pa: Any, **kwa: Any) -> Any:
            calls.append(name)
            return real(*pa, **kwa)

        monkeypatch.setattr(of, name, replaced)
        client.request(path="/same")
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert calls

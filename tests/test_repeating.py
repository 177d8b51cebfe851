"""The same request again: what is kept is found only where it is the same, and tells the same.

Each case is played by a client that may find its requests again and by one that makes
each anew; both must send, answer and leave the same.
"""

from __future__ import annotations

from typing import Any

import pytest
from hio.core.http import httping
from hio.help import Hict

from fasthio import Client, Requester, Respondent
from fasthio.repeating import Whole
from servers import CLOSE, RESET, Loop, Request, Server, answer


class Nothing:
    """A sink that counts as false."""

    def __bool__(self) -> bool:
        return False

    def __call__(self, octets: bytes) -> None:
        assert octets


class Anew(Client):
    """Makes each request anew: its `transmit` is one of its own."""

    def transmit(self, *pa: Any, **kwa: Any) -> None:
        super().transmit(*pa, **kwa)


def ask(client: Client, **kwa: Any) -> None:
    client.request(**{"method": "GET", "path": "/a", **kwa})


def queue(client: Client, **kwa: Any) -> None:
    """Ask by hand, as programs do."""
    request: dict[str, Any] = {
        "method": "GET", "path": "/a", "qargs": {}, "fragment": "", "headers": Hict(),
        "body": b"", "data": None, "fargs": None,
    }  # fmt: skip
    request.update(kwa)
    client.requests.append(request)


def change_queued(client: Client, name: str, value: Any) -> None:
    ask(client)
    client.requests[-1][name] = value


#: What a program does for its third request.
CASES: dict[str, Any] = {
    "the same": ask,
    "nothing named": lambda c: c.request(),
    "method of another case": lambda c: ask(c, method="get"),
    "another method": lambda c: ask(c, method="DELETE"),
    "HEAD": lambda c: ask(c, method="HEAD"),
    "another path": lambda c: ask(c, path="/b"),
    "path with a query": lambda c: ask(c, path="/a?b=c"),
    "path with a fragment": lambda c: ask(c, path="/a#b"),
    "qargs": lambda c: ask(c, qargs={"b": "c"}),
    "no qargs": lambda c: ask(c, qargs={}),
    "fragment": lambda c: ask(c, qargs={}, fragment="f"),
    "fields": lambda c: ask(c, headers={"A": "b"}),
    "no fields": lambda c: ask(c, headers={}),
    "body": lambda c: ask(c, method="POST", body=b"x"),
    "data": lambda c: ask(c, method="POST", data={"a": 1}),
    "form": lambda c: ask(c, method="POST", fargs={"a": 1}),
    "reply": lambda c: ask(c, reply=7),
    "what travels along": lambda c: ask(c, mark=[1]),
    "by hand": queue,
    "by hand, fields in a dict": lambda c: queue(c, headers={}),
    "by hand, more": lambda c: queue(c, mark=1),
    "by hand, less": lambda c: c.requests.append({"method": "GET", "path": "/a"}),
    "by hand, nothing": lambda c: c.requests.append({}),
    "by hand, body that can change": lambda c: queue(c, body=bytearray()),
    "by hand, unbuildable": lambda c: queue(c, path="/\r\n"),
    "queued, then another path": lambda c: change_queued(c, "path", "/b"),
    "queued, then fields": lambda c: change_queued(c, "headers", Hict(A="b")),
    "queued, then data": lambda c: change_queued(c, "data", [1]),
    "queued, then more": lambda c: change_queued(c, "mark", 1),
    "queued fields changed in place": lambda c: (ask(c), c.requests[-1]["headers"].add("A", "b")),
    "requester's fields": lambda c: (c.requester.headers.add("A", "b"), ask(c)),
    "requester's fields, a dict": lambda c: (setattr(c.requester, "headers", Hict(B=1)), ask(c)),
    "requester's qargs": lambda c: (c.requester.qargs.update(a=1), ask(c)),
    "requester's fragment": lambda c: (setattr(c.requester, "fragment", "f"), ask(c)),
    "requester's path": lambda c: (setattr(c.requester, "path", "/b"), c.request()),
    "requester's method": lambda c: (setattr(c.requester, "method", "PUT"), c.request()),
    "requester's hostname": lambda c: (setattr(c.requester, "hostname", "localhost"), ask(c)),
    "requester's port": lambda c: (setattr(c.requester, "port", 81), ask(c)),
    "requester's portOptional": lambda c: (setattr(c.requester, "portOptional", True), ask(c)),
    "requester's scheme": lambda c: (setattr(c.requester, "scheme", "https"), ask(c)),
    "queued, then requester's port": lambda c: (ask(c), setattr(c.requester, "port", 81)),
    "queued, then requester's fields": lambda c: (ask(c), c.requester.headers.add("A", "b")),
    "octets left to send": lambda c: (ask(c), c.connector.txbs.extend(b"")),
    "parser driven by hand": lambda c: (next(c.respondent.parser), ask(c)),
    "octets of nobody": lambda c: (c.connector.rxbs.extend(b"x"), ask(c)),
    "reopened": lambda c: (ask(c), c.reopen()),
    "closed": lambda c: (ask(c), c.connector.close()),
    "two": lambda c: (ask(c), ask(c)),
}


def tell(response: dict[str, Any]) -> dict[str, Any]:
    """Give all of a response in what can be compared, with types and order."""
    request = response["request"]
    headers = request.get("headers")
    told = {
        **response,
        "headers": list(response["headers"].items()),
        "request": [
            (name, type(value), list(value.items()) if name == "headers" and value else value)
            for name, value in request.items()
            if name != "port" or value == 81
        ],
        "error": str(response["error"]),
        "types": [type(value) for value in response.values()],
        "fields": type(headers),
    }
    told["keys"] = list(response)
    return told


def play(kind: type[Client], case: Any, **kwa: Any) -> dict[str, Any]:
    """Ask twice, then as the case says, then twice more; give all there is to see."""
    script = [Request(), lambda octets: answer(octets.split(b" ")[1], Connection="keep-alive")]
    with Server(script * 8, script * 8) as server, Loop(server) as loop:
        client: Any = loop.client(kind, server, reconnectable=True, **kwa)
        for _ in range(2):
            ask(client)
            loop.run(client, until=lambda: not (client.requests or client.waited))
        case(client)
        loop.run(client, until=lambda: not (client.requests or client.waited), rounds=200)
        for _ in range(2):
            ask(client)
        loop.run(client, until=lambda: not (client.requests or client.waited), rounds=200)
        port = b":%d" % server.port
        requester, respondent = client.requester, client.respondent
        return {
            "octets": [octets.replace(port, b":PORT") for octets in server.requests],
            "links": len(server.links),
            "responses": [tell(response) for response in client.responses],
            "requester": [
                (name, type(value), str(value).replace(port.decode(), ":PORT"))
                for name, value in vars(requester).items()
                if name[0] != "_" and (name != "port" or value == 81)
            ],
            "lines": [line.replace(port, b":PORT") for line in requester.lines],
            "respondent": [
                (name, type(value), list(value.items()) if name == "headers" else value)
                for name, value in vars(respondent).items()
                if name not in ("engine", "_own", "_parser", "fault", "redirects", "events")
            ],
            "waited": client.waited,
            "latest": client.latest,
            "left": (bytes(client.connector.txbs), bytes(client.connector.rxbs)),
        }


@pytest.mark.parametrize("name", list(CASES))
@pytest.mark.parametrize(
    "kwa",
    [
        {},
        {"timeout": 5.0},
        {"decode": True},
        {"sink": Nothing()},
        {"headers": Hict(A=b"b", C=3)},
        {"dictable": True, "redirectable": False},
    ],
    ids=["plain", "timeout", "decode", "sink", "fields", "dictable"],
)
def test_found_or_made_anew(name: str, kwa: dict[str, Any]) -> None:
    assert play(Client, CASES[name], **kwa) == play(Anew, CASES[name], **kwa)


def test_found() -> None:
    """What the other tests compare is really not made anew."""
    taken: list[dict[str, Any]] = []

    class Watched(Client):
        def _repeat(self, request: dict[str, Any]) -> bool:
            found = super()._repeat(request)
            if found:
                taken.append(request)
            return found

    with Server([Request(), answer()] * 3) as server, Loop(server) as loop:
        client: Any = loop.client(Watched, server)
        for number in range(3):
            ask(client)
            loop.run(client, until=lambda n=number: len(client.responses) > n)
        assert len(taken) == 2
        assert [response["request"]["path"] for response in client.responses] == ["/a"] * 3
        parts = [r["request"][name] for r in client.responses for name in ("headers", "qargs")]
        parts += [taken[0]["headers"], client.requester.headers]
        assert len({id(part) for part in parts}) == len(parts), "each has its own"


@pytest.mark.parametrize("kind", [Client, Anew])
def test_request_is_told_as_it_went_out(kind: type[Client]) -> None:
    """D56: what is set while a request is under way is not what was sent."""
    with Server([Request(), answer()] * 3) as server, Loop(server) as loop:
        client: Any = loop.client(kind, server)
        for number in range(3):
            ask(client, path="/a")
            loop.run(client, until=lambda: client.waited)
            client.requester.path = "/other"
            client.requester.headers.add("X", "y")
            loop.run(client, until=lambda n=number: len(client.responses) > n)
            client.requester.headers.clear()
        for response in client.responses:
            assert response["request"]["path"] == "/a"
            assert not response["request"]["headers"]


def test_own_ways_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a program puts in the place of a method is called for repeated requests too."""
    calls: list[str] = []

    def spy(where: Any, name: str) -> None:
        there = getattr(where, name)

        def called(*pa: Any, **kwa: Any) -> Any:
            calls.append(name)
            return there(*pa, **kwa)

        monkeypatch.setattr(where, name, called)

    with Server([Request(), answer()] * 6) as server, Loop(server) as loop:
        client: Any = loop.client(Client, server)

        def once() -> None:
            calls.clear()
            count = len(client.responses)
            ask(client)
            loop.run(client, until=lambda: len(client.responses) > count)

        once()
        once()
        spy(client.connector, "tx")
        once()
        assert calls == ["tx"]
        monkeypatch.undo()
        spy(client.connector, "serviceSends")
        once()
        assert "serviceSends" in calls
        monkeypatch.undo()
        spy(Client, "transmit")
        once()
        assert calls == ["transmit"]
        spy(Client, "serviceRequests")
        spy(Client, "serviceResponse")
        once()
        assert {"transmit", "serviceRequests", "serviceResponse"} == set(calls)


@pytest.mark.parametrize("end", [CLOSE, RESET])
def test_connection_ends_under_a_repeated_request(end: str) -> None:
    with (
        Server([Request(), answer(), Request(), answer(), Request(), end],
               [Request(), answer(b"again")]) as server,
        Loop(server) as loop,
    ):  # fmt: skip
        client: Any = loop.client(Client, server, reconnectable=True, tymeout=0.0)
        for number in range(3):
            ask(client)
            loop.run(client, until=lambda n=number: len(client.responses) > n)
        assert [bytes(r["body"]) for r in client.responses] == [b"ok", b"ok", b"again"]
        assert client.responses[-1]["request"]["path"] == "/a"


def test_what_does_not_go_at_once_is_kept() -> None:
    """A request that the socket does not take whole goes on from `txbs`."""
    with Server([Request(), answer()]) as server, Loop(server) as loop:
        client: Any = loop.client(Client, server)
        ask(client)
        loop.run(client, until=lambda: client.responses)
        connector = client.connector
        octets = b"x" * 50_000_000
        connector.send_direct(octets)
        assert 0 < len(connector.txbs) < len(octets)
        connector.txbs.clear()
        connector.cs.close()
        connector.send_direct(b"abc")
        assert connector.txbs == b"abc"
        assert connector.fault is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [({"A": 1}, {"A": True}), ({"A": "1"}, {"A": b"1"}), ({"A": 1}, {"A": 1.0})],
)
def test_equal_is_not_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Values that are equal make other octets where they are of another type."""
    requester = Requester()
    described: dict[str, Any] = {
        "method": "GET", "path": "/", "qargs": {}, "fragment": "", "body": b"",
        "data": None, "fargs": None,
    }  # fmt: skip
    requester.rebuild(**described, headers=Hict(one))
    whole = requester._whole
    assert isinstance(whole, Whole)
    assert requester.repeat({**described, "headers": Hict(one)}) is whole
    assert requester.repeat({**described, "headers": Hict(other)}) is None
    assert requester.recall(None, None) is whole
    requester.headers = Hict(other)
    assert requester.recall(None, None) is None


def test_respondent_expects() -> None:
    """`Publisher.expect` leaves what `reinit` and a first `parse` leave."""
    octets = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nab"
    one, other = Respondent(), Respondent()
    for respondent in (one, other):
        respondent.msg.extend(octets)
        respondent.parse()
        assert respondent.ended
        respondent.makeParser()
    one.reinit(method="HEAD")
    one.parse()
    other.publisher.expect(other, "HEAD")
    skipped = ("engine", "_own", "_parser", "events", "redirects")
    seen = [
        {name: value for name, value in vars(each).items() if name not in skipped}
        for each in (one, other)
    ]
    assert seen[0] == seen[1]
    for respondent in (one, other):
        respondent.msg.extend(octets[:-2])
        respondent.parse()
        assert respondent.ended
        assert not respondent.errored


def test_respondent_of_hio_is_no_hindrance() -> None:
    """With hio's own Respondent or Requester nothing is found again, all is as ever."""
    from hio.core.http import clienting as hio_clienting

    with Server([Request(), answer()] * 3) as server, Loop(server) as loop:
        client: Any = loop.client(
            Client, server, respondent=hio_clienting.Respondent(),
            requester=hio_clienting.Requester(port=server.port),
        )  # fmt: skip
        for number in range(3):
            ask(client)
            loop.run(client, until=lambda n=number: len(client.responses) > n)
        assert [bytes(r["body"]) for r in client.responses] == [b"ok"] * 3
        assert isinstance(client.respondent, httping.Parsent)

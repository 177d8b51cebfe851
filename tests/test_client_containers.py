"""`responses` and `events` of a program's own making, which act when they are appended to."""

from __future__ import annotations

import copy
from collections import deque
from typing import TYPE_CHECKING, Any

import hio.core.http.clienting as hio_clienting
import pytest

from exchanges import check_idle, make, settled
from fasthio.clienting import Client
from servers import CLOSE, OK, RESET, SILENT, Loop, Request, Server, Wait, answer

if TYPE_CHECKING:
    from collections.abc import Callable

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
ENDS = {
    "well": [Request(), answer(b"first")],
    "closes": [Request(), b"HTTP/1.1 200 OK\r\n\r\nfirst", CLOSE],
    "says close": [Request(), answer(b"first", Connection="close"), CLOSE],
    "beyond": [Request(), answer(b"first") + b"more"],
    "closes unsaid": [Request(), answer(b"first"), CLOSE],
    "cut off": [Request(), HALF, CLOSE],
    "reset": [Request(), HALF, RESET],
    "malformed": [Request(), b"HTTP/1.1 2x0 OK\r\n\r\n"],
    "too late": [Request(), SILENT],
    "leads nowhere": [Request(), answer(status=302, Location="ftp://elsewhere/")],
}
ACTS: dict[str, Callable[[Client], Any]] = {
    "reopen": lambda client: client.reopen(),
    "close": lambda client: client.close(),
    "connector": lambda client: client.connector.reopen(),
    "service": lambda client: client.service(),
    "waited": lambda client: setattr(client, "waited", False),
}


class Acting(deque[Any]):
    """Call something each time there is one more."""

    def __init__(self, act: Callable[[int], Any]) -> None:
        super().__init__()
        self.act = act

    def append(self, item: Any) -> None:
        super().append(item)
        self.act(len(self))


@pytest.mark.parametrize("reconnectable", [True, False])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("act", list(ACTS))
@pytest.mark.parametrize("end", list(ENDS))
def test_one_response_each(end: str, act: str, method: str, reconnectable: bool) -> None:
    """A response that is being put out stays the only one, whatever its taker does."""
    more = [Request(), answer(b"next"), Request(), answer(b"next")]
    with Server(ENDS[end], more) as server, Loop(server) as loop:
        client = make(server, loop, reconnectable=reconnectable, timeout=0.3)
        client.responses = Acting(lambda count: count == 1 and ACTS[act](client))
        client.request(method=method, reply="first")
        client.request(method=method, reply="second")
        loop.run(client, until=lambda: settled(client, 2), rounds=120)
        check_idle(client, loop)
        replies = [response["request"]["reply"] for response in client.responses]
        assert replies == ["first", "second"]
        sent = [request.split(b" ")[0] for request in server.requests]
        assert len(sent) <= 2 or method == "GET"  # a POST goes out once


@pytest.mark.parametrize("end", list(ENDS))
@pytest.mark.parametrize("taken", [True, False], ids=["taken", "not taken"])
def test_d103_responses_that_raise(end: str, taken: bool) -> None:
    """What they raise comes out; what they have not taken they get once more."""

    class Full(deque[Any]):
        refusals = 3

        def append(self, item: Any) -> None:
            if taken:
                super().append(item)
            if self.refusals:
                self.refusals -= 1
                raise BufferError("full")
            if not taken:
                super().append(item)

    more = [Request(), answer(b"next")] * 3
    with Server(ENDS[end], more, more, more) as server, Loop(server) as loop:
        client = make(server, loop, reconnectable=True, timeout=0.3)
        responses = client.responses = Full()
        for number in range(4):
            client.request(method="POST", reply=number)
        raised = 0
        for _ in range(200):
            try:
                loop.round(client)
            except BufferError:
                raised += 1
        assert raised == 3
        assert client.responses is responses
        assert [response["request"]["reply"] for response in responses] == [0, 1, 2, 3]
        assert [bytes(response["body"]) for response in list(responses)[1:]] == [b"next"] * 3
        assert len(server.requests) == 4
        check_idle(client, loop)


@pytest.mark.parametrize("reconnectable", [True, False])
@pytest.mark.parametrize("way", ["reopen", "connector", "close"])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_d96_stream_taken_up_from_within_its_events(
    count: int, way: str, reconnectable: bool
) -> None:
    """None is lost and none doubled, from the first octets of the stream on."""
    first = STREAM + b"id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\ndata: c\n\n"
    with (
        Server(
            [Request(), first, Wait(3), b"id: 4\ndata: d\n\n"],
            [Request(), lambda request: STREAM + following(request)],
        ) as server,
        Loop(server) as loop,
    ):
        client = make(server, loop, reconnectable=reconnectable)
        events = Acting(lambda number: number == count and ACTS[way](client))
        client.events = client.respondent.events = events
        client.request()
        loop.run(client, until=lambda: len(events) >= 6, rounds=60)
        assert [event["id"] for event in events] == ["1", "2", "3", "4", "5", "6"]
        assert client.streaming
        assert client.stream is not None
        assert (client.stream.responses, client.stream.drops) == (2, 1)
        assert not client.responses


def following(request: bytes) -> bytes:
    """Give the events after the last one that a request names, up to the sixth."""
    last = int(request.partition(b"Last-Event-Id: ")[2].partition(b"\r\n")[0] or b"0")
    return b"".join(b"id: %d\ndata: x\n\n" % number for number in range(last + 1, 7))


@pytest.mark.parametrize("way", ["waited", "reopen"])
def test_whole_stream_and_its_events(way: str) -> None:
    """One that is complete with its first octets is given up, or ends, once."""
    body = b"id: 1\ndata: a\n\nid: 2\ndata: b\n\n"
    whole = STREAM[:-2] + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with (
        Server([Request(), whole], [Request(), answer(b"next")]) as server,
        Loop(server) as loop,
    ):
        client = make(server, loop)
        client.events = client.respondent.events = events = Acting(
            lambda number: number == 1 and ACTS[way](client)
        )
        client.request(reply="stream")
        client.request(reply="next")
        loop.run(client, until=lambda: client.responses and not client.requests, rounds=60)
        loop.rounds(10, client)
        assert [event["id"] for event in events] == ["1", "2"]
        replies = [response["request"]["reply"] for response in client.responses]
        assert replies == (["next"] if way == "waited" else ["stream", "next"])
        check_idle(client, loop)


class Urgent:
    """Give the most urgent request first, and hold events: no deque, and no more than hio uses."""

    def __init__(self) -> None:
        self.items: list[Any] = []

    def __bool__(self) -> bool:
        return bool(self.items)

    def append(self, item: Any) -> None:
        self.items.append(copy.deepcopy(item))

    def popleft(self) -> Any:
        return self.items.pop(self.items.index(max(self.items, key=lambda item: item["urgency"])))


@pytest.mark.parametrize("cls", [hio_clienting.Client, Client], ids=["hio", "fasthio"])
def test_requests_that_choose(cls: Any) -> None:
    with Server([Request(), OK] * 3) as server, Loop(server) as loop:
        client = loop.client(cls, server, requests=Urgent())
        client.reopen()
        for urgency in (2, 3, 1):
            client.request(path=f"/{urgency}", urgency=urgency)
        loop.run(client, until=lambda: len(client.responses) == 3, rounds=60)
        assert [response["request"]["urgency"] for response in client.responses] == [3, 2, 1]
        assert [request[:6] for request in server.requests] == [b"GET /3", b"GET /2", b"GET /1"]


@pytest.mark.parametrize("dictable", [False, True])
@pytest.mark.parametrize("cls", [hio_clienting.Client, Client], ids=["hio", "fasthio"])
def test_events_are_appended_as_they_are(cls: Any, dictable: bool) -> None:
    """One by one, with their data decoded."""
    events = Urgent()
    body = b'id: 1\n\ndata: {"a": 1}\n\ndata: b\n\n'
    with Server([Request(), STREAM + body]) as server, Loop(server) as loop:
        client = loop.client(cls, server, events=events, dictable=dictable)
        client.reopen()
        client.request()
        loop.run(client, until=lambda: len(events.items) == 2, rounds=60)
        data = [event["data"] for event in events.items]
        assert data == [{"a": 1} if dictable else '{"a": 1}', "b"]

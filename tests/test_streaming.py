"""Event streams through responses and over connections that drop at every octet."""

from __future__ import annotations

import random
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hio.base import tyming
from hio.core.http import serving

from eventcases import CASES, Case
from fasthio import eventing
from fasthio.clienting import Client, Respondent
from fasthio.grammar import Limits
from servers import CLOSE, RESET, SILENT, Loop, Request, Server, Wait, answer, fields_of
from streams import HEAD, chunked, data_of, framed

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.usefixtures("respondents")  # each test on each engine

FRAMINGS = ["chunked-1", "chunked-3", "chunked-7", "chunked-64", "chunked-all", "fixed", "close"]


# the corpus through responses


def read(pieces: Iterable[bytes], limits: Limits | None, close: bool) -> Respondent:
    """Parse a response that comes in pieces."""
    respondent = Respondent(msg=bytearray(), limits=limits)
    respondent.makeParser()
    for piece in pieces:
        respondent.msg.extend(piece)
        respondent.parse()
        if respondent.ended:
            break
    if close and not respondent.ended:
        respondent.close()
        respondent.parse()
    return respondent


def cuts(octets: bytes, seed: int) -> Iterable[list[bytes]]:
    """Give the octets whole, one by one, and in random pieces."""
    yield [octets]
    if len(octets) < 3000:
        yield [octets[i : i + 1] for i in range(len(octets))]
    rng = random.Random(seed)
    for most in (4, 40):
        pieces = []
        at = 0
        while at < len(octets):
            size = rng.randint(1, max(most, len(octets) // 200))
            pieces.append(octets[at : at + size])
            at += size
        yield pieces


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case_through_a_response(case: Case, framing: str) -> None:
    octets = framed(case.octets, framing)
    for pieces in cuts(octets, len(octets)):
        respondent = read(pieces, case.bounds, framing == "close")
        assert list(respondent.events) == case.events
        assert respondent.evented
        source = respondent.eventSource
        assert source is not None
        assert (source.leid, source.retry, source.bom) == (case.leid, case.retry, case.bom)
        assert respondent.leid == case.leid
        assert respondent.retry == (Respondent.Retry if case.retry is None else case.retry)
        assert respondent.ended
        if case.error is None:
            assert not respondent.errored
            assert respondent.body == b""
            assert source.ended
        else:
            assert (respondent.fault.code, respondent.fault.offset) == case.error


@pytest.mark.parametrize("framing", ["chunked-5", "fixed", "close"])
def test_corpus_through_a_client(framing: str) -> None:
    """Each case as the stream of a real connection; D69: its end is one response."""
    cases = [case for case in CASES if not case.limits and case.error is None]

    def script(number: int) -> list[Any]:
        octets = framed(cases[number].octets, framing)
        middle = len(octets) * (number % 7) // 7
        return [Request(), octets[:middle], Wait(1), octets[middle:], CLOSE]

    with Server() as server, Loop(server) as loop:
        for number, case in enumerate(cases):
            server.pick = lambda _, number=number: script(number)
            client = loop.client(Client, server)
            client.request()
            loop.run(client, until=lambda c=client: c.responses, rounds=60)
            loop.round(client)
            assert list(client.events) == case.events
            assert client.respondent.leid == case.leid
            (response,) = client.responses
            assert response["evented"] is True
            assert not response["errored"]
            assert (response["status"], response["body"], response["data"]) == (200, b"", None)
            assert not client.streaming
            assert not client.waited
            client.close()
            loop.clients.clear()
            server.reap(keep=0)


def test_large_stream_received_in_place() -> None:
    """D92: events that come when the head is long read, in bodies of any framing."""
    events = [b"id: %d\ndata: %b\n\n" % (i, b"x" * 500) for i in range(400)]
    octets = b"".join(events)
    for framing in ("close", "fixed", "chunked-100000"):
        whole = framed(octets, framing)
        head = whole.index(b"\r\n\r\n") + 4
        script = [Request(), whole[:head], Wait(3), whole[head:-300], Wait(3), whole[-300:], SILENT]
        with Server(script) as server, Loop(server) as loop:
            client = loop.client(Client, server)
            client.request()
            loop.run(client, until=lambda c=client: c.respondent.evented, rounds=60)
            loop.run(client, until=lambda c=client: len(c.events) >= 399, rounds=400)
            if framing == "close":
                loop.run(client, until=lambda c=client: len(c.events) == 400, rounds=60)
                assert client.streaming
            else:
                loop.run(client, until=lambda c=client: c.responses, rounds=60)
            assert [event["id"] for event in client.events] == [str(i) for i in range(400)]


@pytest.mark.parametrize("hand", [False, True])
def test_d92_events_before_a_malformed_chunk_count_at_every_split(
    hand: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    octets = framed(b"id: 1\nretry: 5\ndata: a\n\ndata: b", "chunked-6", last=False) + b"x\r\n"
    if hand:  # through the generators: a method that a program has replaced is called
        own = Respondent.checkPersisted
        monkeypatch.setattr(Respondent, "checkPersisted", lambda self: own(self))
    for cut in range(len(octets)):
        respondent = read([octets[:cut], octets[cut:]], None, close=True)
        assert [event["data"] for event in respondent.events] == ["a"]
        assert (respondent.leid, respondent.retry) == ("1", 5)
        assert respondent.fault.code == "bad-chunk-size"
    limits = Limits(event=1)
    octets = framed(b"data: a\n\ndata: bb\n\n", "chunked-6", last=False) + b"x\r\n"
    for cut in range(len(octets)):
        respondent = read([octets[:cut], octets[cut:]], limits, close=True)
        assert [event["data"] for event in respondent.events] == ["a"]
        assert respondent.fault.code == "event-too-large"


# drops at every octet: nothing lost, nothing doubled


RECORDS = [
    b"id: 1\r\ndata: one\r\n\r\n",
    b": comment\nid: 2\nevent: two\ndata: a\ndata: b\n\n",
    b"data: three\rid: 3\r\r",
    b"retry: 0\n\nid: 4\ndata\n\n",
    b"data: \xc3\xa9\xe2\x82\xac\r\nid: 5\r\n\r\n",
]
WHOLE = b"\xef\xbb\xbf" + b"".join(RECORDS)


def undropped() -> list[dict[str, Any]]:
    """Give the events of the stream in one piece."""
    source = eventing.EventSource(raw=bytearray(WHOLE))
    source.parse()
    assert len(source.events) == len(RECORDS)
    return list(source.events)


def after(request: bytes, framing: str) -> bytes:
    """Answer with what follows the event that the request names; 204 after the last."""
    last = int(fields_of(request).get("last-event-id", "0"))
    if last == len(RECORDS):
        return b"HTTP/1.1 204 No Content\r\n\r\n"
    bom = b"\xef\xbb\xbf"
    return framed(bom + b"".join(RECORDS[last:]), framing)


def follow(server: Server, loop: Loop, rounds: int = 400) -> Any:
    """Follow a stream until its end and give the client."""
    client = loop.client(Client, server, reconnectable=True, tymeout=0.0)
    client.respondent.retry = 0
    client.request()
    loop.run(client, until=lambda: client.responses, rounds=rounds)
    loop.round(client)
    (response,) = client.responses
    assert (response["status"], response["errored"], response["evented"]) == (204, False, True)
    client.close()
    loop.clients.clear()
    return client


@pytest.mark.parametrize("framing", ["chunked-9", "chunked-all", "fixed", "close"])
@pytest.mark.parametrize("how", [CLOSE, RESET])
def test_d92_drop_after_every_octet(framing: str, how: str) -> None:
    """One drop, wherever it falls: the events are those of the undropped run."""
    expected = undropped()
    whole = framed(WHOLE, framing)
    step = 1 if how == CLOSE else 3
    with Server() as server, Loop(server) as loop:
        for place in range(0, len(whole) + 1, step):
            first = [Request(), whole[:place], Wait(2), how]
            rest = [Request(), lambda request: after(request, framing), Wait(1), CLOSE]
            server.pick = lambda number, first=first, rest=rest: first if number == 0 else rest
            client = follow(server, loop)
            assert list(client.events) == expected, place
            assert len(server.links) in (2, 3), place
            begun = place >= whole.index(b"\r\n\r\n") + 4  # else it was no stream yet
            assert client.stream.drops == len(server.links) - (1 if begun else 2), place
            server.reap(keep=0)


@pytest.mark.parametrize("framing", ["chunked-9", "fixed", "close"])
def test_d92_drop_after_every_kth_octet(framing: str) -> None:
    """Each connection carries so many octets and no more."""
    expected = undropped()

    with Server() as server, Loop(server) as loop:
        # room for the head and the largest event, whatever its chunks
        least = 160 + max(map(len, RECORDS))
        for most in range(least, len(framed(WHOLE, framing)) + 1):

            def script(number: int, most: int = most) -> list[Any]:
                return [Request(), lambda request: after(request, framing)[:most], Wait(1), CLOSE]

            server.pick = script
            client = follow(server, loop)
            assert list(client.events) == expected, most
            assert client.stream.state == "ended"
            assert client.stream.drops == client.stream.responses
            server.reap(keep=0)


def test_d92_partial_event_and_old_octets_are_dropped() -> None:
    """The id, name and data of an event cut off do not mix with what comes next."""
    first = HEAD + b"\r\nid: 1\ndata: a\n\nid: 2\nevent: lost\ndata: lo"
    second = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"data: b\n\n", 4, last=False)
    with (
        Server([Request(), first, Wait(2), CLOSE], [Request(), second, SILENT]) as server,
        Loop(server) as loop,
    ):
        client = loop.client(Client, server, reconnectable=True)
        client.request()
        loop.run(client, until=lambda: len(client.events) == 2, rounds=200)
        assert list(client.events) == [
            {"id": "1", "name": "", "data": "a"},
            {"id": "1", "name": "", "data": "b"},  # D93: the last id goes on
        ]
        assert fields_of(server.requests[1])["last-event-id"] == "1"
        assert client.streaming
        assert not client.responses


def answering_at_once(client: Any, server: Server) -> None:
    """Let answers be there before the client looks for the first time."""
    sends = client.connector.serviceSends

    def serviceSends() -> None:
        sends()
        server.step()

    client.connector.serviceSends = serviceSends


def test_d92_answer_that_is_there_at_once() -> None:
    """None of it goes into the body of the connection before."""
    scripts = [
        [Request(), HEAD + b"\r\nid: 1\ndata: a\n\ndata: part", Wait(2), CLOSE],
        [Request(), HEAD + b"\r\nid: 2\ndata: b\n\n", CLOSE],
        [Request(), b"HTTP/1.1 204 No Content\r\n\r\n"],
    ]
    with Server(*scripts) as server, Loop(server) as loop:
        client = loop.client(Client, server, reconnectable=True)
        answering_at_once(client, server)
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=100)
        assert data_of(client) == ["a", "b"]
        assert client.stream.failures == 0
        assert client.stream.responses == 2


def test_large_body_sent_again_at_once() -> None:
    """The same for a download that is cut off and begun again."""
    body = random.Random(1).randbytes(300_000)
    whole = answer(body)
    scripts = [[Request(), whole[:150_000], Wait(4), RESET], [Request(), whole]]
    with Server(*scripts) as server, Loop(server) as loop:
        client = loop.client(Client, server, reconnectable=True, tymeout=0.0)
        answering_at_once(client, server)
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=400)
        (response,) = client.responses
        assert not response["errored"]
        assert response["body"] == body


def stdlib_server(most: int, turns: int) -> tuple[int, threading.Thread]:
    """Serve the stream over blocking sockets, each connection cut and reset after some octets."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(20.0)

    def serve() -> None:
        with listener:
            for _ in range(turns):
                cs, _ = listener.accept()
                with cs:
                    cs.settimeout(20.0)
                    request = b""
                    while b"\r\n\r\n" not in request:
                        octets = cs.recv(4096)
                        if not octets:
                            break
                        request += octets
                    reply = after(request, "chunked-9")
                    cs.sendall(reply[:most])
                    if b" 204 " in reply:
                        return
                    if most % 2:
                        cs.shutdown(socket.SHUT_WR)
                        cs.recv(1)
                    else:
                        cs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return listener.getsockname()[1], thread


@pytest.mark.parametrize("most", [210, 231, 300])
def test_d92_blocking_server_that_drops(most: int) -> None:
    """With a reset octets may be lost that were sent: then they are asked for again."""
    port, thread = stdlib_server(most, 40)
    client = Client(hostname="127.0.0.1", port=port, reconnectable=True)  # by the clock
    client.request()
    for _ in range(2_000_000):
        client.service()
        if client.responses:
            break
    thread.join(20.0)
    client.close()
    assert client.responses[0]["status"] == 204
    assert list(client.events) == undropped()


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # hio's
def test_d92_hio_server_whose_streams_end() -> None:
    """hio's own server ends the chunked stream after each event or two."""
    tymist = tyming.Tymist(tyme=0.0, tock=0.01)

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        last = int(environ.get("HTTP_LAST_EVENT_ID", "0"))
        if last >= len(RECORDS):
            start_response("204 No Content", [("Content-Length", "0")])
            return
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        yield b"retry: 10\n\n"
        yield b""
        yield b"".join(RECORDS[last : last + 2])

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = serving.Server(app=app, host="127.0.0.1", port=port, tymth=tymist.tymen())
    assert server.reopen()
    client = Client(hostname="127.0.0.1", port=port, reconnectable=True, tymth=tymist.tymen())
    client.request()
    for _ in range(20_000):
        if client.responses:
            break
        client.service()
        server.service()
        tymist.tick()
    client.close()
    server.close()
    assert client.responses[0]["status"] == 204
    assert list(client.events) == undropped()
    assert client.stream.responses == 3

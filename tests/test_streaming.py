"""Event streams through responses and over connections, on both engines; the living ones."""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest
from hio.base import tyming
from hio.core.http import serving

from eventcases import CASES, Case
from fasthio import eventing
from fasthio.clienting import Client, Respondent
from fasthio.errors import ExchangeTimeoutError, StreamEndedError
from fasthio.grammar import Limits
from fasthio.streaming import Stream, check_idle
from servers import CLOSE, OK, RESET, SILENT, Drip, Loop, Request, Server, Wait, answer, fields_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
FRAMINGS = ["chunked-1", "chunked-3", "chunked-7", "chunked-64", "chunked-all", "fixed", "close"]


@pytest.fixture(autouse=True)
def engines(respondents: ModuleType) -> None:
    """Run every test on each engine."""


def chunked(octets: bytes, size: int, last: bool = True) -> bytes:
    """Put octets into chunks."""
    pieces = [octets[i : i + size] for i in range(0, len(octets), size)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return chunks + (b"0\r\n\r\n" if last else b"")


def framed(octets: bytes, framing: str, more: bytes = b"", last: bool = True) -> bytes:
    """Make a response that carries an event stream."""
    head = HEAD + more
    kind, _, size = framing.partition("-")
    if kind == "chunked":
        step = max(len(octets), 1) if size in ("", "all") else int(size)
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(octets, step, last)
    if kind == "fixed":
        return head + b"Content-Length: %d\r\n\r\n" % len(octets) + octets
    return head + b"\r\n" + octets


def data_of(client: Any) -> list[str]:
    """Give the data of all events."""
    return [event["data"] for event in client.events]


def state_of(client: Any) -> str:
    """Give the state of the stream, "" before there is one."""
    return client.stream.state if client.stream is not None else ""


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
    monkeypatch.setattr(Respondent, "_direct", not hand)  # hand: through the generators
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


# when it is asked for again


def test_d90_retry_is_waited_from_the_drop_on() -> None:
    first = HEAD + b"\r\nretry: 1000\nid: 1\ndata: a\n\n"
    with (
        Server([Request(), first, Wait(2), CLOSE], [Request(), SILENT]) as server,
        Loop(server, tock=0.125) as loop,
    ):
        # hio: nothing is ever asked for again where tymeout is 0
        client = loop.client(Client, server, reconnectable=True, tymeout=0.0)
        client.request()
        loop.run(client, until=lambda: state_of(client) == "waiting", rounds=30)
        dropped = loop.tymist.tyme - loop.tymist.tock
        assert client.stream.delay == 1.0
        assert client.connector.tymer.duration == 1.0
        assert client.streaming
        loop.run(client, until=lambda: client.stream.state == "asking", rounds=30)
        assert loop.tymist.tyme - loop.tymist.tock - dropped == 1.0
        loop.run(client, until=lambda: len(server.requests) == 2, rounds=30)


def test_d90_failures_double_the_wait_up_to_a_cap() -> None:
    """Refusals, silent closes and broken heads count; an event stream ends the count."""
    stream = HEAD + b"\r\nretry: 500\nid: 1\ndata: a\n\n"
    scripts = [
        [Request(), stream, Wait(2), CLOSE],
        [Request(), CLOSE],
        [Request(), b"HTTP/1.1 20", CLOSE],
        [Request(), b"HTTP/1.1 200 OK\r\nContent-Type: te", RESET],
        [Request(), stream, Wait(2), CLOSE],
        [Request(), SILENT],
    ]
    with Server(*scripts) as server, Loop(server, tock=0.0625) as loop:
        client = loop.client(Client, server, reconnectable=True)
        client.RetryCap = 3.0
        client.request()
        waits: list[tuple[int, float]] = []
        for _ in range(400):
            before = client.stream.state if client.stream else None
            loop.round(client)
            if client.stream and client.stream.state == "waiting" != before:
                waits.append((client.stream.failures, client.stream.delay))
            if len(server.requests) == 6:
                break
        assert waits == [(0, 0.5), (1, 1.0), (2, 2.0), (3, 3.0), (0, 0.5)]
        assert data_of(client) == ["a", "a"]
        assert client.stream.responses == 2
        assert client.stream.reason is None
        assert not client.responses


def test_d90_refused_connects_are_paced() -> None:
    stream = HEAD + b"\r\nretry: 0\nid: 1\ndata: a\n\n"
    with Server([Request(), stream, CLOSE]) as server, Loop(server, tock=0.0625) as loop:
        client = loop.client(Client, server, reconnectable=True)
        client.request()
        loop.run(client, until=lambda: client.events, rounds=30)
        port = server.port
        server.ss.close()  # nobody listens any more
        server.listening = False
        waits: list[float] = []
        for _ in range(300):
            failures = client.stream.failures
            loop.round(client)
            if client.stream.failures != failures:
                waits.append(client.stream.delay)
            if len(waits) == 5:
                break
        # from 100 ms on where the server asks for less
        assert waits == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2])
        assert client.stream.reason.code == "refused"
        assert isinstance(client.stream.reason.exception, ConnectionError)
        with Server([Request(), SILENT]) as other:
            client.connector.ha = ("127.0.0.1", other.port)
            assert other.port != port
            loop.servers[:] = [other]
            loop.run(client, until=lambda: other.requests, rounds=100)
            assert fields_of(other.requests[0])["last-event-id"] == "1"
            other.close()


def test_backoff_never_overflows() -> None:
    stream = Stream()
    for _ in range(3000):
        assert stream.wait(10**290, 60.0, None) >= 60.0
    stream.open(Respondent())
    assert stream.wait(250, 60.0, None) == 0.25
    for _ in range(3000):
        last = stream.wait(250, 60.0, None)
    assert last == 60.0
    assert "failures=3000" in repr(stream)


def test_wound_while_it_waits() -> None:
    """Another tymist: the wait goes on by its tyme."""
    stream = HEAD + b"\r\nretry: 1000\nid: 1\ndata: a\n\n"
    with (
        Server([Request(), stream, CLOSE], [Request(), stream, SILENT]) as server,
        Loop(server, tock=0.25) as loop,
    ):
        client = loop.client(Client, server, reconnectable=True, idle=50.0)
        client.request()
        loop.run(client, until=lambda: state_of(client) == "waiting", rounds=30)
        other = tyming.Tymist(tyme=1000.0, tock=0.25)
        client.wind(other.tymen())
        for _ in range(40):
            loop.round(client)
            other.tick()
        assert data_of(client) == ["a", "a"]


# what is asked


def test_d93_last_event_id_is_of_a_dispatched_event() -> None:
    first = HEAD + b"\r\nid: 7\ndata: a\n\nid: 8\n\nid: 9\ndata: cut"
    with (
        Server([Request(), first, CLOSE], [Request(), SILENT]) as server,
        Loop(server) as loop,
    ):
        client = loop.client(Client, server, reconnectable=True)
        client.request(headers={"Accept": "text/event-stream"})
        loop.run(client, until=lambda: len(server.requests) == 2, rounds=60)
        assert client.respondent.leid == "8"  # an id alone that a blank line has ended
        head, again = server.requests
        assert again == head[:-2] + b"Last-Event-Id: 8\r\n\r\n"  # hio's octets, at the end


@pytest.mark.parametrize(
    ("ident", "sent"),
    [
        ("é", "é".encode()),
        ("日本", "日本".encode()),
        (" 5 ", b" 5 "),
        ("a b", b"a b"),
        ("x" * 9000, b"x" * 9000),
    ],
)
def test_d93_id_is_sent_in_utf8(ident: str, sent: bytes) -> None:
    """hio: UnicodeEncodeError out of service()."""
    first = HEAD + b"\r\nid: %b\ndata: a\n\n" % ident.encode()
    with (
        Server([Request(), first, CLOSE], [Request(), SILENT]) as server,
        Loop(server) as loop,
    ):
        client = loop.client(Client, server, reconnectable=True)
        client.request()
        loop.run(client, until=lambda: len(server.requests) == 2, rounds=60)
        assert client.events[0]["id"] == ident
        assert b"\r\nLast-Event-Id: " + sent + b"\r\n" in server.requests[1]


def test_d93_empty_id_is_not_sent() -> None:
    scripts = [
        [Request(), HEAD + b"\r\nid: 1\ndata: a\n\n", CLOSE],
        [Request(), HEAD + b"\r\nid\ndata: b\n\n", CLOSE],
        [Request(), SILENT],
    ]
    with Server(*scripts) as server, Loop(server) as loop:
        client = loop.client(Client, server, reconnectable=True)
        client.request(headers={"Last-Event-ID": "0"})
        loop.run(client, until=lambda: len(server.requests) == 3, rounds=100)
        sent = [fields_of(request).get("last-event-id") for request in server.requests]
        assert sent == ["0", "1", None]
        assert [event["id"] for event in client.events] == ["1", ""]


def test_d93_id_that_no_field_may_hold_ends_the_stream() -> None:
    with (
        Server([Request(), HEAD + b"\r\nid: \x01\ndata: a\n\n", CLOSE], [Request(), OK]) as server,
        Loop(server) as loop,
    ):
        client = loop.client(Client, server, reconnectable=True)
        client.request(reply=1)
        client.request(reply=2)
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=100)
        first, second = client.responses
        assert first["error"].code == "bad-request"
        assert first["evented"]
        assert (second["body"], second["request"]["reply"]) == (b"ok", 2)
        assert "last-event-id" not in fields_of(server.requests[1])


def test_d93_id_given_by_the_program_is_sent_until_there_is_another() -> None:
    scripts = [
        [Request(), HEAD + b"\r\ndata: a\n\n", CLOSE],
        [Request(), HEAD + b"\r\nid: 6\ndata: b\n\n", CLOSE],
        [Request(), b"HTTP/1.1 204 No Content\r\n\r\n"],
    ]
    with Server(*scripts) as server, Loop(server) as loop:
        client = loop.client(Client, server, reconnectable=True)
        client.request(headers={"Last-Event-ID": "5"})
        client.request(path="/other")  # described by the requester as it is now
        loop.run(client, until=lambda: len(client.events) == 2, rounds=100)
        client.request(path="/late")
        loop.run(client, until=lambda: client.responses, rounds=100)
        sent = [fields_of(request).get("last-event-id") for request in server.requests]
        assert sent == ["5", "5", "6"]
        assert [event["id"] for event in client.events] == [None, "6"]
        assert client.responses[0]["request"]["headers"]["Last-Event-ID"] == "6"
        # what is queued later bears what the program said, not the id of the stream
        assert client.requester.headers["Last-Event-ID"] == "5"
        assert client.requests[-1]["headers"]["Last-Event-ID"] == "5"


def test_d94_no_stream_has_the_id_of_another() -> None:
    """hio: the id of the first stream goes out for the second."""
    scripts = [
        [Request(), HEAD + b"\r\nid: 1\ndata: a\n\n", CLOSE],
        [
            Request(),
            b"HTTP/1.1 204 No Content\r\n\r\n",
            Request(),
            HEAD + b"\r\ndata: b\n\n",
            CLOSE,
        ],
        [Request(), SILENT],
    ]
    with Server(*scripts) as server, Loop(server) as loop:
        client = loop.client(Client, server, reconnectable=True)
        client.request(path="/a")
        loop.run(client, until=lambda: client.responses, rounds=100)
        assert client.respondent.leid == "1"  # to be read until the next request
        client.request(path="/b")
        loop.run(client, until=lambda: len(server.requests) == 4, rounds=100)
        assert [event["id"] for event in client.events] == ["1", None]
        for request in server.requests[2:]:
            assert "last-event-id" not in fields_of(request)
        assert client.respondent.leid is None


def test_post_stream_is_asked_for_again_with_its_body() -> None:
    """As in hio: a mailbox is asked for with POST."""
    with (
        Server([Request(), HEAD + b"\r\nid: 1\ndata: a\n\n", CLOSE], [Request(), SILENT]) as server,
        Loop(server) as loop,
    ):
        client = loop.client(Client, server, reconnectable=True)
        client.request(method="POST", path="/mbx", data={"q": 1}, qargs={"k": "v"})
        loop.run(client, until=lambda: len(server.requests) == 2, rounds=60)
        first, second = server.requests
        assert second.replace(b"Last-Event-Id: 1\r\n", b"") == first
        assert first.endswith(b'{"q":1}')
        assert first.startswith(b"POST /mbx?k=v ")


# how it ends


@pytest.mark.parametrize(
    ("reply", "code", "body"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", None, b""),
        (answer(b"gone", status=404), "stream-status", b"gone"),
        (answer(b"busy", status=503, Content_Type="text/plain"), "stream-status", b"busy"),
        (answer(b"{}", Content_Type="application/json"), "stream-type", b"{}"),
        (answer(b"hello"), "stream-type", b"hello"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\nuntil close", "stream-type", None),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\ncut", "stream-status", None),
        (b"HTTP/1.1 300 Choose\r\nContent-Length: 0\r\n\r\n", "stream-status", b""),
        (answer(b"", status=302, Location="ftp://x/"), "redirect-scheme", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "bad-length", b""),
    ],
)  # fmt: skip
def test_d91_response_that_ends_it(reply: bytes, code: str | None, body: bytes | None) -> None:
    """One response with its status, its body and the reason; then the queue goes on."""
    with (
        Server(
            [Request(), HEAD + b"\r\nid: 1\ndata: a\n\n", CLOSE],
            [Request(), reply, Wait(2), CLOSE],
            [Request(), OK],
        ) as server,
        Loop(server) as loop,
    ):
        client = loop.client(Client, server, reconnectable=True)
        client.request(reply="stream")
        client.request(reply="next")
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=100)
        first, second = client.responses
        assert first["request"]["reply"] == "stream"
        assert first["evented"] is True
        assert first["errored"] is (code is not None)
        assert getattr(first["error"], "code", None) == code
        assert first["status"] == int(reply[9:12])
        if body is not None:
            assert first["body"] == body
        if code and code.startswith("stream"):
            assert isinstance(first["error"].exception, StreamEndedError)
        assert client.stream.reason == first["error"]
        assert client.stream.state == "ended"
        assert not client.streaming
        assert (second["request"]["reply"], second["body"]) == ("next", b"ok")
        assert "evented" not in second
        assert data_of(client) == ["a"]  # undisturbed


def test_d91_first_response_is_what_it_is() -> None:
    """Without a stream before, another status or type is an ordinary response."""
    replies = answer(b"{}", Content_Type="application/json") + answer(status=404)
    with Server([Request(), Request(), replies]) as server, Loop(server) as loop:
        client = loop.client(Client, server, reconnectable=True)
        client.request(headers={"Accept": "text/event-stream"})
        loop.rounds(3, client)
        assert client.stream is None
        assert not client.streaming


@pytest.mark.parametrize("framing", ["chunked-4", "fixed", "close"])
def test_d69_end_without_reconnectable(framing: str) -> None:
    with (
        Server([Request(), framed(b"data: a\n\ndata: b", framing), Wait(1), CLOSE]) as server,
        Loop(server) as loop,
    ):
        client = loop.client(Client, server)
        client.request(reply=1)
        states = set()
        for _ in range(20):
            loop.round(client)
            states.add(client.streaming)
        (response,) = client.responses
        assert states >= {False}
        assert response["evented"] is True
        assert not response["errored"]
        assert response["request"]["reply"] == 1
        assert client.respond().body == b""
        assert data_of(client) == ["a"]
        assert len(server.requests) == 1
        assert client.stream.responses == 1


@pytest.mark.parametrize(
    ("octets", "how", "code"),
    [
        (framed(b"data: a\n\ndata: b\n\n", "chunked-4")[:-9], CLOSE, "closed-in-chunk"),
        (framed(b"data: a\n\ndata: b\n\n", "fixed")[:-2], CLOSE, "closed-in-body"),
        (framed(b"data: a\n\n", "close"), RESET, "reset"),
        (framed(b"data: a\n\n", "chunked-9")[:-5] + b"x\r\n", SILENT, "bad-chunk-size"),
        (framed(b"data: a\n\ndata: " + b"b" * 99 + b"\n\n", "close"), SILENT, "event-too-large"),
    ],
)
@pytest.mark.parametrize("reconnectable", [False, True])
def test_d69_end_that_is_an_error(octets: bytes, how: str, code: str, reconnectable: bool) -> None:
    """Limits and malformed chunks end any stream, drops those that may not go on."""
    script = [Request(), octets, Wait(2), how]
    with Server(script, [Request(), SILENT]) as server, Loop(server) as loop:
        client = loop.client(Client, server, reconnectable=reconnectable, limits=Limits(event=50))
        client.request()
        living = reconnectable and how != SILENT
        if living:
            loop.run(client, until=lambda: len(server.requests) == 2, rounds=60)
            assert not client.responses
            assert client.stream.reason.code in ("reset", code)
        else:
            loop.run(client, until=lambda: client.responses, rounds=60)
            (response,) = client.responses
            assert response["error"].code == code
            assert response["evented"]
            assert not client.streaming
        assert data_of(client)[0] == "a"


def test_program_may_leave_a_stream() -> None:
    """By setting `waited` to False, as programs of hio do."""
    stream = HEAD + b"\r\nid: 1\ndata: a\n\n"
    with Server([Request(), stream, SILENT], [Request(), OK]) as server, Loop(server) as loop:
        client = loop.client(Client, server, reconnectable=True)
        client.request()
        loop.run(client, until=lambda: client.events, rounds=60)
        assert client.streaming
        client.waited = False
        client.request(path="/next")
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert client.responses[0]["body"] == b"ok"
        assert "evented" not in client.responses[0]
        assert not client.streaming
        assert "last-event-id" not in fields_of(server.requests[1])


# redirects


@pytest.mark.parametrize("elsewhere", [False, True])
def test_redirects_are_followed_at_each_connection(elsewhere: bool) -> None:
    """And each has its own count; a stream lives on where they lead."""
    part = [HEAD + b"\r\nid: %d\ndata: %d\n\n" % (i, i) for i in range(3)]
    with Server() as second, Server() as server, Loop(server, second) as loop:
        away = f"http://localhost:{second.port}/away" if elsewhere else "/there"
        moved = f"HTTP/1.1 302 Found\r\nLocation: {away}\r\nContent-Length: 0\r\n\r\n".encode()
        end = b"HTTP/1.1 204 No Content\r\n\r\n"
        if elsewhere:
            server.pick = lambda number: [Request(), moved]
            second.pick = lambda number: [
                [Request(), part[0], CLOSE],
                [Request(), b"HTTP/1.1 307 T\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
                 Request(), part[1], CLOSE],
                [Request(), end],
            ][number]  # fmt: skip
        else:
            server.pick = lambda number: [
                [Request(), moved, Request(), part[0], CLOSE],
                [Request(), moved, Request(), part[1], CLOSE],
                [Request(), end],
            ][number]
        client = loop.client(Client, server, reconnectable=True, maxRedirects=1)
        client.request(headers={"Authorization": "secret"})
        loop.run(client, until=lambda: client.responses, rounds=200)
        (response,) = client.responses
        assert response["status"] == 204
        assert not response["errored"]
        assert data_of(client) == ["0", "1"]
        last = (second if elsewhere else server).requests[-1]
        assert fields_of(last)["last-event-id"] == "1"
        assert "Last-Event-ID" not in client.requester.headers
        if elsewhere:
            assert "authorization" not in fields_of(last)
            assert client.requester.port == server.port


# time limits


def test_d95_comments_keep_it_alive_silence_does_not() -> None:
    beats: list[Any] = [Request(), HEAD + b"\r\nid: 1\ndata: a\n\n"]
    for _ in range(6):
        beats += [Wait(6), b":\n"]
    with Server([*beats, SILENT], [Request(), SILENT]) as server, Loop(server, tock=0.1) as loop:
        client = loop.client(Client, server, reconnectable=True, idle=1.0)
        client.request()
        loop.run(client, until=lambda: client.events, rounds=10)
        loop.rounds(18, client)
        assert client.stream.state == "open"
        assert client.stream.drops == 0
        loop.run(client, until=lambda: client.stream.drops, rounds=40)
        assert client.stream.reason.code == "timeout-idle"
        assert isinstance(client.stream.reason.exception, ExchangeTimeoutError)
        loop.run(client, until=lambda: len(server.requests) == 2, rounds=40)
        # it holds for the answer to the next request, too
        loop.run(client, until=lambda: client.stream.failures, rounds=40)
        loop.run(client, until=lambda: len(server.requests) == 3, rounds=40)
        assert not client.responses


def test_d95_idle_without_reconnectable_is_an_error() -> None:
    with (
        Server([Request(), framed(b"id: 1\ndata: a\n\ndata: b", "chunked-4", last=False), SILENT],
               [Request(), OK]) as server,
        Loop(server, tock=0.1) as loop,
    ):  # fmt: skip
        client = loop.client(Client, server, idle=1.0)
        client.request(reply=1)
        client.request(reply=2)
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=60)
        first, second = client.responses
        assert first["error"].code == "timeout-idle"
        assert (first["status"], first["body"], first["evented"]) == (200, b"", True)
        assert second["body"] == b"ok"


def test_d95_idle_is_for_event_streams_alone() -> None:
    script = [Request(), Wait(30), b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", Wait(30), b"x"]
    with Server(script) as server, Loop(server, tock=0.1) as loop:
        client = loop.client(Client, server, idle=1.0)
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=100)
        assert client.responses[0]["body"] == b"x"


def test_d95_drip_is_not_silence() -> None:
    script = [Request(), Drip(framed(b"data: " + b"x" * 50 + b"\n\n", "chunked-5"), 1)]
    with Server(script) as server, Loop(server, tock=0.25) as loop:
        client = loop.client(Client, server, idle=1.0)
        client.request()
        loop.run(client, until=lambda: client.events, rounds=400)
        assert data_of(client) == ["x" * 50]


@pytest.mark.parametrize("idle", [0, -1, float("inf"), float("nan"), True, "5"])
def test_idle_is_checked(idle: Any) -> None:
    with pytest.raises(ValueError, match="idle"):
        Client(idle=idle)


def test_idle_needs_our_respondent() -> None:
    from hio.core.http import clienting

    assert check_idle(2) == 2.0
    theirs = clienting._hio.Respondent if hasattr(clienting, "_hio") else clienting.Respondent
    with pytest.raises(ValueError, match="respondent"):
        Client(idle=1.0, respondent=theirs())


@pytest.mark.parametrize("limit", ["connect", "first"])
def test_limits_on_an_attempt_are_a_failure_not_the_end(limit: str) -> None:
    first = HEAD + b"\r\nid: 1\ndata: a\n\n"
    scripts = [
        [Request(), first, CLOSE],
        [Request(), SILENT],
        [Request(), HEAD + b"\r\nid: 2\ndata: b\n\n", SILENT],
    ]
    with Server(*scripts) as server, Loop(server, tock=0.1) as loop:
        client = loop.client(Client, server, reconnectable=True, timeout={limit: 1.0})
        if limit == "connect":
            client.connector.serviceConnect()
        client.request()
        loop.run(client, until=lambda: client.events, rounds=40)
        if limit == "connect":
            connect = client.connector.serviceConnect
            client.connector.serviceConnect = lambda: None  # as one that takes its time
            loop.run(client, until=lambda: client.stream.failures == 2, rounds=80)
            client.connector.serviceConnect = connect
            scripts_left = 2
        else:
            loop.run(client, until=lambda: client.stream.failures == 1, rounds=80)
            scripts_left = 3
        assert client.stream.reason.code == f"timeout-{limit}"
        loop.run(client, until=lambda: len(server.requests) >= scripts_left, rounds=80)
        assert not client.responses
        if limit == "first":
            loop.run(client, until=lambda: len(client.events) == 2, rounds=80)
            assert client.stream.failures == 0


def test_limit_on_the_whole_is_the_end() -> None:
    first = HEAD + b"\r\nretry: 300\nid: 1\ndata: a\n\n"
    with Server([Request(), first, CLOSE]) as server, Loop(server, tock=0.1) as loop:
        client = loop.client(Client, server, reconnectable=True, timeout=3.0)
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=60)
        (response,) = client.responses
        assert response["error"].code == "timeout-total"
        assert response["evented"]
        assert not client.streaming
        assert len(client.events) > 2


# the program's own hand on the connection


@pytest.mark.parametrize("reconnectable", [False, True])
@pytest.mark.parametrize("by", ["client", "connector"])
@pytest.mark.parametrize("when", ["open", "waiting"])
def test_d96_reopened_by_the_program(reconnectable: bool, by: str, when: str) -> None:
    """The stream is taken up at once; no event comes twice."""
    if when == "waiting" and not reconnectable:
        return  # it does not wait
    first = framed(b"retry: 60000\nid: 1\ndata: a\n\ndata: par", "chunked-3", last=False)
    with (
        Server(
            [Request(), first, SILENT if when == "open" else CLOSE],
            [Request(), HEAD + b"\r\nid: 2\ndata: b\n\n", SILENT],
        ) as server,
        Loop(server) as loop,
    ):
        client = loop.client(Client, server, reconnectable=reconnectable)
        client.request()
        loop.run(client, until=lambda: state_of(client) == when, rounds=60)
        loop.rounds(3, client)
        (client if by == "client" else client.connector).reopen()
        loop.run(client, until=lambda: len(client.events) == 2, rounds=60)
        assert data_of(client) == ["a", "b"]
        assert fields_of(server.requests[1])["last-event-id"] == "1"
        assert client.stream.responses == 2
        assert not client.responses


def test_events_queue_is_kept_across_connections() -> None:
    """The deque is the program's own and the same at each connection; dictable too."""
    events: deque[dict[str, Any]] = deque()
    scripts = [
        [Request(), HEAD + b'\r\nid: 1\ndata: {"a": 1}\n\n', CLOSE],
        [Request(), HEAD + b'\r\nid: 2\ndata: {"a": 2}\n\n', SILENT],
    ]
    with Server(*scripts) as server, Loop(server) as loop:
        client = loop.client(Client, server, reconnectable=True, events=events, dictable=True)
        client.request()
        loop.run(client, until=lambda: len(events) == 2, rounds=60)
        assert client.events is client.respondent.events is events
        assert data_of(client) == [{"a": 1}, {"a": 2}]

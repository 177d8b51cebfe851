"""Redirects of polls whose connection ends with them: followed on a new one, at once."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from fasthio import attempting
from fasthio.lookup import Lookup
from fasthio.polling import Poller
from fasthio.resolving import resolve
from servers import CLOSE, HALF, OK, RESET, SILENT, Request, Wait, answer
from stages import ALWAYS, Stage, contexts, url

MOVED = answer(b"", 302, Location="/b")

#: How a server ends the connection of a redirect, in HTTP/1.1 and 1.0.
ENDS: dict[str, list[Any]] = {
    "it says so, and waits": [answer(b"", 302, Location="/b", Connection="close")],
    "it says so": [answer(b"", 302, Location="/b", Connection="close"), CLOSE],
    "it does so": [MOVED, CLOSE],
    "its side alone": [MOVED, HALF],
    "1.0": [answer(b"", 302, "1.0", Location="/b"), CLOSE],
    "1.0, and waits": [answer(b"", 302, "1.0", Location="/b")],
    "a body ends so": [b"HTTP/1.1 302 Found\r\nLocation: /b\r\n\r\nmoved", CLOSE],
    "a body ends so, later": [b"HTTP/1.1 302 Found\r\nLocation: /b\r\n\r\nmoved", Wait(5), CLOSE],
}


@pytest.mark.parametrize("shared", [None, 1])
@pytest.mark.parametrize("end", ENDS)
def test_a_connection_that_ends_with_a_redirect(stage: Stage, end: str, shared: int | None) -> None:
    redirect = [Request(), *ENDS[end]]
    server = stage.server(redirect, [Request(), OK, *redirect], [Request(), OK])
    poller = stage.poller(connections_per_origin=shared)
    poller.add(url(server, "/a"), every=1.0, count=2)
    results = stage.results(poller, 2)
    assert [(r.outcome, r.body, r.redirects) for r in results] == [("ok", b"ok", 1)] * 2
    assert max(r.latency.total for r in results) < 0.5
    assert [request.split()[1] for request in server.requests] == [b"/a", b"/b"] * 2
    assert [result.attempts for result in results] == [1, 1]


@pytest.mark.parametrize("end", ENDS)
def test_over_tls(stage: Stage, end: str) -> None:
    ours, theirs = contexts()
    server = stage.server([Request(), *ENDS[end]], [Request(), OK], context=ours)
    poller = stage.poller(context=theirs)
    poller.add(url(server, "/a"), count=1, timeout=5.0)
    (result,) = stage.results(poller, 1)
    assert (result.outcome, result.body, result.redirects) == ("ok", b"ok", 1)
    assert len(server.links) == 2


def test_an_interrupt_before_it_is_followed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is put in order as any other: the poll goes on, or is told as cancelled."""
    server = stage.server([Request(), MOVED, CLOSE], [Request(), OK])
    poller = stage.poller()
    poller.add(url(server, "/a"), count=1, timeout=5.0)
    real = poller._handle_again

    def interrupted() -> None:
        monkeypatch.setattr(poller, "_handle_again", real)
        raise KeyboardInterrupt

    monkeypatch.setattr(poller, "_handle_again", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stage.results(poller, 1)
    (result,) = stage.results(poller, 1)
    assert (result.outcome, result.redirects, len(server.links)) == ("ok", 1, 2)


@pytest.mark.parametrize("end", ENDS)
def test_each_of_several_redirects_ends_its_connection(stage: Stage, end: str) -> None:
    redirect = [Request(), *ENDS[end]]
    server = stage.server(redirect, redirect, redirect, [Request(), OK])
    result = stage.one(server)
    assert (result.outcome, result.redirects, len(server.links)) == ("ok", 3, 4)


def test_nobody_answers_where_a_redirect_leads(stage: Stage) -> None:
    server = stage.server([Request(), MOVED, CLOSE], [Request(), CLOSE])
    result = stage.one(server)
    assert (result.outcome, result.reason) == ("error", "closed-before-start")
    assert len(server.links) == 2


#: Method, status of the redirect, what comes on its connection then, how the poll ends.
CLOSED: dict[str, tuple[str, int, list[Any], str, int]] = {
    "closed": ("GET", 302, [CLOSE], "", 2),
    "reset": ("GET", 302, [RESET], "", 2),
    "by then a GET": ("POST", 303, [CLOSE], "", 2),
    "still a POST": ("POST", 307, [CLOSE], "closed-before-start", 1),
    "half an answer": ("GET", 302, [OK[:9], CLOSE], "closed-in-head", 1),
}


@pytest.mark.parametrize("case", CLOSED)
def test_a_connection_that_turns_out_to_be_closed(stage: Stage, case: str) -> None:
    """As a kept one between two polls: the server may close it, and says so too late.

    What may be sent twice goes over another, once (RFC 9112 9.3.1).
    """
    method, status, then, reason, links = CLOSED[case]
    moved = answer(b"", status, Location="/b")
    server = stage.server([Request(), moved, Request(), *then], [Request(), OK])
    result = stage.one(server, method=method, body="x" if method == "POST" else "")
    assert (result.reason, len(server.links), result.attempts) == (reason, links, 1)
    assert result.ok is not bool(reason)
    assert [request.split()[1] for request in server.requests] == [b"/", b"/b", b"/b"][: links + 1]


def test_connections_that_all_turn_out_to_be_closed(stage: Stage) -> None:
    server = stage.server([Request(), MOVED, Request(), CLOSE], [Request(), CLOSE])
    result = stage.one(server)
    assert (result.outcome, result.reason) == ("error", "closed-before-start")
    assert len(server.links) == 2


@pytest.mark.parametrize("end", ["it says so, and waits", "it says so"])
def test_a_host_that_is_looked_up_meanwhile(stage: Stage, end: str) -> None:
    """Another name of the same server: its connection is gone when that is known."""
    go, woken = threading.Event(), threading.Event()

    def resolver(host: str, port: int) -> Any:
        go.wait(20)
        return resolve("127.0.0.1", port)

    server = stage.server(pick=lambda number: [Request(), OK] if number else [Request(), *last])
    fields = {"Location": f"http://example.test:{server.port}/b", "Connection": "close"}
    last = [answer(b"", 302, **fields), *ENDS[end][1:]]
    lookup = Lookup(woken.set, resolver=resolver)
    poller = stage.poller(lookup=lookup)
    poller.add(url(server, "/a"), count=1, timeout=5.0)
    stage.loop.rounds(50, poller)
    go.set()
    assert woken.wait(20)
    (result,) = stage.results(poller, 1)
    assert (result.outcome, result.redirects, len(server.links)) == ("ok", 1, 2)
    lookup.close()


@pytest.mark.parametrize("then", [[Request(), SILENT], [Request(), OK[:-1], SILENT]])
def test_a_host_that_was_looked_up_and_says_nothing(stage: Stage, then: list[Any]) -> None:
    """The time of a poll goes on while its redirect waits, and after that."""
    go, woken = threading.Event(), threading.Event()

    def resolver(host: str, port: int) -> Any:
        go.wait(20)
        return resolve("127.0.0.1", port)

    server = stage.server(pick=lambda number: then if number else [Request(), first])
    first = answer(b"", 302, Location=f"http://example.test:{server.port}/b", Connection="close")
    lookup = Lookup(woken.set, resolver=resolver)
    poller = stage.poller(lookup=lookup)
    poller.add(url(server, "/a"), count=1, timeout=2.0)
    stage.loop.rounds(50, poller)
    go.set()
    assert woken.wait(20)
    (result,) = stage.results(poller, 1)
    assert (result.outcome, len(server.links)) == ("timeout", 2)
    assert result.latency.total == pytest.approx(2.0, abs=0.1)
    assert poller.done
    lookup.close()


def test_what_was_to_be_followed_is_over_before_its_turn(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sockets are ready so often that the poll has ended, and the next one has begun."""
    monkeypatch.setattr(attempting, "BATCH", 1)
    moved = answer(b"", 302, Location="/b", Connection="close")
    server = stage.server([Request(), moved, CLOSE], ALWAYS)
    tyme = stage.loop.tymth

    def clock() -> float:
        server.step()
        return tyme() + (1.0 if len(server.requests) >= 4 else 0.0)  # the budget is used up

    poller = Poller(tymth=tyme, clock=clock, openings=1e6)
    stage.loop.clients.append(poller)
    poller.add(url(server, "/a"), every=0.0, count=4)
    results = stage.results(poller, 4)
    assert [(r.outcome, r.redirects, r.attempts) for r in results] == [
        ("ok", 1, 1),
        *([("ok", 0, 1)] * 3),
    ]
    assert (len(server.links), len(server.requests)) == (2, 5)


@pytest.mark.parametrize("end", ["found", "timeout", "removed", "interrupted", "closed"])
def test_a_connection_that_waits_for_a_host_counts(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """It is open, though nothing that comes over it is of interest."""
    go, woken = threading.Event(), threading.Event()

    def resolver(host: str, port: int) -> Any:
        go.wait(20)
        return resolve("127.0.0.1", port)

    server = stage.server(pick=lambda number: ALWAYS if number else [Request(), first, *ALWAYS])
    first = answer(b"", 302, Location=f"http://example.test:{server.port}/b")
    lookup = Lookup(woken.set, resolver=resolver)
    poller = stage.poller(lookup=lookup, connections=2)
    target = poller.add(url(server, "/a"), count=1, timeout=2.0)
    stage.loop.rounds(10, poller)
    others = [poller.add(url(server), every=0.1) for _ in range(2)]
    for _ in range(50):
        stage.loop.round(poller)
        assert poller.connections == sum(not link.gone for link in server.links) <= 2
    assert {result.outcome for result in poller.results} == {"ok"}
    assert {result.target for result in poller.results} == set(others)
    if end == "interrupted":
        with monkeypatch.context() as patch:
            patch.setattr(poller, "_turn", interrupted)
            with pytest.raises(KeyboardInterrupt):
                stage.loop.rounds(100, poller)
        stage.loop.round(poller)
        assert poller.connections == 2
    if end in ("found", "interrupted"):
        go.set()
        assert woken.wait(20)
    elif end == "removed":
        poller.remove(target)
    elif end == "closed":
        poller.close()
    stage.loop.run(poller, until=lambda: target.state in ("done", "removed"))
    for other in list(poller):
        poller.remove(other)
    assert (poller.connections, len(poller._lines._aside)) == (0, 0)
    result = next(result for result in poller.results if result.target is target)
    ends = {"timeout": "timeout", "removed": "cancelled", "closed": "cancelled"}
    assert (result.outcome, result.attempts) == (ends.get(end, "ok"), 1)
    go.set()
    lookup.close()


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt

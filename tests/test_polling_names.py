"""Names that the poller looks up beside its loop, and the addresses behind them."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import pytest

from fasthio.errors import ResolutionError, exchange_error
from fasthio.lookup import Lookup
from fasthio.resolving import resolve
from servers import CLOSE, Request, Wait, answer
from stages import ALWAYS, Stage, url


class TestNames:
    def test_are_looked_up_beside_the_loop(self, stage: Stage) -> None:
        server = stage.server(ALWAYS)
        go = threading.Event()
        asked: list[str] = []

        def resolver(host: str, port: int) -> Any:
            asked.append(host)
            assert go.wait(20)
            return resolve("127.0.0.1", port)

        woken = threading.Event()
        lookup = Lookup(woken.set, resolver=resolver)
        poller = stage.poller(lookup=lookup)
        named = poller.add(f"http://example.test:{server.port}/", every=0.1, timeout=9.0)
        poller.add(url(server), every=0.1)
        stage.results(poller, 5)
        assert (named.state, poller.waiting, poller.flying) == ("queued", 1, 0)
        go.set()
        assert woken.wait(20)
        results = stage.results(poller, 10)
        mine = [result for result in results if result.target is named]
        assert (mine[0].outcome, mine[0].reason) == ("skipped", "resolving")
        assert mine[1].outcome == "ok"
        assert asked == ["example.test"]
        assert b"Host: example.test:" in b"".join(server.requests)
        lookup.close()

    def test_that_do_not_resolve_are_an_error(self, stage: Stage) -> None:
        woken = threading.Event()

        def resolver(host: str, port: int) -> Any:
            raise exchange_error("unresolved", host)

        lookup = Lookup(woken.set, resolver=resolver)
        poller = stage.poller(lookup=lookup)
        poller.add("http://nowhere.test/", count=1)
        poller.service()
        assert woken.wait(20)
        (result,) = stage.results(poller, 1)
        assert (result.outcome, result.reason) == ("error", "unresolved")
        assert "nowhere.test" in result.error
        lookup.close()

    def test_a_resolver_that_raises_what_it_likes_is_an_error(self, stage: Stage) -> None:
        """Its thread lives: what is asked for later is answered, by the same thread."""
        woken = threading.Event()
        threads: list[threading.Thread] = []

        def resolver(host: str, port: int) -> Any:
            threads.append(threading.current_thread())
            if host == "odd.test":
                raise LookupError("no such zone")
            return resolve("127.0.0.1", port)

        def wake() -> None:
            woken.set()
            raise RuntimeError("the loop is gone")

        lookup = Lookup(wake, threads=1, resolver=resolver)
        poller = stage.poller(lookup=lookup)
        odd = poller.add("http://odd.test/", count=1)
        poller.service()
        assert woken.wait(20)
        (result,) = stage.results(poller, 1)
        assert result.target is odd
        assert (result.outcome, result.reason) == ("error", "unresolved")
        assert "'odd.test' (no such zone)" in result.error
        server = stage.server(ALWAYS)
        woken.clear()
        poller.add(f"http://example.test:{server.port}/", count=1)
        poller.service()
        assert woken.wait(20)  # tyme goes faster than the thread
        (result,) = stage.results(poller, 1)
        assert result.outcome == "ok"
        assert len(threads) == 2
        assert len(set(threads)) == 1
        lookup.close()

    def test_of_redirects_hold_up_nobody(self, stage: Stage) -> None:
        go, woken = threading.Event(), threading.Semaphore(0)

        def resolver(host: str, port: int) -> Any:
            go.wait(20)
            if host == "nowhere.test":
                raise exchange_error("unresolved", host)
            return resolve("127.0.0.1", port)

        there = stage.server([Request(), answer(b"there")] * 9)
        here = stage.server(
            pick=lambda number: [
                Request(),
                answer(b"", 302, Location=f"http://example.test:{there.port}/"),
            ]
        )
        lost = stage.server(
            pick=lambda number: [Request(), answer(b"", 302, Location="http://nowhere.test/")]
        )
        lookup = Lookup(woken.release, resolver=resolver)
        poller = stage.poller(lookup=lookup)
        moved = poller.add(url(here), every=9.0, timeout=9.0)
        gone = poller.add(url(lost), every=9.0, timeout=9.0)
        poller.add(url(stage.server(ALWAYS)), every=0.1, count=20)
        results = stage.results(poller, 20)
        assert {result.outcome for result in results} == {"ok"}
        assert (moved.state, gone.state) == ("polling", "polling")
        go.set()
        for _ in range(2):  # tyme goes faster than the threads
            assert woken.acquire(timeout=20)
        results = sorted(stage.results(poller, 2), key=lambda result: result.outcome)
        assert [(r.target, r.outcome, r.reason, r.attempts) for r in results] == [
            (gone, "error", "unresolved", 1),
            (moved, "ok", "", 1),
        ]
        assert results[1].body == b"there"
        lookup.close()

    @pytest.mark.parametrize("end", ["found", "not found", "removed", "too late", "closed"])
    def test_of_a_redirect_repeat_no_request(self, stage: Stage, end: str) -> None:
        """What was redirected has been carried out: it waits, and is not asked for again."""
        go, woken = threading.Event(), threading.Event()

        def resolver(host: str, port: int) -> Any:
            go.wait(20)
            if end == "not found":
                raise exchange_error("unresolved", host)
            return resolve("127.0.0.1", port)

        there = stage.server([Request(), answer(b"there")])
        moved = answer(b"", 303, Location=f"http://example.test:{there.port}/")
        # the connection of the first may end meanwhile: nothing more is wanted of it
        here = stage.server([Request(), moved, Wait(5), CLOSE])
        lookup = Lookup(woken.set, resolver=resolver)
        poller = stage.poller(lookup=lookup)
        target = poller.add(url(here), count=1, timeout=5.0, method="POST", body=b"x")
        stage.loop.rounds(100, poller)
        assert (target.state, len(here.requests), poller.results) == ("polling", 1, deque())
        if end == "removed":
            poller.remove(target)
        elif end == "closed":
            poller.close()
        elif end != "too late":
            go.set()
            assert woken.wait(20)
        (result,) = stage.results(poller, 1)
        go.set()
        assert (result.outcome, result.reason) == {
            "found": ("ok", ""),
            "not found": ("error", "unresolved"),
            "removed": ("cancelled", "removed"),
            "too late": ("timeout", "timeout-total"),
            "closed": ("cancelled", "stopped"),
        }[end]
        assert len(here.requests) == 1
        assert there.requests == here.requests[1:] or end == "found"
        assert (poller.flying, poller.connections, result.attempts) == (0, 0, 1)
        lookup.close()

    @pytest.mark.parametrize("where", ["_turn", "_arm"])
    def test_of_a_redirect_repeat_no_request_after_an_interrupt(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, where: str
    ) -> None:
        """One that comes while it waits is no matter; one as it begins to wait ends the poll."""
        go, woken = threading.Event(), threading.Event()

        def resolver(host: str, port: int) -> Any:
            go.wait(20)
            return resolve("127.0.0.1", port)

        there = stage.server([Request(), answer(b"there")])
        moved = answer(b"", 303, Location=f"http://example.test:{there.port}/")
        here = stage.server([Request(), moved] * 3)
        lookup = Lookup(woken.set, resolver=resolver)
        poller = stage.poller(lookup=lookup)
        target = poller.add(url(here), count=1, timeout=5.0, method="POST", body=b"x")
        hold = poller._hold
        held: list[Any] = []
        monkeypatch.setattr(poller, "_hold", lambda *pa: (held.append(pa), hold(*pa)))
        method = getattr(poller, where)

        def interrupt(*pa: Any) -> Any:
            if held:
                monkeypatch.setattr(poller, where, method)
                raise KeyboardInterrupt
            return method(*pa)

        monkeypatch.setattr(poller, where, interrupt)
        with pytest.raises(KeyboardInterrupt):
            stage.loop.rounds(100, poller)
        stage.loop.rounds(20, poller)
        assert (target.state == "polling") == (where == "_turn")
        go.set()
        assert woken.wait(20)
        (result,) = stage.results(poller, 1)
        assert (result.outcome, result.reason) == {
            "_turn": ("ok", ""),
            "_arm": ("cancelled", "interrupted"),
        }[where]
        assert len(here.requests) == 1
        assert (poller.flying, poller.connections) == (0, 0)
        lookup.close()

    def test_that_had_no_address_a_moment_ago_are_not_asked_for_again(self) -> None:
        asked: list[str] = []
        woken = threading.Event()

        def resolver(host: str, port: int) -> Any:
            asked.append(host)
            raise exchange_error("unresolved", host)

        lookup = Lookup(woken.set, resolver=resolver, doubt=1.0)
        assert lookup.find("nowhere.test", 80, 0.0) is None
        assert lookup.find("nowhere.test", 80, 0.0) is None
        assert woken.wait(20)
        (answered,) = lookup.collect(10.0)
        assert answered.error is not None
        with pytest.raises(ResolutionError):
            lookup.find("nowhere.test", 80, 10.5)
        assert lookup.find("nowhere.test", 80, 11.5) is None
        assert len(asked) <= 2
        lookup.close()

    def test_that_are_old_are_used_while_they_are_asked_for_again(self) -> None:
        asked: list[int] = []
        woken = threading.Event()

        def resolver(host: str, port: int) -> Any:
            asked.append(port)
            if len(asked) > 1:
                raise exchange_error("unresolved", host)
            return resolve("127.0.0.1", port)

        lookup = Lookup(woken.set, resolver=resolver, life=60.0)
        assert lookup.find("a.test", 80, 0.0) is None
        assert woken.wait(20)
        woken.clear()
        lookup.collect(0.0)
        known = lookup.find("a.test", 80, 59.0)
        assert known
        assert lookup.find("a.test", 80, 61.0) == known
        assert woken.wait(20)
        lookup.collect(61.0)  # the second answer is an error: the first one may still do
        assert lookup.find("a.test", 80, 62.0) == known
        assert asked == [80, 80]
        lookup.close()

    def test_are_forgotten_when_there_are_too_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("fasthio.lookup.MOST", 10)
        lookup = Lookup(lambda: None)
        for number in range(100):
            assert lookup.find(f"127.0.0.{number + 1}", 80, 0.0)
        assert len(lookup._known) <= 10
        lookup.close()

    def test_that_are_not_found_in_time(self, stage: Stage) -> None:
        go = threading.Event()

        def resolver(host: str, port: int) -> Any:
            go.wait(20)
            return resolve("127.0.0.1", port)

        lookup = Lookup(lambda: None, resolver=resolver)
        poller = stage.poller(lookup=lookup)
        poller.add("http://slow.test/", count=1, timeout=0.2)
        (result,) = stage.results(poller, 1)
        go.set()
        assert (result.outcome, result.reason) == ("timeout", "timeout-connect")
        lookup.close()

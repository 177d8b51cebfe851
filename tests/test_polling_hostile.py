"""The poller against servers that stall, drip, lie, reset and never end."""

from __future__ import annotations

import errno
import gc
import ssl
from typing import Any

import pytest

from fasthio.clienting import Client
from fasthio.pacing import Backoff, Circuit
from servers import CLOSE, OK, SILENT, Request
from stages import ALWAYS, HOSTILE, Stage, url


class TestHostile:
    @pytest.mark.parametrize("case", HOSTILE)
    def test_ends_with_its_reason_and_costs_no_other(self, stage: Stage, case: str) -> None:
        script, outcome, reason = HOSTILE[case]
        hostile, good = stage.server(script), stage.server(ALWAYS)
        poller = stage.poller()
        bad = poller.add(
            url(hostile), every=1.0, count=2, timeout=0.8, max_body=1_000_000, backoff=Backoff()
        )
        poller.add(url(good), every=0.1, count=20)
        results = stage.results(poller, 22)
        assert poller.done
        mine = [result for result in results if result.target is bad]
        assert [result.outcome for result in mine] == [outcome] * 2
        for result in mine:
            assert reason in result.reason
            assert result.reason
            assert result.error
            assert result.latency is not None
            assert result.latency.total <= 0.82
            assert len(result.body) <= 1_000_000
        assert [r.outcome for r in results if r.target is not bad] == ["ok"] * 20
        assert poller.connections == 0

    def test_refused(self, stage: Stage) -> None:
        result = stage.one(stage.server(listening=False))
        assert (result.outcome, result.reason, result.status) == ("error", "refused", None)

    def test_no_socket_left(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """A system that gives no socket fails that poll, and the next one goes on."""
        server = stage.server(ALWAYS)
        poller = stage.poller()
        poller.add(url(server), every=0.1, count=2, backoff=Backoff(cap=0.1))
        reopen = Client.reopen

        def refuse(self: Client) -> bool:
            monkeypatch.setattr(Client, "reopen", reopen)
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(Client, "reopen", refuse)
        results = stage.results(poller, 2)
        assert [(r.outcome, r.reason) for r in results] == [("error", "socket"), ("ok", "")]
        assert "Too many open files" in results[0].error
        assert poller.connections == 0

    def test_an_address_that_is_not_known_any_more(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = stage.server(ALWAYS)
        poller = stage.poller()
        poller.add(url(server), count=1)
        make_line = poller._make_line

        def forget(target: Any, now: float) -> Any:
            monkeypatch.setattr(poller, "_addresses", lambda target, now: ())
            return make_line(target, now)

        monkeypatch.setattr(poller, "_make_line", forget)
        (result,) = stage.results(poller, 1)
        assert (result.outcome, result.reason) == ("error", "socket")
        assert "not known any more" in result.error

    @pytest.mark.parametrize("size", [2, 16_384, 16_385, 1_000_000])
    @pytest.mark.parametrize("kept", [False, True])
    def test_octets_behind_a_response_are_no_answer(
        self, stage: Stage, size: int, kept: bool
    ) -> None:
        """However the response was received: whole, as much as is taken at once, or in place."""
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %06d\r\n\r\n"
        body = b"z" * (size - len(head % 0))
        evil = (head % len(body)) + body + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
        first = [Request(), OK] if kept else []
        server = stage.server([*first, Request(), evil], [Request(), OK, Request(), OK])
        poller = stage.poller()
        poller.add(url(server), every=0.0, count=3)
        results = stage.results(poller, 3)
        assert [result.ok for result in results] == [True] * 3
        bodies = [bytes(result.body) for result in results]
        assert bodies == ([b"ok", body, b"ok"] if kept else [body, b"ok", b"ok"])

    def test_errored_response_is_tried_again(self, stage: Stage) -> None:
        """A 503 whose body is cut off: RFC 9110 9.2.2 lets a GET be sent again."""
        cut = b"HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\nabc"
        server = stage.server([Request(), cut, CLOSE], [Request(), OK])
        result = stage.one(server, retries=1)
        assert (result.outcome, result.attempts) == ("ok", 2)

    def test_connections_have_a_limit_of_their_own(self, stage: Stage) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server = stage.server([SILENT], context=context)  # no handshake
        result = stage.one(server, timeout=5.0, connect_timeout=0.2)
        assert (result.outcome, result.reason) == ("timeout", "timeout-connect")
        assert result.latency is not None
        assert result.latency.total <= 0.25

    def test_timeout_says_how_much_had_come(self, stage: Stage) -> None:
        server = stage.server([Request(), b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"])
        result = stage.one(server, timeout=0.3)
        assert (result.reason, result.octets) == ("timeout-total", 3)

    def test_memory_stays_flat(self, stage: Stage) -> None:
        scripts = [script for script, _, _ in HOSTILE.values()]
        server = stage.server(pick=lambda number: list(scripts[number % len(scripts)]))
        poller = stage.poller()
        for _ in range(10):
            poller.add(
                url(server),
                every=0.1,
                timeout=0.1,
                max_body=10_000,
                backoff=Backoff(factor=1.0),
                circuit=Circuit(failures=0),
            )

        def run(rounds: int) -> int:
            for _ in range(rounds):
                stage.loop.round(poller)
                poller.results.clear()
                for link in [link for link in server.links if link.gone or link.ended]:
                    link.cs.close()
                    server.links.remove(link)
                server.requests.clear()
            gc.collect()
            return len(gc.get_objects())

        run(200)
        before = run(100)
        assert run(600) <= before + 400
        assert poller.connections <= 10

"""What polls cost: idle connections, what is ready, one service, memory, and times told."""

from __future__ import annotations

import gc

import pytest

from fasthio import polling, socketing
from fasthio.clienting import Client
from fasthio.polling import Poller
from servers import CLOSE, OK, Drip, Request, Wait, answer
from stages import ALWAYS, Stage, url


class TestLatency:
    """With virtual tyme for a clock, whose steps are what times are told in."""

    def test_connected_once(self, stage: Stage) -> None:
        """What comes later does not move the time of the connection."""
        drip = [Request(), Wait(20), Drip(OK, 1)]
        latency = stage.one(stage.server(drip)).latency
        assert latency.connect is not None
        assert latency.first is not None
        assert latency.total is not None
        assert latency.connect < 0.05
        assert latency.first - latency.connect >= 0.05
        assert latency.total - latency.first >= 0.05

    def test_a_kept_connection_takes_no_time(self, stage: Stage) -> None:
        poller = stage.poller()
        poller.add(url(stage.server([Request(), OK, Request(), Drip(OK, 1)])), every=1.0, count=2)
        first, second = stage.results(poller, 2)
        assert first.latency.connect is not None
        assert second.latency.connect is None

    def test_of_the_attempt_that_was_answered(self, stage: Stage) -> None:
        server = stage.server([Request(), answer(b"", 503), CLOSE], [Request(), OK])
        result = stage.one(server, retries=1)
        assert (result.outcome, result.attempts) == ("ok", 2)
        assert result.latency.connect is not None
        assert result.latency.connect >= 0.1

    def test_of_a_server_that_speaks_first(self, stage: Stage) -> None:
        """Connected, answered and failed in one step."""
        latency = stage.one(stage.server([answer(b"", 503), Request()])).latency
        assert latency.connect is not None

    def test_a_retry_on_a_kept_connection_has_not_connected(self, stage: Stage) -> None:
        server = stage.server([Request(), answer(b"", 503), Request(), OK])
        result = stage.one(server, retries=1)
        assert (result.outcome, result.attempts) == ("ok", 2)
        assert result.latency.connect is None
        assert result.latency.first is not None
        assert result.latency.first >= 0.1


class TestMemory:
    def test_what_a_body_may_have_costs_nothing_once_it_is_not_used(self, stage: Stage) -> None:
        """Each bound has a parser of its own, as long as there are connections with it."""
        server = stage.server(ALWAYS)
        poller = stage.poller()
        for most in range(1000, 1020):
            poller.remove(poller.add(url(server), max_body=most))
            target = poller.add(url(server), max_body=most, count=1)
            stage.results(poller, 1)
            poller.remove(target)
        gc.collect()
        assert len(poller._shortcuts) <= 1


class TestCost:
    def test_idle_connections_cost_nothing(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = stage.server(ALWAYS)
        poller = stage.poller()
        for _ in range(50):
            poller.add(url(server), every=10.0)
        stage.results(poller, 50)
        assert poller.connections == 50
        served = []
        service = Client.service
        monkeypatch.setattr(Client, "service", lambda self: (served.append(self), service(self)))
        turned = []
        turn = poller._turn
        monkeypatch.setattr(poller, "_turn", lambda now: (turned.append(now), turn(now)))
        for _ in range(100):
            poller.service()
        assert served == []
        assert turned == []

    @pytest.mark.skipif(not socketing._DIRECT, reason="polls go another way there")
    def test_only_what_is_ready_is_served(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = stage.server(ALWAYS)
        poller = stage.poller()
        for _ in range(50):
            poller.add(url(server), every=1000.0)
        poller.add(url(server), every=0.1)
        stage.results(poller, 51)
        served = []
        arrived = poller._arrived
        monkeypatch.setattr(
            poller, "_arrived", lambda line, *pa: (served.append(line), arrived(line, *pa))
        )
        wakes = poller.wakes
        stage.results(poller, 10)
        assert len(set(served)) == 1
        assert len(served) == 10
        assert poller.wakes - wakes == 10

    def test_the_budget_bounds_one_service(self, stage: Stage) -> None:
        server = stage.server(ALWAYS)
        clock = iter(range(10_000_000))
        poller = Poller(
            tymth=stage.loop.tymth, clock=lambda: float(next(clock)), openings=1e6, budget=0.5
        )
        stage.loop.clients.append(poller)
        for _ in range(300):
            poller.add(url(server), every=0.0, count=1)
        for _ in range(10):  # until all are connected
            poller.service()
        for _ in range(20):
            server.step()
        before = len(poller.results)
        poller.service()
        assert len(poller.results) - before <= polling.BATCH
        stage.results(poller, 300)

"""What waits must not spin: refused clients under ReadyDoist, a poller whose results nobody takes.

Nothing is timed: turns are counted for each cycle, that is for each tyme.
"""

from __future__ import annotations

import select
import socket
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hio.base import doing
from hio.core.http import clienting as hios

from fasthio.clienting import Client, ClientDoer
from fasthio.demo import serving
from fasthio.polling import Poller, PollerDoer, ReadyDoist
from fasthio.resolving import Address
from stages import ALWAYS, Stage, url

TOCK = 0.0078125
CYCLES = 16
#: Seconds: with one request a cycle, many of them would take longer than a test may.
LONG = 2.0

needs_epoll = pytest.mark.skipif(
    not hasattr(select, "epoll"), reason="without epoll a socket is handled once a cycle"
)


@pytest.fixture(scope="module")
def root() -> Iterator[str]:
    with serving() as root:
        yield root


@pytest.fixture
def closed() -> Iterator[int]:
    """Give a port on which nobody listens, and which is nobody else's meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_a_poller_goes_on_as_soon_as_there_is_room(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was stalled by is gone: there is something to do at once."""
    poller = Poller(backlog=4)
    for _ in range(5):
        poller.add(f"{root}/json", every=1000.0, count=1)
    while not (poller.stalled and len(poller.results) == 4):
        poller.service()
        poller.wait(0.1)
    poller.service()
    assert poller.next > poller.tyme
    poller.results.popleft()
    assert poller.next > poller.tyme  # below three quarters, not for each result
    poller.results.popleft()
    assert poller.next <= poller.tyme
    with monkeypatch.context() as patch:
        patch.setattr(poller, "_readiness", object())  # which cannot be waited for
        poller.wait(1e9)
    poller.service()
    assert not poller.stalled
    poller.close()


def test_polls_without_a_pause_go_on_as_soon_as_there_is_room(stage: Stage) -> None:
    """The next one waits for room in the backlog, not for the time limit of the last one."""
    poller = stage.poller(backlog=4)
    poller.add(url(stage.server(ALWAYS)), every=0.0, timeout=10.0)
    assert len(stage.results(poller, 4)) == 4
    stage.loop.run(poller, until=lambda: poller.tyme > 1.0 and len(poller.results) == 4)
    assert poller.stalled
    assert poller.next > poller.tyme
    poller.results.clear()
    assert poller.next <= poller.tyme
    before = poller.tyme
    stage.results(poller, 1)
    assert poller.tyme - before < 0.5


class Turns(Counter[float]):
    """Count the calls of a method for each tyme of a Doist."""

    def __init__(self, of: Any, name: str, doist: doing.Doist) -> None:
        super().__init__()
        real = getattr(of, name)

        def counted() -> Any:
            self[doist.tyme] += 1
            return real()

        setattr(of, name, counted)


def make_doist() -> ReadyDoist:
    return ReadyDoist(real=True, tock=TOCK, limit=CYCLES * TOCK)


class TestRefused:
    """A socket that nothing was begun on is always ready, and for nothing."""

    @pytest.mark.parametrize("requests", [0, 1])
    @pytest.mark.parametrize("many", [1, 3])
    def test_each_address_is_tried_once_a_cycle(
        self, closed: int, readiness: str, many: int, requests: int
    ) -> None:
        client = Client(hostname="127.0.0.1", port=closed)
        client.connector.addresses *= many
        for _ in range(requests):
            client.request(method="GET", path="/")
        doist = make_doist()
        turns = Turns(client, "service", doist)
        doist.do(doers=[ClientDoer(client=client)])
        assert len(turns) >= CYCLES
        assert max(turns.values()) <= many + 2
        if readiness == "best":
            assert client.connector.refusals <= 2 * len(turns)

    def test_hios_own_client(self, closed: int, readiness: str) -> None:
        client = hios.Client(hostname="127.0.0.1", port=closed)
        doist = make_doist()
        turns = Turns(client, "service", doist)
        doist.do(doers=[hios.ClientDoer(client=client)])
        assert len(turns) >= CYCLES
        assert max(turns.values()) <= 3

    def test_beside_a_client_that_is_answered(self, root: str, closed: int, readiness: str) -> None:
        """Others' answers lead to extra runs, and those to no attempt of their own."""
        refused = Client(hostname="127.0.0.1", port=closed)
        well = Client(hostname="127.0.0.1", port=int(root.rpartition(":")[2]))
        doist = ReadyDoist(real=True, tock=TOCK, limit=6000 * TOCK)
        sockets = Turns(refused.connector, "open", doist)
        handled: Counter[float] = Counter()
        handle = doist._handle

        def counted(readiness: Any, fd: int) -> int:
            watched = doist._watched.get(fd)
            if watched is not None and watched.client is refused:
                handled[doist.tyme] += 1
            return handle(readiness, fd)

        doist._handle = counted  # type: ignore[method-assign]
        worker = Worker(well, 10**9)

        class Enough(doing.Doer):  # type: ignore[misc]
            def recur(self, tyme: float) -> bool:
                """End it after some cycles, though not before there was an answer."""
                if worker.statuses and tyme >= CYCLES * TOCK:
                    raise KeyboardInterrupt
                return False

        doist.do(doers=[ClientDoer(client=refused), ClientDoer(client=well), worker, Enough()])
        assert worker.statuses
        assert set(worker.statuses) == {200}
        assert len(sockets) > 1
        assert max(handled.values()) <= 2

    @needs_epoll
    def test_the_next_address_is_tried_within_the_cycle(self, root: str, closed: int) -> None:
        port = int(root.rpartition(":")[2])
        client = Client(hostname="127.0.0.1", port=port)
        client.connector.addresses = [
            Address(socket.AF_INET, ("127.0.0.1", each)) for each in (closed, closed, port)
        ]
        worker = Worker(client, 1)
        doist = ReadyDoist(real=True, tock=LONG, limit=100 * LONG)
        doist.do(doers=[ClientDoer(client=client), worker])
        assert worker.statuses == [200]
        assert doist.tyme <= LONG

    def test_it_connects_once_the_server_is_there(self, closed: int, readiness: str) -> None:
        client = Client(hostname="127.0.0.1", port=closed)
        with socket.socket() as server:

            class Late(doing.Doer):  # type: ignore[misc]
                def recur(self, tyme: float) -> bool:
                    if client.connector.refusals and not client.connector.addresses[1:]:
                        server.bind(("127.0.0.1", 0))
                        server.listen()
                        client.connector.addresses.append(
                            Address(socket.AF_INET, server.getsockname())
                        )
                    if client.connector.connected:
                        raise KeyboardInterrupt
                    return False

            doist = ReadyDoist(real=True, tock=TOCK, limit=1000 * TOCK)
            doist.do(doers=[ClientDoer(client=client), Late()])
            assert client.connector.cs is None  # closed by its doer
            server.settimeout(60.0)
            there, _ = server.accept()
            there.close()


class Worker(doing.Doer):  # type: ignore[misc]
    """Ask again once answered, and leave the service to the ClientDoer."""

    def __init__(self, client: Client, many: int, fields: Any = None) -> None:
        super().__init__()
        self.client = client
        self.many = many
        self.fields = fields or {}
        self.statuses: list[Any] = []

    def recur(self, tyme: float) -> bool:
        while self.client.responses:
            self.statuses.append(self.client.respond().status)
        if len(self.statuses) == self.many:
            raise KeyboardInterrupt
        if not self.client.requests and not self.client.waited:
            self.client.request(method="GET", path="/json", headers=self.fields)
        return False


@needs_epoll
@pytest.mark.parametrize("step", [1, -1])
@pytest.mark.parametrize("fields", [{}, {"Connection": "close"}])
def test_a_request_goes_out_in_the_cycle_it_is_made_in(
    root: str, step: int, fields: dict[str, str]
) -> None:
    """In whatever order the doers of client and program are."""
    client = Client(hostname="127.0.0.1", port=int(root.rpartition(":")[2]), reconnectable=True)
    worker = Worker(client, 100, fields)
    doist = ReadyDoist(real=True, tock=LONG, limit=200.0)
    doist.do(doers=[ClientDoer(client=client), worker][::step])
    assert worker.statuses == [200] * 100
    assert doist.tyme <= 5 * LONG


class Tyme:
    """Tyme that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class TestOwed:
    """Results of skipped polls that wait for room in the backlog."""

    def owing(self, root: str, tyme: Tyme) -> Poller:
        poller = Poller(backlog=4, openings=1e6, tymth=tyme)
        for n in range(8):
            poller.add(f"{root}/json?{n}", every=0.5)
        tyme.now = 0.001  # all are due by then
        for _ in range(2000):
            poller.service()
            if poller.flying == 0 and len(poller.results) == 4:
                break
            poller.wait(0.05)
        assert (poller.flying, len(poller.results)) == (0, 4)  # however slow the server is
        for _ in range(40):  # those that wait are late by now
            tyme.now += 0.25
            poller.service()
        for each in list(poller)[4:]:
            poller.pause(each)  # its skipped polls are owed
        assert poller._owed
        assert poller.stalled
        return poller

    def test_a_full_backlog_lets_it_wait(self, root: str, readiness: str) -> None:
        tyme = Tyme()
        poller = self.owing(root, tyme)
        poller.service()
        assert poller.next > poller.tyme
        asked: list[float] = []
        assert poller._readiness is not None
        poll = poller._readiness.poll

        class Asked:
            def __getattr__(self, name: str) -> Any:
                return getattr(poller._readiness, name)

            def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
                asked.append(timeout)
                return poll(0.0, most)

        real, poller._readiness = poller._readiness, Asked()
        poller.wait(0.5)
        poller._readiness = real
        assert asked == [min(0.5, poller.next - poller.tyme)]
        poller.close()

    def test_once_there_is_room_they_are_told(self, root: str) -> None:
        tyme = Tyme()
        poller = self.owing(root, tyme)
        owed = list(poller._owed)
        told: list[Any] = []
        for _ in range(100):
            if not poller._owed:
                break
            poller.results.popleft()
            assert poller.next <= poller.tyme
            before = len(poller.results)
            assert poller.service() == 1
            assert len(poller.results) == before + 1
            told.append(poller.results[-1])
        assert told == owed
        poller.close()

    def test_under_a_ready_doist(self, root: str, readiness: str) -> None:
        """It turns a few times a cycle; taken late, all that was due is told once."""
        poller = Poller(backlog=4, openings=1e6)
        for n in range(20):
            poller.add(f"{root}/json?{n}", every=TOCK / 2)
        doist = make_doist()
        turns = Turns(poller, "service", doist)
        taken: list[Any] = []

        class Taker(doing.Doer):  # type: ignore[misc]
            def recur(self, tyme: float) -> bool:
                if tyme >= CYCLES * TOCK / 2:
                    taken.extend(poller.results)
                    poller.results.clear()
                return False

        doist.do(doers=[PollerDoer(poller), Taker(tock=TOCK)])
        assert max(list(turns.values())[: CYCLES // 2]) <= 20
        taken += poller.results
        numbers: dict[Any, list[int]] = {target: [] for target in poller}
        for result in taken:
            numbers[result.target] += range(result.number, result.number + result.count)
        for each in numbers.values():
            assert each
            assert sorted(each) == list(range(len(each)))

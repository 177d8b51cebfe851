"""The Doist that waits for sockets, doers of the poller in it and in hio's own, and asyncio.

Nothing is timed: a tock so long that the test would run into its time limit takes
the place of a clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hio.base import doing, tyming

from fasthio import waiting
from fasthio.clienting import Client, ClientDoer
from fasthio.demo import serving
from fasthio.polling import Poller, PollerDoer, ReadyDoist
from fasthio.waiting import READ, WRITE, SelectorReadiness, Waker, make_readiness
from servers import OK, Request, Server

#: Seconds: with one answer a cycle, `MANY` of them would take longer than a test may.
LONG = 2.0
MANY = 100


needs_descriptor = pytest.mark.skipif(
    not any(hasattr(select, name) for name in ("epoll", "kqueue", "devpoll")),
    reason="the selector here has no descriptor: a poller waits for the cycle",
)


@pytest.fixture(scope="module")
def root() -> Iterator[str]:
    with serving() as root:
        yield root


class PingPong(doing.Doer):  # type: ignore[misc]
    """Send a request, wait for its response, send the next; then end the Doist as Ctrl-C does."""

    def __init__(self, client: Client, many: int, **kwa: Any) -> None:
        super().__init__(**kwa)
        self.client = client
        self.left = many
        self.responses: list[Any] = []
        self.runs = 0

    def recur(self, tyme: float) -> bool:
        self.runs += 1
        while self.client.responses:
            self.responses.append(self.client.respond())
        if len(self.responses) == self.left:
            raise KeyboardInterrupt
        if not self.client.requests and not self.client.waited:
            self.client.request(method="GET", path="/json")
            self.client.service()
        return False


class Until(doing.Doer):  # type: ignore[misc]
    """Stop a poller after so many results."""

    def __init__(self, poller: Poller, many: int, **kwa: Any) -> None:
        super().__init__(**kwa)
        self.poller = poller
        self.many = many
        self.tymes: list[float] = []

    def recur(self, tyme: float) -> bool:
        self.tymes.append(tyme)
        if len(self.poller.results) < self.many:
            return False
        self.poller.stop()
        return True


class TestReadyDoist:
    @needs_descriptor
    def test_answers_are_handled_when_they_arrive(self, root: str, readiness: str) -> None:
        poller = Poller(openings=1e6)
        poller.add(f"{root}/json", every=0.0)
        doist = ReadyDoist(real=True, tock=LONG, doers=[PollerDoer(poller), Until(poller, MANY)])
        doist.do()
        assert doist.done
        assert doist.tyme <= 5 * LONG
        assert [result.outcome for result in poller.results][:MANY] == ["ok"] * MANY
        assert poller.connections == 0

    def test_plain_clients_are_watched_too(self, root: str, readiness: str) -> None:
        port = int(root.rpartition(":")[2])
        client = Client(hostname="127.0.0.1", port=port)
        ping = PingPong(client, MANY if readiness == "best" else 3)
        doist = ReadyDoist(
            real=True, tock=LONG if readiness == "best" else 0.05, doers=[ClientDoer(client), ping]
        )
        doist.do(limit=200.0)
        assert [response.status for response in ping.responses] == [200] * ping.left
        if readiness == "best":
            assert doist.tyme <= 5 * LONG

    def test_clients_inside_dodoers_are_watched(self, root: str) -> None:
        port = int(root.rpartition(":")[2])
        client = Client(hostname="127.0.0.1", port=port)
        ping = PingPong(client, MANY)
        inner = doing.DoDoer(doers=[ClientDoer(client), ping])
        doist = ReadyDoist(real=True, tock=LONG, doers=[inner])
        doist.do(limit=200.0)
        assert len(ping.responses) == MANY

    @needs_descriptor
    def test_without_eager_runs_others_wait_for_the_cycle(self, root: str) -> None:
        poller = Poller(openings=1e6)
        poller.add(f"{root}/json", every=0.0)
        until = Until(poller, 5)
        doist = ReadyDoist(real=True, tock=0.1, eager=False, doers=[PollerDoer(poller), until])
        doist.do()
        assert len(until.tymes) == len(set(until.tymes))
        assert len(poller.results) >= 5
        assert doist.handled > 0

    @needs_descriptor
    def test_doers_with_a_tock_of_their_own_keep_it(self, root: str) -> None:
        poller = Poller(openings=1e6)
        poller.add(f"{root}/json", every=0.0)
        slow, fast = Until(poller, 10**9, tock=0.25), Until(poller, 200)
        doist = ReadyDoist(real=True, tock=0.125, doers=[PollerDoer(poller), fast, slow])
        doist.do(limit=1.0)
        assert slow.tymes == [n * 0.25 for n in range(len(slow.tymes))]
        assert len(fast.tymes) > len(set(fast.tymes))

    def test_tyme_goes_by_tocks_as_ever(self, root: str) -> None:
        poller = Poller(openings=1e6)
        poller.add(f"{root}/json", every=0.0)
        until = Until(poller, 20)
        doist = ReadyDoist(real=True, tock=0.125, doers=[PollerDoer(poller), until])
        doist.do()
        assert all(tyme % 0.125 == 0.0 for tyme in until.tymes)

    def test_not_in_real_time_it_is_hios(self) -> None:
        seen: list[float] = []

        class Count(doing.Doer):  # type: ignore[misc]
            def recur(self, tyme: float) -> bool:
                seen.append(tyme)
                return len(seen) == 50

        doist = ReadyDoist(real=False, tock=10.0, doers=[Count()])
        doist.do()
        assert seen == [n * 10.0 for n in range(50)]
        assert doist.done

    def test_an_exception_of_a_doer_comes_out_and_everything_is_closed(self, root: str) -> None:
        class Fails(doing.Doer):  # type: ignore[misc]
            def recur(self, tyme: float) -> bool:
                raise RuntimeError("broken")

        poller = Poller()
        poller.add(f"{root}/json", every=0.1)
        doist = ReadyDoist(real=True, tock=0.01, doers=[PollerDoer(poller), Fails()])
        with pytest.raises(RuntimeError, match="broken"):
            doist.do()
        assert poller.fileno() == -1

    def test_extra_runs_take_half_of_the_time_at_most(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In a time of our own: each run takes 3 s, and something is ready all the time."""
        now = [0.0]
        polls: list[float] = []

        class Ready:
            def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
                polls.append(timeout)
                now[0] += 0.25
                return [(5, READ)]

        class Slow(doing.Doer):  # type: ignore[misc]
            runs = 0

            def recur(self, tyme: float) -> bool:
                Slow.runs += 1
                now[0] += 3.0
                return False

        class Timer:
            @property
            def remaining(self) -> float:
                return 60.0 - now[0]

        monkeypatch.setattr(waiting.time, "monotonic", lambda: now[0])
        doist = ReadyDoist(real=True, tock=LONG, doers=[Slow()])
        monkeypatch.setattr(doist, "_watch", lambda readiness: False)
        monkeypatch.setattr(doist, "_handle", lambda readiness, fd: 1)
        doist.timer = Timer()
        doist.enter()
        doist._wait(Ready())  # type: ignore[arg-type]
        assert Slow.runs == 10
        assert max(polls) <= 60.0
        assert doist.tyme == 0.0
        doist.exit()

    def test_a_cycle_that_took_too_long_waits_for_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        doist = ReadyDoist(real=True, tock=LONG)
        doist.timer = SimpleNamespace(remaining=0.0)
        looked: list[object] = []
        monkeypatch.setattr(doist, "_watch", looked.append)
        doist._wait(SelectorReadiness())
        assert looked == []


def renumbered(sock: socket.socket, fd: int) -> socket.socket:
    """Give a socket another number, that of one that was closed, and close the old one."""
    os.dup2(sock.fileno(), fd)
    sock.close()
    again = socket.socket(fileno=fd)
    again.setblocking(False)
    return again


class Descriptor(doing.Doer):  # type: ignore[misc]  # hio has no types
    """Wait for a descriptor."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self.fd = fd

    def fileno(self) -> int:
        return self.fd

    def ready(self) -> int:
        return 0


class TestWatch:
    """What a Doist watches, as its clients' sockets come and go."""

    @pytest.fixture
    def doist(self) -> Iterator[ReadyDoist]:
        doist = ReadyDoist(real=True, tock=LONG)
        doist._readiness = make_readiness()
        yield doist
        doist._readiness.close()

    def watch(self, doist: ReadyDoist, *doers: Any) -> dict[int, int]:
        """Look at the doers, and give the masks that are watched, by descriptor."""
        doist.doers = list(doers)
        assert doist._readiness is not None
        doist._watch(doist._readiness)
        return {fd: watched.mask for fd, watched in doist._watched.items()}

    @needs_descriptor
    def test_a_poller_whose_descriptor_was_anothers(self, doist: ReadyDoist) -> None:
        """One is closed and another opened within a cycle, with the same number."""
        first, second = Poller(), Poller()
        first.open()
        fd = os.dup(first.fileno())  # kept, so that the number can be given to the other
        doer = Descriptor(fd)
        self.watch(doist, doer)
        os.close(fd)
        first.close()
        second.open()
        other = Descriptor(fd)
        os.dup2(second.fileno(), fd)
        try:
            self.watch(doist, other)
            second.wake()
            assert doist._readiness is not None
            assert [each for each, _ in doist._readiness.poll(5.0, 9)] == [fd]
        finally:
            os.close(fd)
            second.close()

    @needs_descriptor
    def test_a_poller_whose_descriptor_was_a_clients(self, doist: ReadyDoist) -> None:
        """Forgetting the client's socket, which is closed, leaves the poller watched."""
        poller = Poller()
        poller.open()
        with Server([]) as server, contextlib.closing(poller):
            client = Client(hostname="127.0.0.1", port=server.port)
            client.reopen()
            fd = client.connector.cs.fileno()
            doer = ClientDoer(client)
            assert list(self.watch(doist, doer)) == [fd]
            client.close()
            os.dup2(poller.fileno(), fd)
            try:
                assert self.watch(doist, doer, Descriptor(fd)) == {}
                poller.wake()
                assert doist._readiness is not None
                assert [each for each, _ in doist._readiness.poll(5.0, 9)] == [fd]
            finally:
                os.close(fd)

    @needs_descriptor
    def test_a_client_whose_descriptor_was_a_pollers(self, doist: ReadyDoist) -> None:
        """One that is watched already when it turns out that the poller is gone."""
        readiness = doist._readiness
        assert readiness is not None
        poller = Poller()
        poller.open()
        with Server([]) as server, contextlib.closing(poller):
            client = Client(hostname="127.0.0.1", port=server.port)
            doer = ClientDoer(client)
            fd = os.dup(poller.fileno())
            assert self.watch(doist, doer, Descriptor(fd)) == {}
            client.reopen()
            client.connector.cs = renumbered(client.connector.cs, fd)  # which closes the other
            doist._watch_client(readiness, doist._clients[id(client)])
            assert list(self.watch(doist, doer)) == [fd]
            assert [each for each, _ in readiness.poll(5.0, 9)] == [fd]  # it is writable
            client.close()

    def test_a_client_comes_and_goes(self, doist: ReadyDoist) -> None:
        with Server([Request(), OK]) as server:
            client = Client(hostname="127.0.0.1", port=server.port)
            doer = ClientDoer(client)
            assert self.watch(doist, doer) == {}  # no socket yet
            client.reopen()
            fd = client.connector.cs.fileno()
            assert self.watch(doist, doer) == {fd: READ | WRITE}  # connecting
            for _ in range(50):
                server.step()
                client.service()
                if client.connector.connected:
                    break
            assert self.watch(doist, doer) == {fd: READ}
            client.connector.tx(b"x")
            assert self.watch(doist, doer) == {fd: READ | WRITE}
            client.connector.txbs.clear()
            assert self.watch(doist) == {}  # the doer has ended
            assert self.watch(doist, doer) == {fd: READ}
            client.connector.cutoff = True
            assert self.watch(doist, doer) == {}
            client.reopen()
            assert list(self.watch(doist, doer)) == [client.connector.cs.fileno()]
            client.close()
            assert self.watch(doist, doer) == {}

    @pytest.mark.skipif(sys.platform == "win32", reason="numbers are not given again at once there")
    def test_a_descriptor_that_another_has_now(self, doist: ReadyDoist) -> None:
        """A socket closed behind our back leaves its number to the next one."""
        with Server([], []) as server:
            one, two = (Client(hostname="127.0.0.1", port=server.port) for _ in range(2))
            one.reopen()
            fd = one.connector.cs.fileno()
            doers = [ClientDoer(one), ClientDoer(two)]
            assert list(self.watch(doist, *doers)) == [fd]
            two.reopen()
            one.connector.cs.close()
            two.connector.cs = renumbered(two.connector.cs, fd)
            assert list(self.watch(doist, *reversed(doers))) == [fd]
            assert doist._watched[fd].client is two
            assert doist._handle(doist._readiness, fd) == 1  # type: ignore[arg-type]
            assert doist._handle(doist._readiness, fd + 1) == 0  # type: ignore[arg-type]
            two.close()


class TestDoer:
    def test_under_hios_doist(self, root: str) -> None:
        poller = Poller(openings=1e6)
        for _ in range(3):
            poller.add(f"{root}/json", every=0.05, count=4)
        doer = PollerDoer(poller)
        doist = doing.Doist(real=True, tock=0.01, doers=[doer])
        doist.do(limit=30.0)
        assert (doist.done, doer.done) == (True, True)
        assert sum(result.count for result in poller.results) == 12
        assert {result.outcome for result in poller.results} <= {"ok", "skipped"}

    def test_goes_by_the_tymists_tyme(self, root: str) -> None:
        poller = Poller()
        poller.add(f"{root}/json", every=100.0)
        doist = doing.Doist(real=False, tock=1.0, tyme=500.0, doers=[PollerDoer(poller)])
        doist.do(limit=300.0)
        dues = [result.due for result in poller.results]
        assert dues[:3] == pytest.approx([500.0, 600.0, 700.0])

    def test_closing_accounts_for_what_was_under_way(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            poller = Poller()
            poller.add(f"http://127.0.0.1:{deaf.getsockname()[1]}/", every=100.0)
            doist = doing.Doist(real=False, tock=0.1, doers=[PollerDoer(poller)])
            doist.do(limit=5.0)
        (result,) = poller.results
        assert (result.outcome, result.reason) == ("cancelled", "stopped")

    def test_plain_client_doers_go_on_beside_it(self, root: str) -> None:
        poller = Poller()
        poller.add(f"{root}/json", every=0.05)
        client = Client(hostname="127.0.0.1", port=int(root.rpartition(":")[2]))
        client.request(method="GET", path="/chunked")
        doist = doing.Doist(
            real=True, tock=0.01, doers=[PollerDoer(poller), ClientDoer(client), Until(poller, 3)]
        )
        doist.do(limit=2.0)
        assert client.respond().status == 200
        assert len(poller.results) >= 3

    def test_takes_a_tymth_at_once(self) -> None:
        tymist = tyming.Tymist(tyme=7.0)
        poller = Poller()
        doer = PollerDoer(poller, tymth=tymist.tymen())
        assert poller.tyme == 7.0
        doer.exit()


class TestAsyncio:
    @needs_descriptor
    def test_answers_are_handled_between_cycles(self, root: str) -> None:
        """As `Doist.ado` does it, where hio has it: cycles with asyncio's sleep between."""

        async def main() -> int:
            seen = asyncio.Event()
            results: list[Any] = []

            def take(result: Any) -> None:
                results.append(result)
                if len(results) == MANY:
                    seen.set()

            poller = Poller(openings=1e6, on_result=take)
            poller.add(f"{root}/json", every=0.0)
            doist = doing.Doist(real=True, doers=[PollerDoer(poller)])
            doist.enter()
            doist.recur()
            await asyncio.wait_for(seen.wait(), 60.0)  # and not one cycle more
            doist.exit()
            assert poller.fileno() == -1
            await asyncio.sleep(0)
            return len(results)

        assert asyncio.run(main()) >= MANY

    @pytest.mark.skipif(not hasattr(doing.Doist, "ado"), reason="this hio has no Doist.ado")
    @pytest.mark.parametrize("kind", [doing.Doist, ReadyDoist])
    def test_ado(self, root: str, kind: Any) -> None:
        poller = Poller(openings=1e6)
        poller.add(f"{root}/json", every=0.0)
        doist = kind(real=True, tock=0.5, doers=[PollerDoer(poller), Until(poller, MANY)])
        asyncio.run(doist.ado(limit=30.0))
        assert len(poller.results) >= MANY

    @needs_descriptor
    @pytest.mark.parametrize("ended", ["closed", "refuses"])
    def test_the_poller_is_closed_whatever_the_loop_says(
        self, root: str, ended: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Doers that a program exits after its loop was closed, as a generator's end may be."""
        poller = Poller()
        poller.add(f"{root}/json", every=1000.0)
        doer = PollerDoer(poller)

        async def main() -> None:
            doer.enter()
            if ended == "refuses":

                def refuse(fd: int) -> bool:
                    raise RuntimeError("no more")

                monkeypatch.setattr(asyncio.get_running_loop(), "remove_reader", refuse)
                with pytest.raises(RuntimeError, match="no more"):
                    doer.exit()

        asyncio.run(main())
        doer.exit()
        assert poller.fileno() == -1


class TestReadiness:
    @pytest.mark.parametrize("make", [make_readiness, SelectorReadiness])
    def test_tells_what_is_ready(self, make: Any) -> None:
        readiness = make()
        here, there = socket.socketpair()
        with here, there:
            readiness.register(here.fileno(), READ)
            assert readiness.poll(0.0, 10) == []
            there.send(b"x")
            assert readiness.poll(9.0, 10) == [(here.fileno(), READ)]
            readiness.modify(here.fileno(), READ | WRITE)
            assert readiness.poll(9.0, 10) == [(here.fileno(), READ | WRITE)]
            readiness.unregister(here.fileno())
            assert readiness.poll(0.0, 10) == []
            with pytest.raises(OSError):  # noqa: PT011  # whichever
                readiness.unregister(here.fileno())
        readiness.close()

    def test_where_there_is_no_epoll(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(select, "epoll", raising=False)
        readiness = make_readiness()
        assert isinstance(readiness, SelectorReadiness)
        readiness.close()

    def test_a_descriptor_is_of_its_latest_socket(self) -> None:
        """Where a socket was closed and forgotten, another may have its number."""
        readiness = SelectorReadiness()
        here, there = socket.socketpair()
        again, peer = socket.socketpair()
        fd = here.fileno()
        readiness.register(fd, READ | WRITE)
        here.close()
        with there, peer, renumbered(again, fd):
            readiness.register(fd, READ)
            assert readiness.poll(0.0, 10) == []
            peer.send(b"x")
            assert readiness.poll(9.0, 10) == [(fd, READ)]
        readiness.close()

    def test_most_is_a_bound(self) -> None:
        readiness = SelectorReadiness()
        pairs = [socket.socketpair() for _ in range(4)]
        for here, there in pairs:
            readiness.register(here.fileno(), READ)
            there.send(b"x")
        assert len(readiness.poll(0.0, 3)) == 3
        readiness.close()
        for here, there in pairs:
            here.close()
            there.close()

    def test_waker(self) -> None:
        waker = Waker()
        readiness = make_readiness()
        readiness.register(waker.fileno(), READ)
        thread = threading.Thread(target=waker.wake)
        thread.start()
        assert readiness.poll(60.0, 1)
        thread.join()
        for _ in range(100_000):
            waker.wake()  # more than fits is no trouble
        waker.clear()
        assert readiness.poll(0.0, 1) == []
        readiness.close()
        waker.close()
        waker.wake()

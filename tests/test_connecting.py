"""Connectors by themselves, on sockets of this machine, and what hosts resolve to."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any

import pytest
from hio.base import tyming
from hio.core import tcp, wiring

from fasthio import socketing
from fasthio.connecting import Connector
from fasthio.errors import ResolutionError
from fasthio.resolving import Address, is_loopback, resolve
from servers import CLOSE, RESET, Loop, Server, Wait

if TYPE_CHECKING:
    pass

# resolution


def test_resolve() -> None:
    assert resolve("127.0.0.1", 80) == [Address(socket.AF_INET, ("127.0.0.1", 80))]
    assert resolve("", 80) == [Address(socket.AF_INET, ("0.0.0.0", 80))]
    (literal,) = resolve("::1", 80)
    assert literal.family == socket.AF_INET6
    assert literal.sockaddr[:2] == ("::1", 80)
    addresses = resolve("localhost", 80)
    assert addresses[0] == Address(socket.AF_INET, ("127.0.0.1", 80))
    assert len(set(addresses)) == len(addresses)


def test_resolve_puts_ipv4_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(*_: Any) -> list[Any]:
        return [
            (socket.AF_INET6, 1, 6, "", ("::5", 80, 0, 0)),
            (socket.AF_INET, 1, 6, "", ("10.0.0.1", 80)),
            (socket.AF_INET, 1, 6, "", ("10.0.0.1", 80)),
            (socket.AF_UNIX, 1, 0, "", "x"),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    assert [address.sockaddr[0] for address in resolve("name", 80)] == ["10.0.0.1", "::5"]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [])
    with pytest.raises(ResolutionError, match="no address"):
        resolve("name", 80)


@pytest.mark.usefixtures("no_names")
@pytest.mark.parametrize("host", ["name.invalid", "a" * 70 + ".example", "a\x00b"])
def test_resolve_fails(host: str) -> None:
    with pytest.raises(ResolutionError) as caught:
        resolve(host, 80)
    assert caught.value.code == "unresolved"


def test_is_loopback() -> None:
    assert is_loopback("127.0.0.1")
    assert is_loopback("127.9.9.9")
    assert is_loopback("::1")
    assert not is_loopback("10.0.0.1")
    assert not is_loopback("::")


# connectors


def connected(server: Server, **kwa: Any) -> tuple[Connector, Loop]:
    loop = Loop(server)
    connector = Connector(host="127.0.0.1", port=server.port, **kwa)
    loop.clients.append(connector)
    assert connector.reopen() is True
    loop.run(until=connector.serviceConnect, rounds=40)
    loop.rounds(2)
    return connector, loop


def test_connect_send_receive() -> None:
    wl = wiring.WireLog(samed=True)
    wl.reopen()
    with Server([b"hello", Wait(1)]) as server:
        connector, loop = connected(server, wl=wl)
        with loop:
            assert connector.accepted
            assert connector.connected
            assert connector.ha == ("127.0.0.1", server.port)
            assert connector.ca == connector.cs.getsockname()
            assert connector.fileno() == connector.cs.fileno()
            connector.tx(b"question")
            connector.serviceSends()
            assert not connector.txbs
            loop.rounds(3)
            assert server.links[0].received == b"question"
            connector.serviceReceives()
            assert connector.rxbs == b"hello"
            connector.clearRxbs()
            assert connector.receive() is None
            assert connector.send(b"more") == 4
            logged = wl.readRx()
            wl.close()
            assert logged.count(b"question") == logged.count(b"hello") == logged.count(b"more") == 1
        assert connector.fileno() == -1
        assert connector.receive_into.__self__ is connector


def test_as_hios_attributes_along_the_way() -> None:
    """What hio's connector shows at each step, ours shows."""
    names = ("accepted", "connected", "cutoff", "opened", "ca", "txbs", "rxbs", "reconnectable")
    steps: dict[Any, list[Any]] = {}
    for cls in (tcp.Client, Connector):
        with Server([b"hello", "close"]) as server, Loop(server) as loop:
            connector = loop.client(cls, None, host="127.0.0.1", port=server.port)
            seen = steps[cls] = []

            def note(connector: Any = connector, seen: list[Any] = seen) -> None:
                values = {name: getattr(connector, name) for name in names}
                values["ca"] = values["ca"][0]
                values["rxbs"] = bytes(values["rxbs"])
                values["txbs"] = bytes(values["txbs"])
                values["cs"] = connector.cs is None
                seen.append(values)

            note()
            connector.reopen()
            note()
            loop.run(until=connector.serviceConnect, rounds=40)
            note()
            connector.tx(b"x")
            note()
            connector.serviceSends()
            note()
            loop.rounds(3)
            for _ in range(3):
                connector.serviceReceives()
                note()
            connector.close()
            note()
            connector.close()
            note()
    assert steps[Connector][:5] == steps[tcp.Client][:5]
    assert steps[Connector][6:] == steps[tcp.Client][6:]


def test_timer_without_a_tymist() -> None:
    """D43: hio's raises TypeError there."""
    connector = Connector(host="127.0.0.1", port=9, tymeout=1000.0)
    assert connector.tymer.expired is False
    tymist = tyming.Tymist(tyme=5.0)
    connector.wind(tymist.tymen())
    assert connector.tyme == 5.0
    assert connector.tymer.remaining == pytest.approx(1000.0)


def test_timer_runs_from_the_beginning() -> None:
    """As in hio: by the time a connection is cut, the time to reopen may have come."""
    tymist = tyming.Tymist(tyme=5.0)
    made = Connector(host="127.0.0.1", port=9, tymeout=2.0, tymth=tymist.tymen())
    wound = Connector(host="127.0.0.1", port=9, tymeout=2.0)
    wound.wind(tymist.tymen())
    tymist.tick(3.0)
    assert made.tymer.expired
    assert wound.tymer.expired
    assert made.tymer.duration == wound.tymer.duration == 2.0


def test_timer_is_of_the_tymist() -> None:
    tymist = tyming.Tymist(tyme=5.0)
    connector = Connector(host="127.0.0.1", port=9, tymeout=2.0, tymth=tymist.tymen())
    assert not connector.tymer.expired
    tymist.tick(2.0)
    assert connector.tymer.expired
    connector.refresh()
    assert not connector.tymer.expired
    mine = tyming.Tymer(tymth=tymist.tymen(), duration=1.0)
    connector.tymer = mine
    assert connector.tymer is mine


def test_refused_is_tried_again() -> None:
    """D44: each attempt has a fresh socket; all addresses are tried."""
    with Server(listening=False) as server:
        connector = Connector(host="127.0.0.1", port=server.port)
        connector.addresses *= 3
        sockets = set()
        for _ in range(100):
            assert not connector.serviceConnect()
            sockets.add(connector.cs)
            if connector.refusals == 3:
                break
        assert connector.refusals == 3
        assert isinstance(connector.fault, ConnectionRefusedError)
        assert len(sockets) >= 9
        server.listen()
        for _ in range(40):
            if connector.serviceConnect():
                break
        assert connector.connected
        assert connector.refusals == 0
        assert connector.fault is None
        connector.close()


def test_connection_to_itself() -> None:
    """D44: it counts as refused."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    connector = Connector(host="127.0.0.1", port=port)
    connector.reopen()
    connector.cs.bind(("127.0.0.1", port))
    for _ in range(40):
        connector.serviceConnect()
        if connector.refusals:
            break
    assert connector.refusals
    assert not connector.connected
    connector.close()


def test_address_set_by_the_program() -> None:
    with Server([]) as server:
        connector = Connector(host="127.0.0.1", port=9)
        connector.port = server.port
        assert connector.ha == ("127.0.0.1", server.port)
        assert connector.host == "127.0.0.1"
        for _ in range(40):
            if connector.serviceConnect():
                break
        assert connector.connected
        connector.close()


@pytest.mark.parametrize("way", ["direct", "receive"])
def test_errors_while_receiving(way: str) -> None:
    """D45: every error ends the connection and is kept."""
    with Server([Wait(6), RESET]) as server:
        connector, loop = connected(server)
        with loop:
            loop.rounds(8)
            if way == "receive":
                assert connector.receive() == b""
            else:
                connector.serviceReceives()
            assert connector.cutoff
            assert isinstance(connector.fault, ConnectionResetError)
            assert connector.connected  # as in hio until it is reopened
            connector.serviceReceives()
            connector.reopen()
            assert not connector.cutoff
            assert connector.fault is None


@pytest.mark.parametrize("way", ["direct", "receive"])
def test_socket_closed_under_it(way: str) -> None:
    """D45: EBADF too."""
    with Server([]) as server:
        connector, loop = connected(server)
        with loop:
            connector.cs.close()
            if way == "receive":
                assert connector.receive() == b""
            else:
                connector.serviceReceives()
            assert connector.cutoff
            assert isinstance(connector.fault, OSError)


def test_bound() -> None:
    """D46: one call takes a bounded amount."""
    with Server([b"x" * 2_000_000]) as server:
        connector, loop = connected(server, bs=10_000)
        with loop:
            total = 0
            for _ in range(400):
                connector.serviceReceives()
                assert len(connector.rxbs) <= connector.Bound + connector.bs
                total += len(connector.rxbs)
                connector.clearRxbs()
                loop.rounds(1)
                if total == 2_000_000:
                    break
            assert total == 2_000_000


def test_sends_after_the_peer_has_half_closed() -> None:
    """D47: what is queued still goes to a peer that has closed its own side (hio 171)."""
    with Server(["half", Wait(50)]) as server:
        connector, loop = connected(server)
        with loop:
            loop.rounds(2)
            connector.serviceReceives()
            assert connector.cutoff
            connector.tx(b"still")
            connector.serviceSends()
            assert not connector.txbs
            received = b""
            server.links[0].ended = False
            for _ in range(10):
                server.step()
                received = bytes(server.links[0].received)
                if received:
                    break
            assert received == b"still"


def test_failed_send_does_not_stop_receiving() -> None:
    """D47: what the peer sent before it closed is still received."""
    with Server([b"answer", Wait(2), "close"]) as server:
        connector, loop = connected(server)
        with loop:
            connector.tx(b"x" * 20_000_000)
            for _ in range(30):
                connector.serviceSends()
                loop.rounds(1)
            assert connector.fault is not None
            assert not connector.cutoff
            connector.serviceReceives()
            assert connector.rxbs == b"answer"


class Sub(Connector):
    """A subclass that wants its own way."""

    def receive(self) -> bytes | None:
        return b""

    def send(self, data: bytes | bytearray) -> int:
        return len(data)


def test_subclass_is_asked() -> None:
    with Server([b"hello"]) as server, Loop(server) as loop:
        connector = loop.client(Sub, None, host="127.0.0.1", port=server.port)
        loop.run(until=connector.serviceConnect, rounds=40)
        loop.rounds(2)
        connector.serviceReceives()
        assert not connector.rxbs
        connector.tx(b"abc")
        connector.serviceSends()
        assert not connector.txbs
        loop.rounds(2)
        assert not server.links[0].received


@pytest.mark.parametrize("way", ["serviceReceives", "receive_into", "receive"])
def test_what_comes_is_logged(way: str) -> None:
    """By whichever way; the end that follows is met in the same way."""
    wl = wiring.WireLog(samed=True)
    wl.reopen()
    with Server([b"hello", CLOSE]) as server:
        connector, loop = connected(server, wl=wl)
        with loop:
            if way == "receive_into" and not socketing._DIRECT:
                pytest.skip("all goes through rx there")
            got = bytearray()
            for _ in range(40):
                if way == "serviceReceives":
                    connector.serviceReceives()
                    got = connector.rxbs
                elif way == "receive_into":
                    connector.receive_into(got, 100)
                else:
                    got += connector.receive() or b""
                loop.rounds(1)
                if connector.cutoff:
                    break
            assert connector.cutoff
            assert connector.fault is None  # an orderly end
            assert got == b"hello"
            logged = wl.readRx()
            wl.close()
            assert logged.count(b"hello") == 1


def test_send_that_fails() -> None:
    """D47: it does not raise; what is full is waited for, what is broken is kept as the fault."""
    with Server([]) as server:
        connector, loop = connected(server)
        with loop:
            while connector.send(b"x" * 100_000):
                pass  # until the socket is full: the server takes nothing
            assert connector.fault is None
            assert not connector.cutoff
            connector.cs.shutdown(socket.SHUT_WR)
            assert connector.send(b"x") == 0
            assert isinstance(connector.fault, OSError)


@pytest.mark.skipif(not socketing._DIRECT, reason="all goes through rx there")
def test_receive_into() -> None:
    with Server([b"x" * 50_000]) as server:
        connector, loop = connected(server)
        with loop:
            assert connector.direct
            body = bytearray(b"head")
            for _ in range(40):
                connector.receive_into(body, 60_000)
                loop.rounds(1)
                if len(body) == 50_004:
                    break
            assert body == b"head" + b"x" * 50_000
            assert connector.receive_into(body, 10) == 0
            assert not connector.cutoff
            connector.serviceReceives = lambda: None
            assert not connector.direct


def test_reconnectable_attempts_are_timed() -> None:
    """As in hio: an attempt that hangs is given up after tymeout."""
    tymist = tyming.Tymist(tyme=0.0)
    connector = Connector(
        host="127.0.0.1", port=9, tymeout=1.0, reconnectable=True, tymth=tymist.tymen()
    )

    class Hanging:
        """A socket whose connect never ends."""

        def connect_ex(self, address: Any) -> int:
            return errno.EINPROGRESS

        def shutdown(self, how: int) -> None:
            """Do nothing."""

        def close(self) -> None:
            """Do nothing."""

    hanging = connector.cs = Hanging()
    assert not connector.serviceConnect()
    assert connector.cs is hanging
    tymist.tick(1.5)
    assert not connector.serviceConnect()
    assert connector.cs is not hanging
    connector.close()


def test_attempts_have_their_time_after_a_rest() -> None:
    """D98: each attempt has tymeout seconds, however long there was none."""

    class Far(Connector):
        """A connector whose attempts do not end."""

        def accept(self) -> bool:
            return False

    tymist = tyming.Tymist(tyme=0.0, tock=1.0)
    connector = Far(port=9, tymeout=5.0, reconnectable=True, tymth=tymist.tymen())
    tymist.tick(3600.0)
    seen = []
    connector.reopen()
    for _ in range(20):
        connector.serviceConnect()
        if connector.cs not in seen:
            seen.append(connector.cs)
        tymist.tick()
    assert len(seen) == 4
    other = tyming.Tymist(tyme=-1000.0, tock=1.0)
    connector.wind(other.tymen())
    before = connector.cs
    for _ in range(5):
        connector.serviceConnect()
        assert connector.cs is before
        other.tick()
    connector.serviceConnect()
    assert connector.cs is not before
    connector.close()


def test_silent_address_is_passed_over() -> None:
    """D41: the next attempt is one at the next address."""

    class Far(Connector):
        """A connector whose attempts do not end."""

        def accept(self) -> bool:
            return False

    tymist = tyming.Tymist(tyme=0.0, tock=1.0)
    addresses = [Address(socket.AF_INET, (f"127.0.0.{number}", 9)) for number in (1, 2, 3)]
    connector = Far(
        port=9, addresses=addresses, tymeout=5.0, reconnectable=True, tymth=tymist.tymen()
    )
    connector.reopen()
    tried = []
    for _ in range(20):
        connector.serviceConnect()
        if connector._address() not in tried[-1:]:
            tried.append(connector._address())
        tymist.tick()
    assert tried == [*addresses, addresses[0]]
    connector.close()


def test_attributes_of_a_connector_that_begins_before_are_kept() -> None:
    class Own(Connector):
        def __init__(self, **kwa: Any) -> None:
            self.mine = [1]
            super().__init__(**kwa)

    one, other = Own(port=9), Own(port=9)
    assert one.mine == [1]
    assert one.rxbs is not other.rxbs
    assert one.txbs is not other.txbs

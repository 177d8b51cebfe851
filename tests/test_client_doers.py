"""What drives a Client: ClientDoer under a Doist, and the generators of hio's backends."""

from __future__ import annotations

from typing import Any

import pytest
from hio.base import doing, tyming
from hio.core import wiring

from fasthio.clienting import Client, ClientDoer, Response, backendRequest
from servers import CLOSE, JSON, OK, Loop, Request, Server, fields_of


class Fake:
    """What programs give to the real ClientDoer in their tests."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def wind(self, tymth: Any) -> None:
        self.calls.append("wind")

    def reopen(self) -> None:
        self.calls.append("reopen")

    def service(self) -> None:
        self.calls.append("service")

    def close(self) -> None:
        self.calls.append("close")

    def request(self, **kwa: Any) -> None:
        self.calls.append("request")


def test_doer_runs_a_fake() -> None:
    fake = Fake()
    doist = doing.Doist(limit=0.1, tock=0.03125, doers=[ClientDoer(fake)])
    doist.do()
    calls = fake.calls
    assert calls[0] == "wind"
    assert calls[-1] == "close"
    assert calls.count("reopen") == 1
    assert calls.count("service") >= 2
    assert calls.index("reopen") < calls.index("service")


def test_doer_winds_at_construction() -> None:
    tymist = tyming.Tymist(tyme=5.0)
    client = Client(hostname="127.0.0.1", port=9)
    doer = ClientDoer(client, tymth=tymist.tymen())
    assert client.connector.tyme == 5.0
    doer.enter(temp=None)
    assert client.connector.opened
    doer.exit()
    assert not client.connector.opened
    assert isinstance(doer, doing.Doer)


def test_doer_under_a_doist() -> None:
    with Server([Request(), JSON]) as server:
        client = Client(hostname="127.0.0.1", port=server.port)
        client.request()

        class ServerDoer(doing.Doer):  # type: ignore[misc]
            def recur(self, tyme: float) -> bool:
                server.step()
                return bool(client.responses)

        doing.Doist(limit=20.0, tock=0.125, doers=[ClientDoer(client), ServerDoer()]).do()
        assert client.responses[0]["data"] == {"a": [1, None], "b": {"c": "d"}}
        assert client.connector.cs is None


def drive(generator: Any, loop: Loop) -> Any:
    """Run a generator to its end beside the servers; give what it returns."""
    for _ in range(60):
        try:
            given = next(generator)
        except StopIteration as stop:
            return stop.value
        assert given == b""
        loop.round()
    raise AssertionError("the generator did not end")


def test_service_while_gen() -> None:
    """D52: hio's raises AttributeError."""
    with Server([Request(), OK]) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        client.request()
        result = drive(client.serviceWhileGen(tymeout=5.0), loop)
        assert isinstance(result, Response)
        assert result.body == b"ok"
        client.request()
        assert drive(client.serviceWhileGen(tymeout=0.05), loop) is None


@pytest.mark.parametrize("buffered", [False, True])
def test_backend_request(buffered: bool, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring.WireLog, "HeadDirPath", str(tmp_path))
    with Server([Request(), JSON, CLOSE]) as server, Loop(server) as loop:
        generator = backendRequest(
            loop.tymth, host="127.0.0.1", port=server.port, path="/x", qargs={"a": "b"},
            buffered=buffered,
        )  # fmt: skip
        result = drive(generator, loop)
        assert result["data"] == {"a": [1, None], "b": {"c": "d"}}
        assert server.requests[0].startswith(b"GET /x?a=b HTTP/1.1\r\n")
        assert fields_of(server.requests[0])["connection"] == "close"
        logs = list(tmp_path.rglob("*.log"))
        assert len(logs) == (1 if buffered else 0)
        if buffered:
            logged = logs[0].read_bytes()
            assert b"Tx" in logged
            assert b"GET /x?a=b" in logged
            assert b"HTTP/1.1 200" in logged


def test_backend_request_time_is_up() -> None:
    with Server([Request()]) as server, Loop(server, tock=0.25) as loop:
        generator = backendRequest(loop.tymth, host="127.0.0.1", port=server.port, tymeout=1.0)
        assert drive(generator, loop) is None


def test_backend_request_wrong_call() -> None:
    """D53: the reason comes out, not an UnboundLocalError."""
    with pytest.raises(ValueError, match="port"):
        next(backendRequest(tyming.Tymist().tymen(), host="127.0.0.1", port=-1))

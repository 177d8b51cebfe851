"""D80: methods that a program puts in the place of ours are called, of class and of instance.

And names of its own are its own: what hio's classes do not have stands back behind them.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from fasthio import clienting
from fasthio.clienting import Client, Requester, Respondent
from fasthio.engine import intact
from fasthio.streaming import Stream
from servers import CLOSE, OK, Loop, Request, Server, answer

STEPS = ("parseMessage", "parseHead", "parseBody", "checkPersisted", "reinit")


def counted(of: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Put a function of a program in the place of a method; give what notes its calls."""
    calls: list[str] = []
    real = getattr(of, name)

    def replaced(*pa: Any, **kwa: Any) -> Any:
        calls.append(name)
        return real(*pa, **kwa)

    monkeypatch.setattr(of, name, replaced)
    return calls


@pytest.mark.usefixtures("respondents")
@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("of_class", [False, True])
@pytest.mark.parametrize("before", [0, 2])
def test_d80_steps_of_a_respondent_replaced(
    monkeypatch: pytest.MonkeyPatch, name: str, of_class: bool, before: int
) -> None:
    """For the first response, and for one whose request is the same as the last."""
    with Server([Request(), OK] * 4) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        for _ in range(before):
            client.request(path="/same")
            loop.run(client, until=lambda: client.responses, rounds=60)
            client.responses.clear()
        calls = counted(Respondent if of_class else client.respondent, name, monkeypatch)
        client.request(path="/same")
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert calls == [name]
        assert client.responses[0]["body"] == b"ok"
        assert not client.responses[0]["errored"]


@pytest.mark.usefixtures("respondents")
def test_d80_own_persistence_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: Respondent) -> None:
        self.persisted = False

    with Server([Request(), OK]) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        monkeypatch.setattr(Respondent, "checkPersisted", never)
        client.request()
        client.request()
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=60)
        assert len(server.links) == 2


@pytest.mark.parametrize("name", ["serviceRequests", "serviceResponse"])
@pytest.mark.parametrize("of_class", [False, True])
def test_d80_service_methods_replaced_are_called_by_an_idle_service(
    monkeypatch: pytest.MonkeyPatch, name: str, of_class: bool
) -> None:
    with Server([Request(), OK]) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=60)
        loop.rounds(2, client)
        calls = counted(Client if of_class else client, name, monkeypatch)
        loop.rounds(3, client)
        assert len(calls) == 3


def test_intact(engine: ModuleType) -> None:
    class Owner:
        def way(self) -> None:
            """Do nothing."""

    class Other(Owner):
        def way(self) -> None:
            """Do nothing else."""

    class Raising(Owner):
        @property
        def way(self) -> None:  # type: ignore[override]
            raise OSError("no way")

    methods = (("way", Owner.way),)
    owner = Owner()
    assert engine.intact(owner, methods)
    assert engine.intact(owner, ())
    assert not engine.intact(Other(), methods)
    assert not engine.intact(owner, (("away", Owner.way),))
    assert not engine.intact(owner, (*methods, ("__init__", Owner.way)))
    owner.way = Owner().way  # type: ignore[method-assign]
    assert not engine.intact(owner, methods)
    owner.way = owner.way.__func__  # type: ignore[attr-defined,method-assign]
    assert not engine.intact(owner, methods)
    with pytest.raises(OSError, match="no way"):
        engine.intact(Raising(), methods)
    with pytest.raises(TypeError):
        engine.intact(owner, list(methods))
    assert intact(Requester(), Requester._Ways)


# arguments that a program's own requester takes


class Joining(Requester):
    """Takes a path in parts, and a body of any kind, as hio's client would let it."""

    def reinit(self, path: Any = None, body: Any = None, **kwa: Any) -> None:
        if isinstance(path, tuple):
            path = "/" + "/".join(path)
        super().reinit(path=path, body=str(body or "").encode() or None, **kwa)


class Rebuilding(Requester):
    """The same in `rebuild`."""

    def rebuild(self, path: Any = None, body: Any = None, **kwa: Any) -> bytes:
        if isinstance(path, tuple):
            path = "/" + "/".join(path)
        return super().rebuild(path=path, body=str(body or "").encode() or None, **kwa)


@pytest.mark.parametrize("kind", [Joining, Rebuilding])
def test_requesters_of_a_program_convert(kind: Any) -> None:
    with Server([Request(), OK] * 2) as server, Loop(server) as loop:
        client = loop.client(Client, server, requester=kind(port=server.port))
        client.request("POST", path=("a", "b"), body=12)
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert server.requests[0].startswith(b"POST /a/b HTTP/1.1\r\n")
        assert server.requests[0].endswith(b"\r\n\r\n12")


def test_requester_with_names_of_its_own() -> None:
    class Own(Requester):
        accepts = ("json", "cbor")

        def validate(self) -> bool:
            return True

        def forget(self, what: str) -> None:
            raise AssertionError(what)

    with Server([Request(), OK]) as server, Loop(server) as loop:
        client = loop.client(Client, server, requester=Own(port=server.port))
        with pytest.raises(ValueError, match="path"):
            client.request(path="/\n")
        client.request(path="/a")
        client._interrupted()
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert not client.responses[0]["errored"]


EVENTS = answer(b"data: a\n\n", Content_Type="text/event-stream")


def test_client_with_names_of_its_own() -> None:
    """hio's Client has no `stream` and no `streaming`: a program may use the names."""

    class Own(Client):
        def __init__(self, **kwa: Any) -> None:
            self.stream = "mine"  # type: ignore[assignment]
            self.streaming = "mine, too"  # type: ignore[assignment]
            super().__init__(**kwa)

    with Server([Request(), EVENTS, CLOSE], [Request(), OK]) as server, Loop(server) as loop:
        client = loop.client(Own, server)
        client.request(headers={"a": "b"})
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert [event["data"] for event in client.events] == ["a"]
        client.request()
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=60)
        assert (client.stream, client.streaming) == ("mine", "mine, too")


def test_stream_and_streaming_are_shown() -> None:
    with Server([Request(), EVENTS, CLOSE]) as server, Loop(server) as loop:
        client = loop.client(clienting.Client, server)
        assert client.stream is None
        assert client.streaming is False
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert isinstance(client.stream, Stream)
        assert client.streaming is False
    assert Client.stream.__doc__

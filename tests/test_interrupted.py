"""D101: an exception from outside, as KeyboardInterrupt, at any line of `service`: all is sound."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import fasthio
from exchanges import make, settled
from fasthio.requesting import Requester
from servers import SILENT, Loop, Request, Server, answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

#: A second interrupt while the first is settled is not asked for; CPython has none where a
#: parser ends its work.
APART = ("_interrupted", "_advance", "__del__")
PACKAGE = str(Path(fasthio.__file__).parent)


class Interrupt:
    """Raise KeyboardInterrupt before one line of the package, counted from here on."""

    def __init__(self, line: int) -> None:
        self.left = line
        self.happened = False

    def __enter__(self) -> Interrupt:
        self.before = sys.gettrace()
        sys.settrace(self.trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self.before)

    def trace(self, frame: FrameType, event: str, arg: Any) -> Any:
        if self.happened or not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if frame.f_code.co_name in APART:
            return None
        if event == "line":
            self.left -= 1
            if self.left < 0:
                self.happened = True
                sys.settrace(self.before)
                raise KeyboardInterrupt
        return self.trace


def echo(request: bytes) -> bytes:
    """Answer with the path that was asked for; /away leads to /end."""
    path = request.split(b" ")[1]
    if path == b"/away":
        return answer(status=302, Location="/end")
    return answer(b"at " + path)


SCRIPT = [Request(), echo] * 20


def play(paths: list[tuple[str, str]], line: int, **kwa: Any) -> tuple[bool, Any, list[bytes]]:
    """Ask for all, interrupted once; give whether it was, the client, and what was asked."""
    with Server(SCRIPT) as server, Loop(server) as loop:
        client = make(server, loop, **kwa)
        client.request(path="/first")
        loop.run(client, until=lambda: settled(client, 1), rounds=60)
        client.responses.clear()
        server.requests.clear()
        for method, path in paths:
            client.request(method=method, path=path, reply=(method, path))
        interrupt = Interrupt(line)
        service = client.service

        def serve() -> None:
            if interrupt.happened:
                service()
                return
            try:
                with interrupt:
                    service()
            except KeyboardInterrupt:
                assert interrupt.happened

        client.service = serve
        loop.run(client, until=lambda: settled(client, len(paths)), rounds=200)
        loop.rounds(5, client)
        del client.service
        assert len(client.responses) == len(paths)
        assert not client.waited
        assert not [*client.requests, *client.redirects]
        assert client.latest is None
        client.request(path="/last")
        loop.run(client, until=lambda: settled(client, len(paths) + 1), rounds=60)
        last = client.responses.pop()
        assert (last["errored"], last["body"]) == (False, b"at /last")
        return interrupt.happened, client, [line.split(b" HTTP")[0] for line in server.requests]


def scan(check: Callable[[int], bool], step: int = 1) -> int:
    """Interrupt at the first line, and then each so many on; give how many there were."""
    for line in range(0, 4000, step):
        if not check(line):
            return line
    raise AssertionError("it never ends")


@pytest.mark.parametrize(("reconnectable", "step"), [(False, 1), (True, 5)])
def test_queue_interrupted_at_every_line(respondents: Any, reconnectable: bool, step: int) -> None:
    """Each request has one response, its own, in order; none that is not safe goes out twice."""
    paths = [("GET", "/a"), ("POST", "/pay"), ("GET", "/b")]

    def check(line: int) -> bool:
        happened, client, asked = play(paths, line, reconnectable=reconnectable)
        for (method, path), response in zip(paths, client.responses, strict=True):
            assert response["request"]["reply"] == (method, path), line
            if response["errored"]:
                assert response["error"].code == "interrupted", line
                assert method == "POST", line
            else:
                assert response["body"] == b"at " + path.encode(), line
        assert asked.count(b"POST /pay") <= 1, line
        return happened

    assert scan(check, step) > 100


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_time_limit_interrupted_at_every_line(method: str) -> None:
    """A request whose time is up has one response, and the one behind it its own."""

    def check(line: int) -> bool:
        with Server([Request(), SILENT], SCRIPT) as server, Loop(server, tock=0.1) as loop:
            client = make(server, loop, timeout=0.25)
            client.request(method=method, path="/slow", reply=1)
            client.request(path="/next", reply=2)
            loop.run(client, until=lambda: server.requests, rounds=20)
            interrupt = Interrupt(line)
            for _ in range(60):
                if interrupt.happened or client.responses:
                    loop.round(client)
                    continue
                with contextlib.suppress(KeyboardInterrupt), interrupt:
                    client.service()
                loop.round()
            assert [response["request"]["reply"] for response in client.responses] == [1, 2], line
            second = client.responses[1]
            assert (second["error"], second["body"]) == (None, b"at /next"), line
            assert not client.waited
            assert not client.requests
            return interrupt.happened

    assert scan(check) > 100


def test_same_request_interrupted_at_every_line(respondents: Any) -> None:
    """The way of requests that are kept, too."""

    def check(line: int) -> bool:
        with Server(SCRIPT) as server, Loop(server) as loop:
            client = make(server, loop)
            for _ in range(3):
                client.request(path="/same")
                loop.run(client, until=lambda: settled(client, 1), rounds=60)
                client.responses.clear()
            for _ in range(2):
                client.request(path="/same")
            interrupt = Interrupt(line)
            for _ in range(60):
                server.step()
                if interrupt.happened:
                    client.service()
                else:
                    try:
                        with interrupt:
                            client.service()
                    except KeyboardInterrupt:
                        pass
                loop.tymist.tick()
                if settled(client, 2):
                    break
            assert [bytes(each["body"]) for each in client.responses] == [b"at /same"] * 2, line
            assert not client.waited
            assert not client.requests
            return interrupt.happened

    assert scan(check) > 50


def test_redirect_interrupted_at_every_third_line(respondents: Any) -> None:
    """On the way to where a redirect leads there may be an error, but no other's answer."""
    paths = [("GET", "/away"), ("GET", "/b")]

    def check(line: int) -> bool:
        happened, client, _ = play(paths, line)
        first, second = client.responses
        if first["errored"]:
            assert first["error"].code == "interrupted", line
        else:
            assert first["body"] == b"at /end", line
            assert [each["status"] for each in first["redirects"]] == [302], line
        assert (second["errored"], second["body"]) == (False, b"at /b"), line
        assert "redirects" not in second, line
        assert client.requester.hostname == "127.0.0.1"
        return happened

    assert scan(check, 3) > 100


def test_sink_interrupted(respondents: Any) -> None:
    """What a sink got cannot be taken back: the response says that it is not whole."""
    with Server(SCRIPT) as server, Loop(server) as loop:
        client = make(server, loop)

        def sink(octets: bytes) -> None:
            raise KeyboardInterrupt

        client.request(path="/a", sink=sink)
        client.request(path="/b")
        with pytest.raises(KeyboardInterrupt):
            loop.run(client, until=lambda: settled(client, 2), rounds=60)
        loop.run(client, until=lambda: settled(client, 2), rounds=60)
        assert [each["errored"] for each in client.responses] == [True, False]
        assert client.responses[0]["error"].code == "interrupted"


def test_other_exceptions_are_the_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of a program's own code comes out as it is, and no exchange is ended for it."""
    with Server(SCRIPT) as server, Loop(server) as loop:
        client = make(server, loop)
        client.request(path="/a")
        monkeypatch.setattr(Requester, "rebuild", lambda *pa, **kwa: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            loop.run(client, until=lambda: settled(client, 1), rounds=10)

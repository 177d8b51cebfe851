"""fleetview and fleetmembers: what a fleet tells of itself."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import pytest

from fasthio import fleetview
from fasthio.fleeterrors import FleetError, SchedulerError
from fasthio.fleetjoining import Enlisted
from fasthio.fleetledger import Figures, Share
from fasthio.fleetmembers import (
    FleetEvent,
    FleetResult,
    FleetSummary,
    Member,
    TakeOver,
    unpack,
)
from fasthio.fleetpoller import FleetTarget
from fasthio.fleetview import FleetLines, FleetTable, make_fleet_view
from fasthio.fleetworker import pack
from fasthio.results import Latency, PollResult
from fasthio.targets import TargetSpec

SPEC = TargetSpec("http://127.0.0.1:8080/", label="t")


def summary(stalled: bool = False) -> FleetSummary:
    figures = Figures()
    target = FleetTarget(SPEC, 1)
    for number in range(4):
        figures.add(
            PollResult(
                target, "ok", due=0.0, number=number, started=0.0,
                latency=Latency(None, 0.1, 0.25), octets=10,
            )
        )  # fmt: skip
    figures.add(PollResult(target, "error", due=4.0, number=4, started=0.0, reason="refused"))
    figures.add(
        PollResult(target, "skipped", due=5.0, number=5, started=0.0, reason="backoff", count=2)
    )
    takeover = TakeOver("w\x1b1", "left the cluster", 3, 0.5)
    assert not takeover.placed(2)
    assert takeover.placed(1)
    assert not takeover.placed(0)
    row: dict[str, Any] = {
        "worker": "w\x1b0", "targets": 7, "rate": 12.0, "requests": 5, "failed": 1, "flying": 2,
        "connections": 7, "stalled": stalled, "silent": 0.2, "latencies": [0.25, 0.25, None],
    }  # fmt: skip
    return FleetSummary(
        seconds=2.0,
        targets=7,
        workers={"w0": figures, "w1": Figures()},
        total=figures,
        doubles=2,
        takeovers=[takeover, TakeOver("w2", "does not answer", 4, 10.0)],
        moved=3,
        events=[FleetEvent("joined", "w0", "w0 has joined")],
        rows=[row],
    )


def test_summary_tells_all() -> None:
    text = "\n".join(summary().lines(histogram=True))
    assert "workers   w0, w1" in text
    assert "requests  5 in 2.0 s" in text
    assert "failures  1 (refused 1)" in text
    assert "skipped   2 (backoff 2)" in text
    assert "doubles   2" in text
    assert "moved     3 targets" in text
    assert "left the cluster, 0.5 s after it was last heard of; 3 targets with others 0.0 s" in text
    assert "w2: does not answer, 10.0 s after it was last heard of; 4 targets not taken" in text
    assert "Total count = 4" in text


def test_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleetview, "LINE", 0.0)
    stream = io.StringIO()
    view = make_fleet_view(stream)
    assert isinstance(view, FleetLines)
    view.say("w0 has \x1b[31mjoined")
    view.refresh(summary(stalled=True))
    view.close()
    text = stream.getvalue()
    assert "\x1b" not in text
    assert "1 workers, 7 targets, 5 polls, 12/s, 1 failed, 2 doubles, STALLED" in text


def test_table(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich", reason="rich is not installed")

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "130")
    stream = Terminal()
    view = make_fleet_view(stream)
    assert isinstance(view, FleetTable)
    view.say("w0 has joined")
    view.refresh(summary())
    view.refresh(summary())
    view.close()
    text = stream.getvalue()
    for word in ("worker", "targets", "p99", "w0 has joined", "0.2 s", "7 targets"):
        assert word in text
    assert "w\x1b0" not in text


def test_a_result_goes_and_comes() -> None:
    target = FleetTarget(SPEC, 9)
    sent = PollResult(
        target, "ok", due=3.0, number=2, started=5.0, status=200, phrase="OK",
        headers={"A": "b"}, body=bytearray(b"{}"), events=({"data": "x"},),
        latency=Latency(None, 0.5, 1.0), attempts=1, octets=2, redirects=1,
    )  # fmt: skip
    share = Share(9, SPEC, 1.0)
    came = unpack(pack(sent, True), share, "w0", True)
    assert isinstance(came, FleetResult)
    assert came.as_dict() == sent.as_dict()
    assert (came.worker, came.double, came.key) == ("w0", True, ("t", 3.0))
    assert (came.body, came.data, dict(came.headers or {})) == (b"{}", {}, {"A": "b"})
    assert came.events == ({"data": "x"},)
    bare = unpack(pack(sent, False), share, "w0", False)
    assert bare.as_dict() == sent.as_dict()
    assert (bare.body, bare.headers) == (b"", None)


def test_errors_travel() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(SchedulerError("unreachable", "tcp://a:1", "why")))
    assert isinstance(error, FleetError)
    assert isinstance(error, ConnectionError)
    assert (error.code, error.host, error.cause, str(error)) == (
        "unreachable", "tcp://a:1", "why", "tcp://a:1: why",
    )  # fmt: skip


def test_without_rich_a_terminal_has_lines_too(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def refuse(stream: object) -> None:
        raise ImportError("rich")

    monkeypatch.setattr(fleetview, "FleetTable", refuse)
    assert isinstance(make_fleet_view(Terminal()), FleetLines)


def test_summary_without_one_whole_response() -> None:
    each = summary()
    each.total.latencies = type(each.total.latencies)()
    assert "latency   no whole response" in each.lines()
    assert repr(each.events[0]) == "<FleetEvent w0 has joined>"


class Call:
    """What an actor's method gives: done, and with an error or a report."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def done(self) -> bool:
        return True

    def result(self, timeout: float) -> object:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_member_that_does_not_answer_is_asked_again() -> None:
    """What went wrong is kept for the case that it is lost; the same command goes out again."""
    calls: list[object] = [OSError("network"), RuntimeError("lost"), "last"]

    class Client:
        def as_current(self) -> contextlib.AbstractContextManager[None]:
            return contextlib.nullcontext()

    class Actor:
        def __init__(self) -> None:
            self.orders: list[Any] = []

        def exchange(self, order: Any) -> Call:
            self.orders.append(order)
            call = calls.pop(0)
            if isinstance(call, RuntimeError):
                raise call
            return Call(call)

    actor = Actor()
    member = Member("w0", "tcp://w0:1", Enlisted(actor, None), 0.0, 5.0)
    number = member.command("stop")
    assert member.speak(Client(), 1.0, 5.0, 10, 0.5)
    assert member.calling
    assert member.hear(1.1) is None
    assert (member.trouble, member.calling) == ("OSError: network", False)
    assert not member.speak(Client(), 1.2, 5.0, 10, 0.5)  # in trouble a command waits its turn
    assert not member.speak(Client(), 2.0, 5.0, 10, 0.5)
    assert member.trouble == "lost"
    assert member.speak(Client(), 3.0, 5.0, 10, 0.5)
    assert [order.commands for order in actor.orders] == [((number, "stop", None),)] * 3
    assert not member.obedient

"""A poller in virtual tyme whose polls go as a script says, without sockets."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

from hio.base import tyming

from fasthio.lines import Flight
from fasthio.lookup import Lookup
from fasthio.polling import Poller
from fasthio.results import PollResult
from fasthio.targets import Target

#: Seconds a poll takes, its outcome, and a response for those that have one.
Act = tuple[float, str, dict[str, Any] | None]
TOCK = 0.03125
URL = "http://127.0.0.1:8080/"


def response(status: int = 200, **headers: str) -> dict[str, Any]:
    """Make a response as Client gives it."""
    from hio.help import Hict

    fields = Hict((name.replace("_", "-"), value) for name, value in headers.items())
    return {
        "status": status,
        "reason": "Reason",
        "headers": fields,
        "body": bytearray(b"body"),
        "data": None,
        "errored": False,
    }


class NoSockets:
    """What the poller waits with: nothing is ever ready."""

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        return []

    def close(self) -> None:
        pass


class ScriptedPoller(Poller):
    """Poll by script: `act` says for each flight how long it takes and how it ends."""

    def __init__(self, act: Callable[[Flight], Act], *, tock: float = TOCK, **kwa: Any) -> None:
        self.tymist = tyming.Tymist(tock=tock)
        tymth = self.tymist.tymen()
        super().__init__(tymth=tymth, clock=tymth, wall=tymth, lookup=Lookup(lambda: None), **kwa)
        self.act = act
        self.pending: list[tuple[float, int, Flight, str, dict[str, Any] | None]] = []
        self.serial = 0
        self.begins: list[tuple[float, Target, int]] = []
        self.most = 0

    def open(self) -> None:
        """Open nothing."""
        self._readiness = NoSockets()  # type: ignore[assignment]

    def _attempt(self, flight: Flight, now: float) -> None:
        flight.attempts += 1
        self.begins.append((self.tyme, flight.target, flight.number))
        self.most = max(self.most, self.flying)
        took, outcome, answer = self.act(flight)
        self.serial += 1
        heapq.heappush(self.pending, (now + took, self.serial, flight, outcome, answer))

    def step(self) -> None:
        """Let a tock go by."""
        now = self._now()
        while self.pending and self.pending[0][0] <= now:
            _, _, flight, outcome, answer = heapq.heappop(self.pending)
            if flight.target._flight is flight:  # not removed meanwhile
                clock = self._clock()
                if answer is None:
                    self._finish(flight, outcome, outcome, clock=clock)
                    continue
                assert outcome == "ok"
                self._whole(
                    flight, answer["status"], answer["reason"], answer["headers"],
                    answer["body"], clock,
                )  # fmt: skip
        self.service()
        self.tymist.tick()

    def run(self, seconds: float) -> list[PollResult]:
        """Let seconds of tyme go by; give the results that came."""
        came: list[PollResult] = []
        for _ in range(round(seconds / self.tymist.tock)):
            self.step()
            while self.results:
                came.append(self.results.popleft())
        return came


def ok(flight: Flight) -> Act:
    """End at the next step, well."""
    return (0.0, "ok", response())


def check_account(results: list[PollResult], target: Target) -> int:
    """Assert that every due poll has exactly one result; give how many there were."""
    spans = sorted(
        (result.number, result.number + result.count)
        for result in results
        if result.target is target
    )
    reached = 0
    for first, end in spans:
        assert first == reached, f"polls {reached} to {first} of {target}: {spans}"
        reached = end
    return reached


def numbers(results: list[PollResult], *, begun: bool = True) -> list[int]:
    return [result.number for result in results if (result.outcome != "skipped") == begun]


def skipped(results: list[PollResult]) -> list[tuple[str, int, int]]:
    return [(r.reason, r.number, r.count) for r in results if r.outcome == "skipped"]

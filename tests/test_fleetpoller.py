"""fleetpoller: targets taken over in the middle of their grid, and let go."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fasthio.fleetpoller import FleetClock, FleetPoller, first_open
from fasthio.targets import TargetSpec
from servers import SILENT, Request, Server, answer

SCRIPT = [Request(), answer(b"a")] * 50


class World:
    """A poller, its server and their time."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.now = 0.0
        self.poller = FleetPoller(tymth=lambda: self.now, clock=lambda: self.now, openings=1e6)

    def spec(
        self, every: float = 1.0, count: int | None = None, timeout: float = 10.0
    ) -> TargetSpec:
        url = f"http://127.0.0.1:{self.server.port}/"
        return TargetSpec(url, every=every, count=count, timeout=timeout, label="t")

    def until(self, tyme: float) -> None:
        """Let time pass."""
        while self.now < tyme - 1e-9:
            self.now = min(tyme, self.now + 0.125)
            for _ in range(8):
                self.poller.service()
                self.server.step()

    def told(self) -> list[tuple[int, int, str, str, float]]:
        """Give what has come: number, count, outcome, reason, due."""
        told = []
        while self.poller.results:
            each = self.poller.results.popleft()
            told.append((each.number, each.count, each.outcome, each.reason, each.due))
        return told


@pytest.fixture
def world() -> Iterator[World]:
    with Server(SCRIPT) as server:
        world = World(server)
        yield world
        world.poller.close()


def test_what_nobody_polled_is_told_and_the_latest_is_polled(world: World) -> None:
    world.now = 100.5
    world.poller.place(world.spec(), 7, 90.0, 6, gaps=((2, 4),), why="lost-worker")
    world.until(101.5)
    assert world.told() == [
        (2, 2, "skipped", "lost-worker", 92.0),
        (6, 4, "skipped", "lost-worker", 96.0),
        (10, 1, "ok", "", 100.0),
        (11, 1, "ok", "", 101.0),
    ]


def test_nothing_is_polled_before_it_is_due(world: World) -> None:
    world.now = 100.5
    target = world.poller.place(world.spec(), 7, 90.0, 11)
    assert target.share == 7
    world.until(100.9)
    assert world.told() == []
    world.until(101.2)
    assert world.told() == [(11, 1, "ok", "", 101.0)]


def test_one_that_is_held_off_stays_so(world: World) -> None:
    world.now = 100.5
    held = (14, "retry-after", 104.0, (3, "closed", 0, 0))
    target = world.poller.place(world.spec(), 7, 90.0, 6, held)
    assert target.failures == 3
    world.until(103.9)
    assert world.told() == []
    assert target.held == held
    world.until(104.2)
    assert world.told() == [(6, 8, "skipped", "retry-after", 96.0), (14, 1, "ok", "", 104.0)]
    assert target.failures == 0
    assert target.held is None


def test_one_whose_time_has_come_meanwhile(world: World) -> None:
    world.now = 100.5
    held = (8, "circuit", 98.0, (5, "probing", 1, 0))
    target = world.poller.place(world.spec(), 7, 90.0, 6, held, why="lost-worker")
    assert target.circuit == "open", "nobody knows what came of the probe"
    world.until(100.9)
    assert world.told() == [
        (6, 2, "skipped", "circuit", 96.0),
        (8, 2, "skipped", "lost-worker", 98.0),
        (10, 1, "ok", "", 100.0),
    ]


@pytest.mark.parametrize("every", [0.0, 1.0])
def test_one_that_is_at_its_end(world: World, every: float) -> None:
    world.now = 100.5
    target = world.poller.place(world.spec(every, count=5), 7, 90.0, 5)
    world.until(101.0)
    assert world.told() == []
    assert target.state == "done"
    assert world.poller.done


def test_the_last_of_a_count(world: World) -> None:
    world.now = 100.5
    world.poller.place(world.spec(count=5), 7, 90.0, 2, why="lost-worker")
    world.until(101.0)
    assert world.told() == [(2, 2, "skipped", "lost-worker", 92.0), (4, 1, "ok", "", 94.0)]
    assert world.poller.done


def test_while_stopping(world: World) -> None:
    world.now = 100.5
    world.poller.open()
    world.poller.stop()
    world.poller.place(world.spec(), 7, 90.0, 6, why="lost-worker")
    world.poller.place(world.spec(0.0), 8, 90.0, 6)
    world.until(101.0)
    assert [each[:4] for each in world.told()] == [
        (6, 5, "skipped", "lost-worker"),
        (6, 1, "skipped", "stopped"),
    ]
    assert world.poller.done


def test_without_a_grid(world: World) -> None:
    world.now = 100.5
    world.poller.place(world.spec(0.0, count=8), 7, 90.0, 6)
    world.until(101.0)
    assert [each[:3] for each in world.told()] == [(6, 1, "ok"), (7, 1, "ok")]


def test_let_go_settles_nothing(world: World) -> None:
    target = world.poller.place(world.spec(), 7, 1.0, 0)
    world.until(2.5)
    assert [each[0] for each in world.told()] == [0, 1]
    world.poller.let_go(target)
    assert world.poller.gone() == [target]
    assert world.poller.gone() == []
    assert first_open(target) == 2
    assert target not in world.poller
    world.until(5.0)
    assert world.told() == []
    assert world.poller.done


def test_let_go_with_a_poll_under_way() -> None:
    with Server([Request(), answer(b"a"), Request(), SILENT]) as server:
        world = World(server)
        target = world.poller.place(world.spec(timeout=1.5), 7, 1.0, 0)
        world.until(2.5)
        world.poller.let_go(target)
        assert world.poller.gone() == []
        world.until(5.0)
        assert [each[:3] for each in world.told()] == [(0, 1, "ok"), (1, 1, "timeout")]
        assert world.poller.gone() == [target]
        assert first_open(target) == 2
        assert target.held is not None
        assert target.held[3][0] == 1, "its failure goes along"
        assert not world.poller.owing
        world.poller.close()


def test_clock_follows_slowly() -> None:
    now = 1000.0
    clock = FleetClock(50.0, lambda: now)
    assert clock() == 1050.0
    last = clock()
    for _ in range(20_000):  # the coordinator runs faster by 100 ppm, messages take 1 to 100 ms
        now += 0.5
        true = 1050.0 + (now - 1000.0) * 1.0001
        for late in (0.1, 0.001):
            clock.observe(true - late)
        assert clock() > last, "it never goes back"
        last = clock()
    assert abs(clock() - true) < 0.06, "a second would be off by now"

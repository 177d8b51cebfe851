"""The schedule in virtual tyme: order, exactness, cost by counting."""

from __future__ import annotations

import heapq
import math
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fasthio.scheduling import FOREVER, Grid, Schedule


def test_gives_items_in_the_order_of_their_tymes() -> None:
    schedule: Schedule[str] = Schedule()
    for item, due in (("late", 9.0), ("early", 1.0), ("middle", 5.0), ("soon", 1.0001)):
        schedule.put(item, due)
    assert schedule.next == 1.0
    assert schedule.take(0.999) == []
    assert schedule.take(5.0) == [("early", 1.0), ("soon", 1.0001), ("middle", 5.0)]
    assert len(schedule) == 1
    assert schedule.next == 9.0
    assert schedule.take(1e9) == [("late", 9.0)]
    assert schedule.next == FOREVER
    assert schedule.take(1e9) == []


def test_items_of_one_tyme_keep_their_order() -> None:
    schedule: Schedule[int] = Schedule()
    for number in range(100):
        schedule.put(number, 3.0)
    assert [item for item, _ in schedule.take(3.0)] == list(range(100))


def test_cancelled_items_do_not_come() -> None:
    schedule: Schedule[int] = Schedule()
    entries = [schedule.put(number, float(number)) for number in range(10)]
    for number in (0, 3, 9):
        schedule.cancel(entries[number])
        schedule.cancel(entries[number])  # twice is harmless
    assert len(schedule) == 7
    assert schedule.next == 1.0
    assert [item for item, _ in schedule.take(100.0)] == [1, 2, 4, 5, 6, 7, 8]
    schedule.cancel(entries[1])  # taken already
    assert len(schedule) == 0


def test_what_comes_earlier_than_the_head_is_given_first() -> None:
    schedule: Schedule[str] = Schedule(grain=1.0)
    schedule.put("far", 1000.0)
    assert schedule.next == 1000.0  # the far slot is open now
    schedule.put("near", 10.0)
    schedule.put("nearer", 9.5)
    assert schedule.next == 9.5
    schedule.put("far too", 1000.5)
    schedule.put("before", 999.0)
    assert [item for item, _ in schedule.take(2000.0)] == [
        "nearer", "near", "before", "far", "far too",
    ]  # fmt: skip


def test_takes_no_more_than_asked_for() -> None:
    schedule: Schedule[int] = Schedule()
    for number in range(5):
        schedule.put(number, 1.0)
    assert [item for item, _ in schedule.take(1.0, most=2)] == [0, 1]
    assert len(schedule) == 3
    assert schedule.next == 1.0
    assert schedule.take(1.0, most=0) == []
    assert [item for item, _ in schedule.take(1.0)] == [2, 3, 4]


@pytest.mark.parametrize("due", [math.inf, math.nan])
def test_refuses_tymes_that_are_none(due: float) -> None:
    with pytest.raises((OverflowError, ValueError)):
        Schedule().put("x", due)


@pytest.mark.parametrize("grain", [0.0, -1.0, math.nan])
def test_refuses_a_grain_that_is_none(grain: float) -> None:
    with pytest.raises(ValueError, match="grain"):
        Schedule(grain=grain)


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.floats(0.0, 50.0)),
        st.tuples(st.just("take"), st.floats(0.0, 10.0)),
        st.tuples(st.just("some"), st.floats(0.0, 10.0)),
        st.tuples(st.just("cancel"), st.integers(0, 60)),
        st.tuples(st.just("peek"), st.just(0)),
    ),
    max_size=80,
)


@example([("put", -0.5), ("put", 0.0), ("take", 25.0), ("put", -9.0), ("put", -0.5)], 1.0, -25.0)
@example([("put", -9.0), ("put", -1.5)], 1.0, 0.0)
@given(OPERATIONS, st.sampled_from([1 / 256, 0.5, 7.0, 100.0]), st.sampled_from([0.0, -25.0]))
def test_is_as_a_plain_heap(
    operations: list[tuple[str, float]], grain: float, start: float
) -> None:
    """Also of tymes that begin below 0."""
    schedule: Schedule[int] = Schedule(grain=grain)
    plain: list[tuple[float, int]] = []
    entries = []
    tyme = start
    for kind, value in operations:
        if kind == "put":
            value += start
            entries.append(schedule.put(len(entries) + 1, value))
            heapq.heappush(plain, (value, len(entries)))
        elif kind == "cancel" and value < len(entries):
            schedule.cancel(entries[int(value)])
            plain = [pair for pair in plain if pair[1] != value + 1]
            heapq.heapify(plain)
        elif kind in ("take", "some"):
            tyme += value
            expected = []
            while plain and plain[0][0] <= tyme and (kind == "take" or len(expected) < 2):
                due, item = heapq.heappop(plain)
                expected.append((item, due))
            assert schedule.take(tyme, None if kind == "take" else 2) == expected
        assert len(schedule) == len(plain)
        assert schedule.next == (plain[0][0] if plain else FOREVER)


def test_costs_no_more_heap_operations_with_more_items(monkeypatch: pytest.MonkeyPatch) -> None:
    """The heap is over slots, so their number bounds the operations, not that of the items."""
    pushes = 0

    def counting(heap: list[int], slot: int) -> None:
        nonlocal pushes
        pushes += 1
        heapq.heappush(heap, slot)

    monkeypatch.setattr("fasthio.scheduling.heappush", counting)
    rng = random.Random(5)
    for items in (1_000, 50_000):
        pushes = 0
        schedule: Schedule[int] = Schedule(grain=1 / 64)
        for number in range(items):
            schedule.put(number, rng.random() * 10.0)
        taken = 0
        tyme = 0.0
        while tyme < 20.0:
            tyme += 0.03125
            for item, due in schedule.take(tyme):
                taken += 1
                schedule.put(item, due + 10.0)
        assert taken == 2 * items
        assert pushes <= 64 * 31  # slots in 30 s of tyme


class TestGrid:
    def test_knows_the_tymes_of_its_polls(self) -> None:
        grid = Grid(2.5, 10.0)
        assert [grid.tyme(number) for number in range(3)] == [2.5, 12.5, 22.5]
        assert [grid.number(tyme) for tyme in (0.0, 2.4, 2.5, 12.49, 12.5, 30.0)] == [
            -1, -1, 0, 0, 1, 2,
        ]  # fmt: skip
        assert [grid.after(tyme) for tyme in (0.0, 2.5, 2.51, 12.5, 12.6)] == [0, 0, 1, 1, 2]

    @given(
        st.floats(0.0, 1e6),
        st.floats(1e-3, 1e5),
        st.integers(0, 10_000_000),
    )
    def test_number_and_tyme_agree_exactly(self, phase: float, every: float, number: int) -> None:
        grid = Grid(phase, every)
        tyme = grid.tyme(number)
        assert grid.number(tyme) == number
        assert grid.after(tyme) == number
        assert grid.number(math.nextafter(tyme, -math.inf)) == number - 1

    def test_ten_million_polls_do_not_drift(self) -> None:
        assert Grid(0.0, 0.1).tyme(10_000_000) == 1_000_000.0

    @pytest.mark.parametrize("every", [0.0, -1.0, math.inf, math.nan])
    def test_refuses_intervals_that_are_none(self, every: float) -> None:
        with pytest.raises(ValueError, match="every"):
            Grid(0.0, every)

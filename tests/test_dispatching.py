"""Which poll begins when, in virtual tyme and without sockets."""

from __future__ import annotations

import logging
import random
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from fasthio.lines import Flight
from fasthio.pacing import Backoff, Circuit
from fasthio.polling import Poller
from fasthio.results import PollResult
from scripted import TOCK, URL, Act, ScriptedPoller, check_account, numbers, ok, response, skipped


class TestRate:
    def test_does_not_drift(self) -> None:
        poller = ScriptedPoller(ok)
        target = poller.add(URL, every=0.7)
        results = poller.run(700.0)
        assert numbers(results) == list(range(len(results)))
        assert [result.due for result in results] == [n * 0.7 for n in range(1000)]
        for tyme, _, number in poller.begins:
            assert number * 0.7 <= tyme < number * 0.7 + TOCK
        assert check_account(results, target) == 1000

    def test_of_each_target_is_its_own(self) -> None:
        poller = ScriptedPoller(ok, openings=1e6)
        for every in (0.25, 0.5, 2.0):
            poller.add(URL, every=every, label=str(every))
        counts = Counter(result.label for result in poller.run(20.0))
        assert counts == {"0.25": 80, "0.5": 40, "2.0": 10}

    def test_first_polls_are_spread_as_connections_may_be_opened(self) -> None:
        poller = ScriptedPoller(ok, openings=100.0, concurrency=1000)
        for _ in range(500):
            poller.add(URL, every=10.0)
        poller.run(10.0)
        tymes = [tyme for tyme, _, _ in poller.begins]
        assert len(tymes) == 500
        for second in range(5):
            begun = sum(second <= tyme < second + 1 for tyme in tymes)
            assert 95 <= begun <= 105

    def test_spreading_stays_within_the_interval(self) -> None:
        poller = ScriptedPoller(ok, openings=10.0)
        for _ in range(100):
            poller.add(URL, every=1.0)
        assert all(target._grid is not None and target._grid.phase < 1.0 for target in poller)

    def test_zero_is_as_soon_as_the_last_has_ended(self) -> None:
        poller = ScriptedPoller(lambda flight: (0.5, "ok", response()))
        target = poller.add(URL, every=0.0)
        results = poller.run(10.0)
        assert skipped(results) == []
        assert 18 <= check_account(results, target) <= 20
        for (one, _, _), (two, _, _) in pairwise(poller.begins):
            assert two - one == pytest.approx(0.5, abs=2 * TOCK)

    def test_jitter_stays_in_its_bounds_and_adds_up_to_nothing(self) -> None:
        poller = ScriptedPoller(ok, tock=1 / 256, seed=7)
        target = poller.add(URL, every=1.0, jitter=0.5)
        results = poller.run(100.5)
        offsets = [tyme - number for tyme, _, number in poller.begins]
        assert len(offsets) == 101
        assert 0.0 <= min(offsets)
        assert max(offsets) <= 0.5 + 1 / 256
        assert max(offsets) - min(offsets) > 0.3
        assert check_account(results, target) == 101
        again = ScriptedPoller(ok, tock=1 / 256, seed=7)
        again.add(URL, every=1.0, jitter=0.5)
        again.run(100.5)
        assert [b[0] for b in again.begins] == [b[0] for b in poller.begins]

    def test_count_ends_a_target(self) -> None:
        poller = ScriptedPoller(ok)
        target = poller.add(URL, every=0.5, count=3)
        assert not poller.done
        results = poller.run(5.0)
        assert numbers(results) == [0, 1, 2]
        assert target.state == "done"
        assert poller.done

    def test_count_without_a_grid(self) -> None:
        poller = ScriptedPoller(ok)
        target = poller.add(URL, every=0.0, count=3)
        assert numbers(poller.run(5.0)) == [0, 1, 2]
        assert (target.state, poller.done) == ("done", True)

    def test_a_poller_that_never_had_a_target_is_not_done(self) -> None:
        assert not ScriptedPoller(ok).done


class TestOverlap:
    def test_a_target_is_never_polled_twice_at_once(self) -> None:
        poller = ScriptedPoller(lambda flight: (2.6, "ok", response()))
        target = poller.add(URL, every=1.0)
        results = poller.run(9.9)
        assert numbers(results) == [0, 3, 6]
        assert skipped(results) == [("overlap", 1, 2), ("overlap", 4, 2), ("overlap", 7, 2)]
        assert check_account(results, target) == 9
        assert poller.most == 1

    def test_a_slow_target_delays_no_other(self) -> None:
        poller = ScriptedPoller(
            lambda flight: (5.0 if flight.target.label == "slow" else 0.0, "ok", response())
        )
        poller.add(URL, every=1.0, label="slow")
        fast = poller.add(URL, every=0.1, label="fast")
        results = poller.run(20.0)
        assert {(r.reason) for r in results if r.target is fast} == {""}
        assert check_account(results, fast) >= 199


class TestFailures:
    def test_backoff_doubles_on_the_grid(self) -> None:
        poller = ScriptedPoller(lambda flight: (0.0, "error", None))
        target = poller.add(URL, every=1.0, backoff=Backoff(cap=8.0), circuit=Circuit(failures=0))
        results = poller.run(40.0)
        assert numbers(results) == [0, 1, 3, 7, 15, 23, 31, 39]
        assert [reason for reason, _, _ in skipped(results)] == ["backoff"] * 6
        assert check_account(results, target) == 40

    def test_recovery_brings_the_rate_back(self) -> None:
        poller = ScriptedPoller(
            lambda flight: (0.0, "ok", response()) if flight.number >= 3 else (0.0, "timeout", None)
        )
        target = poller.add(URL, every=1.0)
        results = poller.run(8.0)
        assert numbers(results) == [0, 1, 3, 4, 5, 6, 7]
        assert target.failures == 0

    def test_circuit_opens_and_probes(self) -> None:
        states: list[tuple[int, str]] = []

        def act(flight: Flight) -> Act:
            states.append((flight.number, flight.target.circuit))
            return (0.0, "ok", response()) if flight.number > 40 else (0.0, "error", None)

        poller = ScriptedPoller(act)
        target = poller.add(
            URL,
            every=1.0,
            backoff=Backoff(factor=1.0),
            circuit=Circuit(failures=3, cooldown=10.0, factor=2.0, cap=100.0),
        )
        results = poller.run(60.0)
        begun = numbers(results)
        assert begun[:3] == [0, 1, 2]
        assert states[:3] == [(0, "closed"), (1, "closed"), (2, "closed")]
        # probes after 10 and 20 seconds from the failure, on the next grid point
        assert begun[3] in (12, 13)
        assert begun[4] - begun[3] in (20, 21)
        assert states[3][1] == states[4][1] == "probing"
        assert {reason for reason, _, _ in skipped(results)} == {"circuit"}
        assert target.circuit == "open"
        results += poller.run(30.0)
        assert target.circuit == "closed"
        assert check_account(results, target) == 90

    @pytest.mark.parametrize(
        ("value", "expected"),
        [("5", [0, 6, 12]), ("0", list(range(15))), ("Thu, 01 Jan 1970 00:00:07 GMT", [0, 7, 8])],
    )
    def test_retry_after_is_obeyed(self, value: str, expected: list[int]) -> None:
        poller = ScriptedPoller(
            lambda flight: (0.0, "ok", response(503 if value else 200, Retry_After=value))
        )
        target = poller.add(
            URL, every=1.0, backoff=Backoff(factor=1.0), circuit=Circuit(failures=0)
        )
        results = poller.run(15.0)
        poller.stop()
        results += poller.results
        assert numbers(results)[: len(expected)] == expected
        assert check_account(results, target) == 16
        if value == "5":
            assert {reason for reason, _, _ in skipped(results)} == {"retry-after"}

    def test_retry_after_has_a_cap(self) -> None:
        poller = ScriptedPoller(
            lambda flight: (0.0, "ok", response(429, Retry_After="99999999999999999999")),
            longest_retry_after=5.0,
        )
        poller.add(URL, every=1.0, backoff=Backoff(factor=1.0))
        assert numbers(poller.run(15.0)) == [0, 6, 12]

    def test_retry_after_of_a_success_is_nothing(self) -> None:
        poller = ScriptedPoller(lambda flight: (0.0, "ok", response(200, Retry_After="100")))
        poller.add(URL, every=1.0)
        assert numbers(poller.run(5.0)) == [0, 1, 2, 3, 4]

    def test_holding_off_ends_with_the_count(self) -> None:
        poller = ScriptedPoller(lambda flight: (0.0, "error", None))
        target = poller.add(URL, every=1.0, count=6, backoff=Backoff(factor=100.0))
        results = poller.run(10.0)
        assert numbers(results) == [0, 1]
        assert check_account(results, target) == 6
        assert poller.done

    def test_backoff_without_a_grid(self) -> None:
        poller = ScriptedPoller(lambda flight: (0.0, "error", None))
        poller.add(URL, every=0.0, backoff=Backoff(base=1.0), circuit=Circuit(failures=0))
        poller.run(20.0)
        gaps = [two[0] - one[0] for one, two in pairwise(poller.begins)]
        assert gaps[:4] == pytest.approx([1.0, 2.0, 4.0, 8.0], abs=3 * TOCK)


class TestPlaces:
    def test_concurrency_is_never_exceeded_and_turns_are_fair(self) -> None:
        poller = ScriptedPoller(lambda flight: (0.5, "ok", response()), concurrency=4, openings=1e6)
        targets = [poller.add(URL, every=1.0, label=str(n)) for n in range(40)]
        results = poller.run(60.0)
        assert poller.most == 4
        assert {reason for reason, _, _ in skipped(results)} <= {"concurrency", "overlap"}
        polls = [target.polls for target in targets]
        assert max(polls) - min(polls) <= 2
        for target in targets:
            check_account(results, target)

    def test_shared_connections_bound_an_origin_alone(self) -> None:
        poller = ScriptedPoller(
            lambda flight: (0.3, "ok", response()), connections_per_origin=2, openings=1e6
        )
        for n in range(10):
            poller.add("http://127.0.0.1:1/", every=1.0, label=f"a{n}")
        other = poller.add("http://127.0.0.2:1/", every=0.5)
        results = poller.run(30.0)
        assert skipped([r for r in results if r.target is other]) == []
        assert {reason for reason, _, _ in skipped(results)} <= {"connections", "overlap"}
        at_once: Counter[float] = Counter()
        for tyme, target, _ in poller.begins:
            if target is not other:
                at_once[tyme] += 1
        assert max(at_once.values()) <= 2

    def test_backends_that_stall_leave_places_to_the_others(self) -> None:
        def act(flight: Flight) -> Act:
            if flight.target.label == "stalls":
                return (5.0, "timeout", None)
            return (0.0, "ok", response())

        poller = ScriptedPoller(act, concurrency=20, openings=1e6)
        backoff = Backoff(factor=1.0)
        for _ in range(100):
            poller.add(URL, every=1.0, label="stalls", backoff=backoff, circuit=Circuit(failures=0))
        good = [poller.add(URL, every=1.0, label="good") for _ in range(10)]
        poller.run(30.0)  # until it is known who stalls
        results = poller.run(30.0)
        for target in good:
            mine = [result for result in results if result.target is target]
            assert {result.outcome for result in mine} == {"ok"}

    def test_openings_are_rationed(self) -> None:
        poller = ScriptedPoller(ok, openings=16.0)
        for _ in range(64):
            poller.add(URL, every=0.0, count=1)  # all are due at once
        poller.run(0.5)
        assert 1 <= len(poller.begins) <= 10
        assert poller.waiting >= 50
        poller.run(5.0)
        assert len(poller.begins) == 64


class TestBackpressure:
    def test_stops_when_nobody_takes_results_and_loses_none(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        poller = ScriptedPoller(ok, backlog=8)
        targets = [poller.add(URL, every=0.5, label=str(n)) for n in range(4)]
        with caplog.at_level(logging.INFO):
            for _ in range(320):
                poller.step()
                assert len(poller.results) <= 8
            assert poller.stalled
            assert poller.stalls == 1
            assert "8 results wait" in caplog.text
            results = [poller.results.popleft() for _ in range(8)]
            results += poller.run(10.0)
            assert not poller.stalled
            assert "go on" in caplog.text
            results += poller.run(1.0)
            for _ in range(160):
                poller.step()
            assert poller.stalls == 2
            assert caplog.text.count("results wait") == 1  # once a minute
            for _ in range(1920):
                poller.step()
            results += poller.run(1.0)
            for _ in range(160):
                poller.step()
            assert poller.stalls == 3
            assert caplog.text.count("results wait") == 2
        late = [item for item in skipped(results) if item[0] == "backpressure"]
        assert sum(count for _, _, count in late) >= 60
        for target in targets:
            assert check_account(results, target) >= 39

    def test_the_bound_holds_for_skipped_polls_too(self) -> None:
        rng = random.Random(3)
        poller = ScriptedPoller(lambda flight: (rng.random() * 3.0, "ok", response()), backlog=10)
        targets = [poller.add(URL, every=0.1) for _ in range(30)]
        results: list[PollResult] = []
        for _ in range(2000):
            poller.step()
            assert len(poller.results) <= 10
            if rng.random() < 0.3 and poller.results:
                results.append(poller.results.popleft())
        poller.stop()
        while not poller.done:
            poller.step()
            assert len(poller.results) <= 10
            results += poller.results
            poller.results.clear()
        results += poller.results
        for target in targets:
            check_account(results, target)
        assert sum(poller.counts.values()) == sum(result.count for result in results)

    def test_a_poll_keeps_its_place_before_skipped_ones(self) -> None:
        poller = ScriptedPoller(ok, backlog=9, concurrency=1, openings=5.0)
        poller.remove(poller.add(URL, every=0.0))
        poller.add(URL, every=0.1)
        for _ in range(40):
            poller.step()
            assert len(poller.results) <= 9

    def test_closing_gives_what_was_owed_beyond_the_bound(self) -> None:
        poller = ScriptedPoller(ok, backlog=4)
        target = poller.add(URL, every=0.5, count=40)
        for _ in range(round(9.0 / poller.tymist.tock)):
            poller.step()  # nobody takes a result
        assert len(poller.results) <= 4
        poller.close()
        assert check_account(list(poller.results), target) == 19  # what is due right now, too
        assert poller.done

    def test_a_callback_takes_all(self) -> None:
        results: list[PollResult] = []
        poller = ScriptedPoller(ok, backlog=4, on_result=results.append)
        for _ in range(100):
            poller.add(URL, every=0.5)
        poller.run(5.0)
        assert len(results) == 1000
        assert not poller.stalls

    def test_an_exception_of_the_callback_loses_no_other_result(self) -> None:
        taken: list[PollResult] = []

        def take(result: PollResult) -> None:
            taken.append(result)
            if len(taken) == 2:
                raise RuntimeError("enough")

        poller = ScriptedPoller(ok, on_result=take, openings=1e6)
        targets = [poller.add(URL, every=1.0) for _ in range(5)]
        with pytest.raises(RuntimeError, match="enough"):
            poller.run(1.0)
        poller.run(3.0)
        poller.close()
        for target in targets:
            assert check_account(taken, target) >= 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"backlog": 3},
        {"openings": 0.0},
        {"budget": 0.0},
        {"concurrency": 0},
        {"connections": 0},
        {"connections_per_origin": 0},
        {"longest_retry_after": -1.0},
    ],
)
def test_refuses_what_makes_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong)).split("_")[0]):
        Poller(**wrong)

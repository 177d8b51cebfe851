"""Targets that come, go, pause and resume in virtual tyme: every due poll is accounted for."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hio.base import tyming
from hypothesis import given, settings
from hypothesis import strategies as st

from fasthio.lines import Flight
from fasthio.pacing import Backoff, Circuit
from fasthio.results import PollResult
from scripted import TOCK, URL, Act, ScriptedPoller, check_account, numbers, ok, response, skipped


class TestComingAndGoing:
    def test_removed_while_it_waits(self) -> None:
        poller = ScriptedPoller(ok)
        target = poller.add(URL, every=1.0)
        results = poller.run(2.5)
        poller.remove(target)
        assert (target in poller, target.state, len(poller)) == (False, "removed", 0)
        results += poller.run(5.0)
        assert check_account(results, target) == 3
        assert poller.done

    def test_removed_while_it_is_polled(self) -> None:
        poller = ScriptedPoller(lambda flight: (10.0, "ok", response()))
        target = poller.add(URL, every=1.0)
        results = poller.run(3.5)
        poller.remove(target)
        results += poller.run(5.0)
        assert [(r.outcome, r.reason) for r in results] == [
            ("skipped", "overlap"),
            ("cancelled", "removed"),
        ]
        assert check_account(results, target) == 4
        assert poller.flying == 0

    def test_removed_while_it_waits_for_a_place(self) -> None:
        poller = ScriptedPoller(lambda flight: (10.0, "ok", response()), concurrency=1)
        poller.add(URL, every=1.0)
        target = poller.add(URL, every=1.0)
        results = poller.run(2.5)
        assert target.state == "queued"
        poller.remove(target)
        results += poller.run(1.0)
        assert skipped([r for r in results if r.target is target]) == [("removed", 0, 3)]

    def test_removed_while_it_waits_for_an_opening(self) -> None:
        poller = ScriptedPoller(ok, openings=0.5)  # one connection in two seconds
        first, target = poller.add(URL, every=9.0), poller.add(URL, every=0.0)
        target._number, target._next = 0, 1  # its first poll is done
        results = poller.run(1.0)
        assert (first.state, target.state) == ("waiting", "queued")
        poller.remove(target)
        results += poller.run(9.0)
        assert [r.outcome for r in results if r.target is target] == ["skipped"]
        assert [r.reason for r in results if r.target is target] == ["removed"]

    def test_removed_while_its_host_is_looked_up(self) -> None:
        poller = ScriptedPoller(ok)
        target = poller.add("http://name.test/", every=0.0, timeout=5.0)
        poller._addresses = lambda target, now: None  # type: ignore[method-assign]
        results = poller.run(0.5)
        assert (target.state, poller.waiting) == ("queued", 1)
        poller.remove(target)
        results += poller.run(9.0)  # nothing rings for it any more
        assert [(r.outcome, r.reason) for r in results] == [("skipped", "removed")]
        assert (poller.waiting, poller.flying, poller.done) == (0, 0, True)

    def test_removing_twice_is_an_error(self) -> None:
        poller = ScriptedPoller(ok)
        target = poller.add(URL)
        poller.remove(target)
        for call in (poller.remove, poller.pause, poller.resume):
            with pytest.raises(KeyError):
                call(target)

    def test_pause_and_resume_keep_the_grid(self) -> None:
        poller = ScriptedPoller(ok)
        target = poller.add(URL, every=1.0)
        results = poller.run(2.5)
        poller.pause(target)
        poller.pause(target)
        assert target.state == "paused"
        assert poller.run(5.0) == []
        poller.resume(target)
        poller.resume(target)
        results = poller.run(2.5)
        assert numbers(results) == [8, 9]
        assert [result.due for result in results] == [8.0, 9.0]

    def test_pause_lets_a_poll_under_way_end(self) -> None:
        poller = ScriptedPoller(lambda flight: (2.2, "ok", response()))
        target = poller.add(URL, every=1.0)
        results = poller.run(1.5)
        poller.pause(target)
        results += poller.run(5.0)
        assert [(r.outcome, r.number, r.count) for r in results] == [
            ("skipped", 1, 1),
            ("ok", 0, 1),
        ]
        assert target.state == "paused"

    def test_resumed_after_the_stop(self) -> None:
        """Nothing falls due again, and a poll under way is waited for."""
        poller = ScriptedPoller(lambda flight: (2.0, "ok", response()))
        idle, busy = poller.add(URL, every=9.0), poller.add(URL, every=9.0)
        poller.run(1.0)
        poller.pause(busy)
        results = poller.run(2.5)
        poller.pause(idle)
        poller.resume(busy)
        poller.pause(busy)
        poller.stop()
        for target in (idle, busy):
            poller.resume(target)
        assert not idle.paused
        results += poller.run(30.0)
        assert (idle.state, busy.state, poller.done) == ("done", "done", True)
        assert [r.outcome for r in results if r.outcome != "ok"] == []

    def test_resumed_before_the_poll_under_way_has_ended(self) -> None:
        poller = ScriptedPoller(lambda flight: (2.2, "ok", response()))
        target = poller.add(URL, every=1.0)
        results = poller.run(0.5)
        poller.pause(target)
        results += poller.run(1.0)
        poller.resume(target)
        results += poller.run(4.0)
        assert numbers(results) == [0, 3]

    def test_targets_come_while_it_runs(self) -> None:
        poller = ScriptedPoller(ok)
        poller.add(URL, every=1.0)
        poller.run(10.3)
        late = poller.add(URL, every=1.0)
        results = [result for result in poller.run(3.0) if result.target is late]
        assert [result.due for result in results] == pytest.approx([10.3125, 11.3125, 12.3125])

    def test_replace_leaves_what_stays_alone(self) -> None:
        poller = ScriptedPoller(ok)
        one, two = poller.add(URL, every=1.0), poller.add(URL, every=2.0)
        poller.run(1.5)
        added, removed = poller.replace([one.spec, one.spec])
        assert removed == [two]
        assert [target.spec for target in added] == [one.spec]
        assert list(poller) == [one, *added]
        assert one.polls == 2

    def test_stop_lets_polls_end_and_accounts_for_the_rest(self) -> None:
        poller = ScriptedPoller(lambda flight: (1.7, "ok", response()), concurrency=2)
        targets = [poller.add(URL, every=1.0) for _ in range(5)]
        results = poller.run(2.5)
        poller.stop()
        poller.stop()
        assert not poller.done
        begun = len(poller.begins)
        results += poller.run(5.0)
        assert poller.done
        assert len(poller.begins) == begun
        assert {target.state for target in targets} == {"done"}
        for target in targets:
            assert check_account(results, target) == 3

    def test_close_ends_all_at_once(self) -> None:
        poller = ScriptedPoller(lambda flight: (100.0, "ok", response()))
        targets = [poller.add(URL, every=1.0) for _ in range(3)]
        poller.run(2.5)
        poller.close()
        poller.close()
        results = list(poller.results)
        assert Counter(result.outcome for result in results) == {"cancelled": 3, "skipped": 3}
        for target in targets:
            assert check_account(results, target) == 3
        assert poller.done

    def test_added_after_the_stop(self) -> None:
        poller = ScriptedPoller(ok)
        poller.stop()
        assert poller.add(URL).state == "done"
        assert poller.done

    def test_winding_does_not_disturb(self) -> None:
        poller = ScriptedPoller(ok)
        target = poller.add(URL, every=1.0)
        results = poller.run(2.5)
        poller.tymist = tyming.Tymist(tyme=1000.0, tock=TOCK)
        poller.wind(poller.tymist.tymen())
        assert 1000.0 < poller.next < 1001.0
        results += poller.run(3.0)
        assert check_account(results, target) == 6
        assert [result.due for result in results[3:]] == [1000.5, 1001.5, 1002.5]


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["run", "add", "remove", "pause", "resume", "take", "run"]),
        st.integers(0, 1000),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=80)
@given(
    OPERATIONS,
    st.randoms(use_true_random=False),
    st.integers(1, 5),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([4, 9, 10_000]),
)
def test_every_due_poll_is_accounted_for_once(
    operations: list[tuple[str, int]],
    rng: random.Random,
    concurrency: int,
    each: int | None,
    backlog: int,
) -> None:
    """Whatever happens in what order: no poll twice, none forgotten, no bound broken."""

    def act(flight: Flight) -> Act:
        outcome = rng.choice(["ok", "ok", "error", "timeout", "503"])
        took = rng.choice([0.0, 0.02, 0.4, 3.0])
        if outcome == "503":
            return (took, "ok", response(503, Retry_After=str(rng.randrange(4))))
        return (took, outcome, response() if outcome == "ok" else None)

    poller = ScriptedPoller(
        act,
        concurrency=concurrency,
        connections_per_origin=each,
        backlog=backlog,
        openings=rng.choice([5.0, 1e6]),
        seed=1,
    )
    targets = []
    results: list[PollResult] = []
    for kind, value in operations:
        if kind == "run":
            for _ in range(value % 60):
                poller.step()
                assert len(poller.results) <= backlog
                assert poller.flying <= concurrency
        elif kind == "add":
            targets.append(
                poller.add(
                    f"http://127.0.0.{value % 3 + 1}:80/",
                    every=(0.0, 0.1, 0.25, 1.0)[value % 4],
                    count=(None, 1, 4)[value % 3],
                    jitter=0.0 if value % 4 == 0 else 0.05,
                    backoff=Backoff(base=0.1, cap=2.0),
                    circuit=Circuit(failures=2, cooldown=1.0),
                )
            )
        elif kind == "take":
            while poller.results and value:
                results.append(poller.results.popleft())
                value -= 1
        else:
            known = list(poller)
            if known:
                getattr(poller, kind)(known[value % len(known)])
    poller.stop()
    for _ in range(400):
        poller.step()
        results += poller.results
        poller.results.clear()
        if poller.done:
            break
    assert poller.done
    poller.close()
    assert not poller.results
    resumed = any(kind == "resume" for kind, _ in operations)
    for target in targets:
        if not resumed:  # what was not due while paused leaves a gap
            check_account(results, target)
        mine = [r for r in results if r.target is target]
        covered = [n for r in mine for n in range(r.number, r.number + r.count)]
        assert len(covered) == len(set(covered))
        assert sum(r.outcome != "skipped" for r in mine) == target.polls
    assert poller.begun == sum(target.polls for target in targets)
    assert sum(poller.counts.values()) == sum(result.count for result in results)

"""fleetledger: what is accounted for, what is missing, what came twice."""

from __future__ import annotations

import pickle

from hypothesis import given
from hypothesis import strategies as st

from fasthio.fleetledger import Figures, Share
from fasthio.results import Latency, PollResult
from fasthio.targets import Target, TargetSpec


def share_of(**options: object) -> Share:
    return Share(7, TargetSpec("http://127.0.0.1:8080/", **options), 2.0)  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 8)), max_size=30))
def test_account_is_that_of_a_set(runs: list[tuple[int, int]]) -> None:
    share = share_of(every=1.0)
    seen: set[int] = set()
    for first, count in runs:
        fresh = set(range(first, first + count))
        assert share.account(first, count) == len(fresh & seen)
        seen |= fresh
        assert share.expected == max(seen) + 1
        holes = {number for low, high in share.gaps for number in range(low, high)}
        assert holes == set(range(share.expected)) - seen
        assert all(low < high for low, high in share.gaps)


def test_missing() -> None:
    share = share_of(every=0.5)
    assert share.missing(1.9) == []
    assert share.missing(2.0) == [(0, 1)]
    share.account(0, 3)
    share.account(5, 1)
    assert share.missing(2.0) == [(3, 5)]
    assert share.missing(6.0) == [(3, 5), (6, 9)]
    assert share.due_tyme(6) == 5.0
    assert share.live


def test_the_end_of_a_count() -> None:
    share = share_of(every=0.5, count=4)
    assert share.missing(100.0) == [(0, 4)]
    share.account(1, 3)
    assert share.live, "a gap is open"
    share.account(0, 1)
    assert not share.live
    assert share.missing(100.0) == []


def test_as_soon_as_the_last_has_ended() -> None:
    share = share_of(every=0.0)
    assert share.missing(1.0) == []
    share.account(0, 5)
    assert share.missing(3.0) == [(5, 6)]


def test_figures_add_up_and_travel() -> None:
    target = Target(TargetSpec("http://127.0.0.1:8080/"))
    one, two = Figures(), Figures()
    ok = PollResult(
        target, "ok", due=0.0, number=0, started=0.0, latency=Latency(None, 0.1, 0.2), octets=5
    )
    one.add(ok)
    two.add(PollResult(target, "skipped", due=1.0, number=1, started=0.0, reason="late", count=3))
    failed = PollResult(
        target, "timeout", due=4.0, number=4, started=0.0, reason="timeout-total",
        latency=Latency(None, None, 10.0),
    )  # fmt: skip
    two.add(failed)
    one.merge(pickle.loads(pickle.dumps(two)))
    assert one.due == 5
    assert (one.requests, one.failed, one.octets) == (2, 1, 5)
    assert one.skipped == {"late": 3}
    assert one.failures == {"timeout-total": 1}
    assert one.latencies.count == 1
    assert repr(share_of()) == "<Share http://127.0.0.1:8080/ of None>"

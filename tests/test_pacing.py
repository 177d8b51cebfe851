"""Backoff, circuit and Retry-After: pure rules."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthio.pacing import Backoff, Circuit, Pace, retry_after

NOW = 784111777.0  # Sun, 06 Nov 1994 08:49:37 GMT


def test_backoff_doubles_up_to_its_cap() -> None:
    backoff = Backoff(factor=2.0, cap=30.0)
    assert [backoff.hold(n, 5.0) for n in range(1, 6)] == [5.0, 10.0, 20.0, 30.0, 30.0]


def test_backoff_never_polls_more_often_than_every() -> None:
    assert Backoff(cap=10.0).hold(7, 60.0) == 60.0


def test_backoff_with_a_base_of_its_own() -> None:
    backoff = Backoff(factor=3.0, cap=100.0, base=1.0)
    assert [backoff.hold(n, 5.0) for n in (1, 2, 3)] == [1.0, 3.0, 9.0]


def test_no_backoff() -> None:
    assert Backoff(factor=1.0).hold(1000, 5.0) == 5.0


@given(st.integers(1, 10**9), st.floats(0.0, 1e6), st.floats(1.0, 1000.0), st.floats(1e-6, 1e9))
def test_backoff_is_bounded_however_many_failures(
    failures: int, every: float, factor: float, cap: float
) -> None:
    backoff = Backoff(factor=factor, cap=cap)
    hold = backoff.hold(failures, every)
    assert every <= hold <= max(cap, every)
    assert hold <= backoff.hold(failures + 1, every)


@pytest.mark.parametrize(
    "wrong",
    [{"factor": 0.5}, {"factor": math.nan}, {"cap": 0.0}, {"cap": math.inf}, {"base": -1.0}],
)
def test_backoff_refuses_what_makes_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="backoff"):
        Backoff(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"failures": -1}, {"cooldown": 0.0}, {"factor": 0.0}, {"cap": 1.0}, {"cap": math.nan}],
)
def test_circuit_refuses_what_makes_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="circuit"):
        Circuit(**wrong)  # type: ignore[arg-type]


class TestPace:
    def test_circuit_opens_probes_and_closes(self) -> None:
        pace = Pace(Backoff(cap=4.0), Circuit(failures=3, cooldown=10.0, factor=2.0, cap=50.0))
        assert [pace.fail(1.0), pace.fail(1.0)] == [(1.0, "backoff"), (2.0, "backoff")]
        assert pace.state == "closed"
        assert pace.fail(1.0) == (10.0, "circuit")
        assert (pace.state, pace.opened) == ("open", 1)
        holds = []
        for _ in range(4):
            pace.begin()
            assert pace.state == "probing"
            holds.append(pace.fail(1.0))
            assert pace.state == "open"
        assert holds == [(20.0, "circuit"), (40.0, "circuit"), (50.0, "circuit"), (50.0, "circuit")]
        assert pace.opened == 1
        pace.begin()
        pace.succeed()
        assert (pace.state, pace.failures) == ("closed", 0)
        assert pace.fail(1.0) == (1.0, "backoff")

    def test_a_failure_that_was_under_way_when_the_circuit_opened_is_no_probe(self) -> None:
        pace = Pace(Backoff(), Circuit(failures=1, cooldown=10.0))
        assert pace.fail(1.0) == (10.0, "circuit")
        assert pace.fail(1.0) == (10.0, "circuit")

    def test_circuit_may_be_left_out(self) -> None:
        pace = Pace(Backoff(cap=2.0), Circuit(failures=0))
        for _ in range(100):
            assert pace.fail(1.0)[1] == "backoff"
        assert pace.state == "closed"


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("0", 0.0),
            ("120", 120.0),
            (" 7\t", 7.0),
            ("007", 7.0),
            ("9" * 400, 1e12),
            ("Sun, 06 Nov 1994 08:49:47 GMT", 10.0),
            ("Sunday, 06-Nov-94 08:49:47 GMT", 10.0),  # RFC 850
            ("Sun Nov  6 08:49:47 1994", 10.0),  # asctime
            ("Sun, 06 Nov 1994 08:00:00 GMT", 0.0),  # past
        ],
    )
    def test_reads(self, value: str, seconds: float) -> None:
        assert retry_after(value, NOW) == seconds

    @pytest.mark.parametrize(
        "value",
        ["", "soon", "-5", "+5", "1.5", "5 s", "٣", "Sun, 99 Nov 1994 08:49:47 GMT", "\x00", "1e9"],
    )
    def test_takes_no_notice_of_what_is_neither(self, value: str) -> None:
        assert retry_after(value, NOW) is None

    def test_counts_from_the_date_of_the_response(self) -> None:
        value = "Sun, 06 Nov 1994 08:50:37 GMT"
        assert retry_after(value, 0.0, "Sun, 06 Nov 1994 08:49:37 GMT") == 60.0
        assert retry_after(value, NOW, "no date") == 60.0

    @given(st.text(max_size=40))
    def test_never_raises(self, value: str) -> None:
        seconds = retry_after(value, NOW)
        assert seconds is None or seconds >= 0.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("Fri, 01 Jan 0100 00:00:00 GMT", 0.0),  # before any epoch
        ("Fri, 31 Dec 9999 23:59:59 -2359", 252_618_223_498.0),
        ("Sun, 06 Nov 99999 08:49:37 GMT", None),  # no year of Python's
        ("Sun, 06 Nov 1994 08:49:37 +9999", None),  # no zone
    ],
)
def test_retry_after_at_the_ends_of_time(value: str, seconds: float | None) -> None:
    """A date that is none, or that no clock can show, is no reason to raise."""
    got = retry_after(value, NOW)
    assert got == seconds if seconds is None else got == pytest.approx(seconds, abs=1e6)

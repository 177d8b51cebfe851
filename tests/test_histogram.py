"""The histogram: bounded error, exact ends, sums of parts."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthio.histogram import Histogram

LATENCIES = st.lists(st.floats(0.0, 1e6), min_size=1, max_size=60)


def filled(values: list[float], bits: int = 7) -> Histogram:
    histogram = Histogram(bits)
    for value in values:
        histogram.add(value)
    return histogram


@given(LATENCIES, st.floats(0.0, 1.0), st.sampled_from([1, 4, 7, 12]))
def test_percentiles_are_within_the_error(values: list[float], share: float, bits: int) -> None:
    exact = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
    found = filled(values, bits).percentile(share)
    assert found is not None
    assert exact <= found * (1 + 1e-12) + 1e-12
    assert found <= exact * (1 + 2.0**-bits) + 1.000001e-6


@given(LATENCIES, LATENCIES)
def test_parts_add_up_to_the_whole(one: list[float], two: list[float]) -> None:
    parts, whole = filled(one), filled(one + two)
    parts.merge(filled(two))
    assert list(parts) == list(whole)
    assert (parts.count, parts.least, parts.most) == (whole.count, whole.least, whole.most)
    assert parts.total == pytest.approx(whole.total)


@given(LATENCIES)
def test_comes_back_from_json(values: list[float]) -> None:
    histogram = filled(values)
    again = Histogram.of(json.loads(json.dumps(histogram.as_dict())))
    assert again.as_dict() == histogram.as_dict()


def test_ends_and_mean_are_exact() -> None:
    histogram = filled([0.25, 0.5, 1.5])
    assert (histogram.least, histogram.most, histogram.mean) == (0.25, 1.5, 0.75)
    assert histogram.percentiles(0.0, 1.0) == [pytest.approx(0.25, rel=0.008), 1.5]


def test_memory_is_bounded_by_the_range_and_not_by_the_count() -> None:
    histogram = Histogram(7)
    for number in range(200_000):
        histogram.add(number * 5e-4)  # up to 100 s
    assert histogram.count == 200_000
    assert len(list(histogram)) <= 128 * 22


def test_counts_what_a_clock_that_was_set_back_gives_as_nothing() -> None:
    histogram = filled([-1.0])
    assert (histogram.least, histogram.most, histogram.count) == (0.0, 0.0, 1)


def test_empty() -> None:
    histogram = Histogram()
    assert histogram.percentile(0.5) is None
    assert histogram.mean is None
    assert histogram.summary()[-1].endswith("Total count = 0]")
    assert Histogram.of(histogram.as_dict()).count == 0


def test_cumulative_counts() -> None:
    histogram = filled([0.001, 0.002, 0.002, 0.5, 9.0])
    assert histogram.cumulative([0.0005, 0.0015, 0.1, 1.0, 10.0]) == [0, 1, 3, 4, 5]


def test_clear() -> None:
    histogram = filled([1.0])
    histogram.clear()
    assert (histogram.count, histogram.percentile(1.0)) == (0, None)


def test_summary_rises_to_the_maximum() -> None:
    lines = filled([number / 1000 for number in range(1, 1001)]).summary()
    rows = [line.split() for line in lines[2:-2]]
    assert float(rows[0][0]) == pytest.approx(1.0, rel=0.01)
    assert rows[-1] == ["1000.000", "1.000000", "1000", "inf"]
    values = [float(row[0]) for row in rows]
    assert values == sorted(values)
    assert lines[-1] == "#[Mean = 500.500, Min = 1.000, Max = 1000.000, Total count = 1000]"


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_refuses_what_is_no_number(value: float) -> None:
    with pytest.raises((OverflowError, ValueError)):
        Histogram().add(value)


def test_refuses_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="bits"):
        Histogram(0)
    with pytest.raises(ValueError, match="precision"):
        Histogram(7).merge(Histogram(8))
    with pytest.raises(ValueError, match="share"):
        filled([1.0]).percentile(1.5)
    kept = filled([1.0]).as_dict()
    kept["count"] = 2
    with pytest.raises(ValueError, match="count"):
        Histogram.of(kept)

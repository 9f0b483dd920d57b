"""The latency histogram: bounded error, and merging in any order."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oarlock.loadgen.histogram import BUCKETS, HIGHEST_NS, RELATIVE_ERROR, Histogram, bucket_of, middle_of

latencies = st.one_of(st.integers(0, 1000), st.integers(0, HIGHEST_NS))


def histogram_of(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


def merged(*histograms: Histogram) -> Histogram:
    total = Histogram()
    for histogram in histograms:
        total.merge(histogram)
    return total


@given(latencies)
def test_the_middle_of_a_bucket_is_near_its_values(value: int) -> None:
    assert abs(middle_of(bucket_of(value)) - value) <= RELATIVE_ERROR * value


def test_buckets_are_numbered_without_a_hole_and_end_at_the_highest_value() -> None:
    assert [bucket_of(middle_of(bucket)) for bucket in range(BUCKETS)] == list(range(BUCKETS))
    assert bucket_of(HIGHEST_NS) == BUCKETS - 1


@given(st.lists(latencies, min_size=1), st.floats(0, 100))
def test_a_percentile_is_near_the_value_of_its_rank(values: list[int], percent: float) -> None:
    exact = sorted(values)[max(1, ceil(len(values) * percent / 100)) - 1]
    assert abs(histogram_of(values).percentile(percent) - exact) <= RELATIVE_ERROR * exact


@given(st.lists(st.lists(latencies), min_size=3, max_size=3))
def test_merging_is_associative_commutative_and_the_same_as_recording_together(parts: list[list[int]]) -> None:
    one, two, three = map(histogram_of, parts)
    together = histogram_of([value for part in parts for value in part])
    assert merged(merged(one, two), three) == merged(one, merged(two, three)) == merged(three, two, one) == together


@given(st.lists(latencies, min_size=1))
def test_extremes_and_mean_are_exact(values: list[int]) -> None:
    histogram = histogram_of(values)
    assert (histogram.lowest_ns, histogram.highest_ns) == (min(values), max(values))
    assert histogram.mean_ns == sum(values) / len(values)
    assert histogram.percentile(100) == max(values)


def test_a_latency_beyond_the_highest_bucket_keeps_its_maximum() -> None:
    histogram = histogram_of([5, HIGHEST_NS * 4])
    assert histogram.percentile(100) == HIGHEST_NS * 4
    assert [count for _, count in histogram.buckets()] == [1, 1]


def test_a_clock_that_was_set_back_counts_as_zero() -> None:
    assert histogram_of([-5]).percentile(50) == 0


def test_an_empty_histogram_has_zeros() -> None:
    assert (Histogram().percentile(99), Histogram().mean_ns) == (0, 0.0)


def test_a_percentile_above_100_is_refused() -> None:
    with pytest.raises(ValueError, match="101"):
        Histogram().percentile(101)

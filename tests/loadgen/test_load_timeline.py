"""Time lines: intervals that stay bounded, and merge as if one process had recorded all."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oarlock.loadgen.outcome import Series
from oarlock.loadgen.timeline import MAX_INTERVALS, Sampler, Timeline
from oarlock.wire.frames import pack, unpack

MS = 1_000_000
ended = st.lists(st.tuples(st.floats(0, 3 * MAX_INTERVALS), st.integers(0, 10**11)), max_size=30)


def recorded(events: list[tuple[float, int]]) -> Timeline:
    timeline = Timeline()
    for at_s, latency_ns in events:
        timeline.record(at_s, latency_ns)
    return timeline


def test_requests_are_counted_in_the_second_in_which_they_ended() -> None:
    timeline = recorded([(0.2, 2 * MS), (0.9, 4 * MS), (2.5, 8 * MS)])
    timeline.fail(2.6)
    rows = list(timeline.rows())
    assert [(row.at_s, row.ended, row.errors, row.highest_ns) for row in rows] == [
        (0, 2, 0, 4 * MS),
        (1, 0, 0, 0),
        (2, 2, 1, 8 * MS),
    ]
    assert rows[0].p50_ns == pytest.approx(2 * MS, rel=0.07)
    assert rows[0].p99_ns == pytest.approx(4 * MS, rel=0.07)


@settings(max_examples=30)
@given(ended)
def test_however_long_the_load_the_intervals_are_bounded_and_nothing_is_lost(events: list[tuple[float, int]]) -> None:
    timeline = recorded(events)
    rows = list(timeline.rows())
    assert len(rows) <= MAX_INTERVALS
    assert sum(row.ended for row in rows) == len(events)
    assert max((row.highest_ns for row in rows), default=0) == max((ns for _, ns in events), default=0)


@settings(max_examples=30)
@given(ended, ended)
def test_merged_is_as_if_recorded_together(one: list[tuple[float, int]], other: list[tuple[float, int]]) -> None:
    merged = recorded(one)
    merged.merge(recorded(other))
    assert list(merged.rows()) == list(recorded(one + other).rows())


@settings(max_examples=30)
@given(ended)
def test_it_comes_back_from_the_wire(events: list[tuple[float, int]]) -> None:
    timeline = recorded(events)
    timeline.fail(0.5, 3)
    assert list(Timeline.from_wire(unpack(pack(timeline.to_wire()))).rows()) == list(timeline.rows())


def test_a_sampler_adds_what_came_since_the_last_look() -> None:
    timeline, series = Timeline(), Series()
    sampler = Sampler(timeline, series)
    series.latencies.record(MS)
    sampler.sample(0.5)
    series.latencies.record(100 * MS)
    series.errors["NoSpaceError"] += 2
    sampler.sample(3.0)
    sampler.sample(9.0)
    first, second = timeline.rows()
    assert (first.ended, first.errors) == (1, 0)
    assert (second.ended, second.errors) == (3, 2)
    assert second.highest_ns == pytest.approx(100 * MS, rel=0.004)


def test_a_sampler_that_comes_late_counts_as_of_its_coming() -> None:
    timeline, series = Timeline(), Series(errors=Counter(TimeoutError=1))
    Sampler(timeline, series, since_s=4.0).sample(4.5)
    assert [row.ended for row in timeline.rows()] == [0, 0, 0, 0, 1]

"""Compaction that nobody asks for."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oarlock.workers.auto_compaction import (
    REVISION_INTERVAL_S,
    PeriodicCompaction,
    RevisionCompaction,
    auto_compaction,
)


def test_by_age_nothing_goes_before_a_whole_period() -> None:
    compaction = PeriodicCompaction(100.0)
    assert [compaction.step(float(now_s), now_s) for now_s in range(100)] == [None] * 100
    assert compaction.step(100.0, 100) == 0


@given(st.floats(1.0, 100_000.0), st.lists(st.floats(0.1, 5_000.0), min_size=1, max_size=80))
def test_by_age_only_goes_what_is_older_than_the_period(period_s: float, pauses_s: list[float]) -> None:
    compaction = PeriodicCompaction(period_s)
    now_s = 0.0
    written: list[tuple[float, int]] = []
    for revision, pause_s in enumerate(pauses_s, 1):
        now_s += pause_s
        written.append((now_s, revision))
        target = compaction.step(now_s, revision)
        if target is not None:
            when_s = {number: when for when, number in written}[target]
            assert when_s <= now_s - period_s


def test_by_age_goes_on_every_period_up_to_an_hour() -> None:
    compaction = PeriodicCompaction(7200.0)
    done = [now_s for now_s in range(0, 20_000, 60) if compaction.step(float(now_s), now_s) is not None]
    assert done[0] == 7200
    assert {later - earlier for earlier, later in itertools.pairwise(done)} == {3600}


def test_by_number_the_newest_stay() -> None:
    compaction = RevisionCompaction(1000)
    assert compaction.step(0.0, 5000) is None
    assert compaction.step(REVISION_INTERVAL_S, 5000) == 4000
    assert compaction.step(REVISION_INTERVAL_S + 1, 9000) is None
    assert compaction.step(2 * REVISION_INTERVAL_S, 900) is None


@pytest.mark.parametrize(("mode", "retention"), [("periodic", "0"), ("periodic", "0s"), ("revision", "0")])
def test_a_retention_of_nothing_is_no_compaction(mode: str, retention: str) -> None:
    assert auto_compaction(mode, retention) is None


def test_a_bare_number_is_hours_or_revisions() -> None:
    by_age = auto_compaction("periodic", "2")
    assert isinstance(by_age, PeriodicCompaction)
    assert by_age.step(0.0, 7) is None
    assert by_age.step(7200.0, 9) == 7
    assert isinstance(auto_compaction("revision", "2"), RevisionCompaction)

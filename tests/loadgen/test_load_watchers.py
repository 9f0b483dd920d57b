"""The tally of watchers finds what is missing, doubled, late or invented."""

from __future__ import annotations

import pytest

from oarlock.loadgen.watchers import Completeness, WatcherTally, stamped

NOW_NS = 1_000_000
STAMPED = stamped(NOW_NS - 300, 16)


def tally_of(writes: int = 2, watchers: int = 3, keys: int = 2) -> WatcherTally:
    """All writes go to key 0, which watchers 0 and 2 watch."""
    tally = WatcherTally(watchers, keys, lambda: NOW_NS)
    for _ in range(writes):
        tally.attempted(0)
        tally.acknowledged(0)
    return tally


def deliver(tally: WatcherTally, watcher: int, *revisions: int) -> None:
    for revision in revisions:
        tally.delivered(watcher, revision, STAMPED)


def test_watchers_that_saw_all_are_whole() -> None:
    tally = tally_of()
    deliver(tally, 0, 2, 3)
    assert not tally.is_complete
    deliver(tally, 2, 2, 3)
    assert tally.is_complete
    assert tally.completeness() == Completeness(expected=4, delivered=4, missing=0, disordered=0, unexpected=0)
    assert tally.completeness().is_whole


def test_a_missing_event_is_counted_though_another_watcher_has_one_too_many() -> None:
    tally = tally_of()
    deliver(tally, 0, 2)
    deliver(tally, 2, 2, 3, 4)
    assert tally.completeness() == Completeness(expected=4, delivered=4, missing=1, disordered=0, unexpected=1)


@pytest.mark.parametrize("revisions", [(2, 2), (3, 2)])
def test_a_doubled_or_late_event_is_disorder(revisions: tuple[int, int]) -> None:
    tally = tally_of(watchers=1)
    deliver(tally, 0, *revisions)
    assert tally.completeness().disordered == 1
    assert not tally.completeness().is_whole


def test_a_write_that_was_not_acknowledged_may_be_delivered_or_not() -> None:
    tally = tally_of(writes=1, watchers=2, keys=1)
    tally.attempted(0)
    deliver(tally, 0, 2)
    deliver(tally, 1, 2, 3)
    assert tally.completeness().is_whole


def test_the_latency_counts_from_the_stamp() -> None:
    tally = tally_of()
    deliver(tally, 0, 2)
    assert (tally.latencies.lowest_ns, tally.last_ns) == (300, NOW_NS)


def test_a_value_without_room_for_its_time_is_refused() -> None:
    with pytest.raises(ValueError, match="not 7"):
        stamped(0, 7)

"""The tally of watchers finds what is missing, doubled, late or invented, in one process and over several."""

from __future__ import annotations

import pytest

from oarlock.loadgen.watchers import FAREWELL, Completeness, WatcherTally, completeness_of, stamped

NOW_NS = 1_000_000
STAMPED = stamped(NOW_NS - 300, 16)


def tally_of(writes: int = 2, watchers: range = range(3), keys: int = 2, writers: int = 1) -> WatcherTally:
    """All writes go to key 0, which watchers with even numbers watch."""
    tally = WatcherTally(watchers, keys, writers, lambda: NOW_NS)
    for _ in range(writes):
        tally.attempted(0)
        tally.acknowledged(0)
    return tally


def deliver(tally: WatcherTally, watcher: int, *revisions: int) -> None:
    for revision in revisions:
        tally.delivered(watcher, revision, STAMPED)


def completeness(*tallies: WatcherTally) -> Completeness:
    counts = tallies[0].counts()
    for other in tallies[1:]:
        counts.update(other.counts())
    return completeness_of(counts)


def test_watchers_that_saw_all_are_whole() -> None:
    tally = tally_of()
    deliver(tally, 0, 2, 3)
    assert completeness(tally).missing == 2
    deliver(tally, 2, 2, 3)
    assert completeness(tally) == Completeness(expected=4, delivered=4, missing=0, disordered=0, unexpected=0)
    assert completeness(tally).is_whole


def test_a_missing_event_is_counted_though_another_watcher_has_one_too_many() -> None:
    tally = tally_of()
    deliver(tally, 0, 2)
    deliver(tally, 2, 2, 3, 4)
    assert completeness(tally) == Completeness(expected=4, delivered=4, missing=1, disordered=0, unexpected=1)


@pytest.mark.parametrize("revisions", [(2, 2), (3, 2)])
def test_a_doubled_or_late_event_is_disorder(revisions: tuple[int, int]) -> None:
    tally = tally_of(watchers=range(1))
    deliver(tally, 0, *revisions)
    assert completeness(tally).disordered == 1
    assert not completeness(tally).is_whole


def test_a_write_that_was_not_acknowledged_may_be_delivered_or_not() -> None:
    tally = tally_of(writes=1, watchers=range(2), keys=1)
    tally.attempted(0)
    deliver(tally, 0, 2)
    deliver(tally, 1, 2, 3)
    assert completeness(tally).is_whole


def test_one_process_watches_what_another_writes() -> None:
    writing, watching = tally_of(writes=2, watchers=range(0)), tally_of(writes=0, watchers=range(0, 4, 2))
    deliver(watching, 0, 2, 3)
    deliver(watching, 2, 2)
    assert completeness(writing, watching) == Completeness(4, 3, missing=1, disordered=0, unexpected=0)


def test_it_is_over_when_every_watcher_has_the_farewell_of_every_writer() -> None:
    tally = tally_of(watchers=range(2), keys=1, writers=2)
    for watcher, revision in ((0, 4), (0, 5), (1, 4)):
        tally.delivered(watcher, revision, FAREWELL)
        assert not tally.is_over
    tally.delivered(1, 5, FAREWELL)
    assert tally.is_over
    assert tally.series.sent == 0


def test_a_lost_watch_is_not_waited_for_and_what_it_did_not_get_is_missing() -> None:
    tally = tally_of(watchers=range(1))
    tally.lost(0, "CompactedError")
    assert tally.is_over
    assert (completeness(tally).missing, completeness(tally).lost_watches) == (2, 1)
    assert tally.series.errors == {"CompactedError": 1}


def test_the_latency_counts_from_the_stamp() -> None:
    tally = tally_of()
    deliver(tally, 0, 2)
    assert (tally.series.latencies.lowest_ns, tally.last_ns) == (300, NOW_NS)


def test_a_value_without_room_for_its_time_is_refused() -> None:
    with pytest.raises(ValueError, match="not 7"):
        stamped(0, 7)

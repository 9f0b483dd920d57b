"""Watch histories: whole ones pass, and every kind of damage is found."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from .records import ViolationError
from .simulator import simulate
from .store import Event
from .watches import Watched, check_watch

seeds = st.integers(0, 2**32).map(Random)


def watched(log: list[Event], events: list[Event]) -> Watched:
    return Watched(b"", b"\0", 1, log[-1].revision if log else 1, events)


@given(seeds, st.integers(1, 30), st.integers(1, 30))
def test_a_watcher_that_saw_its_part_of_the_log_passes(random: Random, start: int, last: int) -> None:
    log = simulate(random).log
    seen = [event for event in log if start <= event.revision <= last and event.key in (b"a", b"b")]
    check_watch(Watched(b"a", b"c", start, last, seen), log)


@given(seeds, st.data())
def test_a_missing_event_is_found(random: Random, data: st.DataObject) -> None:
    log = simulate(random).log
    assume(log)
    gone = data.draw(st.integers(0, len(log) - 1))
    with pytest.raises(ViolationError, match="missing"):
        check_watch(watched(log, log[:gone] + log[gone + 1 :]), log)


@given(seeds, st.data())
def test_a_doubled_event_is_found(random: Random, data: st.DataObject) -> None:
    log = simulate(random).log
    assume(log)
    again = data.draw(st.integers(0, len(log) - 1))
    with pytest.raises(ViolationError, match="a second time"):
        check_watch(watched(log, log[: again + 1] + log[again:]), log)


@given(seeds, st.data())
def test_exchanged_events_are_found(random: Random, data: st.DataObject) -> None:
    log = simulate(random).log
    assume(len(log) > 1)
    first = data.draw(st.integers(0, len(log) - 2))
    events = [*log[:first], log[first + 1], log[first], *log[first + 2 :]]
    with pytest.raises(ViolationError, match="out of order"):
        check_watch(watched(log, events), log)


def test_an_event_of_another_key_or_revision_is_found() -> None:
    one, two = Event(2, b"a", None), Event(3, b"b", None)
    with pytest.raises(ViolationError, match="not due"):
        check_watch(Watched(b"a", b"", 1, 3, [one, two]), [one, two])
    with pytest.raises(ViolationError, match="not due"):
        check_watch(Watched(b"a", b"", 3, 3, [one]), [one, two])

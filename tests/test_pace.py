from __future__ import annotations

from oarlock.wire.pace import BRISK_WAITS, LONG_WAIT_COSTS, Pace

SPIN_S = 0.001


def brisk() -> Pace:
    pace = Pace(SPIN_S)
    for _ in range(BRISK_WAITS):
        assert not pace.is_brisk
        pace.waited(SPIN_S / 2)
    assert pace.is_brisk
    return pace


def test_a_long_wait_ends_a_pace_that_has_just_become_brisk() -> None:
    pace = brisk()
    pace.waited(SPIN_S)
    assert not pace.is_brisk


def test_one_long_wait_among_many_short_ones_ends_nothing() -> None:
    pace = brisk()
    for _ in range(LONG_WAIT_COSTS):
        pace.waited(SPIN_S / 2)
    pace.waited(SPIN_S)
    assert pace.is_brisk


def test_long_waits_end_a_brisk_pace_however_old_it_is() -> None:
    pace = brisk()
    for _ in range(100 * BRISK_WAITS):
        pace.waited(SPIN_S / 2)
    for _ in range(3):
        pace.waited(SPIN_S)
    assert not pace.is_brisk


def test_as_many_long_waits_as_short_ones_are_no_brisk_pace() -> None:
    pace = Pace(SPIN_S)
    for _ in range(10 * BRISK_WAITS):
        pace.waited(SPIN_S / 2)
        pace.waited(SPIN_S * 2)
    assert not pace.is_brisk

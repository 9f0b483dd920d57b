from __future__ import annotations

from oarlock.workers.pace import BRISK_WAITS, SPIN_S, Pace


def brisk() -> Pace:
    pace = Pace()
    for _ in range(BRISK_WAITS):
        assert not pace.is_brisk
        pace.waited(SPIN_S / 2)
    assert pace.is_brisk
    return pace


def test_one_long_wait_ends_a_brisk_pace() -> None:
    pace = brisk()
    pace.waited(SPIN_S)
    assert not pace.is_brisk


def test_a_wait_for_nothing_ends_a_brisk_pace() -> None:
    pace = brisk()
    pace.slackened()
    assert not pace.is_brisk


def test_short_waits_with_a_long_one_in_between_are_no_brisk_pace() -> None:
    pace = Pace()
    for _ in range(10 * BRISK_WAITS):
        pace.waited(SPIN_S / 2)
        pace.waited(SPIN_S * 2)
    assert not pace.is_brisk

from __future__ import annotations

import pytest

from oarlock.coordinator.wakefulness import CALLED_S, KNOCK_S, SPIN_S, Wakefulness
from oarlock.wire.pace import BRISK_WAITS


@pytest.fixture
def brisk() -> Wakefulness:
    """Woken soon, again and again."""
    wakefulness = Wakefulness()
    for _ in range(BRISK_WAITS):
        assert not wakefulness.spin_s(0.0)
        wakefulness.waited(0.0)
    return wakefulness


def test_a_coordinator_that_is_woken_soon_stays_awake(brisk: Wakefulness) -> None:
    assert brisk.spin_s(0.0) == SPIN_S
    brisk.waited(SPIN_S)
    assert not brisk.spin_s(0.0)


def test_a_knock_keeps_it_awake_once() -> None:
    wakefulness = Wakefulness()
    wakefulness.knocked(0.0, has_come=False)
    assert wakefulness.spin_s(0.0) == KNOCK_S
    assert not wakefulness.spin_s(0.0)


def test_a_knock_for_what_has_come_keeps_nobody_awake(brisk: Wakefulness) -> None:
    brisk.knocked(0.0, has_come=True)
    assert not brisk.spin_s(0.0)


def test_whoever_is_knocked_at_sleeps_until_that_ends(brisk: Wakefulness) -> None:
    brisk.knocked(0.0, has_come=False)
    assert brisk.spin_s(0.0) == KNOCK_S
    assert not brisk.spin_s(CALLED_S)
    assert brisk.spin_s(2 * CALLED_S) == SPIN_S

from __future__ import annotations

import time
from collections.abc import Callable

from oarlock.wire.pace import BRISK_WAITS
from oarlock.workers.spinning import SPIN_S, Spinning


class Loop:
    """The functions that are due in the next turn."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def call_soon(self, function: Callable[[], None]) -> None:
        self.due.append(function)

    def turn(self) -> int:
        due, self.due = self.due, []
        for function in due:
            function()
        return len(due)


def at_brisk_pace(spinning: Spinning) -> None:
    for _ in range(BRISK_WAITS):
        spinning.rest()
        spinning.wake(0.0)  # a moment before it rested, whatever the clock says


def test_a_loop_sleeps_until_its_pace_is_brisk_and_then_turns_until_it_is_woken() -> None:
    loop = Loop()
    spinning = Spinning(loop.call_soon, lambda: False)
    assert not spinning.is_brisk
    at_brisk_pace(spinning)
    assert spinning.is_brisk
    assert not loop.due
    spinning.rest()
    assert loop.turn() == 1
    spinning.wake(0.0)
    spinning.wake(0.0)
    while loop.turn():
        pass


def test_a_loop_that_turns_for_nothing_sleeps() -> None:
    loop = Loop()
    spinning = Spinning(loop.call_soon, lambda: False)
    at_brisk_pace(spinning)
    begin_s = time.monotonic()
    spinning.rest()
    while loop.turn():
        pass
    assert time.monotonic() - begin_s >= SPIN_S
    spinning.wake(time.monotonic() + SPIN_S)
    spinning.rest()
    assert not loop.due


def test_rests_one_after_another_turn_the_loop_once() -> None:
    loop = Loop()
    spinning = Spinning(loop.call_soon, lambda: False)
    at_brisk_pace(spinning)
    spinning.rest()
    spinning.wake(0.0)
    spinning.rest()
    assert len(loop.due) == 1


def test_what_a_look_finds_ends_the_turning_until_the_next_rest() -> None:
    loop, looks = Loop(), [True]
    spinning = Spinning(loop.call_soon, looks.pop)
    at_brisk_pace(spinning)
    spinning.rest()
    assert loop.turn() == 1
    assert not looks
    assert not loop.due

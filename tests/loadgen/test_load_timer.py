"""The exact timer rings when it was set, once, and not before."""

from __future__ import annotations

import asyncio

import pytest

from oarlock.loadgen.runner import run
from oarlock.loadgen.timer import Timer


async def rings_after(delay_s: float, *, set_first: float | None = None) -> float:
    loop, rung = asyncio.get_running_loop(), asyncio.Event()
    timer = Timer(loop, rung.set)
    start_s = loop.time()
    if set_first is not None:
        timer.set(set_first)
    timer.set(delay_s)
    await rung.wait()
    timer.close()
    return loop.time() - start_s


@pytest.mark.parametrize("delay_s", [0, 0.0005, 0.03])
def test_it_does_not_ring_early(delay_s: float) -> None:
    assert run(rings_after(delay_s)) >= delay_s - 0.001  # uvloop's clock is that of the turn's beginning


def test_the_time_that_was_set_last_counts() -> None:
    assert run(rings_after(0, set_first=3600)) < 3600

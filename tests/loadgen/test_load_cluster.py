"""The cluster of the suites: it starts, tells its leader, and lets a member catch up."""

from __future__ import annotations

import asyncio
from pathlib import Path

from oarlock.loadgen.catch_up import catch_up
from oarlock.loadgen.compare_suite import TASKS
from oarlock.loadgen.comparison import OURS
from oarlock.loadgen.contenders import both_sides


def test_a_member_catches_up(tmp_path: Path) -> None:
    rows = asyncio.run(catch_up(tmp_path, 2_000, []))
    answers, level, writes = rows
    assert 0 < answers.value <= level.value
    assert writes.detail["requests"] > 0


def test_every_task_gets_answers(tmp_path: Path) -> None:
    async def press() -> list[float]:
        async with both_sides(tmp_path, 1, [], None) as sides:
            assert list(sides) == [OURS]
            return [(await sides[OURS].press(task, 0.05)).rate for task in TASKS]

    assert all(rate > 0 for rate in asyncio.run(press()))

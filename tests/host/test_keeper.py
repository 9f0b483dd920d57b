"""Keeping one child, in this process, where time can be told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from oarlock.host import config, metrics
from oarlock.host.keeper import Keeper
from oarlock.host.spawn import Program, Surroundings
from oarlock.host.watchdog import STARTING_S

from .fake_server import program


def keep(directory: Path, what: Program, scene: Callable[[Keeper, asyncio.Queue[None]], Awaitable[None]]) -> None:
    """Runs a scene with a keeper, and a queue that gets an item at every change; then stops the keeper."""

    async def play() -> None:
        settings = config.load({"data-dir": str(directory)}, {})
        metrics.prepare(directory / "metrics")
        changes: asyncio.Queue[None] = asyncio.Queue()
        keeper = Keeper(what, Surroundings(settings, directory / "metrics"), lambda: changes.put_nowait(None), print)
        keeper.start()
        try:
            await scene(keeper, changes)
        finally:
            await keeper.stop(30.0)
        assert keeper.pid is None

    asyncio.run(play())


async def until(condition: Callable[[], bool], changes: asyncio.Queue[None]) -> None:
    while not condition():
        await changes.get()


def test_a_silent_child_is_killed_and_started_again(tmp_path: Path) -> None:
    async def scene(keeper: Keeper, changes: asyncio.Queue[None]) -> None:
        await until(lambda: keeper.ready, changes)
        first = keeper.pid
        now_s = time.monotonic()
        for second in range(int(STARTING_S) + 2):
            keeper.check(now_s + second)
        assert not keeper.alive
        await until(lambda: keeper.ready, changes)
        assert keeper.pid != first
        assert not keeper.policy.rebuild_due

    keep(tmp_path, program("worker-0", "well"), scene)


def test_a_deaf_child_is_killed_in_the_end(tmp_path: Path) -> None:
    async def scene(keeper: Keeper, changes: asyncio.Queue[None]) -> None:
        await until(lambda: keeper.ready, changes)
        await keeper.stop(0.0)
        assert keeper.pid is None

    keep(tmp_path, program("worker-0", "deaf"), scene)


def test_a_program_that_cannot_be_run_is_tried_again(tmp_path: Path) -> None:
    async def scene(keeper: Keeper, changes: asyncio.Queue[None]) -> None:
        assert not keeper.alive
        assert keeper.policy.deaths == 1

    keep(tmp_path, Program("worker-0", (str(tmp_path / "nothing"),), 0), scene)

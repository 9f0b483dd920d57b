"""What concurrent clients are told can be put in an order, through restarts of workers."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from tests.histories.search import check_search
from tests.server import Server

from .faults import Faults
from .load import PAIRS, Load, Watcher
from .verdict import judge


async def run_history(server: Server, seed: int, restarts: int) -> None:
    """Clients write and read, watchers come and go on, workers are killed; then all of it is judged."""
    random = Random(seed)
    load = Load(server.native_endpoint, seed, islands=PAIRS)
    faults = Faults(server, random, victims=())
    watchers: list[Watcher] = []
    try:
        await load.start()
        for _ in range(restarts):
            await load.wait_answers(random.randint(50, 300))
            key, end = sorted(random.sample(PAIRS[0] + PAIRS[5] + PAIRS[9], 2))
            watchers.append(Watcher(key, random.choice((b"", end)), random.randint(1, 50)))
            await watchers[-1].start(server.native_endpoint)
            await faults.kill_something()
        await load.wait_answers(200)
        story = await judge(server, load, *watchers)
    finally:
        print(f"{load.answered} answers; restarted: {', '.join(faults.done)}")
        await load.close()
        for watcher in watchers:
            await watcher.close()
    check_search(story.history[:-1])  # the last one ties all keys together, and nothing comes after it


@pytest.mark.slow
def test_a_history_with_restarts_of_workers_has_an_order(server: Server, seed: int) -> None:
    asyncio.run(run_history(server, seed, 5))


@pytest.mark.soak
def test_long_histories_with_restarts_of_workers_have_an_order(server: Server, seed: int, soak_kills: int) -> None:
    for part in range(max(1, soak_kills // 20)):
        asyncio.run(run_history(server, seed + part, 20))
        server.data_dir.rename(server.directory / f"data-{part}")
        server.start()

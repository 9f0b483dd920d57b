"""A process that stands still for a while (SIGSTOP) does no harm, and others do its work where they can."""

from __future__ import annotations

import asyncio
import signal

import pytest

import oarlock
from tests.server import Server

from .load import Load
from .verdict import judge

FROZEN_S = 2.0
"""How long the coordinator stands still; longer than an election time-out."""


async def freeze_worker(server: Server, seed: int) -> None:
    load = Load(server.native_endpoint, seed, clients=6, lanes=2)
    try:
        await load.start()
        await load.wait_every_lane(5)
        server.kill_part("worker 0", signal.SIGSTOP)
        await load.wait_every_lane(5)
        for _ in range(3):  # the kernel gives a connection to either worker, also to the one that does not answer
            async with await oarlock.aio.connect(*[server.native_endpoint] * 8) as client:
                assert await client.get("what is not there", timeout_s=30) is None
        server.kill_part("worker 0", signal.SIGCONT)
        await load.wait_every_lane(5)
        await judge(server, load)
    finally:
        await load.close()


async def freeze_coordinator(server: Server, seed: int) -> None:
    load = Load(server.native_endpoint, seed)
    try:
        await load.start()
        for _ in range(2):
            await load.wait_answers(200)
            server.kill_part("coordinator", signal.SIGSTOP)
            await asyncio.sleep(FROZEN_S)  # this is the fault itself
            server.kill_part("coordinator", signal.SIGCONT)
        await load.wait_every_lane(5)
        await judge(server, load)
    finally:
        await load.close()


@pytest.mark.slow
def test_clients_of_a_frozen_worker_go_on_by_another(server: Server, seed: int) -> None:
    asyncio.run(freeze_worker(server, seed))


@pytest.mark.slow
def test_a_frozen_coordinator_costs_time_and_nothing_else(server: Server, seed: int) -> None:
    asyncio.run(freeze_coordinator(server, seed))

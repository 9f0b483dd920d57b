"""How a server ends, and that nobody else gets at its data meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

import oarlock
from tests.server import STOP_TIMEOUT_S, Server, has_ended, running, wait_until

from .load import Load
from .verdict import judge


def test_a_second_server_on_the_same_data_is_refused(shared_server: Server, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(shared_server.data_dir)
    with (
        pytest.raises(AssertionError, match=r"stopped with 1:\nError: data directory .* is in use by process"),
        running(tmp_path),
    ):
        pass
    with oarlock.connect(shared_server.native_endpoint) as client:
        client.put("a second server", "did no harm")


async def stop_under_load(server: Server, seed: int) -> None:
    load = Load(server.native_endpoint, seed)
    try:
        await load.start()
        for _ in range(2):
            await load.wait_answers(300)
            assert await asyncio.to_thread(server.stop) == 0
            assert not server.processes()
            await asyncio.to_thread(server.start)
        await load.wait_every_lane(5)
        await judge(server, load)
    finally:
        await load.close()


async def kill_supervisor_under_load(server: Server, seed: int) -> None:
    load = Load(server.native_endpoint, seed)
    try:
        await load.start()
        await load.wait_answers(300)
        family = server.processes()
        os.kill(server.pid, signal.SIGKILL)
        await asyncio.to_thread(wait_until, lambda: all(map(has_ended, family)), STOP_TIMEOUT_S, "the end of all")
        await asyncio.to_thread(server.start)
        await load.wait_every_lane(5)
        await judge(server, load)
    finally:
        await load.close()


@pytest.mark.slow
def test_a_stop_under_load_is_orderly_and_clients_go_on_after_it(server: Server, seed: int) -> None:
    asyncio.run(stop_under_load(server, seed))


@pytest.mark.slow
def test_all_processes_die_with_the_supervisor(server: Server, seed: int) -> None:
    asyncio.run(kill_supervisor_under_load(server, seed))

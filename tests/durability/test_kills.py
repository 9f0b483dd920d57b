"""A server that is killed at random instants, in part or in whole, loses and doubles nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.server import Server, running

from .faults import Faults
from .load import Load
from .verdict import judge

FLAGS = ("--snapshot-count", "100", "--snapshot-catchup-entries", "20")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Takes snapshots and cuts its log all the time, so that this is interrupted as well, and begun from."""
    with running(tmp_path, arguments=FLAGS) as server:
        yield server


async def run_campaign(server: Server, seed: int, kills: int) -> None:
    load = Load(server.native_endpoint, seed)
    faults = Faults(server, Random(seed))
    try:
        await load.start()
        await faults.campaign(load, kills)
        story = await judge(server, load)
    finally:
        print(f"{load.answered} answers; killed: {', '.join(faults.done)}")
        await load.close()
    assert len(story.history) == load.answered


@pytest.mark.slow
def test_a_dozen_kills_lose_and_double_nothing(server: Server, seed: int) -> None:
    asyncio.run(run_campaign(server, seed, 12))


@pytest.mark.soak
def test_hundreds_of_kills_lose_and_double_nothing(server: Server, seed: int, soak_kills: int) -> None:
    asyncio.run(run_campaign(server, seed, soak_kills))

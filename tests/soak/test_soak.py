"""A server that works for a long time, under everything at once, grows no more, and forgets and invents nothing."""

from __future__ import annotations

import asyncio
import os
import re
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.durability.conftest import seed
from tests.durability.verdict import check_replicas, reach_every_worker
from tests.server import Server, running, wait_until

from .load import Load
from .shared import Shape
from .usage import Usage, holdings

__all__ = ["seed"]

FLAGS = ("--snapshot-count", "10000", "--snapshot-catchup-entries", "1000")
"""Snapshots, and cuts of the log, every few minutes, so that there are many."""
SHORT_S = 15.0
SHORT = Shape(
    keys=200, lanes=3, pause_s=0.02, tenants=1, visitors=1, compact_s=1.0, kept_revisions=100, is_filled=False
)
LONG = Shape(
    keys=5000, lanes=12, pause_s=0.0, tenants=4, visitors=3, compact_s=10.0, kept_revisions=5000, is_filled=True
)
LOOKS = 120
"""Samples in a run."""
PATIENCE_S = 60.0
SPARE = 6
"""Descriptors and threads that a process may have more than at its start: pools and files that are opened when first
needed. A leak shows with each of hundreds of connections."""
GONE = (
    "oarlock_watchers",
    "oarlock_leases",
    "etcd_debugging_mvcc_watcher_total",
    "etcd_debugging_mvcc_watch_stream_total",
    "etcd_debugging_mvcc_slow_watcher_total",
    "oarlock_state_hash_mismatches_total",
)
"""Figures that are 0 when all clients have gone."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path, arguments=FLAGS) as server:
        yield server


@pytest.fixture(scope="session")
def soak_minutes() -> float:
    """How long the long form works."""
    return float(os.environ.get("OARLOCK_SOAK_MINUTES", "20"))


@pytest.mark.slow
def test_a_short_soak_loses_and_leaks_nothing(server: Server, seed: int) -> None:
    asyncio.run(soak(server, seed, SHORT, SHORT_S, looks=4))


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_a_long_soak_loses_and_leaks_nothing_and_levels_off(server: Server, seed: int, soak_minutes: float) -> None:
    usage = asyncio.run(soak(server, seed, LONG, soak_minutes * 60, LOOKS))
    usage.check_levels()


async def soak(server: Server, seed: int, shape: Shape, seconds: float, looks: int) -> Usage:
    """Presses ``server`` for so long, looking at it so often, and judges all but the levels.

    Raises:
        ViolationError, AssertionError: a promise was broken, or something was not given back.
    """
    before, processes = holdings(server), _pids(server)
    load, usage = Load(server.native_endpoint, server.client_endpoint, seed, shape), Usage(server)
    try:
        await load.start()
        if shape.is_filled:
            await load.fill()
        await asyncio.to_thread(usage.sample)
        for _ in range(looks):
            await load.go_on(seconds / looks)
            await asyncio.to_thread(usage.sample)
        last = await load.finish()
    finally:
        await load.close()
        print(f"{dict(load.done)}\n{usage.table()}\n{before} before, {holdings(server)} after")
    await asyncio.to_thread(_check_given_back, server, before)
    assert _pids(server) == processes, "a process was started again"
    reach_every_worker(server)
    assert server.stop() == 0
    check_replicas(server, load.accounts[0].state, last)
    return usage


def _check_given_back(server: Server, before: dict[str, tuple[int, int]]) -> None:
    """What clients needed was given back when they left.

    Raises:
        AssertionError: something is still held after a long while; says what.
    """

    def kept() -> list[str]:
        now = holdings(server)
        return [
            f"{name}: descriptors and threads {now.get(name)}, before {held}"
            for name, held in before.items()
            if any(later > earlier + SPARE for earlier, later in zip(held, now.get(name, (0, 0)), strict=True))
        ] + [f"{name} {value}" for name, value in _figures(server).items() if value]

    with suppress(AssertionError):
        wait_until(lambda: not kept(), PATIENCE_S, "everything was given back")
    assert not kept()


def _pids(server: Server) -> set[int]:
    return {process.pid for process in server.processes()}


def _figures(server: Server) -> dict[str, float]:
    with urllib.request.urlopen(f"{server.client_url}/metrics", timeout=PATIENCE_S) as response:
        text = response.read().decode()
    figures = dict(re.findall(r"^(\w+)(?:{[^}]*})? (\S+)$", text, re.MULTILINE))
    return {name: float(figures[name]) for name in GONE}

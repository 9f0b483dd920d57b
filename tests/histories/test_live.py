"""Concurrent clients of a real server leave histories that a correct store could have produced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

import pytest

from oarlock import aio
from tests.server import Server

from .live import event_of, record_async
from .records import Recorder
from .revisions import check_revisions
from .search import check_search
from .simulator import random_action
from .store import Event, Get
from .watches import Watched, check_watch

pytestmark = pytest.mark.slow

CLIENTS = 4
OPERATIONS = 60


async def act(recorder: Recorder, number: int, client: aio.Client) -> None:
    """One client of the history; a tenth of its reads is serializable."""
    random = Random(number)
    for turn in range(OPERATIONS):
        action = random_action(random, b"%d.%d" % (number, turn), transactions=True)
        if isinstance(action, Get) and random.random() < 0.1:
            action = Get(action.key, serializable=True)
        await record_async(recorder, number, client, action)


async def watch_until(client: aio.Client, key: bytes, range_end: bytes, last_revision: int) -> list[Event]:
    """All events of a range from the beginning to ``last_revision``."""
    events: list[Event] = []
    async with client.watch(key, range_end=range_end, start_revision=1, progress_notify=True) as watch:
        async for response in watch.responses():
            events.extend(event_of(event) for event in response.events if event.mod_revision <= last_revision)
            if response.header.revision >= last_revision:
                return events
    raise AssertionError("the watch ended by itself")


async def run(endpoint: str, disturb: Callable[[], object]) -> tuple[Recorder, list[Event], list[Event]]:
    """Lets the clients act, with ``disturb`` called in their midst, and then watches what they did."""
    recorder = Recorder()
    clients = [await aio.connect(endpoint) for _ in range(CLIENTS)]
    try:
        acting = [asyncio.create_task(act(recorder, number, client)) for number, client in enumerate(clients)]
        while len(recorder.calls) < CLIENTS * OPERATIONS // 2:
            await asyncio.sleep(0)
        disturb()
        await asyncio.gather(*acting)
        last_revision = max(client.revision for client in clients)
        log, part = await asyncio.gather(
            watch_until(clients[0], b"\0", b"\0", last_revision), watch_until(clients[1], b"a", b"c", last_revision)
        )
    finally:
        for client in clients:
            await client.close()
    return recorder, log, part


def check(recorder: Recorder, log: list[Event], part: list[Event]) -> None:
    history = recorder.history()
    assert len(history) == CLIENTS * OPERATIONS
    check_revisions(history, log)
    check_search(history)
    check_watch(Watched(b"a", b"c", 1, log[-1].revision, part), log)


def test_concurrent_clients_leave_a_linearizable_history(server: Server) -> None:
    check(*asyncio.run(run(server.native_endpoint, lambda: None)))


@pytest.mark.parametrize("part", ["worker 0", "worker 1", "coordinator"])
def test_a_history_stays_linearizable_when_a_process_is_killed(server: Server, part: str) -> None:
    check(*asyncio.run(run(server.native_endpoint, lambda: server.kill_part(part))))

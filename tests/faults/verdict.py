"""The judgement over a cluster: what clients and watchers were told and what members hold must be one story."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import oarlock
from tests.durability.load import TIMEOUT_S, Load, Watcher
from tests.durability.verdict import Story, check_replicas, history_of, reach_every_worker
from tests.histories.revisions import check_revisions
from tests.histories.watches import check_watch

from .hosts import Hosts


async def judge(cluster: Hosts, load: Load, watchers: Sequence[Watcher] = ()) -> Story:
    """Ends the load, checks everything, and stops all members.

    Args:
        cluster: all of whose members run, and reach each other.
        load: all that was ever written to it, but for what ``load.recorder`` was told beside it.
        watchers: further watchers, to be checked as well.

    Raises:
        ViolationError: no correct store answers like that.
        AssertionError: a call failed, or members differ.
    """
    history = await load.finish()
    assert not load.failures, f"{len(load.failures)} calls failed, the first: {load.failures[0]}"
    last = await last_revision(cluster)
    logs = [await history_of(server, last) for server in cluster.servers]
    check_revisions(history, logs[0])
    for number, log in enumerate(logs):
        assert log == logs[0], f"m{number} tells another history than m0"
    for watcher in (load.watcher, *watchers):
        check_watch(await watcher.seen_until(last), logs[0])
    await load.close()
    story = Story(history, logs[0])
    await asyncio.to_thread(_compare_members, cluster, story)
    return story


async def last_revision(cluster: Hosts) -> int:
    """The revision that the last write made."""
    async with await oarlock.aio.connect(cluster.endpoints, timeout_s=TIMEOUT_S) as client:
        return int((await client.range(b"x")).header.revision)


def _compare_members(cluster: Hosts, story: Story) -> None:
    for server in cluster.servers:
        reach_every_worker(server)
    with ThreadPoolExecutor(len(cluster.servers)) as pool:
        assert set(pool.map(lambda server: server.stop(), cluster.servers)) == {0}
    hashes: dict[int, bytes] = {}
    for number, server in enumerate(cluster.servers):
        for meta in check_replicas(server, story.state, story.revision):
            known = hashes.setdefault(meta.applied_index, meta.state_hash)
            assert known == meta.state_hash, f"the state hash of m{number} at {meta.applied_index} differs"

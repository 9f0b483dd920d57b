"""A server that is alone reads without its coordinator, and only for as long as it is alone."""

from __future__ import annotations

import asyncio
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import oarlock
from oarlock.wire.errors import OarlockError
from tests.histories.revisions import check_revisions
from tests.histories.watches import check_watch
from tests.server import START_TIMEOUT_S, Server, running, wait_until

from .load import TIMEOUT_S, Load
from .verdict import history_of, last_revision

CONNECTIONS = 8
"""Enough for each of two workers to have one, almost surely: the kernel spreads them."""
REFUSED_S = 2.0
"""How long a read that must not be answered is waited for: hundreds of times what it takes."""


async def read(server: Server, key: str) -> bytes | None:
    async with await oarlock.aio.connect(server.native_endpoint, timeout_s=TIMEOUT_S) as client:
        found = await client.get(key)
        return None if found is None else found.value


def wait_for_health(server: Server, status: int) -> None:
    def look() -> bool:
        try:
            with urllib.request.urlopen(f"{server.client_url}/health") as answer:
                return bool(answer.status == status)
        except urllib.error.HTTPError as problem:
            return problem.code == status

    wait_until(look, TIMEOUT_S, f"/health answers {status}")


async def read_while_frozen(server: Server) -> None:
    async with await oarlock.aio.connect(server.native_endpoint, timeout_s=TIMEOUT_S) as client:
        for number in range(20):
            await client.put("k", str(number))
        server.kill_part("coordinator", signal.SIGSTOP)
        found = await asyncio.gather(*(read(server, "k") for _ in range(CONNECTIONS)))
        assert found == [b"19"] * CONNECTIONS
        with pytest.raises(OarlockError):
            await client.put("another", "nobody commits this now", timeout_s=REFUSED_S)
        await asyncio.to_thread(wait_for_health, server, 503)  # it reads, and yet something is wrong
        server.kill_part("coordinator", signal.SIGCONT)
        await asyncio.to_thread(wait_for_health, server, 200)
        assert await client.put("k", "later")
        assert await read(server, "k") == b"later"


@pytest.mark.slow
def test_reads_go_on_while_the_coordinator_stands_still(server: Server) -> None:
    asyncio.run(read_while_frozen(server))


async def join_under_load(first: Server, second: Server, seed: int) -> None:
    load = Load(first.native_endpoint, seed)
    try:
        await load.start()
        await load.wait_every_lane(5)
        await asyncio.to_thread(second.start)
        async with await oarlock.aio.connect(first.native_endpoint, timeout_s=TIMEOUT_S) as client:
            async with asyncio.timeout(START_TIMEOUT_S):
                while not any(each.name == "second" and not each.is_learner for each in await client.member_list()):
                    await load.wait_answers(20)
            await load.wait_every_lane(5)
            history = await load.finish()
            assert not load.failures
            last = await last_revision(first)
            log = await history_of(first, last)
            check_revisions(history, log)
            check_watch(await load.watcher.seen_until(last), log)
            second.kill_part("coordinator", signal.SIGSTOP)
            with pytest.raises(OarlockError):
                await client.get("k", timeout_s=REFUSED_S)
            second.kill_part("coordinator", signal.SIGCONT)
            await client.get("k", timeout_s=TIMEOUT_S)
    finally:
        await load.close()


@pytest.mark.slow
def test_reads_wait_for_the_other_member_from_when_there_is_one(tmp_path: Path, seed: int) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with running(tmp_path / "first", arguments=("--name", "first")) as first:
        joining = ("--name", "second", "--join", first.native_endpoint)
        second = Server(tmp_path / "second", workers=1, arguments=joining)
        try:
            asyncio.run(join_under_load(first, second, seed))
        finally:
            second.close()

"""aetcd: etcd for asyncio. Argument: the server's port."""

from __future__ import annotations

import asyncio
import functools
import io
import sys
from collections.abc import Awaitable, Callable

import aetcd
from scenarios import LOOK_S, PATIENCE_S, restart_server, run

PORT = int(sys.argv[1])
ATTEMPT_S = 5.0
"""For one attempt to watch again: the client may lose it among what its broken stream leaves."""


def scenario(body: Callable[[aetcd.Client], Awaitable[None]]) -> Callable[[], None]:
    """A scenario with a client of its own, which must be over within ``PATIENCE_S``."""

    async def with_client() -> None:
        async with asyncio.timeout(PATIENCE_S), aetcd.Client("127.0.0.1", PORT) as client:
            await body(client)

    return functools.wraps(body)(lambda: asyncio.run(with_client()))


@scenario
async def puts_gets_and_deletes(client: aetcd.Client) -> None:
    assert await client.get(b"aetcd/kv/none") is None
    first = await client.put(b"aetcd/kv/a", b"1")
    second = await client.put(b"aetcd/kv/a", b"2", prev_kv=True)
    assert second.prev_kv.value == b"1"
    found = await client.get(b"aetcd/kv/a")
    assert (found.value, found.version, found.lease) == (b"2", 2, 0)
    assert (found.create_revision, found.mod_revision) == (first.header.revision, second.header.revision)
    assert (await client.get(b"aetcd/kv/a", serializable=True)).value == b"2"
    assert (await client.delete(b"aetcd/kv/a", prev_kv=True)).prev_kv.value == b"2"
    assert await client.delete(b"aetcd/kv/a") is None


@scenario
async def reads_ranges_sorted(client: aetcd.Client) -> None:
    for name, value in zip(b"abc", b"312", strict=True):
        await client.put(b"aetcd/range/%c" % name, b"%c" % value)
    found = await client.get_prefix(b"aetcd/range/", sort_order="descend", sort_target="value")
    assert ([each.value for each in found], found.count) == ([b"3", b"2", b"1"], 3)
    found = await client.get_range(b"aetcd/range/a", b"aetcd/range/c")
    assert [each.key for each in found] == [b"aetcd/range/a", b"aetcd/range/b"]
    deleted = await client.delete_prefix(b"aetcd/range/", prev_kv=True)
    assert [each.value for each in deleted] == [b"3", b"1", b"2"]


@scenario
async def transactions_take_their_branch(client: aetcd.Client) -> None:
    txn = client.transactions
    await client.put(b"aetcd/txn/a", b"old")
    succeeded, answers = await client.transaction(
        compare=[txn.value(b"aetcd/txn/a") == b"old", txn.create(b"aetcd/txn/b") == 0],
        success=[txn.put(b"aetcd/txn/a", b"new"), txn.get(b"aetcd/txn/a")],
        failure=[txn.delete(b"aetcd/txn/a")],
    )
    assert succeeded
    assert answers[1][0][0] == b"new"
    assert not await client.replace(b"aetcd/txn/a", b"old", b"newer")
    assert await client.replace(b"aetcd/txn/a", b"new", b"newer")


@scenario
async def watches_see_every_change(client: aetcd.Client) -> None:
    watch = await client.watch_prefix(b"aetcd/watch/", prev_kv=True)
    deletes = await client.watch_prefix(b"aetcd/watch/", kind=aetcd.rtypes.EventKind.DELETE)
    await client.put(b"aetcd/watch/a", b"1")
    await client.put(b"aetcd/watch/b", b"2")
    await client.delete(b"aetcd/watch/a")
    events = [await anext(aiter(watch)) for _ in range(3)]
    assert [(event.kind, event.kv.key[-1:], event.kv.value) for event in events] == [
        ("PUT", b"a", b"1"),
        ("PUT", b"b", b"2"),
        ("DELETE", b"a", b""),
    ]
    assert events[2].prev_kv.value == b"1"
    assert (await anext(aiter(deletes))).kv.mod_revision == events[2].kv.mod_revision
    await watch.cancel()
    replayed = await client.watch(b"aetcd/watch/b", start_revision=events[0].kv.mod_revision)
    assert (await anext(aiter(replayed))).kv.value == b"2"


@scenario
async def watches_go_on_after_a_restart(client: aetcd.Client) -> None:
    watch = await client.watch(b"aetcd/restart")
    before = await client.put(b"aetcd/restart", b"before")
    assert (await anext(aiter(watch))).kv.value == b"before"
    await asyncio.to_thread(restart_server)
    await error_of(watch)
    watch = await watch_again(client, b"aetcd/restart", before.header.revision + 1)
    await client.put(b"aetcd/restart", b"after")
    assert (await anext(aiter(watch))).kv.value == b"after"


async def watch_again(client: aetcd.Client, key: bytes, revision: int) -> aetcd.rtypes.Watch:
    """The watch, as soon as the client has a connection."""
    while True:
        try:
            async with asyncio.timeout(ATTEMPT_S):
                return await client.watch(key, start_revision=revision)
        except Exception:
            await asyncio.sleep(LOOK_S)


@scenario
async def leases_keep_and_drop_their_keys(client: aetcd.Client) -> None:
    lease = await client.lease(1000, lease_id=4711)
    await client.put(b"aetcd/lease/a", b"kept", lease=lease)
    assert (lease.id, await lease.granted_ttl(), list(await lease.keys())) == (4711, 1000, [b"aetcd/lease/a"])
    assert (await lease.refresh()).TTL == 1000
    await lease.revoke()
    assert await client.get(b"aetcd/lease/a") is None
    put = await client.put(b"aetcd/lease/b", b"dropped", lease=await client.lease(1))
    gone = await client.watch_once(
        b"aetcd/lease/b", start_revision=put.header.revision, kind=aetcd.rtypes.EventKind.DELETE
    )
    assert gone.kv.key == b"aetcd/lease/b"


@scenario
async def locks_exclude(client: aetcd.Client) -> None:
    first, second = client.lock(b"aetcd/lock", ttl=100), client.lock(b"aetcd/lock", ttl=100)
    assert await first.acquire()
    assert not await second.acquire(timeout=0)
    waiting = asyncio.create_task(second.acquire(timeout=None))
    await first.refresh()
    assert await first.release()
    assert await waiting
    assert await second.is_acquired()
    assert not await first.is_acquired()


@scenario
async def the_member_describes_itself(client: aetcd.Client) -> None:
    status = await client.status()
    (member,) = [each async for each in client.members()]
    assert status.version.startswith("3.")
    assert status.leader.id == member.id
    assert list(member.client_urls) == [f"http://127.0.0.1:{PORT}"]
    assert not [alarm async for alarm in client.list_alarms()]
    (raised,) = await client.create_alarm()
    assert [alarm.member_id async for alarm in client.list_alarms()] == [raised.member_id]
    await client.disarm_alarm(raised.member_id)
    await client.defragment()


@scenario
async def a_snapshot_is_the_whole_store(client: aetcd.Client) -> None:
    file = io.BytesIO()
    await client.snapshot(file)
    assert len(file.getvalue()) > 32


@scenario
async def what_is_compacted_cannot_be_watched(client: aetcd.Client) -> None:
    first = (await client.put(b"aetcd/compact", b"1")).header.revision
    last = (await client.put(b"aetcd/compact", b"2")).header.revision
    await client.compact(last, physical=True)
    watch = await client.watch(b"aetcd/compact", start_revision=first)
    refusal = await error_of(watch)
    assert isinstance(refusal, aetcd.exceptions.RevisionCompactedError)
    assert refusal.compacted_revision == last


async def error_of(watch: aetcd.rtypes.Watch) -> Exception:
    """How a watch ends that has no event left."""
    try:
        event = await anext(aiter(watch))
    except Exception as error:
        return error
    raise AssertionError(f"the watch did not end, but saw {event}")


if __name__ == "__main__":
    run(
        puts_gets_and_deletes,
        reads_ranges_sorted,
        transactions_take_their_branch,
        watches_see_every_change,
        leases_keep_and_drop_their_keys,
        locks_exclude,
        the_member_describes_itself,
        a_snapshot_is_the_whole_store,
        watches_go_on_after_a_restart,
        what_is_compacted_cannot_be_watched,
    )

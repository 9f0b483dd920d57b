"""The asyncio client against a worker that can misbehave, on both event loops."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from threading import Event
from typing import Any

import pytest
import uvloop

import oarlock
from oarlock import aio
from oarlock.wire.errors import LearnerRefusesError
from oarlock.wire.frames import unpack
from oarlock.wire.operations import Op
from tests.client.fake_worker import FakeWorker

Run = Callable[[Coroutine[Any, Any, None]], None]
TIMEOUT_S = 20


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    def run(work: Coroutine[Any, Any, None]) -> None:
        factory = asyncio.new_event_loop if request.param == "asyncio" else uvloop.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(asyncio.wait_for(work, TIMEOUT_S))

    return run


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


async def take(watch: aio.Watch, count: int) -> list[bytes]:
    events = aiter(watch)
    return [(await anext(events)).value for _ in range(count)]


def values(low: int, high: int) -> list[bytes]:
    return [b"%d" % number for number in range(low, high)]


def test_keys_are_written_read_and_deleted(worker: FakeWorker, run: Run) -> None:
    async def main() -> None:
        async with await aio.connect(worker.endpoint) as client:
            put = await client.put("k", "v")
            assert put.header.revision == client.revision == 2
            assert (put.header.cluster_id, put.header.member_id, put.header.raft_term) == (0xC1, 0xA1, 3)
            assert await client.get("k") == oarlock.KeyValue(b"k", b"v", 2, 2, 1, 0)
            assert await client.get("absent") is None
            assert (await client.put("k", b"w", prev_kv=True)).prev_kv == (b"k", b"v", 2, 2, 1, 0)
            await client.put("ka", "")
            assert [kv.key for kv in await client.get_prefix("k", limit=1)] == [b"k"]
            assert await client.count_prefix("k") == 2
            assert (await client.get_range("k", "ka")).count == 1
            assert (await client.delete_prefix("k", prev_kv=True)).deleted == 2
            assert not await client.get_all()

    run(main())


def test_a_transaction_gives_typed_results(worker: FakeWorker, run: Run) -> None:
    async def main() -> None:
        async with await aio.connect(worker.endpoint) as client:
            result = await client.transaction(
                compare=[oarlock.version("k") == 0],
                success=[oarlock.ops.put("k", "v"), oarlock.ops.get("k"), oarlock.ops.delete("k")],
            )
            assert result
            put, got, deleted = result.responses
            assert isinstance(put, oarlock.PutResult)
            assert isinstance(got, oarlock.RangeResult)
            assert isinstance(deleted, oarlock.DeleteResult)
            assert got[0].value == b"v"
            assert deleted.deleted == 1

    run(main())


def test_what_is_issued_together_travels_together(worker: FakeWorker, run: Run) -> None:
    async def main() -> None:
        async with await aio.connect(worker.endpoint) as client:
            await asyncio.gather(*(client.put(f"k{number}", "v") for number in range(100)))
            assert sorted(len(message[4]) for message in worker.messages) == [1, 100]  # the greeting, and these

    run(main())


def test_a_server_error_arrives_as_its_class(worker: FakeWorker, run: Run) -> None:
    async def main() -> None:
        async with await aio.connect(worker.endpoint) as client:
            with pytest.raises(oarlock.EmptyKeyError):
                await client.get("")
            with pytest.raises(oarlock.LeaseNotFoundError):
                await client.put("k", "v", lease=5)

    run(main())


def test_requests_survive_a_restart_and_writes_are_applied_once(worker: FakeWorker, run: Run) -> None:
    async def main() -> None:
        lost: set[int] = set()

        def lose_the_first_reply(request: list[Any]) -> bool | None:
            if request[1] == Op.PUT and request[0] not in lost:
                lost.add(request[0])
                return True
            return None

        async with await aio.connect(worker.endpoint) as client:
            worker.on_request = lose_the_first_reply
            writes = [client.put(f"k{number}", "v") for number in range(10)]
            await until(lambda: len(worker.store.applied) == 10)
            await asyncio.to_thread(worker.stop)
            late = client.put("late", "v")
            worker.on_request = lambda request: None
            worker.start()
            await asyncio.gather(*writes, late)
            assert worker.store.revision == 12  # eleven writes
            again = [message for message in worker.messages if message[2]]
            assert {request[0] for message in again for request in message[4]} == lost

    run(main())


def test_a_request_ends_at_its_deadline(worker: FakeWorker, run: Run) -> None:
    async def main() -> None:
        worker.on_request = lambda request: False
        async with await aio.connect(worker.endpoint, timeout_s=0.1) as client:
            with pytest.raises(oarlock.TimeoutError):
                await client.get("k")
            with pytest.raises(oarlock.OutcomeUnknownError):
                await client.put("k", "v")

    run(main())


def test_a_loop_that_was_held_up_hears_what_came_in_time(worker: FakeWorker, run: Run) -> None:
    arrived = Event()
    worker.on_request = lambda request: arrived.set()

    async def main() -> None:
        async with await aio.connect(worker.endpoint) as client:
            asked = client.get("k", timeout_s=0.5)
            await asyncio.sleep(0)  # it leaves at the end of the turn
            assert arrived.wait(TIMEOUT_S)
            time.sleep(1.0)  # holds the loop up, until well after the deadline and the coming of the answer
            assert await asked is None

    run(main())


def test_a_watch_leaves_a_learner_for_another_endpoint_and_ends_where_there_is_none(worker: FakeWorker) -> None:
    async def main(learner: FakeWorker) -> None:
        learner.watch_refusal = LearnerRefusesError()
        for _ in range(4):  # a client begins at either endpoint
            async with await aio.connect(learner.endpoint, worker.endpoint) as client:
                watch = await client.watch("k").wait_begun()
                await client.put("k", "v")
                assert await take(watch, 1) == [b"v"]
        async with await aio.connect(learner.endpoint) as client:
            with pytest.raises(LearnerRefusesError):
                await client.watch("k").wait_begun()

    with FakeWorker(worker.store) as learner:
        asyncio.run(main(learner))


def test_hundreds_of_watches_begin_and_begin_again(worker: FakeWorker) -> None:
    async def main() -> None:
        async with await aio.connect(worker.endpoint) as client:
            watches = await asyncio.gather(*(client.watch(f"k{number}").wait_begun() for number in range(300)))
            await asyncio.to_thread(worker.stop)
            worker.start()
            for number in range(300):
                client.put(f"k{number}", "v", timeout_s=TIMEOUT_S)
            for watch in watches:
                assert await take(watch, 1) == [b"v"]

    asyncio.run(asyncio.wait_for(main(), TIMEOUT_S))


def test_the_next_endpoint_is_used_when_one_is_gone(run: Run) -> None:
    async def main() -> None:
        with FakeWorker() as first, FakeWorker() as second:
            async with await aio.connect([first.endpoint, second.endpoint]) as client:
                used = {first.endpoint: first, second.endpoint: second}[client.endpoint]
                await asyncio.to_thread(used.stop)
                await client.put("k", "v")
                other = second if used is first else first
                assert other.store.keys
                assert client.endpoint == other.endpoint

    run(main())


def test_nobody_there(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(oarlock.ConnectionFailedError, match=r"127\.0\.0\.1:1"):
            await aio.connect("127.0.0.1:1", connect_timeout_s=0.1)

    run(main())


def test_close_ends_what_is_pending(worker: FakeWorker, run: Run) -> None:
    async def main() -> None:
        worker.on_request = lambda request: False
        client = await aio.connect(worker.endpoint)
        pending = client.get("k")
        watch = await client.watch("k")
        await client.close()
        await client.close()
        for work in (pending, watch.next_response()):
            with pytest.raises(oarlock.ClosedError):
                await work
        with pytest.raises(oarlock.ClosedError):
            client.get("k")
        with pytest.raises(oarlock.ClosedError):
            client.watch("k")

    run(main())


def test_a_cancelled_request_hurts_nobody(worker: FakeWorker, run: Run) -> None:
    async def main() -> None:
        async with await aio.connect(worker.endpoint) as client:
            first, second = client.get("a"), client.get("b")
            first.cancel()
            assert await second is None

    run(main())


def test_watching_from_now_from_the_past_and_from_the_future(worker: FakeWorker, run: Run) -> None:
    async def main() -> None:
        async with await aio.connect(worker.endpoint) as client:
            for value in values(0, 300):  # more than the worker's slice of history
                await client.put("k", value)
            async with (
                client.watch("k") as now,
                client.watch("k", start_revision=2) as past,
                client.watch_prefix("", start_revision=303) as future,
            ):
                assert now.revision == 301
                for value in values(300, 310):
                    await client.put("k", value)
                assert await take(now, 10) == values(300, 310)
                assert await take(past, 310) == values(0, 310)
                assert await take(future, 9) == values(301, 310)
                assert now.revision == past.revision == future.revision == 311

    run(main())


def test_a_watch_sees_deletions_filters_and_previous_values(worker: FakeWorker, run: Run) -> None:
    async def main() -> None:
        async with await aio.connect(worker.endpoint) as client:
            watch = await client.watch("k", prev_kv=True, no_put=True)
            await client.put("k", "v")
            await client.delete("k")
            event = await anext(aiter(watch))
            assert event.is_delete
            assert (event.key, event.mod_revision, event.prev_kv) == (b"k", 3, (b"k", b"v", 2, 2, 1, 0))

    run(main())


def test_all_events_of_a_revision_come_together(worker: FakeWorker, run: Run) -> None:
    async def main() -> None:
        async with await aio.connect(worker.endpoint) as client, client.watch_prefix("k") as watch:
            await client.transaction(success=[oarlock.ops.put("k1", ""), oarlock.ops.put("k2", "")])
            response = await watch.next_response()
            assert response is not None
            assert [event.key for event in response.events] == [b"k1", b"k2"]
            assert response.header.revision == 2

    run(main())


def test_progress_comes_only_where_it_was_asked_for(worker: FakeWorker, run: Run) -> None:
    async def main() -> None:
        async with await aio.connect(worker.endpoint) as client:
            noisy, quiet = await client.watch("k", progress_notify=True), await client.watch("k")
            await client.put("other", "")
            response = await noisy.next_response()
            assert response is not None
            assert response.is_progress
            assert response.header.revision == 2
            await client.put("k", "v")
            assert (await take(quiet, 1), quiet.revision) == ([b"v"], 3)

    run(main())


def test_a_watch_survives_lost_repeated_and_reordered_messages(worker: FakeWorker, run: Run) -> None:
    held: list[bytes] = []
    published = 0

    def spoil(frame: bytes) -> list[bytes]:
        nonlocal published
        if unpack(frame[16:])[0] == 0:  # an answer
            return [frame]
        published += 1
        if published % 5 == 1:
            return []
        if published % 5 == 2:
            held.append(frame)
            return []
        out = [frame, frame] if published % 5 == 3 else [frame, *held]
        if published % 5 == 4:
            held.clear()
        return out

    async def main() -> None:
        async with await aio.connect(worker.endpoint) as client, client.watch("k") as watch:
            worker.on_publish = spoil
            for value in values(0, 200):
                await client.put("k", value)
            worker.on_publish = lambda frame: [frame]
            await client.put("k", "end")
            assert await take(watch, 201) == [*values(0, 200), b"end"]

    run(main())


def test_a_watch_survives_restarts_without_gap_or_repetition(worker: FakeWorker, run: Run) -> None:
    async def main() -> None:
        async with await aio.connect(worker.endpoint) as client, client.watch("k") as watch:
            for start in range(0, 30, 10):
                for value in values(start, start + 5):
                    await client.put("k", value)
                await asyncio.to_thread(worker.stop)
                for value in values(start + 5, start + 10):
                    worker.store.apply(Op.PUT, [b"k", value])
                worker.start()
            assert await take(watch, 30) == values(0, 30)

    run(main())


def test_a_lost_answer_is_asked_for_again(worker: FakeWorker, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oarlock.aio_watches.ANSWER_TIMEOUT_S", 0.1)

    async def main() -> None:
        worker.on_publish = lambda frame: [] if worker.subscriptions == 1 else [frame]
        async with await aio.connect(worker.endpoint) as client, client.watch("k") as watch:
            await client.put("k", "v")
            assert await take(watch, 1) == [b"v"]
            assert worker.subscriptions == 2

    run(main())


def test_a_compacted_start_ends_the_watch_and_names_the_revision(worker: FakeWorker, run: Run) -> None:
    async def main() -> None:
        async with await aio.connect(worker.endpoint) as client:
            for value in values(0, 10):
                await client.put("k", value)
            await client.compact(8)
            watch = client.watch("k", start_revision=3)
            with pytest.raises(oarlock.CompactedError) as caught:
                await watch.next_response()
            assert caught.value.compact_revision == 8
            async with client.watch("k", start_revision=8) as watch:
                assert await take(watch, 4) == values(6, 10)

    run(main())


def test_a_refused_watch_raises_where_it_begins(worker: FakeWorker, run: Run) -> None:
    async def main() -> None:
        async with await aio.connect(worker.endpoint) as client:
            with pytest.raises(oarlock.WatcherRangeEmptyError):
                await client.watch("k", range_end="a")

    run(main())


def test_a_watch_that_cannot_begin_says_so_in_time(worker: FakeWorker, run: Run) -> None:
    async def main() -> None:
        worker.on_publish = lambda frame: []
        async with await aio.connect(worker.endpoint) as client:
            with pytest.raises(oarlock.ConnectionFailedError):
                await client.watch("k", timeout_s=0.1)

    run(main())


def test_a_slow_consumer_keeps_a_bounded_queue_and_misses_nothing(
    worker: FakeWorker, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oarlock.aio_watch.MAX_QUEUED_EVENTS", 10)
    monkeypatch.setattr("oarlock.watching.MAX_KEPT_EVENTS", 10)

    async def main() -> None:
        async with await aio.connect(worker.endpoint) as client, client.watch("k") as watch:
            for value in values(0, 500):
                await client.put("k", value)
            assert watch.queued <= 10
            assert await take(watch, 500) == values(0, 500)

    run(main())


def test_cancel_ends_iteration_and_subscription(worker: FakeWorker, run: Run) -> None:
    async def main() -> None:
        async with await aio.connect(worker.endpoint) as client:
            watch = await client.watch("k")
            waiting = asyncio.ensure_future(watch.next_response())
            await asyncio.sleep(0)
            watch.cancel()
            assert await waiting is None
            assert [event async for event in watch] == []

    run(main())


def test_callbacks_get_responses_and_the_error(worker: FakeWorker, run: Run) -> None:
    async def main() -> None:
        async with await aio.connect(worker.endpoint) as client:
            got: list[oarlock.WatchResponse] = []
            client.add_watch_callback("k", got.append, start_revision=2)
            await client.put("k", "v")
            await until(lambda: bool(got))
            assert got[0].events[0].value == b"v"
            await client.put("k", "w")
            await client.compact(3)
            failed: list[oarlock.WatchResponse] = []
            errors: list[oarlock.OarlockError] = []
            client.add_watch_callback("k", failed.append, start_revision=2)
            client.add_watch_callback("k", failed.append, on_error=errors.append, start_revision=2)
            await until(lambda: bool(failed and errors))
            assert failed[0].compact_revision == 3
            assert isinstance(errors[0], oarlock.CompactedError)
            assert len(failed) == 1

    run(main())


def test_the_watch_channel_alone_may_break(worker: FakeWorker, run: Run) -> None:
    async def main() -> None:
        async with await aio.connect(worker.endpoint) as client, client.watch("k") as watch:
            await client.put("k", "0")
            spoiled = 0

            def spoil(frame: bytes) -> list[bytes]:
                nonlocal spoiled
                spoiled += 1
                return [frame[:16] + b"\xc1"] if spoiled == 1 else [frame]

            worker.on_publish = spoil
            await client.put("k", "1")
            await client.put("k", "2")
            assert await take(watch, 3) == values(0, 3)

    run(main())


def test_a_lease_keeps_itself_alive_until_it_is_gone(worker: FakeWorker, run: Run) -> None:
    async def main() -> None:
        async with await aio.connect(worker.endpoint) as client:
            lease = await client.lease(1, keep_alive=True)
            kept = lambda: sum(request[1] == Op.LEASE_KEEPALIVE for m in worker.messages for request in m[4])  # noqa: E731
            await until(lambda: kept() >= 2)
            assert not lease.lost
            assert (await lease.time_to_live()).ttl_s == 1
            lost: list[aio.Lease] = []
            lease.on_lost(lost.append)
            worker.store.leases.clear()
            await lease.wait_lost()
            assert lost == [lease]
            with pytest.raises(oarlock.LeaseNotFoundError):
                await lease.refresh()

    run(main())


def test_a_lease_is_lost_when_nobody_answers_within_its_time(worker: FakeWorker, run: Run) -> None:
    async def main() -> None:
        async with await aio.connect(worker.endpoint) as client:
            lease = await client.lease(1, keep_alive=True)
            worker.on_request = lambda request: False
            await lease.wait_lost()
            assert lease.lost

    run(main())


def test_a_lease_is_revoked_at_the_end_of_its_block(worker: FakeWorker, run: Run) -> None:
    async def main() -> None:
        async with await aio.connect(worker.endpoint) as client:
            async with await client.lease(10, lease_id=7) as lease:
                await client.put("k", "v", lease=lease)
                assert (await client.lease_time_to_live(7, keys=True)).keys == [b"k"]
                assert await client.leases() == [7]
            assert worker.store.leases == {}
            assert (await client.refresh_lease(7)).ttl_s == 0
            assert (await client.lease_time_to_live(7)).ttl_s == -1

    run(main())


def test_maintenance(worker: FakeWorker, run: Run) -> None:
    async def main() -> None:
        async with await aio.connect(worker.endpoint) as client:
            status = await client.status()
            assert (status.version, status.member_id) == ("0.1.0", 0xA1)
            assert (await client.status(worker.endpoint)).member_id == 0xA1
            assert (await client.hash_kv()).hash == 77
            assert await client.alarms() == [(0xA1, oarlock.Alarm.NOSPACE)]
            await client.defragment()

    run(main())


def test_raw_requests_give_raw_results(worker: FakeWorker, run: Run) -> None:
    async def main() -> None:
        async with await aio.connect(worker.endpoint) as client:
            await client.submit(Op.PUT, b"k", b"v")
            assert await client.submit(Op.RANGE, b"k") == [[[b"k", b"v", 2, 2, 1, 0]], False, 1]

    run(main())

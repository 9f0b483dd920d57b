"""A client survives a server that sends anything: no hang, no foreign exception, a clear error or a new connection."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oarlock import aio
from oarlock.session import Session
from oarlock.settings import Settings
from oarlock.wire.errors import OarlockError, ProtocolError
from oarlock.wire.frames import TOKEN_BYTES, pack, unpack
from oarlock.wire.operations import Op
from tests.client.fake_worker import FakeWorker
from tests.model.strategies import msgpack_values

HELLO = {"protocol": 1, "cluster_id": 7, "member_id": 8, "incarnation": 9, "watch_endpoint": "tcp://*:1"}
replies = st.one_of(
    msgpack_values,
    st.tuples(st.integers(0, 4), msgpack_values, msgpack_values).map(list),
    st.tuples(st.integers(0, 4), st.integers(-17, 9), msgpack_values, msgpack_values).map(list),
    st.tuples(st.integers(0, 4), st.integers(-17, -1), st.text(max_size=9), st.integers(-9, 9)).map(list),
)
messages = st.one_of(
    st.binary(max_size=40),
    msgpack_values.map(pack),
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.lists(replies, max_size=4)).map(pack),
)


def greeted(greeting: Any = HELLO) -> Session:
    """A session whose greeting was answered with this."""
    session = Session(Settings(("a:1",), 5.0, 2.0, "test"), 42, lambda: 0.0)
    session.opened(0.0)
    session.connected(0.0)
    (hello,), _ = session.outgoing(0.0)
    session.receive(pack([1, 0, [[unpack(hello)[4][0][0], 1, greeting]]]), 0.0)
    return session


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.lists(messages, min_size=1, max_size=5))
def test_every_request_ends_whatever_the_server_sends(frames: list[bytes]) -> None:
    session = greeted()
    for waiter in ("read", "write"):
        session.request(int(Op.RANGE if waiter == "read" else Op.PUT), (b"k",), None, waiter, 5.0)
    session.outgoing(0.0)
    ended = [completion for frame in frames for completion in session.receive(frame, 1.0)]
    ended += session.tick(6.0)
    assert sorted(completion.waiter for completion in ended) == ["read", "write"]
    assert all(completion.error is None or isinstance(completion.error, OarlockError) for completion in ended)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    st.one_of(
        msgpack_values,
        st.tuples(st.sampled_from(sorted(HELLO)), msgpack_values).map(lambda change: {**HELLO, change[0]: change[1]}),
    )
)
def test_any_greeting_is_taken_or_costs_the_connection(greeting: Any) -> None:
    session = greeted(greeting)
    assert session.greeting is not None or session.link.problem


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_a_protocol_error(frame: bytes) -> None:
    try:
        value = unpack(frame)
    except ProtocolError:
        return
    assert unpack(pack(value)) == value or value != value  # not a number is not itself


def test_a_watch_survives_malformed_messages_and_goes_on() -> None:
    random = Random(5)
    spoiled = 0

    def spoil(frame: bytes) -> list[bytes]:
        nonlocal spoiled
        if spoiled >= 40 or random.random() < 0.5:
            return [frame]
        spoiled += 1
        topic, body = frame[:TOKEN_BYTES], frame[TOKEN_BYTES:]
        junk = random.choice(
            [b"", b"\xc1", pack(7), pack(["x", "y", "z"]), pack([0, 1, [7]]), pack([0, 99, [[0, [], 0]]])]
        )
        return [topic + random.choice([junk, body[: random.randrange(len(body))]])]

    async def watch(worker: FakeWorker) -> list[bytes]:
        loop = asyncio.get_running_loop()
        stumbles: list[Any] = []
        loop.set_exception_handler(lambda _, about: stumbles.append(about))
        async with await aio.connect(worker.endpoint, timeout_s=20.0) as client:
            watching = client.watch("k", start_revision=2)
            await watching
            for number in range(60):
                await client.put("k", str(number))
            values = []
            async for event in watching:
                values.append(event.value)
                if len(values) == 60:
                    break
            watching.cancel()
        assert not stumbles
        return values

    with FakeWorker() as worker:
        worker.on_publish = spoil
        assert asyncio.run(watch(worker)) == [b"%d" % number for number in range(60)]
    assert spoiled > 5


@pytest.mark.parametrize("history", [7, [], [7, 8], [[7], 9], [[[0, [], None]], 9], [[[5, [b""] * 6, None]], 9]])
def test_a_malformed_history_ends_the_watch_with_a_clear_error(history: Any) -> None:
    async def watch(worker: FakeWorker) -> None:
        async with await aio.connect(worker.endpoint, timeout_s=20.0) as client:
            await client.put("k", "1")
            await client.put("k", "2")
            watching = client.watch("k", start_revision=2)
            with pytest.raises(OarlockError, match="not of the protocol"):
                async for _ in watching:
                    pass

    with FakeWorker() as worker:
        execute = worker.store.execute

        def malformed(client_id: int, request: list[Any]) -> Any:
            return (3, history) if request[1] == Op.WATCH_HISTORY else execute(client_id, request)

        worker.store.execute = malformed  # type: ignore[method-assign]
        asyncio.run(watch(worker))

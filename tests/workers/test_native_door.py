"""The native door: who is let in, who is held up, and who is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import pytest
import uvloop

from oarlock.wire.frames import pack, unpack
from oarlock.wire.zmtp import ZmtpEnd, encode_message
from oarlock.workers.native_door import Message, NativeDoor
from oarlock.workers.native_peer import MAX_UNSENT_BYTES, REQUEST_QUEUE_MESSAGES
from tests.server import ReservedPort

TIMEOUT_S = 30
REQUEST = [[1, 2, b"k"]]


def run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(work, TIMEOUT_S))


class Door:
    """A door, and what came through it; ``taking`` says whether anybody takes it."""

    def __init__(self, **limits: Any) -> None:
        self._reserved = ReservedPort()
        self.port = self._reserved.number
        self.door = NativeDoor([f"tcp://127.0.0.1:{self.port}"], 1 << 20, **limits)
        self.taking = True
        self.taken: list[Message] = []

    def take(self) -> None:
        while self.taking and (message := self.door.receive()) is not None:
            self.taken.append(message)
        self.door.flush(1, 1)

    async def __aenter__(self) -> Door:
        loop = asyncio.get_running_loop()
        await self.door.start(lambda: loop.call_soon(self.take))
        return self

    async def __aexit__(self, *problem: object) -> None:
        self.door.close()
        self._reserved.release()
        await asyncio.sleep(0)

    async def client(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        while not client.end.is_ready:
            client.say()
            client.messages += client.end.receive(await client.reader.read(1 << 16))
        client.say()
        return client


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.end = ZmtpEnd("DEALER", frozenset({"ROUTER"}), 1 << 30)
        self.messages: list[bytes] = []

    def say(self) -> None:
        data, self.end.to_send = self.end.to_send, b""
        self.writer.write(data)

    def ask(self, requests: list[Any] | None = None) -> None:
        self.writer.write(encode_message(pack([1, 1, 0, 1000, requests or REQUEST])))

    async def answer(self) -> list[Any]:
        while not self.messages:
            data = await self.reader.read(1 << 20)
            assert data, "the door closed the connection"
            self.messages += self.end.receive(data)
        answer: list[Any] = unpack(self.messages.pop(0))
        return answer


async def until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def test_requests_are_taken_and_answered_in_one_frame() -> None:
    async def main() -> None:
        async with Door() as door:
            client = await door.client()
            client.ask()
            await until(lambda: door.taken)
            (message,) = door.taken
            assert (message.client_id, message.floor, message.since, message.timeout_ms) == (1, 1, 0, 1000)
            assert message.requests == REQUEST
            message.connection.answer([1, 5, None])
            message.connection.answer([2, 5, None])
            door.door.flush(3, 7)
            assert await client.answer() == [3, 7, [[1, 5, None], [2, 5, None]]]

    run(main())


def test_what_is_no_message_is_told_so() -> None:
    async def main() -> None:
        async with Door() as door:
            client = await door.client()
            client.writer.write(encode_message(b"\xc1"))
            (_, _, ((sequence, code, *_),)) = await client.answer()
            assert sequence == 0
            assert code < 0
            assert not door.taken

    run(main())


def test_a_client_whose_messages_nobody_takes_is_held_up_and_goes_on() -> None:
    async def main() -> None:
        async with Door() as door:
            door.taking = False
            client = await door.client()
            many = REQUEST_QUEUE_MESSAGES * 6  # 38 MB: more than the queue and the kernel hold
            large = [[1, 2, b"k" * 100_000]]
            for _ in range(many):
                client.ask(large)
            await until(lambda: any(each.waiting >= REQUEST_QUEUE_MESSAGES for each in door.door._connections))
            await asyncio.sleep(0.1)
            (connection,) = door.door._connections
            assert connection.waiting < 2 * REQUEST_QUEUE_MESSAGES
            door.taking = True
            while len(door.taken) < many:
                door.take()
                await asyncio.sleep(0)

    run(main())


def test_a_client_that_does_not_read_is_refused_long_results_and_then_loses_answers() -> None:
    async def main() -> None:
        async with Door() as door:
            client = await door.client()
            client.ask()
            await until(lambda: door.taken)
            connection = door.taken[0].connection
            block = b"v" * (1 << 20)
            for sequence in range(200):
                connection.answer_long([sequence, 1, block], len(block))
                door.door.flush(1, 1)
            (peer,) = door.door._connections
            assert MAX_UNSENT_BYTES < peer.unsent_bytes <= MAX_UNSENT_BYTES + (3 << 20)
            assert door.door.unsent_bytes == peer.unsent_bytes
            answered = {}
            while len(answered) < 200:
                for item in (await client.answer())[2]:
                    answered[item[0]] = item[1] > 0
            assert MAX_UNSENT_BYTES >> 20 <= sum(answered.values()) < 200
            await until(lambda: door.door.unsent_bytes == 0)

    run(main())


def test_connections_are_bounded_and_those_that_end_make_room() -> None:
    async def main() -> None:
        async with Door(max_connections=1) as door:
            first = await door.client()
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
            with pytest.raises((EOFError, ConnectionError)):
                await reader.readexactly(1)
            writer.close()
            first.writer.close()
            await until(lambda: not door.door._connections)
            await door.client()

    run(main())


def test_whoever_does_not_greet_is_cut_off() -> None:
    async def main() -> None:
        async with Door(handshake_timeout_s=0.05) as door:
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
            await until(lambda: door.door._connections)
            with suppress(ConnectionError):
                await reader.read()
            await until(lambda: not door.door._connections)
            writer.close()

    run(main())


def test_an_answer_for_who_is_gone_is_dropped() -> None:
    async def main() -> None:
        async with Door() as door:
            client = await door.client()
            client.ask()
            await until(lambda: door.taken)
            client.writer.close()
            await until(lambda: not door.door._connections)
            door.taken[0].connection.answer([1, 1, None])
            door.door.flush(1, 1)
            assert not door.door.dirty
            assert door.door.unsent_bytes == 0

    run(main())


def test_a_door_that_drains_takes_nothing_more() -> None:
    async def main() -> None:
        async with Door() as door:
            client = await door.client()
            client.ask()
            await until(lambda: door.taken)
            door.door.drain()
            client.ask()
            with pytest.raises(ConnectionError):
                await asyncio.open_connection("127.0.0.1", door.port)
            door.taken[0].connection.answer([1, 1, None])
            door.door.flush(1, 1)
            assert (await client.answer())[2] == [[1, 1, None]]
            assert len(door.taken) == 1

    run(main())

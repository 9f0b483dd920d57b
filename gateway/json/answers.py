"""Answers of a service as JSON text on their way to the client."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from google.protobuf.message import Message

from oarlock.gateway.grpc.status import OK
from oarlock.gateway.json.encoding import PIECE_BYTES, encode, pieces
from oarlock.gateway.json.errors import error_body, error_line, http_status
from oarlock.gateway.json.exchange import JsonExchange

WRITE_BYTES: Final = 65_536
"""Text is collected up to this length before it is written: few system calls, little memory, and others get their
turn in between."""


class Sink(Protocol):
    """Where an answer goes. Each call waits while the client does not read.

    Each raises ConnectionError if the client is gone, and TimeoutError if it has not read for too long.
    """

    async def whole(self, status: int, body: bytes) -> None:
        """A short answer, all of it; an error unless the HTTP status is 200."""

    async def begin(self) -> None:
        """A long one, which is no error, begins."""

    async def write(self, data: bytes) -> None:
        """More of it."""

    async def end(self) -> None:
        """Its end."""


async def reply(exchange: JsonExchange, kind: type[Message], sink: Sink) -> None:
    """Writes the answer of a call that has one."""
    await exchange.wait()
    message = exchange.take()
    if message is None:
        status = exchange.status or OK
        await sink.whole(http_status(status.code), b"{}" if status is OK else error_body(status))
        return
    exchange.written(len(message))
    answer = kind.FromString(message)
    if len(message) <= PIECE_BYTES:
        await sink.whole(200, encode(answer).encode())
        return
    await sink.begin()
    text = _Text(sink)
    await text.add_message(answer)
    await text.flush()
    await sink.end()


async def stream(exchange: JsonExchange, kind: type[Message], sink: Sink) -> None:
    """Writes the answers of a call that has many, a line each, until it ends."""
    text = _Text(sink)
    begun = False
    while True:
        await exchange.wait()
        message = exchange.take()
        if message is None:
            break
        if not begun:
            begun = True
            await sink.begin()
        while message is not None:
            await text.add('{"result":')
            await text.add_message(kind.FromString(message))
            await text.add("}\n")
            exchange.written(len(message))
            message = exchange.take()
        await text.flush()
    status = exchange.status or OK
    if not begun and status is not OK:
        await sink.whole(http_status(status.code), error_line(status))
        return
    if not begun:
        await sink.begin()
    if status is not OK:
        await sink.write(error_line(status))
    await sink.end()


class _Text:
    """Collects text, and writes it when it is long enough to be worth it."""

    __slots__ = ("_length", "_parts", "_sink")

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._parts: list[str] = []
        self._length = 0

    async def add(self, part: str) -> None:
        self._parts.append(part)
        self._length += len(part)
        if self._length >= WRITE_BYTES:
            await self.flush()
            await asyncio.sleep(0)

    async def add_message(self, message: Message) -> None:
        for piece in pieces(message):
            await self.add(piece)

    async def flush(self) -> None:
        if self._parts:
            data = "".join(self._parts).encode()
            self._parts.clear()
            self._length = 0
            await self._sink.write(data)

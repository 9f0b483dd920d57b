"""The messages in a body: the first one that a call waits for, and those of a stream of requests."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from google.protobuf.message import Message

from oarlock.gateway.admission import guarded
from oarlock.gateway.grpc.status import Status
from oarlock.gateway.json.decoding import decode
from oarlock.gateway.json.exchange import JsonExchange
from oarlock.gateway.json.faults import BodyError
from oarlock.gateway.json.values import ValueSplitter, ValueTooLongError
from oarlock.wire.errors import Code, OverloadedError

BODY_TIMEOUT_S: Final = 60.0
"""For a message to arrive where the call waits for it: several megabytes on a slow line."""
PAUSE_BYTES: Final = 1 << 20
"""With more answers than this waiting, a stream of requests has to wait, too."""
PAUSE_S: Final = 0.05
"""Between looks at whether they have left: a client that does not read notices nothing."""
MESSAGES_A_TURN: Final = 64
"""Taken from a stream of requests before others get their turn: about a millisecond."""

MAX_UNFINISHED_BYTES: Final = 256 << 20
"""Of all messages that are arriving at a worker: sixty of the longest, and thousands of ordinary ones."""

Source = AsyncIterator[bytes]
"""A body as it arrives. Ends, or raises ConnectionError, with the connection."""


class RefusedError(Exception):
    """A body is refused; never leaves the package: the call ends with ``status``."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.message)
        self.status = status


class Arrivals:
    """What is held of bodies whose messages are not complete, of all connections together."""

    __slots__ = ("held_bytes",)

    def __init__(self) -> None:
        self.held_bytes = 0


class Body:
    """Serialized messages from a body of JSON.

    Invariant: what it holds is counted in ``arrivals``, until it is closed.

    Args:
        arrivals: where it is counted.
        source: the body.
        kind: the type of the messages.
        max_bytes: of a serialized message. Its JSON may be twice as long: base64 adds a third, names the rest.
    """

    def __init__(self, arrivals: Arrivals, source: Source, kind: type[Message], max_bytes: int) -> None:
        self._arrivals = arrivals
        self._held_bytes = 0
        self._source = source
        self._kind = kind
        self._max_bytes = max_bytes
        self._splitter = ValueSplitter(2 * max_bytes)
        self._values: deque[bytes] = deque()
        self._is_complete = False

    async def first(self) -> bytes | None:
        """The message that a call begins with, None if the body is empty.

        Raises:
            RefusedError: it is none, is too long, or does not arrive.
            ConnectionError: the client is gone.
        """
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                value = await self._next()
        except TimeoutError:
            text = f"oarlock: the body did not arrive within {BODY_TIMEOUT_S:g} s"
            raise RefusedError(Status(Code.CANCELED, text)) from None
        return None if value is None else self._message(value)

    async def feed(self, exchange: JsonExchange) -> None:
        """Gives the rest of a stream to a service. What is no message ends it, as in etcd: answers still come.

        Raises:
            RefusedError: a message is too long.
            ConnectionError: the client is gone.
        """
        taken = 0
        while (value := await self._next()) is not None and not exchange.is_over:
            try:
                message = self._message(value)
            except RefusedError as refused:
                if refused.status.code is Code.RESOURCE_EXHAUSTED:
                    raise
                break
            exchange.received(message)
            if exchange.on_message is not None:
                guarded(exchange, exchange.on_message, message)
            taken += 1
            if taken % MESSAGES_A_TURN == 0:
                await asyncio.sleep(0)
            while exchange.queued_bytes > PAUSE_BYTES:
                await asyncio.sleep(PAUSE_S)
        if exchange.on_requests_ended is not None and not exchange.is_over:
            guarded(exchange, exchange.on_requests_ended)

    async def _next(self) -> bytes | None:
        """The next JSON value, None at the end."""
        while not self._values:
            if self._is_complete:
                return None
            try:
                chunk = await anext(self._source, None)
                if chunk is None:
                    self._is_complete = True
                    rest = self._splitter.end()
                    return rest or None
                self._values.extend(self._splitter.feed(chunk))
                self._hold(self._splitter.kept_bytes)
            except ValueTooLongError:
                self._is_complete = True
                raise self._too_long(2 * self._max_bytes + 1, 2 * self._max_bytes) from None
        return self._values.popleft()

    def close(self) -> None:
        """Forgets what it holds."""
        self._arrivals.held_bytes -= self._held_bytes
        self._held_bytes = 0

    def _hold(self, size_bytes: int) -> None:
        self._arrivals.held_bytes += size_bytes - self._held_bytes
        self._held_bytes = size_bytes
        if self._arrivals.held_bytes > MAX_UNFINISHED_BYTES:
            self._is_complete = True
            raise RefusedError(Status.of(OverloadedError()))

    def _message(self, value: bytes) -> bytes:
        message = self._kind()
        try:
            decode(value.decode("utf-8", "replace"), message)
        except BodyError as error:
            raise RefusedError(Status(Code.INVALID_ARGUMENT, error.message)) from None
        serialized = message.SerializeToString()
        if len(serialized) > self._max_bytes:
            raise self._too_long(len(serialized), self._max_bytes)
        return serialized

    @staticmethod
    def _too_long(size_bytes: int, max_bytes: int) -> RefusedError:
        text = f"grpc: received message larger than max ({size_bytes} vs. {max_bytes})"
        return RefusedError(Status(Code.RESOURCE_EXHAUSTED, text))

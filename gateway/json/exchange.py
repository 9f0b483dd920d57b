"""One call of the JSON API as a service sees it: what it sends waits here until its carrier writes it out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from oarlock.gateway.admission import guarded
from oarlock.gateway.grpc.status import OK, Status
from oarlock.gateway.json.counting import CallCounts
from oarlock.gateway.service import Exchange
from oarlock.wire.errors import Code

MAX_QUEUED_BYTES: Final = 16 << 20
"""Of answers that nobody reads, as on a gRPC stream; services stop long before. One message always fits."""

Metadata = Callable[[str], str | bytes | None]


class JsonExchange(Exchange):
    """A queue of answers and the end of the call, between a service and the coroutine that writes.

    Invariants: ``queued_bytes`` is the sum over what was sent and not yet reported by `written`; nothing is queued
    after the end, whoever ended it.

    Args:
        metadata: gives a value by its name.
        counts: of the method.
    """

    __slots__ = ("_answers", "_metadata", "_queued_bytes", "_status", "_waiter", "counts")

    def __init__(self, metadata: Metadata, counts: CallCounts) -> None:
        super().__init__()
        self.counts = counts
        counts.started += 1
        self._metadata = metadata
        self._answers: deque[bytes] = deque()
        self._queued_bytes = 0
        self._status: Status | None = None
        self._waiter: asyncio.Future[None] | None = None

    # The service's side

    def metadata(self, name: str) -> str | bytes | None:
        return self._metadata(name)

    @property
    def is_over(self) -> bool:
        return self._status is not None

    @property
    def queued_bytes(self) -> int:
        return self._queued_bytes

    def reply(self, message: bytes) -> None:
        if self._status is None:
            self.counts.replied += 1
            self._queue(message)
            self._status = OK

    def send(self, message: bytes) -> None:
        if self._status is not None:
            return
        if self._answers and self._queued_bytes + len(message) > MAX_QUEUED_BYTES:
            self.break_off(Status(Code.RESOURCE_EXHAUSTED, "oarlock: answers are not read"))
            return
        self.counts.sent += 1
        self._queue(message)

    def finish(self, status: Status = OK) -> None:
        if self._status is None:
            self._status = status
            self.counts.end(status.code)
            self._wake()

    # The carrier's side

    @property
    def status(self) -> Status | None:
        """How the call ended, None while it goes on. There may be answers left from before the end."""
        return self._status

    def received(self, message: bytes) -> None:
        """Counts a message of the client."""
        self.counts.received += 1
        self.counts.received_bytes += len(message)

    def break_off(self, status: Status) -> None:
        """Ends the call from the client's side, or because of time or limits; tells the service."""
        if self._status is None:
            self.finish(status)
            if self.on_ended is not None:
                guarded(self, self.on_ended, status)

    async def wait(self) -> None:
        """Returns once there is an answer to write, or the end. One coroutine at a time waits."""
        if self._answers or self._status is not None:
            return
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def take(self) -> bytes | None:
        """The next answer to write, None if there is none now."""
        return self._answers.popleft() if self._answers else None

    def written(self, message_bytes: int) -> None:
        """What `take` gave has been written, that many bytes of it."""
        self._queued_bytes -= message_bytes
        if not self._queued_bytes and self._status is None and self.on_drained is not None:
            guarded(self, self.on_drained)

    def _queue(self, message: bytes) -> None:
        self._answers.append(message)
        self._queued_bytes += len(message)
        self.counts.sent_bytes += len(message)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

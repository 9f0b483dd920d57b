"""A watch as a user holds it: an iterator, or a callback; what it has not passed on yet waits in a bounded queue."""

from __future__ import annotations

import asyncio
from asyncio import Future, Task
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator
from inspect import isawaitable
from types import TracebackType
from typing import Any, Final, Protocol

from oarlock.results import Event, Header, WatchResponse, event
from oarlock.watching import Deliver, Effect, End, Pull, State, Watcher, WireEvents
from oarlock.wire.errors import ClosedError, OarlockError

MAX_QUEUED_EVENTS: Final = 16_384
"""Events that wait for the consumer; beyond that the watch stops taking live ones, and pulls them later."""


class WatchRequest:
    """What a watch asks of the server, in wire form."""

    __slots__ = ("flags", "key", "range_end")

    def __init__(self, key: bytes, range_end: bytes, flags: int) -> None:
        self.key = key
        self.range_end = range_end
        self.flags = flags


class Hub(Protocol):
    """What a watch needs of the one who joins it to the server (aio_watches.Watches)."""

    def pull(self, watch: Watch, pull: Pull) -> None: ...

    def ended(self, watch: Watch) -> None: ...

    def header(self, revision: int) -> Header: ...


class Watch:
    """Events of a range of keys, in order, each once, until ``cancel``; made by ``Client.watch``.

    ``async for event in watch`` gives single events, ``async for response in watch.responses()`` whole revisions, with
    progress where it was asked for. It goes on by itself through lost connections and restarts of the server.

    Invariants:
    1. ``_waiter`` is there only while the queue is empty and the watch has not ended.
    2. ``revision`` is what has been passed on; the state machine's is that plus what is queued.
    """

    def __init__(self, hub: Hub, request: WatchRequest, start_revision: int, progress_notify: bool) -> None:
        self.request: Final = request
        self.watcher: Final = Watcher(start_revision)
        self.revision = max(start_revision - 1, 0)
        self._hub: Final = hub
        self._progress_notify: Final = progress_notify
        self._queue: Final[deque[tuple[int, WireEvents]]] = deque()
        self._queued_events = 0
        self._joined: Final[Future[None]] = asyncio.get_running_loop().create_future()
        self._waiter: Future[None] | None = None
        self._error: OarlockError | None = None
        self._cancelled = False
        self._callback_task: Task[None] | None = None

    # ---- for its owner

    def __await__(self) -> Generator[Any, None, Watch]:
        return self.wait_begun().__await__()

    async def wait_begun(self) -> Watch:
        """Waits until the server watches; what happens afterwards is delivered. The client's time-out bounds it.

        Raises:
            CompactedError: the start revision has been compacted. (Other RequestErrors: as the server says.)
            ConnectionFailedError: it did not begin in time.
        """
        await asyncio.shield(self._joined)
        return self

    async def __aenter__(self) -> Watch:
        return await self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    async def __aiter__(self) -> AsyncIterator[Event]:
        async for response in self.responses():
            for each in response.events:
                yield each

    async def responses(self) -> AsyncIterator[WatchResponse]:
        """Whole revisions at a time.

        Raises:
            CompactedError: what comes next has been compacted; ``compact_revision`` can still be watched from.
            ClosedError: the client was closed.
        """
        while (response := await self.next_response()) is not None:
            yield response

    async def next_response(self) -> WatchResponse | None:
        """The next response, or None after ``cancel``. Raises as ``responses``."""
        while True:
            while self._queue and not self._cancelled:
                response = self.take()
                if response is not None:
                    return response
            if self._cancelled:
                return None
            if self._error is not None:
                raise self._error
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def take(self) -> WatchResponse | None:
        """The next response of a queue that is not empty; None where it was progress that nobody asked for."""
        revision, wires = self._queue.popleft()
        self._queued_events -= len(wires)
        self.revision = max(self.revision, revision)
        if self._queued_events <= MAX_QUEUED_EVENTS // 2:
            self.apply(self.watcher.set_full(False))
        if not wires and not self._progress_notify:
            return None
        return WatchResponse(self._hub.header(revision), [event(wire) for wire in wires])

    @property
    def queued(self) -> int:
        """Responses that can be taken without waiting."""
        return len(self._queue)

    def deliver_to(
        self, callback: Callable[[WatchResponse], object], on_error: Callable[[OarlockError], object] | None
    ) -> None:
        """Calls ``callback`` for each response (and awaits what it returns, if that can be awaited)."""
        self._callback_task = asyncio.get_running_loop().create_task(self._deliver_all(callback, on_error))

    async def _deliver_all(
        self, callback: Callable[[WatchResponse], object], on_error: Callable[[OarlockError], object] | None
    ) -> None:
        try:
            async for response in self.responses():
                returned = callback(response)
                if isawaitable(returned):
                    await returned
        except ClosedError:
            pass
        except OarlockError as error:
            if on_error is not None:
                on_error(error)
            else:
                callback(WatchResponse(self._hub.header(self.revision), [], error))
        finally:
            self.cancel()

    def cancel(self) -> None:
        """Ends the watch: iterators stop, callbacks are not called any more. May be repeated."""
        if self._cancelled:
            return
        self._cancelled = True
        task = self._callback_task
        if task is not None and task is not _current_task():
            task.cancel()
        self.fail(ClosedError())

    # ---- for the hub

    def fail(self, error: OarlockError) -> None:
        """Ends the watch with ``error``, after what is queued."""
        self.apply(self.watcher.fail(error))

    def apply(self, effects: list[Effect]) -> None:
        """Does what the state machine says."""
        for effect in effects:
            if isinstance(effect, Deliver):
                self._enqueue(effect.revision, effect.events)
            elif isinstance(effect, Pull):
                self._hub.pull(self, effect)
            else:
                self._end(effect)

    def joined(self) -> None:
        """The server has answered."""
        self.revision = max(self.revision, self.watcher.revision) if not self._joined.done() else self.revision
        if not self._joined.done():
            self._joined.set_result(None)

    def _enqueue(self, revision: int, events: WireEvents) -> None:
        if not events and self._queue and not self._queue[-1][1]:
            self._queue.pop()  # one progress says it all: they do not pile up
        self._queue.append((revision, events))
        self._queued_events += len(events)
        if self._queued_events >= MAX_QUEUED_EVENTS:
            self.watcher.set_full(True)
        self._wake()

    def _end(self, end: End) -> None:
        self._error = end.error
        if not self._joined.done():
            self._joined.set_exception(end.error)
            self._joined.exception()  # whoever awaits gets it; nobody must
        self._hub.ended(self)
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    @property
    def has_ended(self) -> bool:
        return self.watcher.state is State.ENDED


def _current_task() -> Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # not called from within a loop
        return None

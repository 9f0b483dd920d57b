"""The front doors of a worker, as one: the native door, the watch port, and etcd's door if there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from oarlock.wire.sockets import descriptor
from oarlock.workers.etcd_door import EtcdDoor
from oarlock.workers.native_door import Message, NativeDoor
from oarlock.workers.replica_keeper import ReplicaKeeper
from oarlock.workers.watch.port import WatchPort


class Doors:
    """Owns the front doors from ``open`` to ``wait_closed``. Before it is open, nothing is to be written, and is not.

    Attributes:
        is_open: whether clients have been let in; it stays so when they are not any more.
        raft_term: told to native clients with each answer.

    Args:
        loop: the event loop that runs them.
        keeper: owns the replica, whose revision new watchers are told.
        make: makes the native door, the watch port, and etcd's door or None.
        schedule_flush: called when subscriptions were taken: local watchers and answers may be waiting.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        keeper: ReplicaKeeper,
        make: Callable[[], tuple[NativeDoor, WatchPort, EtcdDoor | None]],
        schedule_flush: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._keeper = keeper
        self._make = make
        self._schedule_flush = schedule_flush
        self._native: NativeDoor | None = None
        self._watch_port: WatchPort | None = None
        self._etcd: EtcdDoor | None = None
        self._start: asyncio.Task[None] | None = None
        self.is_open = False
        self.raft_term = 0

    # Life

    def open(self, on_arrival: Callable[[], None], on_ready: Callable[[], None]) -> None:
        """Lets clients in.

        Args:
            on_arrival: called when ``receive`` has something to give and had nothing before; see ``NativeDoor.start``.
            on_ready: called once all doors accept connections.

        Raises:
            ConfigurationError: an address cannot be had; the message names it.
        """
        self._native, self._watch_port, self._etcd = self._make()
        self.is_open = True
        self._loop.add_reader(descriptor(self._watch_port.socket), self._take_subscriptions)
        self._loop.call_soon(self._take_subscriptions)
        self._start = self._loop.create_task(self._accept(self._native, self._etcd, on_arrival, on_ready))

    async def _accept(
        self,
        native: NativeDoor,
        etcd: EtcdDoor | None,
        on_arrival: Callable[[], None],
        on_ready: Callable[[], None],
    ) -> None:
        await native.start(on_arrival)
        if etcd is not None:
            await etcd.start()
        on_ready()

    def drain(self) -> None:
        """Takes no more requests; what is under way is still answered."""
        if self._native is not None:
            self._native.drain()
        if self._etcd is not None:
            self._etcd.drain()

    def close(self) -> None:
        """Closes them. What is written leaves first, as far as the loop goes on; ``wait_closed`` completes it."""
        if self._start is not None:
            self._start.cancel()
        if self._watch_port is not None:
            self._loop.remove_reader(descriptor(self._watch_port.socket))
        for door in (self._native, self._watch_port, self._etcd):
            if door is not None:
                door.close()
        self._watch_port = None  # the loop goes on until connections are closed, and has turns of ours to take

    async def wait_closed(self) -> None:
        """Waits until what ``close`` has ended is gone; the loop must not be closed before."""
        if self._etcd is not None:
            await self._etcd.wait_closed()

    # Native clients, and whoever has been answered

    def receive(self) -> Message | None:
        """The next message of a native client, None if there is none now."""
        assert self._native is not None
        return self._native.receive()

    def flush(self, position: int) -> None:
        """Writes what was answered since the last flush.

        Args:
            position: of the replica: told to native clients with the answers.
        """
        if self._native is not None:
            self._native.flush(self.raft_term, position)
            if self._etcd is not None:
                self._etcd.flush()

    def answer_everyone(self, item: Any) -> None:
        """Tells something to all native clients."""
        if self._native is not None:
            self._native.answer_everyone(item)

    # Watchers

    def publish(self, frames: list[bytes]) -> None:
        """Sends each frame to the watchers that are subscribed to its topic."""
        if self._watch_port is not None:
            self._watch_port.publish(frames)

    def look_for_subscriptions(self) -> None:
        """Takes those in another turn whose signal was swallowed by what has been sent; to be called in every turn."""
        if self._watch_port is not None and self._watch_port.has_more():
            self._loop.call_soon(self._take_subscriptions)

    def _take_subscriptions(self) -> None:
        if self._watch_port is None:
            return
        if self._watch_port.drain(self._keeper.meta.revision, is_learner=self._keeper.is_learner):
            self._loop.call_soon(self._take_subscriptions)
        self._schedule_flush()

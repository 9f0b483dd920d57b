"""A simulated connection between a client and a worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from .host import Channel
from .worker import SimWorker

TRIP_S: Final = 0.003
HEARTBEAT_TIMEOUT_S: Final = 4.0
"""The longest until a client notices that its connection is dead."""


class Client(Protocol):
    """The other end."""

    def on_frame(self, connection: Connection, frame: bytes) -> None:
        """A message came."""

    def on_push(self, connection: Connection, frame: bytes) -> None:
        """A watch message came."""

    def on_reset(self, connection: Connection) -> None:
        """The connection broke."""


class Connection:
    """A connection of a client to a worker. Requests and pushed events are two streams, each in order.

    Attributes:
        items: replies that leave at the end of the worker's turn.
        silent: nothing passes any more, and nobody is told.
    """

    def __init__(self, client: Client, worker: SimWorker) -> None:
        self.client = client
        self.worker = worker
        self.items: list[Any] = []
        self.open = True
        self.silent = False
        world = worker.world
        self._up, self._down, self._pushed = Channel(world), Channel(world), Channel(world)
        worker.connections[self] = None

    def _trip_s(self) -> float:
        return self.worker.world.rng.random() * TRIP_S

    def send(self, frame: bytes) -> None:
        """Sends a message to the worker."""
        self._carry(self._up, lambda: self.worker.take(lambda: self.worker.on_message(self, frame)))

    def subscribe(self, request: bytes) -> None:
        """Sends a watch request to the worker."""
        self._carry(self._up, lambda: self.worker.take(lambda: self.worker.subscribe(self, request)))

    def answer(self, item: Any) -> None:
        """Takes a reply of the worker."""
        self.items.append(item)

    takes_encoded_rows = False

    def answer_long(self, item: Any, size_bytes: int) -> None:
        """Takes one that may be long."""
        self.items.append(item)

    def reply(self, frame: bytes) -> None:
        """Sends a reply message to the client."""
        self._carry(self._down, lambda: self.client.on_frame(self, frame))

    def push(self, frame: bytes, *, lossy: bool = True) -> None:
        """Sends a watch message to the client; one that does not read fast enough loses some."""
        world = self.worker.world
        if world.calm or not lossy or world.rng.random() >= self.worker.host.cluster.profile.push_loss:
            self._carry(self._pushed, lambda: self.client.on_push(self, frame))

    def _carry(self, channel: Channel, action: Callable[[], None]) -> None:
        if self.open and not self.silent:
            channel.deliver(self._trip_s(), lambda: action() if self.open and not self.silent else None)

    def fall_silent(self) -> None:
        """Nothing passes any more; the client notices by the missing heartbeats."""
        self.silent = True
        world = self.worker.world
        world.after(world.rng.uniform(0.5, HEARTBEAT_TIMEOUT_S), lambda: self.client.on_reset(self))

    def reset(self) -> None:
        """The connection breaks, and both ends know."""
        if not self.silent:
            self._down.deliver(self._trip_s(), lambda: self.client.on_reset(self))
        self.close()

    def close(self) -> None:
        """The client closes it; also the end of a reset."""
        self.open = False
        if self.worker.alive:
            self.worker.left(self)
        else:
            self.worker.connections.pop(self, None)

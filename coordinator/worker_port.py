"""The coordinator's end of the connections to its workers: bytes to messages and back, nothing decided here."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from oarlock.wire.channel import Channel
from oarlock.wire.entries import Entry
from oarlock.wire.errors import ProtocolError
from oarlock.wire.frames import pack
from oarlock.wire.internal import Internal, coordinator_socket
from oarlock.wire.logs import get_logger

log = get_logger(__name__)

LISTEN_BACKLOG: Final = 64
"""Workers that connect at the same moment; there are no more workers than cores."""
MAX_BACKLOG_BYTES: Final = 32 * 1024 * 1024
"""What waits for a worker that does not read. Beyond it committed entries are not sent to it (it fetches them when it
is back), and beyond twice as much its connection is closed: a stuck worker must not fill our memory."""


class WorkerPort:
    """A listening unix socket and a channel for each worker.

    A worker is named by the number of its connection, as bytes: a worker that comes back is another one.

    Args:
        data_dir: whose run directory holds the socket.
        incarnation: the random id of this coordinator process, told to the workers.
    """

    def __init__(self, data_dir: Path, incarnation: int) -> None:
        self._incarnation = incarnation
        path = coordinator_socket(data_dir)
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.setblocking(False)
        self._listener.bind(str(path))
        self._listener.listen(LISTEN_BACKLOG)
        self._epoll = select.epoll()
        self._listening: Final = self._listener.fileno()
        self._epoll.register(self._listening, select.EPOLLIN)
        self._channels: dict[bytes, Channel] = {}
        self._names: dict[int, bytes] = {}
        self._connections = 0
        self._was_knocked = False

    @property
    def requests(self) -> int:
        """The descriptor that is readable when ``receive`` has something to do."""
        return self._epoll.fileno()

    def receive(self) -> list[tuple[bytes, list[Any]]]:
        """What has arrived, as (name of the worker, message), without waiting."""
        received: list[tuple[bytes, list[Any]]] = []
        for descriptor, events in self._epoll.poll(0):
            if descriptor == self._listening:
                self._accept()
                continue
            name = self._names[descriptor]
            channel = self._channels[name]
            try:
                if events & select.EPOLLOUT and channel.flush():
                    self._epoll.modify(descriptor, select.EPOLLIN)
                if events & ~select.EPOLLOUT:
                    for message in channel.receive():
                        received.append((name, message))
                    self._was_knocked |= channel.take_knock()
            except ProtocolError as problem:
                self._drop(name, problem)
        return received

    def send(self, worker: bytes, message: list[Any]) -> None:
        """Sends to one worker; a message to a worker that is gone is dropped, as it will ask again when it is back."""
        channel = self._channels.get(worker)
        if channel is not None:
            self._send(worker, channel, pack(message))

    def publish(
        self, term: int, leader: int, commit_index: int, entries: Sequence[Entry], but: bytes | None = None
    ) -> None:
        """Tells all workers, or all but one, of newly committed entries, or of none as a heartbeat."""
        told = [(worker, channel) for worker, channel in self._channels.items() if worker != but]
        self._publish(told, term, leader, commit_index, entries)

    def publish_to(self, worker: bytes, term: int, leader: int, commit_index: int, entries: Sequence[Entry]) -> None:
        """As ``publish``, one worker; nobody if it is gone."""
        channel = self._channels.get(worker)
        if channel is not None:
            self._publish([(worker, channel)], term, leader, commit_index, entries)

    def take_knock(self) -> bool:
        """Whether a worker has said, since the last time, that it is about to propose something."""
        was_knocked, self._was_knocked = self._was_knocked, False
        return was_knocked

    def close(self) -> None:
        """Closes everything; what waits is dropped."""
        for channel in self._channels.values():
            channel.close()
        self._listener.close()
        self._epoll.close()

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            stream, _ = self._listener.accept()
            self._connections += 1
            name = self._connections.to_bytes(8, "big")
            channel = self._channels[name] = Channel(stream)
            self._names[channel.fileno()] = name
            self._epoll.register(channel.fileno(), select.EPOLLIN)

    def _publish(
        self, told: list[tuple[bytes, Channel]], term: int, leader: int, commit_index: int, entries: Sequence[Entry]
    ) -> None:
        if not told:
            return
        body = pack((Internal.COMMITTED, self._incarnation, term, leader, commit_index, entries))
        for worker, channel in told:
            if channel.waiting_bytes < MAX_BACKLOG_BYTES:
                self._send(worker, channel, body)

    def _send(self, worker: bytes, channel: Channel, body: bytes) -> None:
        try:
            if not channel.send_packed(body):
                self._epoll.modify(channel.fileno(), select.EPOLLIN | select.EPOLLOUT)
                if channel.waiting_bytes > 2 * MAX_BACKLOG_BYTES:
                    self._drop(worker, ProtocolError("it does not read"))
        except ProtocolError as problem:
            self._drop(worker, problem)

    def _drop(self, worker: bytes, problem: ProtocolError) -> None:
        log.info("connection of a worker ends", problem=problem.message)
        channel = self._channels.pop(worker)
        del self._names[channel.fileno()]
        self._epoll.unregister(channel.fileno())
        channel.close()

"""A worker's connection to its coordinator: questions and proposals one way, answers and committed entries the
other."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from oarlock.wire.channel import Channel
from oarlock.wire.entries import Entry
from oarlock.wire.errors import ProtocolError
from oarlock.wire.internal import Internal, coordinator_socket
from oarlock.workers.proposals import Batch

RECONNECT_S: Final = 0.02
"""Between two attempts to reach a coordinator that is being started again."""


class CoordinatorLink:
    """Keeps up one connection, and reads and writes messages on it.

    While there is none, what is sent is dropped: the worker asks and proposes again after the next greeting.

    Args:
        loop: the event loop that watches the connection.
        data_dir: whose run directory holds the coordinator's socket.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, data_dir: Path) -> None:
        self._loop = loop
        self._path = str(coordinator_socket(data_dir))
        self._channel: Channel | None = None
        self._closed = False
        self._on_message: Callable[[list[Any]], None]
        self._on_turn: Callable[[], None]
        self._on_connected: Callable[[], None]

    def start(
        self,
        on_message: Callable[[list[Any]], None],
        on_turn: Callable[[], None],
        on_connected: Callable[[], None],
    ) -> None:
        """Begins to connect, and keeps the connection up until ``close``.

        Args:
            on_message: takes each message.
            on_turn: called when the messages that were there have been given.
            on_connected: called after each new connection.
        """
        self._on_message = on_message
        self._on_turn = on_turn
        self._on_connected = on_connected
        self._connect()

    def hello(self, number: int, incarnation: int, applied_index: int) -> None:
        """Introduces this worker, and asks what there is to catch up with."""
        self._send([Internal.HELLO, number, incarnation, applied_index])

    def knock(self) -> None:
        """Wakes the coordinator, for a proposal that is about to be made."""
        if self._channel is not None:
            try:
                if not self._channel.knock():
                    self._loop.add_writer(self._channel.fileno(), self._on_writable)
            except ProtocolError:
                self._lost()

    def propose(self, incarnation: int, batches: Sequence[Batch], taken_index: int, *, is_looked_for: bool) -> None:
        """Proposes batches, in the order of their numbers.

        Args:
            incarnation: of this worker.
            batches: what it proposes.
            taken_index: up to which entries have been taken; no message needs to bring them.
            is_looked_for: whether the commit word will be looked at without sleep until it has the entry of this, which
                is one batch.
        """
        proposed = [(batch.number, batch.kind, batch.payload) for batch in batches]
        self._send([Internal.PROPOSE, incarnation, proposed, taken_index, is_looked_for])

    def ask_read_index(self, number: int) -> None:
        """Asks up to where a linearizable read must see."""
        self._send([Internal.READ_INDEX, number])

    def fetch(self, first_index: int) -> None:
        """Asks for committed entries from ``first_index`` on."""
        self._send([Internal.FETCH, first_index])

    def keep_alive(self, number: int, lease_ids: Sequence[int]) -> None:
        """Renews leases."""
        self._send([Internal.KEEPALIVE, number, lease_ids])

    def time_to_live(self, number: int, lease_ids: Sequence[int]) -> None:
        """Asks how long leases have left."""
        self._send([Internal.TIME_TO_LIVE, number, lease_ids])

    def report(self, applied_index: int, state_hash: bytes) -> None:
        """Reports the state hash of the replica at ``applied_index``."""
        self._send([Internal.REPORT, applied_index, state_hash])

    def snapshot_made(self, path: str | None, problem: str) -> None:
        """Reports a snapshot, or why there is none."""
        self._send([Internal.SNAPSHOT, path, problem])

    def ask_status(self, number: int) -> None:
        """Asks for the coordinator's part of a status."""
        self._send([Internal.STATUS, number])

    def ask_members(self, number: int, action: str, arguments: Sequence[Any]) -> None:
        """Asks for a membership action of ``wire.internal``."""
        self._send([Internal.MEMBERS, number, action, arguments])

    def close(self) -> None:
        """Closes the connection for good."""
        self._closed = True
        self._disconnect()

    def _connect(self) -> None:
        if self._closed:
            return
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            stream.connect(self._path)  # to a local socket: at once, or not at all
        except OSError:
            stream.close()
            self._loop.call_later(RECONNECT_S, self._connect)
            return
        self._channel = Channel(stream)
        self._loop.add_reader(stream.fileno(), self._on_readable)
        self._on_connected()

    def _send(self, message: list[Any]) -> None:
        if self._channel is None:
            return
        try:
            if not self._channel.send(message):
                self._loop.add_writer(self._channel.fileno(), self._on_writable)
        except ProtocolError:
            self._lost()

    def _on_readable(self) -> None:
        assert self._channel is not None
        try:
            for message in self._channel.receive():
                kind = message[0]
                if kind == Internal.COMMITTED:
                    message[5] = _entries(message[5])
                elif kind == Internal.FETCH:
                    message[2] = _entries(message[2])
                self._on_message(message)
        except ProtocolError:
            self._lost()
        self._on_turn()

    def _on_writable(self) -> None:
        assert self._channel is not None
        try:
            if self._channel.flush():
                self._loop.remove_writer(self._channel.fileno())
        except ProtocolError:
            self._lost()

    def _lost(self) -> None:
        self._disconnect()
        self._loop.call_soon(self._connect)

    def _disconnect(self) -> None:
        if self._channel is not None:
            with contextlib.suppress(ValueError):
                self._loop.remove_reader(self._channel.fileno())
                self._loop.remove_writer(self._channel.fileno())
            self._channel.close()
            self._channel = None


def _entries(values: list[Any]) -> list[Entry]:
    """``Entry._make`` of each, which is a call of Python code each."""
    return [tuple.__new__(Entry, value) for value in values]

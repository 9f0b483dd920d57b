from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from oarlock.coordinator.waiting import Waiting
from oarlock.wire.pace import BRISK_WAITS

LONG_S = 60.0


class Sockets:
    """A pipe, and an inbox with a peer that writes to it."""

    def __init__(self) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.inbox = self.context.socket(zmq.ROUTER)
        port = self.inbox.bind_to_random_port("tcp://127.0.0.1")
        self.peer = self.context.socket(zmq.DEALER)
        self.peer.connect(f"tcp://127.0.0.1:{port}")
        self.pipe, self.pipe_end = os.pipe()
        self.poller = zmq.Poller()
        self.poller.register(self.inbox, zmq.POLLIN)
        self.waiting = Waiting(self.poller, (self.pipe,), self.inbox)

    def found(self, wanted: Any, *, alone: bool = True) -> bool:
        """Waits until ``wanted`` has something to read."""
        while wanted not in self.waiting.readable(LONG_S, alone=alone):
            pass
        return True

    def close(self) -> None:
        self.waiting.close()
        self.inbox.close(0)
        self.peer.close(0)
        os.close(self.pipe)
        os.close(self.pipe_end)
        self.context.term()


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    found = Sockets()
    yield found
    found.close()


@pytest.mark.parametrize("alone", [True, False])
def test_a_wait_ends_with_whatever_has_something_to_read(sockets: Sockets, alone: bool) -> None:
    assert not sockets.waiting.readable(0.0, alone=alone)
    os.write(sockets.pipe_end, b".")
    assert sockets.found(sockets.pipe, alone=alone)
    os.read(sockets.pipe, 1)
    sockets.peer.send(b"hello")
    assert sockets.found(sockets.inbox, alone=alone)
    assert sockets.inbox.recv_multipart(zmq.NOBLOCK)[1] == b"hello"


def test_the_inbox_is_heard_while_a_descriptor_always_has_something(sockets: Sockets) -> None:
    os.write(sockets.pipe_end, b".")
    sockets.peer.send(b"hello")
    assert sockets.found(sockets.inbox)


def test_a_message_that_zeromq_told_somebody_else_of_is_found_all_the_same(sockets: Sockets) -> None:
    os.write(sockets.pipe_end, b".")
    sockets.peer.send(b"hello")
    while not sockets.inbox.getsockopt(zmq.EVENTS) & zmq.POLLIN:
        pass  # each of these takes away what the descriptor has to tell
    assert sockets.found(sockets.inbox)


def test_a_wait_at_a_brisk_pace_finds_the_same_and_ends_as_well(sockets: Sockets) -> None:
    for _ in range(2 * BRISK_WAITS):
        os.write(sockets.pipe_end, b".")
        assert sockets.found(sockets.pipe)
        os.read(sockets.pipe, 1)
    assert not sockets.waiting.readable(0.001, alone=True)
    os.write(sockets.pipe_end, b".")
    assert sockets.found(sockets.pipe)


@pytest.mark.parametrize("has_come", [True, False])
def test_a_wait_after_a_knock_finds_the_same_and_ends_as_well(sockets: Sockets, has_come: bool) -> None:
    sockets.waiting.knocked(has_come=has_come)
    assert not sockets.waiting.readable(0.001, alone=True)
    sockets.waiting.knocked(has_come=has_come)
    os.write(sockets.pipe_end, b".")
    assert sockets.found(sockets.pipe)

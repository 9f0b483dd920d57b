"""The native protocol by hand: frames as wire/frames.py describes them, without the client library's help."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import zmq

from oarlock.wire.frames import TOKEN_BYTES, pack, unpack
from oarlock.wire.operations import PROTOCOL_VERSION, Op

ANSWER_TIMEOUT_MS = 20_000


class RawClient:
    """One DEALER connection. ``ask`` sends operations in one message and returns their reply items in order."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RCVTIMEO, ANSWER_TIMEOUT_MS)
        self.socket.connect(f"tcp://{endpoint}")
        self.client_id = int.from_bytes(os.urandom(7), "big") + 1
        self.timeout_ms = ANSWER_TIMEOUT_MS
        self._numbers = itertools.count(1)

    def ask(self, *operations: list[Any]) -> list[list[Any]]:
        """Reply items ``[sequence, revision, result]`` or ``[sequence, -code, message, detail]``."""
        requests = [[next(self._numbers), *operation] for operation in operations]
        self.send([self.client_id, requests[0][0], 0, self.timeout_ms, requests])
        replies: dict[int, list[Any]] = {}
        while len(replies) < len(requests):
            replies |= {reply[0]: reply for reply in self.receive()[2]}
        return [replies[request[0]] for request in requests]

    def ask_one(self, *operation: Any) -> list[Any]:
        """The reply item to one operation."""
        return self.ask(list(operation))[0]

    def hello(self) -> dict[str, Any]:
        """Greets; returns the server's fields."""
        greeting: dict[str, Any] = self.ask_one(int(Op.HELLO), PROTOCOL_VERSION, "raw")[2]
        return greeting

    def send(self, message: Any) -> None:
        """Sends any msgpack value as a message."""
        self.socket.send(pack(message))

    def receive(self) -> list[Any]:
        """The next reply message; raises zmq.Again where none comes in time."""
        message: list[Any] = unpack(self.socket.recv())
        return message


class RawWatcher:
    """One XSUB connection."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> None:
        self.socket = context.socket(zmq.XSUB)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDHWM, 0)
        self.socket.setsockopt(zmq.RCVHWM, 0)
        self.socket.setsockopt(zmq.RCVTIMEO, ANSWER_TIMEOUT_MS)
        self.socket.connect(f"tcp://{endpoint}")

    def subscribe(self, key: bytes, range_end: bytes = b"", flags: int = 0, token: bytes | None = None) -> bytes:
        """Asks to watch; returns the token."""
        token = token or os.urandom(TOKEN_BYTES)
        self.socket.send(b"\1" + pack([token, key, range_end, flags]))
        return token

    def unsubscribe(self, token: bytes, key: bytes, range_end: bytes = b"", flags: int = 0) -> None:
        """Asks no longer to watch."""
        self.socket.send(b"\0" + pack([token, key, range_end, flags]))

    def watch(self, key: bytes, range_end: bytes = b"", flags: int = 0) -> bytes:
        """Watches; returns the topic of the group once the server has answered."""
        token = self.subscribe(key, range_end, flags)
        answer = self.receive(token)
        assert answer[0] == 0, answer
        topic: bytes = answer[1]
        return topic

    def receive(self, topic: bytes) -> list[Any]:
        """The next message under ``topic``; others before it are passed over."""
        while True:
            frame = self.socket.recv()
            if frame[:TOKEN_BYTES] == topic:
                body: list[Any] = unpack(frame[TOKEN_BYTES:])
                return body

    def nothing_more(self, wait_ms: int = 0) -> bool:
        """Whether nothing is there to be received."""
        return self.socket.poll(wait_ms) == 0


@contextmanager
def raw_context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    """A ZeroMQ context whose sockets all end with it."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        yield context
    finally:
        context.destroy(linger=0)

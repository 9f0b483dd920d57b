"""The watch hub's socket: XPUB in manual mode. A subscription frame is a request, which the hub decides on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import zmq

from oarlock.wire.sockets import bind_shared, is_readable
from oarlock.workers.watch.hub import WatchHub

MAX_REQUEST_BYTES: Final = 64 * 1024
"""A watch request is a key, a range end and little more; ZeroMQ closes a connection that announces more."""
MAX_REQUESTS_A_TURN: Final = 512
"""Subscriptions taken in one turn: many watchers come back at once after a restart, and others wait meanwhile."""
PUSH_QUEUE_MESSAGES: Final = 20_000
"""Messages queued for a connection that does not read; later ones are dropped, and it pulls what it missed. A client
with thousands of watches gets as many messages from one burst of writes, and pulling costs both sides more than
queueing."""
HEARTBEAT_MS: Final = 5_000
HEARTBEAT_TIMEOUT_MS: Final = 20_000


class WatchPort:
    """Carries frames between the hub and its watchers.

    Args:
        context: the ZeroMQ context; the caller ends it.
        urls: ``tcp://host:port`` each, shared with the other workers.
        hub: decides.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], urls: Sequence[str], hub: WatchHub) -> None:
        self._hub = hub
        self._has_sent = False
        self.socket = context.socket(zmq.XPUB)
        self.socket.setsockopt(zmq.LINGER, 500)
        self.socket.setsockopt(zmq.XPUB_MANUAL, 1)
        self.socket.setsockopt(zmq.MAXMSGSIZE, MAX_REQUEST_BYTES)
        self.socket.setsockopt(zmq.SNDHWM, PUSH_QUEUE_MESSAGES)
        # The subscriptions of a mass return must all arrive: XPUB would drop those beyond the mark.
        self.socket.setsockopt(zmq.RCVHWM, 0)
        self.socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        self.socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        self._is_astray = False
        for url in urls:
            bind_shared(self.socket, url)

    def drain(self, revision: int, *, is_learner: bool) -> bool:
        """Takes subscriptions, or refuses them on a learner; True if there may be more."""
        for _ in range(MAX_REQUESTS_A_TURN):
            try:
                frame = self.socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                self._is_astray = False
                return False
            if frame[:1] not in (b"\x00", b"\x01"):
                # libzmq (xpub_t::xrecv) now takes what follows for the connection of a later frame, until its queue is
                # empty: those subscriptions are passed over, and their clients ask again.
                self._is_astray = True
            elif frame[:1] == b"\x01":
                if self._is_astray:
                    continue
                subscription = self._hub.subscribe(frame[1:], revision, is_learner=is_learner)
                if subscription is not None:
                    # In manual mode this applies to the connection of the frame that was received last.
                    for topic in subscription.topics:
                        self.socket.setsockopt(zmq.SUBSCRIBE, topic)
                    self.socket.send(subscription.answer, zmq.NOBLOCK)
            else:
                for topic in self._hub.unsubscribe(frame[1:]):
                    self.socket.setsockopt(zmq.UNSUBSCRIBE, topic)
        return True

    def publish(self, frames: list[bytes]) -> None:
        """Sends each frame to all who are subscribed to its topic."""
        send = self.socket.send
        for frame in frames:
            send(frame, zmq.NOBLOCK)
            self._has_sent = True

    def has_more(self) -> bool:
        """Whether sending has swallowed the signal that something arrived (ZeroMQ's descriptors are edge-triggered)."""
        if not self._has_sent:
            return False
        self._has_sent = False
        return is_readable(self.socket)

    def close(self) -> None:
        """Closes the socket."""
        self.socket.close()

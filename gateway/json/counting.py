"""Where calls of the JSON API are counted, beside those of gRPC: etcd's gateway is a client of its own gRPC server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from oarlock.wire.errors import Code


class CallCounts(Protocol):
    """What is counted of one method.

    Attributes:
        started: calls begun.
        replied: calls ended with one message and status OK.
        received, received_bytes: messages of clients, and bytes of them, serialized.
        sent, sent_bytes: messages to clients, without those of ``replied``, and bytes of all.
    """

    started: int
    replied: int
    received: int
    received_bytes: int
    sent: int
    sent_bytes: int

    def end(self, code: Code) -> None:
        """A call ended, and not by ``replied``."""


CountsOf = Callable[[str], CallCounts]
"""The counts of a method, by its gRPC path."""


class Unread:
    """Counts that nobody reads."""

    __slots__ = ("received", "received_bytes", "replied", "sent", "sent_bytes", "started")

    def __init__(self, _path: str = "") -> None:
        self.started = self.replied = self.received = self.sent = 0
        self.received_bytes = self.sent_bytes = 0

    def end(self, code: Code) -> None:
        """Nothing to do."""

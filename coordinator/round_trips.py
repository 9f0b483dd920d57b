"""How long a small message takes to another member and back: what a commit costs at least."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from oarlock.coordinator.peer_codec import PeerKind
from oarlock.wire import metrics

_seconds = metrics.histogram(
    "etcd_network_peer_round_trip_time_seconds",
    "Round-trip time to another member.",
    ["To"],
    buckets=metrics.doubling(0.0001, 16),
)


class Links(Protocol):
    """The links to the other members: ``Peers``, as far as it matters here."""

    @property
    def followed(self) -> Sequence[int]:
        """The members to which there are links."""

    def send(self, member: int, kind: PeerKind, payload: Any) -> bool:
        """Sends a frame on the lane of heartbeats, or drops it."""


class RoundTrips:
    """Asks every member once in a while, on the lane of heartbeats, and measures the time until its answer.

    Invariant: at most one question to each member is awaited; a later one takes its place, and a late answer is
    passed over.

    Args:
        peers: the links.
        clock_s: monotonic time.
    """

    def __init__(self, peers: Links, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._peers = peers
        self._clock_s = clock_s
        self._number = 0
        self._asked: dict[int, tuple[int, float]] = {}

    @property
    def handlers(self) -> dict[int, Callable[[int, list[Any], float], None]]:
        """For the frames that concern it: (sender, payload, now in s)."""
        return {PeerKind.PING: self._ping, PeerKind.PONG: self._pong}

    def ask(self) -> None:
        """Asks all members to which there is a link."""
        self._number += 1
        self._asked = {}
        for member in self._peers.followed:
            self._asked[member] = (self._number, self._clock_s())
            self._peers.send(member, PeerKind.PING, [self._number])

    def _ping(self, sender: int, payload: list[Any], now_s: float) -> None:
        self._peers.send(sender, PeerKind.PONG, payload)

    def _pong(self, sender: int, payload: list[Any], now_s: float) -> None:
        number, asked_s = self._asked.pop(sender, (0, 0.0))
        if number == payload[0] != 0:
            _seconds.labels(f"{sender:x}").observe(self._clock_s() - asked_s)

"""The network between the members: every direction of every link has its own troubles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgpack

from oarlock.coordinator.raft import Message
from oarlock.coordinator.raft.message_codec import from_wire, to_wire

from .world import World

TRIP_S: Final = 0.001
"""The shortest way between two members."""


class Packet(NamedTuple):
    """What members send each other beside Raft messages."""

    kind: str
    content: Any


Receiver = Callable[[Any], None]


class SimNetwork:
    """Carries Raft messages and anything else between members, by their ids.

    Attributes:
        loss: the share of messages that are lost.
        duplication: the share that arrive twice.
        jitter_s: the longest additional way; unequal ways reorder.
        cuts: directed links (from, to) on which nothing arrives.
        slow: additional seconds on a directed link.
        receivers: who takes what is for a member.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.loss = self.duplication = 0.0
        self.jitter_s = 0.0
        self.cuts: set[tuple[int, int]] = set()
        self.slow: dict[tuple[int, int], float] = {}
        self.receivers: dict[int, Receiver] = {}

    def send(self, message: Message) -> None:
        """Sends a Raft message; it passes through its wire form, so that what cannot travel does not."""
        frame = msgpack.packb(to_wire(message))
        self.post(message.sender, message.to, lambda: from_wire(msgpack.unpackb(frame)))

    def post(self, sender: int, target: int, make: Callable[[], Any], took_s: float = 0.0) -> None:
        """Sends what ``make`` gives on arrival; ``took_s`` is its time on an idle link, for what is long."""
        rng = self.world.rng
        link = (sender, target)
        if link in self.cuts or rng.random() < self.loss:
            return
        for _ in range(2 if rng.random() < self.duplication else 1):
            delay_s = TRIP_S + took_s + rng.random() * self.jitter_s + self.slow.get(link, 0.0)
            self.world.after(delay_s, lambda: self._arrive(link, make))

    def _arrive(self, link: tuple[int, int], make: Callable[[], Any]) -> None:
        receiver = self.receivers.get(link[1])
        if receiver is not None and link not in self.cuts:
            receiver(make())

    def heal(self) -> None:
        """Makes the network perfect."""
        self.loss = self.duplication = self.jitter_s = 0.0
        self.cuts.clear()
        self.slow.clear()

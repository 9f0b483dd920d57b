"""A network for tests: loses, doubles, delays and reorders messages, and splits, all by a seeded generator."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable, Iterator
from itertools import count

import msgpack

from oarlock.coordinator.raft import Message
from oarlock.coordinator.raft.message_codec import from_wire, to_wire


def _travelled(message: Message) -> Message:
    return from_wire(msgpack.unpackb(msgpack.packb(to_wire(message))))


class SimNetwork:
    """Messages on their way, by the instant at which they arrive.

    Every message passes through the wire form, so that what cannot travel does not.

    Attributes:
        loss: the share of messages that are lost.
        duplication: the share that arrive twice.
        max_delay: the longest way, in instants; unequal ways reorder.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._on_the_way: list[tuple[int, int, Message]] = []
        self._order = count()
        self._side: dict[int, int] = {}
        self.loss = self.duplication = 0.0
        self.max_delay = 1

    def send(self, message: Message, now: int) -> bool:
        """Puts a message on its way; returns False if it is lost."""
        if self._rng.random() < self.loss or self.is_cut(message.sender, message.to):
            return False
        for _ in range(2 if self._rng.random() < self.duplication else 1):
            arrival = now + self._rng.randint(1, self.max_delay)
            heapq.heappush(
                self._on_the_way,
                (arrival, next(self._order), _travelled(message)),
            )
        return True

    def arriving(self, now: int) -> Iterator[tuple[Message, bool]]:
        """Takes the messages whose time has come, and says whether they arrive, or are swallowed by a cut."""
        while self._on_the_way and self._on_the_way[0][0] <= now:
            message = heapq.heappop(self._on_the_way)[2]
            yield message, not self.is_cut(message.sender, message.to)

    def split(self, members: Iterable[int]) -> None:
        """Cuts the group in two: ``members``, and all others."""
        self._side = dict.fromkeys(members, 1)

    def heal(self) -> None:
        """Joins what was split, and makes the network perfect."""
        self._side = {}
        self.loss = self.duplication = 0.0
        self.max_delay = 1

    def is_cut(self, one: int, other: int) -> bool:
        """Whether no message passes between two members."""
        return self._side.get(one, 0) != self._side.get(other, 0)

"""A client that gives its writes no number, and so never sends one twice: as an etcd front door does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oarlock.wire.errors import from_wire
from oarlock.wire.frames import pack, unpack
from oarlock.wire.operations import Op

from .clients import KEYS, POLL_S, TIMEOUT_S, UNCERTAIN, is_of_the_store
from .connection import Connection

if TYPE_CHECKING:
    from .cluster import SimCluster


class Gateway:
    """Puts, one message each."""

    def __init__(self, cluster: SimCluster, number: int) -> None:
        self.cluster = cluster
        self.world = cluster.world
        self.number = number
        self.busy = True
        self._connection: Connection | None = None
        self._sequence = 0
        self._open: dict[int, tuple[bytes, int, float]] = {}
        self._poll()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._open

    def _poll(self) -> None:
        self.world.after(POLL_S, self._poll)
        now_s = self.world.now_s
        for sequence in [each for each, (_, _, deadline_s) in self._open.items() if deadline_s <= now_s]:
            del self._open[sequence]
            if self._connection is not None:
                self._connection.close()
                self._connection = None
        if self._connection is None:
            worker = self.cluster.worker_at(self.world.rng.choice(self.cluster.hosts).number)
            if worker is not None:
                self._connection = Connection(self, worker)
        elif self.busy and self.world.rng.random() < self.cluster.profile.request_rate / 2:
            self._put(self._connection)

    def _put(self, connection: Connection) -> None:
        self._sequence += 1
        value = b"gateway %d.%d" % (self.number, self._sequence)
        self._open[self._sequence] = value, self.cluster.judge.acknowledged, self.world.now_s + TIMEOUT_S
        requests = [[self._sequence, int(Op.PUT), self.world.rng.choice(KEYS), value]]
        connection.send(pack([0, 0, 0, int(TIMEOUT_S * 1000), requests]))

    def on_frame(self, connection: Connection, frame: bytes) -> None:
        """A message came."""
        for sequence, revision, *rest in unpack(frame)[2]:
            value, floor, _ = self._open.pop(sequence, (b"", 0, 0.0))
            if not value:
                continue
            if revision >= 0:
                self.cluster.judge.write_answered(value, floor, revision, rest[0])
                continue
            error = from_wire(-revision, *rest)
            if not isinstance(error, UNCERTAIN):
                self.cluster.judge.write_refused(value, error.message, by_store=is_of_the_store(error))

    def on_push(self, connection: Connection, frame: bytes) -> None:
        """It watches nothing."""

    def on_reset(self, connection: Connection) -> None:
        """The connection broke: what was under way may have been carried out or not."""
        if connection is self._connection:
            self._connection = None
            self._open.clear()

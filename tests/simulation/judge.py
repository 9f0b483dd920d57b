"""Judges what replicas hold and what clients are told, by a model that is fed the committed entries in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgpack

from oarlock.coordinator.raft import SnapshotMeta
from oarlock.wire.entries import Entry, EntryKind
from oarlock.wire.operations import KeyValue, Op
from tests.model.kv_model import KvModel, within

from .raft_judge import RaftJudge
from .world import World

if TYPE_CHECKING:
    from .worker import SimWorker

LEASE_SLACK_S: Final = 0.25
"""For clocks that run at different rates, and for the ticks by which time is told."""


def travelled(value: Any) -> Any:
    """The value as a client gets it: tuples have become lists."""
    return msgpack.unpackb(msgpack.packb(value), strict_map_key=False)


class Judge(RaftJudge):
    """Beyond ``RaftJudge``:

    1. A batch counts if its number is the next one of its incarnation, a client's write if it was not seen before.
       Revision, position and events of every replica are those of the model at the same entry; state hashes of two
       replicas at one entry are equal.
    2. A write that succeeded, or was refused for what the store held, was answered as the model answers it.
    3. A read at revision r shows what the model held at r. A linearizable operation's revision is not below that of
       any such operation that was over when it began.
    4. A write whose error says that it was not carried out never is.
    5. Nobody's lease is revoked by the lessor before the time is over that its keeper was promised.
    6. An index that a worker looks up, in place of asking, is not below anything that is committed anywhere.
    """

    def __init__(self, world: World, initial: tuple[int, ...]) -> None:
        super().__init__(initial)
        self.world = world
        self.model = KvModel()
        self.spaces: dict[int, dict[bytes, KeyValue]] = {1: self.model.spaces[1]}
        self.answers: dict[Any, list[Any]] = {}
        self.acknowledged = 1
        self._admitted: dict[int, bool] = {}
        self._revisions: dict[int, int] = {0: 1}
        self._positions: dict[int, int] = {0: 0}
        self._events_until: dict[int, int] = {0: 0}
        self._hashes: dict[int, bytes] = {}
        self._batches: dict[int, int] = {}
        self._floors: dict[int, int] = {}
        self._refused: set[Any] = set()
        self._promised_until_s: dict[int, float] = {}
        self._ended_s: dict[int, float] = {}

    # --- the model

    def committed_first(self, entry: Entry) -> None:
        """Feeds an entry to the model."""
        index = entry.index
        position = self._positions[index - 1]
        admitted = True
        if entry.incarnation:
            admitted = entry.batch == self._batches.get(entry.incarnation, 0) + 1
            if admitted:
                self._batches[entry.incarnation] = entry.batch
        if admitted and entry.kind in (EntryKind.BATCH, EntryKind.LEASE_GRANT, EntryKind.LEASE_REVOKE):
            for client_id, floor, _, requests in msgpack.unpackb(entry.payload, strict_map_key=False):
                position += len(requests)
                self._floors[client_id] = max(floor, self._floors.get(client_id, 1))
                for request in requests:
                    self._carry_out(client_id, request)
        self._admitted[index] = admitted
        self._positions[index] = position
        self._revisions[index] = self.model.revision
        self._events_until[index] = len(self.model.events)
        self.world.note("committed", index, entry.term, entry.kind, entry.incarnation, entry.batch, self.model.revision)

    def _carry_out(self, client_id: int, request: list[Any]) -> None:
        sequence, operation = request[:2]
        name: Any = (client_id, sequence)
        if client_id == 0:
            name = request[3] if operation == Op.PUT else None
            if operation == Op.LEASE_REVOKE:
                self._lease_ended(request[2])
            assert name is None or name not in self.answers, f"a write was carried out twice: {request}"
        elif name in self.answers or (sequence < self._floors[client_id] and operation != Op.LEASE_REVOKE):
            return
        reply, _ = self.model.step(request)
        self.spaces[self.model.revision] = self.model.spaces[self.model.revision]
        if name is not None:
            self.answers[name] = reply
            assert name not in self._refused, f"a write was carried out after its refusal: {request}"

    # --- replicas

    def replica_applied(self, worker: SimWorker, entries: Any, drained: Any) -> None:
        """A worker has applied entries."""
        first, last = entries[0].index, entries[-1].index
        who = f"member {worker.host.member_id}, worker {worker.number}, entries {first} to {last}"
        for entry, applied in zip(entries, drained.entries, strict=True):
            assert entry == self.committed.get(entry.index), f"{who}: applied what is not committed: {entry}"
            expected = self._admitted[entry.index]
            assert applied.admitted == expected, f"{who}: {entry[:5]} admitted: {applied.admitted}"
        events = self.model.events[self._events_until[first - 1] : self._events_until[last]]
        assert list(drained.changes) == events, f"{who}: {list(drained.changes)}, expected {events}"
        self.replica_opened(worker)

    def replica_opened(self, worker: SimWorker) -> None:
        """A worker's replica is at rest: compares it with the model, and with all others."""
        meta = worker.keeper.meta
        index = meta.applied_index
        who = f"member {worker.host.member_id}, worker {worker.number}, at entry {index}"
        assert meta.revision == self._revisions[index], f"{who}: revision {meta.revision}: {self._revisions[index]}"
        assert meta.position == self._positions[index], f"{who}: position {meta.position}: {self._positions[index]}"
        known = self._hashes.setdefault(index, meta.state_hash)
        assert known == meta.state_hash, f"{who}: another state than elsewhere"

    def snapshot_made(self, meta: SnapshotMeta, metadata: Any) -> None:
        """A member made a snapshot of its own."""
        super().snapshot_made(meta, metadata)
        assert metadata.revision == self._revisions[meta.index]
        assert metadata.state_hash == self._hashes.get(meta.index, metadata.state_hash)

    # --- clients

    def write_answered(self, name: Any, floor: int, revision: int, result: Any) -> None:
        """A write has succeeded. ``floor`` is what ``acknowledged`` was when it began."""
        reply = self.answers.get(name)
        assert reply is not None, f"write {name} was acknowledged and is not committed"
        assert travelled(reply[1:]) == [revision, result], f"write {name}: {[revision, result]}, expected {reply}"
        assert revision >= floor, f"write {name} at revision {revision}, after {floor} was acknowledged"
        self.acknowledged = max(self.acknowledged, revision)

    def write_refused(self, name: Any, message: str, *, by_store: bool) -> None:
        """A write has failed, and its error says that it was not carried out."""
        reply = self.answers.get(name)
        if by_store:
            assert reply is not None, f"write {name} was refused by a store that has not seen it: {message}"
            assert reply[1] < 0, f"write {name} failed with {message!r}, expected {reply}"
            assert reply[2] == message, f"write {name} failed with {message!r}, expected {reply}"
            return
        assert reply is None, f"write {name} failed with {message!r}, and was carried out: {reply}"
        self._refused.add(name)

    def read_answered(self, key: bytes, end: bytes, floor: int, revision: int, result: Any, *, fresh: bool) -> None:
        """A read has succeeded; ``fresh``: it was linearizable."""
        assert revision in self.spaces, f"a read at revision {revision}, which is not committed"
        space = self.spaces[revision]
        kvs = [list(space[name]) for name in sorted(space) if within(name, key, end)]
        assert result[0] == kvs, f"read of {key!r} at {revision}: {result[0]}, expected {kvs}"
        if fresh:
            assert revision >= floor, f"stale read at revision {revision}: {floor} had been acknowledged"
            self.acknowledged = max(self.acknowledged, revision)

    def index_looked_up(self, worker: SimWorker, index: int) -> None:
        """A worker has found ``index`` in the commit word."""
        who = f"member {worker.host.member_id}, worker {worker.number}"
        assert index >= self.last_committed, f"{who}: looked up {index}, but {self.last_committed} is committed"

    def events(self, key: bytes, end: bytes, after: int, until: int) -> list[Any]:
        """What a watcher must see between two revisions."""
        return [
            [kind, list(kv), None]
            for kind, kv, _ in self.model.events
            if after < kv[3] <= until and within(kv[0], key, end)
        ]

    # --- leases

    def lease_promised(self, lease_id: int, asked_s: float, ttl_s: int) -> None:
        """A client that asked at ``asked_s`` was told that the lease has so long to live."""
        self._promised_until_s[lease_id] = max(asked_s + ttl_s, self._promised_until_s.get(lease_id, 0.0))
        ended_s = self._ended_s.get(lease_id)
        assert ended_s is None or ended_s > asked_s, f"lease {lease_id} ended at {ended_s:.2f} s, and lives again"

    def _lease_ended(self, lease_id: int) -> None:
        """The lessor's revoke is committed."""
        early_s = self._promised_until_s.get(lease_id, 0.0) - self.world.now_s
        assert early_s < LEASE_SLACK_S, f"lease {lease_id} ends {early_s:.2f} s early"
        self._ended_s[lease_id] = self.world.now_s

"""A dict that answers the native protocol's operations: as much of them as the client's tests need."""

from __future__ import annotations

from typing import Any

from oarlock.wire.errors import (
    CompactedError,
    EmptyKeyError,
    FutureRevisionError,
    LearnerNotReadyError,
    LeaseNotFoundError,
    MemberNotFoundError,
)
from oarlock.wire.operations import STATUS_FIELDS, DeleteFlag, Op, PutFlag, RangeFlag, WatchFlag

CLUSTER_ID, MEMBER_ID = 0xC1, 0xA1


def in_range(key: bytes, start: bytes, end: bytes) -> bool:
    return key == start if not end else start <= key and (end == b"\0" or key < end)


class FakeStore:
    """Keys, their events, leases, and the outcomes of writes by client and sequence."""

    def __init__(self) -> None:
        self.revision = 1
        self.compact_revision = -1
        self.position = 0
        self.keys: dict[bytes, list[Any]] = {}
        self.events: list[tuple[int, list[Any]]] = []
        self.leases: dict[int, int] = {}
        self.outcomes: dict[tuple[int, int], tuple[int, Any]] = {}
        self.applied: list[list[Any]] = []

    def execute(self, client_id: int, request: list[Any]) -> tuple[int, Any]:
        """(revision, result); a write that came before is answered as it was then."""
        sequence, op, *arguments = request
        known = self.outcomes.get((client_id, sequence))
        if known is not None:
            return known
        before = self.revision
        result = self.apply(op, arguments)
        if op in (Op.PUT, Op.DELETE, Op.TXN, Op.LEASE_GRANT, Op.LEASE_REVOKE):
            self.position += 1
            self.applied.append(request)
            self.outcomes[client_id, sequence] = (self.revision, result)
        assert self.revision - before <= 1
        return self.revision, result

    def apply(self, op: int, arguments: list[Any]) -> Any:
        handler = getattr(self, f"_{Op(op).name.lower()}")
        return handler(*arguments)

    def history(self, key: bytes, flags: int, range_end: bytes, after: int, up_to: int) -> list[Any]:
        """The events that a watch wants of (after, up_to]."""
        hidden = {0: WatchFlag.NO_PUT, 1: WatchFlag.NO_DELETE}
        return [
            [event[0], event[1], event[2] if flags & WatchFlag.PREV_KV else None]
            for revision, event in self.events
            if after < revision <= up_to and in_range(event[1][0], key, range_end) and not flags & hidden[event[0]]
        ]

    def _put(self, key: bytes, value: bytes, lease: int = 0, flags: int = 0) -> Any:
        if not key:
            raise EmptyKeyError
        if lease and lease not in self.leases:
            raise LeaseNotFoundError
        self.revision += 1
        old = self.keys.get(key)
        created, version = (old[2], old[4] + 1) if old else (self.revision, 1)
        new = [key, value, created, self.revision, version, lease]
        self.keys[key] = new
        self.events.append((self.revision, [0, new, old]))
        return old if flags & PutFlag.PREV_KV else None

    def _delete(self, key: bytes, flags: int = 0, range_end: bytes = b"") -> Any:
        gone = [self.keys.pop(each) for each in sorted(self.keys) if in_range(each, key, range_end)]
        if gone:
            self.revision += 1
        for old in gone:
            self.events.append((self.revision, [1, [old[0], b"", 0, self.revision, 0, 0], old]))
        return [len(gone), gone if flags & DeleteFlag.PREV_KV else []]

    def _range(
        self,
        key: bytes,
        flags: int = 0,
        range_end: bytes = b"",
        limit: int = 0,
        revision: int = 0,
        sort_order: int = 0,
        sort_target: int = 0,
        *bounds: int,
    ) -> Any:
        if not key:
            raise EmptyKeyError
        if revision > self.revision:
            raise FutureRevisionError
        keys = self._keys_at(revision) if revision else self.keys
        found = [keys[each] for each in sorted(keys) if in_range(each, key, range_end)]
        found.sort(key=lambda kv: kv[(0, 4, 2, 3, 1)[sort_target]], reverse=sort_order == 2)
        shown = [] if flags & RangeFlag.COUNT_ONLY else found[: limit or None]
        return [shown, len(shown) < len(found) and not flags & RangeFlag.COUNT_ONLY, len(found)]

    def _keys_at(self, revision: int) -> dict[bytes, list[Any]]:
        keys: dict[bytes, list[Any]] = {}
        for at, (kind, kv, _) in self.events:
            if at <= revision:
                keys.pop(kv[0], None) if kind else keys.update({kv[0]: kv})
        return keys

    def _txn(self, compares: list[Any], success: list[Any], failure: list[Any]) -> Any:
        succeeded = all(self._holds(*compare) for compare in compares)
        base, highest, responses = self.revision, self.revision, []
        for op, *arguments in success if succeeded else failure:
            self.revision = base  # all of a transaction has one revision
            result = self.apply(op, arguments)
            highest = max(highest, self.revision)
            responses.append([op, highest, result])
        self.revision = highest
        return [succeeded, responses]

    def _holds(self, result: int, target: int, key: bytes, operand: Any, range_end: bytes = b"") -> bool:
        kv = self.keys.get(key)
        stored = (kv[4], kv[2], kv[3], kv[1], kv[5])[target] if kv else (0, 0, 0, None, 0)[target]
        if stored is None:
            return False
        return bool((stored == operand, stored > operand, stored < operand, stored != operand)[result])

    def _compact(self, revision: int, physical: bool = False) -> None:
        if revision <= self.compact_revision:
            raise CompactedError(detail=self.compact_revision)
        self.compact_revision = revision

    def _watch_history(
        self, key: bytes, flags: int, range_end: bytes, start_revision: int, min_revision: int, max_bytes: int
    ) -> Any:
        if start_revision < self.compact_revision:
            raise CompactedError(detail=self.compact_revision)
        up_to = min(self.revision, start_revision + 99)  # a slice, so that clients have to ask more than once
        return [self.history(key, flags, range_end, start_revision - 1, up_to), up_to + 1]

    def _lease_grant(self, lease_id: int, ttl_s: int) -> Any:
        lease_id = lease_id or 1000 + len(self.leases)
        self.leases[lease_id] = ttl_s
        return [lease_id, ttl_s]

    def _lease_revoke(self, lease_id: int) -> None:
        if self.leases.pop(lease_id, None) is None:
            raise LeaseNotFoundError
        for key in [kv[0] for kv in self.keys.values() if kv[5] == lease_id]:
            self._delete(key)

    def _lease_keepalive(self, lease_id: int) -> int:
        return self.leases.get(lease_id, 0)

    def _lease_time_to_live(self, lease_id: int, keys: bool = False) -> Any:
        ttl_s = self.leases.get(lease_id)
        attached = [kv[0] for kv in self.keys.values() if keys and kv[5] == lease_id]
        return [-1, 0, []] if ttl_s is None else [ttl_s, ttl_s, attached]

    def _lease_list(self) -> Any:
        return [list(self.leases)]

    def _status(self) -> Any:
        known = {
            "version": "0.1.0",
            "errors": [],
            "is_learner": False,
            "cluster_id": CLUSTER_ID,
            "member_id": MEMBER_ID,
        }
        return {name: known.get(name, 0) for name in STATUS_FIELDS}

    def _hash_kv(self, revision: int = 0) -> Any:
        return [77, self.compact_revision, revision or self.revision]

    def _alarm(self, action: int, member: int, alarm: int) -> Any:
        return [[MEMBER_ID, 1]]

    def _defragment(self) -> None:
        return None

    def _member_list(self, linearizable: bool = True) -> Any:
        return [[MEMBER_ID, "m1", ["tcp://127.0.0.1:2380"], ["tcp://127.0.0.1:2378"], False]]

    def _member_add(self, name: str, peer_urls: list[str], is_learner: bool) -> Any:
        added = [MEMBER_ID + 1, "", peer_urls, [], is_learner]
        return [added, [*self._member_list(), added], [CLUSTER_ID, []]]

    def _member_remove(self, member: int) -> Any:
        raise MemberNotFoundError

    def _member_update(self, member: int, peer_urls: list[str]) -> Any:
        return self._member_list()

    def _member_promote(self, member: int) -> Any:
        raise LearnerNotReadyError

    def _move_leader(self, member: int) -> None:
        return None

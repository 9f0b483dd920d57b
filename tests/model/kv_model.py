"""The key-value contract as a program: what every reply, error and event must be, in the simplest form that runs.

It keeps a full copy of the keyspace for each revision, and looks through all of it each time. It shares nothing with
the server but the numbers of operations and the classes of errors.

``KvModel.step(request)`` takes ``[sequence, operation, *arguments]`` (well-formed: the model does not look at types)
and returns ``(reply item, events)``. Where etcd leaves something open, the model says what Oarlock does: equal sort
keys keep key order, and lease and alarm lists are ordered.
"""

from __future__ import annotations

from typing import Any

from oarlock.wire import errors
from oarlock.wire.operations import (
    FROM_KEY,
    MAX_TTL_S,
    MAX_TXN_DEPTH,
    MIN_TTL_S,
    Alarm,
    AlarmAction,
    CompareResult,
    CompareTarget,
    Event,
    EventType,
    KeyValue,
    Op,
    PutFlag,
    RangeFlag,
    SortOrder,
    SortTarget,
    WatchFlag,
)

Keyspace = dict[bytes, KeyValue]
DEFAULTS: dict[int, list[Any]] = {
    Op.RANGE: [None, 0, b"", 0, 0, 0, 0, 0, 0, 0, 0, 0],
    Op.PUT: [None, None, 0, 0],
    Op.DELETE: [None, 0, b""],
    Op.TXN: [None, None, None],
    Op.COMPACT: [None, False],
    Op.LEASE_GRANT: [None, None],
    Op.LEASE_REVOKE: [None],
    Op.LEASE_LIST: [],
    Op.ALARM: [None, None, None],
}
SORT_FIELD = {SortTarget.KEY: 0, SortTarget.VERSION: 4, SortTarget.CREATE: 2, SortTarget.MOD: 3, SortTarget.VALUE: 1}
COMPARE_FIELD = {
    CompareTarget.VERSION: 4,
    CompareTarget.CREATE: 2,
    CompareTarget.MOD: 3,
    CompareTarget.VALUE: 1,
    CompareTarget.LEASE: 5,
}


def arguments_of(operation: int, given: list[Any]) -> list[Any]:
    """``given`` with the defaults of what was left out at its end."""
    return given + DEFAULTS[operation][len(given) :]


def within(key: bytes, start: bytes, range_end: bytes) -> bool:
    """Whether ``key`` lies in the interval (contract 2.3)."""
    if range_end == b"":
        return key == start
    return start <= key and (range_end == FROM_KEY or key < range_end)


class KvModel:
    """One store.

    Invariants:
    1. ``spaces[revision]`` is the keyspace after that revision, for every revision that is not compacted.
    2. ``events`` has every event since the first revision, in order.
    """

    def __init__(self, max_txn_ops: int = 128) -> None:
        self.max_txn_ops = max_txn_ops
        self.revision = 1
        self.compact_revision = -1
        self.spaces: dict[int, Keyspace] = {1: {}}
        self.events: list[Event] = []
        self.leases: dict[int, int] = {}
        self.alarms: set[tuple[int, int]] = set()
        self._changes: list[Event] = []
        self._space: Keyspace = {}

    def step(self, request: list[Any]) -> tuple[list[Any], list[Event]]:
        """Executes a request; returns its reply item, and the events that it caused."""
        sequence, operation, *given = request
        self._changes = []
        self._space = dict(self.spaces[self.revision])
        try:
            arguments = arguments_of(operation, given)
            self._validate(operation, arguments)
            self._check_alarms(operation, arguments)
            result = self._execute(operation, arguments)
        except errors.OarlockError as error:
            assert not self._changes, "a refused request has no effect"
            return [sequence, -int(error.code), error.message, error.detail], []
        if self._changes:
            self.revision += 1
            self.spaces[self.revision] = self._space
            self.events += self._changes
        return [sequence, self.revision, result], self._changes

    def _execute(self, operation: int, arguments: list[Any]) -> Any:
        if operation == Op.RANGE:
            return self._range(arguments)
        if operation == Op.PUT:
            self._check_lease(arguments[2])
            return self._put(arguments)
        if operation == Op.DELETE:
            return self._delete(arguments)
        if operation == Op.TXN:
            path = self._choose(arguments)
            self._check_path(path, [])
            return self._run(path)
        if operation == Op.COMPACT:
            return self._compact(arguments[0])
        if operation == Op.LEASE_GRANT:
            return self._grant(*arguments)
        if operation == Op.LEASE_REVOKE:
            return self._revoke(arguments[0])
        if operation == Op.LEASE_LIST:
            return [sorted(self.leases)]
        assert operation == Op.ALARM
        return self._alarm(*arguments)

    # ---------------------------------------------------------------- rules that need no state (contract 2.3 to 2.5)

    def _validate(self, operation: int, arguments: list[Any]) -> None:
        if operation in (Op.RANGE, Op.PUT, Op.DELETE) and not arguments[0]:
            raise errors.EmptyKeyError
        if operation == Op.RANGE and not (arguments[5] in set(SortOrder) and arguments[6] in set(SortTarget)):
            raise errors.InvalidSortError
        if operation == Op.PUT and arguments[3] & PutFlag.IGNORE_VALUE and arguments[1]:
            raise errors.ValueProvidedError
        if operation == Op.PUT and arguments[3] & PutFlag.IGNORE_LEASE and arguments[2]:
            raise errors.LeaseProvidedError
        if operation == Op.LEASE_GRANT and arguments[1] > MAX_TTL_S:
            raise errors.LeaseTtlTooLargeError
        if operation == Op.TXN:
            self._validate_txn(arguments, self.max_txn_ops, 1)
            self._writes_of(arguments[1])
            self._writes_of(arguments[2])

    def _validate_txn(self, arguments: list[Any], budget: int, depth: int) -> None:
        if depth > MAX_TXN_DEPTH:
            raise errors.TooManyOperationsError(f"{errors.TooManyOperationsError.text}: nested deeper than 32")
        longest = max(len(part) for part in arguments)
        if longest > budget:
            raise errors.TooManyOperationsError
        if not all(compare[2] for compare in arguments[0]):
            raise errors.EmptyKeyError
        for operation, *given in arguments[1] + arguments[2]:
            if operation == Op.TXN:
                self._validate_txn(given, budget - longest, depth + 1)
            else:
                self._validate(operation, arguments_of(operation, given))

    def _writes_of(self, branch: list[Any]) -> tuple[list[bytes], list[tuple[bytes, bytes]]]:
        """Puts and deletes of a branch; raises where one key is written twice (etcd takes range_end literally here)."""
        steps = [(step[0], arguments_of(step[0], step[1:])) for step in branch]
        deletes = [(a[0], a[2] or a[0] + b"\0") for operation, a in steps if operation == Op.DELETE]
        puts: list[bytes] = []

        def add(keys: list[bytes]) -> None:
            for key in keys:
                if key in puts or any(start <= key < end for start, end in deletes):
                    raise errors.DuplicateKeyError
            puts.extend(keys)

        for operation, arguments in steps:
            if operation == Op.TXN:
                then_puts, then_deletes = self._writes_of(arguments[1])
                else_puts, else_deletes = self._writes_of(arguments[2])
                add(then_puts + [key for key in else_puts if key not in then_puts])
                deletes += then_deletes + else_deletes
        for operation, arguments in steps:
            if operation == Op.PUT:
                add([arguments[0]])
        return puts, deletes

    # -------------------------------------------------------------------------------------- alarms (contract 2.10)

    def _check_alarms(self, operation: int, arguments: list[Any]) -> None:
        raised = {alarm for _, alarm in self.alarms}
        is_read = operation == Op.TXN and all(s[0] == Op.RANGE for s in arguments[1] + arguments[2])
        written = {Op.PUT, Op.DELETE, Op.TXN, Op.COMPACT, Op.LEASE_GRANT, Op.LEASE_REVOKE}
        if Alarm.CORRUPT in raised and operation in written and not is_read:
            raise errors.CorruptError
        grows = operation == Op.LEASE_GRANT or self._puts_anything([[operation, *arguments]])
        if Alarm.NOSPACE in raised and grows:
            raise errors.NoSpaceError

    def _puts_anything(self, steps: list[Any]) -> bool:
        return any(
            step[0] == Op.PUT or (step[0] == Op.TXN and self._puts_anything(step[2] + step[3])) for step in steps
        )

    def _alarm(self, action: int, member: int, alarm: int) -> list[list[int]]:
        if action == AlarmAction.GET:
            return [list(entry) for entry in sorted(self.alarms) if alarm in (Alarm.NONE, entry[1])]
        if action == AlarmAction.ACTIVATE and alarm != Alarm.NONE:
            self.alarms.add((member, alarm))
            return [[member, alarm]]
        if action == AlarmAction.DEACTIVATE and (member, alarm) in self.alarms:
            self.alarms.remove((member, alarm))
            return [[member, alarm]]
        return []

    # ---------------------------------------------------------------------------------------- reads (contract 2.3)

    def _space_at(self, revision: int) -> Keyspace:
        if revision <= 0:
            return self._space
        if revision > self.revision:
            raise errors.FutureRevisionError
        if revision < self.compact_revision:
            raise errors.CompactedError(detail=max(self.compact_revision, 0))
        return self.spaces[revision]

    def _range(self, arguments: list[Any]) -> list[Any]:
        key, flags, range_end, limit, revision, order, target, min_mod, max_mod, min_create, max_create, _ = arguments
        space = self._space_at(revision)
        kvs = [space[name] for name in sorted(space) if within(name, key, range_end)]
        count = len(kvs)
        if flags & RangeFlag.COUNT_ONLY:
            return [[], False, count]
        filtered = bool(min_mod or max_mod or min_create or max_create)
        if limit > 0 and order == SortOrder.NONE and not filtered:
            kvs = kvs[: limit + 1]  # so that sorting by another field sees only these (etcd's quirk)
        kvs = [kv for kv in kvs if not (max_mod and kv[3] > max_mod) and not (min_mod and kv[3] < min_mod)]
        kvs = [kv for kv in kvs if not (max_create and kv[2] > max_create) and not (min_create and kv[2] < min_create)]
        field = SORT_FIELD[SortTarget(target)]
        if (order, target) != (SortOrder.NONE, SortTarget.KEY):
            kvs = sorted(kvs, key=lambda kv: kv[field], reverse=order == SortOrder.DESCEND)
        more = 0 < limit < len(kvs)
        if more:
            kvs = kvs[:limit]
        if flags & RangeFlag.KEYS_ONLY:
            kvs = [(kv[0], b"", *kv[2:]) for kv in kvs]
        return [[list(kv) for kv in kvs], more, len(kvs) if flags & RangeFlag.NO_COUNT else count]

    def history(self, key: bytes, flags: int, range_end: bytes, start_revision: int) -> list[Event]:
        """The events that a watch from ``start_revision`` gets (contract 2.6)."""
        if range_end and range_end != FROM_KEY and (key or FROM_KEY) >= range_end:
            raise errors.WatcherRangeEmptyError
        if start_revision < 0:
            raise errors.CompactedError
        if start_revision < self.compact_revision:
            raise errors.CompactedError(detail=max(self.compact_revision, 0))
        found = []
        for kind, kv, previous in self.events:
            unwanted = flags & (WatchFlag.NO_DELETE if kind == EventType.DELETE else WatchFlag.NO_PUT)
            if kv[3] >= start_revision and within(kv[0], key or FROM_KEY, range_end) and not unwanted:
                visible = flags & WatchFlag.PREV_KV and kv[3] - 1 >= self.compact_revision
                found.append((kind, kv, previous if visible else None))
        return found

    # --------------------------------------------------------------------------------------- writes (contract 2.4)

    def _check_lease(self, lease: int) -> None:
        if lease and lease not in self.leases:
            raise errors.LeaseNotFoundError

    def _put(self, arguments: list[Any]) -> KeyValue | None:
        key, value, lease, flags = arguments
        old = self._space.get(key)
        if old is None and flags & (PutFlag.IGNORE_VALUE | PutFlag.IGNORE_LEASE):
            raise errors.KeyNotFoundError
        if old is not None and flags & PutFlag.IGNORE_VALUE:
            value = old[1]
        if old is not None and flags & PutFlag.IGNORE_LEASE:
            lease = old[5]
        revision = self.revision + 1
        new = (key, value, old[2] if old else revision, revision, old[4] + 1 if old else 1, lease)
        self._space[key] = new
        previous = self.spaces[self.revision].get(key) if new[2] != revision else None
        self._changes.append((EventType.PUT, new, previous))
        return list(old) if old and flags & PutFlag.PREV_KV else None  # type: ignore[return-value]

    def _delete(self, arguments: list[Any]) -> list[Any]:
        key, flags, range_end = arguments
        names = [name for name in sorted(self._space) if within(name, key, range_end)]
        gone = [list(self._delete_one(name)) for name in names]
        return [len(gone), gone if flags else []]

    def _delete_one(self, key: bytes) -> KeyValue:
        gone = self._space.pop(key)
        tombstone = (key, b"", 0, self.revision + 1, 0, 0)
        self._changes.append((EventType.DELETE, tombstone, self.spaces[self.revision].get(key)))
        return gone

    # --------------------------------------------------------------------------------- transactions (contract 2.5)

    def _choose(self, arguments: list[Any]) -> tuple[bool, list[Any]]:
        """The branch that runs, and those of nested transactions, all decided by the state before the transaction."""
        compares, success, failure = arguments
        succeeded = all(self._holds(*compare) for compare in compares)
        steps = []
        for operation, *given in success if succeeded else failure:
            steps.append((operation, self._choose(given) if operation == Op.TXN else arguments_of(operation, given)))
        return succeeded, steps

    def _holds(self, result: int, target: int, key: bytes, operand: Any, range_end: bytes = b"") -> bool:
        kvs = [kv for kv in self._space.values() if within(kv[0], key, range_end)]
        if not kvs and target == CompareTarget.VALUE:
            return False
        field = COMPARE_FIELD[CompareTarget(target)]
        for stored in [kv[field] for kv in kvs] or [0]:
            outcomes = {
                CompareResult.EQUAL: stored == operand,
                CompareResult.GREATER: stored > operand,
                CompareResult.LESS: stored < operand,
                CompareResult.NOT_EQUAL: stored != operand,
            }
            if not outcomes[CompareResult(result)]:
                return False
        return True

    def _check_path(self, path: tuple[bool, list[Any]], earlier: list[Any]) -> None:
        """Refuses what cannot run, before anything has run; ``earlier`` collects the writes on the way."""
        for operation, arguments in path[1]:
            if operation == Op.TXN:
                self._check_path(arguments, earlier)
            elif operation == Op.RANGE:
                self._check_range_in_txn(arguments[4])
            elif operation == Op.PUT:
                ignores = arguments[3] & (PutFlag.IGNORE_VALUE | PutFlag.IGNORE_LEASE)
                if ignores and (arguments[0] not in self._space or self._was_deleted(arguments[0], earlier)):
                    raise errors.KeyNotFoundError
                self._check_lease(arguments[2])
            earlier.append((operation, arguments))

    def _check_range_in_txn(self, revision: int) -> None:
        if revision > self.revision:
            raise errors.FutureRevisionError
        if revision != 0 and revision < self.compact_revision:
            raise errors.CompactedError(detail=max(self.compact_revision, 0))

    def _was_deleted(self, key: bytes, earlier: list[Any]) -> bool:
        """Whether the last write of ``key`` so far is a delete (from-key deletes pass the rule about duplicates)."""
        for operation, arguments in reversed(earlier):
            if operation == Op.PUT and arguments[0] == key:
                return False
            if operation == Op.DELETE and within(key, arguments[0], arguments[2]):
                return True
        return False

    def _run(self, path: tuple[bool, list[Any]]) -> list[Any]:
        responses = []
        for operation, arguments in path[1]:
            if operation == Op.TXN:
                responses.append([operation, 0, self._run(arguments)])
                continue
            run = {Op.RANGE: self._range, Op.PUT: self._put, Op.DELETE: self._delete}[Op(operation)]
            result = run(arguments)
            responses.append([operation, self.revision + bool(self._changes), result])
        return [path[0], responses]

    # ------------------------------------------------------------------- compaction and leases (contract 2.7, 2.8)

    def _compact(self, revision: int) -> None:
        if revision <= self.compact_revision:
            raise errors.CompactedError(detail=max(self.compact_revision, 0))
        if revision > self.revision:
            raise errors.FutureRevisionError
        self.compact_revision = revision
        self.spaces = {number: space for number, space in self.spaces.items() if number >= revision}

    def _grant(self, lease: int, ttl_s: int) -> list[int]:
        if lease == 0:
            raise errors.LeaseNotFoundError
        if lease in self.leases:
            raise errors.LeaseExistsError
        self.leases[lease] = max(ttl_s, MIN_TTL_S)
        return [lease, self.leases[lease]]

    def _revoke(self, lease: int) -> None:
        self._check_lease(lease)
        if lease not in self.leases:
            raise errors.LeaseNotFoundError
        for key in sorted(name for name, kv in self._space.items() if kv[5] == lease):
            self._delete_one(key)
        del self.leases[lease]

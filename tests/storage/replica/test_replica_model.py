"""Random histories against the contract, written down as plain dictionaries: one for each revision."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from replica_cases import open_replica, scrub

from oarlock.storage.replica import Compactor, ReplicaFullError, WriteView
from oarlock.storage.replica.layout import SIGNPOST_VERSIONS
from oarlock.wire.operations import Event, KeyValue

State = dict[bytes, KeyValue]

_LONG = b"l" * 478
_KEYS = [b"a", b"ab", b"b", _LONG, _LONG + b"\0", _LONG + b"1", _LONG + b"22", b"z" * 1000]
keys = st.sampled_from(_KEYS)
bounds = st.one_of(keys, st.sampled_from([b"", b"aa", b"l", _LONG + b"2", b"zz"]))
leases = st.sampled_from([0, 0, 1, 2])
changes = st.one_of(
    st.tuples(st.just("put"), keys, st.sampled_from([0, 1, 30_000]), leases),
    st.tuples(st.just("delete"), keys),
    st.tuples(st.just("revoke"), st.sampled_from([1, 2])),
)


def _value(size: int) -> bytes:
    return b"v" * size


class Contract:
    """What a multi-version store must answer. ``states[r]`` is the state after revision r, ``events[r]`` its events."""

    def __init__(self) -> None:
        self.revision = 1
        self.compact_revision = -1
        self.states: dict[int, State] = {1: {}}
        self.events: dict[int, list[Event]] = {}

    def apply(self, operation: list[Any]) -> list[KeyValue | None]:
        """Applies one operation; returns the previous kv of each change."""
        state, revision, events = dict(self.states[self.revision]), self.revision + 1, []
        for kind, *arguments in operation:
            if kind == "put":
                events.append(self._put(state, revision, *arguments))
            elif kind == "delete":
                events += [self._delete(state, revision, key) for key in arguments if key in state]
            else:
                attached = sorted(key for key, kv in state.items() if kv[5] == arguments[0])
                events += [self._delete(state, revision, key) for key in attached]
        if events:
            self.revision, self.states[revision], self.events[revision] = revision, state, events
        return [event[2] for event in events]

    def _put(self, state: State, revision: int, key: bytes, size: int, lease: int) -> Event:
        before = state.get(key)
        created, version = (before[2], before[4] + 1) if before else (revision, 1)
        state[key] = (key, _value(size), created, revision, version, lease)
        return 0, state[key], before

    def _delete(self, state: State, revision: int, key: bytes) -> Event:
        return 1, (key, b"", 0, revision, 0, 0), state.pop(key)

    def scan(self, start: bytes, end: bytes | None, revision: int) -> list[KeyValue]:
        state = self.states[revision]
        return [state[key] for key in sorted(state) if start <= key and (end is None or key < end)]

    def history(self, start: bytes, end: bytes | None, first: int, last: int) -> list[Event]:
        return [
            event
            for revision in range(first, last + 1)
            for event in self.events.get(revision, ())
            if start <= event[1][0] and (end is None or event[1][0] < end)
        ]


class ReplicaMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="replica"))
        self.replica = open_replica(self.directory)
        self.contract = Contract()
        with self.replica.write() as view:
            for lease in (1, 2):
                view.grant_lease(lease, 60)
            view.end_entry(1, 1, 0)

    def teardown(self) -> None:
        if hasattr(self, "replica"):
            scrub(self.replica)
            self.replica.close(clean=False)
            shutil.rmtree(self.directory)

    @rule(operations=st.lists(st.lists(changes, min_size=1, max_size=3), min_size=1, max_size=3))
    def write(self, operations: list[list[Any]]) -> None:
        """One transaction with one entry an operation; applied again if the map was full."""
        try:
            told = self._write(operations)
        except ReplicaFullError:
            told = self._write(operations)
        before = self.contract.revision
        for operation in operations:
            self.contract.apply(operation)
        assert told == self.contract.history(b"", None, before + 1, self.contract.revision)

    @rule(key=keys, versions=st.integers(1, 2 * SIGNPOST_VERSIONS + 1))
    def write_often(self, key: bytes, versions: int) -> None:
        """So many versions of a key that its history has signposts."""
        self.write([[("put", key, 1, 0)]] * versions)

    def _write(self, operations: list[list[Any]]) -> list[Event]:
        with self.replica.write() as view:
            for operation in operations:
                for change in operation:
                    self._change(view, *change)
                view.finish_operation()
                view.end_entry(view.applied_index + 1, 1, view.position + 1)
        return view.changes

    def _change(self, view: WriteView, kind: str, *arguments: Any) -> None:
        if kind == "put":
            key, size, lease = arguments
            view.put(key, _value(size), lease)
        elif kind == "delete":
            view.delete(*arguments)
        else:
            view.revoke_lease(*arguments)
            view.grant_lease(*arguments, 60)

    @precondition(lambda self: self.contract.compact_revision < self.contract.revision)
    @rule(data=st.data(), slices=st.integers(0, 5))
    def compact(self, data: st.DataObject, slices: int) -> None:
        revision = data.draw(st.integers(max(self.contract.compact_revision + 1, 1), self.contract.revision))
        with self.replica.write() as view:
            view.set_compact_revision(revision)
            view.end_entry(view.applied_index + 1, 1, view.position + 1)
        self.contract.compact_revision = revision
        self.compact_on(slices)

    @rule(slices=st.integers(1, 5))
    def compact_on(self, slices: int) -> None:
        for _ in range(slices):
            Compactor().step(self.replica, max_events=2)

    @rule(clean=st.booleans())
    def reopen(self, clean: bool) -> None:
        meta = self.replica.meta
        self.replica.close(clean=clean)
        self.replica = open_replica(self.directory)
        assert self.replica.meta == meta

    @rule(start=bounds, end=st.none() | bounds, data=st.data())
    def read(self, start: bytes, end: bytes | None, data: st.DataObject) -> None:
        revision = data.draw(st.integers(max(self.contract.compact_revision, 1), self.contract.revision))
        expected = self.contract.scan(start, end, revision)
        with self.replica.read() as view:
            assert list(view.scan(start, end, revision=revision)) == expected
            assert [kv[0] for kv in view.scan(start, end, revision=revision, keys_only=True)] == [
                kv[0] for kv in expected
            ]
            assert view.count(start, end, revision=revision) == len(expected)
            assert [view.get(key, revision) for key in _KEYS] == [
                self.contract.states[revision].get(key) for key in _KEYS
            ]

    @rule(start=keys, end=st.none() | bounds, one=st.booleans(), data=st.data(), max_bytes=st.integers(1, 50_000))
    def watch(self, start: bytes, end: bytes | None, one: bool, data: st.DataObject, max_bytes: int) -> None:
        end = start + b"\0" if one else end
        last, compacted = self.contract.revision, self.contract.compact_revision
        first = data.draw(st.integers(max(compacted + 1, 2), last + 1))
        expected = [
            (kind, kv, self.contract.states[kv[3] - 1].get(kv[0]) if kv[3] > compacted else None)
            for kind, kv, _ in self.contract.history(start, end, first, last)
        ]
        found: list[Event] = []
        with self.replica.read() as view:
            while first <= last:
                events, first = view.history_page(start, end, first, last, max_bytes=max_bytes, previous=True)
                found += events
        assert found == expected

    @invariant()
    def present(self) -> None:
        state = self.contract.states[self.contract.revision]
        with self.replica.read() as view:
            assert (view.revision, view.compact_revision) == (self.contract.revision, self.contract.compact_revision)
            assert list(view.scan(b"", None)) == [state[key] for key in sorted(state)]
            assert view.count(b"", None) == len(state)
            for lease in (1, 2):
                assert view.lease_keys(lease) == sorted(key for key, kv in state.items() if kv[5] == lease)


ReplicaMachine.TestCase.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
TestReplicaModel = ReplicaMachine.TestCase

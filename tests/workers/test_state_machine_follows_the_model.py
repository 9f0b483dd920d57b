"""Random operation sequences, however they are cut into groups, entries and drains: every reply, error, event, old
revision and page of history is the model's."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from oarlock.storage.replica.compaction import Compactor
from oarlock.wire.errors import OarlockError
from oarlock.wire.frames import pack_error
from oarlock.wire.operations import FROM_KEY, Op, prefix_end
from oarlock.workers.routing import is_write
from oarlock.workers.validation import Limits, check_request
from tests.model.kv_model import KvModel
from tests.model.strategies import FILLING, KEYS, operations
from tests.workers.harness import Harness, kind_of, travelled

MAX_TXN_OPS = 6
CLIENT = 99

# How a write joins what waits: in the same group, a new group, a new entry, or after a drain; after a drain there may
# be a restart, or a slice of the compaction that regains space.
SAME_GROUP, NEW_GROUP, NEW_ENTRY, NEW_DRAIN, RESTART, SWEEP = range(6)
joins = st.sampled_from([SAME_GROUP] * 4 + [NEW_GROUP] * 2 + [NEW_ENTRY] * 3 + [NEW_DRAIN] * 3 + [RESTART, SWEEP])


class Comparison:
    """Feeds a state machine and the model with the same operations."""

    def __init__(self, directory: Path) -> None:
        self.harness = Harness(directory / "one")
        self.model = KvModel(MAX_TXN_OPS)
        self.sequence = 0
        self._entries: list[tuple[int, list[list[Any]]]] = []  # (kind, groups of requests) that wait for a drain
        self._expected: list[Any] = []
        self._events: list[Any] = []
        self.writes: list[tuple[list[Any], list[Any]]] = []

    def issue(self, operation: list[Any], join: int) -> None:
        self.sequence += 1
        request = [self.sequence, *operation]
        if refusal := self._refusal(request):
            assert refusal == self.model.step(request)[0]
            return
        if not is_write(request):
            self.drain()
            reply = self.harness.read(request)
            if operation == [Op.LEASE_LIST]:
                reply[2][0].sort()  # etcd's order, by the time left, is not known to a replica: any order will do
            assert reply == travelled(self.model.step(request)[0])
            return
        if join >= NEW_DRAIN:
            self.drain()
        if join == RESTART:
            self.harness.restart()
        if join == SWEEP:
            Compactor().step(self.harness.replica, max_events=3)
        self._collect(request, join)
        reply, events = self.model.step(request)
        self._expected.append(travelled(reply))
        self._events += travelled(events)
        self.writes.append((request, self._expected[-1]))

    def _refusal(self, request: list[Any]) -> list[Any] | None:
        try:
            check_request(request, Limits(max_txn_ops=MAX_TXN_OPS))
        except OarlockError as error:
            return pack_error(self.sequence, error)
        return None

    def _collect(self, request: list[Any], join: int) -> None:
        kind = kind_of(request)
        if not self._entries or join >= NEW_ENTRY or self._entries[-1][0] != kind:
            self._entries.append((kind, [[]]))
        elif join == NEW_GROUP:
            self._entries[-1][1].append([])
        self._entries[-1][1][-1].append(request)

    def drain(self) -> None:
        entries = [
            self.harness.entry([[CLIENT, 1, 0, group] for group in groups], kind) for kind, groups in self._entries
        ]
        applied, events = self.harness.drain(entries)
        replies = [reply for one in applied for group in one.replies or [] for reply in group]
        assert travelled(replies) == self._expected
        assert travelled(events) == self._events
        self._entries, self._expected, self._events = [], [], []

    def check_past(self) -> None:
        """Every revision that is not compacted reads as it was."""
        for revision in range(max(self.model.compact_revision, 1), self.model.revision + 1):
            request = [1, int(Op.RANGE), b"\0", 0, FROM_KEY, 0, revision]
            assert self.harness.read(request) == travelled(self.model.step(request)[0])

    def check_history(self, start_revision: int, flags: int, max_bytes: int) -> None:
        for key, range_end in [(b"", FROM_KEY), (b"a", b""), (b"a", prefix_end(b"a")), (KEYS[-1], b"")]:
            try:
                expected = travelled(self.model.history(key, flags, range_end, start_revision))
            except OarlockError:
                continue
            assert self.harness.history(key, flags, range_end, start_revision, max_bytes) == expected

    def check_repetition(self) -> None:
        """Everything that a client sends again is answered as before, and applied no second time."""
        before = self.harness.replica.meta
        for request, reply in self.writes:
            again = self.harness.apply([[CLIENT, 1, 1, [request]]], kind_of(request))[0]
            assert again == reply or "reply is not kept" in again[2]
        after = self.harness.replica.meta
        assert (after.revision, after.compact_revision) == (before.revision, before.compact_revision)

    def check_other_replica(self, directory: Path, drains: int) -> None:
        """Another worker, that drains the same log otherwise, comes to the same state."""
        other = Harness(directory / "other")
        other.machine.own_incarnation = 1
        log = self.harness.log
        for start in range(0, len(log), drains):
            for applied in other.drain(log[start : start + drains])[0]:
                assert applied.replies is None
        assert other.replica.meta == self.harness.replica.meta
        other.close()


def runs(*, with_alarms: bool) -> st.SearchStrategy[list[tuple[list[Any], int]]]:
    return st.lists(st.tuples(operations(with_alarms=with_alarms), joins), min_size=5, max_size=40)


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(runs(with_alarms=False), runs(with_alarms=True)),
    st.integers(1, 20),
    st.integers(0, 7),
    st.sampled_from([1, 60, 1 << 20]),
    st.integers(1, 5),
)
def test_state_machine_follows_the_model(
    steps: list[tuple[list[Any], int]], start_revision: int, flags: int, max_bytes: int, drains: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        comparison = Comparison(Path(name))
        for operation, join in [*((operation, SAME_GROUP) for operation in FILLING), *steps]:
            comparison.issue(operation, join)
        comparison.drain()
        comparison.check_past()
        comparison.check_history(start_revision, flags, max_bytes)
        comparison.check_repetition()
        comparison.check_other_replica(Path(name), drains)
        comparison.harness.close()

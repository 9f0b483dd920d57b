"""A log in memory: for tests and simulations, and the smallest example of what the core needs."""

from __future__ import annotations

from collections.abc import Sequence

from oarlock.coordinator.raft.errors import InvariantError
from oarlock.coordinator.raft.membership import Membership
from oarlock.coordinator.raft.messages import SnapshotMeta
from oarlock.wire.entries import Entry


class MemoryStorage:
    """A :class:`~oarlock.coordinator.raft.log_storage.LogStorage` in a list, with the writing half of a log.

    Args:
        membership: the first members, as a snapshot at index 0 would hold them.
    """

    def __init__(self, membership: Membership) -> None:
        self._entries: list[Entry] = []
        self._before = (0, 0)
        self._snapshot = SnapshotMeta(0, 0, membership)

    def first_index(self) -> int:
        """See the protocol."""
        return self._before[0] + 1

    def last_index(self) -> int:
        """See the protocol."""
        return self._before[0] + len(self._entries)

    def term(self, index: int) -> int:
        """See the protocol. Raises InvariantError outside of the range."""
        position = index - self._before[0] - 1
        if position == -1:
            return self._before[1]
        if not 0 <= position < len(self._entries):
            raise InvariantError(
                f"term of {index} asked for: the log holds {self.first_index()} to {self.last_index()}"
            )
        return self._entries[position].term

    def entries(self, low: int, high: int, max_bytes: int) -> Sequence[Entry]:
        """See the protocol. Raises InvariantError outside of the range."""
        if not self.first_index() <= low < high <= self.last_index() + 1:
            raise InvariantError(
                f"entries {low} to {high} asked for: the log holds {self.first_index()} to {self.last_index()}"
            )
        found: list[Entry] = []
        size_bytes = 0
        for entry in self._entries[low - self.first_index() : high - self.first_index()]:
            size_bytes += len(entry.payload)
            if found and size_bytes > max_bytes:
                break
            found.append(entry)
        return found

    def find(self, kind: int, low: int) -> Sequence[int]:
        """See the protocol."""
        return [entry.index for entry in self._entries if entry.kind == kind and entry.index >= low]

    def snapshot(self) -> SnapshotMeta:
        """See the protocol."""
        return self._snapshot

    def append(self, entries: Sequence[Entry]) -> None:
        """Writes entries, after dropping those from the first one's index on.

        Raises:
            InvariantError: there would be a gap, or a dropped entry would come back.
        """
        if not entries:
            return
        first = entries[0].index
        if not self.first_index() <= first <= self.last_index() + 1:
            raise InvariantError(f"append at {first}: the log holds {self.first_index()} to {self.last_index()}")
        self._entries[first - self.first_index() :] = entries

    def install(self, snapshot: SnapshotMeta) -> None:
        """Replaces everything by a snapshot received."""
        self._entries = []
        self._before = (snapshot.index, snapshot.term)
        self._snapshot = snapshot

    def compact(self, index: int, membership: Membership) -> None:
        """Takes a snapshot at ``index`` and drops the entries that it contains."""
        self._snapshot = SnapshotMeta(index, self.term(index), membership)
        self._entries = self._entries[index - self._before[0] :]
        self._before = (index, self._snapshot.term)

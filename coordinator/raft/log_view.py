"""The log as the core sees it: what storage holds, and behind it a tail in memory."""

from __future__ import annotations

from collections.abc import Sequence

from oarlock.coordinator.raft.errors import InvariantError
from oarlock.coordinator.raft.log_storage import LogStorage
from oarlock.coordinator.raft.messages import SnapshotMeta
from oarlock.coordinator.raft.ready import HardState
from oarlock.coordinator.raft.write_queue import WriteQueue
from oarlock.wire.entries import Entry
from oarlock.wire.errors import CorruptError

ENTRY_OVERHEAD_BYTES = 64
"""What an entry counts besides its payload, so that many empty entries are bounded as well."""


class LogView:
    """Storage up to ``offset``, and the tail from there on.

    An entry stays in the tail until it is both durable and handed out as committed, so that the usual path never
    reads storage. Entries 1 to 9, of which 1 to 4 are committed and handed out, 5 and 6 durable, 7 being written, 8 and
    9 new::

        index     1  2  3  4 | 5  6  7  8  9
        storage   x  x  x  x   x  x            offset = 5    first entry of the tail
        tail                   x  x  x  x  x   stable = 6    durable up to here
                                               handed = 8    next entry to hand to the driver for writing
                                               given = 4     handed out as committed up to here

    Invariants:
    1. ``given <= commit <= last_index``.
    2. ``given <= stable <= last_index`` unless a snapshot is being installed.
    3. ``offset <= handed <= last_index + 1``; the tail is without a gap, and ends at ``last_index``.
    4. Storage is asked only below ``offset``.
    5. ``tail_bytes`` is the size of the tail.
    """

    __slots__ = (
        "_snapshot_handed",
        "_storage",
        "commit",
        "given",
        "handed",
        "offset",
        "snapshot",
        "stable",
        "tail",
        "tail_bytes",
        "truncate_from",
        "writes",
    )

    def __init__(self, storage: LogStorage, applied: int) -> None:
        last = storage.last_index()
        if not storage.snapshot().index <= applied <= last:
            raise CorruptError(
                f"{CorruptError.text}: entry {applied} is said to be committed: the log holds "
                f"{storage.first_index()} to {last}, its snapshot ends at {storage.snapshot().index}"
            )
        self._storage = storage
        self.commit = self.given = applied
        self.stable = last
        self.offset = self.handed = last + 1
        self.tail: list[Entry] = []
        self.tail_bytes = 0
        self.truncate_from: int | None = None
        self.snapshot: SnapshotMeta | None = None
        self._snapshot_handed = False
        self.writes = WriteQueue()

    @property
    def first_index(self) -> int:
        """The oldest entry that can be read."""
        return self.snapshot.index + 1 if self.snapshot else self._storage.first_index()

    @property
    def last_index(self) -> int:
        """The newest entry, durable or not."""
        return self.offset + len(self.tail) - 1

    @property
    def last_term(self) -> int:
        """The term of the newest entry, 0 for an empty log."""
        return self.tail[-1].term if self.tail else self.term(self.offset - 1) or 0

    def term(self, index: int) -> int | None:
        """The term of an entry, or None if it is not (or no longer) there. Index 0 has term 0."""
        position = index - self.offset
        if position >= 0:
            return self.tail[position].term if position < len(self.tail) else None
        if self.snapshot is not None:
            return self.snapshot.term if index == self.snapshot.index else None
        return self._storage.term(index) if index >= self._storage.first_index() - 1 else None

    def is_up_to_date(self, last_index: int, last_term: int) -> bool:
        """Whether a log that ends so is at least as new as ours (Raft paper, section 5.4.1)."""
        return (last_term, last_index) >= (self.last_term, self.last_index)

    def entries(self, low: int, high: int, max_bytes: int) -> Sequence[Entry]:
        """Entries ``low <= index < high`` of at most ``max_bytes``, but at least one if there is one."""
        if low >= high:
            return ()
        if low < self.offset:
            return self._storage.entries(low, min(high, self.offset), max_bytes)
        found = self.tail[low - self.offset : high - self.offset]
        if self.tail_bytes <= max_bytes:
            return found
        size_bytes = 0
        for count, entry in enumerate(found):
            size_bytes += len(entry.payload) + ENTRY_OVERHEAD_BYTES
            if size_bytes > max_bytes and count:
                return found[:count]
        return found

    def append(self, entries: Sequence[Entry], size_bytes: int) -> None:
        """Adds entries behind the last one."""
        self.tail.extend(entries)
        self.tail_bytes += size_bytes

    def splice(self, entries: Sequence[Entry]) -> None:
        """Adds entries, in place of all from the first one's index on.

        Raises:
            CorruptError: a committed entry would be replaced.
        """
        first = entries[0].index
        if first <= self.commit:
            raise CorruptError(
                f"{CorruptError.text}: entry {first} of term {entries[0].term} contradicts a committed entry "
                f"of term {self.term(first)}"
            )
        if first <= self.last_index:
            self._truncate(first)
        self.append(entries, sum_bytes(entries))

    def _truncate(self, first: int) -> None:
        if first < self.offset:
            self.tail = []
            self.offset = first
        else:
            del self.tail[first - self.offset :]
        self.tail_bytes = sum_bytes(self.tail)
        self.stable = min(self.stable, first - 1)
        self.writes.clamp(first - 1)
        if first < self.handed:
            self.handed = self.truncate_from = first

    def restore(self, snapshot: SnapshotMeta) -> None:
        """Replaces the whole log by a snapshot, which the driver is to install."""
        self.tail = []
        self.tail_bytes = 0
        self.offset = self.handed = snapshot.index + 1
        self.truncate_from = None
        self.commit = self.given = snapshot.index
        self.stable = 0
        self.writes.clamp(0)
        self.snapshot = snapshot
        self._snapshot_handed = False

    @property
    def has_unwritten(self) -> bool:
        """Whether there is something to hand to the driver for writing."""
        return self.handed <= self.last_index or (self.snapshot is not None and not self._snapshot_handed)

    def take_unwritten(self) -> tuple[SnapshotMeta | None, int | None, Sequence[Entry]]:
        """Hands out what is to be written: snapshot to install, index to cut from, entries to append."""
        snapshot = None if self._snapshot_handed else self.snapshot
        self._snapshot_handed = self.snapshot is not None
        entries = self.tail[self.handed - self.offset :]
        truncate_from = self.truncate_from
        self.handed = self.last_index + 1
        self.truncate_from = None
        return snapshot, truncate_from, entries

    def written(self, number: int) -> HardState | None:
        """The driver reports writes up to ``number`` as durable; returns the newest hard state among them."""
        done = self.writes.finish(number)
        if done is None:
            return None
        last_index, hard_state = done
        self.stable = max(self.stable, last_index)
        if self.snapshot is not None and self._snapshot_handed and last_index >= self.snapshot.index:
            self.snapshot = None
        self._trim()
        return hard_state

    @property
    def has_committed(self) -> bool:
        """Whether committed entries wait to be handed out."""
        return self.given < self.commit and self.given < self.stable

    def take_committed(self, max_bytes: int) -> Sequence[Entry]:
        """The next entries that are committed, and durable here."""
        found = self.entries(self.given + 1, min(self.commit, self.stable) + 1, max_bytes)
        if found:
            self.given = found[-1].index
            self._trim()
        return found

    def _trim(self) -> None:
        count = min(self.stable, self.given) - self.offset + 1
        if count <= 0:
            return
        if count == len(self.tail):
            self.tail = []
            self.tail_bytes = 0
        else:
            self.tail_bytes -= sum_bytes(self.tail[:count])
            del self.tail[:count]
        self.offset += count

    def validate(self) -> None:
        """Raises InvariantError if an invariant of the type is broken."""
        self.writes.validate()
        if not self.given <= self.commit <= self.last_index:
            raise InvariantError(f"given {self.given}, commit {self.commit}, last {self.last_index}")
        if self.snapshot is None and not self.given <= self.stable <= self.last_index:
            raise InvariantError(f"given {self.given}, stable {self.stable}, last {self.last_index}")
        if not self.offset <= self.handed <= self.last_index + 1:
            raise InvariantError(f"offset {self.offset}, handed {self.handed}, last {self.last_index}")
        if [entry.index for entry in self.tail] != list(range(self.offset, self.last_index + 1)):
            raise InvariantError(f"the tail from {self.offset} has a gap")
        if self.tail_bytes != sum_bytes(self.tail):
            raise InvariantError(f"the tail counts {self.tail_bytes} bytes and has {sum_bytes(self.tail)}")


def sum_bytes(entries: Sequence[Entry]) -> int:
    """What entries count against the bounds, in bytes."""
    return sum([len(entry.payload) for entry in entries]) + ENTRY_OVERHEAD_BYTES * len(entries)

"""The log and the newest snapshot, as the Raft core reads them."""

from __future__ import annotations

from collections.abc import Sequence

from oarlock.coordinator.raft import SnapshotMeta
from oarlock.storage.log import Log
from oarlock.wire.entries import Entry


class DurableLog:
    """The adapter from ``Log`` to the core's ``LogStorage``.

    The log forgets entries on the writer's thread, some time after the driver has decided it. From the decision on the
    core must not ask for them, so ``forget_before`` raises what ``first_index`` says at once.

    Invariant: ``newest`` is at or behind the start of the log, never before it; the driver sets it before it lets the
    log forget entries.

    Args:
        log: the log.
        newest: the newest snapshot; at index 0 with the first members where there is none.
    """

    def __init__(self, log: Log, newest: SnapshotMeta) -> None:
        self._log = log
        self.newest = newest
        self._first_index = log.first_index()

    def forget_before(self, index: int) -> None:
        """Entries before ``index`` are about to go."""
        self._first_index = max(self._first_index, index)

    def first_index(self) -> int:
        """See ``LogStorage``."""
        return self._first_index

    def last_index(self) -> int:
        """See ``LogStorage``."""
        return max(self._log.last_index(), self._first_index - 1)

    def term(self, index: int) -> int:
        """See ``LogStorage``."""
        return self._log.term(index)

    def entries(self, low: int, high: int, max_bytes: int) -> Sequence[Entry]:
        """See ``LogStorage``."""
        return self._log.entries(low, high, max_bytes)

    def find(self, kind: int, low: int) -> Sequence[int]:
        """See ``LogStorage``."""
        return self._log.find(kind, low) if low <= self._log.last_index() else []

    def snapshot(self) -> SnapshotMeta:
        """See ``LogStorage``."""
        return self.newest

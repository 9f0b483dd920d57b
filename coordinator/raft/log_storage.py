"""The seam between the Raft core and whatever keeps the log. The core only reads here; the driver writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from oarlock.coordinator.raft.messages import SnapshotMeta
from oarlock.wire.entries import Entry


class LogStorage(Protocol):
    """The durable part of the log, as far as the core must read it.

    The core asks only for what it was told is durable (:meth:`Raft.persisted`), or what was there when it was made.
    Between two calls into the core the driver may drop entries at the front (after a snapshot), nothing else.

    Invariants:
    1. Entries from ``first_index()`` to ``last_index()`` are there without a gap; ``last_index()`` is
       ``first_index() - 1`` where there is none.
    2. ``snapshot().index`` is at least ``first_index() - 1`` and at most ``last_index()``.
    """

    def first_index(self) -> int:
        """The index of the oldest entry that can be read; 1 for a log that never dropped any."""

    def last_index(self) -> int:
        """The index of the newest entry, or ``first_index() - 1``."""

    def term(self, index: int) -> int:
        """The term of an entry between ``first_index() - 1`` and ``last_index()``; 0 for index 0."""

    def entries(self, low: int, high: int, max_bytes: int) -> Sequence[Entry]:
        """Entries ``low <= index < high``, as many as fit in ``max_bytes`` of payload, but at least one."""

    def find(self, kind: int, low: int) -> Sequence[int]:
        """The indexes of all entries of ``kind`` from ``low`` on, which is at most one more than ``last_index()``."""

    def snapshot(self) -> SnapshotMeta:
        """The newest snapshot; at index 0, with the first members, for a log that began without one."""

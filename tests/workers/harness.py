"""Drives a bare state machine: requests go in as log entries, replies come out as they would travel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgpack

from oarlock.storage.replica import Replica
from oarlock.wire.entries import Entry, EntryKind
from oarlock.wire.errors import RequestError
from oarlock.wire.frames import pack_error
from oarlock.wire.operations import Event, Op
from oarlock.workers import ranges
from oarlock.workers.apply import Applied, StateMachine
from oarlock.workers.history import history_steps
from oarlock.workers.queries import steps_of
from oarlock.workers.steps import Cursor

INCARNATION = 0xABCDEF
MAP_BYTES = 1 << 24

Group = list[Any]


def travelled(value: Any) -> Any:
    """``value`` as the other end of a wire sees it: tuples have become lists."""
    return msgpack.unpackb(msgpack.packb(value), strict_map_key=False)


def kind_of(request: list[Any]) -> EntryKind:
    """The kind of entry that a write belongs in."""
    if request[1] == Op.LEASE_GRANT:
        return EntryKind.LEASE_GRANT
    return EntryKind.LEASE_REVOKE if request[1] == Op.LEASE_REVOKE else EntryKind.BATCH


class Harness:
    """One replica with its state machine, and the log that it was fed.

    Args:
        travels: whether replies come as the other end of a wire sees them, or as callers in the worker's process do.
    """

    def __init__(self, directory: Path, *, map_bytes: int = MAP_BYTES, travels: bool = True, **bounds: int) -> None:
        self._travels = travels
        self._travelled = travelled if travels else lambda value: value
        self.directory = directory
        self._map_bytes = map_bytes
        self._bounds = bounds
        self.log: list[Entry] = []
        self.batch = 0
        self._open()

    def _open(self) -> None:
        self.replica = Replica.open(self.directory, boot_id="boot", map_bytes=self._map_bytes)
        self.machine = StateMachine(self.replica, INCARNATION, **self._bounds)

    def restart(self) -> None:
        """Everything in memory is lost, and what was not committed; the log gives that back."""
        applied_index = self.replica.meta.applied_index
        self.close()
        self._open()
        lost = [entry for entry in self.log if self.replica.meta.applied_index < entry.index <= applied_index]
        self.machine.apply_entries(lost)

    def close(self) -> None:
        self.replica.close(clean=False)

    def entry(self, groups: list[Group], kind: int = EntryKind.BATCH, **changes: Any) -> Entry:
        """The next entry of the log, from this worker; not applied yet."""
        self.batch += 1
        index = self.log[-1].index + 1 if self.log else self.replica.meta.applied_index + 1
        entry = Entry(index, 1, kind, INCARNATION, self.batch, msgpack.packb(groups))._replace(**changes)
        self.log.append(entry)
        return entry

    def drain(self, entries: list[Entry], *, are_checked: bool = True) -> tuple[list[Applied], list[Event]]:
        """Applies entries in one transaction; returns what became of them, and the events.

        What can be foreseen of the first comes true, if its requests are such as a worker lets pass.
        """
        foreseen = self.machine.foresee(entries[0]) if entries and are_checked else None
        applied = self.machine.apply_entries(entries)
        assert foreseen is None or applied[0].replies in (foreseen, None)
        return applied, self.machine.changes

    def apply(self, groups: list[Group], kind: int = EntryKind.BATCH) -> list[list[Any]]:
        """Applies one entry of groups; returns the reply items of all of them."""
        applied, _ = self.drain([self.entry(groups, kind)])
        assert applied[0].replies is not None
        return [self._travelled(reply) for group in applied[0].replies for reply in group]

    def write(self, *operations: list[Any]) -> list[list[Any]]:
        """Applies operations that nobody will send again, each as an entry; returns their reply items."""
        return [self.apply([[0, 0, 0, [[1, *op]]]], kind_of([1, *op]))[0] for op in operations]

    def read(self, request: list[Any], budget_rows: int = 1) -> list[Any]:
        """Answers a read as a worker does, a long one in slices."""
        with self.replica.read() as view:
            try:
                if request[1] == Op.RANGE and (reply := ranges.get(view, request)) is not None:
                    return list(self._travelled(reply))
                cursor = Cursor(steps_of(view, request, encoded=not self._travels))
                while not cursor.step(budget_rows):
                    pass
                return [request[0], view.revision, self._travelled(cursor.result)]
            except RequestError as error:
                return pack_error(request[0], error)

    def history(
        self, key: bytes, flags: int, range_end: bytes, start_revision: int, max_bytes: int = 1 << 20
    ) -> list[Any]:
        """All events from a revision on, page by page."""
        events: list[Any] = []
        with self.replica.read() as view:
            while start_revision <= view.revision:
                cursor = Cursor(history_steps(view, [key, flags, range_end, start_revision, 0, max_bytes]))
                while not cursor.step(1):
                    pass
                page, next_revision = self._travelled(cursor.result)
                assert next_revision > start_revision
                assert all(start_revision <= event[1][3] < next_revision for event in page)
                events += page
                start_revision = next_revision
        return events

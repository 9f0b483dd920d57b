"""What the replica's tests share: a replica to write to in one line, and its contract as a plain dictionary."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oarlock.storage.replica import Compactor, Replica, Scrubber, WriteView

BOOT = "boot-1"
SMALL_MAP = 1 << 20
AMPLE_MAP = 1 << 26


def open_replica(
    directory: Path, boot_id: str = BOOT, *, map_bytes: int = SMALL_MAP, max_read_age_s: float = 60.0
) -> Replica:
    return Replica.open(directory, boot_id=boot_id, map_bytes=map_bytes, max_read_age_s=max_read_age_s)


@contextmanager
def entry(replica: Replica) -> Iterator[WriteView]:
    """One log entry in a transaction of its own; what is done in it is one operation."""
    with replica.write() as view:
        yield view
        view.finish_operation()
        view.end_entry(view.applied_index + 1, 1, view.position + 1)


def put(replica: Replica, key: bytes, value: bytes = b"v", lease: int = 0) -> int:
    """Puts a key; returns the revision."""
    with entry(replica) as view:
        view.put(key, value, lease)
    return replica.meta.revision


def write_on(replica: Replica, key: bytes, value: bytes = b"v") -> None:
    """Puts a key, as an entry that is left to be committed with others."""
    with replica.write_on() as view:
        view.put(key, value, 0)
        view.finish_operation()
        view.end_entry(view.applied_index + 1, 1, view.position + 1)


def delete(replica: Replica, key: bytes) -> int:
    with entry(replica) as view:
        view.delete(key)
    return replica.meta.revision


def compact(replica: Replica, revision: int) -> None:
    """Compacts, and removes all that is superfluous."""
    with entry(replica) as view:
        view.set_compact_revision(revision)
    compactor = Compactor()
    while not compactor.step(replica, max_events=3):
        pass


def scrub(replica: Replica, max_rows: int = 7) -> None:
    """A whole pass, in small slices."""
    scrubber = Scrubber()
    while not scrubber.step(replica, max_rows):
        pass


def event_revisions(replica: Replica) -> list[int]:
    """The revisions of all events that are really stored."""
    with replica.read() as view:
        return [int.from_bytes(event_id[:8], "big") for event_id, _ in view.transaction.cursor(view.tables.events)]

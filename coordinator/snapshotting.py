"""When to make a snapshot, who makes it, and what the log may then forget."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from oarlock.storage import snapshots
from oarlock.storage.snapshots import SnapshotMetadata
from oarlock.wire.errors import OarlockError
from oarlock.wire.logs import get_logger

log = get_logger(__name__)

KEEP_SNAPSHOTS: Final = 2
"""The newest, and the one before in case that one turns out damaged."""
MAX_LOG_BYTES: Final = 512 * 1024 * 1024
"""A snapshot is also due when the log has grown so far, however few the entries: it bounds the disk and the restart."""
RETRY_S: Final = 30.0
"""A worker that was asked and has not answered by then is given up; another one is asked."""


class Snapshotting:
    """Decides from the log's growth; the worker that is asked does the work.

    Args:
        directory: of the snapshot files.
        entries: a snapshot is due every so many entries (``snapshot-count``).
        keep_entries: so many are kept before the newest snapshot, for workers and members that are a little behind
            (``snapshot-catchup-entries``).
        newest_index: of the newest snapshot there is, 0 for none.
    """

    def __init__(self, directory: Path, entries: int, keep_entries: int, newest_index: int) -> None:
        self.directory = directory
        self.newest_index = newest_index
        self._entries = entries
        self._keep_entries = keep_entries
        self._asked_s: float | None = None

    def due(self, commit_index: int, log_bytes: int, now_s: float) -> bool:
        """Whether a worker should be asked for a snapshot now; once it says yes, it waits for the answer."""
        if self._asked_s is not None and now_s - self._asked_s < RETRY_S:
            return False
        grown = commit_index - self.newest_index
        if grown < self._entries and (log_bytes < MAX_LOG_BYTES or grown <= self._keep_entries):
            return False
        self._asked_s = now_s
        return True

    def made(self, path: Path) -> SnapshotMetadata | None:
        """A worker has made the snapshot ``path``: what it replaces is removed.

        Returns:
            What it is of; None where it is not usable, or no news.
        """
        self._asked_s = None
        try:
            metadata = snapshots.read_metadata(path)
        except (OSError, OarlockError) as problem:
            log.error("snapshot is not usable", path=str(path), problem=str(problem))
            return None
        if metadata.index <= self.newest_index:
            return None
        self.newest_index = metadata.index
        snapshots.prune(self.directory, KEEP_SNAPSHOTS)
        log.info("snapshot taken", index=metadata.index)
        return metadata

    def droppable_index(self) -> int:
        """Up to where the log may forget: any of the snapshots can be gone on from, also if the newest is damaged."""
        found = snapshots.list_snapshots(self.directory)
        if len(found) < KEEP_SNAPSHOTS:
            return 0  # the one before is the empty store
        return min(self.newest_index - self._keep_entries, found[-1].last_index)

    def received(self, index: int) -> None:
        """Another member's snapshot at ``index`` is here: what it replaces is removed."""
        self.newest_index = max(self.newest_index, index)
        snapshots.prune(self.directory, KEEP_SNAPSHOTS)

    def failed(self, problem: str) -> None:
        """The worker could not make it. Asked again when RETRY_S have passed since it was asked."""
        log.error("snapshot failed", problem=problem)

    def newest(self) -> Path | None:
        """The newest snapshot file, for a worker that the log cannot catch up."""
        found = snapshots.list_snapshots(self.directory)
        return found[0].path if found else None

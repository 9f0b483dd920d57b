"""Owns a worker's replica: opens or rebuilds it, applies entries, regains space, makes snapshots."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from oarlock.storage import snapshots
from oarlock.storage.replica import Meta, Replica, ReplicaUntrustedError
from oarlock.storage.replica.compaction import Compactor
from oarlock.storage.replica.scrub import Scrubber
from oarlock.storage.snapshots import SnapshotMetadata
from oarlock.wire.entries import Entry
from oarlock.wire.errors import DamageError, OarlockError
from oarlock.wire.logs import get_logger
from oarlock.wire.members import Attributes
from oarlock.wire.operations import Alarm, Event
from oarlock.workers.apply import Applied, StateMachine, load_ledger, load_members
from oarlock.workers.batch_run import Reply

if TYPE_CHECKING:
    from oarlock.storage.replica.resident import Residence

log = get_logger(__name__)

DATA_NAME: Final = "data.mdb"
COMPACTION_SLICE_EVENTS: Final = 500
"""Events looked at between two chances for requests to go on: about a millisecond."""
SCRUB_SLICE_ROWS: Final = 200
"""Rows checked a slice; with a slice a second, a million rows take an hour and a half, and no time to speak of."""


class Drained(NamedTuple):
    """What became of the entries of one drain."""

    entries: Sequence[Applied]
    changes: Sequence[Event]


class ReplicaKeeper:
    """The replica of one worker and what belongs to it.

    Attributes:
        is_rebuilt: whether the replica was made anew by this process.

    Invariant: ``replica`` is open, and ``machine`` applies to it, at any time between ``open`` and ``close``.

    Args:
        directory: of this worker alone: the replica's directory and the file that says whose data it is.
        snapshot_directory: where the host's snapshots are, to begin from.
        boot_id: of the machine's current boot.
        map_bytes: size of the memory map to start with.
    """

    def __init__(self, directory: Path, snapshot_directory: Path, *, boot_id: str, map_bytes: int) -> None:
        self._directory = directory
        self._snapshot_directory = snapshot_directory
        self._boot_id = boot_id
        self._map_bytes = map_bytes
        self._replica_directory = directory / "replica"
        self._identity_path = directory / "identity.json"
        self._outgoing_directory = directory / "outgoing"
        self._scratch_directory = snapshot_directory / f"copy-{directory.name}"
        self.identity = (0, 0)
        self._initial_members: Mapping[int, Attributes] = {}
        self._compactor = Compactor()
        self._scrubber = Scrubber()
        self._residence: Residence | None = None
        self.is_compacting = False
        self.is_rebuilt = False
        self._snapshot_thread: threading.Thread | None = None
        self.replica: Replica
        self._machine: StateMachine

    @property
    def meta(self) -> Meta:
        """The replicated facts as of the last transaction."""
        return self.replica.meta

    @property
    def is_learner(self) -> bool:
        """Whether this member does not vote, as far as the replica knows."""
        return self.identity[1] in self._machine.members.learners

    @property
    def alarms(self) -> list[list[int]]:
        """``[member, alarm]`` of all that are active."""
        return self._machine.alarms.of_kind(Alarm.NONE)

    @property
    def is_distrusted(self) -> bool:
        """Whether this member's replicas were found to differ from the others', while another voter's were not.

        Where no voter is without that alarm, all serve: else nobody could take the request that ends it.
        """
        if not self._machine.alarms.active:
            return False
        distrusted = {member for member, _ in self._machine.alarms.of_kind(Alarm.CORRUPT)}
        return self.identity[1] in distrusted and not distrusted.issuperset(self._machine.members.voters)

    def open(self, *, discard: bool) -> None:
        """Opens the replica, or rebuilds it from the newest snapshot where it cannot be trusted.

        Args:
            discard: do not even look at the replica: it has made a process crash.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        Replica.discard(self._scratch_directory)  # a snapshot that was interrupted
        Replica.discard(self._outgoing_directory)
        if discard:
            log.warning("replica is rebuilt", why="the process before this one died while it was in use")
        elif self._replica_directory.exists():
            try:
                self._use(self._open())
                return
            except (ReplicaUntrustedError, DamageError) as problem:
                log.warning("replica is rebuilt", why=problem.message)
        self._start_anew()

    def distrust(self) -> None:
        """The replica is wrong, by what the other members say: it is rebuilt at the next start, come what may."""
        self.replica.distrust()

    def belongs_elsewhere(self, cluster_id: int, last_index: int) -> bool:
        """Whether the replica holds another cluster's data, or more than the log does: it is to be rebuilt then."""
        self.identity = (cluster_id, self.identity[1])
        if self._recorded_cluster() not in (None, cluster_id):
            log.warning("replica is rebuilt", why="it holds the data of another cluster")
            return True
        if self.meta.applied_index > last_index:
            log.warning("replica is rebuilt", why="it is ahead of the log", last_index=last_index)
            return True
        return False

    def identify(self, cluster_id: int, member_id: int, initial_members: Mapping[int, Attributes]) -> None:
        """Records whose data this is, and takes the members as of the beginning of the log."""
        self._initial_members = self._machine.initial_members = initial_members
        self.identity = (cluster_id, member_id)
        if self._recorded_cluster() != cluster_id:
            self._record_cluster(cluster_id)

    def rebuild(self) -> None:
        """Replaces the replica by the newest snapshot's content, or by an empty one."""
        self._wait_for_snapshot()
        self.replica.close(clean=False)
        self._start_anew()

    def apply(
        self,
        entries: Sequence[Entry],
        own_incarnation: int,
        *,
        with_previous: bool = True,
    ) -> Drained:
        """Applies committed entries, all or none; the replica commits them when it is read, or at ``settle``.

        Args:
            entries: in log order.
            own_incarnation: of this worker: replies are made for its entries.
            with_previous: whether watchers want to know what a key was before a put.

        Raises:
            EntryOrderError, ReplicaFailedError, DamageError: see ``StateMachine.apply_entries``.
        """
        self._machine.own_incarnation = own_incarnation
        self._machine.with_previous = with_previous
        applied = self._machine.apply_entries(entries)
        if any(each.compacted for each in applied):
            self.is_compacting = True
        return Drained(applied, self._machine.changes)

    def foresee(self, entry: Entry) -> list[list[Reply]] | None:
        """The replies of an entry of ours if it is applied next, if they can be told already; see ``StateMachine``."""
        return self._machine.foresee(entry)

    @property
    def unsettled_bytes(self) -> int:
        """Size of the entries that were applied since the replica was settled last."""
        return 0 if self.replica.is_settled else self._machine.unsettled_bytes

    def settle(self) -> None:
        """Commits what was applied; see ``Replica.settle`` for what it raises."""
        self.replica.settle()

    def compact_slice(self) -> bool:
        """Removes some of what compactions made superfluous; True if nothing is left to remove."""
        self.is_compacting = not self._compactor.step(self.replica, COMPACTION_SLICE_EVENTS)
        return not self.is_compacting

    def scrub_slice(self) -> None:
        """Checks some of the replica against its checksums.

        Raises:
            DamageError: it is not what was written; the process should ask to be started again with a rebuilt replica.
        """
        self._scrubber.step(self.replica, SCRUB_SLICE_ROWS)

    def let_go(self, *, is_idle: bool) -> None:
        """Unmaps what the worker has looked at and does not need any more; to be called every second.

        Args:
            is_idle: nothing was asked in the last second.
        """
        if self._residence is None:
            from oarlock.storage.replica.resident import Residence  # with ctypes: not before the worker serves

            self._residence = Residence(self.replica.path)
        with suppress(OSError):  # a system that does not tell: the kernel lets go when it must
            self._residence.every_second(is_idle=is_idle)

    def make_snapshot(
        self, directory: Path, loop: asyncio.AbstractEventLoop, done: Callable[[str | None, str], None]
    ) -> None:
        """Makes a snapshot on a thread of its own, while the replica goes on.

        Args:
            directory: where the snapshot files are.
            loop: on which ``done`` is called.
            done: takes the path, or None and what went wrong.
        """
        if self._snapshot_thread is not None and self._snapshot_thread.is_alive():
            done(None, "a snapshot is under way")
            return
        self.settle()

        def work() -> None:
            try:
                result: tuple[str | None, str] = (str(self._write_snapshot(directory)), "")
            except (OarlockError, OSError) as problem:
                result = (None, str(problem))
            loop.call_soon_threadsafe(done, *result)

        self._snapshot_thread = threading.Thread(target=work, name="snapshot", daemon=True)
        self._snapshot_thread.start()

    def outgoing_directory(self) -> Path:
        """Where snapshots are made that are only to be sent; whoever sends one removes it."""
        self._outgoing_directory.mkdir(exist_ok=True)
        return self._outgoing_directory

    def close(self, *, clean: bool) -> None:
        """Closes the replica, after a snapshot under way; cleanly, so that it is trusted even after another boot."""
        self._wait_for_snapshot()
        self.replica.close(clean=clean)

    def _write_snapshot(self, directory: Path) -> Path:
        scratch = self._scratch_directory
        Replica.discard(scratch)
        scratch.mkdir(parents=True)
        try:
            meta = self.replica.copy_to(scratch / DATA_NAME)
            path = directory / snapshots.snapshot_name(meta.applied_index, meta.applied_term)
            metadata = self._describe(scratch, meta)
            (scratch / DATA_NAME).rename(snapshots.part_path(path))
        finally:
            Replica.discard(scratch)
        snapshots.seal_snapshot(path, metadata)
        log.info("snapshot made", index=meta.applied_index, revision=meta.revision, size_bytes=path.stat().st_size)
        return path

    def _describe(self, scratch: Path, meta: Meta) -> SnapshotMetadata:
        """What the snapshot file says of the copy in ``scratch``; read from the copy, for the replica goes on."""
        Replica.adopt(scratch, boot_id=self._boot_id, just_copied=True)
        copy = Replica.open(scratch, boot_id=self._boot_id, map_bytes=self.replica.map_bytes)
        try:
            with copy.read() as view:
                leases = [list(lease) for lease in view.leases()]
                ledger = load_ledger(view).to_value()
                members = load_members(view, self._initial_members).to_value()
        finally:
            copy.close(clean=False)
        return SnapshotMetadata(
            index=meta.applied_index,
            term=meta.applied_term,
            cluster_id=self.identity[0],
            members=members,
            revision=meta.revision,
            compact_revision=max(meta.compact_revision, 0),
            state_hash=meta.state_hash,
            leases=leases,
            ledger=ledger,
            created_ms=time.time_ns() // 1_000_000,
        )

    def _wait_for_snapshot(self) -> None:
        if self._snapshot_thread is not None:
            self._snapshot_thread.join()

    def _open(self) -> Replica:
        return Replica.open(self._replica_directory, boot_id=self._boot_id, map_bytes=self._map_bytes)

    def _start_anew(self) -> None:
        self.is_rebuilt = True
        for found in snapshots.list_snapshots(self._snapshot_directory):
            try:
                cluster_id = snapshots.read_metadata(found.path).cluster_id
                if self.identity[0] not in (0, cluster_id):
                    log.error("snapshot is of another cluster", path=str(found.path))
                    continue
                self._extract(found.path)
                break
            except DamageError as problem:
                log.error("snapshot is damaged", problem=problem.message)
            except FileNotFoundError:
                log.info("snapshot was replaced meanwhile", path=str(found.path))
        else:
            self._clear()
        self._use(self._open())

    def _clear(self) -> None:
        Replica.discard(self._replica_directory)
        self._identity_path.unlink(missing_ok=True)

    def _extract(self, snapshot: Path) -> None:
        self._clear()
        self._replica_directory.mkdir(parents=True)
        metadata = snapshots.extract_body(snapshot, self._replica_directory / DATA_NAME)
        Replica.adopt(self._replica_directory, boot_id=self._boot_id)
        self._record_cluster(metadata.cluster_id)
        log.info("replica begins from a snapshot", path=str(snapshot), index=metadata.index)

    def _use(self, replica: Replica) -> None:
        self.replica = replica
        self._machine = StateMachine(replica)
        self._machine.initial_members = self._initial_members
        self._scrubber = Scrubber()
        self._residence = None
        self.is_compacting = not self.compact_slice()

    def _record_cluster(self, cluster_id: int) -> None:
        part = self._identity_path.with_suffix(".part")
        part.write_text(json.dumps({"cluster_id": cluster_id}))
        part.rename(self._identity_path)

    def _recorded_cluster(self) -> int | None:
        try:
            return int(json.loads(self._identity_path.read_text())["cluster_id"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

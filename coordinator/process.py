"""The coordinator's process: puts the parts together, runs until it is told to stop, and says why where it cannot."""

from __future__ import annotations

import gc
import signal
import time
from pathlib import Path
from typing import Any, Final

import zmq

from oarlock.coordinator.assembly import assemble
from oarlock.coordinator.bootstrap import load_or_begin
from oarlock.storage import snapshots
from oarlock.storage.disk import RealDisk
from oarlock.storage.log import Identity, Log, has_log
from oarlock.storage.log.verification import Verification
from oarlock.storage.snapshots import SnapshotMetadata
from oarlock.wire import commit_word, logs, process, scheduling
from oarlock.wire.errors import ConfigurationError, DamageError, OarlockError
from oarlock.wire.internal import make_run_directory

log = logs.get_logger(__name__)

CLOSE_TIMEOUT_S: Final = 5.0
"""What was handed to the log writer is written at a stop; a disk that takes longer is not waited for."""


def main() -> int:
    """Runs the coordinator; returns the exit code of the process."""
    scheduling.take_short_turns()
    process.die_with_parent()
    process.set_process_title("oarlock: coordinator")
    settings = process.child_settings()
    logs.configure("coordinator", level=settings["log_level"], format=settings["log_format"])
    try:
        run(settings)
    except OarlockError as problem:
        # Nothing that a restart could help: damaged files, other data, a disk that fails.
        log.critical("coordinator stops", problem=problem.message)
        process.notify_fatal(problem.message)
        return process.EXIT_FATAL
    return 0


def run(settings: dict[str, Any]) -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        OarlockError: data that cannot be used, a log that cannot be written, or a cluster that this is no member of.
    """
    word = commit_word.inherited(writable=True)
    word.publish(commit_word.ASK)  # what the process before has left there
    data_dir = Path(settings["data_dir"])
    make_run_directory(data_dir)
    begin_s = time.monotonic()
    disk = RealDisk()
    log_directory = data_dir / "log"
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
    identity = load_or_begin(data_dir, settings, context, log_exists=has_log(disk, log_directory))
    entry_log = _open_log(log_directory, disk, identity.of_log)
    newest = _newest_snapshot(data_dir / "snapshots", identity.of_log)
    _join(entry_log, newest, data_dir / "snapshots", alone=list(identity.initial) == [identity.member_id])
    parts = assemble(settings, identity, entry_log, newest, context, word)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: parts.coordinator.stop())
    log.info(
        "log is open",
        cluster=f"{identity.cluster_id:x}",
        member=f"{identity.member_id:x}",
        first_index=entry_log.first_index(),
        last_index=entry_log.last_index(),
        snapshot_index=0 if newest is None else newest.index,
        took_s=round(time.monotonic() - begin_s, 3),
    )
    gc.collect()
    gc.freeze()
    gc.enable()  # it was started without
    process.notify_ready()
    damages: list[DamageError] = []

    def end(damage: DamageError) -> None:
        damages.append(damage)
        parts.coordinator.stop()

    verification = Verification(entry_log, disk, end)
    verification.start()
    try:
        parts.coordinator.run()
    finally:
        process.notify_stopping()
        verification.close()
        parts.close(CLOSE_TIMEOUT_S)
        context.term()
    entry_log.close()
    if damages:
        raise damages[0]


def _open_log(directory: Path, disk: RealDisk, identity: Identity) -> Log:
    if not has_log(disk, directory):
        return Log.create(directory, disk, identity)
    entry_log = Log.open(directory, disk, identity)
    if entry_log.torn_tail is not None:
        log.warning("a write that a crash interrupted was cut off", **entry_log.torn_tail._asdict())
    return entry_log


def _newest_snapshot(directory: Path, identity: Identity) -> SnapshotMetadata | None:
    """What the newest usable snapshot is of; one that is damaged is passed over for the one before."""
    snapshots.remove_parts(directory)
    for found in snapshots.list_snapshots(directory):
        try:
            metadata = snapshots.read_metadata(found.path)
        except DamageError as problem:
            log.error("snapshot is damaged", problem=problem.message)
            continue
        if metadata.cluster_id != identity.cluster_id:
            log.error("snapshot is of another cluster", path=str(found.path))
            continue
        return metadata
    return None


def _join(entry_log: Log, newest: SnapshotMetadata | None, directory: Path, *, alone: bool) -> None:
    """Makes sure that the log goes on from the newest snapshot.

    A snapshot that came from another member may be ahead of a log that was not emptied yet when the process died, or
    contradict its end, which was never committed then: that is made up for here. A cluster that began with one member
    has lost something then.

    Raises:
        ConfigurationError: entries between the two are missing; they are not invented.
    """
    snapshot_index = 0 if newest is None else newest.index
    first, last = entry_log.first_index(), entry_log.last_index()
    contradicted = (
        newest is not None and first - 1 <= snapshot_index <= last and entry_log.term(snapshot_index) != newest.term
    )
    if newest is not None and (snapshot_index > last or contradicted) and not alone:
        entry_log.reset(newest.index, newest.term)
    elif not first - 1 <= snapshot_index <= last:
        raise ConfigurationError(
            f"{directory}: the newest usable snapshot ends at entry {snapshot_index}, but the log holds entries "
            f"{first} to {last}: put the files back that belong together"
        )

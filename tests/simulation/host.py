"""A simulated machine: a disk, a clock, a coordinator and workers, and everything that can happen to them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from oarlock.storage.log import Identity, Log
from oarlock.storage.log.layout import HEADER_BYTES, salt_of
from oarlock.storage.log.scan import records
from oarlock.storage.memory_disk import MemoryDisk
from oarlock.wire import commit_word
from oarlock.wire.errors import DamageError

from .coordinator import CLUSTER, LOG_DIRECTORY, SimCoordinator
from .worker import SimWorker
from .world import World

if TYPE_CHECKING:
    from .cluster import SimCluster

IPC_S: Final = 0.0005
"""The longest way between two processes of a host."""


class Channel:
    """One direction of a stream connection: messages arrive in order."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._last_s = 0.0

    def deliver(self, delay_s: float, action: Callable[[], None]) -> None:
        """Delivers after ``delay_s``, but not before what was sent earlier."""
        self._last_s = max(self._last_s, self._world.now_s + delay_s)
        self._world.after(self._last_s - self._world.now_s, action)


class SimHost:
    """One machine of the cluster.

    Attributes:
        member_id: which member lives here; 0 for a spare machine.
        powered: whether the machine is on.
        damage: what its log said when it refused to start; the member is to be replaced then.
        is_suspect: a bit of its disk was flipped, and it has not started since.
        slow_disk_s: the longest that a sync takes, where the disk is slow.
        clock_rate: how fast its clock runs.
        commit_word: the memory that its processes share, as long as it is on.
    """

    def __init__(self, cluster: SimCluster, number: int, directory: Path) -> None:
        self.cluster = cluster
        self.world = cluster.world
        self.number = number
        self.directory = directory
        self.snapshots = directory / "snapshots"
        self.member_id = 0
        self.powered = False
        self.damage = ""
        self.is_suspect = False
        self.slow_disk_s = 0.0
        self.clock_rate = 1.0
        self.coordinator: SimCoordinator | None = None
        self.workers: dict[int, SimWorker] = {}
        self._boots = 0
        self._channels: dict[tuple[bytes, str], Channel] = {}
        self.commit_word = commit_word.private()
        self._wipe()

    def _wipe(self) -> None:
        self.disk = MemoryDisk()
        shutil.rmtree(self.directory, ignore_errors=True)
        self.snapshots.mkdir(parents=True)

    # --- life

    @property
    def boot_id(self) -> str:
        """Another one after every start of the machine."""
        return f"boot {self._boots}"

    @property
    def running(self) -> bool:
        """Whether its coordinator is alive."""
        return self.coordinator is not None

    def clock_s(self) -> float:
        """The machine's monotonic clock."""
        return self.world.now_s * self.clock_rate

    def become(self, member_id: int) -> None:
        """The machine gets a new member, with empty disks."""
        self._wipe()
        self.member_id = member_id
        self.power_on()

    def power_on(self) -> None:
        """Starts the machine and all its processes."""
        if self.powered or not self.member_id or self.damage:
            return
        self.powered = True
        self._boots += 1
        self.commit_word = commit_word.private()
        self.start_coordinator()
        for number in range(self.cluster.profile.workers):
            self.start_worker(number)

    def power_off(self) -> None:
        """The power fails: what was not synced is lost, or torn."""
        if not self.powered:
            return
        self.powered = False
        for number in list(self.workers):
            for connection in list(self.workers[number].connections):
                if self.world.rng.random() < 0.5:
                    connection.fall_silent()
            self._stop_worker(number)
        self._stop_coordinator()
        self.disk = self.disk.crash(self.world.rng.getrandbits(32))

    def retire(self) -> None:
        """The member is gone for good; the machine is free for another."""
        self.power_off()
        self.member_id = 0
        self.damage = ""
        self.is_suspect = False
        self.slow_disk_s = 0.0
        self._wipe()

    def start_coordinator(self) -> None:
        """Starts the coordinator, if the machine is on and it is not running; a damaged log keeps it from it."""
        if not self.powered or self.coordinator is not None:
            return
        try:
            self.coordinator = SimCoordinator(self)
        except DamageError as problem:
            self.world.note("host", self.number, "member", self.member_id, "refuses to start:", problem)
            _check_report(problem)
            self.damage = str(problem)
            self.power_off()
            return
        except OSError as problem:
            self.world.note("host", self.number, "cannot open its log:", problem)
            self.world.after(0.2, self.start_coordinator)
            return
        self.is_suspect = False
        self.cluster.judge.started(self.coordinator)
        self.cluster.network.receivers[self.member_id] = self.coordinator.receive
        self.coordinator.end_turn()

    def coordinator_died(self, restart_s: float) -> None:
        """The coordinator's process is killed, or ends; it is started again after a while."""
        if self.coordinator is None:
            return
        self._stop_coordinator()
        self.world.after(restart_s, self.start_coordinator)

    def _stop_coordinator(self) -> None:
        if self.coordinator is None:
            return
        self.coordinator.stop()
        self.coordinator = None
        for worker in self.workers.values():
            self._deliver(worker, "answer", partial(worker.take, worker.on_link_lost))
        self.cluster.network.receivers.pop(self.member_id, None)
        self.disk.failing_syncs = self.disk.failing_writes = 0

    def start_worker(self, number: int) -> None:
        """Starts a worker, if the machine is on and it is not running."""
        if self.powered and number not in self.workers:
            self.workers[number] = SimWorker(self, number)

    def worker_died(self, number: int, restart_s: float) -> None:
        """A worker's process is killed; it is started again after a while."""
        self._stop_worker(number)
        self.world.after(restart_s, lambda: self.start_worker(number))

    def _stop_worker(self, number: int) -> None:
        worker = self.workers.pop(number, None)
        if worker is not None:
            worker.stop()
            if self.coordinator is not None:
                self.coordinator.workers.pop(worker.identity, None)

    def describe(self) -> str:
        """What its member says of itself, for a person; nothing of a spare machine."""
        if not self.member_id:
            return ""
        if self.coordinator is None:
            return f"{self.member_id}: down {self.damage}"
        return f"{self.member_id}: {self.coordinator.raft.status}"

    def close(self) -> None:
        """The end of the run."""
        self.power_off()
        shutil.rmtree(self.directory, ignore_errors=True)

    # --- inside the machine

    def ask(self, worker: SimWorker, message: list[Any]) -> None:
        """A worker's message to the coordinator; lost if that one is gone when it comes."""
        coordinator = self.coordinator
        if coordinator is not None:
            self._deliver(worker, "ask", lambda: coordinator.from_worker(worker, message))

    def answer(self, worker: SimWorker, message: list[Any]) -> None:
        """The coordinator's answer to a worker."""
        self._deliver(worker, "answer", lambda: worker.take(lambda: worker.on_answer(message)))

    def publish(self, worker: SimWorker, message: list[Any]) -> None:
        """What the coordinator publishes; PUB drops some of it."""
        if self.world.calm or self.world.rng.random() >= self.cluster.profile.publish_loss:
            self._deliver(worker, "answer", lambda: worker.take(lambda: worker.on_committed(message)))

    def _deliver(self, worker: SimWorker, direction: str, action: Callable[[], Any]) -> None:
        channel = self._channels.get((worker.identity, direction))
        if channel is None:
            channel = self._channels[worker.identity, direction] = Channel(self.world)
        channel.deliver(self.world.rng.random() * IPC_S, action)

    def disk_latency_s(self) -> float:
        """How long the next sync takes."""
        return self.world.rng.random() * (self.slow_disk_s or self.cluster.profile.sync_s)

    # --- damage

    def flip_a_bit(self) -> None:
        """Damages the log of a machine that is off. If that goes unnoticed, nothing may have been lost but its end, and
        the log says what it said before that was written: with entries, perhaps, that its last record took back.

        A log cannot tell damage to its last record from a torn write (docs/log.md). A member that lost what it had
        promised must not go on, here as in life; so it is replaced as well.
        """
        assert not self.powered
        self.is_suspect = True
        before = _content(self.disk, self.member_id)
        names = self.disk.list(LOG_DIRECTORY)
        path = LOG_DIRECTORY / self.world.rng.choice(names)
        size = len(self.disk.contents(path))
        if before is None or not size:
            return
        # Most of a preallocated segment is empty; damage is to hit what is there.
        data = self.disk.contents(path).rstrip(b"\0")
        bit = self.world.rng.randrange(max(1, len(data)) * 8)
        earlier = _content(self.disk, self.member_id, path, _up_to_record(data, bit // 8))
        self.disk.flip_bit(path, bit)
        self.world.note("host", self.number, "bit", bit, "of", path.name, "flips")
        after = _content(self.disk, self.member_id)
        if after is None:
            return  # the next start says so
        assert after in (before, earlier), "damage changed what the log says"
        if after != before:
            self.damage = "the end of the log is lost"


def _up_to_record(data: bytes, at: int) -> bytes:
    """What stands in a segment before the record to which the byte ``at`` belongs; all of it where there is none."""
    if len(data) >= HEADER_BYTES:
        for record in records(data, salt_of(data)):
            if record.offset <= at < record.end:
                return data[: record.offset]
    return data


def _content(
    disk: MemoryDisk, member_id: int, path: Path | None = None, data: bytes = b""
) -> tuple[Any, list[Any]] | None:
    """What a log says, read from a copy of its disk, with ``data`` as the file ``path``; None if it is refused as
    damaged."""
    copy = MemoryDisk()
    for name in disk.list(LOG_DIRECTORY):
        copy.replace_contents(LOG_DIRECTORY / name, disk.contents(LOG_DIRECTORY / name))
    if path is not None:
        copy.replace_contents(path, data)
    try:
        log = Log.open(LOG_DIRECTORY, copy, Identity(CLUSTER, member_id))
    except DamageError as problem:
        _check_report(problem)
        return None
    entries = log.entries(log.first_index(), log.last_index() + 1, 1 << 30)
    return (log.start, log.hard_state), entries


def _check_report(problem: DamageError) -> None:
    """Damage is reported with the file and the place."""
    assert f"{LOG_DIRECTORY}/" in str(problem), problem
    assert "byte" in str(problem) or "missing" in str(problem), problem

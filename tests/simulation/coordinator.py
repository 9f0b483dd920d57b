"""A simulated coordinator: the composition of the real one (log, core, lease keeper), without threads or sockets.

The disk is written in the background, as by the real log writer: what is appended is read back at once, and durable
when the sync is over. A crash in between leaves what the ``MemoryDisk`` makes of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from oarlock.coordinator.commit_marks import CommitMarks
from oarlock.coordinator.coordinator import MAX_CATCH_UP_TICKS
from oarlock.coordinator.following import members_of
from oarlock.coordinator.lease_keeper import LeaseKeeper
from oarlock.coordinator.lessor import Lessor
from oarlock.coordinator.log_storage import DurableLog
from oarlock.coordinator.log_writer import DropPrefix, LogWrite, write_to
from oarlock.coordinator.process import _join
from oarlock.coordinator.publishing import Publishing
from oarlock.coordinator.raft import HardState, Membership, Message, Raft, RaftConfig, Ready, Role, SnapshotMeta
from oarlock.coordinator.raft.messages import InstallSnapshot
from oarlock.coordinator.standing import Standing
from oarlock.coordinator.worker_requests import REFUSAL_PAUSE_MS
from oarlock.storage import snapshots
from oarlock.storage.log import Identity, Log, LogFailedError, has_log
from oarlock.storage.snapshots import SnapshotMetadata
from oarlock.wire.commit_word import ASK
from oarlock.wire.entries import Entry, Proposal
from oarlock.wire.errors import NoLeaderError, OarlockError
from oarlock.wire.internal import PUBLISH_INTERVAL_S, Internal
from oarlock.wire.ledger import ProposalLedger

from .network import Packet
from .world import SimProcess

if TYPE_CHECKING:
    from .host import SimHost
    from .worker import SimWorker

CLUSTER: Final = 0xC1
TICK_S: Final = 0.1
LOG_DIRECTORY: Final = Path("/log")
SNAPSHOT_TRIP_S: Final = 0.2
"""A snapshot on its way; several heartbeats long, so that much may happen meanwhile."""
LOOKING_SYNCS: Final = 2
"""How long a worker looks for its entry, in syncs of the disk: here it looks whenever anything else happens to it."""
POSTPONED_S: Final = 0.05
FETCH_BYTES: Final = 4_000
"""Small, so that catching up takes several answers."""


class _Appending:
    """The log as the job writer sees it: the sync comes later, when the simulated disk is done."""

    def __init__(self, log: Log) -> None:
        self.append, self.reset, self.truncate_prefix = log.append, log.reset, log.truncate_prefix

    def sync(self) -> None:
        """Nothing yet."""


class _Port:
    """The workers, as ``Publishing`` sees them."""

    def __init__(self, coordinator: SimCoordinator) -> None:
        self._coordinator = coordinator

    def publish(
        self, term: int, leader: int, commit_index: int, entries: Sequence[Entry], but: bytes | None = None
    ) -> None:
        """Tells all workers, or all but one."""
        for name in list(self._coordinator.workers):
            if name != but:
                self.publish_to(name, term, leader, commit_index, entries)

    def publish_to(self, worker: bytes, term: int, leader: int, commit_index: int, entries: Sequence[Entry]) -> None:
        """Tells one worker."""
        coordinator = self._coordinator
        told = coordinator.workers.get(worker)
        if told is not None:
            coordinator.host.publish(told, [coordinator.incarnation, term, leader, commit_index, entries])


class SimCoordinator(SimProcess):
    """One coordinator process, from its start to its end.

    Args:
        host: whose disk, clock and workers it uses.

    Raises:
        DamageError: the log cannot be trusted.
    """

    def __init__(self, host: SimHost) -> None:
        super().__init__(host.world)
        self.host = host
        host.commit_word.publish(ASK)
        self.member_id = host.member_id
        self.incarnation = self.world.new_id()
        self.log = self._open_log()
        self.leases = LeaseKeeper(Lessor(), ProposalLedger(), self.world.new_id)
        self.storage = self._storage()
        self.raft = Raft(
            RaftConfig(self.member_id, **host.cluster.profile.raft),
            self.storage,
            HardState(*self.log.hard_state),
            self.world.rng,
        )
        self.commit_index = self.raft.commit_index
        self._marks = CommitMarks(host.commit_word, self.raft)
        self._standing = Standing(CLUSTER, self.member_id, 0, 0, False, 0)
        self._publishing = Publishing(
            _Port(self), self._standing, looking_s=host.cluster.profile.sync_s * LOOKING_SYNCS, postponed_s=POSTPONED_S
        )
        self.leading = False
        self.leader = 0
        self._term = self.raft.term
        self._old_index = self.log.last_index()
        self._jobs: list[LogWrite | DropPrefix] = []
        self._writing = False
        self._held: deque[tuple[int, Sequence[Message]]] = deque()
        self._next_tick_s = host.clock_s() + TICK_S
        self._asked_snapshot_s = float("-inf")
        self._questions: dict[int, Callable[[list[Any]], None]] = {}
        self.workers: dict[bytes, SimWorker] = {}
        self.every(lambda: TICK_S / host.clock_rate, self._tick)

    # --- the start

    def _open_log(self) -> Log:
        identity = Identity(CLUSTER, self.member_id)
        options = self.host.cluster.profile.log_options
        if has_log(self.host.disk, LOG_DIRECTORY):
            return Log.open(LOG_DIRECTORY, self.host.disk, identity, options)
        return Log.create(LOG_DIRECTORY, self.host.disk, identity, options)

    def _storage(self) -> DurableLog:
        """The log behind the newest snapshot, of which leases and ledger are taken as well."""
        newest = snapshots.list_snapshots(self.host.snapshots)
        metadata = snapshots.read_metadata(newest[0].path) if newest else None
        _join(self.log, metadata, self.host.snapshots, alone=False)
        if metadata is None:
            return DurableLog(self.log, SnapshotMeta(0, 0, Membership(self.host.cluster.initial)))
        self._follow_snapshot(metadata)
        members = members_of(metadata, self.host.cluster.attributes)
        return DurableLog(
            self.log, SnapshotMeta(metadata.index, metadata.term, Membership(members.voters, members.learners))
        )

    def _follow_snapshot(self, metadata: SnapshotMetadata) -> None:
        lessor = Lessor()
        lessor.load((lease_id, ttl_s) for lease_id, ttl_s in metadata.leases)
        self.leases = LeaseKeeper(lessor, ProposalLedger.from_value(metadata.ledger), self.world.new_id)

    # --- time

    def woken(self) -> None:
        """After a pause the clock has gone on."""
        self._tick()

    def _tick(self) -> None:
        now_s = self.host.clock_s()
        ticks = 0
        while self._next_tick_s <= now_s:
            self._next_tick_s += TICK_S
            if ticks < MAX_CATCH_UP_TICKS:
                self.raft.tick()
                ticks += 1
        if not ticks:
            return
        if self.leading:
            proposal = self.leases.revokes_due(now_s)
            if proposal is not None:
                try:
                    self.raft.propose([proposal])
                except OarlockError:
                    self.leases.refused()
        self._ask_for_snapshot(now_s)
        if now_s - self._publishing.published_s >= PUBLISH_INTERVAL_S:
            self._publish(())

    def jump(self, ticks: int) -> None:
        """The clock that paces the ticks leaps; ticks are skipped (negative) or come in a burst."""
        self._next_tick_s -= ticks * TICK_S

    # --- what the core wants done

    def end_turn(self) -> None:
        """Carries out what the core wants."""
        judge = self.host.cluster.judge
        while (ready := self.raft.ready()) is not None:
            judge.ready(self, ready)
            self._marks.ready(ready.committed)
            reset_to = self._install(ready.snapshot) if ready.snapshot is not None else None
            if ready.needs_write:
                self._jobs.append(LogWrite(ready.write, ready.entries, ready.hard_state, ready.truncate_from, reset_to))
                self._held.append((ready.write, ready.messages_after_persist))
            self._send(ready.messages)
            self._follow_leader(ready)
            if ready.committed:
                self._publish_committed(ready.committed)
            for member in ready.snapshots_needed:
                self._send_snapshot(member)
            for context, index in ready.reads:
                self._answer(context[8:], [Internal.READ_INDEX, int.from_bytes(context[:8], "big"), index])
            for context in ready.reads_failed:
                self._refuse(context[8:], Internal.READ_INDEX, int.from_bytes(context[:8], "big"))
        self._write()

    def _send(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self.host.cluster.judge.sent(self, message)
            self.host.cluster.network.send(message)

    def _follow_leader(self, ready: Ready) -> None:
        soft = ready.soft_state
        if soft is None:
            return
        self._term = soft.term
        self.leader = soft.leader
        leading = soft.role is Role.LEADER
        if leading and not self.leading:
            self.world.note("member", self.member_id, "leads term", soft.term)
        elif self.leading and not leading:
            self.world.note("member", self.member_id, "stops leading at term", soft.term)
            for (identity, number), _ in self.leases.stop_leading():
                self._refuse(identity, Internal.KEEPALIVE, number)
        self.leading = leading

    def _publish_committed(self, entries: Sequence[Entry]) -> None:
        self.commit_index = entries[-1].index
        self._update_standing()
        now_s = self.host.clock_s()
        self._publishing.committed(entries if self.commit_index > self._old_index else (), now_s)
        wait_s = self._publishing.wait_s(TICK_S, now_s)
        if wait_s < TICK_S:
            self.world.note("a worker is not told at once")
            self.world.after(wait_s / self.host.clock_rate, lambda: self.take(self._publish_due))
        for (identity, number), lease_id in self.leases.committed(entries, self.host.clock_s()):
            self._answer(identity, [Internal.KEEPALIVE, number, [(lease_id, 0)]])
        if self.leading and not self.leases.leads and entries[-1].term == self._term:
            self.leases.lead(self.host.clock_s(), self.raft._state.config.election_ticks * TICK_S)

    def _publish(self, entries: Sequence[Entry]) -> None:
        self._update_standing()
        self._publishing.publish(entries, self.host.clock_s())

    def _publish_due(self) -> None:
        self._update_standing()
        self._publishing.publish_due(self.host.clock_s())

    def _update_standing(self) -> None:
        standing = self._standing
        standing.term, standing.leader, standing.leading = self._term, self.leader, self.leading
        standing.commit_index = self.commit_index

    # --- the disk

    def _write(self) -> None:
        if self._writing or not self._jobs:
            return
        jobs, self._jobs = self._jobs, []
        self._writing = True
        try:
            write_to(_Appending(self.log))(jobs)
        except LogFailedError as problem:
            self._fail(problem)
            return
        self.world.after(self.host.disk_latency_s(), lambda: self.take(lambda: self._written(jobs)))

    def _written(self, jobs: list[LogWrite | DropPrefix]) -> None:
        try:
            self.log.sync()
        except LogFailedError as problem:
            self._fail(problem)
            return
        self._writing = False
        for job in jobs:
            if isinstance(job, DropPrefix):
                self.raft.compacted()
                continue
            self.raft.persisted(job.number)
            self._marks.written(job.entries)
            while self._held and self._held[0][0] <= job.number:
                self._send(self._held.popleft()[1])

    def _fail(self, problem: LogFailedError) -> None:
        self.world.note("member", self.member_id, "fails:", problem.message)
        self.host.coordinator_died(self.world.rng.uniform(0.1, 1.0))

    # --- other members

    def receive(self, packet: Packet | Message) -> None:
        """Takes what the network brings."""
        if not isinstance(packet, Packet):
            self.take(lambda: self.raft.step(packet))
            return
        handlers: dict[str, Callable[[Any], None]] = {
            "snapshot": self._receive_snapshot,
            "question": self._take_question,
            "answer": self._take_answer,
        }
        self.take(lambda: handlers[packet.kind](packet.content))

    def _send_snapshot(self, member: int) -> None:
        """Sends the newest snapshot; the end of the transfer is known to the sender, however it went."""
        meta = self.storage.newest
        path = self.host.snapshots / snapshots.snapshot_name(meta.index, meta.term)
        body = path.read_bytes()
        term = self.raft.term
        self.world.note("member", self.member_id, "sends snapshot", meta.index, "to", member)
        self.host.cluster.judge.snapshot_sent(meta)
        arrived = [False]

        def arrive() -> Packet:
            arrived[0] = True
            return Packet("snapshot", (InstallSnapshot(self.member_id, member, term, meta), body))

        self.host.cluster.network.post(self.member_id, member, arrive, took_s=SNAPSHOT_TRIP_S)
        report_s = SNAPSHOT_TRIP_S * 2 + 1.0
        self.world.after(report_s, lambda: self.take(lambda: self.raft.report_snapshot(member, arrived[0])))

    def _receive_snapshot(self, content: tuple[InstallSnapshot, bytes]) -> None:
        message, body = content
        meta = message.snapshot
        if meta.index > max(self.raft.commit_index, self.storage.newest.index):
            path = self.host.snapshots / snapshots.snapshot_name(meta.index, meta.term)
            snapshots.part_path(path).write_bytes(body)
            snapshots.adopt_snapshot(path)
        self.raft.step(message)

    def _install(self, meta: SnapshotMeta) -> tuple[int, int]:
        """The core has taken a snapshot in place of its log."""
        self.world.note("member", self.member_id, "installs snapshot", meta.index)
        self.storage.newest = meta
        self.storage.forget_before(meta.index + 1)
        self.commit_index = meta.index
        self._old_index = min(self._old_index, meta.index)
        path = self.host.snapshots / snapshots.snapshot_name(meta.index, meta.term)
        self._follow_snapshot(snapshots.read_metadata(path))
        return meta.index, meta.term

    def _ask_leader(self, question: list[Any], answer: Callable[[list[Any]], None]) -> None:
        """Passes a question about leases on to the leader; it is lost like any message."""
        if not self.leader or self.leading:
            answer([])
            return
        number = self.world.new_id()
        self._questions[number] = answer
        packet = Packet("question", (self.member_id, number, question))
        self.host.cluster.network.post(self.member_id, self.leader, lambda: packet)

    def _take_question(self, content: tuple[int, int, list[Any]]) -> None:
        origin, number, question = content
        identity = b"@" + origin.to_bytes(8, "big") + number.to_bytes(8, "big")
        self._keep_alive(identity, [question[0], number, question[2]])

    def _take_answer(self, content: tuple[int, list[Any]]) -> None:
        number, message = content
        answer = self._questions.get(number)
        if answer is not None:
            answer(message)

    # --- workers

    def from_worker(self, worker: SimWorker, message: list[Any]) -> None:
        """Takes a message of ``wire.internal``."""
        handler = {
            Internal.HELLO: self._hello,
            Internal.PROPOSE: self._propose,
            Internal.READ_INDEX: self._read_index,
            Internal.FETCH: self._fetch,
            Internal.KEEPALIVE: self._keep_alive,
            Internal.SNAPSHOT: self._snapshot_made,
        }[message[0]]
        if self.alive:
            self.workers[worker.identity] = worker
        self.take(lambda: handler(worker.identity, message))

    def _answer(self, identity: bytes, message: list[Any]) -> None:
        if identity[:1] == b"@":
            origin, number = int.from_bytes(identity[1:9], "big"), int.from_bytes(identity[9:], "big")
            self.host.cluster.network.post(self.member_id, origin, lambda: Packet("answer", (number, message)))
            return
        worker = self.workers.get(identity)
        if worker is not None:
            self.host.answer(worker, message)

    def _refuse(self, identity: bytes, kind: Internal, number: int) -> None:
        problem = NoLeaderError()
        self._answer(identity, [kind, number, -int(problem.code), problem.message, problem.detail])

    def _hello(self, identity: bytes, message: list[Any]) -> None:
        self.leases.forget_waiter(identity)
        newest = snapshots.list_snapshots(self.host.snapshots)
        path = str(newest[0].path) if newest else None
        first, last = self.storage.first_index(), self.storage.last_index()
        self._answer(identity, [Internal.HELLO, self.incarnation, CLUSTER, self.member_id, first, last, path])

    def _propose(self, identity: bytes, message: list[Any]) -> None:
        _, incarnation, batches, taken_index, is_looked_for = message
        looked = (incarnation, batches[0][0]) if is_looked_for else None
        self._publishing.proposed(identity, taken_index, looked, self.host.clock_s())
        try:
            self.raft.propose([Proposal(kind, incarnation, batch, payload) for batch, kind, payload in batches])
        except OarlockError as refusal:
            answer = [Internal.PROPOSE, batches[0][0], refusal.code, refusal.message, REFUSAL_PAUSE_MS]
            self._answer(identity, answer)

    def _read_index(self, identity: bytes, message: list[Any]) -> None:
        context = message[1].to_bytes(8, "big") + identity
        try:
            self.raft.read_index(context)
        except OarlockError:
            self._refuse(identity, Internal.READ_INDEX, message[1])

    def _fetch(self, identity: bytes, message: list[Any]) -> None:
        first = message[1]
        if first < self.storage.first_index():
            newest = snapshots.list_snapshots(self.host.snapshots)[0]
            self._answer(identity, [Internal.FETCH, self.commit_index, [], str(newest.path)])
            return
        end = min(self.commit_index, self.storage.last_index()) + 1
        entries = self.log.entries(first, end, FETCH_BYTES) if first < end else []
        self._answer(identity, [Internal.FETCH, self.commit_index, entries, None])

    def _keep_alive(self, identity: bytes, message: list[Any]) -> None:
        kind, number, lease_ids = message
        if not self.leases.leads:
            if identity[:1] == b"@":
                self._refuse(identity, kind, number)
            else:
                self._ask_leader(message, lambda answer: self._relay(identity, kind, number, answer))
            return
        answers = self.leases.keep_alive((identity, number), lease_ids, self.host.clock_s())
        if answers:
            self._answer(identity, [kind, number, answers])

    def _relay(self, identity: bytes, kind: Internal, number: int, answer: list[Any]) -> None:
        if not answer:
            self._refuse(identity, kind, number)
        else:
            self._answer(identity, [kind, number, *answer[2:]])

    # --- snapshots

    def _ask_for_snapshot(self, now_s: float) -> None:
        due = self.commit_index - self.storage.newest.index >= self.host.cluster.profile.snapshot_entries
        ready = [each for each in self.workers.values() if each.alive and not each.is_paused and each.serving]
        if due and ready and now_s - self._asked_snapshot_s > 1.0:
            self._asked_snapshot_s = now_s
            furthest = max(ready, key=lambda each: each.keeper.meta.applied_index)
            self.host.answer(furthest, [Internal.SNAPSHOT, str(self.host.snapshots)])

    def _snapshot_made(self, identity: bytes, message: list[Any]) -> None:
        _, path, problem = message
        if path is None:
            self.world.note("member", self.member_id, "makes no snapshot:", problem)
            return
        metadata = snapshots.read_metadata(Path(path))
        if metadata.index <= self.storage.newest.index:
            return
        members = self.raft.membership_at(metadata.index)
        meta = SnapshotMeta(metadata.index, metadata.term, members)
        self.host.cluster.judge.snapshot_made(meta, metadata)
        self.storage.newest = meta
        snapshots.prune(self.host.snapshots, 1)
        keep_from = metadata.index - self.host.cluster.profile.keep_entries
        if keep_from >= self.storage.first_index():
            self.storage.forget_before(keep_from + 1)
            self._jobs.append(DropPrefix(keep_from))

    # --- the end, and operators

    def stop(self) -> None:
        """The process is gone; what it had not written is lost."""
        self.alive = False

    def change_membership(self, change: Any) -> bool:
        """Asks for a membership change; refusals are part of life."""
        accepted = [False]

        def ask() -> None:
            with suppress(OarlockError):
                self.raft.change_membership(change)
                accepted[0] = True

        if not self.is_paused:
            self.take(ask)
        return accepted[0]

    def transfer(self, member: int) -> None:
        """Asks that another member leads."""

        def ask() -> None:
            with suppress(OarlockError):
                self.raft.transfer_leadership(member)

        self.take(ask)

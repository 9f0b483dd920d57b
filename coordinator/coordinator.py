"""The coordinator: what comes from workers, members, the clock and the disk goes into the Raft core, and its effects
go out.

One turn of the loop takes everything that is there, without waiting in between, and does what follows from it once:
one Ready of the core, one hand-over to the log writer, one published message. What is urgent goes first: Raft, then
reads and leases, then proposals and whatever else workers want.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from oarlock.coordinator.commit_marks import CommitMarks
from oarlock.coordinator.following import Following
from oarlock.coordinator.forwarding import Forwarding
from oarlock.coordinator.lease_keeper import LeaseKeeper
from oarlock.coordinator.leaving import Leaving
from oarlock.coordinator.log_storage import DurableLog
from oarlock.coordinator.log_writer import DropPrefix, LogWrite, LogWriter
from oarlock.coordinator.member_metrics import MemberMetrics
from oarlock.coordinator.member_requests import MemberRequests
from oarlock.coordinator.peer_requests import PeerRequests
from oarlock.coordinator.peers import Peers
from oarlock.coordinator.publishing import Publishing
from oarlock.coordinator.raft import Message, Raft, Ready, Role
from oarlock.coordinator.snapshot_exchange import SnapshotExchange
from oarlock.coordinator.snapshotting import Snapshotting
from oarlock.coordinator.standing import Answers, Standing
from oarlock.coordinator.waiting import Waiting
from oarlock.coordinator.worker_port import WorkerPort
from oarlock.coordinator.worker_requests import LAST, WorkerRequests
from oarlock.storage.log import Log
from oarlock.wire import metrics
from oarlock.wire.entries import Entry
from oarlock.wire.errors import OarlockError
from oarlock.wire.internal import PUBLISH_INTERVAL_S, Internal
from oarlock.wire.logs import get_logger

log = get_logger(__name__)

MAX_CATCH_UP_TICKS: Final = 20
"""After a pause of the process (a stopped machine) the clock does not make up for more ticks than these."""

_entries_committed = metrics.counter("oarlock_log_entries_committed_total", "Log entries committed.")
_entries_batch = metrics.histogram(
    "oarlock_log_write_entries", "Entries in one write of the log.", buckets=metrics.SIZES
)
_leader_changes = metrics.counter("oarlock_leader_changes_total", "Leaders seen.")
_leases = metrics.gauge("oarlock_leases", "Leases that exist.", combine="livemax")


class Coordinator:
    """Runs one member. Not thread-safe, but for ``stop``, which a signal handler may call.

    Args:
        raft: the core, at the state of ``entry_log``.
        entry_log: the log; written by ``writer``'s thread, read here.
        storage: the same, as the core reads it; told here of new snapshots.
        writer: makes the core's entries durable.
        waiting: for ``port``, ``peers`` and the writer.
        port: the workers.
        peers: the other members.
        leases: follows the committed entries.
        following: follows the committed members.
        snapshotting: the policy for snapshots.
        exchange: snapshots on their way between members.
        workers, members, requests: answer workers, membership actions and other members.
        forwarding: what was passed on to the leader.
        answers: sends answers.
        standing: this member's; kept here.
        leaving: hands leadership over at a stop.
        member_metrics: what etcd's dashboards show of a member.
        publishing: tells workers what is committed.
        marks: let workers see it before they are told.
        tick_s: the length of a Raft tick in seconds.
        election_s: an election time-out in seconds.
        on_state: told whether a leader is known, and whether the replicas are corrupt, whenever the former changes, and
            now and then.
    """

    def __init__(
        self,
        raft: Raft,
        entry_log: Log,
        storage: DurableLog,
        writer: LogWriter,
        waiting: Waiting,
        port: WorkerPort,
        peers: Peers,
        leases: LeaseKeeper,
        following: Following,
        snapshotting: Snapshotting,
        exchange: SnapshotExchange,
        workers: WorkerRequests,
        members: MemberRequests,
        requests: PeerRequests,
        forwarding: Forwarding,
        answers: Answers,
        standing: Standing,
        leaving: Leaving,
        member_metrics: MemberMetrics,
        publishing: Publishing,
        marks: CommitMarks,
        *,
        tick_s: float,
        election_s: float,
        on_state: Callable[[bool, bool], None],
    ) -> None:
        self._raft = raft
        self._log = entry_log
        self._storage = storage
        self._writer = writer
        self._waiting = waiting
        self._port = port
        self._peers = peers
        self._leases = leases
        self._following = following
        self._snapshotting = snapshotting
        self._exchange = exchange
        self._workers = workers
        self._members = members
        self._requests = requests
        self._forwarding = forwarding
        self._answers = answers
        self._standing = standing
        self._leaving = leaving
        self._member_metrics = member_metrics
        self._marks = marks
        self._tick_s = tick_s
        self._election_s = election_s
        self._on_state = on_state
        # What was in the log before is for workers to fetch, if they lack it: most of them do not.
        self._old_index = entry_log.last_index()
        self._publishing = publishing
        self._alive_s = 0.0
        self._held: deque[tuple[int, Sequence[Message]]] = deque()
        self._unwritten_ticks: int | None = None
        self._last_write = 0
        self._committed_count = 0
        self._write_sizes: list[int] = []

    def stop(self) -> None:
        """Makes ``run`` return soon: at the end of its turn, or, on a leader, once another member leads."""
        self._leaving.begin()

    def run(self) -> None:
        """Serves until ``stop``.

        Raises:
            LogFailedError: the log could not be written; the process must end, for what is durable is unknown.
            CorruptError: a promise of Raft is broken.
            ConfigurationError: this member was removed, or is of another cluster than its peers.
        """
        next_tick_s = time.monotonic() + self._tick_s
        while not self._leaving.done(self._raft, time.monotonic()):
            now_s = time.monotonic()
            wait_s = self._publishing.wait_s(next_tick_s - now_s, now_s)
            readable = self._waiting.readable(max(0.0, wait_s), alone=not self._peers.followed)
            now_s = time.monotonic()
            next_tick_s = self._tick(now_s, next_tick_s)
            if self._peers.followed:
                self._look_at_links(readable)
            if self._peers.inbox in readable:
                for received in self._peers.receive():
                    self._requests.take(received, time.monotonic())
            if self._writer.fileno() in readable:
                for done in self._writer.finished():
                    self._written(done)
            if self._port.requests in readable:
                self._serve_workers()
            now_s = time.monotonic()
            self._requests.forward(now_s)
            self._carry_out(now_s)
            self._publishing.publish_due(now_s)

    def _look_at_links(self, readable: Mapping[Any, int]) -> None:
        for member in self._peers.broken(readable):
            self._raft.report_unreachable(member)
            if member == self._standing.leader:
                log.info("the connection to the leader broke", leader=f"{member:x}")
                self._raft.suspect_leader()

    def _serve_workers(self) -> None:
        last = []
        received = self._port.receive()
        if self._port.take_knock():
            self._waiting.knocked(has_come=bool(received))
        # Not earlier: what is read now may have been sent a moment ago. A lease that is renewed from a time before its
        # client has asked, by as much as this process was kept waiting in between, would end that much too early.
        now_s = time.monotonic()
        for asker, message in received:
            if message[0] in LAST:
                last.append((asker, message))
            else:
                self._workers.take(asker, message, now_s)
        for asker, message in last:
            self._workers.take(asker, message, now_s)

    # Time

    def _tick(self, now_s: float, next_tick_s: float) -> float:
        ticks = 0
        if now_s - next_tick_s > self._election_s and self._leases.leads:
            # The process was stopped: the keepalives of that time are still to be read, so nothing has ended yet.
            self._leases.lead(now_s, self._election_s)
        while next_tick_s <= now_s:
            next_tick_s += self._tick_s
            if ticks < MAX_CATCH_UP_TICKS:
                self._raft.tick()
            ticks += 1
        if ticks:
            self._after_ticks(now_s)
        return next_tick_s

    def _count(self) -> None:
        """Brings the metrics up to date: with the ticks, for a metric costs as much as a small write does here."""
        _entries_committed.inc(self._committed_count)
        self._committed_count = 0
        for size in self._write_sizes:
            _entries_batch.observe(size)
        self._write_sizes.clear()

    def _after_ticks(self, now_s: float) -> None:
        self._count()
        self._revoke_ended_leases(now_s)
        if self._peers.followed:
            self._peers.tick(now_s)
            self._exchange.tick(now_s)
            self._forwarding.forget_old(now_s)
            self._leave_a_hanging_disk()
        self._members.tick(now_s)
        if now_s - self._alive_s >= 1.0:
            self._every_second(now_s)
        if now_s - self._publishing.published_s >= PUBLISH_INTERVAL_S:
            self._publishing.publish((), now_s)

    def _every_second(self, now_s: float) -> None:
        self._alive_s = now_s
        self._on_state(self._standing.leader != 0, self._workers.corrupt)
        _leases.set(self._leases.count)
        self._member_metrics.every_second()
        self._ask_for_snapshot(now_s)
        for member, refusal in self._peers.refusals():
            self._requests.refused(member, refusal, now_s)
        self._following.publish_own(self._raft, now_s)
        self._following.stop_if_removed(now_s)

    def _leave_a_hanging_disk(self) -> None:
        """A leader whose disk does not answer for an election time-out lets another member lead.

        Counted in turns of the clock, not in time: the disk is not to blame for a pause of this process.
        """
        if self._unwritten_ticks is None:
            return
        self._unwritten_ticks += 1
        if self._standing.leading and self._unwritten_ticks * self._tick_s > self._election_s:
            self._unwritten_ticks = 0
            log.error("the log's disk does not answer: handing leadership over")
            self._leaving.hand_over(self._raft)

    def _revoke_ended_leases(self, now_s: float) -> None:
        if not self._standing.leading:
            return
        proposal = self._leases.revokes_due(now_s)
        if proposal is not None:
            try:
                self._raft.propose([proposal])
            except OarlockError:
                self._leases.refused()

    def _log_bytes(self) -> int:
        return sum(path.stat().st_size for path in self._log.segment_paths)

    def _ask_for_snapshot(self, now_s: float) -> None:
        worker = self._workers.furthest_worker(now_s)
        if worker is not None and self._snapshotting.due(self._standing.commit_index, self._log_bytes(), now_s):
            self._port.send(worker, [int(Internal.SNAPSHOT), str(self._snapshotting.directory)])

    # What the core wants done

    def _carry_out(self, now_s: float) -> None:
        while (ready := self._raft.ready()) is not None:
            # First of all: whoever hears of a commit, or may commit without us, hears it from what follows.
            self._marks.ready(ready.committed)
            if ready.snapshot is not None:
                self._begin_from_snapshot(ready)
            if self._raft.membership is not self._following.membership:
                self._following.membership_changed(self._raft.membership, ready.entries)
            for message in ready.messages:
                self._requests.send(message)
            self._write(ready)
            self._follow_leader(ready, now_s)
            if ready.committed:
                self._publish_committed(ready.committed, now_s)
            for context, index in ready.reads:
                self._workers.read_confirmed(context, index)
            for context in ready.reads_failed:
                self._workers.read_failed(context)
            self._requests.refuse_proposals(ready.proposals_refused)
            for member in ready.snapshots_needed:
                self._exchange.send_to(member, self._standing.term, now_s)

    def _write(self, ready: Ready) -> None:
        if not ready.write:
            return
        self._write_sizes.append(len(ready.entries))
        if ready.messages_after_persist:
            self._held.append((ready.write, ready.messages_after_persist))
        if self._unwritten_ticks is None:
            self._unwritten_ticks = 0
        self._last_write = ready.write
        reset_to = None if ready.snapshot is None else ready.snapshot[:2]
        # Alone, nobody waits for our heartbeats. The entry that adds a second member has been followed already.
        self._writer.inline = not self._peers.followed
        write = LogWrite(ready.write, ready.entries, ready.hard_state, ready.truncate_from, reset_to)
        if self._writer.submit(write):
            self._written(write)
            self._marks.written(ready.entries)

    def _written(self, done: LogWrite | DropPrefix) -> None:
        if isinstance(done, DropPrefix):
            self._raft.compacted()
            return
        self._unwritten_ticks = None if done.number == self._last_write else 0
        while self._held and self._held[0][0] <= done.number:
            for message in self._held.popleft()[1]:
                self._requests.send(message)
        self._raft.persisted(done.number)

    def _begin_from_snapshot(self, ready: Ready) -> None:
        """A snapshot takes the place of the whole log: leases and members are now as it says, and workers rebuild when
        they fetch what they lack."""
        assert ready.snapshot is not None
        self._storage.newest = ready.snapshot
        self._storage.forget_before(ready.snapshot.index + 1)
        self._following.begin_from_snapshot(ready.snapshot.index, self._leases)
        self._standing.commit_index = ready.snapshot.index
        self._old_index = max(self._old_index, ready.snapshot.index)

    def _follow_leader(self, ready: Ready, now_s: float) -> None:
        soft = ready.soft_state
        if soft is None:
            return
        standing = self._standing
        standing.term = soft.term
        was_leading, changed = standing.leading, soft.leader != standing.leader
        standing.leader = soft.leader
        standing.leading = soft.role is Role.LEADER
        if standing.leading and not was_leading:
            log.info("leading", term=standing.term)
        elif was_leading and not standing.leading:
            self._workers.stopped_leading(now_s)
            self._exchange.stop_sending()
        if changed:
            _leader_changes.inc()
            self._member_metrics.leader_changed()
            log.info("leader changed", leader=f"{standing.leader:x}", term=standing.term)
            self._alive_s = now_s - 1.0  # the work of each second is due: a leader takes what we have to publish
            self._on_state(standing.leader != 0, self._workers.corrupt)
            self._workers.leader_changed(now_s)
            self._members.leader_changed()
            self._publishing.publish((), now_s)  # workers propose again what the old leader took with it

    def _publish_committed(self, entries: Sequence[Entry], now_s: float) -> None:
        self._standing.commit_index = entries[-1].index
        self._publishing.committed(entries if entries[-1].index > self._old_index else (), now_s)
        self._committed_count += len(entries)
        for (asker, number), lease_id in self._leases.committed(entries, now_s):
            self._answers.send(asker, [int(Internal.KEEPALIVE), number, [(lease_id, 0)]])
        for change in self._following.committed(entries, now_s):
            self._members.committed(change)
        self._members.applied()
        if self._standing.leading and not self._leases.leads and entries[-1].term == self._standing.term:
            self._leases.lead(now_s, self._election_s)
            self._workers.leader_changed(now_s)  # keepalives have waited for this

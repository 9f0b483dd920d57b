"""What workers ask of their coordinator, and what it answers.

Reads of leases and membership changes are the leader's to answer. On any other member they are passed on to it
(``forwarding``), and its answers handed back.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from oarlock.coordinator.forwarding import Forwarding
from oarlock.coordinator.lease_keeper import LeaseKeeper, Waiter
from oarlock.coordinator.log_storage import DurableLog
from oarlock.coordinator.log_writer import DropPrefix, LogWriter
from oarlock.coordinator.member_requests import MemberRequests
from oarlock.coordinator.raft import Raft, SnapshotMeta
from oarlock.coordinator.snapshotting import Snapshotting
from oarlock.coordinator.standing import Answers, Standing, member_of
from oarlock.storage.log import Log, LogCompactedError
from oarlock.wire import metrics
from oarlock.wire.entries import Proposal
from oarlock.wire.errors import Code, NoLeaderError, NotLeaderError, OarlockError, OverloadedError, ProtocolError
from oarlock.wire.internal import FETCH_MAX_BYTES, Internal
from oarlock.wire.logs import get_logger

log = get_logger(__name__)

REFUSAL_PAUSE_MS: Final = 50
"""The hint that goes with a refused proposal: about the time in which a leader is found or the log catches up."""
MAX_FORWARD_BYTES: Final = 1 << 20
"""Proposals that a follower passes on in one message: no more than an append has."""
WORKER_SILENCE_S: Final = 60.0
"""A worker that reported nothing for so long is not asked for snapshots, nor compared."""
LAST: Final = frozenset({Internal.PROPOSE, Internal.FETCH, Internal.SNAPSHOT})
"""Kinds that wait until everything else of a turn is done: keepalives and reads go first."""

_refused = metrics.counter("oarlock_proposals_refused_total", "Proposals refused because of overload or no leader.")


class WorkerRequests:
    """Handlers by kind.

    Args:
        raft, entry_log, storage, writer: as in ``Coordinator``.
        leases: answers for leases while this member leads.
        snapshotting: the policy for snapshots.
        members: answers for members.
        forwarding: what the leader must answer.
        standing: this member's.
        answers: sends them.
        incarnation: of this process.
        initial: the members at the beginning of the log, as workers are told.

    Attributes:
        report_hash: takes (worker, index, hash, now in s) of a replica.
        corrupt: whether this host's replicas are not to be trusted.
    """

    def __init__(
        self,
        raft: Raft,
        entry_log: Log,
        storage: DurableLog,
        writer: LogWriter,
        leases: LeaseKeeper,
        snapshotting: Snapshotting,
        members: MemberRequests,
        forwarding: Forwarding,
        standing: Standing,
        answers: Answers,
        *,
        incarnation: int,
        initial: list[list[Any]],
    ) -> None:
        self._raft = raft
        self._log = entry_log
        self._storage = storage
        self._writer = writer
        self._leases = leases
        self._snapshotting = snapshotting
        self._members = members
        self._forwarding = forwarding
        self._standing = standing
        self._answers = answers
        self._incarnation = incarnation
        self._initial = initial
        self.report_hash: Callable[[bytes, int, bytes, float], None] = lambda *_: None
        self.on_proposed: Callable[[bytes, int, tuple[int, int] | None, float], None] = lambda *_: None
        self.on_refused: Callable[[], None] = lambda: None
        self.on_read_failed: Callable[[], None] = lambda: None
        self.corrupt = False
        self._applied: dict[bytes, tuple[int, float]] = {}
        self._handlers: dict[int, Callable[[bytes, list[Any], float], None]] = {
            Internal.HELLO: self._hello,
            Internal.PROPOSE: self._propose,
            Internal.READ_INDEX: self._read_index,
            Internal.FETCH: self._fetch,
            Internal.KEEPALIVE: self._keep_alive,
            Internal.TIME_TO_LIVE: self._time_to_live,
            Internal.REPORT: self._report,
            Internal.SNAPSHOT: self._snapshot_made,
            Internal.STATUS: self._status,
            Internal.MEMBERS: self._change_members,
        }

    def take(self, asker: bytes, message: list[Any], now_s: float) -> None:
        """Handles one message ``[kind, ...]`` of a worker."""
        self._handlers[message[0]](asker, message, now_s)

    def take_remote(self, asker: bytes, message: list[Any], now_s: float) -> None:
        """Handles a question that another member passes on for its workers.

        Raises:
            ProtocolError: no question that is passed on.
        """
        if message[0] not in (Internal.KEEPALIVE, Internal.TIME_TO_LIVE, Internal.MEMBERS):
            raise ProtocolError(f"{ProtocolError.text}: question {message[0]!r} of another member")
        self._handlers[message[0]](asker, message, now_s)

    def furthest_worker(self, now_s: float) -> bytes | None:
        """The worker that has applied most, for a snapshot; None where there is none, or none to be trusted."""
        if self.corrupt:
            return None
        candidates = {
            worker: index for worker, (index, seen_s) in self._applied.items() if now_s - seen_s < WORKER_SILENCE_S
        }
        return max(candidates, key=lambda each: candidates[each]) if candidates else None

    def stop_serving(self) -> None:
        """This host's replicas are not to be trusted: no worker serves until the server is started again, when each
        rebuilds its replica from what the log and the snapshots say."""
        self.corrupt = True
        for worker in self._applied:
            self._answers.send(worker, [int(Internal.CORRUPT)])

    def resend_proposals(self, pause_ms: int = REFUSAL_PAUSE_MS) -> None:
        """Proposals did not reach the leader, or it could not take them: every worker proposes again what is not
        committed, after a pause."""
        for worker in self._applied:
            refusal = [int(Internal.PROPOSE), 0, int(Code.UNAVAILABLE), NoLeaderError.text, pause_ms]
            self._answers.send(worker, refusal)

    def leader_changed(self, now_s: float) -> None:
        """Another member leads, or we do now."""
        for failed in self._forwarding.leader_changed():
            self._answers.refuse(failed.worker, failed.message[0], failed.message[1], NoLeaderError())
        if self._standing.leading:
            for question in self._forwarding.take_all():
                self.take(question.worker, question.message, now_s)

    def stopped_leading(self, now_s: float) -> None:
        """Keepalives that waited here for the end of their lease are the next leader's to answer."""
        for (asker, number), lease_id in self._leases.stop_leading():
            if not member_of(asker):
                self._forward(asker, [int(Internal.KEEPALIVE), number, [lease_id]], now_s)

    def _forward(self, asker: bytes, message: list[Any], now_s: float) -> None:
        """Passes a question of our worker on. Another member's is not passed on again: it will learn who leads.

        Where we lead, it waits here for our lessor, which begins when an entry of our term is committed.
        """
        if member_of(asker) and not self._standing.leading:
            return
        try:
            self._forwarding.add(asker, message, now_s)
        except OverloadedError as problem:
            self._answers.refuse(asker, message[0], message[1], problem)

    def _hello(self, asker: bytes, message: list[Any], now_s: float) -> None:
        _, number, _, applied_index = message
        if self.corrupt:
            return  # it waits for an answer, and opens no door meanwhile
        log.info("worker connected", worker=number, applied_index=applied_index)
        self._leases.forget_waiter(asker)
        self._forwarding.forget_worker(asker)
        self._applied[asker] = applied_index, now_s
        answer: list[Any] = [int(Internal.HELLO), self._incarnation, self._standing.cluster_id]
        answer += [self._standing.member_id, self._storage.first_index(), self._storage.last_index()]
        self._answers.send(asker, [*answer, self._newest_snapshot(), self._initial])
        standing = [self._standing.term, self._standing.leader, self._standing.commit_index]
        self._answers.send(asker, [int(Internal.COMMITTED), self._incarnation, *standing, []])

    def _newest_snapshot(self) -> str | None:
        snapshot = self._snapshotting.newest()
        return None if snapshot is None else str(snapshot)

    def _propose(self, asker: bytes, message: list[Any], now_s: float) -> None:
        _, incarnation, batches, taken_index, is_looked_for = message
        looked = (incarnation, batches[0][0]) if is_looked_for else None
        self.on_proposed(asker, taken_index, looked, now_s)
        proposals = [Proposal(kind, incarnation, batch, payload) for batch, kind, payload in batches]
        try:
            for portion in [proposals] if self._standing.leading else _portions(proposals):
                self._raft.propose(portion)
        except OarlockError as refusal:
            _refused.inc()
            self.on_refused()
            pause_ms = refusal.detail or REFUSAL_PAUSE_MS
            code = Code.RESOURCE_EXHAUSTED if isinstance(refusal, OverloadedError) else refusal.code
            self._answers.send(asker, [int(Internal.PROPOSE), batches[0][0], int(code), refusal.message, pause_ms])

    def _read_index(self, asker: bytes, message: list[Any], now_s: float) -> None:
        try:
            self._raft.read_index(_context(asker, message[1]))
        except OarlockError as problem:
            self._answers.refuse(asker, Internal.READ_INDEX, message[1], problem)

    def read_confirmed(self, context: bytes, index: int) -> None:
        """A read-index question is confirmed."""
        if not self._members.read_confirmed(context, index):
            asker, number = _read_context(context)
            self._answers.send(asker, [int(Internal.READ_INDEX), number, index])

    def read_failed(self, context: bytes) -> None:
        """A read-index question will not be answered: its asker asks again."""
        self.on_read_failed()
        if not self._members.read_failed(context):
            asker, number = _read_context(context)
            self._answers.refuse(asker, Internal.READ_INDEX, number, NoLeaderError())

    def _fetch(self, asker: bytes, message: list[Any], now_s: float) -> None:
        first, commit_index = message[1], self._standing.commit_index
        end = min(commit_index, self._storage.last_index()) + 1
        try:
            if first < self._storage.first_index():
                raise LogCompactedError
            entries = self._log.entries(first, end, FETCH_MAX_BYTES) if first < end else []
        except LogCompactedError:
            self._answers.send(asker, [int(Internal.FETCH), commit_index, [], self._newest_snapshot()])
            return
        self._answers.send(asker, [int(Internal.FETCH), commit_index, entries, None])

    def _keep_alive(self, asker: bytes, message: list[Any], now_s: float) -> None:
        if not self._leases.leads:
            self._forward(asker, message, now_s)
            return
        _, number, lease_ids = message
        answers = self._leases.keep_alive((asker, number), lease_ids, now_s)
        if answers:
            self._answers.send(asker, [int(Internal.KEEPALIVE), number, answers])

    def _time_to_live(self, asker: bytes, message: list[Any], now_s: float) -> None:
        if not self._leases.leads:
            self._forward(asker, message, now_s)
            return
        _, number, lease_ids = message
        self._answers.send(asker, [int(Internal.TIME_TO_LIVE), number, self._leases.time_to_live(lease_ids, now_s)])

    def _report(self, asker: bytes, message: list[Any], now_s: float) -> None:
        _, applied_index, state_hash = message
        self._applied[asker] = applied_index, now_s
        self.report_hash(asker, applied_index, state_hash, now_s)

    def _snapshot_made(self, asker: bytes, message: list[Any], now_s: float) -> None:
        _, path, problem = message
        if path is None:
            self._snapshotting.failed(problem)
            return
        metadata = self._snapshotting.made(Path(path))
        if metadata is None:
            return
        members = self._raft.membership_at(metadata.index)
        self._storage.newest = SnapshotMeta(metadata.index, metadata.term, members)
        droppable = self._snapshotting.droppable_index()
        if droppable >= self._storage.first_index():
            self._storage.forget_before(droppable + 1)
            self._writer.submit(DropPrefix(droppable))

    def _status(self, asker: bytes, message: list[Any], now_s: float) -> None:
        standing = self._standing
        status = {
            "leader": standing.leader,
            "raft_term": standing.term,
            "raft_index": standing.commit_index,
            "is_learner": standing.member_id in self._members.members.learners,
            "errors": [] if standing.leader else [NoLeaderError.text],
        }
        self._answers.send(asker, [int(Internal.STATUS), message[1], status])

    def _change_members(self, asker: bytes, message: list[Any], now_s: float) -> None:
        try:
            _, number, action, arguments = message
            if action == "list":
                self._members.list_members(asker, number, arguments)
            elif action == "move_leader" and not self._standing.leading:
                raise NotLeaderError  # etcd's rule: only the leader is asked to hand over
            elif self._standing.leading:
                self._members.change(asker, number, action, arguments, now_s)
            else:
                self._forward(asker, message, now_s)
        except OarlockError as problem:
            self._answers.refuse(asker, Internal.MEMBERS, message[1], problem)


def _portions(proposals: list[Proposal]) -> list[list[Proposal]]:
    """Proposals in order, in groups of at most ``MAX_FORWARD_BYTES`` where one alone is not larger."""
    portions: list[list[Proposal]] = [[]]
    size_bytes = 0
    for proposal in proposals:
        size_bytes += len(proposal.payload)
        if size_bytes > MAX_FORWARD_BYTES and portions[-1]:
            portions.append([])
            size_bytes = len(proposal.payload)
        portions[-1].append(proposal)
    return portions


def _context(asker: bytes, number: int) -> bytes:
    """A read-index question's context: who asks, and the worker's own number, which it never uses twice."""
    return b"R" + number.to_bytes(8, "big") + asker


def _read_context(context: bytes) -> Waiter:
    return context[9:], int.from_bytes(context[1:9], "big")

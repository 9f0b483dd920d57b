"""One member of a Raft group, without I/O and without a clock.

Calls go in (ticks, messages, proposals, reports); effects come out as data by :meth:`Raft.ready`. See ``docs/raft.md``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from oarlock.coordinator.raft import changing, election, following, reading, replication, ticking, transfer
from oarlock.coordinator.raft import messages as m
from oarlock.coordinator.raft.config import RaftConfig
from oarlock.coordinator.raft.log_storage import LogStorage
from oarlock.coordinator.raft.log_view import ENTRY_OVERHEAD_BYTES
from oarlock.coordinator.raft.membership import Membership, MembershipChange
from oarlock.coordinator.raft.progress import ProgressState
from oarlock.coordinator.raft.ready import HardState, Ready, Role, SoftState
from oarlock.coordinator.raft.roles import become_follower, draw_election_timeout
from oarlock.coordinator.raft.state import RaftState
from oarlock.coordinator.raft.status import Status, status_of
from oarlock.wire.entries import EntryKind, Proposal
from oarlock.wire.errors import (
    CorruptError,
    LeaderChangedError,
    NoLeaderError,
    OverloadedError,
    ProtocolError,
    RequestError,
)

_Handler = Callable[[RaftState, Any], None]

_FROM_ANYONE: dict[type, _Handler] = {
    m.PreVoteRequest: election.on_pre_vote_request,
    m.VoteRequest: election.on_vote_request,
}
_FROM_LEADER: dict[type, _Handler] = {
    m.Append: following.on_append,
    m.Heartbeat: following.on_heartbeat,
    m.InstallSnapshot: following.on_install_snapshot,
}
_HANDLERS: dict[Role, dict[type, _Handler]] = {
    Role.FOLLOWER: {
        **_FROM_ANYONE,
        **_FROM_LEADER,
        m.TimeoutNow: election.on_timeout_now,
        m.ReadResponse: reading.on_read_response,
    },
    Role.PRE_CANDIDATE: {**_FROM_ANYONE, m.PreVoteResponse: election.on_pre_vote_response},
    Role.CANDIDATE: {**_FROM_ANYONE, m.VoteResponse: election.on_vote_response},
    Role.LEADER: {
        **_FROM_ANYONE,
        m.AppendAccepted: replication.on_append_accepted,
        m.AppendRejected: replication.on_append_rejected,
        m.HeartbeatResponse: replication.on_heartbeat_response,
        m.ReadRequest: reading.on_read_request,
        m.TransferRequest: transfer.on_transfer_request,
    },
}
"""What each role does with a message of its own term. A kind that is missing is ignored: it comes from a role that
its receiver has left, or is late."""


class Raft:
    """The member. Its methods are not thread-safe: one driver calls them, and carries out every ``Ready`` in order.

    Args:
        config: the settings.
        storage: the durable log, read only.
        hard_state: the durable term and vote; ``HardState(0, 0)`` at the very first start.
        rng: the source of the random election time-outs; seeded in tests.
        applied: an index that is known to be committed, such as the lowest one applied by this host's replicas;
            entries up to it are not handed out again. The snapshot's index by default.

    Raises:
        CorruptError: ``applied`` lies outside of what the log and its snapshot hold.
        ProtocolError: a membership entry in the log cannot be read.
    """

    def __init__(
        self,
        config: RaftConfig,
        storage: LogStorage,
        hard_state: HardState,
        rng: random.Random,
        applied: int | None = None,
    ) -> None:
        known = storage.snapshot().index if applied is None else applied
        self._state = RaftState(config, storage, hard_state, rng, known)
        draw_election_timeout(self._state)
        self._hard = hard_state
        self._soft = SoftState(hard_state.term, Role.FOLLOWER, 0)

    # --- what the driver tells

    def tick(self) -> None:
        """One unit of time has passed."""
        ticking.tick(self._state)

    def step(self, message: m.Message) -> None:
        """Takes a message from another member.

        Raises:
            RequestError: it is not for us, or contradicts itself (mostly a ProtocolError); the sender is at fault,
                and we go on unchanged.
            CorruptError: it shows that a promise of Raft is broken (two leaders in a term, a committed entry
                contradicted): stop the process.
        """
        state = self._state
        if message.to != state.member_id:
            raise ProtocolError(f"{ProtocolError.text}: message for member {message.to} at member {state.member_id}")
        if message.term != state.term and not self._adopt_term(message):
            return
        kind = type(message)
        if kind in _FROM_LEADER and (state.leader != message.sender or state.role is not Role.FOLLOWER):
            self._follow(message)
        if kind is m.ForwardedProposals:
            self._take_forwarded(message.sender, message.proposals)  # type: ignore[union-attr]
            return
        handler = _HANDLERS[state.role].get(kind)
        if handler is not None:
            handler(state, message)

    def propose(self, proposals: Sequence[Proposal]) -> None:
        """Proposes entries, in order and next to each other. A follower sends them on to the leader.

        Nothing is promised: an entry is in the log when it comes out of ``Ready.committed``.

        Raises:
            NoLeaderError: no leader is known.
            LeaderChangedError: leadership is being handed over; propose again soon.
            OverloadedError: too much is proposed and not yet committed; nothing of ``proposals`` was taken.
            RequestError: an entry of kind EMPTY or MEMBERSHIP, which only the core makes.
        """
        state = self._state
        size_bytes = ENTRY_OVERHEAD_BYTES * len(proposals)
        for proposal in proposals:
            size_bytes += len(proposal.payload)
            if proposal.kind in (EntryKind.EMPTY, EntryKind.MEMBERSHIP):
                raise RequestError(f"{RequestError.text}: entry of kind {proposal.kind}: is not for proposing")
        if state.leader == 0:
            raise NoLeaderError
        if not state.is_leader:
            state.messages.append(m.ForwardedProposals(state.member_id, state.leader, state.term, proposals))
            return
        if state.transferee:
            raise LeaderChangedError
        if state.log.tail and state.log.tail_bytes + size_bytes > state.config.max_uncommitted_bytes:
            raise OverloadedError
        replication.append_proposals(state, proposals)

    def change_membership(self, change: MembershipChange, incarnation: int = 0, batch: int = 0) -> None:
        """Proposes a membership change; only a leader can. See :mod:`oarlock.coordinator.raft.changing`.

        Args:
            change: what to do; in force as soon as it is in the log.
            incarnation: of the proposing process, for exactly-once proposals; 0 for none.
            batch: the number of the proposal in that incarnation.

        Raises:
            NotLeaderError: we do not lead.
            MembershipChangePendingError: another change, or our first commit, is under way.
            LeaderChangedError: leadership is being handed over.
            NotEnoughStartedMembersError, LearnerNotReadyError, MemberExistsError, MemberNotFoundError,
            MemberNotLearnerError, ProtocolError: the change cannot be, or not now.
        """
        changing.change_membership(self._state, change, incarnation, batch)

    def read_index(self, context: bytes) -> None:
        """Asks for an index that a linearizable read must have applied. The answer comes in ``Ready.reads``.

        Args:
            context: names this one try; never use it again.

        Raises:
            NoLeaderError, OverloadedError, RequestError: see :func:`oarlock.coordinator.raft.reading.ask`.
        """
        reading.ask(self._state, context)

    def campaign(self) -> None:
        """Tries to become leader now, instead of when the election time-out is over. For a cluster of one at start."""
        election.campaign(self._state)

    def suspect_leader(self) -> None:
        """The connection to the leader broke. See :func:`oarlock.coordinator.raft.election.suspect_leader`."""
        election.suspect_leader(self._state)

    def transfer_leadership(self, target: int) -> None:
        """Lets ``target`` lead. Given up after an election time-out.

        Raises:
            NoLeaderError: no leader is known to pass the wish on to.
            BadTransfereeError: ``target`` is no voter.
        """
        transfer.transfer_leadership(self._state, target)

    def report_unreachable(self, member: int) -> None:
        """The connection to ``member`` is gone: what was in flight is probably lost."""
        progress = self._state.progress.get(member)
        if progress is not None and member != self._state.member_id and progress.state is ProgressState.REPLICATE:
            progress.become_probe()

    def report_snapshot(self, member: int, ok: bool) -> None:
        """The snapshot that ``member`` needed has reached it, or has not. Sending goes on after its next answer."""
        progress = self._state.progress.get(member)
        if progress is not None and progress.state is ProgressState.SNAPSHOT:
            progress.become_probe(self._state.log.first_index if ok else 0)
            progress.paused = True

    def persisted(self, write: int) -> None:
        """The write of that number, and every one before it, is durable.

        Raises:
            InvariantError: no ``Ready`` had that number.
        """
        state = self._state
        hard_state = state.log.written(write)
        if hard_state is not None:
            state.durable = hard_state
        if state.is_leader:
            own = state.progress[state.member_id]
            if state.log.stable > own.match:
                own.match = state.log.stable
                own.next = own.match + 1
                replication.advance_commit(state)
        elif state.role is Role.CANDIDATE and state.durable == (state.term, state.member_id):
            election.record_vote(state, state.member_id, granted=True)

    def compacted(self) -> None:
        """The driver has dropped entries from the front of the log, after a snapshot."""
        state = self._state
        state.membership.forget_before(state.log.first_index - 1)

    # --- what the driver does

    def ready(self) -> Ready | None:
        """Takes out the effects collected since the last call, or None if there are none.

        Call it again until it returns None: committed entries come in portions of ``max_committed_bytes``.
        """
        state = self._state
        log = state.log
        if state.is_leader:
            if state.reads.wanted:
                replication.broadcast_heartbeat(state)
            if state.broadcast:
                replication.flush_appends(state)
        hard, soft = self._take_hard_state(), self._take_soft_state()
        if not (
            log.has_unwritten
            or log.has_committed
            or hard
            or soft
            or state.messages
            or state.after_persist
            or state.reads_confirmed
            or state.reads_failed
            or state.proposals_refused
            or state.snapshots_needed
        ):
            return None
        snapshot, truncate_from, entries = log.take_unwritten()
        messages, after_persist = state.messages, state.after_persist
        write = 0
        if hard or snapshot or entries or (after_persist and len(log.writes)):
            write = log.writes.start(log.last_index, hard)
        elif after_persist:
            messages, after_persist = messages + after_persist, []
        ready = Ready(
            write,
            hard,
            snapshot,
            truncate_from,
            entries,
            messages,
            after_persist,
            log.take_committed(state.config.max_committed_bytes),
            state.reads_confirmed,
            state.reads_failed,
            state.snapshots_needed,
            soft,
            tuple(state.proposals_refused),
        )
        state.clear_effects()
        return ready

    def _take_hard_state(self) -> HardState | None:
        state = self._state
        if self._hard.term == state.term and self._hard.vote == state.vote:
            return None
        self._hard = HardState(state.term, state.vote)
        return self._hard

    def _take_soft_state(self) -> SoftState | None:
        state, soft = self._state, self._soft
        if soft.term == state.term and soft.role is state.role and soft.leader == state.leader:
            return None
        self._soft = SoftState(state.term, state.role, state.leader)
        return self._soft

    # --- what the driver may ask

    @property
    def term(self) -> int:
        """The present term."""
        return self._state.term

    @property
    def leader(self) -> int:
        """The leader of the present term, 0 if none is known."""
        return self._state.leader

    @property
    def commit_index(self) -> int:
        """The last entry known to be committed."""
        return self._state.log.commit

    @property
    def lone_commit_index(self) -> int:
        """The index of every linearizable read for as long as nothing changes here, where this member is alone; else
        0. See :func:`oarlock.coordinator.raft.reading.lone_commit_index`."""
        return reading.lone_commit_index(self._state)

    @property
    def status(self) -> Status:
        """A picture of the present state, for people, metrics and tests."""
        return status_of(self._state)

    def membership_at(self, index: int) -> Membership:
        """The members as of ``index``, for a snapshot there.

        Raises:
            InvariantError: ``index`` is before the last snapshot.
        """
        return self._state.membership.at(index)

    @property
    def membership(self) -> Membership:
        """The members in force; the same object until it changes."""
        return self._state.membership.current

    @property
    def membership_changes(self) -> tuple[int, ...]:
        """The indexes of the membership entries in the log behind the snapshot, committed or not."""
        return self._state.membership.changes

    def validate(self) -> None:
        """Raises InvariantError if any invariant of the core is broken. For tests: it walks over everything."""
        self._state.validate()

    # --- terms

    def _adopt_term(self, message: m.Message) -> bool:
        """Deals with a term that is not ours; returns whether the message is then to be handled."""
        if message.term < self._state.term:
            self._answer_old_term(message)
            return False
        state = self._state
        kind = type(message)
        if kind in _FROM_ANYONE and election.in_lease(state) and not getattr(message, "transfer", False):
            return False
        if kind is m.PreVoteRequest or (kind is m.PreVoteResponse and message.granted):  # type: ignore[union-attr]
            return True
        become_follower(state, message.term, 0)
        return True

    def _answer_old_term(self, message: m.Message) -> None:
        """Ignores a message of an older term, except where silence would leave somebody stuck.

        With pre-vote or leases nobody takes a higher term from a vote request of ours that is ignored. A leader of an
        older term, whom we can then neither follow nor replace, must hear of our term; and a pre-candidate must.
        """
        state = self._state
        if isinstance(message, m.PreVoteRequest):
            state.messages.append(m.PreVoteResponse(state.member_id, message.sender, state.term, False))
        elif type(message) in _FROM_LEADER and (state.config.check_quorum or state.config.pre_vote):
            state.messages.append(m.TermNotice(state.member_id, message.sender, state.term))

    def _follow(self, message: m.Message) -> None:
        """Accepts the sender of a leader's message as the leader of our term."""
        state = self._state
        if state.leader not in (0, message.sender):
            raise CorruptError(
                f"{CorruptError.text}: members {state.leader} and {message.sender} both lead term {state.term}"
            )
        become_follower(state, state.term, message.sender)

    def _take_forwarded(self, sender: int, proposals: Sequence[Proposal]) -> None:
        """Proposes for a follower. What cannot be taken is dropped; the proposer proposes it again.

        A follower learns by itself that another member leads; that this one cannot take more, it must be told.
        """
        if not self._state.is_leader:
            return
        try:
            self.propose(proposals)
        except (LeaderChangedError, OverloadedError):
            self._state.proposals_refused[sender] = None

"""The transitions between roles (Raft paper, figure 4). What follows from a transition is the callers' business."""

from __future__ import annotations

from oarlock.coordinator.raft.progress import ProgressState
from oarlock.coordinator.raft.read_index import LeaderReads
from oarlock.coordinator.raft.ready import Role
from oarlock.coordinator.raft.state import RaftState


def become_follower(state: RaftState, term: int, leader: int) -> None:
    """Follows ``leader`` (0: nobody known yet) in ``term``."""
    _leave_role(state, term, leader)
    state.role = Role.FOLLOWER
    state.leader = leader


def become_pre_candidate(state: RaftState) -> None:
    """Asks around without starting a term; the vote of the present term stays.

    To ask disturbs nobody, so it is done again after a quarter of a time-out: whoever hears from the leader does not
    answer, and may learn a moment later that it has died.
    """
    _leave_role(state, state.term, 0)
    state.election_timeout = max(1, state.election_timeout // 4)
    state.role = Role.PRE_CANDIDATE
    state.votes = {state.member_id: True}


def become_candidate(state: RaftState) -> None:
    """Starts a term with a vote for ourselves, which counts once it is durable."""
    _leave_role(state, state.term + 1, 0)
    state.role = Role.CANDIDATE
    state.vote = state.member_id


def become_leader(state: RaftState) -> None:
    """Leads the present term. The caller appends the empty entry that begins it."""
    _leave_role(state, state.term, state.member_id)
    state.role = Role.LEADER
    state.leader = state.member_id
    state.term_start = state.log.last_index + 1
    members = state.membership.current
    for member in members.everyone:
        state.progress[member] = state.new_progress(state.term_start)
    own = state.progress.setdefault(state.member_id, state.new_progress(state.term_start))
    own.match = state.log.stable
    own.state = ProgressState.REPLICATE


def draw_election_timeout(state: RaftState) -> None:
    """Draws a new time-out, so that split votes do not repeat (Raft paper, section 5.2)."""
    ticks = state.config.election_ticks
    state.election_timeout = state.random.randrange(ticks, 2 * ticks)


def _leave_role(state: RaftState, term: int, leader: int) -> None:
    if term != state.term or leader != state.leader:
        _fail_reads(state)
    if term != state.term:
        state.term = term
        state.vote = 0
    state.leader = 0
    state.elapsed = state.heartbeat_elapsed = 0
    state.votes = {}
    state.transferee = 0
    state.broadcast = False
    state.progress = {}
    draw_election_timeout(state)


def _fail_reads(state: RaftState) -> None:
    """Questions end with the leader they were put to; those of other members are failed there."""
    state.reads_failed += state.reads.contexts_of(state.member_id)
    state.reads_failed += state.forwarded.take_all()
    state.reads = LeaderReads()

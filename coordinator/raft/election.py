"""Elections (Raft paper, section 5.2 and 5.4.1; pre-vote and leases: thesis, sections 9.6 and 4.2.3)."""

from __future__ import annotations

from oarlock.coordinator.raft import replication
from oarlock.coordinator.raft.messages import (
    PreVoteRequest,
    PreVoteResponse,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from oarlock.coordinator.raft.quorum import VoteResult, vote_result
from oarlock.coordinator.raft.ready import Role
from oarlock.coordinator.raft.roles import become_candidate, become_follower, become_leader, become_pre_candidate
from oarlock.coordinator.raft.state import RaftState
from oarlock.wire.entries import EntryKind, Proposal


def campaign(state: RaftState) -> None:
    """Tries to become leader, with a pre-vote first where that is configured. Nothing for who may not campaign."""
    if state.is_leader or not state.may_campaign:
        return
    if state.config.pre_vote:
        _ask_pre_votes(state)
    else:
        _ask_votes(state, transfer=False)


def _ask_pre_votes(state: RaftState) -> None:
    become_pre_candidate(state)
    log = state.log
    for member in _other_voters(state):
        state.messages.append(PreVoteRequest(state.member_id, member, state.term + 1, log.last_index, log.last_term))
    _count_pre_votes(state)


def _ask_votes(state: RaftState, *, transfer: bool) -> None:
    become_candidate(state)
    log = state.log
    for member in _other_voters(state):
        # After the term and the vote are durable: a candidate that forgets its term could ask twice in it, with two
        # different logs.
        state.after_persist.append(
            VoteRequest(state.member_id, member, state.term, log.last_index, log.last_term, transfer)
        )


def _other_voters(state: RaftState) -> list[int]:
    return [member for member in state.membership.current.voters if member != state.member_id]


def suspect_leader(state: RaftState) -> None:
    """The connection to the leader broke: it has probably died, so waits for it no longer than need be.

    The lease ends, and the rest of the election time-out shrinks to a short one that differs from member to member, by
    rank, so that two members that saw the same do not split the vote. The pre-vote guards against a false alarm: where
    a majority still hears from the leader, nothing happens; a heartbeat of the leader ends the suspicion.
    """
    if state.role is not Role.FOLLOWER or state.leader == 0:
        return
    successors = [voter for voter in state.membership.current.voters if voter != state.leader]
    rank = successors.index(state.member_id) if state.member_id in successors else len(successors)
    state.elapsed = max(state.elapsed, state.config.election_ticks)
    patience = state.config.suspicion_ticks * (1 + rank) + state.random.randrange(state.config.suspicion_ticks)
    state.election_timeout = state.elapsed + patience


def in_lease(state: RaftState) -> bool:
    """Whether we heard from a leader so lately that nobody should campaign."""
    return state.config.check_quorum and state.leader != 0 and state.elapsed < state.config.election_ticks


def on_pre_vote_request(state: RaftState, message: PreVoteRequest) -> None:
    """Answers without changing anything of our own. ``message.term`` is at least ours."""
    granted = message.term > state.term and state.log.is_up_to_date(message.last_index, message.last_term)
    term = message.term if granted else state.term
    state.messages.append(PreVoteResponse(state.member_id, message.sender, term, granted))


def on_vote_request(state: RaftState, message: VoteRequest) -> None:
    """Votes, at most once a term. Learners vote as well if asked.

    A learner may have been promoted without knowing it yet; were it silent, the voters that do know could lack a
    quorum. Whoever asks counts only the votes of those who are voters in its membership.
    """
    free = state.vote == message.sender or (state.vote == 0 and state.leader == 0)
    granted = free and state.log.is_up_to_date(message.last_index, message.last_term)
    if granted:
        state.vote = message.sender
        state.elapsed = 0
    state.after_persist.append(VoteResponse(state.member_id, message.sender, state.term, granted))


def on_pre_vote_response(state: RaftState, message: PreVoteResponse) -> None:
    """Counts a pre-vote; a refusal of a higher term never gets here."""
    if message.granted and message.term != state.term + 1:
        return
    state.votes.setdefault(message.sender, message.granted)
    _count_pre_votes(state)


def on_vote_response(state: RaftState, message: VoteResponse) -> None:
    """Counts a vote."""
    record_vote(state, message.sender, granted=message.granted)


def record_vote(state: RaftState, member: int, *, granted: bool) -> None:
    """Counts a vote, our own (when it is durable) or another's, and ends the election if it decides it."""
    state.votes.setdefault(member, granted)
    result = vote_result(state.membership.current.voters, state.votes)
    if result is VoteResult.WON:
        become_leader(state)
        replication.append_proposals(state, [Proposal(EntryKind.EMPTY, 0, 0, b"")])
    elif result is VoteResult.LOST:
        become_follower(state, state.term, 0)


def _count_pre_votes(state: RaftState) -> None:
    result = vote_result(state.membership.current.voters, state.votes)
    if result is VoteResult.WON:
        _ask_votes(state, transfer=False)
    elif result is VoteResult.LOST:
        become_follower(state, state.term, 0)


def on_timeout_now(state: RaftState, message: TimeoutNow) -> None:
    """The leader wants us to take over: no pre-vote, and leases do not count."""
    if state.may_campaign and state.role is not Role.LEADER:
        _ask_votes(state, transfer=True)

"""Read-index questions on their way: asked here or by a follower, confirmed by a quorum, answered."""

from __future__ import annotations

from oarlock.coordinator.raft.messages import ReadRequest, ReadResponse
from oarlock.coordinator.raft.quorum import agreed
from oarlock.coordinator.raft.ready import ConfirmedRead
from oarlock.coordinator.raft.state import RaftState
from oarlock.wire.errors import NoLeaderError, OverloadedError, RequestError


def ask(state: RaftState, context: bytes) -> None:
    """Puts a question of this member to the leader.

    Raises:
        NoLeaderError: no leader is known.
        OverloadedError: too many questions wait.
        RequestError: a question with this context is under way already.
    """
    if state.leader == 0:
        raise NoLeaderError
    if len(state.reads) + len(state.forwarded) >= state.config.max_pending_reads:
        raise OverloadedError
    if state.is_leader:
        _take(state, context, state.member_id)
        return
    if context in state.forwarded:
        raise RequestError(f"{RequestError.text}: read context {context.hex()}: is in use")
    state.forwarded.add(context, state.now)
    state.messages.append(ReadRequest(state.member_id, state.leader, state.term, context))


def _take(state: RaftState, context: bytes, origin: int) -> None:
    if state.has_committed_in_term:
        state.reads.ask(context, origin, state.log.commit)
    else:
        state.reads.hold(context, origin)


def on_read_request(state: RaftState, message: ReadRequest) -> None:
    """A follower asks. Above the bound the question is dropped; it fails at the follower by its own time-out."""
    if len(state.reads) < state.config.max_pending_reads:
        _take(state, message.context, message.sender)


def on_read_response(state: RaftState, message: ReadResponse) -> None:
    """The leader answers; answers to questions given up meanwhile are ignored."""
    if state.forwarded.answered(message.context):
        state.reads_confirmed.append(ConfirmedRead(message.context, message.index))


def lone_commit_index(state: RaftState) -> int:
    """The commit index, where this member alone decides what is committed and tells of it: then nobody needs to
    confirm it for a read. Else 0."""
    alone = state.is_leader and state.membership.current.everyone == (state.member_id,)
    known = state.has_committed_in_term and state.membership.last_change <= state.log.commit
    return state.log.commit if alone and known else 0


def answer_reads(state: RaftState) -> None:
    """Answers what a quorum of voters has confirmed."""
    if not len(state.reads):
        return
    confirmed_round = agreed([state.progress[voter].read_round for voter in state.membership.current.voters])
    for question in state.reads.confirmed(confirmed_round):
        if question.origin == state.member_id:
            state.reads_confirmed.append(ConfirmedRead(question.context, question.index))
        else:
            state.messages.append(
                ReadResponse(state.member_id, question.origin, state.term, question.context, question.index)
            )

"""Leadership transfer (Raft thesis, section 3.10)."""

from __future__ import annotations

from oarlock.coordinator.raft import replication
from oarlock.coordinator.raft.errors import BadTransfereeError
from oarlock.coordinator.raft.messages import TransferRequest
from oarlock.coordinator.raft.state import RaftState
from oarlock.wire.errors import NoLeaderError


def transfer_leadership(state: RaftState, target: int) -> None:
    """Begins to hand over, or asks the leader to.

    The leader takes no proposals meanwhile, brings ``target`` up to date, and tells it to campaign. If that does not
    succeed within an election time-out, the leader goes on.

    Raises:
        NoLeaderError: no leader is known.
        BadTransfereeError: ``target`` is no voter.
    """
    if state.leader == 0:
        raise NoLeaderError
    if target not in state.membership.current.voters:
        raise BadTransfereeError
    if not state.is_leader:
        state.messages.append(TransferRequest(state.member_id, state.leader, state.term, target))
    elif target == state.member_id:
        state.transferee = 0
    elif target != state.transferee:
        state.transferee = target
        state.elapsed = 0
        state.broadcast = True
        replication.hand_over_if_ready(state)


def on_transfer_request(state: RaftState, message: TransferRequest) -> None:
    """A follower passes the wish on; one that cannot be is dropped."""
    if message.target in state.membership.current.voters:
        transfer_leadership(state, message.target)

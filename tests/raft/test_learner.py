"""A learner votes when it is asked: it may have been promoted without knowing it yet."""

from __future__ import annotations

import random

from oarlock.coordinator.raft import HardState, Membership, RaftConfig
from oarlock.coordinator.raft.messages import Heartbeat, PreVoteRequest, PreVoteResponse

from .one import log_of, settle
from .simulation import SimDisk, SimMember

ELECTION_TICKS = 10


def grants_pre_vote(learner: SimMember) -> bool:
    """Whether it grants the pre-vote of member 2, which leads no more and has an entry that the learner lacks."""
    learner.raft.step(PreVoteRequest(2, 1, learner.raft.term + 1, 2, 1))
    return any(isinstance(message, PreVoteResponse) and message.granted for message in settle(learner))


def test_a_learner_whose_leader_is_gone_never_refuses_a_pre_vote_again() -> None:
    disk = SimDisk(Membership((2,), (1,)))
    disk.storage.append(log_of(1))
    disk.hard_state = HardState(1, 0)
    learner = SimMember(RaftConfig(1, election_ticks=ELECTION_TICKS), disk, random.Random(0))
    learner.raft.step(Heartbeat(2, 1, 1, 0, 0))
    settle(learner)
    for _ in range(ELECTION_TICKS):
        learner.raft.tick()
    for _ in range(10 * ELECTION_TICKS):
        assert grants_pre_vote(learner)
        learner.raft.tick()

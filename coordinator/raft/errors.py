"""The errors of the Raft core that a caller meets, with etcd's texts and codes where etcd has them."""

from __future__ import annotations

from oarlock.wire.errors import BadTransfereeError as BadTransfereeError
from oarlock.wire.errors import Code, OarlockError, UnhealthyClusterError
from oarlock.wire.errors import LearnerNotReadyError as LearnerNotReadyError
from oarlock.wire.errors import MemberExistsError as MemberExistsError
from oarlock.wire.errors import MemberNotFoundError as MemberNotFoundError
from oarlock.wire.errors import MemberNotLearnerError as MemberNotLearnerError
from oarlock.wire.errors import NotEnoughStartedMembersError as NotEnoughStartedMembersError


class InvariantError(OarlockError):
    """The state of the core contradicts itself: a fault of ours. The process must stop, not carry on."""

    code = Code.INTERNAL
    text = "oarlock: raft invariant broken"


class MembershipChangePendingError(UnhealthyClusterError):
    """Another membership change, or the first commit of this leader, is still under way: ask again later."""

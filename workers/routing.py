"""Where a request goes: through the log, to the local replica after a read index, or to the local replica at once."""

from __future__ import annotations

from typing import Any

from oarlock.wire.operations import AlarmAction, Op, RangeFlag

_OF_LEARNERS = frozenset({int(Op.HELLO), int(Op.STATUS), int(Op.MEMBER_LIST)})
_ALWAYS_WRITES = frozenset(
    {int(Op.PUT), int(Op.DELETE), int(Op.COMPACT), int(Op.LEASE_GRANT), int(Op.LEASE_REVOKE)},
)

_RANGE = int(Op.RANGE)
_SERIALIZABLE = int(RangeFlag.SERIALIZABLE)  # plain: operators of enums cost a microsecond


def is_write(request: list[Any]) -> bool:
    """Whether a request (that ``check_request`` let pass) must go through the log.

    A transaction that holds nothing but ranges in both branches is a read; one that nests another is a write, even if
    that one only reads (etcd, IsTxnReadonly).
    """
    operation = request[1]
    if operation in _ALWAYS_WRITES:
        return True
    if operation == Op.TXN:
        return any(step[0] != Op.RANGE for branch in request[3:5] for step in branch)
    return bool(operation == Op.ALARM and request[2] != AlarmAction.GET)


def is_for_learners(request: list[Any]) -> bool:
    """Whether a learner answers a request (that ``check_request`` let pass).

    etcd (UnaryInterceptor, isRPCSupportedForLearner): statuses and serializable ranges, nothing else. The greeting is
    the connection's; a list of the members comes from the leader or says that it does not, and helps who is lost.
    """
    return request[1] in _OF_LEARNERS or (request[1] == Op.RANGE and is_serializable(request))


def is_serializable(request: list[Any]) -> bool:
    """Whether a read may be answered from the local replica without asking the quorum.

    Of a transaction every range must be serializable; one without any operation counts as such (etcd,
    IsTxnSerializable).
    """
    operation = request[1]
    if operation == _RANGE:
        return len(request) > 3 and bool(request[3] & _SERIALIZABLE)
    if operation == Op.TXN:
        return all(
            step[0] == _RANGE and len(step) > 2 and bool(step[2] & _SERIALIZABLE)
            for branch in request[3:5]
            for step in branch
        )
    return False

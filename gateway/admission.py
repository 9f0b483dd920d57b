"""What holds for a call of any service, whoever carries it: who may be served now, and what a mistake costs."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.message import DecodeError

from oarlock.gateway.grpc.requests import Method
from oarlock.gateway.grpc.status import Status
from oarlock.gateway.service import Backend, Exchange
from oarlock.wire.errors import Code, LearnerRefusesError, NoLeaderError, OarlockError
from oarlock.wire.logs import get_logger

log = get_logger(__name__)

FOR_LEARNERS: Final = frozenset(
    {"/etcdserverpb.KV/Range", "/etcdserverpb.Maintenance/Status", "/etcdserverpb.Maintenance/Snapshot"}
)
"""What a learner answers; a linearizable range it refuses later (etcd, isRPCSupportedForLearner)."""


def refusal(method: Method, exchange: Exchange, backend: Backend) -> Status | None:
    """Why this member does not serve a call now, None if it does."""
    if backend.is_learner and method.path not in FOR_LEARNERS:
        return Status.of(LearnerRefusesError())
    if not backend.has_leader and exchange.metadata("hasleader") == "true":
        return Status.of(NoLeaderError())
    return None


def guarded(exchange: Exchange, handler: Any, *arguments: Any) -> None:
    """Calls a service, and turns what it raises into the end of the call.

    Args:
        exchange: the call.
        handler: of a `Method`, or a callback of the exchange.
        arguments: for it.
    """
    try:
        handler(*arguments)
    except Exception as problem:
        failed(exchange, problem)


def failed(exchange: Exchange, problem: Exception) -> None:
    """Ends a call with what its service raised."""
    if isinstance(problem, OarlockError):
        exchange.finish(Status.of(problem))
    elif isinstance(problem, DecodeError):
        exchange.finish(Status(Code.INTERNAL, f"grpc: error unmarshalling request: {problem}"))
    else:
        # A mistake of ours. One call must not cost all clients of this worker their connection.
        log.error("a call could not be handled", exc_info=problem)
        exchange.finish(Status(Code.INTERNAL, "oarlock: internal error"))

"""v3lockpb.Lock: a name that one lease has at a time (etcd: server/etcdserver/api/v3lock)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from oarlock.gateway.grpc.requests import Method
from oarlock.gateway.proto.lock_pb2 import LockRequest, LockResponse, UnlockRequest
from oarlock.gateway.service import Backend, Exchange, is_error
from oarlock.gateway.services.candidates import Candidate
from oarlock.gateway.services.recipes import MAX_CALLS, Room, plain_error
from oarlock.wire.operations import Op

SESSION_EXPIRED = "mutex: session is expired"


def methods(backend: Backend) -> Sequence[Method]:
    """The methods of the service."""
    locks = LockService(backend)
    return (
        Method("/v3lockpb.Lock/Lock", handler=locks.lock),
        Method("/v3lockpb.Lock/Unlock", handler=locks.unlock),
    )


class LockService:
    """The calls about locks.

    Attributes:
        room: the calls that wait.

    Args:
        backend: the worker.
        most_calls: that may wait.
    """

    def __init__(self, backend: Backend, most_calls: int = MAX_CALLS) -> None:
        self._backend = backend
        self.room = Room(most_calls)

    def lock(self, exchange: Exchange, message: bytes) -> None:
        """Lock.Lock: answers when the lease has the lock; at once if it has it already.

        Raises:
            OverloadedError: too many wait.
        """
        request = LockRequest.FromString(message)
        backend = self._backend
        candidate = Candidate(backend, self.room, exchange, request.name, b"", expired=SESSION_EXPIRED)

        def won(revision: int) -> None:
            exchange.reply(backend.header_field(revision) + LockResponse(key=candidate.key).SerializeToString())

        candidate.enter(request.lease, lambda value: candidate.wait(won))

    def unlock(self, exchange: Exchange, message: bytes) -> None:
        """Lock.Unlock: deletes the key that Lock answered with; it is no error if it has gone."""

        def done(item: Any) -> None:
            if is_error(item):
                exchange.finish(plain_error(item[2]))
            else:
                exchange.reply(self._backend.header_field(item[1]))

        self._backend.submit([int(Op.DELETE), UnlockRequest.FromString(message).key], done)

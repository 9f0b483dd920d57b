"""Streams that asked to be ended when their member has lost the leader (metadata ``hasleader``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from oarlock.gateway.grpc.status import Status
from oarlock.gateway.service import Backend, Exchange, Timer
from oarlock.wire.errors import NoLeaderError

ELECTION_TIMEOUT_S: Final = 1.0
"""How often the leader is looked for: etcd's default election timeout."""
MOST_TIMEOUTS: Final = 3
"""In a row without a leader, before streams are ended (etcd, ``maxNoLeaderCnt``): an ordinary election takes one."""


class LeaderGuard:
    """Ends streams when there has been no leader for a while, so that their clients look for another member.

    Invariant: a timer is set if, and only if, there are streams to guard; so streams cost nothing each while they
    idle.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._guarded: dict[Exchange, Callable[[Status], None]] = {}
        self._timeouts = 0
        self._timer: Timer | None = None

    def add(self, exchange: Exchange, end: Callable[[Status], None]) -> None:
        """Guards ``exchange`` if its client wants it.

        Args:
            end: called with the status when the leader is lost; the stream is not guarded any more then.
        """
        if exchange.metadata("hasleader") != "true":
            return
        self._guarded[exchange] = end
        if self._timer is None:
            self._timeouts = 0
            self._timer = self._backend.call_later(ELECTION_TIMEOUT_S, self._look)

    def remove(self, exchange: Exchange) -> None:
        """The stream has ended otherwise. No error for one that is not guarded."""
        self._guarded.pop(exchange, None)
        if not self._guarded and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = self._backend.call_later(ELECTION_TIMEOUT_S, self._look)
        if self._backend.has_leader:
            self._timeouts = 0
            return
        self._timeouts += 1
        if self._timeouts < MOST_TIMEOUTS:
            return
        status = Status.of(NoLeaderError())
        for exchange, end in tuple(self._guarded.items()):
            self.remove(exchange)
            end(status)

"""Election.Observe: one stream that tells who leads, for as long as the client listens."""

from __future__ import annotations

from typing import Any, Final

from oarlock.gateway.grpc.status import Status
from oarlock.gateway.service import Backend, Exchange, Timer, is_error
from oarlock.gateway.services.follower import Follower
from oarlock.gateway.services.key_values import encoded
from oarlock.gateway.services.leader_guard import LeaderGuard
from oarlock.gateway.services.recipes import Room, first_below, plain_error
from oarlock.wire.errors import Code, OarlockError
from oarlock.wire.operations import Event, EventType, KeyValue, prefix_end

MAX_QUEUED_BYTES: Final = 256 << 10
"""That wait for the client before its stream is paused; it goes on with history when they have left."""
RETRY_PAUSE_S: Final = 1.0
"""While the cluster has no leader that could be asked: requests wait some seconds by themselves before they fail."""


class Observer:
    """Follows the key of the leader; when that is gone, the next one's; while there is none, all keys below the name.

    Invariant: at any time until the end there is one of a question, a follower, and a timer.

    Args:
        backend, room: of the service.
        guard: ends the stream when the leader is lost.
        exchange: the call; owned from now on.
        name: of the election.

    Raises:
        OverloadedError: too many calls wait.
    """

    def __init__(self, backend: Backend, room: Room, guard: LeaderGuard, exchange: Exchange, name: bytes) -> None:
        self._backend = backend
        self._room = room
        self._guard = guard
        self._exchange = exchange
        self._prefix = name + b"/"
        self._follower: Follower | None = None
        self._timer: Timer | None = None
        self._has_leader = False
        self._is_ended = False
        room.enter()
        exchange.on_ended = self._end
        exchange.on_drained = self._resume
        guard.add(exchange, self._finish)

    def start(self) -> None:
        """Asks who leads."""
        self._timer = None
        self._backend.submit(first_below(self._prefix), self._take_leader)

    def _take_leader(self, item: Any) -> None:
        if self._is_ended:
            return
        if is_error(item):
            self._lose(item)
        elif item[2][0]:
            self._follow_leader(item[1], item[2][0][0])
        else:
            self._has_leader = False
            self._follow(self._prefix, prefix_end(self._prefix), item[1] + 1)

    def _follow_leader(self, revision: int, kv: KeyValue) -> None:
        self._has_leader = True
        self._tell(revision, kv)
        self._follow(kv[0], b"", revision + 1)

    def _follow(self, key: bytes, range_end: bytes, start_revision: int) -> None:
        if self._is_ended:  # the client was cut off when it was told
            return
        try:
            follower = Follower(self._backend, key, range_end, 0, start_revision, self._take_event, self._lose)
        except OarlockError as problem:
            self._fail(problem.message)
            return
        self._follower = follower
        self._pause_if_crowded()
        follower.start()

    def _take_event(self, revision: int, event: Event) -> None:
        kind, kv, _ = event
        if not self._has_leader:
            if kind == EventType.PUT:
                self._stop_following()
                self._follow_leader(kv[3], kv)
        elif kind == EventType.PUT:
            self._tell(revision, kv)
            self._pause_if_crowded()
        else:
            self._stop_following()
            self.start()

    def _tell(self, revision: int, kv: KeyValue) -> None:
        self._exchange.send(self._backend.header_field(revision) + encoded((kv,), field=2))

    def _pause_if_crowded(self) -> None:
        if self._follower is not None and self._exchange.queued_bytes > MAX_QUEUED_BYTES:
            self._follower.pause()

    def _resume(self) -> None:
        if self._follower is not None:
            self._follower.resume()

    def _lose(self, item: Any) -> None:
        """There is no answer, or no history: starts again if that can help (etcd ends the stream without a word)."""
        self._follower = None
        if item[1] == -Code.OUT_OF_RANGE:  # compacted; what is there now tells the rest
            self.start()
        elif item[1] == -Code.UNAVAILABLE:
            self._timer = self._backend.call_later(RETRY_PAUSE_S, self.start)
        else:
            self._fail(item[2])

    def _fail(self, text: str) -> None:
        if not self._is_ended:
            self._finish(plain_error(text))

    def _finish(self, status: Status) -> None:
        self._end()
        self._exchange.finish(status)

    def _end(self, status: Status | None = None) -> None:
        self._is_ended = True
        self._guard.remove(self._exchange)
        self._stop_following()
        if self._timer is not None:
            self._timer.cancel()
        self._room.leave()

    def _stop_following(self) -> None:
        if self._follower is not None:
            self._follower.close()
            self._follower = None

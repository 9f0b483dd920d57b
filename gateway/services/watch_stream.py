"""One stream of watches: its requests, and help for those of its watches that are behind."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from oarlock.gateway.grpc.status import Status
from oarlock.gateway.proto.rpc_pb2 import WatchCreateRequest, WatchRequest, WatchResponse
from oarlock.gateway.service import Backend, Exchange, Timer, status_of
from oarlock.gateway.services.leader_guard import LeaderGuard
from oarlock.gateway.services.watch_limits import WatchLimits
from oarlock.gateway.services.watch_messages import History
from oarlock.gateway.services.watch_progress import ProgressClock
from oarlock.gateway.services.watch_pulls import Pulls
from oarlock.gateway.services.watch_refusals import DuplicateWatchError, cancel_reason
from oarlock.gateway.services.watcher import Watcher
from oarlock.wire import metrics
from oarlock.wire.errors import Code, CompactedError, LearnerRefusesError, OarlockError, OverloadedError

MAX_PULL_FAILURES: Final = 20
"""In a row, before the stream is ended, so that its client tries elsewhere: with the pauses between them 10 s, longer
than an election takes."""
PULL_PAUSE_S: Final = 0.5
"""After a request for history failed: the worker has too much to do, or its replica is being replaced."""
CROWDED_PAUSE_S: Final = 0.05
"""Before another look at a connection on which other streams wait for the client: nothing tells of that."""
NO_WATCH: Final = -1
"""The id in answers that are about none, or about all (etcd, ``InvalidWatchID``)."""

_streams = metrics.gauge("etcd_debugging_mvcc_watch_stream_total", "Streams of watches of etcd's clients.")


@dataclass(frozen=True, slots=True)
class WatchTools:
    """What the streams of a worker share.

    Attributes:
        backend: the worker.
        pulls: turns at history.
        guard: ends streams when the leader is lost.
        progress_interval_s: between notifications of progress.
        fragment_bytes: of a response, to watches that want long ones in pieces.
        limits: of what watches may take.
    """

    backend: Backend
    pulls: Pulls
    guard: LeaderGuard
    progress_interval_s: float
    fragment_bytes: int
    limits: WatchLimits


class WatchStream:
    """A stream.

    Invariants:
    1. ``_watchers`` holds the watches that have not ended, by id; each of them has a subscription.
    2. A watch is in ``_behind``, or its history is under way, if and only if it is behind.
    3. When the stream is over, it has no watches and no timer.

    Args:
        tools: shared with other streams.
        exchange: the call; the stream sets its callbacks.
    """

    __slots__ = (
        "_auto_id",
        "_backend",
        "_behind",
        "_exchange",
        "_failures",
        "_fragment_bytes",
        "_guard",
        "_is_pulling",
        "_limits",
        "_progress",
        "_pulls",
        "_retry",
        "_watchers",
    )

    def __init__(self, tools: WatchTools, exchange: Exchange) -> None:
        self._backend = tools.backend
        self._pulls = tools.pulls
        self._guard = tools.guard
        self._fragment_bytes = tools.fragment_bytes
        self._limits = tools.limits
        self._exchange = exchange
        self._watchers: dict[int, Watcher] = {}
        self._auto_id = 0
        self._behind: deque[Watcher] = deque()
        self._is_pulling = False
        self._failures = 0
        self._retry: Timer | None = None
        self._progress = ProgressClock(tools.backend, exchange, tools.progress_interval_s, self._watchers)
        exchange.on_message = self._on_message
        exchange.on_drained = self._catch_up
        exchange.on_ended = self._on_ended  # the end of the requests, on the other hand, ends nothing
        tools.guard.add(exchange, self._finish)
        _streams.inc()

    # Its life

    def _on_ended(self, status: Status) -> None:
        self._close()

    def _finish(self, status: Status) -> None:
        self._close()
        self._exchange.finish(status)

    def _close(self) -> None:
        _streams.dec()
        exchange = self._exchange
        exchange.on_message = exchange.on_drained = exchange.on_ended = None
        self._guard.remove(exchange)
        self._progress.stop()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        for watcher in self._watchers.values():
            watcher.close()
        self._watchers.clear()
        self._behind.clear()

    # Requests

    def _on_message(self, message: bytes) -> None:
        try:
            request = WatchRequest.FromString(message)
            kind = request.WhichOneof("request_union")
            if kind == "create_request":
                self._create(request.create_request)
            elif kind == "cancel_request":
                self._cancel(request.cancel_request.watch_id)
            elif kind == "progress_request":
                self._progress.answer()
        except Exception:  # whoever called ends the call
            self._close()
            raise

    def _create(self, request: WatchCreateRequest) -> None:
        try:
            watcher = self._new_watcher(request)
        except LearnerRefusesError:
            raise  # it refuses the whole stream
        except OarlockError as problem:
            self._send(watch_id=NO_WATCH, created=True, canceled=True, cancel_reason=cancel_reason(problem))
            return
        self._watchers[watcher.watch_id] = watcher
        self._send(watch_id=watcher.watch_id, created=True)
        if not watcher.is_closed:  # by a client that has not read for so long that this was too much
            self._progress.start(watcher)
            watcher.start()

    def _new_watcher(self, request: WatchCreateRequest) -> Watcher:
        if len(self._watchers) >= self._limits.watches:
            raise OverloadedError(f"{OverloadedError.text}: {self._limits.watches} watches on this stream")
        if request.watch_id and request.watch_id in self._watchers:
            duplicate: OarlockError | None = DuplicateWatchError()
        else:
            duplicate = CompactedError() if request.start_revision < 0 else None
        watcher = Watcher(self._backend, self._exchange, request, self._fell_behind, self._fragment_bytes, self._limits)
        if duplicate is not None:  # after the range was looked at, as in etcd
            watcher.close()
            raise duplicate
        if not watcher.watch_id:
            watcher.watch_id = self._next_id()
        return watcher

    def _next_id(self) -> int:
        while self._auto_id in self._watchers:
            self._auto_id += 1
        self._auto_id += 1
        return self._auto_id - 1

    def _cancel(self, watch_id: int) -> None:
        watcher = self._watchers.pop(watch_id, None)
        if watcher is not None:
            watcher.close()
            self._send(watch_id=watch_id, canceled=True)

    def _send(self, **fields: Any) -> None:
        """A response without events, whose header has the revision of the store."""
        header = self._backend.header_field(self._backend.revision)
        self._exchange.send(header + WatchResponse(**fields).SerializeToString())

    # History

    def _fell_behind(self, watcher: Watcher) -> None:
        self._behind.append(watcher)
        self._catch_up()

    def _catch_up(self) -> None:
        """Asks for history, if a watch needs it, and the client has read what it was sent."""
        if self._is_pulling or self._retry is not None or not self._behind:
            return
        if self._exchange.queued_bytes:
            return  # on_drained comes here
        if self._exchange.is_crowded:
            self._catch_up_later(CROWDED_PAUSE_S)
            return
        self._is_pulling = True
        self._pulls.ask(self)

    def _catch_up_later(self, pause_s: float) -> None:
        self._retry = self._backend.call_later(pause_s, self._retry_now)

    def _retry_now(self) -> None:
        self._retry = None
        self._catch_up()

    def next_behind(self) -> Watcher | None:
        """The watch whose history is to be asked for, None if all have ended."""
        while self._behind:
            watcher = self._behind.popleft()
            if not watcher.is_closed:
                return watcher
        self._is_pulling = False
        return None

    def history_arrived(self, watcher: Watcher, history: History) -> None:
        """Takes what a watch missed."""
        self._is_pulling = False
        if not watcher.is_closed:
            self._failures = 0
            watcher.take_history(history)
            if watcher.is_behind and not watcher.is_closed:
                self._behind.append(watcher)
        self._catch_up()

    def history_failed(self, watcher: Watcher, item: Any) -> None:
        """Ends the watch if it wants what was compacted; else tries again later, so often."""
        self._is_pulling = False
        if watcher.is_closed:
            self._catch_up()
        elif -item[1] == Code.OUT_OF_RANGE:
            self._compacted(watcher, compact_revision=item[3])
            self._catch_up()
        elif self._failures < MAX_PULL_FAILURES:
            self._failures += 1
            self._behind.appendleft(watcher)
            self._catch_up_later(PULL_PAUSE_S)
        else:
            self._finish(status_of(item))

    def _compacted(self, watcher: Watcher, compact_revision: int) -> None:
        """What the watch needs is gone; the header has no revision then (etcd likewise)."""
        del self._watchers[watcher.watch_id]
        watcher.close()
        response = WatchResponse(watch_id=watcher.watch_id, canceled=True, compact_revision=compact_revision)
        self._exchange.send(self._backend.header_field(0) + response.SerializeToString())

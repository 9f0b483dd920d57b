"""One watch of a stream: what it has delivered, and whether it is live or behind.

A live watcher is handed batches as they happen. It falls behind when it starts in the past, when it missed something
(the replica was replaced), and when its client does not keep up: then batches are dropped, of which only the highest
revision is remembered, and history is pulled from the replica until nothing is missing. Revisions join the two: nothing
below ``next_revision`` is sent again, whichever way it comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from oarlock.gateway.proto.rpc_pb2 import WatchCreateRequest
from oarlock.gateway.service import Backend, Exchange, LiveBatch, SharedMessages, Subscription
from oarlock.gateway.services.watch_limits import WatchLimits
from oarlock.gateway.services.watch_messages import EncodedBatch, History, encoded_batch, live_fragments
from oarlock.wire import metrics
from oarlock.wire.operations import FROM_KEY, Op, WatchFlag

_behind = metrics.gauge("etcd_debugging_mvcc_slow_watcher_total", "Watchers of etcd's clients that need history.")

_FILTERS: Final = (WatchFlag.NO_PUT, WatchFlag.NO_DELETE)
"""By ``FilterType``."""


def flags_of(request: WatchCreateRequest) -> int:
    """The native flags of a request; filters that nobody knows are passed over."""
    flags = int(WatchFlag.PREV_KV) if request.prev_kv else 0
    for kind in request.filters:
        if 0 <= kind < len(_FILTERS):
            flags |= int(_FILTERS[kind])
    return flags


class Watcher:
    """A watch.

    Invariants:
    1. Every wanted event below ``next_revision``, and from the start revision on, was sent, and no other.
    2. While live, nothing of the group was published from ``next_revision`` on. While behind, nothing after
       ``seen_revision``.

    Attributes:
        watch_id: on its stream.
        start_revision: as asked for, 0 for now.
        wants_progress: whether it is told from time to time that nothing happened.
        is_quiet: whether no events were sent since the last such time.
        next_revision: the lowest that it has not been sent yet.
        seen_revision: the highest that it has heard of while behind.
        is_behind: whether it needs history.
        is_closed: whether it has ended.
        subscription: its place in the group, which it owns.

    Args:
        fell_behind: called, at most once until it is live again, when it is.
        fragment_bytes: of a response, if the request wants long ones in pieces.
        limits: of what waits for the client, and of what is asked for at a time.
    """

    __slots__ = (
        "_backend",
        "_exchange",
        "_fell_behind",
        "_flags",
        "_fragment_bytes",
        "_key",
        "_limits",
        "_range_end",
        "is_behind",
        "is_closed",
        "is_quiet",
        "next_revision",
        "seen_revision",
        "start_revision",
        "subscription",
        "wants_progress",
        "watch_id",
    )

    def __init__(
        self,
        backend: Backend,
        exchange: Exchange,
        request: WatchCreateRequest,
        fell_behind: Callable[[Watcher], None],
        fragment_bytes: int,
        limits: WatchLimits,
    ) -> None:
        self._backend = backend
        self._exchange = exchange
        self._fell_behind = fell_behind
        self._flags = flags_of(request)
        self._fragment_bytes = fragment_bytes if request.fragment else None
        self._limits = limits
        self._key = request.key or FROM_KEY
        self._range_end = request.range_end
        self.watch_id = request.watch_id
        self.start_revision = request.start_revision
        self.wants_progress = request.progress_notify
        self.is_quiet = True
        self.is_behind = False
        self.is_closed = False
        self.seen_revision = 0
        self.next_revision = 0
        self.subscription: Subscription = backend.subscribe(self._key, self._range_end, self._flags, self.deliver)

    def start(self) -> None:
        """Begins to deliver: live ones from now on, after history if the start revision is in the past."""
        revision = self.subscription.revision
        self.next_revision = self.start_revision or revision + 1
        if self.next_revision <= revision:
            self._fall_behind(revision)

    def close(self) -> None:
        """Ends it: nothing is sent any more."""
        self.is_closed = True
        self.subscription.close()
        if self.is_behind:
            _behind.dec()

    def is_caught_up(self, revision: int) -> bool:
        """Whether everything up to ``revision``, that of the store, was sent, and events after it are wanted (etcd: a
        watch that begins in the future is not in step)."""
        return not self.is_behind and self.start_revision <= revision

    def deliver(self, batch: LiveBatch) -> None:
        """Takes what happened."""
        if self.is_behind:
            self.seen_revision = max(self.seen_revision, batch.revision)
            return
        next_revision = self.next_revision
        if batch.previous_revision >= next_revision:
            self._fall_behind(batch.revision)
        elif batch.revision >= next_revision:
            encoded = encoded_batch(self._backend, batch, self._limits.live_bytes)
            if encoded is None or not self._send(batch, encoded):
                self._fall_behind(batch.revision)

    def _send(self, batch: LiveBatch, encoded: EncodedBatch) -> bool:
        """Sends what is wanted of a batch; False if the client does not keep up, and nothing was sent."""
        if self._fragment_bytes is None or encoded.longest_bytes < self._fragment_bytes:
            messages = encoded.messages(self.watch_id, self.next_revision)
        else:
            wanted = [event for event in batch.events if event[1][3] >= self.next_revision]
            messages = SharedMessages(live_fragments(self._backend, wanted, self.watch_id, self._fragment_bytes))
        if messages.messages:
            if not self._exchange.offer(messages, self._limits.queue_bytes):
                return False
            self.is_quiet = False
        self.next_revision = batch.revision + 1
        return True

    def _fall_behind(self, revision: int) -> None:
        self.is_behind = True
        _behind.inc()
        self.seen_revision = revision
        self._fell_behind(self)

    def history_request(self) -> list[Any]:
        """Asks for what is missing."""
        operation = int(Op.WATCH_HISTORY)
        return [operation, self._key, self._flags, self._range_end, self.next_revision, 0, self._limits.pull_bytes]

    def take_history(self, history: History) -> None:
        """Sends what was missing, and is live again if that was all.

        Args:
            history: from ``next_revision`` on, as it was when this watch asked.
        """
        if not history.is_empty:
            messages = history.messages(self.watch_id, self._fragment_bytes)
            if not self._exchange.offer(messages, self._limits.pulled_queue_bytes):
                return  # still behind: asked for again when the client has read
            self.is_quiet = False
        self.next_revision = history.next_revision
        if self.next_revision > self.seen_revision:
            self.is_behind = False
            _behind.dec()

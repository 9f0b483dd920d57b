"""What the etcd front door asks of its worker: requests collected in a turn, answers handed to whoever asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from oarlock.gateway.service import Done, LiveBatch, Subscription, Timer
from oarlock.gateway.varints import varint
from oarlock.wire.errors import LearnerRefusesError
from oarlock.wire.logs import get_logger
from oarlock.workers.native_door import MAX_REQUESTS_A_MESSAGE, Message
from oarlock.workers.replica_keeper import ReplicaKeeper
from oarlock.workers.watch.hub import WatchHub

log = get_logger(__name__)


class EtcdBackend:
    """The worker as services see it (``oarlock.gateway.service.Backend``), and a caller as the worker sees it.

    Requests that are submitted in one turn go to the worker as one message, as if one native client had sent them.

    Invariant: every request that was submitted and not answered is in ``_waiting``, under its sequence.

    Args:
        keeper: owns the replica.
        hub: knows who watches what.
        loop: that runs the worker.
        request_timeout_s: after which the worker gives a request up (etcd: 5 s and two election time-outs).
        wake: called when there are requests to take; the owner then calls ``take`` before its turn ends.
    """

    def __init__(
        self,
        keeper: ReplicaKeeper,
        hub: WatchHub,
        loop: asyncio.AbstractEventLoop,
        request_timeout_s: float,
        wake: Callable[[], None],
    ) -> None:
        self._keeper = keeper
        self._hub = hub
        self._loop = loop
        self._timeout_ms = int(request_timeout_s * 1000)
        self._wake = wake
        self._sequence = 0
        self._waiting: dict[int, Done] = {}
        self._requests: list[Any] = []
        self.raft_term = 0
        self.has_leader = False
        self._header_identity = (0, 0)
        self._header_term = 0
        self._header_begin = self._header_end = self._header = b""
        self._header_revision = -1

    # What services ask

    @property
    def cluster_id(self) -> int:
        """Of the cluster."""
        return self._keeper.identity[0]

    @property
    def member_id(self) -> int:
        """Of this member."""
        return self._keeper.identity[1]

    @property
    def revision(self) -> int:
        """Of the replica now."""
        return self._keeper.meta.revision

    @property
    def compact_revision(self) -> int:
        """The oldest revision that can be read, -1 before the first compaction."""
        return self._keeper.meta.compact_revision

    @property
    def is_learner(self) -> bool:
        """Whether this member does not vote."""
        return self._keeper.is_learner

    def header_field(self, revision: int) -> bytes:
        """Field 1 of a response, serialized: a whole ResponseHeader."""
        identity, raft_term = self._keeper.identity, self.raft_term
        if identity != self._header_identity or raft_term != self._header_term:
            self._header_identity, self._header_term = identity, raft_term
            self._header_begin = b"\x08" + varint(identity[0]) + b"\x10" + varint(identity[1])
            self._header_end = b"\x20" + varint(raft_term) if raft_term else b""
        elif revision == self._header_revision:
            return self._header
        body = self._header_begin + (b"\x18" + varint(revision) if revision else b"") + self._header_end
        self._header_revision, self._header = revision, b"\x0a" + varint(len(body)) + body
        return self._header

    def submit(self, request: list[Any], done: Done) -> None:
        """Takes ``[operation, *arguments]``; ``done`` is called once, with a reply item."""
        self._sequence += 1
        self._waiting[self._sequence] = done
        if not self._requests:
            self._wake()
        self._requests.append([self._sequence, *request])

    def subscribe(self, key: bytes, range_end: bytes, flags: int, deliver: Callable[[LiveBatch], None]) -> Subscription:
        """Joins a group of watchers.

        Raises:
            WatcherRangeEmptyError: the range holds no key.
            LearnerRefusesError: a learner serves no watches (etcd likewise).
            OverloadedError: the worker has as many as it takes.
        """
        if self._keeper.is_learner:
            raise LearnerRefusesError
        return self._hub.subscribe_local(key, range_end, flags, self._keeper.meta.revision, deliver)

    def tell_watchers(self) -> None:
        """Delivers what watchers have not been told yet."""
        self._hub.catch_up(time.monotonic())

    def make_snapshot(self, done: Callable[[str | None, str], None]) -> None:
        """Makes a snapshot that is only to be sent; ``done`` owns the file."""
        self._keeper.make_snapshot(self._keeper.outgoing_directory(), self._loop, done)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Calls ``callback`` in ``delay_s`` seconds."""
        return self._loop.call_later(delay_s, callback)

    # What the worker asks

    @property
    def has_requests(self) -> bool:
        """Whether ``take`` has something to give."""
        return bool(self._requests)

    def take(self) -> Message | None:
        """What was submitted since the last time, as one message; what does not fit in one is left for another turn."""
        if not self._requests:
            return None
        requests, self._requests = self._requests, []
        if len(requests) > MAX_REQUESTS_A_MESSAGE:
            self._requests = requests[MAX_REQUESTS_A_MESSAGE:]
            del requests[MAX_REQUESTS_A_MESSAGE:]
        return Message(self, 0, 0, 0, self._timeout_ms, requests)

    def answer(self, item: Any) -> None:
        """Hands a reply item to whoever waits for it."""
        done = self._waiting.pop(item[0], None)
        if done is None:
            return  # sequence 0: news for native clients
        try:
            done(item)
        except Exception:
            # A mistake of ours. One answer must not cost all clients of this worker their connection.
            log.exception("an answer could not be handed over")

    @property
    def takes_encoded_rows(self) -> bool:
        """Yes: as what they will be in the answer."""
        return True

    def answer_long(self, item: Any, size_bytes: int) -> None:
        """As ``answer``: what a client does not read is bounded where its connection is."""
        self.answer(item)

"""A store of a few lines with the real watch hub in front, and a client of watch streams that can stop reading."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable
from typing import Any

from oarlock.gateway.proto.rpc_pb2 import ResponseHeader, WatchRequest, WatchResponse
from oarlock.gateway.service import Done, LiveBatch, Subscription
from oarlock.gateway.services import watch
from oarlock.wire.errors import CompactedError, LearnerRefusesError
from oarlock.wire.frames import pack_error
from oarlock.wire.operations import FROM_KEY, EventType, Op, WatchFlag
from oarlock.workers.watch.gathering import LARGE_GROUP
from oarlock.workers.watch.hub import WatchHub

from .fakes import FakeExchange

PUT, DELETE = int(EventType.PUT), int(EventType.DELETE)


def is_in(key: bytes, start: bytes, range_end: bytes) -> bool:
    if not range_end:
        return key == start
    return key >= start and (range_end == FROM_KEY or key < range_end)


def is_wanted(event: Any, start: bytes, range_end: bytes, flags: int) -> bool:
    unwanted = WatchFlag.NO_DELETE if event[0] == DELETE else WatchFlag.NO_PUT
    return is_in(event[1][0], start, range_end) and not flags & unwanted


class FakeTimer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.is_canceled = False

    def cancel(self) -> None:
        self.is_canceled = True


class Store:
    """A backend: events by revision, a hub, requests that wait until ``answer``, and a clock that stands still.

    Attributes:
        asked: requests that were submitted and not answered.
        answers_at_once: whether none ever waits.
        failure: an error for requests to come.
    """

    def __init__(self, revision: int = 1, large_group: int = LARGE_GROUP) -> None:
        topics = itertools.count(1)
        self.hub = WatchHub(lambda: b"topic%11d" % next(topics), large_group=large_group)
        self.cluster_id, self.member_id, self.raft_term = 7, 8, 3
        self.revision = revision
        self.compact_revision = -1
        self.has_leader = True
        self.is_learner = False
        self.events: list[Any] = []
        self.current: dict[bytes, Any] = {}
        self.asked: list[tuple[list[Any], Done]] = []
        self.answers_at_once = False
        self.failure: Exception | None = None
        self.now_s = 0.0
        self._timers: list[tuple[float, int, FakeTimer]] = []
        self._numbers = itertools.count()

    # What services ask

    def header_field(self, revision: int) -> bytes:
        header = ResponseHeader(cluster_id=7, member_id=8, revision=revision, raft_term=3)
        return WatchResponse(header=header).SerializeToString()

    def submit(self, request: list[Any], done: Done) -> None:
        self.asked.append((request, done))
        if self.answers_at_once:
            self.answer()

    def tell_watchers(self) -> None:
        self.hub.catch_up(self.now_s)

    def subscribe(self, key: bytes, range_end: bytes, flags: int, deliver: Callable[[LiveBatch], None]) -> Subscription:
        if self.is_learner:
            raise LearnerRefusesError
        return self.hub.subscribe_local(key, range_end, flags, self.revision, deliver)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(callback)
        heapq.heappush(self._timers, (self.now_s + delay_s, next(self._numbers), timer))
        return timer

    # What happens

    def commit(self, *revisions: list[tuple[bytes, bytes | None]]) -> None:
        """One drain: each argument is a revision, (key, value, or None for a deletion) each."""
        self.hub.changes(self._take(revisions), self.revision, self.now_s)
        self.hub.validate()

    def _take(self, revisions: Iterable[list[tuple[bytes, bytes | None]]]) -> list[Any]:
        changes: list[Any] = []
        for changed in revisions:
            self.revision += 1
            for key, value in changed:
                before = self.current.get(key)
                if value is None:
                    kv = (key, b"", 0, self.revision, 0, 0)
                    self.current.pop(key, None)
                else:
                    create, version = (before[2], before[4] + 1) if before else (self.revision, 1)
                    kv = self.current[key] = (key, value, create, self.revision, version, 0)
                changes.append((DELETE if value is None else PUT, kv, before))
        self.events += changes
        return changes

    def put(self, key: bytes, value: bytes = b"v") -> int:
        self.commit([(key, value)])
        return self.revision

    def miss(self, *revisions: list[tuple[bytes, bytes | None]]) -> None:
        """The replica was replaced by one that has more: nothing of it was published."""
        self._take(revisions)
        self.hub.skipped_to(self.revision, self.now_s)

    def answer(self, count: int = 1_000_000) -> None:
        """Answers requests, also those that follow from the answers."""
        while self.asked and count:
            count -= 1
            request, done = self.asked.pop(0)
            done(self._answer_to(request))

    def pass_time(self, seconds: float) -> None:
        until_s = self.now_s + seconds
        while self._timers and self._timers[0][0] <= until_s:
            self.now_s, _, timer = heapq.heappop(self._timers)
            if not timer.is_canceled:
                timer.callback()
        self.now_s = until_s
        self.hub.hand_out_due(until_s)
        self.hub.validate()

    @property
    def timers(self) -> int:
        return sum(not timer.is_canceled for _, _, timer in self._timers)

    def _answer_to(self, request: list[Any]) -> Any:
        operation, key, flags, range_end, start, _, max_bytes = request
        assert operation == Op.WATCH_HISTORY
        if self.failure is not None:
            return pack_error(1, self.failure)
        if start < self.compact_revision:
            return pack_error(1, CompactedError(detail=self.compact_revision))
        events = []
        for event in self.events:
            if event[1][3] < start:
                continue
            if max_bytes <= 0 and event[1][3] != events[-1][1][3]:
                return [1, self.revision, [events, event[1][3]]]
            if is_wanted(event, key, range_end, flags):
                events.append(event if flags & WatchFlag.PREV_KV else (event[0], event[1], None))
                max_bytes -= len(event[1][1]) + 50
        return [1, self.revision, [events, max(start, self.revision + 1)]]


class Reader(FakeExchange):
    """A client of one watch stream.

    Attributes:
        reads: whether it reads; what it does not read waits, and counts as ``queued_bytes``.
        crowded: whether its whole connection is.

    Args:
        beside: another client of the same worker, if there is one.
    """

    def __init__(self, store: Store, beside: Reader | None = None, **options: Any) -> None:
        super().__init__()
        self.reads = True
        self.wants_leader = False
        self.crowded = False
        self._taken = 0
        self._store = store
        (self._method,) = (beside._method,) if beside else watch.methods(store, **options)

    def open(self) -> Reader:
        self._method.handler(self)  # type: ignore[operator]
        return self

    def metadata(self, name: str) -> str | bytes | None:
        return "true" if name == "hasleader" and self.wants_leader else None

    @property
    def is_crowded(self) -> bool:
        return self.crowded

    @property
    def queued_bytes(self) -> int:
        return 0 if self.reads else sum(map(len, self.sent[self._taken :]))

    def stop_reading(self) -> None:
        self._taken, self.reads = len(self.sent), False

    def read_again(self) -> None:
        self.reads = True
        if self.on_drained is not None:
            self.on_drained()

    def take(self) -> list[WatchResponse]:
        """The responses since the last time."""
        responses = [WatchResponse.FromString(message) for message in self.sent]
        self.sent.clear()
        self._taken = 0
        return responses

    def request(self, **fields: Any) -> list[WatchResponse]:
        """Sends a request; the responses since the last time."""
        self.ask(WatchRequest(**fields).SerializeToString())
        return self.take()

    def create(self, key: bytes, range_end: bytes = b"", **fields: Any) -> WatchResponse:
        """Makes a watch; its first answer."""
        before = len(self.sent)
        request = {"key": key, "range_end": range_end, **fields}
        self.ask(WatchRequest(create_request=request).SerializeToString())
        return WatchResponse.FromString(self.sent.pop(before))

    def cancel_watch(self, watch_id: int) -> list[WatchResponse]:
        return self.request(cancel_request={"watch_id": watch_id})

    def ask_progress(self) -> list[WatchResponse]:
        return self.request(progress_request={})


def told(responses: list[WatchResponse]) -> list[tuple[int, list[int]]]:
    """(watch id, revisions of its events) of each response."""
    return [(one.watch_id, [event.kv.mod_revision for event in one.events]) for one in responses]

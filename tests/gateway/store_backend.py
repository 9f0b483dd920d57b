"""A `Backend` over a real replica, state machine and watch hub: a whole worker, but for the log and the sockets.

Nothing happens until the test lets it: `step` answers the oldest request, `settle` all of them.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oarlock.gateway.proto.rpc_pb2 import PutResponse, ResponseHeader
from oarlock.gateway.service import Done, LiveBatch, Subscription
from oarlock.wire.errors import OarlockError
from oarlock.wire.frames import pack_error
from oarlock.wire.operations import Op
from oarlock.workers.routing import is_write
from oarlock.workers.watch.hub import WatchHub
from tests.workers.harness import Harness

FIRST_LEASE = 1000


class Later:
    """A timer that the test fires."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.is_canceled = False

    def cancel(self) -> None:
        self.is_canceled = True


class StoreBackend:
    """The worker, as services see it.

    Attributes:
        asked: every request that was submitted, in order.
        failures: errors for the next requests of an operation, in place of their answers.
        timers: that were set.
    """

    cluster_id, member_id, raft_term, has_leader = 1, 2, 3, True

    def __init__(self, directory: Path) -> None:
        self.store = Harness(directory, travels=False)
        topics = itertools.count()
        self.hub = WatchHub(lambda: next(topics).to_bytes(8, "big"))
        self.asked: list[list[Any]] = []
        self.failures: dict[int, list[OarlockError]] = {}
        self.timers: list[Later] = []
        self._waiting: deque[tuple[list[Any], Done]] = deque()
        self._leases = itertools.count(FIRST_LEASE)

    def close(self) -> None:
        self.store.close()

    @property
    def revision(self) -> int:
        return self.store.replica.meta.revision

    @property
    def compact_revision(self) -> int:
        return self.store.replica.meta.compact_revision

    def header_field(self, revision: int) -> bytes:
        header = ResponseHeader(
            cluster_id=self.cluster_id, member_id=self.member_id, revision=revision, raft_term=self.raft_term
        )
        return PutResponse(header=header).SerializeToString()

    def submit(self, request: list[Any], done: Done) -> None:
        self.asked.append(request)
        self._waiting.append((request, done))

    def tell_watchers(self) -> None:
        self.hub.catch_up(0.0)

    def subscribe(self, key: bytes, range_end: bytes, flags: int, deliver: Callable[[LiveBatch], None]) -> Subscription:
        return self.hub.subscribe_local(key, range_end, flags, self.revision, deliver)

    def make_snapshot(self, done: Callable[[str | None, str], None]) -> None:
        done(None, "this store has no files")

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Later:
        self.timers.append(Later(callback))
        return self.timers[-1]

    # What the test does

    def fire_timers(self) -> None:
        """Time passes."""
        timers, self.timers = self.timers, []
        for timer in timers:
            if not timer.is_canceled:
                timer.callback()

    def step(self) -> bool:
        """Answers the oldest request; whether there was one."""
        if not self._waiting:
            return False
        request, done = self._waiting.popleft()
        done(self._answer(request))
        return True

    def settle(self) -> None:
        """Answers requests until none is left."""
        while self.step():
            pass

    def run(self, *request: Any) -> Any:
        """Does something as another client would, at once, and returns its result."""
        item = self._answer(list(request))
        assert item[1] >= 0, item
        return item[2]

    def keys(self, prefix: bytes) -> dict[bytes, bytes]:
        """What is below a name now."""
        kvs = self.run(Op.RANGE, prefix, 0, prefix + b"\xff")[0]
        return {kv[0]: kv[1] for kv in kvs}

    def _answer(self, request: list[Any]) -> Any:
        operation, *arguments = request
        if failures := self.failures.get(operation):
            return pack_error(1, failures.pop(0))
        if not is_write([1, *request]):
            return self.store.read([1, *request])
        if operation == Op.LEASE_GRANT and not arguments[0]:
            arguments[0] = next(self._leases)  # as a worker does before it proposes
        item = self.store.write([operation, *arguments])[0]
        self.hub.changes(self.store.machine.changes, self.revision, 0.0)
        return item

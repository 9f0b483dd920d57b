"""A client whose server is the model of the contract, in this process: for tests of the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from oarlock import Client, OarlockError, WatchResponse, calls
from oarlock.results import Header, event
from oarlock.wire.errors import MemberNotFoundError, from_wire
from oarlock.wire.operations import MEMBERSHIP, Op, WatchFlag
from tests.model.kv_model import KvModel

T = TypeVar("T")
CLUSTER, MEMBER, TERM = 0xC1, 0xABCDEF0123, 2
HTTP = "http://127.0.0.1"
OTHER_MEMBER, NEW_MEMBER = 0xBCDEF01234, 0xCDEF012345


class ModelClient(Client):
    """``oarlock.Client`` over a KvModel. ``failures`` are raised instead of the next answers."""

    def __init__(self, model: KvModel) -> None:
        self.model = model
        self.failures: list[BaseException] = []
        self.sent: list[tuple[Any, ...]] = []
        self.watches: list[ModelWatch] = []
        self.next_lease = 0x1000
        self.time_left_s: dict[int, int] = {}
        self.members: dict[int, list[Any]] = {
            MEMBER: [MEMBER, "m1", ["tcp://127.0.0.1:2380"], ["tcp://127.0.0.1:2378"], False, [f"{HTTP}:2379"]],
            OTHER_MEMBER: [
                OTHER_MEMBER,
                "m2",
                ["tcp://127.0.0.1:2390"],
                ["tcp://127.0.0.1:2388"],
                False,
                [f"{HTTP}:2389"],
            ],
        }

    def close(self) -> None:
        pass

    def header(self) -> Header:
        return Header(CLUSTER, MEMBER, self.model.revision, TERM)

    def call(self, call: calls.Call[T], timeout_s: float | None = None) -> T:
        self.sent.append((call.op, *call.arguments))
        if self.failures:
            raise self.failures.pop(0)
        if call.op in MEMBERSHIP:
            return call.decode(self.header()._replace(revision=0), self._membership(call.op, *call.arguments))
        result = self._answer(call.op, list(call.arguments))
        return call.decode(self.header(), result)

    def _membership(self, operation: int, *arguments: Any) -> Any:
        """What a leader answers, as far as it is needed to see what is made of it."""
        if operation == Op.MEMBER_ADD:
            added = self.members[NEW_MEMBER] = [NEW_MEMBER, "", arguments[1], [], arguments[2]]
            return [added, list(self.members.values()), [CLUSTER, []]]
        if operation != Op.MEMBER_LIST and arguments[0] not in self.members:
            raise MemberNotFoundError
        if operation == Op.MEMBER_REMOVE:
            del self.members[arguments[0]]
        elif operation == Op.MEMBER_UPDATE:
            self.members[arguments[0]][2] = arguments[1]
        elif operation == Op.MEMBER_PROMOTE:
            self.members[arguments[0]][4] = False
        return None if operation == Op.MOVE_LEADER else list(self.members.values())

    def _answer(self, operation: int, arguments: list[Any]) -> Any:
        if operation == Op.STATUS:
            return self._status()
        if operation == Op.HASH_KV:
            return [3709723930, max(self.model.compact_revision, 0), self.model.revision]
        if operation == Op.LEASE_KEEPALIVE:
            return self.model.leases.get(arguments[0], 0)
        if operation == Op.LEASE_TIME_TO_LIVE:
            return self._time_to_live(*arguments)
        if operation == Op.LEASE_GRANT and arguments[0] == 0:
            self.next_lease += 1
            arguments[0] = self.next_lease
        reply, _ = self.model.step([1, operation, *arguments])
        if reply[1] < 0:
            raise from_wire(-reply[1], *reply[2:])
        return reply[2]

    def _time_to_live(self, lease: int, keys: bool = False) -> list[Any]:
        if lease not in self.model.leases:
            return [-1, 0, []]
        granted = self.model.leases[lease]
        space = self.model.spaces[self.model.revision]
        attached = sorted(key for key, kv in space.items() if kv[5] == lease) if keys else []
        return [self.time_left_s.get(lease, granted - 1), granted, attached]

    def _status(self) -> dict[str, Any]:
        return {
            "version": "0.1.0",
            "cluster_id": CLUSTER,
            "member_id": MEMBER,
            "leader": MEMBER,
            "raft_term": TERM,
            "raft_index": 40,
            "raft_applied_index": 40,
            "db_size": 20480,
            "db_size_in_use": 16384,
            "db_size_quota": 0,
            "is_learner": False,
            "errors": [f"memberID:{member} alarm:NOSPACE " for member, _ in sorted(self.model.alarms)],
            "revision": self.model.revision,
            "compact_revision": 0,
            "workers": 1,
        }

    def watch(self, key: Any, **options: Any) -> ModelWatch:  # type: ignore[override]
        watch = ModelWatch(self, key, **options)
        self.watches.append(watch)
        return watch

    def add_watch_callback(  # type: ignore[override]
        self, key: Any, callback: Callable[[WatchResponse], object], **options: Any
    ) -> ModelWatch:
        watch = self.watch(key, **options)
        watch.deliver_to(callback)
        return watch


class ModelWatch:
    """Delivers the past from its start revision on, then ends: with ``end``, an error, or as if Ctrl-C were pressed."""

    end: BaseException = KeyboardInterrupt()

    def __init__(
        self,
        client: ModelClient,
        key: bytes,
        *,
        range_end: bytes | None = None,
        start_revision: int = 0,
        prev_kv: bool = False,
        progress_notify: bool = False,
    ) -> None:
        self.client = client
        self.cancelled = False
        self.progress_notify = progress_notify
        self._asked = (key, WatchFlag.PREV_KV if prev_kv else 0, range_end or b"", start_revision)

    @property
    def revision(self) -> int:
        return self.client.model.revision

    def __enter__(self) -> ModelWatch:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    def cancel(self) -> None:
        self.cancelled = True

    def responses(self) -> Iterator[WatchResponse]:
        if self.client.failures:
            raise self.client.failures.pop(0)
        header = self.client.header()
        by_revision: dict[int, list[Any]] = {}
        for wire in self.client.model.history(*self._asked):
            by_revision.setdefault(wire[1][3], []).append(event(list(wire)))
        for revision, events in sorted(by_revision.items()):
            yield WatchResponse(header._replace(revision=revision), events)
        if self.progress_notify:
            yield WatchResponse(header, [])
        raise self.end

    def deliver_to(self, callback: Callable[[WatchResponse], object]) -> None:
        try:
            for response in self.responses():
                callback(response)
        except OarlockError as problem:
            callback(WatchResponse(self.client.header(), [], problem))
        except KeyboardInterrupt:
            pass

"""What becomes of a client's request: refused, answered from the replica, asked of the coordinator, or proposed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from oarlock.storage.replica import ReplicaFailedError
from oarlock.wire.entries import EntryKind
from oarlock.wire.errors import (
    InternalError,
    LearnerRefusesError,
    NoSpaceError,
    OarlockError,
    OverloadedError,
    UnsupportedError,
)
from oarlock.wire.frames import pack_error
from oarlock.wire.identifiers import new_id
from oarlock.wire.logs import get_logger
from oarlock.wire.operations import MEMBERSHIP, MIN_TTL_S, Alarm, AlarmAction, Op
from oarlock.workers.apply import Applied
from oarlock.workers.native_door import Message
from oarlock.workers.proposals import MAX_OUTSTANDING_BYTES, Batch, Proposals
from oarlock.workers.questions import Questions
from oarlock.workers.quota import Quota
from oarlock.workers.read_index import ReadRounds
from oarlock.workers.reads import Caller, Read, Reads
from oarlock.workers.replica_keeper import ReplicaKeeper
from oarlock.workers.routing import is_for_learners, is_serializable, is_write
from oarlock.workers.validation import Limits, check_request
from oarlock.workers.write_batches import KIND_OF, Source, WriteBatches, answer

log = get_logger(__name__)

OVERLOAD_PAUSE_MS: Final = 100
"""The hint that goes with a refused write: about the time in which what is under way gets through."""
REQUEST_OVERHEAD_BYTES: Final = 64
"""What a request takes in a batch beside its key and value, about."""


class _Nobody:
    """The caller of what a worker proposes by itself."""

    takes_encoded_rows = False

    def answer(self, item: Any) -> None:
        """Nobody waits."""

    def answer_long(self, item: Any, size_bytes: int) -> None:
        """Nobody waits."""


NOBODY: Final = _Nobody()

_BATCH: Final = int(EntryKind.BATCH)
_PUT: Final = int(Op.PUT)
_RANGE: Final = int(Op.RANGE)


class Requests:
    """Sorts requests. Not thread-safe.

    Args:
        batches: takes writes.
        rounds: takes reads that must be linearizable.
        questions: asks the coordinator.
        reads: runs reads.
        proposals: tells when too much is under way.
        keeper: owns the replica.
        limits: what one request may be.
        quota: tells when there is no space for more.
        hello: fields of the greeting that do not change.
    """

    def __init__(
        self,
        batches: WriteBatches,
        rounds: ReadRounds,
        questions: Questions,
        reads: Reads,
        proposals: Proposals,
        keeper: ReplicaKeeper,
        *,
        limits: Limits,
        quota: Quota,
        hello: dict[str, Any],
    ) -> None:
        self._batches = batches
        self._rounds = rounds
        self._questions = questions
        self._reads = reads
        self._proposals = proposals
        self._keeper = keeper
        self._limits = limits
        self._quota = quota
        self._hello = hello
        self._physical: list[tuple[Caller, Any]] = []
        self._others: dict[int, Callable[[Caller, list[Any], float], None]] = {
            Op.HELLO: self._on_hello,
            Op.STATUS: self._on_status,
            Op.LEASE_KEEPALIVE: self._on_keep_alive,
            Op.LEASE_TIME_TO_LIVE: self._on_time_to_live,
            Op.DEFRAGMENT: self._on_defragment,
            **{int(operation): self._on_membership for operation in MEMBERSHIP},
        }

    def take(self, message: Message, now_s: float) -> None:
        """Takes the requests of one message; each will be answered, sooner or later."""
        caller = message.connection
        deadline_s = now_s + message.timeout_ms / 1000
        limits, is_learner = self._limits, self._keeper.is_learner
        writes: list[Any] = []
        size_bytes = 0
        for request in message.requests:
            try:
                check_request(request, limits)
                operation = request[1]
                if is_learner and not is_for_learners(request):
                    raise LearnerRefusesError
                if operation == _PUT:
                    self._admit_write(request)
                    writes.append(request)
                    size_bytes += len(request[2]) + len(request[3]) + REQUEST_OVERHEAD_BYTES
                elif operation == _RANGE:
                    read = Read(caller, request, deadline_s)
                    if is_serializable(request):
                        self._reads.start(read)
                    else:
                        self._rounds.join(read)
                elif operation in self._others:
                    self._others[operation](caller, request, deadline_s)
                elif is_write(request):
                    self._admit_write(request)
                    size_bytes += self._add_write(message, request, writes, deadline_s)
                else:
                    self._add_read(Read(caller, request, deadline_s))
            except ReplicaFailedError:
                raise  # the worker ends: see Reads.start
            except OarlockError as problem:
                caller.answer(pack_error(_sequence(request), problem))
            except Exception:
                # A mistake of ours. One request must not cost all clients of this worker their connection.
                log.exception("a request could not be handled")
                caller.answer(pack_error(_sequence(request), InternalError()))
        if writes:
            self._batches.add(self._source(message, deadline_s), writes, _BATCH, size_bytes)

    def answer(self, batch: Batch, applied: Applied) -> None:
        """The replies to a batch that was applied. A physical compaction is answered when the space is free."""
        replies = applied.replies or []
        if applied.physical and self._keeper.is_compacting and batch.routes:
            for group, place in reversed(applied.physical):  # from the end, so that places stay what they are
                self._physical.append((batch.routes[group], replies[group].pop(place)))
        answer(batch, replies)

    def compaction_done(self) -> None:
        """The replica has removed what compactions made superfluous."""
        waiting, self._physical = self._physical, []
        for caller, item in waiting:
            caller.answer(item)

    def compact_to(self, revision: int) -> None:
        """Proposes a compaction that nobody asked for, unless there is nothing to compact."""
        if revision > max(self._keeper.meta.compact_revision, 1):
            self._propose([1, int(Op.COMPACT), revision, False])
            log.info("history is compacted", revision=revision)

    def measure_space(self) -> None:
        """Compares the replica's size with the quota; proposes the alarm, or its end, where that is due."""
        quota = self._quota
        if not quota.measure(self._keeper.replica.in_use_bytes()):
            return
        action = AlarmAction.ACTIVATE if quota.is_exceeded else AlarmAction.DEACTIVATE
        self._propose([1, int(Op.ALARM), int(action), self._keeper.identity[1], int(Alarm.NOSPACE)])
        log.warning("space quota", exceeded=quota.is_exceeded, quota_bytes=quota.quota_bytes)

    def _propose(self, request: list[Any]) -> None:
        """Proposes what no client asked for."""
        self._batches.add(Source(NOBODY, 0, 0, 0, 0.0), [request], _BATCH, REQUEST_OVERHEAD_BYTES)

    def _source(self, message: Message, deadline_s: float) -> Source:
        since = message.since or self._keeper.meta.position
        return Source(message.connection, message.client_id, message.floor, since, deadline_s)

    def _admit_write(self, request: list[Any]) -> None:
        if self._proposals.outstanding_bytes + self._batches.waiting_bytes >= MAX_OUTSTANDING_BYTES:
            raise OverloadedError(detail=OVERLOAD_PAUSE_MS)
        if self._quota.is_exceeded and self._quota.costs(request):
            raise NoSpaceError

    def _add_write(self, message: Message, request: list[Any], writes: list[Any], deadline_s: float) -> int:
        operation = request[1]
        if operation == Op.LEASE_GRANT:
            request = _complete_grant(request)
        kind = KIND_OF.get(operation)
        if kind is not None:
            self._batches.add(self._source(message, deadline_s), [request], kind, REQUEST_OVERHEAD_BYTES)
            return 0
        writes.append(request)
        return REQUEST_OVERHEAD_BYTES * 4

    def _add_read(self, read: Read) -> None:
        # A watcher's history has its own promise of order, by revision; it needs no quorum.
        if read.request[1] in (Op.WATCH_HISTORY, Op.LEASE_LIST, Op.HASH_KV, Op.ALARM) or is_serializable(read.request):
            self._reads.start(read)
        else:
            self._rounds.join(read)

    def _on_hello(self, caller: Caller, request: list[Any], deadline_s: float) -> None:
        cluster_id, member_id = self._keeper.identity
        greeting = {**self._hello, "cluster_id": cluster_id, "member_id": member_id}
        caller.answer([request[0], self._keeper.meta.revision, greeting])

    def _on_defragment(self, caller: Caller, request: list[Any], deadline_s: float) -> None:
        raise UnsupportedError(f"{UnsupportedError.text}: a replica uses freed space again by itself")

    def _on_status(self, caller: Caller, request: list[Any], deadline_s: float) -> None:
        def finish(coordinator: dict[str, Any]) -> Any:
            errors = [*coordinator["errors"], *map(_alarm_text, self._keeper.alarms)]
            return [request[0], self._keeper.meta.revision, {**coordinator, **self._own_status(), "errors": errors}]

        self._questions.status(caller, request[0], deadline_s, finish)

    def _own_status(self) -> dict[str, Any]:
        meta = self._keeper.meta
        cluster_id, member_id = self._keeper.identity
        return {
            "version": self._hello["version"],
            "cluster_id": cluster_id,
            "member_id": member_id,
            "raft_applied_index": meta.applied_index,
            "db_size": self._keeper.replica.size_bytes(),
            "db_size_in_use": self._keeper.replica.in_use_bytes(),
            "db_size_quota": self._quota.quota_bytes,
            "revision": meta.revision,
            "compact_revision": meta.compact_revision,
            "workers": self._hello["workers"],
        }

    def _on_membership(self, caller: Caller, request: list[Any], deadline_s: float) -> None:
        sequence, operation, *arguments = request
        if operation == Op.MEMBER_LIST and not arguments:
            arguments = [True]
        action = Op(operation).name.lower().removeprefix("member_")
        self._questions.members(caller, sequence, deadline_s, action, arguments)

    def _on_keep_alive(self, caller: Caller, request: list[Any], deadline_s: float) -> None:
        self._questions.keep_alive(caller, request[0], request[2], deadline_s, self._keeper.meta.revision)

    def _on_time_to_live(self, caller: Caller, request: list[Any], deadline_s: float) -> None:
        lease_id = request[2]
        with_keys = len(request) > 3 and request[3]

        def finish(answer: Sequence[int]) -> Any:
            keys = []
            if with_keys and answer[2]:
                with self._keeper.replica.read() as view:
                    keys = view.lease_keys(lease_id)
            return [request[0], self._keeper.meta.revision, [answer[1], answer[2], keys]]

        self._questions.time_to_live(caller, request[0], lease_id, deadline_s, finish)


def _complete_grant(request: list[Any]) -> list[Any]:
    """The grant as all replicas, and the lessor, will see it: with an id, and no shorter than etcd allows."""
    sequence, operation, lease_id, ttl_s = request
    return [sequence, operation, lease_id or new_id(), max(ttl_s, MIN_TTL_S)]


def _alarm_text(alarm: Sequence[int]) -> str:
    """``[member, alarm]`` as etcd puts it among the errors of a status: the text of a protobuf message, a blank at its
    end. A member of 0 is not printed."""
    member, kind = alarm
    return f"{f'memberID:{member} ' if member else ''}alarm:{Alarm(kind).name} "


def _sequence(request: Any) -> int:
    """The sequence of a request that may be anything; 0 where it has none."""
    if type(request) is list and request and type(request[0]) is int and 0 < request[0] < 1 << 63:
        return request[0]
    return 0

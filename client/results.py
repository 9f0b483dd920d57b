"""What the client's methods return: typed, immutable, made of plain values.

Names and meanings are those of etcd's v3 API (rpc.proto), with ``bytes`` for keys and values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from oarlock.wire.errors import CompactedError, OarlockError
from oarlock.wire.members import Member
from oarlock.wire.operations import Alarm, EventType

_new = tuple.__new__  # a third of the cost of calling a NamedTuple class: see loadgen/client_bench.py
_EVENT_TYPES = (EventType.PUT, EventType.DELETE)


class Header(NamedTuple):
    """Who answered, and at which revision.

    Attributes:
        cluster_id: the cluster; never changes while a client lives.
        member_id: the member that answered.
        revision: of the store when the request was executed; of a write, the revision it made.
        raft_term: of the member that answered.
    """

    cluster_id: int
    member_id: int
    revision: int
    raft_term: int


class KeyValue(NamedTuple):
    """A key as it was at some revision.

    Attributes:
        key: the key.
        value: its value; empty where only keys were asked for.
        create_revision: when the key was last created.
        mod_revision: when it was last written.
        version: how often it was written since it was created, starting with 1.
        lease: the id of the lease that it hangs on, or 0.
    """

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int


class PutResult(NamedTuple):
    """A put that took place; ``prev_kv`` where it was asked for and the key existed."""

    header: Header
    prev_kv: KeyValue | None


class DeleteResult(NamedTuple):
    """How many keys were deleted, and what they were where ``prev_kv`` was asked for."""

    header: Header
    deleted: int
    prev_kvs: list[KeyValue]


@dataclass(frozen=True, slots=True)
class RangeResult:
    """The keys of a range, iterable as such.

    Attributes:
        header: see Header.
        kvs: the keys that passed the filters, sorted, cut to the limit.
        more: the limit cut some off.
        count: keys in the interval, whatever the limit and the filters.
    """

    header: Header
    kvs: list[KeyValue]
    more: bool
    count: int

    def __iter__(self) -> Iterator[KeyValue]:
        return iter(self.kvs)

    def __len__(self) -> int:
        return len(self.kvs)

    def __getitem__(self, index: int) -> KeyValue:
        return self.kvs[index]

    def __bool__(self) -> bool:
        return bool(self.kvs)


@dataclass(frozen=True, slots=True)
class TransactionResult:
    """Which branch of a transaction ran, and what each of its operations gave.

    Inner results carry only the revision in their header (etcd does likewise). True where it succeeded.
    """

    header: Header
    succeeded: bool
    responses: list[Response]

    def __bool__(self) -> bool:
        return self.succeeded


Response: TypeAlias = RangeResult | PutResult | DeleteResult | TransactionResult


class CompactResult(NamedTuple):
    header: Header


class LeaseGrantResult(NamedTuple):
    """A lease that was granted; ``ttl_s`` may be more than what was asked for."""

    header: Header
    id: int
    ttl_s: int


class LeaseKeepAliveResult(NamedTuple):
    """A renewal; ``ttl_s`` is 0 where there is no such lease any more."""

    header: Header
    id: int
    ttl_s: int


class LeaseTimeToLive(NamedTuple):
    """What is left of a lease: ``ttl_s`` is -1 where there is none; ``keys`` where they were asked for."""

    header: Header
    id: int
    ttl_s: int
    granted_ttl_s: int
    keys: list[bytes]


class HashKv(NamedTuple):
    """The hash of the store at ``hash_revision``, of all that is younger than ``compact_revision``."""

    header: Header
    hash: int
    compact_revision: int
    hash_revision: int


class AlarmMember(NamedTuple):
    member_id: int
    alarm: Alarm


@dataclass(frozen=True, slots=True)
class MemberList:
    """The members of the cluster, iterable as such, in the order of their ids.

    The name of a member that has not started yet is empty. The header's revision is 0 (etcd likewise).
    """

    header: Header
    members: list[Member]

    def __iter__(self) -> Iterator[Member]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, index: int) -> Member:
        return self.members[index]


class MemberAddResult(NamedTuple):
    """The member that was added, and the members now."""

    header: Header
    member: Member
    members: list[Member]


@dataclass(frozen=True, slots=True)
class Status:
    """The state of the member that answered (etcd's Maintenance.Status, and what our workers add).

    Sizes are bytes. ``leader`` is 0 where there is none. ``raw`` is the map as it came.
    """

    header: Header
    version: str
    leader: int
    raft_index: int
    raft_applied_index: int
    db_size: int
    db_size_in_use: int
    db_size_quota: int
    is_learner: bool
    errors: list[str]
    compact_revision: int
    workers: Any
    raw: Mapping[str, Any]

    @property
    def cluster_id(self) -> int:
        return self.header.cluster_id

    @property
    def member_id(self) -> int:
        return self.header.member_id

    @property
    def revision(self) -> int:
        return self.header.revision

    @property
    def raft_term(self) -> int:
        return self.header.raft_term


class Event(NamedTuple):
    """A change of a key. The ``kv`` of a deletion has only the key and, as mod_revision, the deleting revision."""

    type: EventType
    kv: KeyValue
    prev_kv: KeyValue | None

    @property
    def is_put(self) -> bool:
        return self.type == EventType.PUT

    @property
    def is_delete(self) -> bool:
        return self.type == EventType.DELETE

    @property
    def key(self) -> bytes:
        return self.kv.key

    @property
    def value(self) -> bytes:
        return self.kv.value

    @property
    def mod_revision(self) -> int:
        return self.kv.mod_revision


@dataclass(frozen=True, slots=True)
class WatchResponse:
    """Whole revisions of events, in order; or progress; or the error that ended the watch.

    Attributes:
        header: its revision R promises that everything up to R has been delivered on this watch, this included.
        events: empty for progress.
        error: not None only in the last response that a callback gets.
    """

    header: Header
    events: list[Event]
    error: OarlockError | None = None

    @property
    def is_progress(self) -> bool:
        return not self.events and self.error is None

    @property
    def compact_revision(self) -> int:
        """The oldest revision that can still be watched from, where a compaction ended the watch; else 0."""
        return self.error.compact_revision if isinstance(self.error, CompactedError) else 0


def member(wire: list[Any]) -> Member:
    """The Member that travelled as ``wire``."""
    member_id, name, peer_urls, native_urls, is_learner, *later = wire
    client_urls = later[0] if later else ()
    return Member(member_id, name, tuple(peer_urls), tuple(native_urls), bool(is_learner), tuple(client_urls))


def key_value(wire: list[Any]) -> KeyValue:
    """The KeyValue that travelled as ``wire``."""
    return _new(KeyValue, wire)


def key_values(wires: list[list[Any]]) -> list[KeyValue]:
    return [_new(KeyValue, wire) for wire in wires]


def event(wire: list[Any]) -> Event:
    """The Event that travelled as ``wire``."""
    kind, kv, prev_kv = wire
    return _new(Event, (_EVENT_TYPES[kind], _new(KeyValue, kv), None if prev_kv is None else _new(KeyValue, prev_kv)))

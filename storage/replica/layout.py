"""How a replica is laid out in LMDB: the tables, their records, and a strict decoder for each.

=============  ==========================================  ========================================================
table          key                                         value
=============  ==========================================  ========================================================
``current``    stored key                                  revision, sub, create revision, version, lease
``events``     revision, sub                               forerunner, checksum, type, create revision, version,
                                                           lease, key length, key, value
``signposts``  stored key (with duplicates)                revision, sub: of the key's tombstones, and of each of its
                                                           puts with a value above 4 KiB, or a version that is a
                                                           multiple of 8
``leases``     lease                                       granted TTL in seconds
``lease_keys`` lease (with duplicates)                     stored key
``long_keys``  stored key of a long key                    the whole key
``meta``       ``format``, ``meta``                        replicated facts (``Meta``), written with the data
``local``      by name                                     facts of this replica alone, such as compaction's progress
``record_*``   chosen by the state machine                 chosen by the state machine
=============  ==========================================  ========================================================

All integers are big-endian, so that byte order is numeric order: events lie in the order in which they happened. What a
*stored key* is says ``keys``. After ``put a=1``, ``put b=2`` (revisions 2 and 3), ``delete a`` (4):

- ``current``:   ``b`` -> (3, 0, create 3, version 1)
- ``events``:    (2, 0) -> put a=1, (3, 0) -> put b=2, (4, 0) -> delete a, forerunner (2, 0)
- ``signposts``: ``a`` -> (4, 0)

The *forerunner* of an event is the event of the same key before it, in the same life of the key: of a put that made the
key it is ``NO_EVENT``. So the past of a key is a chain, found from its end, which is in ``current``, or from any
signpost on it: a step back is one event, and to any revision it takes eight at most. A table with a line for every
event would find it at once; but in it each put of a key among many touches a page of its own: a fifth of what a put
cost the servers, and a third where the history was long (``past`` has a worked example of the search).

Invariants (the scrubber checks them):
1. A key is in ``current`` if and only if its newest event is a put; the record is that event's.
2. Every event of ``is_signpost`` has its line in ``signposts``, and every line its event.
3. An event's forerunner is there, unless it is not above the last compaction; it is of the same key, and the version
   before.
4. ``lease_keys`` has exactly the keys whose record in ``current`` names that lease; the lease is in ``leases``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from struct import Struct
from typing import Final
from zlib import crc32

from oarlock.wire.operations import EventType, KeyValue

from .errors import LayoutError

FORMAT: Final = b"oarlock replica 2"
FORMAT_1: Final = b"oarlock replica 1"
"""Without forerunners; ``history`` had a line for every event. See ``upgrade``."""

TABLES: Final = ("current", "events", "signposts", "leases", "lease_keys", "long_keys", "meta", "local")
WITH_DUPLICATES: Final = frozenset({"signposts", "lease_keys"})
"""``signposts`` is not declared to have duplicates of fixed size, though it has: the compact copy of a large tree of
such duplicates crashes the process in lmdb 3.0.0 (with LMDB 0.9.36)."""

RECORD_TABLES: Final = ("sessions", "alarms", "members", "users", "roles", "settings")
"""Replicated tables whose records only the state machine understands."""

EVENT_ID: Final = Struct(">QI")  # revision, sub
CURRENT: Final = Struct(">QIQQq")  # event id, create revision, version, lease
EVENT: Final = Struct(">12sIBQQqI")  # forerunner, checksum, type, create revision, version, lease, key length
LEASE: Final = Struct(">q")
TTL: Final = Struct(">q")
ALARM: Final = Struct(">QB")  # member, alarm
META: Final = Struct(">QQQqQ16s")

EVENT_ID_BYTES: Final = EVENT_ID.size
EVENT_BYTES: Final = EVENT.size
CURRENT_BYTES: Final = CURRENT.size
CURRENT_CREATE_AT: Final = EVENT_ID_BYTES
CURRENT_VERSION_AT: Final = CURRENT_CREATE_AT + 8
CURRENT_LEASE_AT: Final = CURRENT_VERSION_AT + 8
_EVENT_BODY: Final = Struct(">BQQqI")
CHECKSUM: Final = Struct(">I")
EVENT_BODY_AT: Final = EVENT_ID_BYTES + CHECKSUM.size
_KEY_BYTES: Final = Struct(">I")
_KEY_BYTES_AT: Final = EVENT_BYTES - _KEY_BYTES.size

PUT: Final = int(EventType.PUT)
DELETE: Final = int(EventType.DELETE)
NO_EVENT: Final = bytes(EVENT_ID_BYTES)
"""Before every event: the forerunner of a put that made its key."""

SIGNPOST_VERSIONS: Final = 8
"""Every so many versions a key has a signpost: an eighth of what all would cost, for searches of four steps on
average."""

MAX_PASSED_BYTES: Final = 4096
"""A search copies every event that it passes; one with a larger value is a signpost, and searches begin behind it."""


@dataclass(frozen=True, slots=True)
class Meta:
    """The replicated facts of a replica after one transaction.

    Invariants:
    1. ``compact_revision`` <= ``revision``; both only grow, and so do ``applied_index`` and ``position``.
    2. Two replicas with the same ``applied_index`` have the same ``Meta``, or one of them is corrupt.

    Attributes:
        applied_index: log index of the last entry applied, 0 for none.
        applied_term: its term.
        revision: the store's revision; 1 when nothing was ever written (etcd).
        compact_revision: the last compaction, -1 for none (etcd).
        position: how many writes were applied so far.
        state_hash: 16 bytes, a chain over the effects of all entries.
    """

    applied_index: int = 0
    applied_term: int = 0
    revision: int = 1
    compact_revision: int = -1
    position: int = 0
    state_hash: bytes = bytes(16)

    def encode(self) -> bytes:
        body = META.pack(
            self.applied_index,
            self.applied_term,
            self.revision,
            self.compact_revision,
            self.position,
            self.state_hash,
        )
        return CHECKSUM.pack(crc32(body)) + body

    @classmethod
    def decode(cls, record: bytes) -> Meta:
        """Reads ``encode``'s bytes.

        Raises:
            LayoutError: they are not.
        """
        body = record[CHECKSUM.size :]
        if len(body) != META.size or CHECKSUM.unpack_from(record)[0] != crc32(body):
            raise LayoutError("the meta record does not match its checksum")
        return cls(*META.unpack(body))


def event_body(kind: int, create: int, version: int, lease: int, key: bytes, value: bytes) -> bytes:
    """What an event says, whatever was before it."""
    return _EVENT_BODY.pack(kind, create, version, lease, len(key)) + key + value


def event_record(forerunner: bytes, body: bytes, body_crc32: int) -> bytes:
    """The record of an event in ``events``. Its checksum goes on from the body's, over the forerunner.

    Args:
        forerunner: an event id.
        body: by ``event_body``.
        body_crc32: of the body.
    """
    return forerunner + CHECKSUM.pack(crc32(forerunner, body_crc32)) + body


def event_kv(event_id: bytes, record: bytes) -> tuple[int, KeyValue]:
    """The type and the kv of an event, without a look at the checksum: the scrubber's job, not the reader's.

    Raises:
        LayoutError: the record is cut off or its type unknown.
    """
    try:
        _, _, kind, create, version, lease, key_bytes = EVENT.unpack_from(record)
        (revision, _) = EVENT_ID.unpack(event_id)
    except struct.error as error:
        raise LayoutError(f"event {event_id.hex()}: {error}") from None
    value_at = EVENT_BYTES + key_bytes
    if kind > DELETE or value_at > len(record):
        raise LayoutError(f"event {event_id.hex()}: type {kind}, key of {key_bytes} bytes")
    return kind, (record[EVENT_BYTES:value_at], record[value_at:], create, revision, version, lease)


def event_key(record: bytes) -> bytes:
    """The key of an event's record, without a check of anything."""
    return record[EVENT_BYTES : EVENT_BYTES + _KEY_BYTES.unpack_from(record, _KEY_BYTES_AT)[0]]


def forerunner_of(record: bytes) -> bytes:
    """The id of the event before this one in the life of its key, ``NO_EVENT`` for none."""
    return record[:EVENT_ID_BYTES]


def is_signpost(kind: int, version: int, value_bytes: int) -> bool:
    """Whether an event has a line in ``signposts``."""
    return kind == DELETE or version % SIGNPOST_VERSIONS == 0 or value_bytes > MAX_PASSED_BYTES


def event_is_whole(record: bytes) -> bool:
    """Whether the record is what was written: its checksum and its lengths are right."""
    if len(record) < EVENT_BYTES:
        return False
    forerunner, checksum, kind, _, _, _, key_bytes = EVENT.unpack_from(record)
    return bool(
        kind <= DELETE
        and EVENT_BYTES + key_bytes <= len(record)
        and checksum == crc32(forerunner, crc32(memoryview(record)[EVENT_BODY_AT:]))
    )

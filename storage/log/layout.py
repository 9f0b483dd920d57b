"""The bytes of a log segment, and nothing else: what each field is, how it is written, when it is valid.

A segment is a header and records, one after another, then perhaps zeroes that were allocated ahead. Integers are
unsigned and little-endian.

    segment header   magic 8 | format 2 | zero 2 | cluster 8 | member 8 | sequence 8 | first index 8 | start index 8
                     | start term 8 | term 8 | vote 8 | zero 16 | crc32 of all that 4
    record           mark 3 | kind 1 | body length 4 | durable 4 | crc32 of the body 4 | crc32 of those 16 bytes 4
                     | body
    WRITE body       term 8 | vote 8 | truncate from 8 | first index 8 | count 4 | count rows | count payloads
    row              term 8 | entry kind 1 | incarnation 8 | batch 8 | payload length 4
    START body       index 8 | term 8
    CLOSE body       nothing

``durable`` is the offset in the segment up to which everything had been synced when the record was written; recovery
rests on it (see ``scan``). A record header's checksum starts from the segment's own checksum plus the record's
offset, so that record bytes are valid in one segment at one place: a payload that holds a copy of a log is not taken
for records.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from oarlock.wire.entries import Entry
from oarlock.wire.errors import ConfigurationError, DamageError

FORMAT = 1
"""The version of this layout."""

SEGMENT_MAGIC = b"OarLog\r\n"
"""First bytes of a segment; the line end shows a file that a text-mode copy has changed."""

RECORD_MARK = b"\xa5Or"
"""First bytes of a record; not zero, so that allocated space is not taken for one."""

MAX_BODY_BYTES = 1 << 30
"""Longest body: keeps every offset of a segment in 4 bytes, as a segment ends with the record that crosses its size."""

_SEGMENT = Struct("<8sHHQQQQQQQQ16x")
_CHECKSUM = Struct("<I")
_RECORD = Struct("<3sBIII")
_WRITE = Struct("<QQQQI")
_ROW = Struct("<QBQQI")
_START = Struct("<QQ")

HEADER_BYTES = _SEGMENT.size + _CHECKSUM.size
RECORD_HEADER_BYTES = _RECORD.size + _CHECKSUM.size
WRITE_BYTES = _WRITE.size
_MANY_PAYLOADS = 64
"""From this many entries on, the payloads are joined: one copy costs less than as many buffers and checksum calls."""


class RecordKind(IntEnum):
    """What a record is."""

    WRITE = 1
    """One append: hard state, the index from which older entries are dropped, entries."""
    START = 2
    """The log begins after this position: what lies before is in a snapshot."""
    CLOSE = 3
    """All before was synced and the writer stopped here, to rotate or to shut down."""


_KINDS = frozenset(RecordKind)


class Identity(NamedTuple):
    """Whose log it is: ids of the cluster and of the member in it, below 2^64."""

    cluster_id: int
    member_id: int


class HardState(NamedTuple):
    """What Raft must remember besides entries (Raft paper, figure 2): the term, and the member voted for in it or 0."""

    term: int
    vote: int


class Position(NamedTuple):
    """A place in the log: an index, and the term of the entry there."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    term: int


class SegmentHeader(NamedTuple):
    """The first bytes of a segment: all that a log needs to know when every earlier segment is gone.

    Attributes:
        identity: whose log it is.
        sequence: the number of the segment, one more than its predecessor's.
        first_index: the index that the log's next entry had when the segment was made.
        start: the log began after this position then.
        hard_state: the hard state then.
    """

    identity: Identity
    sequence: int
    first_index: int
    start: Position
    hard_state: HardState


class Record(NamedTuple):
    """A record whose checksums are right: where it is, where the next one begins, what it holds."""

    kind: int
    offset: int
    end: int
    durable: int
    body: "memoryview"  # noqa: UP037 - unquoted, mypyc looks for the builtin among this module's own names


class Row(NamedTuple):
    """What a WRITE body says of an entry before the payloads."""

    term: int
    kind: int
    incarnation: int
    batch: int
    length: int


class Write(NamedTuple):
    """A decoded WRITE body.

    Attributes:
        truncate_from: the entries from here on were dropped first; 0: none.
        payload_offset: where in the body the payloads begin.
    """

    hard_state: HardState
    truncate_from: int
    first_index: int
    rows: list[Row]
    payload_offset: int


def encode_segment_header(header: SegmentHeader) -> bytes:
    """The first ``HEADER_BYTES`` of a segment."""
    fixed = _SEGMENT.pack(
        SEGMENT_MAGIC,
        FORMAT,
        0,
        *header.identity,
        header.sequence,
        header.first_index,
        *header.start,
        *header.hard_state,
    )
    return fixed + _CHECKSUM.pack(crc32(fixed))


def decode_segment_header(data: bytes, path: object) -> SegmentHeader:
    """Reads a segment's first bytes.

    Raises:
        DamageError: they are too few, not a segment's, or fail their checksum.
        ConfigurationError: they are of a later format.
    """
    if len(data) < HEADER_BYTES:
        raise DamageError(path, len(data), f"the file ends in its header of {HEADER_BYTES} bytes")
    if data[: len(SEGMENT_MAGIC)] != SEGMENT_MAGIC:
        raise DamageError(path, 0, "this is not a log segment")
    if crc32(data[: _SEGMENT.size]) != salt_of(data):
        raise DamageError(path, 0, "the segment header fails its checksum")
    _, version, _, cluster, member, sequence, first, start, start_term, term, vote = _SEGMENT.unpack_from(data)
    if version != FORMAT:
        raise ConfigurationError(f"{path}: log format {version}, but this version of Oarlock reads {FORMAT}")
    return SegmentHeader(Identity(cluster, member), sequence, first, Position(start, start_term), HardState(term, vote))


def salt_of(header: bytes) -> int:
    """The checksum of a segment's header bytes, which goes into every record's."""
    return int(_CHECKSUM.unpack_from(header, _SEGMENT.size)[0])


def encode_record(
    kind: int, parts: Sequence[bytes], length: int, *, durable: int, offset: int, salt: int
) -> list[bytes]:
    """A record as buffers to write one after another; the body's own are not copied.

    Args:
        kind: a ``RecordKind``.
        parts: the body.
        length: bytes of the body in all, at most ``MAX_BODY_BYTES``.
        durable: offset up to which the segment is synced.
        offset: where in the segment the record will stand.
        salt: the segment's ``salt_of``.
    """
    checksum = 0
    for part in parts:
        checksum = crc32(part, checksum)
    head = _RECORD.pack(RECORD_MARK, kind, length, durable, checksum)
    return [head + _CHECKSUM.pack(crc32(head, (salt + offset) & 0xFFFFFFFF)), *parts]


def decode_record_header(data: bytes, offset: int, salt: int) -> tuple[int, int, int, int] | None:
    """Kind, body length, durable and body checksum of the record header at ``offset``; None if none is valid there."""
    if offset + RECORD_HEADER_BYTES > len(data):
        return None
    mark, kind, length, durable, checksum = _RECORD.unpack_from(data, offset)
    if mark != RECORD_MARK or kind not in _KINDS:
        return None
    expected = crc32(data[offset : offset + _RECORD.size], (salt + offset) & 0xFFFFFFFF)
    if _CHECKSUM.unpack_from(data, offset + _RECORD.size)[0] != expected:
        return None
    return kind, length, durable, checksum


def decode_record(data: bytes, offset: int, salt: int, base: int = 0) -> Record | None:
    """The record at ``offset`` of its segment, or None if no valid one is there.

    Args:
        data: bytes of the segment.
        offset: where in the segment the record should stand.
        salt: the segment's ``salt_of``.
        base: the offset in the segment at which ``data`` begins.
    """
    at = offset - base
    header = decode_record_header(data, at, salt + base)
    if header is None:
        return None
    kind, length, durable, checksum = header
    start = at + RECORD_HEADER_BYTES
    if length > MAX_BODY_BYTES or start + length > len(data):
        return None
    body = memoryview(data)[start : start + length]
    if crc32(body) != checksum:
        return None
    return Record(kind, offset, offset + RECORD_HEADER_BYTES + length, durable, body)


def encode_write(hard_state: HardState, truncate_from: int, entries: Sequence[Entry]) -> tuple[list[bytes], int]:
    """A WRITE body as buffers, and its length in bytes; payloads are not copied unless there are very many."""
    first_index = entries[0].index if entries else 0
    pack = _ROW.pack
    table = [_WRITE.pack(*hard_state, truncate_from, first_index, len(entries))]
    payloads = []
    length = _WRITE.size + _ROW.size * len(entries)
    for _, term, kind, incarnation, batch, payload in entries:
        table.append(pack(term, kind, incarnation, batch, len(payload)))
        payloads.append(payload)
        length += len(payload)
    if len(payloads) >= _MANY_PAYLOADS:
        payloads = [b"".join(payloads)]
    return [b"".join(table), *payloads], length


def decode_write(body: memoryview, path: object, offset: int) -> Write:
    """Reads a WRITE body, rows only; ``read_entries`` makes entries of it.

    Raises:
        DamageError: the checksum was right but the content cannot be; names ``path`` and ``offset``.
    """
    if len(body) < _WRITE.size:
        raise DamageError(path, offset, f"a WRITE record of {len(body)} bytes")
    term, vote, truncate_from, first_index, count = _WRITE.unpack_from(body)
    payload_offset = _WRITE.size + count * _ROW.size
    if payload_offset > len(body):
        raise DamageError(path, offset, f"{count} entries in a record of {len(body)} bytes")
    rows = [Row._make(row) for row in _ROW.iter_unpack(body[_WRITE.size : payload_offset])]
    if payload_offset + sum(row.length for row in rows) != len(body):
        raise DamageError(path, offset, "the entries' lengths do not add up to the record's")
    if (count > 0) != (first_index > 0):
        raise DamageError(path, offset, f"{count} entries from index {first_index}")
    return Write(HardState(term, vote), truncate_from, first_index, rows, payload_offset)


def table_bytes(body: bytes) -> int:
    """How much of a WRITE body comes before the payloads; ``body`` has its first bytes, of which ``WRITE_BYTES`` are
    enough."""
    return _WRITE.size + int(_WRITE.unpack_from(body)[4]) * _ROW.size


def decode_kinds(table: bytes) -> list[int]:
    """The kinds of the entries of a WRITE body, of which ``table`` is all that comes before the payloads."""
    return [row[1] for row in _ROW.iter_unpack(table[_WRITE.size :])]


def read_entries(body: memoryview, write: Write) -> list[Entry]:
    """The entries of a WRITE body."""
    entries = []
    at = write.payload_offset
    for index, (term, kind, incarnation, batch, length) in enumerate(write.rows, write.first_index):
        entries.append(Entry(index, term, kind, incarnation, batch, bytes(body[at : at + length])))
        at += length
    return entries


def encode_start(position: Position) -> bytes:
    """A START body."""
    return _START.pack(*position)


def decode_start(body: memoryview, path: object, offset: int) -> Position:
    """Reads a START body.

    Raises:
        DamageError: it has the wrong length; names ``path`` and ``offset``.
    """
    if len(body) != _START.size:
        raise DamageError(path, offset, f"a START record of {len(body)} bytes")
    return Position(*_START.unpack(body))

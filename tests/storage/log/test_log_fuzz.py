"""Any bytes in place of a segment: they are read, or refused as damage."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_cases import DIRECTORY, IDENTITY, ROOMY, entry, everything, reopen

from oarlock.storage.log import HardState, Log, LogIdentityError, Position
from oarlock.storage.log.layout import (
    HEADER_BYTES,
    RECORD_MARK,
    RecordKind,
    SegmentHeader,
    decode_segment_header,
    encode_record,
    encode_segment_header,
    salt_of,
)
from oarlock.storage.log.segment import segment_name
from oarlock.storage.memory_disk import MemoryDisk
from oarlock.wire.errors import ConfigurationError, DamageError

HEADER = SegmentHeader(IDENTITY, 1, 1, Position(0, 0), HardState(3, 1))
ENCODED = encode_segment_header(HEADER)
PATH = DIRECTORY / segment_name(1, 1)


def open_with(data: bytes) -> Log | None:
    """The log that opens with these bytes as its only segment, or None if they were refused as its damage."""
    disk = MemoryDisk()
    disk.replace_contents(PATH, data)
    try:
        return reopen(disk)
    except DamageError as error:
        if error.path != str(PATH) or not 0 <= error.offset <= len(data):
            raise
        return None


def records_of(bodies: list[tuple[int, bytes]], *, synced: bool) -> bytes:
    """A segment with these record kinds and bodies, all their checksums right."""
    data = ENCODED
    for kind, body in bodies:
        durable = len(data) if synced else HEADER_BYTES
        record = encode_record(kind, [body], len(body), durable=durable, offset=len(data), salt=salt_of(ENCODED))
        data += b"".join(record)
    return data


@given(st.binary(max_size=400))
def test_any_file_is_read_or_refused(data: bytes) -> None:
    assert open_with(data) is None


@given(st.lists(st.one_of(st.binary(max_size=60), st.just(RECORD_MARK)), max_size=20).map(b"".join))
def test_anything_after_the_header_is_torn_or_damage(tail: bytes) -> None:
    log = open_with(ENCODED + tail)
    assert log is not None
    assert everything(log) == []


@given(
    st.lists(st.tuples(st.sampled_from(RecordKind), st.binary(max_size=80)), max_size=5),
    st.booleans(),
)
def test_any_body_under_a_right_checksum_is_read_or_refused(bodies: list[tuple[int, bytes]], synced: bool) -> None:
    log = open_with(records_of(bodies, synced=synced))
    assert log is None or log.last_index() >= log.start.index


@given(st.data())
@settings(max_examples=300)
def test_log_with_changed_bytes_never_yields_what_was_not_written(data: st.DataObject) -> None:
    disk = MemoryDisk()
    log = Log.create(DIRECTORY, disk, IDENTITY, ROOMY)
    written = [entry(index, payload=bytes([index]) * index) for index in range(1, 9)]
    for each in written:
        log.append([each])
        log.sync()
    path = log.segment_paths[0]
    content = bytearray(disk.contents(path).rstrip(b"\0"))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=40))
    disk.replace_contents(path, bytes(content))
    try:
        found = everything(reopen(disk))
    except (DamageError, LogIdentityError):
        return
    assert found == written[: len(found)]


@pytest.mark.parametrize("length", range(len(ENCODED)))
def test_short_header_is_damage(length: int) -> None:
    with pytest.raises(DamageError):
        decode_segment_header(ENCODED[:length], Path("x"))


def test_later_format_is_refused_by_its_number() -> None:
    later = bytearray(ENCODED[:-4])
    later[8] = 2
    with pytest.raises(ConfigurationError, match="log format 2, but this version of Oarlock reads 1"):
        decode_segment_header(bytes(later) + crc32(later).to_bytes(4, "little"), Path("x"))


def test_header_is_read_back_as_it_was_written() -> None:
    assert decode_segment_header(ENCODED, Path("x")) == HEADER

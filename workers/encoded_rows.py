"""Rows of the replica as ``kvs`` of etcd's ``RangeResponse``, from the tables' bytes to the message's.

A list of a hundred thousand keys is a hundred thousand times the same few steps. So a row does not become a tuple of
Python's objects on the way, and what is written here compiles to C that makes one object a row, its value, at most.
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter, read_i64_be
from mypy_extensions import i64, u8

from oarlock.storage.replica.keys import Row
from oarlock.storage.replica.layout import CURRENT_CREATE_AT, CURRENT_LEASE_AT, CURRENT_VERSION_AT, EVENT_BYTES

_KVS_TAG: Final = 0x12  # field 2 of RangeResponse
_KEY_TAG: Final = 0x0A
_CREATE_TAG: Final = 0x10
_MOD_TAG: Final = 0x18
_VERSION_TAG: Final = 0x20
_VALUE_TAG: Final = 0x2A
_LEASE_TAG: Final = 0x30
_ABOVE_SEVEN_BITS: Final = (1 << 57) - 1
"""What is left of an int64 behind its lowest seven bits, without its sign."""


def encode_rows(out: BytesWriter, rows: list[Row], records: list[bytes]) -> None:
    """Appends ``rows`` to ``out``, each a field of its own: messages are merged by appending.

    Args:
        out: a RangeResponse, serialized.
        rows: of ``current``, with whole keys.
        records: of ``events``, one for each of the rows; none where the values are not wanted.
    """
    with_values = bool(records)
    value = b""
    for index in range(len(rows)):
        key, row = rows[index]
        mod = read_i64_be(row, 0)
        create = read_i64_be(row, CURRENT_CREATE_AT)
        version = read_i64_be(row, CURRENT_VERSION_AT)
        lease = read_i64_be(row, CURRENT_LEASE_AT)
        key_bytes: i64 = len(key)
        if with_values:
            value = records[index][EVENT_BYTES + key_bytes :]
        value_bytes: i64 = len(value)
        size = 4 + varint_bytes(key_bytes) + key_bytes
        size += varint_bytes(create) + varint_bytes(mod) + varint_bytes(version)
        if value_bytes:
            size += 1 + varint_bytes(value_bytes) + value_bytes
        if lease:
            size += 1 + varint_bytes(lease)
        out.append(_KVS_TAG)
        _add_varint(out, size)
        out.append(_KEY_TAG)
        _add_varint(out, key_bytes)
        out.write(key)
        out.append(_CREATE_TAG)
        _add_varint(out, create)
        out.append(_MOD_TAG)
        _add_varint(out, mod)
        out.append(_VERSION_TAG)
        _add_varint(out, version)
        if value_bytes:
            out.append(_VALUE_TAG)
            _add_varint(out, value_bytes)
            out.write(value)
        if lease:
            out.append(_LEASE_TAG)
            _add_varint(out, lease)


def varint_bytes(number: i64) -> i64:
    """How long the varint of an int64 is: ten bytes of a negative one."""
    size: i64 = 1
    while number < 0 or number > 127:
        number = (number >> 7) & _ABOVE_SEVEN_BITS
        size += 1
    return size


def _add_varint(out: BytesWriter, number: i64) -> None:
    while number < 0 or number > 127:
        out.append(u8(number & 127 | 128))
        number = (number >> 7) & _ABOVE_SEVEN_BITS
    out.append(u8(number))

"""Keys with their values as protobuf: ``mvccpb.KeyValue``, one by one and by the thousand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from oarlock.gateway.varints import TWO_CONTINUED, varint
from oarlock.wire.operations import KeyValue

_LOW_BITS: Final = (1 << 14) - 1


def encoded_one(kv: KeyValue, *, tag: bytes) -> bytes:
    """One native kv as a field, serialized; what `encoded` does, in fewer steps.

    Args:
        kv: of a result.
        tag: of the field.
    """
    key, value, create_revision, mod_revision, version, lease = kv
    body = b"".join(
        (
            b"\x0a",
            varint(len(key)),
            key,
            b"\x10",
            varint(create_revision),
            b"\x18",
            varint(mod_revision),
            b"\x20",
            varint(version),
            b"\x2a" + varint(len(value)) if value else b"",
            value,
            b"\x30" + varint(lease) if lease else b"",
        )
    )
    return tag + varint(len(body)) + body


def put_fields(previous: KeyValue | None) -> bytes:
    """A PutResponse without its header, serialized."""
    return b"" if previous is None else encoded_one(previous, tag=b"\x12")


def delete_fields(result: Any) -> bytes:
    """A DeleteRangeResponse of ``[deleted, previous kvs]`` without its header, serialized."""
    deleted, previous = result
    return (b"\x10" + varint(deleted) if deleted else b"") + encoded(previous, field=3)


def encoded(kvs: Iterable[KeyValue], *, field: int) -> bytes:
    """Native kvs as a repeated field, serialized, ready to be appended to a message.

    Written by hand, since a result may hold a hundred thousand of them: half the time of making messages.

    Args:
        kvs: of a result.
        field: the number of the repeated field, below 16.
    """
    tag = bytes((field << 3 | 2,))
    parts: list[bytes] = []
    add = parts.append
    lows = TWO_CONTINUED
    key_bytes = value_bytes = create_high = mod_high = size = -1
    head = key_head = value_head = behind_create = behind_mod = b""
    for kv in kvs:
        key, value, create, mod, version, lease = kv
        if create < 1 << 14:
            add(encoded_one(kv, tag=tag))
            continue
        # What a row has in common with the one before is not made again: most of it, in most lists.
        if len(key) != key_bytes:
            key_bytes, size = len(key), -1
            key_head = b"\x0a" + varint(key_bytes)
        if len(value) != value_bytes:
            value_bytes = len(value)
            value_head = b"\x2a" + varint(value_bytes) if value_bytes else b""
        if create >> 14 != create_high:
            create_high = create >> 14
            behind_create = varint(create_high) + b"\x18"
        if mod >> 14 != mod_high:
            mod_high = mod >> 14
            behind_mod = varint(mod_high) + b"\x20"
        times = varint(version)
        end = b"\x30" + varint(lease) if lease else b""
        lengths = len(key_head) + len(behind_create) + len(behind_mod) + len(times) + len(value_head) + len(end)
        if lengths + key_bytes + value_bytes + 5 != size:
            size = lengths + key_bytes + value_bytes + 5  # the tag of create, and two low parts
            head = tag + varint(size) + key_head
        add(head)
        add(key)
        add(b"\x10")
        add(lows[create & _LOW_BITS])
        add(behind_create)
        add(lows[mod & _LOW_BITS])
        add(behind_mod)
        add(times)
        add(value_head)
        add(value)
        if lease:
            add(end)
    return b"".join(parts)

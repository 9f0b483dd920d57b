"""Keys with their values as protobuf: ``mvccpb.KeyValue``, one by one and by the thousand."""

from __future__ import annotations

from collections.abc import Iterable

from oarlock.gateway.proto.kv_pb2 import KeyValue as KeyValueMessage
from oarlock.gateway.varints import varint
from oarlock.wire.operations import KeyValue


def to_message(kv: KeyValue) -> KeyValueMessage:
    """A native kv as a message."""
    key, value, create_revision, mod_revision, version, lease = kv
    return KeyValueMessage(
        key=key,
        value=value,
        create_revision=create_revision,
        mod_revision=mod_revision,
        version=version,
        lease=lease,
    )


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


def encoded(kvs: Iterable[KeyValue], *, field: int) -> bytes:
    """Native kvs as a repeated field, serialized, ready to be appended to a message.

    Written by hand, since a result may hold a hundred thousand of them: half the time of making messages.

    Args:
        kvs: of a result.
        field: the number of the repeated field, below 16.
    """
    tag = bytes((field << 3 | 2,))
    parts: list[bytes] = []
    for key, value, create_revision, mod_revision, version, lease in kvs:
        body = b"\x0a%b%b\x10%b\x18%b\x20%b" % (
            varint(len(key)),
            key,
            varint(create_revision),
            varint(mod_revision),
            varint(version),
        )
        if value:
            body += b"\x2a%b%b" % (varint(len(value)), value)
        if lease:
            body += b"\x30" + varint(lease)
        parts += (tag, varint(len(body)), body)
    return b"".join(parts)

"""Native kvs as protobuf's own library makes them: what is written by hand must read the same."""

from __future__ import annotations

from oarlock.gateway.proto.kv_pb2 import KeyValue as KeyValueMessage
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

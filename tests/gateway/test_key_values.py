"""Keys and values as protobuf, written by hand."""

from __future__ import annotations

from oarlock.gateway.proto.rpc_pb2 import RangeResponse
from oarlock.gateway.services.key_values import encoded, encoded_one
from oarlock.wire.operations import KeyValue
from tests.gateway.key_value_message import to_message

LIST: list[KeyValue] = [
    (b"a", b"", 2, 2, 1, 0),
    (b"ab", b"value", 127, 128, 2, 7),
    (b"ac", b"value", (1 << 14) - 1, 1 << 14, 128, 0),
    (b"ad", b"value", 1 << 14, 1 << 14, 1, 0),
    (b"ae", b"value", 1 << 14, (1 << 14) + 5, 1, 0),
    (b"ae" * 100, b"value", (1 << 14) + 7, (1 << 15) + 5, 16_384, 0),
    (b"af", b"v" * 300, (1 << 28) + 7, (1 << 29) + 5, 3, (1 << 62) + 1),
    (b"ag", b"", (1 << 28) + 9, (1 << 62) + 5, 3, 0),
    (b"ah", b"", (1 << 28) + 9, (1 << 62) + 6, 3, 1),
]


def test_a_list_of_all_shapes_reads_as_what_it_was_made_of() -> None:
    response = RangeResponse.FromString(encoded(LIST, field=2))
    assert list(response.kvs) == [to_message(kv) for kv in LIST]


def test_a_list_of_one_is_what_one_is() -> None:
    assert [encoded([kv], field=2) for kv in LIST] == [encoded_one(kv, tag=b"\x12") for kv in LIST]

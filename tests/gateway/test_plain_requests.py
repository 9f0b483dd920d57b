"""Requests that are read without protobuf: they are what protobuf reads, and the common ones are among them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oarlock.gateway.proto.rpc_pb2 import PutRequest, RangeRequest
from oarlock.gateway.services.kv import plain_put
from oarlock.gateway.services.ranges import plain_get

puts = st.builds(
    PutRequest,
    key=st.binary(max_size=140),
    value=st.binary(max_size=300),
    lease=st.sampled_from((0, 0, 7)),
    prev_kv=st.booleans(),
    ignore_value=st.booleans(),
    ignore_lease=st.booleans(),
).map(PutRequest.SerializeToString)


@st.composite
def damaged(draw: st.DrawFn, messages: st.SearchStrategy[bytes]) -> bytes:
    """A message with a byte of it changed, and perhaps not all of it."""
    message = bytearray(draw(messages))
    if message:
        message[draw(st.integers(0, len(message) - 1))] = draw(st.integers(0, 255))
    return bytes(message[: draw(st.integers(0, len(message)))])


@given(puts | damaged(puts) | st.binary(max_size=12))
def test_a_plain_put_is_what_protobuf_reads(message: bytes) -> None:
    plain = plain_put(message)
    if plain is not None:
        assert PutRequest.FromString(message) == PutRequest(key=plain[0], value=plain[1])


@pytest.mark.parametrize("key_bytes", [0, 1, 127])
@pytest.mark.parametrize("value_bytes", [1, 127, 128, 16_383])
def test_common_puts_are_plain(key_bytes: int, value_bytes: int) -> None:
    key, value = b"k" * key_bytes, b"v" * value_bytes
    message = b"\x0a" + bytes((key_bytes,)) + key + PutRequest(value=value).SerializeToString()
    assert plain_put(message) == (key, value)


@pytest.mark.parametrize(
    "request_",
    [
        PutRequest(key=b"k" * 128, value=b"v"),
        PutRequest(key=b"k", value=b"v" * 16_384),
        PutRequest(key=b"k", value=b"v", lease=1),
        PutRequest(key=b"k", value=b"v", prev_kv=True),
        PutRequest(key=b"k", ignore_value=True),
        PutRequest(key=b"k", value=b"v", ignore_lease=True),
    ],
)
def test_a_put_with_anything_else_is_not_plain(request_: PutRequest) -> None:
    assert plain_put(request_.SerializeToString()) is None


@pytest.mark.parametrize("serializable", [False, True])
@pytest.mark.parametrize("key_bytes", [1, 125])
def test_common_gets_are_plain(key_bytes: int, serializable: bool) -> None:
    request = RangeRequest(key=b"k" * key_bytes, serializable=serializable)
    assert plain_get(request.SerializeToString()) == (request.key, int(serializable))

"""Frames between members: what was sent arrives, and whatever else arrives is refused, not believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oarlock.coordinator import peer_codec
from oarlock.coordinator.peer_codec import PeerFrame, PeerKind
from oarlock.wire.errors import ProtocolError
from oarlock.wire.frames import pack
from tests.model.strategies import msgpack_values

PAYLOADS = {
    PeerKind.RAFT: [15, 1, 2, 3],
    PeerKind.BOOTSTRAP: [["tcp://a:1"]],
    PeerKind.BOOTSTRAP_INFO: [1, [[1, "a", ["tcp://a:1"]]], []],
    PeerKind.REFUSED: [1, "no"],
    PeerKind.QUESTION: [4, 1, [7]],
    PeerKind.ANSWER: [4, 1, [[7, 60]]],
    PeerKind.STATE_HASH: [1, b"h"],
    PeerKind.SNAPSHOT_OFFER: [b"d", 1, 2, 3, 4],
    PeerKind.SNAPSHOT_WANT: [b"d", 0],
    PeerKind.SNAPSHOT_CHUNK: [b"d", 0, b"data"],
    PeerKind.SNAPSHOT_DONE: [b"d", True],
    PeerKind.CORRUPT: [1],
    PeerKind.PROPOSE_AGAIN: [200],
    PeerKind.PING: [7],
    PeerKind.PONG: [7],
}


@pytest.mark.parametrize("kind", PeerKind)
def test_every_kind_arrives_as_it_was_sent(kind: PeerKind) -> None:
    data = peer_codec.encode(2**64 - 1, 2, 3, kind, PAYLOADS[kind])
    assert peer_codec.decode(data) == PeerFrame(2**64 - 1, 2, 3, kind, PAYLOADS[kind])


@pytest.mark.parametrize("kind", PeerKind)
def test_a_payload_that_lacks_a_field_is_refused(kind: PeerKind) -> None:
    payload = PAYLOADS[kind][:1] if kind in (PeerKind.QUESTION, PeerKind.ANSWER) else PAYLOADS[kind][:-1]
    if kind == PeerKind.RAFT:
        payload = []
    with pytest.raises(ProtocolError):
        peer_codec.decode(peer_codec.encode(1, 2, 3, kind, payload))


@pytest.mark.parametrize("frame", [[], [1, 2, 3, 0], [-1, 2, 3, 0, [1]], [1, 2, 3, 99, [1]], [1, 2, 3, True, [1]]])
def test_a_frame_of_another_shape_is_refused(frame: list[object]) -> None:
    with pytest.raises(ProtocolError):
        peer_codec.decode(pack(frame))


@given(st.sampled_from(PeerKind), msgpack_values)
def test_no_payload_does_more_than_be_refused(kind: PeerKind, payload: object) -> None:
    try:
        frame = peer_codec.decode(peer_codec.encode(1, 2, 3, kind, payload))
    except ProtocolError:
        return
    assert isinstance(frame.payload, list)


@given(st.integers(0, 4), msgpack_values)
def test_a_field_of_any_type_does_no_more_than_be_refused(place: int, field: object) -> None:
    fields: list[object] = [1, 2, 3, int(PeerKind.PING), [7]]
    fields[place] = field
    try:
        frame = peer_codec.decode(pack(fields))
    except ProtocolError:
        return
    assert [type(field) for field in frame] == [int, int, int, int, list]


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    try:
        peer_codec.decode(data)
    except ProtocolError:
        return


@given(st.sampled_from(PeerKind), st.data())
def test_a_frame_that_was_cut_short_is_refused(kind: PeerKind, data: st.DataObject) -> None:
    frame = peer_codec.encode(1, 2, 3, kind, PAYLOADS[kind])
    with pytest.raises(ProtocolError):
        peer_codec.decode(frame[: data.draw(st.integers(0, len(frame) - 1))])

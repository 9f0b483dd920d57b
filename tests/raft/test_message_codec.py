"""Messages on the wire: everything survives, and nothing malformed gets through."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oarlock.coordinator.raft import ChangeKind, Membership, MembershipChange, SnapshotMeta
from oarlock.coordinator.raft import messages as m
from oarlock.coordinator.raft.membership import MembershipEntry, decode_membership, encode_membership
from oarlock.coordinator.raft.message_codec import from_wire, to_wire
from oarlock.wire.entries import Entry, Proposal
from oarlock.wire.errors import ProtocolError

BIG = 2**64 - 1

MESSAGES: list[m.Message] = [
    m.PreVoteRequest(1, BIG, 3, 4, 5),
    m.PreVoteResponse(1, 2, 3, True),
    m.VoteRequest(1, 2, 3, 4, 5, True),
    m.VoteResponse(1, 2, 3, False),
    m.Append(1, 2, 3, 4, 3, 4, [Entry(5, 3, 1, BIG, 1, b"\x00\xff"), Entry(6, 3, 0, 0, 0, b"")]),
    m.AppendAccepted(1, 2, 3, 4),
    m.AppendRejected(1, 2, 3, 4, 5, 6),
    m.Heartbeat(1, 2, 3, 4, 5),
    m.HeartbeatResponse(1, 2, 3, 4),
    m.InstallSnapshot(1, 2, 3, SnapshotMeta(9, 3, Membership((1, 2), (3,)))),
    m.TimeoutNow(1, 2, 3),
    m.TransferRequest(1, 2, 3, 4),
    m.ForwardedProposals(1, 2, 3, [Proposal(1, BIG, 7, b"x")]),
    m.ReadRequest(1, 2, 3, b"context"),
    m.ReadResponse(1, 2, 3, b"context", 4),
    m.TermNotice(1, 2, 3),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_survives_the_way(message: m.Message) -> None:
    arrived = from_wire(msgpack.unpackb(msgpack.packb(to_wire(message))))
    assert type(arrived) is type(message)
    assert arrived == message


def test_every_kind_is_tried() -> None:
    assert {type(message) for message in MESSAGES} == set(m.Message.__args__)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_field_too_few_or_too_many_is_refused(message: m.Message) -> None:
    wire = to_wire(message)
    for wrong in (wire[:-1], (*wire, 0)):
        with pytest.raises(ProtocolError, match="fields"):
            from_wire(wrong)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
@pytest.mark.parametrize("wrong", [None, -1, 2**64, "text", 1.5, {}, [[1]]], ids=repr)
def test_a_field_of_a_wrong_type_is_refused(message: m.Message, wrong: object) -> None:
    wire = to_wire(message)
    for position in range(1, len(wire)):
        with pytest.raises(ProtocolError, match="raft message"):
            from_wire((*wire[:position], wrong, *wire[position + 1 :]))


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("wrong", [None, -1, 2**64, "text", 1.5, {}], ids=repr)
def test_a_field_of_a_wrong_type_in_what_a_message_carries_is_refused(place: int, wrong: object) -> None:
    entry: list[object] = [5, 3, 1, 1, 1, b"x"]
    entry[place] = wrong
    proposal = [*entry[:3], entry[5]]
    carried: tuple[list[object], ...] = ([4, 1, 2, 3, 4, 3, 4, [entry]], [12, 1, 2, 3, [proposal]])
    for message in carried[: 1 if place in (3, 4) else 2]:
        with pytest.raises(ProtocolError, match="raft message"):
            from_wire(message)


@pytest.mark.parametrize("wrong", [None, 7, b"", [], [99, 1, 2, 3], [-1, 1, 2, 3], ["a", 1, 2, 3], [True, 1, 2, 3]])
def test_what_is_no_message_is_refused(wrong: object) -> None:
    with pytest.raises(ProtocolError, match="raft message"):
        from_wire(wrong)


def test_entries_with_a_gap_or_a_falling_term_are_refused() -> None:
    for index, term in ((7, 3), (6, 2), (5, 3)):
        entries = [[5, 3, 1, 1, 1, b""], [index, term, 1, 1, 1, b""]]
        with pytest.raises(ProtocolError, match=f"entry {index} of term {term}"):
            from_wire([4, 1, 2, 3, 4, 3, 4, entries])


def test_a_snapshot_with_a_member_that_occurs_twice_is_refused() -> None:
    with pytest.raises(ProtocolError, match="occurs twice"):
        from_wire([9, 1, 2, 3, [9, 3, [[1, 2], [2]]]])


_junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.binary(max_size=4) | st.text(max_size=4),
    lambda children: st.lists(children, max_size=7),
    max_leaves=20,
)


@given(st.tuples(st.integers(0, 15)) | st.just(()), st.lists(_junk, max_size=8))
def test_junk_is_refused_or_is_a_message(kind: tuple[int, ...], fields: list[Any]) -> None:
    try:
        message = from_wire([*kind, *fields])
    except ProtocolError:
        return
    assert from_wire(to_wire(message)) == message


def test_a_membership_entry_survives_the_way() -> None:
    change = MembershipEntry(Membership((1, BIG), (3,)), MembershipChange(ChangeKind.ADD_LEARNER, 3, b"context"))
    assert decode_membership(encode_membership(change)) == change


@given(st.binary(max_size=20) | _junk.filter(lambda junk: not _too_big(junk)).map(msgpack.packb))
def test_junk_is_no_membership_entry(payload: bytes) -> None:
    with pytest.raises(ProtocolError, match="membership entry"):
        decode_membership(payload)


def _too_big(junk: Any) -> bool:
    if isinstance(junk, list):
        return any(_too_big(one) for one in junk)
    return isinstance(junk, int) and not -(2**63) <= junk < 2**64

"""The rules for membership changes (etcd's, etcd-contract 2.9), and the registry that follows them."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oarlock.coordinator.members import change_for
from oarlock.coordinator.raft import ChangeKind, MembershipChange
from oarlock.coordinator.raft.membership import Membership, MembershipEntry, after_change, encode_membership
from oarlock.wire import errors
from oarlock.wire.members import (
    Attributes,
    Members,
    decode_attributes,
    encode_attributes,
    encode_published,
    initial_from_value,
    initial_to_value,
)
from tests.model.strategies import msgpack_values


def three(*, started: int = 3) -> Members:
    return Members(
        {number: Attributes(f"m{number}" * (number <= started), (f"tcp://h{number}:1",)) for number in (1, 2, 3)}
    )


def follow(members: Members, change: MembershipChange) -> Members:
    after = after_change(Membership(members.voters, members.learners), change)
    members.apply_membership(encode_membership(MembershipEntry(after, change)))
    members.validate()
    return members


def change(members: Members, action: str, *arguments: object, strict: bool = True) -> MembershipChange:
    return change_for(members, action, arguments, strict=strict, unix_s=7)


def test_an_added_learner_has_no_name_until_it_publishes_one() -> None:
    members = three()
    addition = change(members, "add", "m4", ["http://h4:1"], True)
    follow(members, addition)
    assert members.learners == (addition.member,)
    assert members.attributes[addition.member] == Attributes("", ("tcp://h4:1",))
    members.apply_attributes(
        encode_published(addition.member, Attributes("m4", ("tcp://h4:1",), ("tcp://h4:2",), ("http://h4:3",)))
    )
    assert members.attributes[addition.member].name == "m4"


def test_a_promoted_learner_votes_and_a_removed_member_never_returns() -> None:
    members = three()
    addition = change(members, "add", "", ["tcp://h4:1"], True)
    follow(members, addition)
    follow(members, change(members, "promote", addition.member))
    assert addition.member in members.voters
    follow(members, change(members, "remove", addition.member, strict=False))
    assert addition.member in members.removed
    with pytest.raises(errors.MemberExistsError):
        change(members, "add", "", ["tcp://h4:1"], True)


def test_an_update_changes_the_urls_alone() -> None:
    members = three()
    follow(members, change(members, "update", 2, ["tcp://h9:1"]))
    assert members.attributes[2] == Attributes("m2", ("tcp://h9:1",))


@pytest.mark.parametrize(
    ("action", "arguments", "error"),
    [
        ("add", ("", [], False), errors.BadPeerUrlsError),
        ("add", ("", ["h4:1"], False), errors.BadPeerUrlsError),
        ("add", ("", ["tcp://h4:70000"], False), errors.BadPeerUrlsError),
        ("add", ("", [7], False), errors.BadPeerUrlsError),
        ("add", ("", ["http://h1:1"], False), errors.PeerUrlExistsError),
        ("update", (2, ["tcp://h1:1"]), errors.PeerUrlExistsError),
        ("remove", (9,), errors.MemberNotFoundError),
        ("promote", (9,), errors.MemberNotFoundError),
        ("promote", (1,), errors.MemberNotLearnerError),
        ("add", ("", "tcp://h4:1", False), errors.ProtocolError),
        ("remove", ("1",), errors.ProtocolError),
        ("explode", (), errors.ProtocolError),
    ],
)
def test_what_may_not_be_is_refused_as_etcd_does(
    action: str, arguments: tuple[object, ...], error: type[errors.OarlockError]
) -> None:
    with pytest.raises(error):
        change(three(), action, *arguments)


def test_a_second_learner_is_one_too_many() -> None:
    members = three()
    follow(members, change(members, "add", "", ["tcp://h4:1"], True))
    with pytest.raises(errors.TooManyLearnersError):
        change(members, "add", "", ["tcp://h5:1"], True)


def test_strict_checks_count_started_voters() -> None:
    members = three(started=2)
    with pytest.raises(errors.NotEnoughStartedMembersError):
        change(members, "add", "", ["tcp://h4:1"], False)
    with pytest.raises(errors.NotEnoughStartedMembersError):
        change(members, "remove", 1)
    assert change(members, "remove", 3).kind == ChangeKind.REMOVE
    assert change(members, "remove", 1, strict=False).kind == ChangeKind.REMOVE


def test_the_registry_survives_as_a_value() -> None:
    members = three()
    follow(members, change(members, "add", "", ["tcp://h4:1"], True))
    follow(members, change(members, "remove", 3))
    again = Members.from_value(msgpack.unpackb(msgpack.packb(members.to_value())))
    assert again.to_value() == members.to_value()
    assert initial_from_value(initial_to_value(three().attributes)) == three().attributes


@given(msgpack_values)
def test_no_value_does_more_than_be_refused(value: object) -> None:
    members = three()
    before = members.to_value()
    for read in (members.apply_membership, members.apply_attributes, decode_attributes):
        with pytest.raises(errors.ProtocolError):
            read(msgpack.packb(["nonsense", value]))
    for read_value in (Members.from_value, initial_from_value):
        with pytest.raises(errors.ProtocolError):
            read_value(["nonsense", value])
    assert members.to_value() == before


@given(st.binary(max_size=60))
def test_no_bytes_change_a_registry_in_part(payload: bytes) -> None:
    members = three()
    before = members.to_value()
    for read in (members.apply_membership, members.apply_attributes):
        try:
            read(payload)
        except errors.ProtocolError:
            assert members.to_value() == before
        members.validate()


def test_attributes_of_an_earlier_release_have_no_client_urls() -> None:
    members = three()
    members.apply_attributes(msgpack.packb([1, "m1", ["tcp://h1:1"], ["tcp://h1:2"]]))
    assert members.attributes[1] == Attributes("m1", ("tcp://h1:1",), ("tcp://h1:2",))


def test_attributes_survive_as_a_context() -> None:
    attributes = Attributes("m1", ("tcp://a:1", "tcp://b:1"), ("tcp://a:2",), ("http://a:3",))
    assert decode_attributes(encode_attributes(attributes)) == attributes

"""Who belongs to the group: voters and learners, one change at a time (Raft thesis, chapter 4).

A member uses the newest membership in its log as soon as it is *appended*, committed or not (thesis, section 4.1). Two
memberships that differ by one voter have overlapping majorities, so that is safe as long as a leader starts a change
only when the one before it is committed, and an entry of its own term as well. Applying at commit would be safe only
with a durable commit index, which this core does not have.

An entry carries the whole membership that it leads to, not only the difference. A member that starts empty and is fed
from index 1 therefore never believes in a group of which it knows only the later changes.
"""

from __future__ import annotations

from bisect import bisect_right
from enum import IntEnum
from typing import NamedTuple

import msgpack

from oarlock.coordinator.raft.config import MAX_MEMBER_ID
from oarlock.coordinator.raft.errors import (
    InvariantError,
    MemberExistsError,
    MemberNotFoundError,
    MemberNotLearnerError,
    NotEnoughStartedMembersError,
)
from oarlock.wire.errors import ProtocolError


class Membership(NamedTuple):
    """The members of the group.

    Invariants:
    1. Both tuples are sorted and hold no member twice.
    2. Nobody is voter and learner at once.
    """

    voters: tuple[int, ...] = ()
    learners: tuple[int, ...] = ()

    @property
    def everyone(self) -> tuple[int, ...]:
        """Voters and learners."""
        return self.voters + self.learners

    def validate(self) -> None:
        """Raises InvariantError if an invariant of the type is broken."""
        for group in self:
            if list(group) != sorted(group):
                raise InvariantError(f"membership {self.everyone}: not sorted")
        if len(set(self.everyone)) != len(self.everyone):
            raise InvariantError(f"membership {self.everyone}: a member occurs twice")


class ChangeKind(IntEnum):
    """What a membership change does to its member."""

    ADD_VOTER = 1
    ADD_LEARNER = 2
    PROMOTE = 3
    REMOVE = 4
    UPDATE = 5
    """Voters and learners stay; the context (addresses, say) is new."""


class MembershipChange(NamedTuple):
    """One change; ``context`` is opaque to the core (name, addresses)."""

    kind: int
    member: int
    context: bytes = b""


class MembershipEntry(NamedTuple):
    """The payload of an entry of kind MEMBERSHIP: the change, and all members after it."""

    membership: Membership
    change: MembershipChange


def after_change(membership: Membership, change: MembershipChange) -> Membership:
    """The members after a change.

    Args:
        membership: the members before.
        change: what to do.

    Returns:
        The new members; equal to the old ones for ``UPDATE``.

    Raises:
        MemberExistsError: the member to add is there.
        MemberNotFoundError: the member to promote, remove or update is not there.
        MemberNotLearnerError: the member to promote is a voter.
        NotEnoughStartedMembersError: the last voter would go.
        ProtocolError: the kind or the member id cannot be.
    """
    kind, member, _ = change
    voters, learners = membership
    if not 1 <= member <= MAX_MEMBER_ID:
        raise ProtocolError(f"oarlock: malformed request: member id {member}: must be between 1 and 2^64 - 1")
    if kind in (ChangeKind.ADD_VOTER, ChangeKind.ADD_LEARNER):
        if member in membership.everyone:
            raise MemberExistsError
        if kind == ChangeKind.ADD_VOTER:
            return Membership(_with(voters, member), learners)
        return Membership(voters, _with(learners, member))
    if kind not in (ChangeKind.PROMOTE, ChangeKind.REMOVE, ChangeKind.UPDATE):
        raise ProtocolError(f"oarlock: malformed request: membership change {kind}: unknown")
    if member not in membership.everyone:
        raise MemberNotFoundError
    if kind == ChangeKind.UPDATE:
        return membership
    if kind == ChangeKind.PROMOTE:
        if member in voters:
            raise MemberNotLearnerError
        return Membership(_with(voters, member), _without(learners, member))
    if voters == (member,):
        raise NotEnoughStartedMembersError
    return Membership(_without(voters, member), _without(learners, member))


def encode_membership(entry: MembershipEntry) -> bytes:
    """The payload of the log entry."""
    return bytes(msgpack.packb(entry))


def decode_membership(payload: bytes) -> MembershipEntry:
    """The inverse of :func:`encode_membership`.

    Raises:
        ProtocolError: the bytes are no such payload.
    """
    try:
        (voters, learners), (kind, member, context) = msgpack.unpackb(payload)
        membership = Membership(tuple(voters), tuple(learners))
        membership.validate()
        change = MembershipChange(ChangeKind(kind), member, context)
    except (ValueError, TypeError, InvariantError, msgpack.UnpackException) as error:
        raise ProtocolError(f"oarlock: malformed request: membership entry: {error}") from error
    if not all(type(number) is int for number in (*voters, *learners, member)) or type(context) is not bytes:
        raise ProtocolError("oarlock: malformed request: membership entry: wrong types")
    return MembershipEntry(membership, change)


class MembershipHistory:
    """The memberships in the log since the snapshot, by the index that introduced them.

    Invariants:
    1. There is at least one, that of the snapshot; indexes rise strictly.
    2. The last one is in force.
    """

    __slots__ = ("_indexes", "_memberships", "current")

    def __init__(self, index: int, membership: Membership) -> None:
        self.reset(index, membership)

    def reset(self, index: int, membership: Membership) -> None:
        """Starts again from the membership of a snapshot at ``index``."""
        self._indexes = [index]
        self._memberships = [membership]
        self.current = membership

    @property
    def last_change(self) -> int:
        """The index of the entry that introduced the membership in force."""
        return self._indexes[-1]

    @property
    def changes(self) -> tuple[int, ...]:
        """The indexes of the entries that introduced memberships since the snapshot."""
        return tuple(self._indexes[1:])

    def append(self, index: int, membership: Membership) -> None:
        """Takes the membership of a new entry into force."""
        self._indexes.append(index)
        self._memberships.append(membership)
        self.current = membership

    def truncate(self, index: int) -> None:
        """Forgets what entries from ``index`` on introduced: they are being replaced."""
        while len(self._indexes) > 1 and self._indexes[-1] >= index:
            self._indexes.pop()
            self._memberships.pop()
        self.current = self._memberships[-1]

    def at(self, index: int) -> Membership:
        """The membership that a snapshot at ``index`` must carry.

        Raises:
            InvariantError: ``index`` is older than the history.
        """
        position = bisect_right(self._indexes, index) - 1
        if position < 0:
            raise InvariantError(f"membership at {index} asked for: history begins at {self._indexes[0]}")
        return self._memberships[position]

    def forget_before(self, index: int) -> None:
        """Drops what is older than the membership at ``index``; nobody takes a snapshot there any more."""
        position = bisect_right(self._indexes, index) - 1
        if position > 0:
            del self._indexes[:position]
            del self._memberships[:position]

    def validate(self) -> None:
        """Raises InvariantError if an invariant of the type is broken."""
        if self._indexes != sorted(set(self._indexes)) or len(self._indexes) != len(self._memberships):
            raise InvariantError(f"membership history out of order: {self._indexes}")
        if self.current != self._memberships[-1]:
            raise InvariantError("the membership in force is not the newest")
        self.current.validate()


def _with(group: tuple[int, ...], member: int) -> tuple[int, ...]:
    return tuple(sorted((*group, member)))


def _without(group: tuple[int, ...], member: int) -> tuple[int, ...]:
    return tuple(one for one in group if one != member)

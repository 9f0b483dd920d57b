"""The members of a cluster as replicated state: a function of the log, kept by every coordinator and every replica.

Two kinds of entries change it. MEMBERSHIP entries say who votes and who learns; their payload is the Raft core's,
``[[voters, learners], [change, member, context]]``, the context being the ``[name, peer_urls, native_urls,
client_urls]`` of a member that is added or updated. MEMBER_ATTRIBUTES entries are what a member publishes of itself
once it has started; a member without a name has not started yet (etcd: publish).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple

import msgpack

from oarlock.wire.errors import ProtocolError

MAX_MEMBERS: Final = 64
"""More than anybody runs; it bounds what a hostile entry or file can make us hold."""
_MAX_ID: Final = 2**64 - 1


class Attributes(NamedTuple):
    """What is known of a member: all of it empty at first but ``peer_urls``.

    ``native_urls`` is where our clients reach it, ``client_urls`` where etcd's do.
    """

    name: str = ""
    peer_urls: tuple[str, ...] = ()
    native_urls: tuple[str, ...] = ()
    client_urls: tuple[str, ...] = ()


class Member(NamedTuple):
    """One member, as lists of members give it."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    native_urls: tuple[str, ...]
    is_learner: bool
    client_urls: tuple[str, ...] = ()


class _Change(IntEnum):
    """The kinds of a MEMBERSHIP entry's change that matter here; as in the Raft core, which makes them."""

    ADD_VOTER = 1
    ADD_LEARNER = 2
    REMOVE = 4
    UPDATE = 5


class Members:
    """Who belongs to the cluster, what is known of each, and who has left.

    Invariants:
    1. ``voters`` and ``learners`` are sorted and share nobody; ``attributes`` has exactly their ids as keys.
    2. Nobody in ``removed`` is a member: a removed id never comes back.

    Args:
        initial: the members as of the beginning of the log, all of them voters.
    """

    __slots__ = ("attributes", "learners", "removed", "voters")

    def __init__(self, initial: Mapping[int, Attributes] | None = None) -> None:
        self.attributes: dict[int, Attributes] = dict(initial or {})
        self.voters: tuple[int, ...] = tuple(sorted(self.attributes))
        self.learners: tuple[int, ...] = ()
        self.removed: set[int] = set()

    def listed(self) -> list[Member]:
        """The members in the order of their ids."""
        return [self._member(member_id) for member_id in sorted(self.attributes)]

    def _member(self, member_id: int) -> Member:
        name, peer_urls, native_urls, client_urls = self.attributes[member_id]
        return Member(member_id, name, peer_urls, native_urls, member_id in self.learners, client_urls)

    def apply_membership(self, payload: bytes) -> None:
        """Follows a committed MEMBERSHIP entry.

        Raises:
            ProtocolError: the payload is none; nothing has changed.
        """
        value = _unpack(payload, "membership")
        try:
            (listed_voters, listed_learners), (kind, member, context) = value
        except (TypeError, ValueError):
            raise _malformed("membership", "not [[voters, learners], [change, member, context]]") from None
        voters, learners = _ids(listed_voters), _ids(listed_learners)
        if kind in (_Change.ADD_VOTER, _Change.ADD_LEARNER, _Change.UPDATE) and context:
            self.attributes[_id(member)] = decode_attributes(context)
        if kind == _Change.REMOVE:
            self.removed.add(_id(member))
        self.voters, self.learners = voters, learners
        everyone = {*voters, *learners}
        self.attributes = {each: self.attributes.get(each, Attributes()) for each in sorted(everyone)}

    def apply_attributes(self, payload: bytes) -> None:
        """Follows a committed MEMBER_ATTRIBUTES entry; one of somebody who is no member changes nothing.

        Raises:
            ProtocolError: the payload is none; nothing has changed.
        """
        member, *fields = _unpack(payload, "member attributes")
        attributes = _attributes(fields)
        if _id(member) in self.attributes:
            self.attributes[member] = attributes

    def to_value(self) -> dict[str, Any]:
        """All of it as a value that msgpack packs, the same for the same members."""
        return {
            "voters": self.voters,
            "learners": self.learners,
            "removed": sorted(self.removed),
            "attributes": [[member, *self.attributes[member]] for member in sorted(self.attributes)],
        }

    @classmethod
    def from_value(cls, value: Any) -> Members:
        """The members that ``to_value`` gave.

        Raises:
            ProtocolError: the value is none.
        """
        try:
            members = cls({_id(each[0]): _attributes(each[1:]) for each in value["attributes"]})
            members.voters, members.learners = _ids(value["voters"]), _ids(value["learners"])
            members.removed = set(_ids(value["removed"]))
        except (TypeError, KeyError, IndexError, ValueError) as problem:
            raise _malformed("members", repr(problem)) from None
        if {*members.voters, *members.learners} != members.attributes.keys():
            raise _malformed("members", "attributes of others than the members")
        return members

    def validate(self) -> None:
        """Checks the invariants. Raises AssertionError where one does not hold."""
        assert list(self.voters) == sorted(set(self.voters))
        assert list(self.learners) == sorted(set(self.learners))
        assert not {*self.voters} & {*self.learners}
        assert self.attributes.keys() == {*self.voters, *self.learners}
        assert not self.removed & self.attributes.keys()


def encode_attributes(attributes: Attributes) -> bytes:
    """The context of a membership change."""
    return bytes(msgpack.packb(attributes))


def decode_attributes(context: bytes) -> Attributes:
    """The inverse of ``encode_attributes``.

    Raises:
        ProtocolError: the bytes are none.
    """
    return _attributes(_unpack(context, "member attributes"))


def encode_published(member_id: int, attributes: Attributes) -> bytes:
    """The payload of a MEMBER_ATTRIBUTES entry."""
    return bytes(msgpack.packb((member_id, *attributes)))


def initial_from_value(value: Any) -> dict[int, Attributes]:
    """The members at the beginning of the log, from ``[[member_id, name, peer_urls], ...]``.

    Raises:
        ProtocolError: the value is none.
    """
    try:
        members = {_id(member): _attributes((name, urls, ())) for member, name, urls in value}
    except (TypeError, ValueError) as problem:
        raise _malformed("initial members", repr(problem)) from None
    if not 1 <= len(members) <= MAX_MEMBERS:
        raise _malformed("initial members", f"{len(members)} of them")
    return members


def initial_to_value(initial: Mapping[int, Attributes]) -> list[list[Any]]:
    """The inverse of ``initial_from_value``."""
    return [[member, initial[member].name, list(initial[member].peer_urls)] for member in sorted(initial)]


def _unpack(payload: bytes, what: str) -> Any:
    try:
        value = msgpack.unpackb(payload)
    except (ValueError, TypeError, RecursionError) as problem:
        raise _malformed(what, str(problem)) from None
    if type(value) is not list or not value:
        raise _malformed(what, "not a list")
    return value


def _attributes(fields: Sequence[Any]) -> Attributes:
    """From values as they travel; those of an earlier release end before ``client_urls``."""
    if not 3 <= len(fields) <= 4 or type(fields[0]) is not str:
        raise _malformed("member attributes", "they are [name, peer_urls, native_urls, client_urls]")
    for urls in fields[1:]:
        if not isinstance(urls, list | tuple) or not all(type(url) is str for url in urls):
            raise _malformed("member attributes", "URLs are a list of texts")
    return Attributes(fields[0], *map(tuple, fields[1:]))


def _id(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= _MAX_ID:
        raise _malformed("member id", f"{value!r} is not from 1 to 2^64 - 1")
    return value


def _ids(values: Any) -> tuple[int, ...]:
    if not isinstance(values, list | tuple):
        raise _malformed("member ids", "not a list")
    return tuple(sorted(_id(value) for value in values))


def _malformed(what: str, problem: str) -> ProtocolError:
    return ProtocolError(f"{ProtocolError.text}: {what}: {problem}")

"""Which membership changes may be (etcd-compatible rules), and the errors of those that may not. No I/O.

The Raft core has the last word: one change at a time, no loss of a healthy quorum, a learner is promoted when it is in
sync. Here is what it cannot know: names, URLs, how many learners there may be, who has started.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha1
from typing import Any, Final

from oarlock.coordinator.identity import normal_url
from oarlock.coordinator.raft import ChangeKind, MembershipChange
from oarlock.coordinator.raft.errors import (
    MemberExistsError,
    MemberNotFoundError,
    MemberNotLearnerError,
    NotEnoughStartedMembersError,
)
from oarlock.wire.errors import (
    BadPeerUrlsError,
    PeerUrlExistsError,
    ProtocolError,
    RequestError,
    TooManyLearnersError,
)
from oarlock.wire.members import MAX_MEMBERS, Attributes, Members, encode_attributes

MAX_LEARNERS: Final = 1
"""etcd's default (max-learners): learners cost the leader bandwidth, and protect nothing."""

_URL = re.compile(r"(?:tcp|http|https)://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})/?")


def change_for(
    members: Members, action: str, arguments: Sequence[Any], *, strict: bool, unix_s: int
) -> MembershipChange:
    """The change that an action asks for.

    Args:
        members: the members now.
        action, arguments: as in ``wire.internal``: ``add``, ``remove``, ``update`` or ``promote``.
        strict: refuse what would leave fewer started voters than the new quorum needs (etcd: strict-reconfig-check).
        unix_s: the time, which goes into a new member's id so that the same URLs can be added again later (etcd).

    Raises:
        ProtocolError: no such action, or arguments of other types.
        BadPeerUrlsError, PeerUrlExistsError, TooManyLearnersError, MemberExistsError, MemberNotFoundError,
        MemberNotLearnerError, NotEnoughStartedMembersError: etcd's rules.
    """
    shapes = {"add": (str, list, bool), "remove": (int,), "update": (int, list), "promote": (int,)}
    shape = shapes.get(action)
    if (
        shape is None
        or len(arguments) != len(shape)
        or not all(type(argument) is kind for argument, kind in zip(arguments, shape, strict=True))
    ):
        raise ProtocolError(f"{ProtocolError.text}: member {action}: wrong arguments")
    if action == "add":
        return _add(members, *arguments, strict=strict, unix_s=unix_s)
    member = arguments[0]
    if member not in members.attributes:
        raise MemberNotFoundError
    if action == "remove":
        if strict:
            _check_removal(members, member)
        return MembershipChange(ChangeKind.REMOVE, member)
    if action == "update":
        return _update(members, member, arguments[1])
    if member in members.voters:
        raise MemberNotLearnerError
    if strict and _started(members, (*members.voters, member)) < _majority(len(members.voters) + 1):
        raise NotEnoughStartedMembersError
    return MembershipChange(ChangeKind.PROMOTE, member)


def _add(
    members: Members, name: str, peer_urls: list[Any], is_learner: bool, *, strict: bool, unix_s: int
) -> MembershipChange:
    urls = _checked_urls(peer_urls)
    _check_unused(members, urls, 0)
    if len(members.attributes) >= MAX_MEMBERS:
        raise RequestError(f"{RequestError.text}: a cluster has at most {MAX_MEMBERS} members")
    if is_learner and len(members.learners) >= MAX_LEARNERS:
        raise TooManyLearnersError
    voters = members.voters
    if strict and not is_learner and len(voters) > 1 and _started(members, voters) < _majority(len(voters) + 1):
        raise NotEnoughStartedMembersError
    member = int.from_bytes(
        sha1(f"{''.join(sorted(urls))}{unix_s}".encode(), usedforsecurity=False).digest()[:8], "big"
    )
    if member in members.attributes or member in members.removed:
        raise MemberExistsError
    kind = ChangeKind.ADD_LEARNER if is_learner else ChangeKind.ADD_VOTER
    # The name is what the member publishes when it has started: until then it has none (etcd).
    return MembershipChange(kind, member or 1, encode_attributes(Attributes("", urls)))


def _update(members: Members, member: int, peer_urls: list[Any]) -> MembershipChange:
    urls = _checked_urls(peer_urls)
    _check_unused(members, urls, member)
    attributes = members.attributes[member]._replace(peer_urls=urls)
    return MembershipChange(ChangeKind.UPDATE, member, encode_attributes(attributes))


def _check_removal(members: Members, member: int) -> None:
    left = [voter for voter in members.voters if voter != member]
    if member in members.voters and (not left or _started(members, left) < _majority(len(left))):
        raise NotEnoughStartedMembersError


def _checked_urls(urls: list[Any]) -> tuple[str, ...]:
    if not urls:
        raise BadPeerUrlsError
    for url in urls:
        match = _URL.fullmatch(url) if type(url) is str else None
        if match is None or not 1 <= int(match[1]) <= 65535:
            raise BadPeerUrlsError
    return tuple(normal_url(url) for url in urls)


def _check_unused(members: Members, urls: tuple[str, ...], member: int) -> None:
    for other, attributes in members.attributes.items():
        if other != member and set(map(normal_url, attributes.peer_urls)) & set(urls):
            raise PeerUrlExistsError


def _started(members: Members, among: Sequence[int]) -> int:
    return sum(bool(members.attributes[member].name) for member in among)


def _majority(count: int) -> int:
    return count // 2 + 1

"""Membership actions of workers, at the leader: judged, proposed, and answered when they are committed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from oarlock.coordinator.members import change_for
from oarlock.coordinator.raft import ChangeKind, MembershipChange, Raft
from oarlock.coordinator.standing import Answers, Standing
from oarlock.wire.errors import (
    BadTransfereeError,
    LeaderChangedError,
    NotLeaderError,
    OarlockError,
    OverloadedError,
    ProtocolError,
    UnhealthyClusterError,
)
from oarlock.wire.internal import Internal
from oarlock.wire.logs import get_logger
from oarlock.wire.members import Attributes, Members, initial_to_value

log = get_logger(__name__)

MAX_LISTS: Final = 1024
"""Linearizable lists of members under way: nobody asks for them often."""


class TransferTimeoutError(OarlockError):
    text = "etcdserver: request timed out, leader transfer took too long"


class _Waiting(NamedTuple):
    asker: bytes
    number: int
    change: MembershipChange


class MemberRequests:
    """Answers MEMBERS.

    Invariants:
    1. At most one change of ours is under way, as the Raft core demands.
    2. Every question is answered once: with its result, or with an error when this member no longer leads.

    Args:
        raft: the core.
        members: follows the committed entries, after which ``committed`` is called.
        initial: the members at the beginning of the log.
        standing: this member's.
        answers: sends them.
        strict: etcd's strict-reconfig-check.
        transfer_timeout_s: after which a leader that was to hand over goes on (an election time-out).
    """

    def __init__(
        self,
        raft: Raft,
        members: Members,
        initial: Mapping[int, Attributes],
        standing: Standing,
        answers: Answers,
        *,
        strict: bool,
        transfer_timeout_s: float,
    ) -> None:
        self._raft = raft
        self.members = members
        self._initial = initial
        self._standing = standing
        self._answers = answers
        self._strict = strict
        self._transfer_timeout_s = transfer_timeout_s
        self._change: _Waiting | None = None
        self._transfer: tuple[bytes, int, int, float] | None = None
        self._lists: dict[bytes, tuple[bytes, int]] = {}
        self._list_number = 0
        self._confirmed: list[tuple[int, bytes, int]] = []

    def list_members(self, asker: bytes, number: int, arguments: list[Any]) -> None:
        """``list`` [linearizable]: at once from what is known here, or as of a confirmed read index.

        Raises:
            OarlockError: it cannot be asked now.
        """
        if len(arguments) != 1 or type(arguments[0]) is not bool:
            raise ProtocolError(f"{ProtocolError.text}: member list: [linearizable]")
        if not arguments[0]:
            self._answer_list(asker, number)
            return
        if len(self._lists) + len(self._confirmed) >= MAX_LISTS:
            raise OverloadedError
        self._list_number += 1
        context = b"L" + self._list_number.to_bytes(8, "big")
        self._raft.read_index(context)
        self._lists[context] = (asker, number)

    def read_confirmed(self, context: bytes, index: int) -> bool:
        """A read index was confirmed; False if it is not one of ours."""
        waiting = self._lists.pop(context, None)
        if waiting is None:
            return False
        self._confirmed.append((index, *waiting))
        self._answer_confirmed()
        return True

    def read_failed(self, context: bytes) -> bool:
        """A read index will not come; False if it is not one of ours."""
        waiting = self._lists.pop(context, None)
        if waiting is None:
            return False
        self._answers.refuse(waiting[0], Internal.MEMBERS, waiting[1], LeaderChangedError())
        return True

    def _answer_confirmed(self) -> None:
        kept = []
        for index, asker, number in self._confirmed:
            if index <= self._standing.commit_index:
                self._answer_list(asker, number)
            else:
                kept.append((index, asker, number))
        self._confirmed = kept

    def _answer_list(self, asker: bytes, number: int) -> None:
        self._answers.send(asker, [int(Internal.MEMBERS), number, self.members.listed()])

    def change(self, asker: bytes, number: int, action: str, arguments: list[Any], now_s: float) -> None:
        """Every other action, at the leader.

        Raises:
            OarlockError: it may not be, or not now.
        """
        if action == "move_leader":
            self._move_leader(asker, number, arguments, now_s)
            return
        if self._change is not None:
            raise UnhealthyClusterError
        change = change_for(self.members, action, arguments, strict=self._strict, unix_s=int(time.time()))
        self._raft.change_membership(change)
        log.info("membership change", action=action, member=f"{change.member:x}")
        self._change = _Waiting(asker, number, change)

    def _move_leader(self, asker: bytes, number: int, arguments: list[Any], now_s: float) -> None:
        if len(arguments) != 1 or type(arguments[0]) is not int:
            raise ProtocolError(f"{ProtocolError.text}: move leader: [member]")
        target = arguments[0]
        if not self._standing.leading:
            raise NotLeaderError
        if target not in self.members.voters:
            raise BadTransfereeError
        if target == self._standing.member_id:
            self._answers.send(asker, [int(Internal.MEMBERS), number, None])
            return
        self._raft.transfer_leadership(target)
        self._transfer = (asker, number, target, now_s + self._transfer_timeout_s)

    def committed(self, change: MembershipChange) -> None:
        """A membership change was committed, and ``members`` has followed it."""
        waiting = self._change
        if waiting is None or waiting.change[:2] != change[:2]:
            return
        self._change = None
        members = self.members.listed()
        result: Any = members
        if change.kind in (ChangeKind.ADD_VOTER, ChangeKind.ADD_LEARNER):
            added = next(each for each in members if each.id == change.member)
            result = [added, members, [self._standing.cluster_id, initial_to_value(self._initial)]]
        self._answers.send(waiting.asker, [int(Internal.MEMBERS), waiting.number, result])

    def applied(self) -> None:
        """More entries are committed: lists that waited for them are answered."""
        if self._confirmed:
            self._answer_confirmed()

    def leader_changed(self) -> None:
        """Somebody else leads, or nobody: what was under way here has an end that only the log knows."""
        if self._transfer is not None and self._standing.leader:
            asker, number, target, _ = self._transfer
            self._transfer = None
            if self._standing.leader == target:
                self._answers.send(asker, [int(Internal.MEMBERS), number, None])
            else:
                self._answers.refuse(asker, Internal.MEMBERS, number, LeaderChangedError())
        if self._change is not None and not self._standing.leading:
            self._answers.refuse(self._change.asker, Internal.MEMBERS, self._change.number, LeaderChangedError())
            self._change = None

    def tick(self, now_s: float) -> None:
        """Gives up a transfer that took too long."""
        if self._transfer is not None and now_s >= self._transfer[3]:
            asker, number, _, _ = self._transfer
            self._transfer = None
            self._answers.refuse(asker, Internal.MEMBERS, number, TransferTimeoutError())

"""A leader that stops hands its office over first, so that nobody waits for an election time-out."""

from __future__ import annotations

import time
from typing import Final

from oarlock.coordinator.raft import Raft, Role
from oarlock.wire.errors import OarlockError
from oarlock.wire.logs import get_logger

log = get_logger(__name__)

HAND_OVER_S: Final = 1.5
"""How long a leader tries before it stops all the same: a follower with a slow disk needs some of it to catch up."""


class Leaving:
    """Decides when a coordinator that was told to stop may."""

    def __init__(self) -> None:
        self._stopping = False
        self._deadline_s: float | None = None

    def begin(self) -> None:
        """The process was told to stop. May be called by a signal handler."""
        self._stopping = True

    def done(self, raft: Raft, now_s: float | None = None) -> bool:
        """Whether to stop now; while it says no, the loop goes on."""
        if not self._stopping:
            return False
        if now_s is None:
            now_s = time.monotonic()
        if self._deadline_s is None:
            self._deadline_s = now_s + HAND_OVER_S
            if not self.hand_over(raft):
                return True
        status = raft.status
        # Who leads next is known when its first message has come; then its voters know as well.
        return (status.role is not Role.LEADER and status.leader != 0) or now_s >= self._deadline_s

    def hand_over(self, raft: Raft) -> bool:
        """Asks the voter that is furthest to lead; False if there is nobody, or this member does not lead."""
        status = raft.status
        if status.role is not Role.LEADER:
            return False
        voters = status.membership.voters
        able = [each for each in status.members if each.active and each.member in voters]
        able = [each for each in able if each.member != status.member_id]
        if not able:
            return False
        target = max(able, key=lambda each: each.match).member
        try:
            raft.transfer_leadership(target)
        except OarlockError as problem:
            log.warning("leadership cannot be handed over", problem=problem.message)
            return False
        log.info("handing leadership over", to=f"{target:x}")
        return True

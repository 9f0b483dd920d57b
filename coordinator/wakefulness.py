"""How long the coordinator's loop looks for what comes, before it sleeps."""

from __future__ import annotations

from typing import Final

from oarlock.wire.pace import Pace

SPIN_S: Final = 0.0003
"""The longest wait without sleep of a member that is alone: what a native client takes from an answer to its next
request. One that takes longer needs the processor more than we do; 0.5 ms gained nothing more."""
KNOCK_S: Final = 0.0002
"""How long after a knock it looks for what was announced: a request becomes a proposal in a fifth of that, but what
has come of it first may have been a ping."""
CALLED_S: Final = 0.01
"""Whoever is knocked at so often does not stay awake in between: somebody else needs the processor."""


class Wakefulness:
    """Of a member that is alone. No clock here: moments are in seconds, of any one clock."""

    def __init__(self) -> None:
        self._pace = Pace(SPIN_S)
        self._is_knocked = False
        self._knocked_s = float("-inf")

    def knocked(self, now_s: float, *, has_come: bool) -> None:
        """A worker has knocked, for a proposal that is about to come, or has come already."""
        self._is_knocked = not has_come
        self._knocked_s = now_s

    def waited(self, wait_s: float) -> None:
        """Something came after ``wait_s``."""
        self._pace.waited(wait_s)

    def spin_s(self, now_s: float) -> float:
        """How long to look without sleep in the wait that begins now; 0 to sleep at once."""
        if self._is_knocked:
            self._is_knocked = False
            return KNOCK_S
        return SPIN_S if self._pace.is_brisk and now_s - self._knocked_s > CALLED_S else 0.0

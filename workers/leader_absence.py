"""When clients had better ask another member: this one knows of no leader, or its coordinator says nothing. No I/O.

What waits here stays, and goes on if a leader is found. A client with other endpoints is told to take it there, since
only this member may be cut off; it sends what it has in flight again, and no write is applied twice.
"""

from __future__ import annotations

from typing import Final

ABSENT_S: Final = 2.0
"""Longer than an election takes with default settings: a leader that was killed is replaced before."""
REPEAT_S: Final = 1.0
"""Then clients are told again, for some have come since."""


class LeaderAbsence:
    """Notices that no leader was heard of for ``ABSENT_S``.

    Args:
        now_s: the time; a leader counts as heard of now.
    """

    def __init__(self, now_s: float) -> None:
        self._tell_s = now_s + ABSENT_S

    def heard(self, now_s: float) -> None:
        """The coordinator has said who leads."""
        self._tell_s = now_s + ABSENT_S

    def lasts(self, now_s: float) -> bool:
        """Whether no leader has been heard of for so long that there may be none for long."""
        return now_s >= self._tell_s

    def due(self, now_s: float) -> bool:
        """Whether clients are to be told now."""
        if not self.lasts(now_s):
            return False
        self._tell_s = now_s + REPEAT_S
        return True

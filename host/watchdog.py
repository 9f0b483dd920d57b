"""Who has gone silent: the supervisor's patience with its children, without a clock of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from oarlock.wire.process import ALIVE_INTERVAL_S

SILENCE_S: Final = 30 * ALIVE_INTERVAL_S
"""How long a child may be silent before it counts as hung. Generous: a stopped (SIGSTOP) or starved process that comes
back does no harm, while killing it costs its clients a reconnect."""
STARTING_S: Final = 300.0
"""The same before its first report: a coordinator may have a long log to read first."""
CHECK_INTERVAL_S: Final = 1.0
"""How often the supervisor looks."""
_LATE_S: Final = 3 * CHECK_INTERVAL_S


@dataclass(slots=True)
class Watchdog:
    """Remembers when one child was last heard of.

    Invariant: time in which the supervisor itself did not run (suspended, a paused virtual machine) is not held
    against the child, whose reports lay unread meanwhile.
    """

    heard_at_s: float
    patience_s: float = STARTING_S
    _checked_at_s: float = 0.0

    def __post_init__(self) -> None:
        self._checked_at_s = self.heard_at_s

    def heard(self, now_s: float) -> None:
        """A report came."""
        self.heard_at_s = now_s
        self.patience_s = SILENCE_S

    def expired(self, now_s: float) -> bool:
        """Whether the child counts as hung. To be asked every `CHECK_INTERVAL_S`.

        Args:
            now_s: the monotonic clock, in seconds.
        """
        gap_s = now_s - self._checked_at_s
        self._checked_at_s = now_s
        if gap_s > _LATE_S:
            self.heard_at_s += gap_s
        return now_s - self.heard_at_s > self.patience_s

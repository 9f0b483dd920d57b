"""When a dead child is started again, and how: a policy without a clock or a process in it."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Final, NamedTuple

from oarlock.wire.process import EXIT_FATAL, EXIT_REBUILD

FIRST_DELAY_S: Final = 0.1
"""Long enough not to spin, short enough that clients of a killed worker notice little."""
MOST_DELAY_S: Final = 30.0
"""Bound of the back-off: a cause that lasts is tried twice a minute, which costs next to nothing."""
STABLE_S: Final = 60.0
"""A child that ran this long was well; what happens to it next is a new story."""
FLAPPING_DEATHS: Final = 4
"""Deaths in a row, none after a stable run, from which a child counts as flapping: said once, loudly."""

_UNTRUSTED_SIGNALS: Final = frozenset({signal.SIGBUS, signal.SIGSEGV, signal.SIGABRT})


class Exit(NamedTuple):
    """How a child ended.

    ``code`` is what ``Popen.returncode`` holds: the exit code, or the negative number of the signal that killed it.
    ``hung`` says that the supervisor itself killed it because it had gone silent.
    """

    code: int
    hung: bool = False

    def __str__(self) -> str:
        if self.hung:
            return "it hung and was killed"
        if self.code < 0:
            known = -self.code in signal.Signals._value2member_map_  # real-time signals have no names
            return f"killed by {signal.Signals(-self.code).name if known else f'signal {-self.code}'}"
        return f"exit code {self.code}"

    @property
    def fatal(self) -> bool:
        """No restart can help: the server has to stop."""
        return self.code == EXIT_FATAL

    @property
    def untrusted(self) -> bool:
        """It died on its memory map or asked for it: its replica is not to be used again."""
        return self.code == EXIT_REBUILD or (not self.hung and -self.code in _UNTRUSTED_SIGNALS)


class Restart(NamedTuple):
    """What to do about a death: start the child again ``delay_s`` from now, if so on a new replica.

    ``flapping`` is set on the one death that makes the child count as flapping, and not again until it recovered.
    """

    delay_s: float
    rebuild: bool
    flapping: bool


@dataclass(slots=True)
class RestartPolicy:
    """Decides about the restarts of one child: exponential back-off with a cap, forgotten after a stable run.

    Example: a child that dies at once, always, is started again after 0.1, 0.2, 0.4, ... 25.6, 30, 30, ... s. One
    that dies after running for an hour is started after 0.1 s, whatever happened before.

    Invariants:
    1. `deaths` counts the deaths since the last stable run. A delay is never above `MOST_DELAY_S`.
    2. A rebuild, once due, stays due until a child that was told to rebuild has become ready.
    """

    deaths: int = 0
    rebuild_due: bool = False
    _started_at_s: float = 0.0

    @property
    def flapping(self) -> bool:
        """Whether the child has died again and again without a stable run between."""
        return self.deaths >= FLAPPING_DEATHS

    def started(self, now_s: float) -> None:
        """The child was started at this time of the monotonic clock."""
        self._started_at_s = now_s

    def became_ready(self) -> None:
        """The child serves: a replica that was to be rebuilt now is."""
        self.rebuild_due = False

    def died(self, now_s: float, end: Exit) -> Restart:
        """The child died; not to be asked about an exit that is `Exit.fatal`.

        Args:
            now_s: the monotonic clock, in seconds.
            end: how it ended.

        Returns:
            When and how to start it again.
        """
        if now_s - self._started_at_s >= STABLE_S:
            self.deaths = 0
        self.deaths += 1
        self.rebuild_due = self.rebuild_due or end.untrusted
        # The exponent is bounded so that a child that dies for years does not overflow a float.
        delay_s = min(FIRST_DELAY_S * 2 ** min(self.deaths - 1, 20), MOST_DELAY_S)
        return Restart(delay_s, self.rebuild_due, self.deaths == FLAPPING_DEATHS)

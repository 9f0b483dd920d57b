"""Long answers leave in parts, so that what is sent to one client keeps nobody from being served.

An answer of 28 MB takes a worker some 30 ms to write, and its client longer to read and decode: written at once, it is
the time in which everybody else is slow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

LONG_BYTES: Final = 1 << 20
"""What waits on a connection for the client to take, from which on it leaves in parts."""
PART_BYTES: Final = 1 << 20
"""Written in one turn: about a millisecond."""


class LongSender(Protocol):
    """A connection with a long answer."""

    def send_part(self) -> None:
        """Writes ``PART_BYTES``, or as much as the client takes; lines up again if it would take more."""


class LongAnswers:
    """The connections that could write more of a long answer, in line.

    Args:
        wake: called when there is a part to be sent; the owner then calls ``run_slice`` in another turn.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._line: dict[LongSender, None] = {}

    @property
    def under_way(self) -> int:
        """How many are in line."""
        return len(self._line)

    def line_up(self, sender: LongSender) -> None:
        """It has more to write, and its client takes it; asking twice is asking once."""
        if not self._line:
            self._wake()
        self._line[sender] = None

    def leave(self, sender: LongSender) -> None:
        """Its connection is gone."""
        self._line.pop(sender, None)

    def run_slice(self) -> None:
        """Lets the first in line send a part."""
        if self._line:
            sender = next(iter(self._line))
            del self._line[sender]
            sender.send_part()

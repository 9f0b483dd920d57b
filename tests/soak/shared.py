"""What all parts of a load share: how much there is of everything, when to stop, and what was answered so far."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from .account import Account
from .doors import Door

Connect = Callable[[], Awaitable[Door]]


@dataclass(frozen=True, slots=True)
class Shape:
    """How much there is of everything.

    Attributes:
        keys: different ones that are written to.
        lanes: of each door, which do one thing after the other.
        pause_s: of a lane after an answer; 0 presses as hard as answers come.
        tenants: of each door, each with a lease at a time, by a connection of its own.
        visitors: of each door, who connect, watch, and go.
        compact_s: between two compactions.
        kept_revisions: that are not compacted.
        is_filled: whether what is bounded on the server is brought to its bounds first.
    """

    keys: int
    lanes: int
    pause_s: float
    tenants: int
    visitors: int
    compact_s: float
    kept_revisions: int
    is_filled: bool


class Shared:
    """The state that parts of a load share.

    Attributes:
        done: what was done, by kind.
        acknowledged: the latest revision that anybody was told.
        held: revisions that must not be compacted yet, by who needs them.
    """

    def __init__(self, shape: Shape, accounts: Sequence[Account]) -> None:
        self.shape = shape
        self.accounts = accounts
        self.done: Counter[str] = Counter()
        self.acknowledged = 0
        self.held: dict[bytes, int] = {}
        self.stopping = asyncio.Event()

    @property
    def compactable(self) -> int:
        """The revision up to which nobody needs history."""
        seen = min(account.revision for account in self.accounts)
        return min(seen - self.shape.kept_revisions, *(held - 1 for held in self.held.values()), seen)

    def acknowledge(self, revision: int, written: dict[bytes, bytes | None]) -> None:
        """A writer was told that it wrote this.

        Raises:
            ViolationError: a watch saw something else.
        """
        self.acknowledged = max(self.acknowledged, revision)
        for account in self.accounts:
            account.promise(revision, written)

    async def rest(self, seconds: float) -> None:
        """A pause, which the end of the load ends."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stopping.wait()

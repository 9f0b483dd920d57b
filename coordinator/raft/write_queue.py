"""The writes that were handed to the driver and are not yet reported durable."""

from __future__ import annotations

from collections import deque

from oarlock.coordinator.raft.errors import InvariantError
from oarlock.coordinator.raft.ready import HardState


class PendingWrite:
    """One write under way; when it is durable, so is the log up to ``last_index``, and ``hard_state``."""

    __slots__ = ("hard_state", "last_index", "number")

    def __init__(self, number: int, last_index: int, hard_state: HardState | None) -> None:
        self.number = number
        self.last_index = last_index
        self.hard_state = hard_state


class WriteQueue:
    """Numbers writes, and knows what each of them will have made durable.

    Why numbers, and not (index, term) of the last entry: entries can be replaced while they are being written, and
    the old ones can come back. Say write 1 holds entry 7 of term 2; a leader of term 3 replaces it (write 2); the
    leader of term 4 never saw term 3 and brings back entry 7 of term 2 (write 3). "Entry 7 of term 2 is durable" may
    then be said by write 1, while on disk write 2 is about to replace it: to acknowledge the entry would be to lose
    it. Here, write 2 takes entry 7 away from write 1 the moment it is made (:meth:`clamp`), and only write 3 says that
    it is durable.

    Invariants:
    1. Numbers rise by one; last indexes never fall from one write to the next.
    """

    __slots__ = ("_last_number", "_pending")

    def __init__(self) -> None:
        self._pending: deque[PendingWrite] = deque()
        self._last_number = 0

    def __len__(self) -> int:
        return len(self._pending)

    def start(self, last_index: int, hard_state: HardState | None) -> int:
        """Takes note of a write that leaves the log ending at ``last_index``; returns its number."""
        self._last_number += 1
        self._pending.append(PendingWrite(self._last_number, last_index, hard_state))
        return self._last_number

    def clamp(self, index: int) -> None:
        """Entries above ``index`` are being replaced: no write under way makes the new ones durable."""
        for write in self._pending:
            write.last_index = min(write.last_index, index)

    def finish(self, number: int) -> tuple[int, HardState | None] | None:
        """All writes up to ``number`` are durable.

        Returns:
            The index up to which the log now is durable, and the newest hard state among them; None if all of them
            were reported before.

        Raises:
            InvariantError: ``number`` was never handed out.
        """
        if number > self._last_number:
            raise InvariantError(
                f"write {number} is said to be durable: the last one handed out is {self._last_number}"
            )
        last_index = -1
        hard_state = None
        pending = self._pending
        while pending and pending[0].number <= number:
            write = pending.popleft()
            last_index = write.last_index
            hard_state = write.hard_state or hard_state
        return None if last_index < 0 else (last_index, hard_state)

    def validate(self) -> None:
        """Raises InvariantError if an invariant of the type is broken."""
        for before, after in zip(self._pending, list(self._pending)[1:], strict=False):
            if after.number != before.number + 1 or after.last_index < before.last_index:
                raise InvariantError(
                    f"write {after.number} up to {after.last_index} after write {before.number} up to "
                    f"{before.last_index}"
                )

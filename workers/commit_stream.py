"""The commit stream as a worker sees it: what arrives, in whatever order and with whatever gaps, becomes entries in
order.

No I/O here. The coordinator sends no entries to a worker that does not read, and one that has just started has seen
none: a gap is filled by fetching, one question at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from oarlock.wire.entries import Entry

FETCH_RETRY_S: Final = 1.0
"""An unanswered fetch is asked again after this: the coordinator was restarted, or the answer is that late."""


class CommitStream:
    """Puts entries in order.

    Invariant: ``next_index`` is the one entry that may be handed out next; it only moves by handing out, or by
    ``restart``.

    Args:
        applied_index: of the replica.
    """

    def __init__(self, applied_index: int) -> None:
        self.next_index = applied_index + 1
        self.known_commit_index = applied_index
        self._asked_s: float | None = None
        self._is_told = False

    @property
    def has_caught_up(self) -> bool:
        """Whether this coordinator has told how far its log is committed, and all of that was handed out."""
        return self._is_told and not self.is_behind

    @property
    def is_behind(self) -> bool:
        """Whether entries are known to be committed that did not arrive."""
        return self.next_index <= self.known_commit_index

    def restart(self, applied_index: int) -> None:
        """The replica was replaced by another one, or the coordinator by another process.

        What is committed is to be learned anew: the log may have been replaced by one that ends sooner.
        """
        self.next_index = applied_index + 1
        self.known_commit_index = applied_index
        self._asked_s = None
        self._is_told = False

    def arrived(self, commit_index: int, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Takes a published message or the answer to a fetch.

        Returns:
            Those of its entries that come next, in order; none where there is a gap before them.
        """
        self._is_told = True
        if commit_index > self.known_commit_index:
            self.known_commit_index = commit_index
        if not entries or entries[0][0] > self.next_index:
            return ()
        skip = self.next_index - entries[0][0]
        fresh = entries[skip:] if skip else entries
        if fresh:
            self.next_index = fresh[-1][0] + 1
        return fresh

    def fetch_due(self, now_s: float) -> int | None:
        """The index to fetch from now, or None: nothing is missing, or the question is under way."""
        if not self.is_behind:
            self._asked_s = None
            return None
        if self._asked_s is not None and now_s - self._asked_s < FETCH_RETRY_S:
            return None
        self._asked_s = now_s
        return self.next_index

    def fetched(self) -> None:
        """An answer has arrived: the next question may be asked at once."""
        self._asked_s = None

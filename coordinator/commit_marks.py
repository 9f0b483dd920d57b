"""What stands in the commit word, and when it is put there."""

from __future__ import annotations

from collections.abc import Sequence

from oarlock.coordinator.raft import Raft
from oarlock.wire.commit_word import CommitWord
from oarlock.wire.entries import Entry


class CommitMarks:
    """Keeps the commit word as the core is: before anybody is told anything that follows from it.

    Args:
        word: shared with the workers.
        raft: the core.
    """

    def __init__(self, word: CommitWord, raft: Raft) -> None:
        self._word = word
        self._raft = raft
        self._marked_index = 0

    def written(self, entries: Sequence[Entry]) -> None:
        """The core was just told that a write of these entries is durable. Where the member is alone they are committed
        by that, and workers see it now, not when the core's next effects are carried out: who waits for one write
        is answered that much earlier."""
        index = self._raft.lone_commit_index
        if entries and index >= entries[-1].index:
            self._word.publish(index)
            self._mark(entries[-1])

    def ready(self, committed: Sequence[Entry]) -> None:
        """The core has effects that are to be carried out now.

        Args:
            committed: those entries among them.
        """
        self._word.publish(self._raft.lone_commit_index)
        if committed and committed[-1].index > self._marked_index:
            self._mark(committed[-1])

    def _mark(self, entry: Entry) -> None:
        self._marked_index = entry.index
        self._word.publish_committed(entry)

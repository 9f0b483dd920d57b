"""Sees that a worker's own entry is committed, before the message arrives that says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from oarlock.wire.commit_word import CommitWord, mark_of
from oarlock.wire.entries import Entry
from oarlock.workers.batch_run import Reply
from oarlock.workers.commit_stream import CommitStream
from oarlock.workers.proposals import Batch, Proposals


class Own(NamedTuple):
    """An entry as it will be if nobody else's comes in between, and its replies then, if they can be told; whether
    it is of one request only."""

    entry: Entry
    replies: list[list[Reply]] | None
    is_lone: bool


class OwnCommit:
    """The one entry that a worker waits for.

    A lone write's entry comes back to the worker that proposed it, which has it already: all that it has to learn is
    that it was committed, and where. So it knows what to expect, and looks whether the commit word has its mark.

    Worked example: with entry 6 applied, in term 2, the worker 99 proposes its batch 4, and expects (7, 2, 99, 4). If
    another worker's entry becomes the 7th, ours is the 8th: its mark is never seen, and its message brings it.

    Args:
        commit_word: of its coordinator.
        foresee: tells the replies of an entry, if it is applied next; see ``StateMachine``.
        proposals: of this worker.
        stream: knows which entry comes next.
    """

    def __init__(
        self,
        commit_word: CommitWord,
        foresee: Callable[[Entry], list[list[Reply]] | None],
        proposals: Proposals,
        stream: CommitStream,
    ) -> None:
        self._commit_word = commit_word
        self._foresee = foresee
        self._proposals = proposals
        self._stream = stream
        self._expected: Own | None = None
        self._mark = 0

    def proposed(self, batches: Sequence[Batch], term: int) -> None:
        """Expects what was just proposed, if it is one batch and no other is under way; in place of what was expected
        before.

        Args:
            batches: in their order.
            term: of the leader, as far as we know.
        """
        if len(batches) != 1 or len(self._proposals) != 1:
            return
        batch = batches[0]
        incarnation, index = self._proposals.incarnation, self._stream.next_index
        entry = Entry(index, term, batch.kind, incarnation, batch.number, batch.payload)
        # To foresee means to decode the payload, which for many requests takes as long as it could save.
        is_lone = batch.requests == 1
        self._expected = Own(entry, self._foresee(entry) if is_lone else None, is_lone)
        self._mark = mark_of(entry)

    def seen(self) -> Own | None:
        """The expected entry, once, if it is committed and comes next; else None."""
        expected = self._expected
        if expected is None or not self._commit_word.look_for(self._mark):
            return None
        self._expected = None
        return expected if expected.entry.index == self._stream.next_index else None

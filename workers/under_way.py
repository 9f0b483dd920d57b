"""What a worker waits for from its coordinator: writes that it proposed, read indexes and other things that it asked.

A coordinator may die, and a leader lose what it took. So what is under way is proposed or asked again, or answered with
an error, and given up when its time is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from oarlock.wire.commit_word import ASK, CommitWord
from oarlock.wire.errors import LeaderChangedError, TimeoutError
from oarlock.wire.frames import pack_error
from oarlock.wire.ledger import LEDGER_WINDOW_ENTRIES
from oarlock.workers import write_batches
from oarlock.workers.coordinator_link import CoordinatorLink
from oarlock.workers.proposals import Batch, Proposals
from oarlock.workers.questions import Questions
from oarlock.workers.read_index import ReadRounds
from oarlock.workers.reads import Reads
from oarlock.workers.replica_keeper import ReplicaKeeper
from oarlock.workers.write_batches import WriteBatches


class UnderWay:
    """Sends what was collected in a turn, and keeps it until it is answered or given up.

    Attributes:
        is_greeted: whether the coordinator has answered our greeting. While it has not, the replica may be of another
            cluster or another log: nothing is proposed again, and no commit index looked up.
        proposals, batches, rounds, questions: what is under way, by its kind.

    Args:
        link: to the coordinator.
        keeper: owns the replica.
        commit_word: what the coordinator tells of commits while its member is alone.
        reads: runs the reads whose index is known and applied.
        new_id: draws a random positive 63-bit id.
    """

    def __init__(
        self,
        link: CoordinatorLink,
        keeper: ReplicaKeeper,
        commit_word: CommitWord,
        reads: Reads,
        new_id: Callable[[], int],
    ) -> None:
        self._link = link
        self._keeper = keeper
        self._commit_word = commit_word
        self._reads = reads
        self.proposals = Proposals(new_id)
        self.batches = WriteBatches(self.proposals)
        self.rounds = ReadRounds()
        self.questions = Questions(link)
        self.is_greeted = False

    @property
    def is_idle(self) -> bool:
        """Whether no write and no linearizable read is under way."""
        return not (len(self.proposals) or len(self.rounds))

    @property
    def is_alone(self) -> bool:
        """Whether the member is the only one of its cluster, as far as its coordinator tells."""
        return self._commit_word.look() != ASK

    def flush(self, now_s: float, *, is_brisk: bool) -> Sequence[Batch]:
        """Sends what was collected: one proposal for all writes, one question for all linearizable reads.

        Args:
            now_s: the time.
            is_brisk: whether the worker does not sleep while it waits.

        Returns:
            The batches that it proposed.
        """
        batches = self.batches.flush(now_s)
        if batches:
            is_lone = len(self.proposals) == 1 and batches[0].requests == 1
            self._propose(batches, is_looked_for=is_lone and is_brisk and self.is_greeted)
        self._ask_read_index(now_s)
        self.questions.flush()
        return batches

    def _ask_read_index(self, now_s: float) -> None:
        """Gets the reads that wait an index, where it is time to: looks it up, or else asks for it."""
        number = self.rounds.question(now_s)
        if number is None:
            return
        index = self._commit_word.look() if self.is_greeted else ASK
        if index == ASK:
            self._link.ask_read_index(number)
        else:
            self._confirm(number, index)

    def _confirm(self, number: int, index: int) -> None:
        for read in self.rounds.answered(number, index, self._keeper.meta.applied_index):
            self._reads.start(read)

    # Answers

    def read_index_answered(self, message: list[Any]) -> None:
        """Takes the coordinator's answer to the question for a read index: below 0, it had none."""
        if message[2] < 0:
            self.rounds.failed(message[1], time.monotonic())
        else:
            self._confirm(message[1], message[2])

    def applied(self, applied_index: int) -> None:
        """Runs the reads that have waited for the replica to be at ``applied_index``."""
        for read in self.rounds.applied(applied_index):
            self._reads.start(read)

    # Again

    def leader_changed(self) -> None:
        """A new leader may not have what the old one took, and owes no answer to what the old one was asked."""
        self.coordinator_changed()
        self.propose_again()

    def coordinator_changed(self) -> None:
        """As ``leader_changed``, of a coordinator that has just greeted us; proposals go again a moment later."""
        self.proposals.coordinator_changed(time.monotonic())
        self.rounds.coordinator_changed()

    def replica_replaced(self) -> None:
        """Another replica may have outstanding writes in it or not: clients ask again."""
        for batch in self.proposals.replica_replaced(self._keeper.meta.applied_index):
            write_batches.answer_all(batch, LeaderChangedError())

    def propose_again(self) -> None:
        """Proposes what is to be proposed again, if its time has come."""
        again = self.proposals.due_again(time.monotonic()) if self.is_greeted else ()
        if again:
            self._propose(again, is_looked_for=False)

    def _propose(self, batches: Sequence[Batch], *, is_looked_for: bool) -> None:
        taken_index = self._keeper.meta.applied_index
        self._link.propose(self.proposals.incarnation, batches, taken_index, is_looked_for=is_looked_for)

    def look_after(self, now_s: float) -> None:
        """Proposes again what is due, and answers those whose time is over; to be called every now and then."""
        self.propose_again()
        if self.is_greeted:
            self.proposals.renew_if_idle(self._keeper.meta.applied_index, LEDGER_WINDOW_ENTRIES)
        write_batches.give_up_overdue(self.proposals, now_s)
        self.questions.give_up_overdue(now_s)
        for read in self.rounds.discard(lambda read: read.deadline_s <= now_s):
            read.caller.answer(pack_error(read.request[0], TimeoutError()))

"""Linearizable reads without a log entry (Raft thesis, section 6.4).

A leader notes its commit index when the question comes, and answers when a quorum has answered a heartbeat that left
*after* that: then no newer leader can have committed anything before the question. Heartbeats carry the number of the
newest round; an answer to round 7 confirms every question of rounds up to 7. Questions that come in one turn of the
driver share a round.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from oarlock.coordinator.raft.errors import InvariantError


class Question(NamedTuple):
    """One question at the leader: ``origin`` asked it, with ``context``."""

    round: int
    index: int  # type: ignore[assignment]  # a tuple's method of that name is not used
    context: bytes
    origin: int


class LeaderReads:
    """The questions that a leader has not answered yet.

    Invariants:
    1. Rounds and indexes never fall from one question to the next.
    2. A question is of a round later than the last one that left before it was asked.
    3. Held questions have neither: the leader has not committed in its term, so it does not know what was committed.
    """

    __slots__ = ("_held", "_waiting", "round", "wanted")

    def __init__(self) -> None:
        self.round = 0
        self.wanted = False
        self._waiting: deque[Question] = deque()
        self._held: list[tuple[bytes, int]] = []

    def __len__(self) -> int:
        return len(self._waiting) + len(self._held)

    def ask(self, context: bytes, origin: int, commit: int) -> None:
        """Takes a question whose answer is ``commit``, once a quorum has confirmed the next round."""
        self._waiting.append(Question(self.round + 1, commit, context, origin))
        self.wanted = True

    def hold(self, context: bytes, origin: int) -> None:
        """Takes a question before the leader has committed in its term."""
        self._held.append((context, origin))

    def release(self, commit: int) -> None:
        """The leader has committed in its term: asks what was held."""
        held, self._held = self._held, []
        for context, origin in held:
            self.ask(context, origin, commit)

    def next_round(self) -> int:
        """The number for the heartbeats that leave now."""
        if self.wanted:
            self.round += 1
            self.wanted = False
        return self.round

    def confirmed(self, through_round: int) -> Iterator[Question]:
        """Takes out the questions that a quorum's answers to ``through_round`` confirm."""
        while self._waiting and self._waiting[0].round <= through_round:
            yield self._waiting.popleft()

    def contexts_of(self, origin: int) -> list[bytes]:
        """The open questions of one member."""
        open_questions = [question.context for question in self._waiting if question.origin == origin]
        return open_questions + [context for context, asked_by in self._held if asked_by == origin]

    def validate(self) -> None:
        """Raises InvariantError if an invariant of the type is broken."""
        for before, after in zip(self._waiting, list(self._waiting)[1:], strict=False):
            if after.round < before.round or after.index < before.index:
                raise InvariantError(f"read-index questions out of order: {before}, {after}")
        if self._waiting and self._waiting[-1].round > self.round + 1:
            raise InvariantError(f"a question waits for round {self._waiting[-1].round}; the next is {self.round + 1}")


class ForwardedReads:
    """The questions that a follower has sent to its leader, by context.

    A question or its answer may get lost, so a question that waits too long fails. The answer may still come, and is
    then ignored: the caller's next try has a context of its own.
    """

    __slots__ = ("_asked",)

    def __init__(self) -> None:
        self._asked: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._asked)

    def __contains__(self, context: bytes) -> bool:
        return context in self._asked

    def add(self, context: bytes, tick: int) -> None:
        """Takes note of a question sent at ``tick``."""
        self._asked[context] = tick

    def answered(self, context: bytes) -> bool:
        """Takes out a question; False if it is not open (any more)."""
        return self._asked.pop(context, None) is not None

    def take_expired(self, before_tick: int) -> list[bytes]:
        """Takes out the questions that were sent before ``before_tick``."""
        expired = [context for context, tick in self._asked.items() if tick < before_tick]
        for context in expired:
            del self._asked[context]
        return expired

    def take_all(self) -> list[bytes]:
        """Takes out everything: the leader is gone."""
        contexts = list(self._asked)
        self._asked.clear()
        return contexts

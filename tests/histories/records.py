"""An operation as its client saw it, and a recorder for live runs.

Times are seconds of one monotonic clock that all clients of a history share. Operation a *precedes* operation b when
``a.end_s < b.begin_s``; otherwise they are concurrent, or b precedes a.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf

from .store import Action, Get, Outcome, may_write, wrote


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answered: the revision in its header, and the result."""

    revision: int
    result: Outcome


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of one client.

    Invariants: an operation without an answer has no end; with one, it ends no sooner than it begins.
    """

    client: int
    action: Action
    begin_s: float
    end_s: float
    answer: Answer | None
    """None: the outcome is unknown; the operation may have happened at any time after its begin, or never."""

    def __post_init__(self) -> None:
        if self.answer is None and self.end_s != inf:
            raise ValueError(f"an operation with unknown outcome has no end, this one has {self.end_s}")
        if self.end_s < self.begin_s:
            raise ValueError(f"an operation cannot end at {self.end_s} when it begins at {self.begin_s}")

    @property
    def wrote(self) -> bool:
        """Whether it is known to have changed the store."""
        return self.answer is not None and wrote(self.action, self.answer.result)

    @property
    def serializable(self) -> bool:
        """Whether it was allowed to see an older state."""
        return isinstance(self.action, Get) and self.action.serializable


class ViolationError(AssertionError):
    """No correct store could have produced this history."""


class UndecidableError(ValueError):
    """The history is correct or not, but the checker cannot tell with what it was given."""


def known(history: Iterable[Operation]) -> list[tuple[Operation, Answer]]:
    """The operations that were answered, with their answers."""
    return [(operation, operation.answer) for operation in history if operation.answer is not None]


def unknown_writes(history: Iterable[Operation]) -> list[Operation]:
    """The operations of unknown outcome that may have changed the store; one that only reads says nothing at all."""
    return [operation for operation in history if operation.answer is None and may_write(operation.action)]


@dataclass(slots=True)
class Recorder:
    """Collects the operations of a live run.

    One recorder serves all clients of one process, on any number of threads or tasks::

        call = recorder.begin(client, Put(b"a", b"1"))
        try:
            call.answered(Answer(revision, None))
        except Refused:          # certainly not applied
            call.refused()
        # neither was called: the outcome is unknown
    """

    clock: Callable[[], float] = time.monotonic
    calls: list[Call] = field(default_factory=list)

    def begin(self, client: int, action: Action) -> Call:
        """To be called before the request is sent."""
        call = Call(client, action, self.clock(), self.clock)
        self.calls.append(call)
        return call

    def history(self) -> list[Operation]:
        """All operations so far. One that was not answered yet counts as unknown; a refused one did not happen."""
        return [call.operation() for call in self.calls if not call.was_refused]


@dataclass(slots=True)
class Call:
    """An operation under way."""

    client: int
    action: Action
    begin_s: float
    clock: Callable[[], float]
    end_s: float = inf
    answer: Answer | None = None
    was_refused: bool = False

    def answered(self, answer: Answer) -> None:
        """To be called as soon as the answer is there."""
        self.end_s = self.clock()
        self.answer = answer

    def refused(self) -> None:
        """The server said that it did not, and will not, do it."""
        self.was_refused = True

    def operation(self) -> Operation:
        """The record of it as it stands."""
        return Operation(self.client, self.action, self.begin_s, self.end_s, self.answer)

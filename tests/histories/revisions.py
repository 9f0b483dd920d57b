"""The fast check: is the order that the server claims, by its revisions, a correct one?

Every write answers the revision it made, and every read the revision it saw. That fixes the place of each operation
(a read of revision r stands between write r and write r + 1), so nothing has to be searched:

1. No two writes claim one revision.
2. Replayed in that order, every operation gives the result that its client got, and the events that the log has.
3. The order respects real time: an operation that begins after another has ended never has a lower revision, and a
   write has a higher one. (A serializable read may be behind, so it only binds those that come after it.)
4. Every revision that no answered write claims is the work of an operation of unknown outcome, a different one for
   each: a bipartite matching. A write that was applied twice fails here, since one of its revisions is left over.

Cost: a sort, a replay, and for each unclaimed revision one look at each operation of unknown outcome.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import inf

from .records import Answer, Operation, UndecidableError, ViolationError, known, unknown_writes
from .store import FIRST_REVISION, Event, Stored, apply_events, evaluate


def check_revisions(history: Sequence[Operation], log: Sequence[Event] | None = None) -> None:
    """Checks a history that began with an empty store.

    Args:
        history: the operations of all clients, in any order.
        log: all events of the store, in order, as a watch from the beginning gives them. Without it the answered
            writes are taken for the log, which works while none is of unknown outcome.

    Raises:
        ViolationError: no correct store answers like that.
        UndecidableError: there are writes of unknown outcome, revisions that only they can explain, and no log.
    """
    check_real_time(history)
    replay = _Replay(history, log)
    replay.run()
    _check_gaps(replay.gaps)


def check_real_time(history: Iterable[Operation]) -> None:
    """Point 3 above.

    Raises:
        ViolationError: an operation is placed before one that had ended when it began.
    """
    ended = sorted(known(history), key=lambda pair: pair[0].end_s)
    end_times = [operation.end_s for operation, _ in ended]
    highest = list(accumulate((answer.revision for _, answer in ended), max))
    for operation, answer in ended:
        before = bisect_left(end_times, operation.begin_s)  # equal instants are concurrent
        if not before or operation.serializable:
            continue
        floor = highest[before - 1]
        if answer.revision < floor or (operation.wrote and answer.revision == floor):
            raise ViolationError(f"{operation} began when revision {floor} had been answered already")


class _Replay:
    """Goes through the revisions in order, with the state of the store at each (points 1, 2 and the edges of 4)."""

    def __init__(self, history: Sequence[Operation], log: Sequence[Event] | None) -> None:
        self._writers = _writers(history)
        self._readers: dict[int, list[tuple[Operation, Answer]]] = defaultdict(list)
        for operation, answer in known(history):
            if not operation.wrote:
                self._readers[answer.revision].append((operation, answer))
        self._unknown = unknown_writes(history)
        self._log = None if log is None else _by_revision(log)
        self._last = max(self._writers if self._log is None else self._log, default=FIRST_REVISION)
        self._deadlines = _Deadlines(history)
        self._state: dict[bytes, Stored] = {}
        self.gaps: dict[int, list[int]] = {}
        """Unclaimed revision → which operations of unknown outcome could have made it."""

    def run(self) -> None:
        if beyond := [r for r in (*self._readers, *self._writers) if not FIRST_REVISION <= r <= self._last]:
            raise ViolationError(f"revision {beyond[0]} was answered, but the store ended at {self._last}")
        self._check_readers(FIRST_REVISION)
        for revision in range(FIRST_REVISION + 1, self._last + 1):
            apply_events(self._state, self._events(revision))
            self._check_readers(revision)

    def _events(self, revision: int) -> Sequence[Event]:
        """The events that made ``revision``, checked against whoever claims it."""
        logged = None if self._log is None else self._log.get(revision)
        if self._log is not None and logged is None:
            raise ViolationError(f"revision {revision} is missing from the log")
        if revision in self._writers:
            return self._check_writer(revision, logged)
        if logged is None:
            if self._unknown:
                raise UndecidableError(f"revision {revision} is of unknown origin: give the store's log")
            raise ViolationError(f"revision {revision} exists, but nobody wrote it")
        self.gaps[revision] = self._explanations(revision, logged)
        return logged

    def _check_writer(self, revision: int, logged: Sequence[Event] | None) -> Sequence[Event]:
        operation, answer = self._writers[revision]
        effect = evaluate(self._state, revision, operation.action)
        if effect.result != answer.result:
            raise ViolationError(f"{operation} should have answered {effect.result}")
        if logged is not None and effect.events != tuple(logged):
            raise ViolationError(f"{operation} made {effect.events}, the log has {logged}")
        return effect.events

    def _check_readers(self, revision: int) -> None:
        for operation, answer in self._readers.get(revision, ()):
            effect = evaluate(self._state, revision + 1, operation.action)
            if effect.result != answer.result or effect.events:
                raise ViolationError(f"{operation} should have answered {effect.result}")

    def _explanations(self, revision: int, logged: Sequence[Event]) -> list[int]:
        latest_begin = self._deadlines.of(revision)
        return [
            number
            for number, operation in enumerate(self._unknown)
            if operation.begin_s <= latest_begin
            and evaluate(self._state, revision, operation.action).events == tuple(logged)
        ]


def _writers(history: Iterable[Operation]) -> dict[int, tuple[Operation, Answer]]:
    writers: dict[int, tuple[Operation, Answer]] = {}
    for operation, answer in known(history):
        if operation.wrote:
            if answer.revision in writers:
                raise ViolationError(f"{operation} has the revision of {writers[answer.revision][0]}")
            writers[answer.revision] = operation, answer
    return writers


def _by_revision(log: Sequence[Event]) -> dict[int, list[Event]]:
    grouped: dict[int, list[Event]] = {}
    latest = FIRST_REVISION
    for event in log:
        if event.revision < latest:
            raise ViolationError(f"the log goes back from revision {latest} to {event.revision}")
        latest = event.revision
        grouped.setdefault(latest, []).append(event)
    return grouped


class _Deadlines:
    """When the write of a revision had begun at the latest: before anything that saw that revision had ended."""

    def __init__(self, history: Iterable[Operation]) -> None:
        pairs = sorted((answer.revision, operation.end_s) for operation, answer in known(history))
        self._revisions = [revision for revision, _ in pairs]
        self._earliest_end = list(accumulate((end_s for _, end_s in reversed(pairs)), min))[::-1]

    def of(self, revision: int) -> float:
        position = bisect_left(self._revisions, revision)
        return self._earliest_end[position] if position < len(self._earliest_end) else inf


def _check_gaps(gaps: dict[int, list[int]]) -> None:
    """Finds a different explanation for each gap (augmenting paths, Kuhn 1955).

    Raises:
        ViolationError: there is none.
    """
    explained: dict[int, int] = {}

    def explain(revision: int, tried: set[int]) -> bool:
        for number in gaps[revision]:
            if number not in tried:
                tried.add(number)
                if number not in explained or explain(explained[number], tried):
                    explained[number] = revision
                    return True
        return False

    for revision in gaps:
        if not explain(revision, set()):
            raise ViolationError(
                f"revision {revision} exists, but no operation can have made it (or one was done twice)"
            )

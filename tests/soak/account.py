"""What the store must hold, followed event by event in bounded memory, however long a run lasts.

Every revision of the store has events, since every write, and every end of a lease that has keys, makes just one. So a
watch of all keys is complete and in order if its revisions follow each other without a gap, and each key's versions do.
What writers were told is compared with what watches saw, whichever came first.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import Future
from collections import deque
from hashlib import blake2b
from itertools import groupby, islice

from tests.histories.records import ViolationError
from tests.histories.store import FIRST_REVISION, Stored

from .doors import Change

RECENT_REVISIONS = 50_000
"""Kept for watches of the past to be compared with; far more than they begin behind or an answer is late."""
MARK_REVISIONS = 500
"""Between two comparisons of what different watches saw."""


class Account:
    """The store as one watch of all keys tells it.

    Args:
        name: of the watch.
        marks: shared by all watches of all keys.
    """

    def __init__(self, name: str, marks: Marks) -> None:
        self.name = name
        self.revision = FIRST_REVISION
        self.state: dict[bytes, Stored] = {}
        self.recent: deque[tuple[Change, ...]] = deque(maxlen=RECENT_REVISIONS)
        self.promised: dict[int, tuple[Change, ...]] = {}
        self._marks = marks
        self._digest = blake2b(digest_size=16)
        self._goings: dict[bytes, Future[float]] = {}

    def take(self, changes: list[Change]) -> None:
        """Takes what the watch told.

        Raises:
            ViolationError: an event is missing, doubled, out of order, or not what a writer was told.
        """
        for revision, group in groupby(changes, key=lambda change: change.revision):
            if revision != self.revision + 1:
                raise ViolationError(f"{self.name}: revision {revision} after {self.revision}")
            together = tuple(group)
            for change in together:
                self._apply(change)
            if (promise := self.promised.pop(revision, None)) is not None:
                self._compare(promise, together)
            self.recent.append(together)
            self.revision = revision
            self._digest.update(repr(together).encode())
            if revision % MARK_REVISIONS == 0:
                self._marks.compare(self.name, revision, self._digest.digest())

    def promise(self, revision: int, written: dict[bytes, bytes | None]) -> None:
        """A writer was told that it wrote this, at ``revision``.

        Raises:
            ViolationError: the watch saw something else.
        """
        promise = tuple(Change(revision, key, value, 0, 0) for key, value in written.items())
        if revision > self.revision:
            if revision in self.promised:
                raise ViolationError(f"two writers were told of revision {revision}")
            self.promised[revision] = promise
        else:
            self._compare(promise, self._seen_at(revision))

    def going(self, key: bytes) -> Future[float]:
        """When ``key`` is deleted, by the monotonic clock of whoever watched."""
        future: Future[float] = asyncio.get_running_loop().create_future()
        self._goings[key] = future
        return future

    def since(self, revision: int, start: bytes, end: bytes) -> list[Change]:
        """What happened to the keys of [start, end), from ``revision`` on, which must be recent."""
        places = len(self.recent) - (self.revision - revision + 1)
        assert places >= 0, f"revision {revision} is not recent any more"
        recent = islice(self.recent, places, None)
        return [change for together in recent for change in together if start <= change.key < end]

    def _apply(self, change: Change) -> None:
        before = self.state.get(change.key)
        if change.value is None:
            if before is None:
                raise ViolationError(f"{self.name}: {change} of a key that is not there")
            del self.state[change.key]
            going = self._goings.pop(change.key, None)
            if going is not None and not going.done():
                going.set_result(time.monotonic())
            return
        expected = (change.revision, 1) if before is None else (before.create_revision, before.version + 1)
        if (change.create_revision, change.version) != expected:
            raise ViolationError(f"{self.name}: {change} after {before}")
        self.state[change.key] = Stored(change.value, change.create_revision, change.revision, change.version)

    def _seen_at(self, revision: int) -> tuple[Change, ...]:
        place = len(self.recent) - 1 - (self.revision - revision)
        assert place >= 0, f"the answer of revision {revision} came when it was not recent any more"
        return self.recent[place]

    def _compare(self, promise: tuple[Change, ...], seen: tuple[Change, ...]) -> None:
        if {change.key: change.value for change in promise} != {change.key: change.value for change in seen}:
            raise ViolationError(f"{self.name}: a writer was told {promise}, the watch saw {seen}")


class Marks:
    """Compares what different watches of all keys saw.

    Args:
        watches: how many there are.
    """

    def __init__(self, watches: int) -> None:
        self._watches = watches
        self._marks: dict[int, tuple[str, bytes, int]] = {}

    def compare(self, name: str, revision: int, digest: bytes) -> None:
        """A watch saw this up to ``revision``.

        Raises:
            ViolationError: another one saw something else.
        """
        first, known, still = self._marks.pop(revision, (name, digest, self._watches))
        if known != digest:
            raise ViolationError(f"{name} and {first} differ before revision {revision}")
        if still > 1:
            self._marks[revision] = first, known, still - 1

"""Tells this host's workers what is committed; later where a worker sees it without being told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from oarlock.coordinator.standing import Standing
from oarlock.wire.entries import Entry

LOOKING_S: Final = 0.0005
"""So long after it has proposed an entry a worker looks for its mark without sleep, if it has said so; it does for half
as long again."""
POSTPONED_S: Final = 0.001
"""How long a worker is not told of an entry: a client that asks one thing after another has asked again by then."""


class Port(Protocol):
    """What ``WorkerPort`` offers here."""

    def publish(
        self, term: int, leader: int, commit_index: int, entries: Sequence[Entry], but: bytes | None = None
    ) -> None:
        """Tells all workers, or all but one."""

    def publish_to(self, worker: bytes, term: int, leader: int, commit_index: int, entries: Sequence[Entry]) -> None:
        """Tells one worker, if it is still connected."""


class _Looked(NamedTuple):
    """The batch whose entry a worker looks for, and since when."""

    worker: bytes
    incarnation: int
    batch: int
    since_s: float


class _Postponed(NamedTuple):
    """An entry that a worker is to be told of at ``due_s``, unless it says before that it has it."""

    worker: bytes
    entry: Entry
    due_s: float


class Publishing:
    """Publishes what is committed. No clock here: moments are in seconds, of any one clock.

    A worker that waits for one write of one client looks for the mark of its entry (``oarlock.wire.commit_word``), and
    has taken the entry before a message could come. The message would cost its sender the time in which the client
    needs the processor, and its receiver that of taking it apart. So it is put off, and left out where the worker's
    next proposal says that the entry has been taken.

    Worked example: worker A proposes its batch 4, and looks for it. It becomes entry 7 and is committed 0.2 ms later:
    worker B is told at once, A is not. 0.3 ms later A proposes batch 5, and says that it has taken entries up to 7: it
    is never told. Had it proposed nothing for a millisecond, it would have been told of entry 7 then; had it said 6,
    at once.

    Invariant: a worker that is connected was told of every entry that is committed, or has said that it has taken it,
    but for one, ``POSTPONED_S`` long.

    Args:
        port: to the workers.
        standing: the term, the leader and the commit index that they are told with it.
        looking_s: see ``LOOKING_S``.
        postponed_s: see ``POSTPONED_S``.

    Attributes:
        published_s: when all workers were told something last.
    """

    def __init__(
        self, port: Port, standing: Standing, *, looking_s: float = LOOKING_S, postponed_s: float = POSTPONED_S
    ) -> None:
        self._port = port
        self._standing = standing
        self._looking_s = looking_s
        self._postponed_s = postponed_s
        self._looked: _Looked | None = None
        self._postponed: _Postponed | None = None
        self.published_s = 0.0

    def proposed(self, worker: bytes, taken_index: int, looked: tuple[int, int] | None, now_s: float) -> None:
        """A worker has proposed something.

        Args:
            worker: its name.
            taken_index: up to which it has taken entries.
            looked: incarnation and batch of the one entry that it looks for; None if it looks for none.
            now_s: the time.
        """
        postponed = self._postponed
        if postponed is not None and postponed.worker == worker:
            if taken_index >= postponed.entry.index:
                self._postponed = None
            else:
                self.publish((), now_s)
        self._looked = None if looked is None else _Looked(worker, looked[0], looked[1], now_s)

    def committed(self, entries: Sequence[Entry], now_s: float) -> None:
        """Tells of entries that are committed, whose marks stand for all to see."""
        looked, self._looked = self._looked, None
        if (
            looked is None
            or self._postponed is not None
            or not _is_looked_for(looked, entries)
            or now_s - looked.since_s >= self._looking_s
        ):
            self.publish(entries, now_s)
        else:
            self._postponed = _Postponed(looked.worker, entries[0], now_s + self._postponed_s)
            standing = self._standing
            self._port.publish(standing.term, standing.leader, standing.commit_index, entries, looked.worker)

    def publish(self, entries: Sequence[Entry], now_s: float) -> None:
        """Tells all workers of entries that come next, or of none as a heartbeat, and of what was put off."""
        term, leader, commit_index = self._standing.term, self._standing.leader, self._standing.commit_index
        postponed, self._postponed = self._postponed, None
        self.published_s = now_s
        if postponed is None:
            self._port.publish(term, leader, commit_index, entries)
        else:
            self._port.publish(term, leader, commit_index, entries, postponed.worker)
            self._port.publish_to(postponed.worker, term, leader, commit_index, [postponed.entry, *entries])

    def wait_s(self, most_s: float, now_s: float) -> float:
        """How long ``publish_due`` can wait, but at most ``most_s``; may be below 0."""
        return most_s if self._postponed is None else min(most_s, self._postponed.due_s - now_s)

    def publish_due(self, now_s: float) -> None:
        """Tells what was put off for long enough."""
        if self._postponed is not None and self._postponed.due_s <= now_s:
            self.publish((), now_s)


def _is_looked_for(looked: _Looked, entries: Sequence[Entry]) -> bool:
    if len(entries) != 1:
        return False
    entry = entries[0]
    return entry.incarnation == looked.incarnation and entry.batch == looked.batch

"""What the core wants done: effects as data, and the order in which they must become durable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from oarlock.coordinator.raft.messages import Message, SnapshotMeta
from oarlock.wire.entries import Entry


class Role(Enum):
    """What a member is in its present term (Raft paper, figure 4; pre-candidate: thesis, section 9.6)."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


class HardState(NamedTuple):
    """What a member must never forget: its term, and whom it voted for in it (0: nobody)."""

    term: int
    vote: int


class SoftState(NamedTuple):
    """What may be forgotten at a restart; ``leader`` is 0 while none is known."""

    term: int
    role: Role
    leader: int


class ConfirmedRead(NamedTuple):
    """The question ``context`` may be answered from a replica that has applied ``index``."""

    context: bytes
    index: int  # type: ignore[assignment]  # a tuple's method of that name is not used


@dataclass(slots=True)
class Ready:
    """Everything that has come up since the last one. The driver carries out all of it.

    Order of durability:
    1. Writes are numbered from 1, without a gap, and reach the disk in that order; several may share one fdatasync.
       Within a write: ``snapshot`` is installed first (it replaces the whole log), then the log is cut from
       ``truncate_from`` on, then ``entries`` are appended; ``hard_state`` may stand anywhere in it.
    2. ``messages`` may leave at once, even before the write begins.
    3. ``messages_after_persist`` leave only when write ``write`` *and every one before it* are durable. Where
       ``write`` is 0 there is nothing to write, and ``messages_after_persist`` is empty.
    4. ``persisted(write)`` is called when that write and every one before it are durable; not for 0.
    5. ``committed`` entries are durable here already (though perhaps not on every other member): they may be
       published at once, in order.

    Worked example: a follower gets an append while its disk is slow. Ready 1 has entries 5 and 6 and, to be sent after
    write 1, "accepted up to 6". Before the disk is done the same append arrives again. There is nothing to write, but
    the second answer must not overtake the first write: Ready 2 has write 2, no entries, and the answer to be sent
    after write 2.

    Attributes:
        write: the number of the write, 0 where nothing must be written or waited for.
        hard_state: to be made durable, or None if unchanged.
        snapshot: to be installed in place of log and replica, or None. Its content reached the driver by its own means.
        truncate_from: entries from this index on that were handed out before are void; None for none.
        entries: to be appended.
        messages: may leave at once.
        messages_after_persist: answers that promise what this write holds.
        committed: newly committed entries, in order, each handed out once.
        reads: read-index questions of this member that are confirmed.
        reads_failed: contexts of questions that will not be answered; ask again with a new context.
        snapshots_needed: members that the log cannot serve any more. Answer with ``report_snapshot``.
        soft_state: term, role and leader, or None if unchanged.
        proposals_refused: members that passed on proposals which could not be taken now; they propose them again.
    """

    write: int
    hard_state: HardState | None
    snapshot: SnapshotMeta | None
    truncate_from: int | None
    entries: Sequence[Entry]
    messages: Sequence[Message]
    messages_after_persist: Sequence[Message]
    committed: Sequence[Entry]
    reads: Sequence[ConfirmedRead]
    reads_failed: Sequence[bytes]
    snapshots_needed: Sequence[int]
    soft_state: SoftState | None
    proposals_refused: Sequence[int] = ()

    @property
    def needs_write(self) -> bool:
        """Whether the driver must make a write of this, and report ``write`` as persisted."""
        return self.write != 0

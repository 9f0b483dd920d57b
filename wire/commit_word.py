"""The commit word: memory in which a coordinator tells its workers what is committed, sooner than by a message."""

from __future__ import annotations

import mmap
import os
import sys
from typing import Final

from oarlock.wire.entries import Entry

COMMIT_WORD_FD: Final = "OARLOCK_COMMIT_WORD_FD"
"""Environment: the number of the inherited descriptor of the word's memory; not set where there is none."""

ASK: Final = 0
"""What stands in the word while a read has to ask the coordinator. No entry has the index 0."""

_INDEX: Final = 0
_MARK: Final = 1
_MARK_BITS: Final = (1 << 64) - 1


def mark_of(entry: Entry) -> int:
    """64 bits that stand for an entry and its place in the log: two entries have the same ones by accident only, once
    in 2**60. The payload is left out, as the incarnation and the batch's number say which it is."""
    return hash((entry.index, entry.term, entry.incarnation, entry.batch)) & _MARK_BITS


class CommitWord:
    """An index that a linearizable read may take instead of asking for one, or ``ASK``; and the mark of an entry that
    is committed.

    The coordinator publishes; each worker looks, *after* its reads have arrived. What makes a read of index ``i``
    linearizable is that no write beyond ``i`` was told to anybody before the worker looked:

    1. While the word is not ``ASK``, its coordinator alone decides what is committed: it leads, has committed in its
       term, and the cluster has no other member, nor may one be added or have been removed by an entry that is not
       committed. It puts ``ASK`` there before it sends anything that could let another member commit or tell.
    2. It stores an index before it tells anybody that the entry is committed. Who was told was told by a message,
       through the kernel, whose locks order the memory of both processors: a look that follows sees that store.
    3. The word is written and read in one piece, so a look sees a number that was stored.

    Nothing here needs the coordinator to be alive. Frozen or killed, it commits nothing, and nobody else can: so what
    the word says stays true, until the next coordinator on these data, which first of all puts ``ASK`` there. The next
    one is started by the same supervisor, with the same memory, when the one before has ended. A supervisor that dies
    takes its children with it, and another cannot start before the last of them is gone, since they hold the lock of
    the data directory (``oarlock.wire.process``, ``oarlock.host.data_directory``). A worker that was frozen looks
    again before it answers what has arrived meanwhile; what it had looked up before was asked before.

    The mark is for the worker whose entry it stands for, which need not wait for the message that has the entry. What
    is committed stays committed, so a mark that has stood there for long is as true as a new one, alone or not.

    Args:
        page: the memory, shared or not; read-only for who does not publish.
    """

    def __init__(self, page: mmap.mmap) -> None:
        self._words = memoryview(page).cast("Q")

    def look(self) -> int:
        """The index that stands there, or ``ASK``."""
        return self._words[_INDEX]

    def look_for(self, mark: int) -> bool:
        """Whether the entry of this ``mark_of`` is the one that stands there, and so is committed."""
        return self._words[_MARK] == mark

    def publish(self, index: int) -> None:
        """Puts an index, or ``ASK``, in place of what stood there; touches nothing where it stands there already, so
        that the readers' processors keep what they have of it.

        Raises:
            TypeError: the memory is read-only.
        """
        if self._words[_INDEX] != index:
            self._words[_INDEX] = index

    def publish_committed(self, entry: Entry) -> None:
        """Puts the mark of an entry that is committed, and durable here, in place of the one before.

        Raises:
            TypeError: the memory is read-only.
        """
        self._words[_MARK] = mark_of(entry)


def create() -> int | None:
    """Makes the memory, with ``ASK`` in it.

    Returns:
        Its descriptor, which the caller closes; None where the system has no such memory, or does not store 64 bits in
        one piece.
    """
    if sys.maxsize < 1 << 62:
        return None
    try:
        descriptor = os.memfd_create("oarlock-commit-word")
    except (AttributeError, OSError):  # not Linux, or a sandbox: reads ask then
        return None
    os.ftruncate(descriptor, mmap.PAGESIZE)
    return descriptor


def inherited(*, writable: bool) -> CommitWord:
    """The word that the supervisor handed over; one that nobody else sees, and that says ``ASK``, where there is none.

    Closes the descriptor: the memory is kept by its mapping.

    Args:
        writable: for the coordinator.
    """
    text = os.environ.get(COMMIT_WORD_FD)
    if not text:
        return private()
    descriptor = int(text)
    try:
        protection = mmap.PROT_READ | mmap.PROT_WRITE if writable else mmap.PROT_READ
        return CommitWord(mmap.mmap(descriptor, mmap.PAGESIZE, prot=protection))
    finally:
        os.close(descriptor)


def private() -> CommitWord:
    """A word of this process alone: ``ASK``, until it publishes itself."""
    return CommitWord(mmap.mmap(-1, mmap.PAGESIZE))

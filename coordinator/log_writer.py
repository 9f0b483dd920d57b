"""The thread that writes the log: what the loop hands over while a write is under way goes out in the next one.

The loop must go on (heartbeats, keepalives) while fdatasync waits for the disk; fdatasync releases the GIL. One write
and one fdatasync take all that has gathered, so group commit needs no timer.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from oarlock.coordinator.raft import HardState
from oarlock.storage.log import HardState as StoredHardState
from oarlock.wire.entries import Entry

INLINE_MAX_S: Final = 0.002
"""A disk whose last write took longer is slow: the loop does not wait for it, the thread does."""


class LogWrite(NamedTuple):
    """One hand-over of the Raft core: write ``number``, of what ``Ready`` says. ``reset_to`` is the (index, term) of a
    snapshot that takes the place of the whole log."""

    number: int
    entries: Sequence[Entry]
    hard_state: HardState | None
    truncate_from: int | None
    reset_to: tuple[int, int] | None = None


class DropPrefix(NamedTuple):
    """Entries up to ``index`` are no longer needed: a snapshot holds them."""

    index: int  # type: ignore[assignment]  # shadows tuple.index, which nobody wants here


Job: TypeAlias = LogWrite | DropPrefix


class JobLog(Protocol):
    """What jobs are done to: ``Log``, or one whose sync is somebody else's."""

    def append(
        self, entries: Sequence[Entry], hard_state: StoredHardState | None = None, truncate_from: int | None = None
    ) -> None:
        """Writes entries and hard state behind what is there, or from ``truncate_from`` on."""

    def reset(self, index: int, term: int) -> None:
        """Begins again behind a snapshot."""

    def truncate_prefix(self, index: int) -> None:
        """Forgets entries up to ``index``."""

    def sync(self) -> None:
        """Makes all of it durable."""


def write_to(log: JobLog, synced: Callable[[float], None] | None = None) -> Callable[[Sequence[Job]], None]:
    """The function that a ``LogWriter`` runs to write to ``log``: everything that waits, then one fdatasync.

    Args:
        log: to write to.
        synced: told how many seconds each fdatasync took, on the thread that writes.
    """

    def write(jobs: Sequence[Job]) -> None:
        for job in jobs:
            if isinstance(job, DropPrefix):
                log.truncate_prefix(job.index)
                continue
            if job.reset_to is not None:
                log.reset(*job.reset_to)
            hard_state = None if job.hard_state is None else StoredHardState(*job.hard_state)
            log.append(job.entries, hard_state, job.truncate_from)
        begin_s = time.monotonic()
        log.sync()
        if synced is not None:
            synced(time.monotonic() - begin_s)

    return write


class LogWriter:
    """Runs ``write`` for everything submitted, in order: on a thread of its own, or inline.

    Invariant: a write is inline only when the thread has nothing to do, so that the order is that of ``submit``.

    The owner polls ``fileno()`` for reading and then calls ``finished()``; it bounds what it submits (the Raft core's
    limit on uncommitted bytes). ``close`` ends the thread after what was submitted is written.

    Args:
        write: makes a sequence of writes durable; never called twice at once.

    Attributes:
        inline: whether ``submit`` may write at once, where the last write took less than ``INLINE_MAX_S``.
    """

    def __init__(self, write: Callable[[Sequence[Job]], None]) -> None:
        self._write = write
        self.inline = False
        self._last_write_s = 0.0
        self._in_thread = 0
        # Deques, because their append and popleft are atomic: neither thread ever holds the other up with a lock.
        self._waiting: deque[Job] = deque()
        self._durable: deque[Job] = deque()
        self._problem: BaseException | None = None
        self._closing = False
        self._wake = threading.Semaphore(0)
        self._read_fd, self._write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        self._writer_thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._writer_thread.start()

    def fileno(self) -> int:
        """Readable when ``finished`` has something new."""
        return self._read_fd

    def submit(self, job: Job) -> bool:
        """Hands a job over, or does it at once.

        Returns:
            Whether it is done; if not, ``finished`` tells of it.

        Raises:
            Exception: what an inline write raised, see ``finished``.
        """
        if self.inline and not self._in_thread and self._last_write_s < INLINE_MAX_S and isinstance(job, LogWrite):
            self._timed_write((job,))
            return True
        self._in_thread += 1
        self._waiting.append(job)
        self._wake.release()
        return False

    def finished(self) -> list[Job]:
        """The jobs that the thread has done since the last call, in order.

        Raises:
            Exception: what the write raised. The log cannot be trusted after that: the process must end.
        """
        with contextlib.suppress(BlockingIOError):
            os.read(self._read_fd, 4096)
        if self._problem is not None:
            raise self._problem
        done = _drain(self._durable)
        self._in_thread -= len(done)
        return done

    def close(self, timeout_s: float) -> None:
        """Writes what was submitted, ends the thread and waits for it for at most ``timeout_s``."""
        self._closing = True
        self._wake.release()
        self._writer_thread.join(timeout_s)
        if not self._writer_thread.is_alive():
            os.close(self._read_fd)
            os.close(self._write_fd)

    def _timed_write(self, jobs: Sequence[Job]) -> None:
        begin_s = time.monotonic()
        self._write(jobs)
        self._last_write_s = time.monotonic() - begin_s

    def _run(self) -> None:
        while True:
            self._wake.acquire()
            batch = _drain(self._waiting)
            if batch:
                try:
                    self._timed_write(batch)
                except BaseException as problem:  # the loop raises it: a log that cannot be written ends the process
                    self._problem = problem
                    os.write(self._write_fd, b"!")
                    return
                self._durable.extend(batch)
                os.write(self._write_fd, b".")
            elif self._closing:
                return


def _drain(queue: deque[Job]) -> list[Job]:
    return [queue.popleft() for _ in range(len(queue))]

"""Reads what a start has left unread, a little at a time, while the log is in use.

A start trusts finished segments to which nobody has written since (see ``summary``). That leaves out a medium that
forgets. An entry that is read is checked anyway; the rest is checked here, soon after the start, so that damage is
known while the other members still have what is lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Final

from oarlock.storage.disk import Disk, DiskFile
from oarlock.storage.log.layout import HEADER_BYTES, RECORD_HEADER_BYTES, Record, decode_record, decode_record_header
from oarlock.storage.log.log import Log
from oarlock.storage.log.segment import Segment
from oarlock.wire.errors import DamageError

SLICE_BYTES: Final = 256 << 10
"""Read and checked at once: less than a millisecond, in which the other threads of the process wait."""
PAUSE_S: Final = 0.02
"""Between two slices: 12 MB/s, and a fiftieth of a core."""


class Verification:
    """A thread that checks what the log's recovery did not read. Its owner ends it with ``close``.

    Args:
        log: open.
        disk: where it is.
        on_damage: called once, on the thread, with what is damaged; the log's next start reads everything.
    """

    def __init__(self, log: Log, disk: Disk, on_damage: Callable[[DamageError], None]) -> None:
        self._log = log
        self._disk = disk
        self._on_damage = on_damage
        self._ends = threading.Event()
        self._runner = threading.Thread(target=self._run, name="verify log", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._runner.start()

    def close(self) -> None:
        """Ends the thread, wherever it is."""
        self._ends.set()
        if self._runner.is_alive():
            self._runner.join()

    def _run(self) -> None:
        try:
            for _ in check_unread(self._log, self._disk):
                if self._ends.wait(PAUSE_S):
                    return
        except DamageError as damage:
            self._log.distrust()
            self._on_damage(damage)


def check_unread(log: Log, disk: Disk) -> Iterator[None]:
    """Checks the segments that were not read when the log was opened; gives way after every slice.

    Raises:
        DamageError: one is damaged or cannot be read; names file and offset.
    """
    for segment, end in log.unread:
        try:
            file = disk.open(segment.path)
        except FileNotFoundError:
            continue  # a snapshot has taken its place
        except OSError as error:
            raise DamageError(segment.path, 0, f"cannot be opened: {error.strerror or error}") from error
        try:
            yield from _check(segment, file, end)
        finally:
            file.close()


def _check(segment: Segment, file: DiskFile, end: int) -> Iterator[None]:
    offset = HEADER_BYTES
    while offset < end:
        begin, data = offset, _read(segment, file, offset, SLICE_BYTES)
        while offset < end:
            record = decode_record(data, offset, segment.salt, begin)
            if record is None:
                break
            offset = record.end
        if offset == begin:
            offset = _long_record(segment, file, offset, data).end
        yield


def _long_record(segment: Segment, file: DiskFile, offset: int, data: bytes) -> Record:
    """The record at ``offset``, which ``data`` holds the beginning of: it is longer than a slice, or damaged."""
    header = decode_record_header(data, 0, segment.salt + offset)
    if header is not None:
        data = _read(segment, file, offset, RECORD_HEADER_BYTES + header[1])
        record = decode_record(data, offset, segment.salt, offset)
        if record is not None:
            return record
    raise DamageError(segment.path, offset, "no valid record here, in a segment that was finished")


def _read(segment: Segment, file: DiskFile, offset: int, length: int) -> bytes:
    try:
        return file.read(offset, length)
    except OSError as error:
        raise DamageError(segment.path, offset, f"cannot be read: {error.strerror or error}") from error

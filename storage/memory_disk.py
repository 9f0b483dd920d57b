"""A disk in memory that is honest about durability, for tests and the simulator.

It keeps beside every file what a crash would leave of it, and ``MemoryDisk.crash`` makes that true:

    write A; sync; write B; write C; crash     ->  A, and of B and C any sectors: all, some or none, C without B too
    create x; sync x; crash before its directory is synced  ->  x is there with its content, or its name is not there
"""

from __future__ import annotations

import errno
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

from oarlock.storage.disk import DataDirectoryInUseError, Fingerprint

SECTOR_BYTES = 512
"""What a device writes whole; a longer write may be torn between sectors."""


@dataclass
class _Change:
    """One write (``data``) or cut (``size``) that has not been synced."""

    offset: int = 0
    data: bytes = b""
    size: int | None = None


@dataclass
class _Content:
    """A file without its name.

    Invariant: ``current`` is what ``durable`` becomes by all of ``unsynced``, in order, unless a sync has failed.
    """

    current: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    unsynced: list[_Change] = field(default_factory=list)


def _resize(content: bytearray, size: int) -> None:
    if size < len(content):
        del content[size:]
    else:
        content.extend(bytes(size - len(content)))


def _overwrite(content: bytearray, offset: int, data: bytes) -> None:
    if len(content) < offset + len(data):
        _resize(content, offset + len(data))
    content[offset : offset + len(data)] = data


def _sectors(change: _Change) -> list[_Change]:
    """Cuts a write where the sectors end."""
    pieces = []
    offset, end = change.offset, change.offset + len(change.data)
    while offset < end:
        until = min(end, (offset // SECTOR_BYTES + 1) * SECTOR_BYTES)
        pieces.append(_Change(offset, change.data[offset - change.offset : until - change.offset]))
        offset = until
    return pieces


def _after_crash(content: _Content, chance: random.Random) -> bytearray:
    """What a crash leaves: everything synced, and any sectors of what was not."""
    left = bytearray(content.durable)
    keep = chance.choice((0.0, 0.5, 0.9, 1.0))  # nothing, a mixture, nearly all, all
    for change in content.unsynced:
        if change.size is not None:
            if chance.random() < keep:
                _resize(left, change.size)
            continue
        for piece in _sectors(change):
            if chance.random() < keep:
                _overwrite(left, piece.offset, piece.data)
    return left


class MemoryFile:
    """An open file of a ``MemoryDisk``."""

    def __init__(self, disk: MemoryDisk, content: _Content) -> None:
        self._disk = disk
        self._content = content

    def write(self, parts: Sequence[bytes], offset: int) -> None:
        data = b"".join(parts)
        self._disk.before_write(max(0, offset + len(data) - len(self._content.current)))
        _overwrite(self._content.current, offset, data)
        self._content.unsynced.append(_Change(offset, data))

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self._content.current[offset : offset + length])

    def size(self) -> int:
        return len(self._content.current)

    def allocate(self, size: int) -> None:
        growth = size - len(self._content.current)
        if growth > 0:
            self._disk.before_write(growth)
            self._resize(size)

    def truncate(self, size: int) -> None:
        self._resize(size)

    def _resize(self, size: int) -> None:
        self._disk.before_change()
        _resize(self._content.current, size)
        self._content.unsynced.append(_Change(size=size))

    def sync(self) -> None:
        self._disk.before_change()
        content = self._content
        unsynced, content.unsynced = content.unsynced, []
        # As Linux does after a failed write-back: the pages count as clean, so a second sync succeeds and saves
        # nothing.
        self._disk.before_sync()
        for change in unsynced:
            if change.size is not None:
                _resize(content.durable, change.size)
            else:
                _overwrite(content.durable, change.offset, change.data)

    def fingerprint(self) -> Fingerprint:
        content = self._content.current
        return Fingerprint(0, len(content), 0, crc32(content))

    def seal(self) -> Fingerprint:
        return self.fingerprint()

    def close(self) -> None:
        return


class MemoryLock:
    """A held lock of a ``MemoryDisk``."""

    def __init__(self, locked: set[Path], directory: Path) -> None:
        self._locked = locked
        self._directory = directory

    def release(self) -> None:
        self._locked.discard(self._directory)


@dataclass
class _Renaming:
    """A change of names that has not been synced: ``content`` leaves ``source`` and appears at ``target``."""

    source: Path | None
    target: Path | None
    content: _Content


class MemoryDisk:
    """A ``Disk`` in memory, for one thread.

    Attributes:
        capacity_bytes: a write that makes the files longer than this in all fails with ENOSPC; None: no bound.
        failing_syncs: how many syncs (files and directories) fail with EIO, once ``passing_syncs`` have passed.
        passing_syncs: how many of the next syncs pass before that.
        failing_writes: how many of the next writes fail with EIO.
        changes_left: after so many more changes and syncs the power is off: all of them fail with EIO; None: never.
        sync_count: syncs of files asked for so far.
        write_count: writes asked for so far.
    """

    def __init__(self, capacity_bytes: int | None = None) -> None:
        self.capacity_bytes = capacity_bytes
        self.failing_syncs = 0
        self.passing_syncs = 0
        self.changes_left: int | None = None
        self.failing_writes = 0
        self.sync_count = 0
        self.write_count = 0
        self._names: dict[Path, _Content] = {}
        self._durable_names: dict[Path, _Content] = {}
        self._renamings: list[_Renaming] = []
        self._locked: set[Path] = set()

    def create(self, path: Path) -> MemoryFile:
        content = _Content()
        self._rename(_Renaming(None, path, content))
        return MemoryFile(self, content)

    def open(self, path: Path) -> MemoryFile:
        return MemoryFile(self, self._content(path))

    def rename(self, source: Path, target: Path) -> None:
        self._rename(_Renaming(source, target, self._content(source)))

    def remove(self, path: Path) -> None:
        self._rename(_Renaming(path, None, self._content(path)))

    def list(self, directory: Path) -> list[str]:
        return sorted(path.name for path in self._names if path.parent == directory)

    def make_directory(self, directory: Path) -> None:
        return

    def sync_directory(self, directory: Path) -> None:
        self.before_change()
        due = [each for each in self._renamings if directory in _directories(each)]
        self._renamings = [each for each in self._renamings if directory not in _directories(each)]
        self.before_sync()
        for each in due:
            _apply(self._durable_names, each)

    def lock(self, directory: Path) -> MemoryLock:
        if directory in self._locked:
            raise DataDirectoryInUseError(directory, None)
        self._locked.add(directory)
        return MemoryLock(self._locked, directory)

    def crash(self, seed: int) -> MemoryDisk:
        """The disk as the next start finds it, with locks released and faults gone; this one should not be used again.

        Args:
            seed: chooses what of the unsynced changes survives, the same for the same seed and history.
        """
        chance = random.Random(seed)
        for each in self._renamings:
            if chance.random() < 0.5:
                _apply(self._durable_names, each)
        after = MemoryDisk(self.capacity_bytes)
        for path, content in self._durable_names.items():
            left = _after_crash(content, chance)
            after._names[path] = _Content(left, bytearray(left))
        after._durable_names = dict(after._names)
        return after

    def contents(self, path: Path) -> bytes:
        """What the file holds now, synced or not."""
        return bytes(self._content(path).current)

    def replace_contents(self, path: Path, data: bytes) -> None:
        """Makes ``data`` the durable content of the file: damage at rest, or a file from elsewhere."""
        self._names[path] = self._durable_names[path] = _Content(bytearray(data), bytearray(data))

    def flip_bit(self, path: Path, bit: int) -> None:
        """Damages one bit of a file, counted from the lowest bit of its first byte."""
        data = bytearray(self.contents(path))
        data[bit // 8] ^= 1 << bit % 8
        self.replace_contents(path, bytes(data))

    def before_change(self) -> None:
        """Counts a change or sync of any kind, and raises the ``OSError`` that is due."""
        if self.changes_left is None:
            return
        if self.changes_left == 0:
            raise OSError(errno.EIO, "the power is off")
        self.changes_left -= 1

    def before_write(self, growth: int) -> None:
        """Counts a write that makes a file ``growth`` bytes longer, and raises the ``OSError`` that is due."""
        self.before_change()
        self.write_count += 1
        if self.failing_writes > 0:
            self.failing_writes -= 1
            raise OSError(errno.EIO, "write failed as told")
        used = sum(len(content.current) for content in self._names.values())
        if self.capacity_bytes is not None and used + growth > self.capacity_bytes:
            raise OSError(errno.ENOSPC, "no space left on the memory disk")

    def before_sync(self) -> None:
        """Counts a sync, and raises the ``OSError`` that is due."""
        self.sync_count += 1
        if self.passing_syncs > 0:
            self.passing_syncs -= 1
        elif self.failing_syncs > 0:
            self.failing_syncs -= 1
            raise OSError(errno.EIO, "sync failed as told")

    def _content(self, path: Path) -> _Content:
        try:
            return self._names[path]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "no such file on the memory disk", str(path)) from None

    def _rename(self, renaming: _Renaming) -> None:
        self.before_change()
        _apply(self._names, renaming)
        self._renamings.append(renaming)


def _apply(names: dict[Path, _Content], renaming: _Renaming) -> None:
    if renaming.source is not None:
        names.pop(renaming.source, None)
    if renaming.target is not None:
        names[renaming.target] = renaming.content


def _directories(renaming: _Renaming) -> set[Path]:
    return {path.parent for path in (renaming.source, renaming.target) if path is not None}

"""The seam between the durable parts of Oarlock and the operating system.

What must survive a crash is written through a ``Disk``, so that the same code runs on a real one (``RealDisk``, here)
and on one that loses, tears and damages what was not synced (``oarlock.storage.memory_disk``).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from oarlock.wire.errors import ConfigurationError

LOCK_NAME = "LOCK"
"""The file in a data directory whose advisory lock its owner holds."""

_MAX_PARTS = 512
"""Most buffers handed to one ``pwritev``; half of Linux's IOV_MAX (1024), for room on other systems."""


_SEAL_NS: Final = 1_000_000_000
"""How far back a sealed file's time of change is set: more than the tick of any file system's clock."""


class Fingerprint(NamedTuple):
    """What the file system says of a file. Two that are equal: nobody wrote to the file in between, nor replaced it.

    It says nothing of a medium that forgets: who relies on it needs checksums for what is read later.
    """

    inode: int
    size: int
    modified_ns: int
    changed_ns: int


def fingerprint(descriptor: int) -> Fingerprint:
    """The fingerprint of an open file.

    Raises:
        OSError: the file system refused.
    """
    found = os.fstat(descriptor)
    return Fingerprint(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def seal(descriptor: int) -> Fingerprint:
    """The fingerprint of an open file that is complete, such that every later write changes it.

    Many file systems' clocks tick every few ms only, and a write in the same tick would leave no trace. So the time of
    the last write is set back a little, to where no later write can put it.

    Raises:
        OSError: the file system refused.
    """
    found = os.fstat(descriptor)
    os.utime(descriptor, ns=(found.st_atime_ns, found.st_mtime_ns - _SEAL_NS))
    return fingerprint(descriptor)


class DataDirectoryInUseError(ConfigurationError):
    """Another process owns the data directory. Carries the directory and, where known, that process's id."""

    text = "oarlock: the data directory is in use"

    def __init__(self, directory: object, process_id: int | None) -> None:
        holder = f"process {process_id}" if process_id is not None else "another process"
        super().__init__(f"data directory {directory} is in use by {holder}: a directory has one server at a time")
        self.directory = str(directory)
        self.process_id = process_id


class DiskFile(Protocol):
    """An open file. Any thread may read while one thread does the rest. Every method may raise ``OSError``."""

    def write(self, parts: Sequence[bytes], offset: int) -> None:
        """Writes ``parts`` one after another from byte ``offset`` on, all of them or an ``OSError``."""

    def read(self, offset: int, length: int) -> bytes:
        """Reads up to ``length`` bytes from ``offset``; fewer only where the file ends."""

    def size(self) -> int:
        """The file's size in bytes."""

    def allocate(self, size: int) -> None:
        """Reserves space up to ``size`` bytes and makes the file at least that long; new bytes read as zero."""

    def truncate(self, size: int) -> None:
        """Cuts the file to ``size`` bytes."""

    def sync(self) -> None:
        """Returns when the content, and the size needed to read it, will survive a crash (``fdatasync``)."""

    def fingerprint(self) -> Fingerprint:
        """Changes with every write, whoever makes it (but see ``seal``)."""

    def seal(self) -> Fingerprint:
        """The fingerprint of a file that is complete: changes with every later write, however soon it comes."""

    def close(self) -> None:
        """Gives the descriptor back; does not sync."""


class DiskLock(Protocol):
    """A held lock; the operating system releases it when its owner dies."""

    def release(self) -> None:
        """Gives the lock back; a second call does nothing."""


class Disk(Protocol):
    """A file system. Every method may raise ``OSError``.

    Invariants:
    1. What a file held when ``DiskFile.sync`` returned is there after a crash.
    2. A creation, rename or removal is there after a crash once ``sync_directory`` of its directory returned.
    3. A rename happens whole or not at all.
    4. Nothing is promised of anything else: it may be there, be gone, or be there in part, in any order.
    """

    def create(self, path: Path) -> DiskFile:
        """Creates the file, emptying one that is there."""

    def open(self, path: Path) -> DiskFile:
        """Opens a file that exists, to read and write."""

    def rename(self, source: Path, target: Path) -> None:
        """Gives ``source`` the name ``target``, in place of a file that has it."""

    def remove(self, path: Path) -> None:
        """Removes the file's name."""

    def list(self, directory: Path) -> list[str]:
        """The names in the directory, sorted; none if there is no such directory."""

    def make_directory(self, directory: Path) -> None:
        """Creates the directory and its parents, durably; one that exists is left as it is."""

    def sync_directory(self, directory: Path) -> None:
        """Returns when the names in the directory will survive a crash."""

    def lock(self, directory: Path) -> DiskLock:
        """Takes the directory for this owner alone.

        Raises:
            DataDirectoryInUseError: another owner holds it.
        """


class RealFile:
    """A file descriptor, with positioned reads and writes only, so that no thread moves another's position."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, parts: Sequence[bytes], offset: int) -> None:
        for start in range(0, len(parts), _MAX_PARTS):
            some = parts[start : start + _MAX_PARTS]
            wanted = sum(map(len, some))
            written = os.pwritev(self._descriptor, some, offset)
            if written != wanted:
                self._write_rest(b"".join(some), written, offset)
            offset += wanted

    def _write_rest(self, data: bytes, written: int, offset: int) -> None:
        """After a short write, which a nearly full disk or a very long buffer brings: the rest, or the reason."""
        view = memoryview(data)
        while written < len(data):
            written += os.pwrite(self._descriptor, view[written:], offset + written)

    def read(self, offset: int, length: int) -> bytes:
        data = os.pread(self._descriptor, length, offset)
        while len(data) < length:  # Linux reads at most 2 GiB at once, and a signal may cut a read short
            more = os.pread(self._descriptor, length - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def allocate(self, size: int) -> None:
        os.posix_fallocate(self._descriptor, 0, size)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def fingerprint(self) -> Fingerprint:
        return fingerprint(self._descriptor)

    def seal(self) -> Fingerprint:
        return seal(self._descriptor)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class RealLock:
    """An ``flock`` on the directory's LOCK file, held by this descriptor and so by this process alone."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        """The descriptor, for a child process to inherit: the lock then stays taken until that has ended as well."""
        return self._descriptor

    def release(self) -> None:
        # The file stays: to remove it would let two owners lock two files of one name.
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class RealDisk:
    """The operating system's file system; see ``Disk`` for what each method promises."""

    def create(self, path: Path) -> RealFile:
        return RealFile(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))

    def open(self, path: Path) -> RealFile:
        return RealFile(os.open(path, os.O_RDWR))

    def rename(self, source: Path, target: Path) -> None:
        os.rename(source, target)

    def remove(self, path: Path) -> None:
        os.unlink(path)

    def list(self, directory: Path) -> list[str]:
        try:
            return sorted(os.listdir(directory))
        except FileNotFoundError:
            return []

    def make_directory(self, directory: Path) -> None:
        if directory.is_dir():
            return
        self.make_directory(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)
        self.sync_directory(directory.parent)

    def sync_directory(self, directory: Path) -> None:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def lock(self, directory: Path) -> RealLock:
        descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).strip()
            os.close(descriptor)
            raise DataDirectoryInUseError(directory, int(holder) if holder.isdigit() else None) from None
        except BaseException:
            os.close(descriptor)
            raise
        return RealLock(descriptor)

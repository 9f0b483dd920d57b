"""Lets go of what a process has mapped of a replica's file and does not use any more.

Every page of the file that LMDB looks at stays mapped, with those around it that the kernel maps at the same time:
after a while a process is said to hold the whole file. Nothing is gained by that. The pages are the kernel's cache, and
to map one again costs a microsecond for sixteen. Let go of, they are the first that the kernel takes back when memory
is short.
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path
from typing import Final, NamedTuple

MAPS: Final = Path("/proc/self/maps")
MADV_DONTNEED: Final = 4
"""Of a shared mapping of a file: nothing is lost, not even what was not written back (madvise(2))."""

SLICE_BYTES: Final = 64 << 20
"""Let go of at once while requests wait: at most a millisecond, for 16,384 pages."""
SLICE_UNIT: Final = 2 << 20
"""A slice is so many of these: a huge page."""
ROUND_S: Final = 60
"""Seconds that a busy process takes for one round over the file, so that what is in use is mapped once in this time."""


class _Mapping(NamedTuple):
    """Addresses in this process: where a mapping begins and ends."""

    begin: int
    end: int


class Residence:
    """How much of one file this process has mapped. To be used by the thread that may move the mapping, and no other.

    Args:
        path: the file, which some mapping of this process is of.
    """

    def __init__(self, path: Path) -> None:
        found = path.stat()
        self._file = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x} {found.st_ino}".encode()
        self._path = path
        self._at = 0
        self._was_idle = False
        library = ctypes.CDLL(None, use_errno=True)
        self._madvise = library.madvise
        self._madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)

    def every_second(self, *, is_idle: bool) -> None:
        """Lets go of everything when the process has just become idle, otherwise of the next slice.

        Raises:
            OSError: the system does not say what is mapped, or refused.
        """
        releases_all, self._was_idle = is_idle and not self._was_idle, is_idle
        for mapping in self._mappings():
            if releases_all:
                self._release(mapping.begin, mapping.end)
            else:
                self._release_slice(mapping)

    def _release_slice(self, mapping: _Mapping) -> None:
        used_bytes = self._path.stat().st_size  # a mapping has room for the file to grow
        length = min(SLICE_BYTES, -(-used_bytes // ROUND_S // SLICE_UNIT) * SLICE_UNIT)
        begin = mapping.begin + self._at
        self._release(begin, min(begin + length, mapping.end))
        self._at = self._at + length if self._at + length < min(used_bytes, mapping.end - mapping.begin) else 0

    def _release(self, begin: int, end: int) -> None:
        if begin < end and self._madvise(begin, end - begin, MADV_DONTNEED) != 0:
            number = ctypes.get_errno()
            if number != errno.EINVAL:  # a locked or special mapping: it stays
                raise OSError(number, os.strerror(number), str(self._path))

    def _mappings(self) -> list[_Mapping]:
        """Looked up each time: LMDB moves the mapping when it grows."""
        mappings = []
        for line in MAPS.read_bytes().splitlines():
            if self._file not in line:
                continue
            addresses, rights, _, device, inode, *_ = line.split()
            # Only of a shared mapping that cannot be written to is nothing lost.
            if device + b" " + inode == self._file and rights == b"r--s":
                begin, end = addresses.split(b"-")
                mappings.append(_Mapping(int(begin, 16), int(end, 16)))
        return mappings

"""The newest entries of the log in memory, so that followers and workers that keep up cost no disk read."""

from __future__ import annotations

from collections.abc import Sequence

from oarlock.wire.entries import Entry

ENTRY_OVERHEAD_BYTES = 200
"""What an entry takes in memory besides its payload: a tuple, three integers, the header of the payload."""


class RecentEntries:
    """The entries from some index to the log's last, as many as fit.

    Invariants:
    1. The entries' indexes rise by one, and the last is the last that was appended and not truncated.
    2. Payloads and overhead are at most ``max_bytes`` in all.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._entries: list[Entry] = []
        self._size = 0

    def append(self, entries: Sequence[Entry]) -> None:
        """Adds the log's next entries and forgets the oldest ones beyond the bound."""
        self._entries.extend(entries)
        self._size += _size(entries)
        if self._size > self._max_bytes:
            self._shrink()

    def _shrink(self) -> None:
        # An eighth more than needed, so that the list is moved once in a while and not at every append.
        goal = self._max_bytes - self._max_bytes // 8
        count = 0
        for entry in self._entries:
            if self._size <= goal:
                break
            self._size -= len(entry.payload) + ENTRY_OVERHEAD_BYTES
            count += 1
        del self._entries[:count]

    def truncate(self, index: int) -> None:
        """Forgets the entries from ``index`` on."""
        if self._entries and index <= self._entries[-1].index:
            keep = max(0, index - self._entries[0].index)
            self._size -= _size(self._entries[keep:])
            del self._entries[keep:]

    def drop_prefix(self, index: int) -> None:
        """Forgets the entries up to ``index``."""
        if self._entries and index >= self._entries[0].index:
            count = min(len(self._entries), index - self._entries[0].index + 1)
            self._size -= _size(self._entries[:count])
            del self._entries[:count]

    def first_index(self, default: int) -> int:
        """The index of the oldest entry here, or ``default`` if there is none."""
        return self._entries[0].index if self._entries else default

    def get(self, low: int, high: int, max_bytes: int) -> list[Entry]:
        """The entries from ``low``, which is here, up to, without, ``high``: one, and more while they fit."""
        first = self._entries[0].index
        return fitting(self._entries[low - first : high - first], max_bytes)


def fitting(entries: list[Entry], max_bytes: int) -> list[Entry]:
    """The first entry, and those after it while their payloads fit in ``max_bytes`` together."""
    size = 0
    for count, entry in enumerate(entries):
        size += len(entry.payload)
        if size > max_bytes and count > 0:
            return entries[:count]
    return entries


def _size(entries: Sequence[Entry]) -> int:
    return sum(len(entry.payload) for entry in entries) + ENTRY_OVERHEAD_BYTES * len(entries)

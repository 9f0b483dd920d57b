"""Which groups watch a key: looked up by key, by prefix and by range, never by a walk over all of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Iterator
from typing import Final, Generic, TypeVar

from oarlock.wire.operations import FROM_KEY, prefix_end

Item = TypeVar("Item", bound=Hashable)

BLOCK_ROWS: Final = 256
"""Ranges a block holds before it is split: a lookup looks at every block's bounds, and into those that may match."""


class RangeIndex(Generic[Item]):
    """A set of items by what they watch; ``matching(key)`` gives those that watch ``key``.

    Three kinds of range, by what a lookup costs:

    - one key: a dict.
    - all keys with a prefix (also the empty one: every key): a dict by prefix, asked once for each length that occurs.
    - any other range: blocks sorted by start, each of which knows its greatest end.

    Worked example: with a watcher of ``a``, one of prefix ``ab``, and one of [``aa``, ``b``), the key ``abc`` is looked
    up as ``abc`` (nothing), as its prefix of length 2 (found), and in the one block, whose greatest end is ``b``
    (found).

    Invariants:
    1. An item is in exactly one of the three, and ``len`` counts all.
    2. ``_prefix_lengths`` holds how many prefixes of each length there are, none with 0.
    """

    def __init__(self) -> None:
        self._by_key: dict[bytes, set[Item]] = {}
        self._by_prefix: dict[bytes, set[Item]] = {}
        self._prefix_lengths: dict[int, int] = {}
        self._ranges = _Blocks[Item]()

    def __len__(self) -> int:
        counted = (*self._by_key.values(), *self._by_prefix.values())
        return sum(map(len, counted)) + len(self._ranges)

    def add(self, key: bytes, range_end: bytes, item: Item) -> None:
        """Adds an item that watches [key, range_end), in etcd's notation (see ``oarlock.wire.operations``)."""
        if not range_end:
            self._by_key.setdefault(key, set()).add(item)
        elif (prefix := _as_prefix(key, range_end)) is not None:
            items = self._by_prefix.get(prefix)
            if items is None:
                items = self._by_prefix[prefix] = set()
                self._prefix_lengths[len(prefix)] = self._prefix_lengths.get(len(prefix), 0) + 1
            items.add(item)
        else:
            self._ranges.add(key, None if range_end == FROM_KEY else range_end, item)

    def remove(self, key: bytes, range_end: bytes, item: Item) -> None:
        """Removes an item that was added with the same arguments.

        Raises:
            KeyError: it is not there.
        """
        if not range_end:
            items = self._by_key[key]
            items.remove(item)
            if not items:
                del self._by_key[key]
        elif (prefix := _as_prefix(key, range_end)) is not None:
            items = self._by_prefix[prefix]
            items.remove(item)
            if not items:
                del self._by_prefix[prefix]
                self._prefix_lengths[len(prefix)] -= 1
                if not self._prefix_lengths[len(prefix)]:
                    del self._prefix_lengths[len(prefix)]
        else:
            self._ranges.remove(key, None if range_end == FROM_KEY else range_end, item)

    def matching(self, key: bytes) -> Iterator[Item]:
        """Every item that watches ``key``, each once, in no particular order."""
        exact = self._by_key.get(key)
        if exact:
            yield from exact
        for length in self._prefix_lengths:
            if length <= len(key):
                items = self._by_prefix.get(key[:length])
                if items:
                    yield from items
        if self._ranges.rows:
            yield from self._ranges.matching(key)


def _as_prefix(key: bytes, range_end: bytes) -> bytes | None:
    """The prefix whose keys are just this range, else None."""
    if key == FROM_KEY and range_end == FROM_KEY:
        return b""  # etcd's notation for every key
    if range_end == prefix_end(key) and range_end != FROM_KEY:
        return key
    return None


_Row = tuple[bytes, bytes | None, Item]


class _Blocks(Generic[Item]):
    """Ranges (start, end or None for no end, item), sorted by start, in blocks.

    Invariants: no block is empty; starts never fall from row to row and block to block; ``_ends[i]`` is the greatest
    end in block i, None if one of them has no end.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._blocks: list[list[_Row[Item]]] = []
        self._starts: list[bytes] = []
        self._ends: list[bytes | None] = []

    def __len__(self) -> int:
        return self.rows

    def add(self, start: bytes, end: bytes | None, item: Item) -> None:
        self.rows += 1
        if not self._blocks:
            self._insert_block(0, [(start, end, item)])
            return
        position = max(0, bisect_right(self._starts, start) - 1)
        block = self._blocks[position]
        block.insert(bisect_right(block, start, key=_start), (start, end, item))
        if len(block) > BLOCK_ROWS:
            middle = len(block) // 2
            self._insert_block(position + 1, block[middle:])
            del block[middle:]
        self._refresh(position)

    def remove(self, start: bytes, end: bytes | None, item: Item) -> None:
        last = bisect_right(self._starts, start) - 1
        for position in range(last, -1, -1):
            block = self._blocks[position]
            if (start, end, item) in block:
                block.remove((start, end, item))
                self.rows -= 1
                if block:
                    self._refresh(position)
                else:
                    del self._blocks[position], self._starts[position], self._ends[position]
                return
            if block[0][0] < start:
                break  # rows that start alike may fill several blocks, but none before this one
        raise KeyError((start, end, item))

    def matching(self, key: bytes) -> Iterator[Item]:
        for position in range(bisect_right(self._starts, key)):
            greatest = self._ends[position]
            if greatest is not None and greatest <= key:
                continue
            for start, end, item in self._blocks[position]:
                if start > key:
                    break
                if end is None or key < end:
                    yield item

    def _insert_block(self, position: int, rows: list[_Row[Item]]) -> None:
        self._blocks.insert(position, rows)
        self._starts.insert(position, b"")
        self._ends.insert(position, None)
        self._refresh(position)

    def _refresh(self, position: int) -> None:
        block = self._blocks[position]
        self._starts[position] = block[0][0]
        ends = [end for _, end, _ in block if end is not None]
        self._ends[position] = max(ends) if len(ends) == len(block) else None


def _start(row: tuple[bytes, bytes | None, Hashable]) -> bytes:
    return row[0]

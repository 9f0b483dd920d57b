"""Walking an LMDB cursor in chunks: the engine's C iterator does the work, Python looks at a chunk's last row only."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import islice
from operator import itemgetter
from typing import TypeVar

import lmdb

FIRST_CHUNK_ROWS = 16
"""Few, since most ranges are short."""

MAX_CHUNK_ROWS = 256
"""Enough to forget the cost of a chunk, few enough for a caller that works in slices of a few ms."""

SLOW_CHUNK_ROWS = 64
"""Of rows that take some ten times as long."""

_key_of = itemgetter(0)
T = TypeVar("T")


def in_chunks(items: Iterator[T]) -> Iterator[list[T]]:
    """What ``items`` gives, in lists of ``SLOW_CHUNK_ROWS``: for rows that each take a search of their own."""
    while chunk := list(islice(items, SLOW_CHUNK_ROWS)):
        yield chunk


def chunks(cursor: lmdb.Cursor[bytes], start: bytes, end: bytes | None) -> Iterator[list[tuple[bytes, bytes]]]:
    """The rows from ``start`` up to ``end`` (exclusive, None for no end) in lists that grow from 16 to 256 rows.

    Args:
        cursor: fresh, of a table without duplicates; used by nobody else meanwhile.
        start: empty for the first row of the table.
        end: not wanted any more.
    """
    if not (cursor.set_range(start) if start else cursor.first()):
        return
    rows = cursor.iternext()
    size = FIRST_CHUNK_ROWS
    while chunk := list(islice(rows, size)):
        if end is not None and chunk[-1][0] >= end:
            del chunk[bisect_left(chunk, end, key=_key_of) :]
            if chunk:
                yield chunk
            return
        yield chunk
        size = min(size * 4, MAX_CHUNK_ROWS)


def key_chunks(cursor: lmdb.Cursor[bytes], start: bytes, end: bytes | None) -> Iterator[list[bytes]]:
    """As ``chunks``, keys alone; of a table with duplicates each key once."""
    if not (cursor.set_range(start) if start else cursor.first()):
        return
    keys = cursor.iternext_nodup(keys=True, values=False)
    size = FIRST_CHUNK_ROWS
    while chunk := list(islice(keys, size)):
        if end is not None and chunk[-1] >= end:
            del chunk[bisect_left(chunk, end) :]
            if chunk:
                yield chunk
            return
        yield chunk
        size = min(size * 4, MAX_CHUNK_ROWS)

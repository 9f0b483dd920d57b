"""Stored keys: how keys of any length become LMDB keys, which are at most 511 bytes, in the same order.

A key of at most 478 bytes is stored as it is. A longer one is stored as its first 478 bytes, a zero byte, and the 32
bytes of its BLAKE2b digest, and ``long_keys`` has the whole key. All long keys with the same first 478 bytes are a
*group*: neighbours in the table, though in the order of their digests.

A worked example, with 3 instead of 478 bytes and two-letter digests (``|`` is the zero byte)::

    keys, in order      stored keys, in order
    ab                  ab
    abc                 abc              a short key comes before the group that it begins
    abca                abc|Dm           (abcz)     one group, sorted again
    abcz                abc|Tu           (abca)     when it is read
    abd                 abd

No short key can lie inside a group: it would have to begin with all of ``abc`` and be longer. So a bound cuts

- at a short key: between groups, never through one; the bound is itself.
- at a long key, say ``abck``: only through the group ``abc|``. As a start it becomes ``abc|``, the group's beginning;
  as an end ``abc`` + ``\\x01``, just behind the group; the group's own keys are compared whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import Final

LMDB_KEY_BYTES: Final = 511
DIGEST_BYTES: Final = 32
SHORT_BYTES: Final = LMDB_KEY_BYTES - 1 - DIGEST_BYTES
"""The longest key that is stored as it is: 478 bytes."""

GROUP_BYTES: Final = SHORT_BYTES + 1
"""What all stored keys of one group have in common."""

Row = tuple[bytes, bytes]
"""A key and what the table has for it."""


def stored_key(key: bytes) -> bytes:
    """The form under which a key is stored."""
    if len(key) <= SHORT_BYTES:
        return key
    return key[:SHORT_BYTES] + b"\0" + blake2b(key, digest_size=DIGEST_BYTES).digest()


def stored_start(start: bytes) -> bytes:
    """The first stored key that a range from ``start`` on can contain."""
    return start if len(start) <= SHORT_BYTES else start[:SHORT_BYTES] + b"\0"


def stored_end(end: bytes) -> bytes:
    """The first stored key that a range up to ``end`` (exclusive) cannot contain."""
    return end if len(end) <= SHORT_BYTES else end[:SHORT_BYTES] + b"\1"


def stored_bounds(start: bytes, end: bytes | None) -> tuple[bytes, bytes | None]:
    """``stored_start`` and ``stored_end`` of a range, where None means no end."""
    return stored_start(start), None if end is None else stored_end(end)


def whole_keys(
    rows: Iterable[Row], start: bytes, end: bytes | None, resolve: Callable[[bytes], bytes]
) -> Iterator[Row]:
    """Turns rows with stored keys into rows with whole keys, in key order.

    A group is held in memory while it is sorted: many long keys that share their first 478 bytes cost that much.

    Args:
        rows: rows in the table's order, from ``stored_start(start)`` to ``stored_end(end)``.
        start: the first key wanted.
        end: the first key not wanted, None for no end.
        resolve: gives the whole key for the stored form of a long one.
    """
    group: list[Row] = []
    prefix = b""
    for stored, row in rows:
        if group and stored[:GROUP_BYTES] != prefix:
            yield from _in_bounds(group, start, end)
            group = []
        if len(stored) <= SHORT_BYTES:
            yield stored, row
        else:
            prefix = stored[:GROUP_BYTES]
            group.append((resolve(stored), row))
    yield from _in_bounds(group, start, end)


def _in_bounds(group: list[Row], start: bytes, end: bytes | None) -> list[Row]:
    group.sort()
    return [row for row in group if row[0] >= start and (end is None or row[0] < end)]

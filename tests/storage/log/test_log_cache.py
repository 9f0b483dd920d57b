"""The cache holds the newest entries within its bound, and follows the log."""

from __future__ import annotations

import pytest
from log_cases import entries, entry

from oarlock.storage.log.cache import ENTRY_OVERHEAD_BYTES, RecentEntries

NONE = 999


def filled(max_bytes: int = 1 << 20) -> RecentEntries:
    """A cache of entries 5 to 9."""
    cache = RecentEntries(max_bytes)
    cache.append(entries(5, 10))
    return cache


def test_oldest_entries_go_when_the_bound_is_reached() -> None:
    size = ENTRY_OVERHEAD_BYTES + 100
    cache = RecentEntries(8 * size)
    for index in range(1, 100):
        cache.append([entry(index, payload=b"x" * 100)])
        first = cache.first_index(NONE)
        assert index - first + 1 <= 8
        assert [e.index for e in cache.get(first, index + 1, 1 << 20)] == list(range(first, index + 1))
        assert index < 7 or index - first + 1 >= 7


def test_entry_beyond_the_bound_is_not_kept() -> None:
    cache = filled(max_bytes=2000)
    cache.append([entry(10, payload=b"x" * 3000)])
    assert cache.first_index(NONE) == NONE


@pytest.mark.parametrize(("index", "left"), [(3, []), (5, []), (7, [5, 6]), (9, [5, 6, 7, 8]), (10, [5, 6, 7, 8, 9])])
def test_truncated_suffix_is_forgotten(index: int, left: list[int]) -> None:
    cache = filled()
    cache.truncate(index)
    first = cache.first_index(NONE)
    assert [e.index for e in (cache.get(first, first + 9, 1 << 20) if first != NONE else [])] == left


@pytest.mark.parametrize(("index", "first"), [(4, 5), (5, 6), (8, 9), (9, NONE), (20, NONE)])
def test_dropped_prefix_is_forgotten(index: int, first: int) -> None:
    cache = filled()
    cache.drop_prefix(index)
    assert cache.first_index(NONE) == first

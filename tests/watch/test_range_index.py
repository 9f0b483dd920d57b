from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oarlock.wire.operations import FROM_KEY, prefix_end
from oarlock.workers.watch.ranges import BLOCK_ROWS, RangeIndex

keys = st.binary(min_size=1, max_size=4).map(lambda key: bytes(byte % 4 for byte in key))
ends = st.one_of(st.just(b""), st.just(FROM_KEY), keys)
ranges = st.one_of(st.tuples(keys, ends), keys.map(lambda key: (key, prefix_end(key))), st.just((FROM_KEY, FROM_KEY)))


def watches(key: bytes, watched: tuple[bytes, bytes]) -> bool:
    """etcd's rule, written down once more."""
    start, end = watched
    if not end:
        return key == start
    if end == FROM_KEY:
        return key >= start or start == FROM_KEY
    return start <= key < end


@given(st.lists(ranges, max_size=30), st.data())
def test_a_key_finds_just_those_who_watch_it(added: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    index: RangeIndex[int] = RangeIndex()
    items = dict(enumerate(added))
    for item, (start, end) in items.items():
        index.add(start, end, item)
    gone = data.draw(st.sets(st.sampled_from(sorted(items)))) if items else set()
    for item in gone:
        index.remove(*items.pop(item), item)
    assert len(index) == len(items)
    for key in data.draw(st.lists(keys, max_size=10)):
        expected = sorted(item for item, watched in items.items() if watches(key, watched))
        assert sorted(index.matching(key)) == expected


def test_many_ranges_that_begin_alike_can_all_be_removed() -> None:
    index: RangeIndex[int] = RangeIndex()
    count = BLOCK_ROWS * 3
    for item in range(count):
        index.add(b"a", b"m%d" % (item % 7), item)
    assert sorted(index.matching(b"b")) == list(range(count))
    for item in range(count):
        index.remove(b"a", b"m%d" % (item % 7), item)
    assert not list(index.matching(b"b"))
    assert len(index) == 0


def test_removing_what_is_not_there_is_an_error() -> None:
    index: RangeIndex[int] = RangeIndex()
    index.add(b"a", b"c", 1)
    for watched in ((b"a", b"d"), (b"a", b""), (b"a", b"b")):
        with pytest.raises(KeyError):
            index.remove(*watched, 1)
    assert list(index.matching(b"b")) == [1]

"""Long reads in slices, and the quirks of etcd's range."""

from __future__ import annotations

from typing import Any

import pytest

from oarlock.wire import errors
from oarlock.wire.frames import pack, unpack
from oarlock.wire.operations import CUT, FROM_KEY, Op, RangeFlag, SortOrder, SortTarget, WatchFlag
from oarlock.workers.history import history_steps
from oarlock.workers.ranges import PAGE_BYTES, range_steps
from oarlock.workers.steps import CHUNK_ROWS, Cursor, run
from tests.workers.harness import Harness

RANGE, PUT = int(Op.RANGE), int(Op.PUT)
ROWS = 3 * CHUNK_ROWS + 5


def fill(harness: Harness, rows: int) -> None:
    harness.apply([[0, 0, 0, [[n + 1, PUT, b"k%05d" % n, b"v"] for n in range(rows)]]])


@pytest.mark.parametrize("flags", [0, int(RangeFlag.COUNT_ONLY), int(RangeFlag.KEYS_ONLY)])
@pytest.mark.parametrize("limit", [0, 1, ROWS])
def test_a_long_range_takes_slices_of_the_rows_it_may(harness: Harness, flags: int, limit: int) -> None:
    fill(harness, ROWS)
    with harness.replica.read() as view:
        cursor = Cursor(range_steps(view, [b"k", flags, b"l", limit]))
        slices = 1
        while not cursor.step(CHUNK_ROWS):
            slices += 1
        assert slices >= 3
        kvs, more, count = cursor.result
    assert count == ROWS
    assert len(kvs) == (0 if flags == RangeFlag.COUNT_ONLY else limit or ROWS)
    assert more == (limit == 1 and flags != RangeFlag.COUNT_ONLY)


def test_a_sliced_range_shows_one_revision_whatever_is_written_meanwhile(harness: Harness) -> None:
    fill(harness, ROWS)
    with harness.replica.read() as view:
        cursor = Cursor(range_steps(view, [b"k", 0, b"l"]))
        assert not cursor.step(1)
        harness.write([int(Op.DELETE), b"k", 0, FROM_KEY])
        while not cursor.step(1):
            pass
        assert cursor.result[2] == ROWS


def test_a_sort_target_without_an_order_sorts_what_the_limit_left(harness: Harness) -> None:
    harness.write(*([PUT, key, value] for key, value in [(b"a", b"3"), (b"b", b"2"), (b"c", b"1")]))
    reply = harness.read([1, RANGE, b"a", 0, FROM_KEY, 1, 0, 0, int(SortTarget.VALUE)])
    assert reply[2] == [[[b"b", b"2", 3, 3, 1, 0]], True, 3]


@pytest.mark.parametrize(
    ("bounds", "keys"),
    [
        ([4, 0, 0, 0], [b"a", b"c"]),
        ([0, 3, 0, 0], [b"b"]),
        ([4, 4, 0, 0], [b"a"]),
        ([0, 0, 3, 0], [b"b", b"c"]),
        ([0, 0, 0, 2], [b"a"]),
        ([0, 0, 3, 3], [b"b"]),
    ],
)
def test_bounds_on_revisions_are_inclusive_and_leave_the_count(
    harness: Harness, bounds: list[int], keys: list[bytes]
) -> None:
    harness.write(*([PUT, key, b""] for key in (b"a", b"b", b"a", b"c")))  # a: 2 to 4, b: 3, c: 5
    kvs, more, count = harness.read([1, RANGE, b"a", 0, FROM_KEY, 1, 0, 1, 0, *bounds])[2]
    assert [kv[0] for kv in kvs] == keys[:1]
    assert (more, count) == (len(keys) > 1, 3)


def test_no_count_spares_the_walk_and_counts_what_is_shown(harness: Harness) -> None:
    fill(harness, 10)
    assert harness.read([1, RANGE, b"k", int(RangeFlag.NO_COUNT), b"l", 3])[2][1:] == [True, 3]


def test_a_future_revision_is_refused_before_a_compacted_one(harness: Harness) -> None:
    harness.write([PUT, b"a", b""], [PUT, b"a", b""], [int(Op.COMPACT), 3])
    future, compacted = (harness.read([1, RANGE, b"a", 0, b"", 0, revision]) for revision in (4, 2))
    assert future[2] == errors.FutureRevisionError.text
    assert compacted[1:] == [-errors.CompactedError.code, errors.CompactedError.text, 3]


def test_history_stops_between_revisions_only(harness: Harness) -> None:
    pair: list[Any] = [int(Op.TXN), [], [[PUT, b"a", b"x"], [PUT, b"b", b"x"]], []]
    harness.write(pair, pair, pair)
    with harness.replica.read() as view:
        cursor = Cursor(history_steps(view, [b"", 0, FROM_KEY, 2, 0, 1]))
        assert cursor.step(1 << 20)
        events, next_revision = cursor.result
    assert [(kv[0], kv[3]) for _, kv, _ in events] == [(b"a", 2), (b"b", 2)]
    assert next_revision == 3


def test_history_begins_at_the_compaction_and_has_no_previous_kv_below_it(harness: Harness) -> None:
    harness.write(*([PUT, b"a", b"%d" % n] for n in range(4)), [int(Op.COMPACT), 4])
    events = harness.history(b"a", int(WatchFlag.PREV_KV), b"", 4)
    assert [(kv[3], previous and previous[3]) for _, kv, previous in events] == [(4, None), (5, 4)]
    with pytest.raises(errors.CompactedError) as caught:
        harness.history(b"a", 0, b"", 3)
    assert caught.value.compact_revision == 4


def test_a_start_in_the_future_is_waited_for(harness: Harness) -> None:
    with harness.replica.read() as view:
        cursor = Cursor(history_steps(view, [b"a", 0, b"", 50, 0, 1]))
        assert cursor.step(1 << 20)
        assert cursor.result == [[], 50]


def paged(harness: Harness, limit: int = 0, flags: int = 0, page_bytes: int = PAGE_BYTES) -> list[list[Any]]:
    """All pages of a range over everything, as a client asks for them."""
    pages: list[list[Any]] = []
    key = b"\0"
    while not pages or pages[-1][1] == CUT:
        got = sum(len(page[0]) for page in pages)
        arguments = [key, int(RangeFlag.PAGED) | flags, FROM_KEY, limit and limit - got]
        with harness.replica.read() as view:
            pages.append(unpack(pack(run(range_steps(view, arguments, page_bytes=page_bytes)))))
        key = pages[-1][0][-1][0] + b"\0" if pages[-1][0] else key
    return pages


@pytest.mark.parametrize("limit", [0, 1, 500, ROWS, ROWS + 1])
def test_pages_together_are_the_whole_answer(harness: Harness, limit: int) -> None:
    fill(harness, ROWS)
    pages = paged(harness, limit, page_bytes=7_000)
    whole = harness.read([1, RANGE, b"\0", 0, FROM_KEY, limit])[2]
    assert [kv for page in pages for kv in page[0]] == whole[0]
    assert (pages[-1][1], pages[0][2]) == (whole[1], whole[2])
    assert len(pages) > 1 or limit == 1


def test_a_sorted_result_is_not_paged(harness: Harness) -> None:
    fill(harness, 20)
    arguments = [b"\0", int(RangeFlag.PAGED), FROM_KEY, 0, 0, int(SortOrder.DESCEND)]
    with harness.replica.read() as view:
        assert len(run(range_steps(view, arguments, page_bytes=1))[0]) == 20


def test_a_result_that_cannot_be_paged_must_not_be_too_long(harness: Harness) -> None:
    fill(harness, 20)
    with harness.replica.read() as view, pytest.raises(errors.ResultTooLargeError):
        run(range_steps(view, [b"\0", 0, FROM_KEY], max_bytes=100))

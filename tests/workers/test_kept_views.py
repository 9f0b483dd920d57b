"""Views between two pages: the next page is read from the view of the one before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from oarlock.storage.replica import ReadView
from oarlock.wire.errors import CompactedError
from oarlock.wire.operations import CUT, FROM_KEY, Op, RangeFlag
from oarlock.workers.kept_views import KEPT_S, MAX_AGE_S, MAX_KEPT, KeptViews
from oarlock.workers.ranges import PAGE_BYTES
from oarlock.workers.reads import Read, Reads
from tests.workers.harness import Harness

RANGE, PUT = int(Op.RANGE), int(Op.PUT)
VALUE = b"v" * (PAGE_BYTES // 8)
FIRST = int(RangeFlag.PAGED)
FURTHER = int(RangeFlag.PAGED | RangeFlag.NO_COUNT | RangeFlag.SERIALIZABLE)


class Asker:
    """Asks for reads, and runs them to their end."""

    takes_encoded_rows = False

    def __init__(self, harness: Harness) -> None:
        self.reads = Reads(lambda: harness.replica, lambda: None)
        self._items: list[Any] = []

    def ask(self, *arguments: Any) -> list[Any]:
        self.reads.start(Read(self, [1, RANGE, *arguments], 1e9))
        while self.reads.under_way:
            self.reads.run_slice()
        return self._items.pop()

    def answer(self, item: Any) -> None:
        self._items.append(item)

    def answer_long(self, item: Any, size_bytes: int) -> None:
        self._items.append(item)


@pytest.fixture
def asker(harness: Harness) -> Asker:
    for number in range(20):
        harness.write([PUT, b"%02d" % number, VALUE])
    return Asker(harness)


def overtake(harness: Harness) -> None:
    """Another value for all, and nothing to be read of what was."""
    for number in range(20):
        harness.write([PUT, b"%02d" % number, b"newer"])
    harness.write([int(Op.COMPACT), harness.replica.meta.revision])


def test_a_list_goes_on_as_it_was_begun_whatever_is_written_and_compacted(harness: Harness, asker: Asker) -> None:
    _, revision, (kvs, more, _) = asker.ask(b"0", FIRST, FROM_KEY)
    overtake(harness)
    while more == CUT:
        _, at, (page, more, _) = asker.ask(kvs[-1][0] + b"\0", FURTHER, FROM_KEY, 0, revision)
        assert at == revision
        kvs += page
    assert [kv[:2] for kv in kvs] == [(b"%02d" % number, VALUE) for number in range(20)]


@pytest.mark.parametrize("forget", [lambda reads: reads.give_up_overdue(1e12), Reads.abandon_views])
def test_a_view_that_nobody_came_back_for_is_gone(
    harness: Harness, asker: Asker, forget: Callable[[Reads], None]
) -> None:
    _, revision, (kvs, _, _) = asker.ask(b"0", FIRST, FROM_KEY)
    overtake(harness)
    forget(asker.reads)
    assert asker.ask(kvs[-1][0] + b"\0", FURTHER, FROM_KEY, 0, revision)[1] == -CompactedError.code


def test_a_read_that_is_no_further_page_sees_the_compaction(harness: Harness, asker: Asker) -> None:
    _, revision, _ = asker.ask(b"0", FIRST, FROM_KEY)
    overtake(harness)
    assert asker.ask(b"0", FIRST, FROM_KEY, 0, revision)[1] == -CompactedError.code


def test_views_are_few_and_young(harness: Harness) -> None:
    now_s = [0.0]
    kept = KeptViews(lambda: now_s[0])

    def view_of(age_s: float) -> ReadView:
        view = harness.replica.read()
        view.opened_at_s = now_s[0] - age_s
        kept.keep(view)
        return view

    views = [view_of(0.0) for _ in range(MAX_KEPT + 1)]
    assert kept.take(views[0].revision) is views[1], "the oldest had to go"
    assert kept.take(views[0].revision + 1) is None
    kept.close_all()
    view_of(MAX_AGE_S + 1)
    assert kept.take(views[0].revision) is None
    view_of(0.0)
    kept.close_old(KEPT_S - 0.1)
    view = kept.take(views[0].revision)
    assert view is not None
    kept.keep(view)
    kept.close_old(KEPT_S)
    assert kept.take(views[0].revision) is None

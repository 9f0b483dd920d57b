from __future__ import annotations

from typing import Any

import pytest

import oarlock
from oarlock.paging import MAX_RESTARTS, NextPage, Pages
from oarlock.results import Header, RangeResult
from oarlock.wire.operations import CUT, RangeFlag
from tests.server import Server

ARGUMENTS = (b"a", 0, b"z", 0, 0, 0, 0, 0, 0, 0, 0, 0)


def pages(**changed: Any) -> Pages:
    names = {"limit": 3, "revision": 4}
    arguments: list[Any] = list(ARGUMENTS)
    for name, value in changed.items():
        arguments[names[name]] = value
    return Pages(tuple(arguments), list)


def header(revision: int) -> Header:
    return Header(1, 2, revision, 3)


def test_the_pages_become_one_answer_with_the_first_header_and_count() -> None:
    answer = pages()
    more = answer(header(7), [[[b"a"], [b"b"]], CUT, 3])
    assert isinstance(more, NextPage)
    whole = answer(header(9), [[[b"c"]], False, 1])
    assert isinstance(whole, RangeResult)
    assert (whole.header.revision, whole.kvs, whole.more, whole.count) == (7, [[b"a"], [b"b"], [b"c"]], False, 3)


def test_the_next_page_begins_behind_the_last_key_at_the_first_revision() -> None:
    more = pages(limit=5)(header(7), [[[b"a"], [b"b"]], CUT, 9])
    assert isinstance(more, NextPage)
    key, flags, range_end, limit, revision, *_, min_revision = more.arguments
    assert (key, range_end, limit, revision, min_revision) == (b"b\0", b"z", 3, 7, 7)
    assert flags == RangeFlag.PAGED | RangeFlag.NO_COUNT | RangeFlag.SERIALIZABLE


def test_a_range_that_a_compaction_overtakes_begins_anew() -> None:
    answer = pages()
    for _ in range(MAX_RESTARTS):
        answer(header(7), [[[b"a"]], CUT, 9])
        assert answer.restart() == NextPage(answer.first)
    answer(header(7), [[[b"a"]], CUT, 9])
    assert answer.restart() is None


def test_a_range_at_a_revision_that_was_asked_for_does_not_begin_anew() -> None:
    answer = pages(revision=5)
    answer(header(7), [[[b"a"]], CUT, 9])
    assert answer.restart() is None


@pytest.mark.parametrize("limit", [0, 700])
def test_a_long_range_arrives_whole(shared_server: Server, limit: int) -> None:
    with oarlock.connect(shared_server.native_endpoint) as client:
        for number in range(0, 1000, 100):
            puts = [oarlock.ops.put(f"long/{limit}/{each:04d}", "v" * 4000) for each in range(number, number + 100)]
            client.transaction(success=puts)
        found = client.get_prefix(f"long/{limit}/", limit=limit)
        assert [kv.key for kv in found] == [b"long/%d/%04d" % (limit, each) for each in range(limit or 1000)]
        assert (found.count, found.more) == (1000, bool(limit))

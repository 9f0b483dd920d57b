"""What random sequences seldom hit: the corners of etcd's transactions."""

from __future__ import annotations

from typing import Any

import pytest

from oarlock.wire import errors
from oarlock.wire.operations import FROM_KEY, CompareResult, CompareTarget, Op, PutFlag
from oarlock.workers.duplicates import Intervals
from oarlock.workers.validation import Limits, check_request
from tests.workers.harness import Harness

PUT, DELETE, RANGE, TXN = int(Op.PUT), int(Op.DELETE), int(Op.RANGE), int(Op.TXN)


def txn(*success: list[Any]) -> list[Any]:
    return [TXN, [], list(success), []]


def refused(reply: list[Any], error: type[errors.OarlockError]) -> bool:
    return reply[1] == -error.code and reply[2] == error.text


def test_an_operation_sees_those_before_it_and_all_share_a_revision(harness: Harness) -> None:
    [[_, revision, result]] = harness.write(txn([PUT, b"a", b"1"], [RANGE, b"a"], [DELETE, b"x"]))
    kv = [b"a", b"1", 2, 2, 1, 0]
    assert (revision, result) == (2, [True, [[PUT, 2, None], [RANGE, 2, [[kv], False, 1]], [DELETE, 2, [0, []]]]])


def test_a_nested_response_carries_revision_zero_and_reads_bump_nothing(harness: Harness) -> None:
    [reply] = harness.write(txn(txn([RANGE, b"a"])))
    assert reply == [1, 1, [True, [[TXN, 0, [True, [[RANGE, 1, [[], False, 0]]]]]]]]


def test_nested_compares_see_the_state_before_the_outer_transaction(harness: Harness) -> None:
    absent = [CompareResult.EQUAL, CompareTarget.VERSION, b"a", 0]
    nested = [TXN, [[int(part) if isinstance(part, int) else part for part in absent]], [], []]
    [[_, _, result]] = harness.write(txn([PUT, b"a", b"1"], nested))
    assert result[1][1] == [TXN, 0, [True, []]]


def test_a_refused_operation_undoes_the_whole_transaction(harness: Harness) -> None:
    [reply] = harness.write(txn([PUT, b"a", b"1"], [PUT, b"b", b"1", 77]))
    assert refused(reply, errors.LeaseNotFoundError)
    assert harness.read([1, RANGE, b"a"]) == [1, 1, [[], False, 0]]


@pytest.mark.parametrize("flag", [PutFlag.IGNORE_VALUE, PutFlag.IGNORE_LEASE])
def test_a_put_that_keeps_what_an_earlier_delete_took_is_refused(harness: Harness, flag: PutFlag) -> None:
    harness.write([PUT, b"b", b"1"])
    [reply] = harness.write(txn([DELETE, b"a", 0, FROM_KEY], [PUT, b"b", b"", 0, int(flag)]))
    assert refused(reply, errors.KeyNotFoundError)
    assert harness.read([1, RANGE, b"b"])[2][2] == 1


def test_deleting_from_a_key_and_putting_it_again_begins_a_new_generation(harness: Harness) -> None:
    harness.write([PUT, b"b", b"1"], txn([DELETE, b"a", 0, FROM_KEY], [PUT, b"b", b"2"]))
    assert harness.read([1, RANGE, b"b"])[2][0] == [[b"b", b"2", 3, 3, 1, 0]]
    delete, put = harness.history(b"b", 1, b"", 3)
    assert delete == [1, [b"b", b"", 0, 3, 0, 0], [b"b", b"1", 2, 2, 1, 0]]
    assert put == [0, [b"b", b"2", 3, 3, 1, 0], None]


def test_a_key_put_and_deleted_in_one_transaction_shows_watchers_what_was_before(harness: Harness) -> None:
    harness.write([PUT, b"a", b"old"], txn(txn([PUT, b"a", b"new"]), txn([DELETE, b"a", 1])))
    old = (b"a", b"old", 2, 2, 1, 0)
    assert [previous for _, _, previous in harness.machine.changes] == [old, old]
    assert [previous for _, _, previous in harness.history(b"a", 1, b"", 3)] == [list(old), list(old)]


@pytest.mark.parametrize("revision", [-2, -(1 << 63), 1])
def test_a_range_in_a_transaction_below_the_compaction_is_refused(harness: Harness, revision: int) -> None:
    harness.write([PUT, b"a", b"1"], [int(Op.COMPACT), 2])
    reply = harness.read([1, TXN, [], [[RANGE, b"a", 0, b"", 0, revision]], []])
    assert refused(reply, errors.CompactedError)
    assert reply[3] == 2


def test_a_range_in_a_transaction_cannot_see_the_revision_that_it_makes(harness: Harness) -> None:
    [reply] = harness.write(txn([PUT, b"a", b"1"], [RANGE, b"a", 0, b"", 0, 2]))
    assert refused(reply, errors.FutureRevisionError)


@pytest.mark.parametrize("result", list(CompareResult))
def test_no_value_compare_holds_for_an_absent_key(harness: Harness, result: CompareResult) -> None:
    compare = [int(result), int(CompareTarget.VALUE), b"a", b""]
    [reply] = harness.write([TXN, [compare], [], [[DELETE, b"a"]]])
    assert reply[2][0] is False


@pytest.mark.parametrize(
    ("branch", "is_refused"),
    [
        ([[PUT, b"a", b""], [PUT, b"a", b""]], True),
        ([[PUT, b"b", b""], [DELETE, b"a", 0, b"c"]], True),
        ([[PUT, b"c", b""], [DELETE, b"a", 0, b"c"]], False),
        ([[DELETE, b"a"], [DELETE, b"a", 0, b"c"]], False),
        ([[RANGE, b"a"], [PUT, b"a", b""], [RANGE, b"a"]], False),
        ([[PUT, b"b", b""], [DELETE, b"a", 0, FROM_KEY]], False),
        ([[TXN, [], [[PUT, b"a", b""]], [[PUT, b"a", b""]]]], False),
        ([[TXN, [], [[PUT, b"a", b""]], []], [PUT, b"a", b""]], True),
        ([[TXN, [], [], [[PUT, b"a", b""]]], [TXN, [], [[PUT, b"a", b""]], []]], True),
        ([[TXN, [], [[PUT, b"a", b""]], []], [TXN, [], [[DELETE, b"a"]], []]], False),
        ([[TXN, [], [], [[DELETE, b"a", 0, b"c"]]], [TXN, [], [[PUT, b"b", b""]], []]], True),
        ([[TXN, [], [[DELETE, b"a", 0, b"c"]], []], [PUT, b"b", b""]], True),
    ],
)
def test_a_branch_writes_a_key_once(branch: list[Any], is_refused: bool) -> None:
    for request in ([1, TXN, [], branch, []], [1, TXN, [], [], branch]):
        if is_refused:
            with pytest.raises(errors.DuplicateKeyError):
                check_request(request, Limits())
        else:
            check_request(request, Limits())


def test_intervals_that_touch_become_one() -> None:
    intervals = Intervals()
    for start, end in [(b"c", b"d"), (b"a", b"b"), (b"e", b"f"), (b"b", b"c"), (b"x", b"a")]:
        intervals.add(start, end)
    assert [key for key in (b"a", b"b", b"c", b"d", b"e", b"f", b"x") if key in intervals] == [b"a", b"b", b"c", b"e"]

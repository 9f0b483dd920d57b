"""The search accepts what a correct store does, and finds violations without looking at revisions."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from .records import Answer, Operation, UndecidableError, ViolationError
from .search import check_search, groups
from .simulator import simulate
from .store import Action, Compare, Delete, Get, Outcome, Put, Stored, Transaction, TransactionResult


def did(action: Action, begin: float, end: float, result: Outcome = None) -> Operation:
    return Operation(0, action, begin, end, Answer(0, result))


def lost(action: Action, begin: float) -> Operation:
    return Operation(0, action, begin, inf, None)


def stored(value: bytes, version: int = 1) -> Stored:
    return Stored(value, 0, 0, version)


def test_concurrent_operations_find_their_order() -> None:
    """Neither order of begin nor of end explains this one: the second put comes first."""
    check_search(
        [
            did(Put(b"a", b"1"), 0, 10),
            did(Put(b"a", b"2"), 1, 11),
            did(Get(b"a"), 2, 3, stored(b"2")),
            did(Get(b"a"), 4, 5, stored(b"1", 2)),
        ]
    )


def test_a_stale_read_is_found() -> None:
    with pytest.raises(ViolationError, match="no order"):
        check_search([did(Put(b"a", b"1"), 0, 1), did(Get(b"a"), 2, 3)])


def test_operations_that_touch_are_concurrent() -> None:
    check_search([did(Put(b"a", b"1"), 0, 1), did(Get(b"a"), 1, 2)])


def test_reads_that_disagree_about_the_order_are_found() -> None:
    puts = [did(Put(b"a", b"1"), 0, 9), did(Put(b"a", b"2"), 0, 9)]
    reads = [did(Get(b"a"), 1, 2, stored(b"1")), did(Get(b"a"), 3, 4, stored(b"2"))]
    with pytest.raises(ViolationError):
        check_search([*puts, *reads])
    check_search([*puts, reads[0], did(Get(b"a"), 3, 4, stored(b"2", 2))])


def test_a_lost_update_is_found() -> None:
    increment = Transaction((Compare(b"a", "version", "==", 0),), (Put(b"a", b"1"),))
    won = TransactionResult(True, (None,))
    with pytest.raises(ViolationError):
        check_search([did(increment, 0, 5, won), did(increment, 1, 6, won)])


def test_a_doubled_write_is_found_by_the_version() -> None:
    with pytest.raises(ViolationError):
        check_search([did(Put(b"a", b"1"), 0, 1), did(Get(b"a"), 2, 3, stored(b"1", 2))])


def test_an_unknown_write_may_happen_late_or_never() -> None:
    history = [lost(Put(b"a", b"1"), 0), did(Get(b"a"), 1, 2)]
    check_search([*history, did(Get(b"a"), 3, 4)])
    check_search([*history, did(Get(b"a"), 3, 4, stored(b"1"))])


def test_an_unknown_write_cannot_be_undone() -> None:
    with pytest.raises(ViolationError):
        check_search(
            [lost(Put(b"a", b"1"), 0), did(Get(b"a"), 1, 2, stored(b"1")), did(Get(b"a"), 3, 4)],
        )


def test_a_torn_transaction_is_found() -> None:
    write = Transaction((), (Put(b"a", b"1"), Put(b"b", b"1")))
    read = Transaction((), (Get(b"a"), Get(b"b")))
    with pytest.raises(ViolationError):
        check_search(
            [
                did(write, 0, 9, TransactionResult(True, (None, None))),
                did(read, 1, 2, TransactionResult(True, (stored(b"1"), None))),
            ]
        )


def test_keys_that_no_transaction_ties_are_checked_apart() -> None:
    one, two, three = did(Put(b"a", b"1"), 0, 1), did(Delete(b"b"), 0, 1, 0), did(Get(b"c"), 0, 1)
    tie = did(Transaction((), (Get(b"a"), Get(b"c"))), 2, 3)
    assert groups([one, two, three]) == [[one], [two], [three]]
    assert groups([one, two, three, tie]) == [[one, three, tie], [two]]


def test_a_search_that_grows_too_large_says_so() -> None:
    history = [did(Put(b"a", b"%d" % number), 0, 99) for number in range(12)]
    with pytest.raises(UndecidableError, match="after 50 steps"):
        check_search([*history, did(Get(b"a"), 100, 101, stored(b"x", 12))], max_steps=50)


def test_a_compare_of_revisions_is_refused() -> None:
    action = Transaction((Compare(b"a", "mod_revision", "==", 2),), ())
    with pytest.raises(ValueError, match="values and versions only"):
        check_search([did(action, 0, 1, TransactionResult(False, ()))])


def test_a_long_history_of_one_key_is_quick() -> None:
    history = simulate(Random(7), clients=4, operations=150, unknown=0, transactions=False).history
    check_search(history, max_steps=20_000)


seeds = st.integers(0, 2**32).map(Random)


@given(seeds)
def test_every_history_of_a_correct_store_passes(random: Random) -> None:
    check_search(simulate(random).history)


@given(seeds, st.data())
def test_any_invented_value_is_found(random: Random, data: st.DataObject) -> None:
    history = simulate(random).history
    reads = [op for op in history if op.answer and isinstance(op.answer.result, Stored)]
    assume(reads)
    read = data.draw(st.sampled_from(reads))
    changed = replace(read, answer=Answer(0, stored(b"other")))
    with pytest.raises(ViolationError):
        check_search(changed if op is read else op for op in history)


@given(seeds, st.data())
def test_any_read_that_goes_back_behind_a_finished_write_is_found(random: Random, data: st.DataObject) -> None:
    """Reads get what an earlier read of the key saw, though a put of the key lies wholly between the two."""
    history = simulate(random, operations=10, unknown=0, transactions=False).history
    gets = [op for op in history if isinstance(op.action, Get)]
    pairs = [
        (old, new)
        for old in gets
        for new in gets
        for put in history
        if isinstance(put.action, Put) and put.action.key == old.action.key == new.action.key  # type: ignore[union-attr]
        if old.end_s < put.begin_s and put.end_s < new.begin_s and old.answer and old.answer.result
    ]
    assume(pairs)
    old, new = data.draw(st.sampled_from(pairs))
    with pytest.raises(ViolationError):
        check_search(replace(op, answer=old.answer) if op is new else op for op in history)

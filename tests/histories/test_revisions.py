"""The fast check accepts what a correct store does, and finds each kind of planted violation."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from .records import Answer, Operation, UndecidableError, ViolationError
from .revisions import check_revisions
from .simulator import simulate
from .store import Action, Compare, Delete, Event, Get, Outcome, Put, Stored, Transaction, TransactionResult

A1 = Stored(b"1", create_revision=2, mod_revision=2, version=1)
A2 = Stored(b"2", create_revision=2, mod_revision=3, version=2)
PUT_A1 = Event(2, b"a", A1)
PUT_A2 = Event(3, b"a", A2)


def did(action: Action, begin: float, end: float, revision: int, result: Outcome = None) -> Operation:
    return Operation(0, action, begin, end, Answer(revision, result))


def lost(action: Action, begin: float) -> Operation:
    return Operation(0, action, begin, inf, None)


def test_concurrent_reads_may_see_old_and_new() -> None:
    put = did(Put(b"a", b"1"), 0, 10, 2)
    check_revisions([put, did(Get(b"a"), 1, 2, 1), did(Get(b"a"), 3, 4, 2, A1)])


def test_a_stale_read_is_found() -> None:
    with pytest.raises(ViolationError, match="answered already"):
        check_revisions([did(Put(b"a", b"1"), 0, 1, 2), did(Get(b"a"), 2, 3, 1)])


def test_a_read_older_than_an_earlier_read_is_found() -> None:
    put = did(Put(b"a", b"1"), 0, 10, 2)
    with pytest.raises(ViolationError, match="answered already"):
        check_revisions([put, did(Get(b"a"), 1, 2, 2, A1), did(Get(b"a"), 3, 4, 1)])


def test_a_serializable_read_may_be_stale_but_not_wrong() -> None:
    put = did(Put(b"a", b"1"), 0, 1, 2)
    check_revisions([put, did(Get(b"a", serializable=True), 2, 3, 1)])
    with pytest.raises(ViolationError, match="should have answered"):
        check_revisions([put, did(Get(b"a", serializable=True), 2, 3, 1, A1)])


def test_a_serializable_read_from_the_future_is_found() -> None:
    with pytest.raises(ViolationError, match="answered already"):
        check_revisions([did(Get(b"a", serializable=True), 0, 1, 2, A1), did(Put(b"a", b"1"), 2, 3, 2)])


def test_a_lost_update_is_found() -> None:
    read = did(Get(b"a"), 4, 5, 3, Stored(b"1", 2, 3, 1))
    with pytest.raises(ViolationError, match="should have answered"):
        check_revisions([did(Put(b"a", b"1"), 0, 1, 2), did(Put(b"a", b"2"), 2, 3, 3), read])


def test_an_acknowledged_write_that_the_log_lacks_is_found() -> None:
    with pytest.raises(ViolationError, match="the log has"):
        check_revisions([did(Put(b"a", b"2"), 0, 1, 2)], [PUT_A1])
    with pytest.raises(ViolationError, match="the store ended"):
        check_revisions([did(Put(b"a", b"1"), 0, 1, 2)], [])


def test_a_doubled_write_is_found_in_the_log() -> None:
    again = Event(3, b"a", replace(A1, mod_revision=3, version=2))
    with pytest.raises(ViolationError, match="done twice"):
        check_revisions([did(Put(b"a", b"1"), 0, 1, 2)], [PUT_A1, again])


def test_a_doubled_write_is_found_by_its_revision() -> None:
    with pytest.raises(ViolationError, match="nobody wrote it"):
        check_revisions([did(Put(b"a", b"1"), 0, 1, 2), did(Put(b"b", b"1"), 2, 3, 4)])


def test_reordered_revisions_are_found() -> None:
    with pytest.raises(ViolationError, match="answered already"):
        check_revisions([did(Put(b"a", b"1"), 0, 1, 3), did(Put(b"b", b"1"), 2, 3, 2)])


def test_a_revision_given_twice_is_found() -> None:
    with pytest.raises(ViolationError, match="has the revision of"):
        check_revisions([did(Put(b"a", b"1"), 0, 5, 2), did(Put(b"b", b"1"), 0, 5, 2)])


def test_an_unknown_write_may_have_happened_or_not() -> None:
    history = [did(Put(b"a", b"1"), 0, 1, 2), lost(Put(b"a", b"2"), 0)]
    check_revisions(history, [PUT_A1])
    check_revisions(history, [PUT_A1, PUT_A2])


def test_an_unknown_write_cannot_happen_twice() -> None:
    third = Event(4, b"a", replace(A2, mod_revision=4, version=3))
    with pytest.raises(ViolationError, match="done twice"):
        check_revisions([did(Put(b"a", b"1"), 0, 1, 2), lost(Put(b"a", b"2"), 0)], [PUT_A1, PUT_A2, third])


def test_an_unknown_write_cannot_happen_before_it_began() -> None:
    history = [lost(Put(b"a", b"1"), 2), did(Get(b"a"), 0, 1, 2, A1)]
    with pytest.raises(ViolationError, match="no operation can have made it"):
        check_revisions(history, [PUT_A1])


def test_two_gaps_find_the_only_explanations_that_fit_both() -> None:
    """The lost delete of revision 3 began early, the one of revision 5 late; the early one would explain either."""
    log = [PUT_A1, Event(3, b"a", None), Event(4, b"a", Stored(b"2", 4, 4, 1)), Event(5, b"a", None)]
    puts = [did(Put(b"a", b"1"), 0, 1, 2), did(Put(b"a", b"2"), 2, 3, 4)]
    check_revisions([*puts, lost(Delete(b"a"), 1), lost(Delete(b"a"), 9)], log)
    with pytest.raises(ViolationError, match="no operation"):
        check_revisions([*puts, lost(Delete(b"a"), 9), lost(Delete(b"a"), 9)], log)


def test_an_unknown_write_without_a_log_is_undecidable() -> None:
    with pytest.raises(UndecidableError, match="give the store's log"):
        check_revisions([lost(Put(b"a", b"1"), 0), did(Put(b"b", b"1"), 1, 2, 3)])


def test_a_transaction_shares_one_revision_and_reads_its_own_writes() -> None:
    action = Transaction((Compare(b"a", "version", "==", 0),), (Put(b"a", b"1"), Get(b"a"), Put(b"b", b"1")))
    check_revisions([did(action, 0, 1, 2, TransactionResult(True, (None, A1, None))), did(Get(b"b"), 2, 3, 2, A1)])


def test_a_torn_transaction_is_found() -> None:
    action = Transaction((), (Put(b"a", b"1"), Put(b"b", b"1")))
    with pytest.raises(ViolationError, match="should have answered"):
        check_revisions([did(action, 0, 1, 2, TransactionResult(True, (None, None))), did(Get(b"b"), 2, 3, 2)])


seeds = st.integers(0, 2**32).map(Random)


@given(seeds)
def test_every_history_of_a_correct_store_passes(random: Random) -> None:
    simulated = simulate(random, unknown=0.2)
    check_revisions(simulated.history, simulated.log)


@given(seeds)
def test_every_history_passes_without_a_log_when_all_outcomes_are_known(random: Random) -> None:
    check_revisions(simulate(random, unknown=0).history)


@given(seeds, st.data())
def test_any_changed_result_is_found(random: Random, data: st.DataObject) -> None:
    simulated = simulate(random)
    reads = [op for op in simulated.history if op.answer and isinstance(op.answer.result, Stored)]
    assume(reads)
    read = data.draw(st.sampled_from(reads))
    assert read.answer is not None
    wrong = data.draw(st.sampled_from([None, Stored(b"other", 2, 2, 1)]))
    changed = replace(read, answer=Answer(read.answer.revision, wrong))
    with pytest.raises(ViolationError):
        check_revisions([changed if op is read else op for op in simulated.history], simulated.log)


@given(seeds, st.data())
def test_any_two_exchanged_write_revisions_are_found(random: Random, data: st.DataObject) -> None:
    simulated = simulate(random, transactions=False)
    writes = [op for op in simulated.history if op.wrote]
    assume(len(writes) > 1)
    one, other = data.draw(st.lists(st.sampled_from(writes), min_size=2, max_size=2, unique_by=id))
    assume(one.action != other.action)  # two deletes of one key can be exchanged where they overlap
    exchanged = {id(one): replace(one, answer=other.answer), id(other): replace(other, answer=one.answer)}
    with pytest.raises(ViolationError):
        check_revisions([exchanged.get(id(op), op) for op in simulated.history], simulated.log)


@given(seeds)
def test_a_dropped_last_revision_is_found_when_it_was_answered(random: Random) -> None:
    simulated = simulate(random, unknown=0)
    assume(simulated.log)
    last = simulated.log[-1].revision
    with pytest.raises(ViolationError):
        check_revisions(simulated.history, [event for event in simulated.log if event.revision != last])

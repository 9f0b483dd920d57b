"""The ledger of proposals on its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oarlock.wire.errors import ProtocolError
from oarlock.wire.ledger import LEDGER_WINDOW_ENTRIES, ProposalLedger
from tests.model.strategies import msgpack_values


def test_a_batch_counts_once_and_in_order() -> None:
    ledger = ProposalLedger()
    assert [ledger.admit(7, batch, index) for index, batch in enumerate((2, 1, 3, 2, 2, 3), 1)] == [
        False,
        True,
        False,
        True,
        False,
        True,
    ]
    assert (ledger.last_batch(7), ledger.last_batch(8)) == (3, 0)


@pytest.mark.parametrize("forgets", [False, True])
def test_a_silent_incarnation_is_forgotten_by_log_position(forgets: bool) -> None:
    ledger = ProposalLedger()
    ledger.admit(7, 1, 10)
    if forgets:
        assert ledger.forget(10 + LEDGER_WINDOW_ENTRIES) == []
    assert ledger.admit(7, 2, 10 + LEDGER_WINDOW_ENTRIES)
    late = 11 + 2 * LEDGER_WINDOW_ENTRIES
    if forgets:
        assert ledger.forget(late) == [7]
    assert not ledger.admit(7, 3, late)
    assert ledger.admit(7, 1, late + 1)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4)), max_size=30))
def test_a_ledger_that_travelled_goes_on_as_before(batches: list[tuple[int, int]]) -> None:
    ledger, travelling = ProposalLedger(), ProposalLedger()
    for index, (incarnation, batch) in enumerate(batches, 1):
        travelling = ProposalLedger.from_value(list(reversed(travelling.to_value())))
        assert ledger.admit(incarnation, batch, index) == travelling.admit(incarnation, batch, index)
    assert ledger.to_value() == travelling.to_value()


@given(msgpack_values)
def test_no_value_breaks_a_ledger(value: object) -> None:
    try:
        ProposalLedger.from_value(value)
    except ProtocolError as error:
        assert error.message.startswith(ProtocolError.text)  # noqa: PT017

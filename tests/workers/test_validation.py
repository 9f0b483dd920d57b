"""Requests from anybody: refused by name, or fit to be unpacked without another look."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oarlock.wire import errors
from oarlock.wire.operations import FROM_KEY, MAX_TTL_S, MAX_TXN_DEPTH, AlarmAction, Op, PutFlag, RangeFlag
from oarlock.workers.routing import is_serializable, is_write
from oarlock.workers.validation import Limits, check_request
from tests.model.strategies import msgpack_values, operations

LIMITS = Limits(max_txn_ops=4, max_request_bytes=100)
MAX = (1 << 63) - 1
RANGE, PUT, DELETE, TXN = int(Op.RANGE), int(Op.PUT), int(Op.DELETE), int(Op.TXN)
READ, WRITE = [RANGE, b"a"], [PUT, b"a", b""]


def nested(depth: int) -> list[Any]:
    operation: list[Any] = [TXN, [], [], []]
    for _ in range(depth - 1):
        operation = [TXN, [], [operation], []]
    return operation


@settings(max_examples=400, deadline=None)
@given(msgpack_values, st.integers(1, 9), st.sampled_from(list(Op)), st.lists(msgpack_values, max_size=6))
def test_no_value_is_refused_by_anything_but_a_request_error(
    value: Any, sequence: int, operation: Op, arguments: list[Any]
) -> None:
    for request in (value, [sequence, int(operation), *arguments], [sequence, TXN, [], [[RANGE, *arguments]], [value]]):
        try:
            check_request(request, LIMITS)
        except errors.RequestError:
            continue
        assert type(is_write(request)) is bool
        assert type(is_serializable(request)) is bool


ANYTHING = st.sampled_from([b"", b"k", b"k" * 101, 0, 1, 3, 5, -1, MAX, MAX + 1, -MAX - 2, True, None, "k", [], 1.0])


@settings(max_examples=400, deadline=None)
@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_what_is_left_out_is_judged_as_what_is_empty(one: Any, two: Any, three: Any, four: Any) -> None:
    for short, long in (
        ([TXN, [], [[PUT, one, two]], []], [TXN, [], [[PUT, one, two, 0]], []]),
        ([TXN, [], [[PUT, one, two, three, 0]], []], [TXN, [], [[PUT, one, two, three]], []]),
        ([TXN, [], [[RANGE, one]], []], [TXN, [], [[RANGE, one, 0]], []]),
        ([TXN, [], [[DELETE, one]], []], [TXN, [], [[DELETE, one, 0]], []]),
        ([TXN, [[one, two, three, four]], [], []], [TXN, [[one, two, three, four, b""]], [], []]),
    ):
        assert verdict([1, *short]) == verdict([1, *long])


def verdict(request: list[Any]) -> type[Exception] | None:
    try:
        check_request(request, LIMITS)
    except errors.RequestError as error:
        return type(error)
    return None


@settings(max_examples=100, deadline=None)
@given(operations())
def test_what_the_contract_knows_is_well_formed(operation: list[Any]) -> None:
    try:
        check_request([1, *operation], Limits())
    except errors.RequestError as error:
        assert not isinstance(error, errors.ProtocolError)  # noqa: PT017


@pytest.mark.parametrize(
    ("request_", "rule"),
    [
        (None, "a request is"),
        ([], "a request is"),
        ([1], "a request is"),
        ({1: 2}, "a request is"),
        ([0, *WRITE], "a sequence is 1"),
        ([True, *WRITE], "a sequence is 1"),
        ([MAX + 1, *WRITE], "a sequence is 1"),
        ([1, 99], "unknown operation 99"),
        ([1, 10.0, b"a", b""], "unknown operation 10.0"),
        ([1, "PUT"], "unknown operation 'PUT'"),
        ([1, PUT, b"a"], "PUT takes 2 to 4 arguments, not 1"),
        ([1, PUT, "a", b""], "key must be bytes, not 'a'"),
        ([1, PUT, b"a", b"", MAX + 1], "lease must be an integer"),
        ([1, PUT, b"a", b"", False], "lease must be an integer"),
        ([1, PUT, b"a", b"", 0, 8], "flags must be an integer from 0 to 7, not 8"),
        ([1, RANGE, b"a", -1], "flags must be"),
        ([1, RANGE, b"a", 0, None], "range_end must be bytes, not None"),
        ([1, TXN, [], []], "TXN takes 3"),
        ([1, TXN, [], {}, []], "success must be an array"),
        ([1, TXN, [], [[99]], []], "an operation in a transaction must be RANGE, PUT, DELETE or TXN, not 99"),
        ([1, TXN, [], ["x"], []], "an operation in a transaction must be an array"),
        ([1, TXN, [[0, 3, b"a", 1]], [], []], "the operand of a value compare must be bytes"),
        ([1, TXN, [[0, 0, b"a", b""]], [], []], "the operand of a compare must be an integer"),
        ([1, TXN, [[4, 0, b"a", 1]], [], []], "result must be an integer from 0 to 3"),
        ([1, int(Op.COMPACT), 1, 1], "physical must be a boolean"),
        ([1, int(Op.HELLO), 1, "x" * 257], "client name must be a string"),
        ([1, int(Op.ALARM), 3, 0, 0], "action must be"),
        ([1, int(Op.WATCH_HISTORY), b"a", 0, b"", 1, 0, 0], "max_bytes must be"),
    ],
)
def test_a_malformed_request_is_refused_by_name(request_: Any, rule: str) -> None:
    with pytest.raises(errors.ProtocolError, match=rule.replace("(", "\\(")):
        check_request(request_, LIMITS)


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        ([PUT, b"", b""], errors.EmptyKeyError),
        ([RANGE, b""], errors.EmptyKeyError),
        ([DELETE, b"", 0, FROM_KEY], errors.EmptyKeyError),
        ([PUT, b"a", b"x", 0, int(PutFlag.IGNORE_VALUE)], errors.ValueProvidedError),
        ([PUT, b"a", b"", 1, int(PutFlag.IGNORE_LEASE)], errors.LeaseProvidedError),
        ([RANGE, b"a", 0, b"", 0, 0, 3], errors.InvalidSortError),
        ([RANGE, b"a", 0, b"", 0, 0, 0, -1], errors.InvalidSortError),
        ([PUT, b"a", b"x" * 100], errors.RequestTooLargeError),
        ([TXN, [], [[PUT, b"a", b"x" * 60]], [[PUT, b"a", b"x" * 60]]], errors.RequestTooLargeError),
        ([TXN, [], [READ] * 5, []], errors.TooManyOperationsError),
        ([TXN, [], [[TXN, [], [], [READ]], READ, READ, READ], []], errors.TooManyOperationsError),
        ([TXN, [[0, 0, b"", 0]], [], []], errors.EmptyKeyError),
        ([TXN, [], [[]], []], errors.KeyNotFoundError),
        ([TXN, [], [], [WRITE, WRITE]], errors.DuplicateKeyError),
        ([int(Op.LEASE_GRANT), 1, MAX_TTL_S + 1], errors.LeaseTtlTooLargeError),
        ([int(Op.WATCH_HISTORY), b"b", 0, b"a", 1, 0, 9], errors.WatcherRangeEmptyError),
    ],
)
def test_what_etcd_refuses_at_sight_has_etcds_error(operation: list[Any], error: type[errors.RequestError]) -> None:
    with pytest.raises(error) as caught:
        check_request([1, *operation], LIMITS)
    assert caught.value.message == error.text


def test_transactions_nest_to_a_fixed_depth() -> None:
    check_request([1, *nested(MAX_TXN_DEPTH)], Limits())
    with pytest.raises(errors.TooManyOperationsError, match="nested deeper than 32"):
        check_request([1, *nested(MAX_TXN_DEPTH + 1)], Limits())


@pytest.mark.parametrize(
    ("operation", "write"),
    [
        (READ, False),
        (WRITE, True),
        ([TXN, [], [], []], False),
        ([TXN, [], [READ], [READ]], False),
        ([TXN, [], [READ], [WRITE]], True),
        ([TXN, [], [[TXN, [], [READ], []]], []], True),
        ([int(Op.ALARM), int(AlarmAction.GET), 0, 0], False),
        ([int(Op.ALARM), int(AlarmAction.DEACTIVATE), 0, 0], True),
        ([int(Op.LEASE_KEEPALIVE), 1], False),
    ],
)
def test_only_what_may_change_something_goes_through_the_log(operation: list[Any], write: bool) -> None:
    assert is_write([1, *operation]) is write


def test_a_transaction_is_serializable_if_all_its_ranges_are() -> None:
    local = [RANGE, b"a", int(RangeFlag.SERIALIZABLE)]
    expected = [([], True), ([local], True), ([local, READ], False)]
    for branch, serializable in expected:
        assert is_serializable([1, TXN, [], branch, [local]]) is serializable
    assert not is_serializable([1, *READ])

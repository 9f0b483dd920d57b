"""Random operation sequences through the client library: typed results, errors and events are the model's.

Arguments that the library refuses by itself (negative counts and revisions) never reach the server, so there is nothing
to compare for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import oarlock
from oarlock import results, transactions
from oarlock.arguments import ArgumentError
from oarlock.wire.errors import OarlockError
from oarlock.wire.operations import FROM_KEY, CompareTarget, Op, PutFlag, RangeFlag, WatchFlag, prefix_end
from tests.model.kv_model import DEFAULTS, KvModel, arguments_of
from tests.model.strategies import deletes, lease_operations, operations, puts
from tests.model.strategies import transactions as random_transactions
from tests.server import running
from tests.workers.harness import travelled

from .contract import Offset, emptied, tamed
from .raw import RawClient, raw_context

COMPARABLES = {
    CompareTarget.VERSION: transactions.version,
    CompareTarget.CREATE: transactions.create_revision,
    CompareTarget.MOD: transactions.mod_revision,
    CompareTarget.VALUE: transactions.value,
    CompareTarget.LEASE: transactions.lease_of,
}
WATCHED = [(b"a", b""), (b"a", prefix_end(b"a")), (b"a", b"ab"), (b"a", FROM_KEY), (b"\0", FROM_KEY)]
"""What is watched: a key, a prefix, a range, from a key on, everything. All of them cover the key ``a``."""
LIVE = settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
writes = st.one_of(puts(), puts(), deletes(), random_transactions(), lease_operations())


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RawClient, oarlock.Client]]:
    """Connections to a server that nobody else uses: one to prepare it, and the library's."""
    with (
        running(tmp_path_factory.mktemp("typed")) as server,
        raw_context() as context,
        oarlock.connect(server.native_endpoint, timeout_s=20.0) as client,
    ):
        yield RawClient(context, server.native_endpoint), client


def range_options(arguments: list[Any]) -> dict[str, Any]:
    flags = arguments[1]
    return {
        "serializable": bool(flags & RangeFlag.SERIALIZABLE),
        "keys_only": bool(flags & RangeFlag.KEYS_ONLY),
        "count_only": bool(flags & RangeFlag.COUNT_ONLY),
        "limit": arguments[3],
        "revision": arguments[4],
        "sort_order": arguments[5],
        "sort_target": arguments[6],
        "min_mod_revision": arguments[7],
        "max_mod_revision": arguments[8],
        "min_create_revision": arguments[9],
        "max_create_revision": arguments[10],
    }


def put_options(arguments: list[Any]) -> dict[str, Any]:
    flags = arguments[3]
    return {
        "lease": arguments[2],
        "prev_kv": bool(flags & PutFlag.PREV_KV),
        "ignore_value": bool(flags & PutFlag.IGNORE_VALUE),
        "ignore_lease": bool(flags & PutFlag.IGNORE_LEASE),
    }


def compare(result: int, target: int, key: bytes, operand: Any, range_end: bytes = b"") -> Any:
    comparable: Any = COMPARABLES[CompareTarget(target)](key, range_end=range_end)
    return [comparable == operand, comparable > operand, comparable < operand, comparable != operand][result]


def part(operation: list[Any]) -> Any:
    """One operation inside a transaction."""
    number, *given_arguments = operation
    arguments = arguments_of(number, given_arguments)
    if number == Op.RANGE:
        return transactions.ops.get(arguments[0], range_end=arguments[2], **range_options(arguments))
    if number == Op.PUT:
        return transactions.ops.put(arguments[0], arguments[1], **put_options(arguments))
    if number == Op.DELETE:
        return transactions.ops.delete(arguments[0], range_end=arguments[2], prev_kv=bool(arguments[1]))
    return transactions.ops.transaction(*branches(arguments))


def branches(arguments: list[Any]) -> tuple[list[Any], list[Any], list[Any]]:
    compares, success, failure = arguments
    return [compare(*each) for each in compares], [part(each) for each in success], [part(each) for each in failure]


def send(client: oarlock.Client, operation: list[Any]) -> Any:
    """Sends an operation by the method that a user would call."""
    number, *given_arguments = operation
    arguments = arguments_of(number, given_arguments)
    match Op(number):
        case Op.RANGE:
            return client.range(arguments[0], arguments[2], **range_options(arguments))
        case Op.PUT:
            return client.put(arguments[0], arguments[1], **put_options(arguments))
        case Op.DELETE if arguments[2]:
            return client.delete_range(arguments[0], arguments[2], prev_kv=bool(arguments[1]))
        case Op.DELETE:
            return client.delete(arguments[0], prev_kv=bool(arguments[1]))
        case Op.TXN:
            return client.transaction(*branches(arguments))
        case Op.COMPACT:
            return client.compact(*arguments)
        case Op.LEASE_GRANT:
            return client.lease(arguments[1], lease_id=arguments[0])
        case Op.LEASE_REVOKE:
            return client.revoke_lease(arguments[0])
        case _:
            return client.leases()


def kv_of(kv: results.KeyValue | None) -> list[Any] | None:
    return None if kv is None else [kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease]


def result_of(result: Any) -> Any:
    """A typed result as it travelled."""
    if isinstance(result, results.RangeResult):
        return [[kv_of(kv) for kv in result.kvs], result.more, result.count]
    if isinstance(result, results.PutResult):
        return kv_of(result.prev_kv)
    if isinstance(result, results.DeleteResult):
        return [result.deleted, [kv_of(kv) for kv in result.prev_kvs]]
    if isinstance(result, results.TransactionResult):
        return [
            result.succeeded,
            [[number_of(each), each.header.revision, result_of(each)] for each in result.responses],
        ]
    if isinstance(result, list):
        return [result]
    if isinstance(result, results.CompactResult | results.Header):
        return None
    return [result.id, result.ttl_s]  # a lease


def number_of(result: Any) -> int:
    kinds = {results.RangeResult: Op.RANGE, results.PutResult: Op.PUT, results.DeleteResult: Op.DELETE}
    return int(kinds.get(type(result), Op.TXN))


def revision_of(result: Any) -> int | None:
    """The revision in a typed result's header; None for results without one."""
    header = result if isinstance(result, results.Header) else getattr(result, "header", None)
    return None if header is None else header.revision


def event_of(event: results.Event) -> list[Any]:
    return [int(event.type), kv_of(event.kv), kv_of(event.prev_kv)]


def check(client: oarlock.Client, model: KvModel, offset: Offset, operation: list[Any]) -> None:
    """Sends one operation and steps the model; compares."""
    operation = without_no_count(tamed(operation))
    refusal: OarlockError | None = None
    try:
        result = send(client, offset.operation(operation))
    except ArgumentError:
        return
    except OarlockError as error:
        refusal = error
    expected = travelled(model.step([1, *operation])[0])
    if refusal is not None:
        assert [-int(refusal.code), refusal.message, offset.down(refusal.detail)] == expected[1:], operation
        return
    assert offset.reply(operation[0], [1, revision_of(result) or 1, result_of(result)])[2] == expected[2], operation
    if (revision := revision_of(result)) is not None:
        assert offset.down(revision) == expected[1]


def without_no_count(operation: list[Any]) -> list[Any]:
    """The library does not speak of NO_COUNT, and a lease is granted without an answer to compare revisions by."""
    number, *arguments = operation
    if number == Op.RANGE and len(arguments) > 1:
        arguments[1] &= ~int(RangeFlag.NO_COUNT)
    elif number == Op.TXN:
        arguments[1:] = [[without_no_count(list(step)) for step in branch] for branch in arguments[1:]]
    return [number, *arguments]


@settings(LIVE, max_examples=40)
@given(st.lists(operations(with_alarms=False), min_size=10, max_size=40))
def test_typed_results_and_errors_follow_the_model(
    alone: tuple[RawClient, oarlock.Client], run: list[list[Any]]
) -> None:
    raw, client = alone
    offset, model = emptied(raw), KvModel()
    model.step([1, int(Op.COMPACT), 0])
    for operation in run:
        check(client, model, offset, operation)
    assert set(DEFAULTS) >= {operation[0] for operation in run}


@settings(LIVE, max_examples=25)
@given(st.lists(writes, min_size=5, max_size=25), st.integers(0, 25), st.integers(0, 7), st.integers(2, 25))
def test_watchers_live_and_late_get_the_models_events(
    alone: tuple[RawClient, oarlock.Client], run: list[list[Any]], join: int, flags: int, start: int
) -> None:
    if flags & WatchFlag.NO_PUT and flags & WatchFlag.NO_DELETE:
        flags = int(WatchFlag.PREV_KV)
    raw, client = alone
    offset, model = emptied(raw), KvModel()
    model.step([1, int(Op.COMPACT), 0])
    with ExitStack() as stack:
        watches: list[tuple[int, bytes, bytes, oarlock.Watch]] = []
        for number, operation in enumerate([*run, [int(Op.PUT), b"a", b"end"], [int(Op.DELETE), b"a"]]):
            if number == join:
                watches += [opened(stack, client, offset, model.revision + 1, watched, flags) for watched in WATCHED]
            check(client, model, offset, operation)
        first = min(start, model.revision - 1)  # the events of revision 1 are those of the emptying
        watches += [opened(stack, client, offset, first, watched, flags) for watched in WATCHED]
        for begin, key, range_end, watch in watches:
            expected = travelled(model.history(key, flags, range_end, begin))
            assert [offset.event(event_of(next(watch))) for _ in expected] == expected


def opened(
    stack: ExitStack, client: oarlock.Client, offset: Offset, start: int, watched: tuple[bytes, bytes], flags: int
) -> tuple[int, bytes, bytes, oarlock.Watch]:
    """A watch from the model's revision ``start`` on."""
    key, range_end = watched
    watch = client.watch(
        key,
        range_end=range_end or None,
        start_revision=offset.up(start),
        prev_kv=bool(flags & WatchFlag.PREV_KV),
        no_put=bool(flags & WatchFlag.NO_PUT),
        no_delete=bool(flags & WatchFlag.NO_DELETE),
    )
    return start, key, range_end, stack.enter_context(watch)

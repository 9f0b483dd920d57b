"""Transactions: choose by the state before, check the chosen way, then run it.

All compares, those of nested transactions too, see the state before the transaction. Everything that may fail is
checked against that state before the first write, so a transaction that is refused has no effect. Inside, an operation
sees what those before it wrote. (etcd v3 ``server/etcdserver/txn``: compareToPath, checkTxn, executeTxn.)

etcd has one way to fail after the first write, and then it panics: ``delete`` from a key on (which the rule about
duplicate keys overlooks) followed by ``put`` of such a key with IGNORE_VALUE or IGNORE_LEASE. Here the check finds it.
"""

from __future__ import annotations

from operator import eq, gt, itemgetter, lt, ne
from typing import Any, Final, NamedTuple, cast

from oarlock.storage.replica.read import ReadView
from oarlock.storage.replica.write import WriteView
from oarlock.wire.errors import CompactedError, FutureRevisionError, KeyNotFoundError, LeaseNotFoundError
from oarlock.wire.operations import CompareResult, CompareTarget, Op, PutFlag
from oarlock.workers.operation_counts import OPERATIONS
from oarlock.workers.ranges import interval, range_steps
from oarlock.workers.steps import CHUNK_ROWS, Steps
from oarlock.workers.writes import delete_range, put

_RANGE: Final = int(Op.RANGE)
_PUT: Final = int(Op.PUT)
_DELETE: Final = int(Op.DELETE)
_TXN: Final = int(Op.TXN)
_IGNORES: Final = int(PutFlag.IGNORE_VALUE | PutFlag.IGNORE_LEASE)
_COMPARISONS: Final = {
    int(CompareResult.EQUAL): eq,
    int(CompareResult.GREATER): gt,
    int(CompareResult.LESS): lt,
    int(CompareResult.NOT_EQUAL): ne,
}
_FIELDS: Final = {
    int(CompareTarget.VERSION): itemgetter(4),
    int(CompareTarget.CREATE): itemgetter(2),
    int(CompareTarget.MOD): itemgetter(3),
    int(CompareTarget.VALUE): itemgetter(1),
    int(CompareTarget.LEASE): itemgetter(5),
}


class Path(NamedTuple):
    """The way that a transaction takes: (operation, arguments) in order, a nested transaction's arguments its Path."""

    succeeded: bool
    steps: list[tuple[int, Any]]


def transaction_steps(view: ReadView, arguments: list[Any], *, with_reads: bool = True) -> Steps[list[Any]]:
    """Computes the result of a TXN.

    Args:
        view: of the replica; a ``WriteView`` if the transaction has anything but ranges.
        arguments: as ``check_request`` let them pass.
        with_reads: False where nobody looks at the responses: ranges are then left out (their result is None).

    Returns:
        ``[succeeded, responses]``, a response being ``[operation, revision, result]``. The revision of a nested
        transaction's response is 0, as in etcd.

    Raises:
        FutureRevisionError, CompactedError: by the revision of a range.
        KeyNotFoundError: a put with IGNORE_VALUE or IGNORE_LEASE of a key that is not there.
        LeaseNotFoundError: a put with an unknown lease.
            After any of them the transaction has had no effect.
    """
    path = yield from _choose(view, arguments)
    _check(view, path, [])
    if len(path.steps) > 1:
        if isinstance(view, WriteView):
            OPERATIONS.written_txns += 1
        else:
            OPERATIONS.read_txns += 1
    return (yield from _run(view, path, len(getattr(view, "changes", ())), with_reads))


# --- compares ---


def _choose(view: ReadView, arguments: list[Any]) -> Steps[Path]:
    compares, success, failure = arguments
    succeeded = True
    for compare in compares:
        if not (yield from _holds(view, compare)):
            succeeded = False
            break
    steps: list[tuple[int, Any]] = []
    for operation, *rest in success if succeeded else failure:
        steps.append((operation, (yield from _choose(view, rest)) if operation == _TXN else rest))
    return Path(succeeded, steps)


def _holds(view: ReadView, compare: list[Any]) -> Steps[bool]:
    """Whether a compare is true for every key of its interval; an absent key has zeros, and no value to compare."""
    result, target, key, operand = compare[:4]
    compared = _COMPARISONS[result]
    field = _FIELDS[target]
    if len(compare) < 5 or not compare[4]:
        found = view.get(key)
        if found is not None:
            return bool(compared(field(found), operand))
        return target != CompareTarget.VALUE and bool(compared(0, operand))
    start, end = interval(key, compare[4])
    rows = 0
    for kv in view.scan(start, end, keys_only=target != CompareTarget.VALUE):
        if not compared(field(kv), operand):
            return False
        rows += 1
        if rows % CHUNK_ROWS == 0:
            yield CHUNK_ROWS
    return rows > 0 or (target != CompareTarget.VALUE and bool(compared(0, operand)))


# --- checks ---


def _check(view: ReadView, path: Path, earlier: list[tuple[int, Any]]) -> None:
    """Refuses what cannot run. ``earlier`` collects the operations that will have run before."""
    for operation, arguments in path.steps:
        if operation == _TXN:
            _check(view, arguments, earlier)
        elif operation == _RANGE:
            _check_revision(view, arguments[4] if len(arguments) > 4 else 0)
        elif operation == _PUT:
            if len(arguments) > 3 and arguments[3] & _IGNORES:
                _check_presence(view, arguments[0], earlier)
            if len(arguments) > 2 and arguments[2] and view.lease(arguments[2]) is None:
                raise LeaseNotFoundError
        earlier.append((operation, arguments))


def _check_revision(view: ReadView, revision: int) -> None:
    """etcd's checkRange: stricter than a range alone, for which every negative revision means the present."""
    if revision > view.revision:
        raise FutureRevisionError
    if revision and revision < view.compact_revision:
        raise CompactedError(detail=max(view.compact_revision, 0))


def _check_presence(view: ReadView, key: bytes, earlier: list[tuple[int, Any]]) -> None:
    """Refuses a put that relies on a key which is absent, or will be deleted before it."""
    if view.get(key) is None:
        raise KeyNotFoundError
    for operation, arguments in reversed(earlier):
        if operation == _PUT and arguments[0] == key:
            return
        if operation == _DELETE:
            start, end = interval(arguments[0], arguments[2] if len(arguments) > 2 else b"")
            if start <= key and (end is None or key < end):
                raise KeyNotFoundError


# --- execution ---


def _run(view: ReadView, path: Path, changes_before: int, with_reads: bool) -> Steps[list[Any]]:
    responses: list[list[Any]] = []
    writes = cast(WriteView, view)
    for operation, arguments in path.steps:
        if operation == _RANGE:
            result: Any = (yield from range_steps(view, arguments)) if with_reads else None
        elif operation == _PUT:
            result = put(writes, arguments)
        elif operation == _DELETE:
            result = delete_range(writes, arguments)
        else:
            responses.append([_TXN, 0, (yield from _run(view, arguments, changes_before, with_reads))])
            continue
        changed = len(getattr(view, "changes", ())) > changes_before
        responses.append([operation, view.revision + changed, result])
    return [path.succeeded, responses]

"""Transactions: choose by the state before, check the chosen way, then run it.

All compares, those of nested transactions too, see the state before the transaction. Everything that may fail is
checked against that state before the first write, so a transaction that is refused has no effect. Inside, an operation
sees what those before it wrote. (etcd v3 ``server/etcdserver/txn``: compareToPath, checkTxn, executeTxn.)

etcd has one way to fail after the first write, and then it panics: ``delete`` from a key on (which the rule about
duplicate keys overlooks) followed by ``put`` of such a key with IGNORE_VALUE or IGNORE_LEASE. Here the check finds it.
"""

from __future__ import annotations

from operator import eq, gt, itemgetter, lt, ne
from typing import Any, Final

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
_VALUE: Final = int(CompareTarget.VALUE)
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


class Path:
    """The way that a transaction takes: (operation, arguments) in order, a nested transaction's arguments its Path."""

    # No NamedTuple: those are made by the interpreter, also where the rest is compiled.
    __slots__ = ("steps", "succeeded")

    def __init__(self, succeeded: bool, steps: list[tuple[int, Any]]) -> None:
        self.succeeded = succeeded
        self.steps = steps


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
    writes = view if isinstance(view, WriteView) else None
    if len(path.steps) > 1:
        if writes is not None:
            OPERATIONS.written_txns += 1
        else:
            OPERATIONS.read_txns += 1
    changes_before = 0 if writes is None else len(writes.changes)
    result = yield from _run(view, writes, path, changes_before, with_reads)
    return result


# --- compares ---


def _choose(view: ReadView, arguments: list[Any]) -> Steps[Path]:
    compares, success, failure = arguments
    succeeded = True
    for compare in compares:
        if len(compare) < 5 or not compare[4]:
            succeeded = _holds(view, compare)
        else:
            succeeded = yield from _holds_for_all(view, compare)
        if not succeeded:
            break
    steps: list[tuple[int, Any]] = []
    for operation in success if succeeded else failure:
        taken = operation[1:]
        if operation[0] == _TXN:
            taken = yield from _choose(view, taken)
        steps.append((operation[0], taken))
    return Path(succeeded, steps)


def _holds(view: ReadView, compare: list[Any]) -> bool:
    """Whether a compare is true for its key; an absent one has zeros, and no value to compare."""
    result, target, key, operand = compare[:4]
    found = view.get(key)
    if found is not None:
        return bool(_COMPARISONS[result](_FIELDS[target](found), operand))
    return target != _VALUE and bool(_COMPARISONS[result](0, operand))


def _holds_for_all(view: ReadView, compare: list[Any]) -> Steps[bool]:
    """Whether a compare is true for every key of its interval; where there is none, as for an absent one."""
    result, target, key, operand, range_end = compare
    compared = _COMPARISONS[result]
    field = _FIELDS[target]
    start, end = interval(key, range_end)
    rows = 0
    for kv in view.scan(start, end, keys_only=target != _VALUE):
        if not compared(field(kv), operand):
            return False
        rows += 1
        if rows % CHUNK_ROWS == 0:
            yield CHUNK_ROWS
    return rows > 0 or (target != _VALUE and bool(compared(0, operand)))


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
    for operation, arguments in earlier[::-1]:
        if operation == _PUT and arguments[0] == key:
            return
        if operation == _DELETE:
            start, end = interval(arguments[0], arguments[2] if len(arguments) > 2 else b"")
            if start <= key and (end is None or key < end):
                raise KeyNotFoundError


# --- execution ---


def _run(
    view: ReadView, writes: WriteView | None, path: Path, changes_before: int, with_reads: bool
) -> Steps[list[Any]]:
    responses: list[list[Any]] = []
    for operation, arguments in path.steps:
        if operation == _TXN:
            nested = yield from _run(view, writes, arguments, changes_before, with_reads)
            responses.append([_TXN, 0, nested])
            continue
        result: Any = None
        if operation == _RANGE:
            if with_reads:
                result = yield from range_steps(view, arguments)
        else:
            assert writes is not None  # a transaction that writes has a view for it
            result = put(writes, arguments) if operation == _PUT else delete_range(writes, arguments)
        changed = writes is not None and len(writes.changes) > changes_before
        responses.append([operation, view.revision + changed, result])
    return [path.succeeded, responses]

"""A transaction must not write one key twice: etcd's rule, with its gaps.

In one branch, two puts of a key, or a put of a key that a delete covers, are refused whatever their order. What a
nested transaction puts and deletes counts as put and deleted by the level around it; only one of its branches runs, so
they may put the same key. Deletes may overlap. (etcd v3 ``api/v3rpc/key.go``, checkIntervals.)

Two gaps are etcd's, and kept: a ``range_end`` of one zero byte is taken literally here, so that delete-from-key does
not conflict with a put; and a put in a nested transaction does not conflict with a delete in a later one beside it.

Worked example, a branch of four operations::

    delete [a, c)                      deleted = [a, c)
    txn: then put d, else put d        both branches put d: allowed; puts = {d}
    txn: then delete [d, e)            d was put earlier: not noticed; deleted = [a, c) [d, e)
    put d                              refused: d is in puts (and in deleted)
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any, Final

from oarlock.wire.errors import DuplicateKeyError
from oarlock.wire.operations import Op

_PUT: Final = int(Op.PUT)
_DELETE: Final = int(Op.DELETE)
_TXN: Final = int(Op.TXN)


class Intervals:
    """A set of half-open intervals of keys.

    Invariant: ``_starts`` and ``_ends`` are sorted, and intervals do not touch: start[i] < end[i] < start[i+1]. So a
    look-up is one bisection, however many deletes a request has.
    """

    __slots__ = ("_ends", "_starts")

    def __init__(self) -> None:
        self._starts: list[bytes] = []
        self._ends: list[bytes] = []

    def add(self, start: bytes, end: bytes) -> None:
        """Adds [start, end); nothing where that is empty."""
        if start >= end:
            return
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:  # intervals first..last-1 touch the new one: they become one
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def update(self, other: Intervals) -> None:
        """Adds all of ``other``."""
        for start, end in zip(other._starts, other._ends, strict=True):
            self.add(start, end)

    def __contains__(self, key: bytes) -> bool:
        place = bisect_right(self._starts, key) - 1
        return place >= 0 and key < self._ends[place]


def check_duplicates(branch: list[Any]) -> None:
    """Refuses a branch of a transaction that writes a key twice.

    Args:
        branch: operations of known shape, nested no deeper than MAX_TXN_DEPTH.

    Raises:
        DuplicateKeyError: it does.
    """
    if len(branch) > 1 or (branch and branch[0][0] == _TXN):  # one operation writes no key twice
        _collect(branch)


def _collect(branch: list[Any]) -> tuple[set[bytes], Intervals]:
    deleted = Intervals()
    for operation in branch:
        if operation[0] == _DELETE:
            key = operation[1]
            range_end = operation[3] if len(operation) > 3 else b""
            deleted.add(key, range_end or key + b"\0")
    puts: set[bytes] = set()
    for operation in branch:
        if operation[0] == _TXN:
            _collect_nested(operation, puts, deleted)
    for operation in branch:
        if operation[0] == _PUT:
            _add_put(operation[1], puts, deleted)
    return puts, deleted


def _collect_nested(operation: list[Any], puts: set[bytes], deleted: Intervals) -> None:
    then_puts, then_deleted = _collect(operation[2])
    else_puts, else_deleted = _collect(operation[3])
    for key in then_puts | else_puts:
        _add_put(key, puts, deleted)
    deleted.update(then_deleted)
    deleted.update(else_deleted)


def _add_put(key: bytes, puts: set[bytes], deleted: Intervals) -> None:
    if key in puts or key in deleted:
        raise DuplicateKeyError
    puts.add(key)

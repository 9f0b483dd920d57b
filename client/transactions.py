"""Builders for transactions: what to compare, and what to do then or else.

>>> import oarlock
>>> compare = oarlock.value("door") == "open"
>>> compare.wire
[0, 3, b'door', b'open']
>>> oarlock.ops.put("door", "shut").wire
[10, b'door', b'shut']
"""

from __future__ import annotations

from typing import Any, Final

from oarlock import calls
from oarlock.arguments import INT64_MIN, check_int, to_bytes
from oarlock.results import TransactionResult
from oarlock.wire.operations import CompareResult, CompareTarget, Op, prefix_end

_BUILDERS: Final = {"compare": "value(...) == ... and its like", "success": "ops", "failure": "ops"}


class Compare:
    """One condition of a transaction, ready to travel as ``wire``."""

    __slots__ = ("wire",)

    def __init__(self, wire: list[Any]) -> None:
        self.wire = wire

    def __repr__(self) -> str:
        return f"Compare({self.wire!r})"


class Operation:
    """One operation of a transaction, ready to travel as ``wire``; ``call`` knows how to read its response."""

    __slots__ = ("call", "wire")

    def __init__(self, call: calls.Call[Any]) -> None:
        self.call = call
        self.wire = [int(call.op), *call.arguments]

    def __repr__(self) -> str:
        return f"Operation({self.wire!r})"


class Comparable:
    """An attribute of a key (or of every key in a range) that ``==``, ``!=``, ``<`` and ``>`` turn into a Compare.

    A comparison holds if ``stored <operator> given`` does, for every key of the range. An absent key has version,
    revisions and lease 0; its value compares false with everything (etcd, applyCompare).
    """

    __slots__ = ("_key", "_range_end", "_target")

    def __init__(self, target: CompareTarget, key: str | bytes, range_end: str | bytes, prefix: bool) -> None:
        self._target = target
        self._key = to_bytes("key", key)
        self._range_end = prefix_end(self._key) if prefix else to_bytes("range_end", range_end)
        if prefix and not self._key:
            self._key = b"\0"

    def _compare(self, result: CompareResult, operand: Any) -> Compare:
        if self._target == CompareTarget.VALUE:
            operand = to_bytes("the value to compare with", operand)
        else:
            operand = check_int("the number to compare with", operand, INT64_MIN)
        wire = [int(result), int(self._target), self._key, operand]
        return Compare([*wire, self._range_end] if self._range_end else wire)

    def __eq__(self, operand: object) -> Compare:  # type: ignore[override]
        return self._compare(CompareResult.EQUAL, operand)

    def __ne__(self, operand: object) -> Compare:  # type: ignore[override]
        return self._compare(CompareResult.NOT_EQUAL, operand)

    def __lt__(self, operand: str | bytes | int) -> Compare:
        return self._compare(CompareResult.LESS, operand)

    def __gt__(self, operand: str | bytes | int) -> Compare:
        return self._compare(CompareResult.GREATER, operand)

    __hash__ = None  # type: ignore[assignment]  # what == means here would break every set


def value(key: str | bytes, *, range_end: str | bytes = b"", prefix: bool = False) -> Comparable:
    """The value of ``key``, or of every key in [key, range_end), or with the prefix ``key``."""
    return Comparable(CompareTarget.VALUE, key, range_end, prefix)


def version(key: str | bytes, *, range_end: str | bytes = b"", prefix: bool = False) -> Comparable:
    """How often ``key`` was written since it was created; 0 where there is no such key."""
    return Comparable(CompareTarget.VERSION, key, range_end, prefix)


def create_revision(key: str | bytes, *, range_end: str | bytes = b"", prefix: bool = False) -> Comparable:
    """The revision that created ``key``; 0 where there is no such key."""
    return Comparable(CompareTarget.CREATE, key, range_end, prefix)


def mod_revision(key: str | bytes, *, range_end: str | bytes = b"", prefix: bool = False) -> Comparable:
    """The revision that last wrote ``key``; 0 where there is no such key."""
    return Comparable(CompareTarget.MOD, key, range_end, prefix)


def lease_of(key: str | bytes, *, range_end: str | bytes = b"", prefix: bool = False) -> Comparable:
    """The lease that ``key`` hangs on; 0 for none."""
    return Comparable(CompareTarget.LEASE, key, range_end, prefix)


class ops:  # noqa: N801  # a namespace: reads as a module where it is used, oarlock.ops.put(...)
    """The operations of a transaction's branches; arguments as in the client's methods of the same name."""

    @staticmethod
    def put(key: str | bytes, value: str | bytes, **options: Any) -> Operation:
        """A put. Options: lease, prev_kv, ignore_value, ignore_lease."""
        return Operation(calls.put(key, value, **options))

    @staticmethod
    def get(key: str | bytes, *, range_end: str | bytes = b"", prefix: bool = False, **options: Any) -> Operation:
        """A read of one key or of a range; its response is a RangeResult. Options: those of ``get_range``."""
        if prefix:
            return Operation(calls.get_prefix(key, **options))
        return Operation(calls.range_(key, range_end, **options))

    @staticmethod
    def delete(
        key: str | bytes, *, range_end: str | bytes = b"", prefix: bool = False, prev_kv: bool = False
    ) -> Operation:
        """A deletion of one key or of a range."""
        if prefix:
            return Operation(calls.delete_prefix(key, prev_kv=prev_kv))
        return Operation(calls.delete(key, range_end, prev_kv=prev_kv))

    @staticmethod
    def transaction(
        compare: list[Compare] | None = None,
        success: list[Operation] | None = None,
        failure: list[Operation] | None = None,
    ) -> Operation:
        """A transaction inside the transaction; its comparisons see the state before the outermost one."""
        return Operation(transaction(compare or [], success or [], failure or []))


def transaction(
    compare: list[Compare], success: list[Operation], failure: list[Operation]
) -> calls.Call[TransactionResult]:
    """The call of a transaction.

    Raises:
        TypeError: something in the lists was not made by the builders of this module.
    """
    arguments = (
        _wires("compare", Compare, compare),
        _wires("success", Operation, success),
        _wires("failure", Operation, failure),
    )
    return calls.Call(Op.TXN, arguments, calls.decode_transaction)


def _wires(name: str, expected: type[Compare] | type[Operation], items: list[Any]) -> list[Any]:
    for item in items:
        if not isinstance(item, expected):
            raise TypeError(f"{name} must hold what oarlock.{_BUILDERS[name]} makes, not {item!r}")
    return [item.wire for item in items]

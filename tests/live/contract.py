"""One operation after the other, to the model, the bare state machine and a live server at once.

A live server keeps its revisions from example to example, where the model begins at 1. So a run begins with an empty
store that is compacted just below its revision B, and B stands for the model's revision 1: numbers that mean revisions
are moved up by ``offset`` = B - 1 on the way to the server, and down on the way back. 0 and negative numbers mean the
same to both; numbers that would grow beyond 2**63-1 stay there, above every revision.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oarlock.wire.errors import OarlockError
from oarlock.wire.frames import pack_error
from oarlock.wire.operations import FROM_KEY, AlarmAction, CompareTarget, Op
from oarlock.workers.routing import is_write
from oarlock.workers.validation import Limits, check_request
from tests.model.kv_model import KvModel
from tests.workers.harness import Harness, travelled

from .raw import RawClient

MAX_TXN_OPS = 6
INT64_MAX = (1 << 63) - 1
LEAST_TTL_S = 60
"""Leases of random runs do not expire while the run lasts: expiry has tests of its own."""

_REVISION_ARGUMENTS = (4, 7, 8, 9, 10)  # of a RANGE: revision, min_mod, max_mod, min_create, max_create


class Offset:
    """Translates between the model's revisions and a server's."""

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def up(self, revision: int) -> int:
        """A revision of the model, as the server counts."""
        return min(revision + self._offset, INT64_MAX) if revision > 0 else revision

    def down(self, revision: int) -> int:
        """A revision of the server, as the model counts; 0 stays."""
        return revision - self._offset if revision > 0 else revision

    def operation(self, operation: list[Any]) -> list[Any]:
        """An operation whose revisions are the server's."""
        number, *arguments = operation
        if number == Op.RANGE:
            for place in _REVISION_ARGUMENTS:
                if place < len(arguments):
                    arguments[place] = self.up(arguments[place])
        elif number == Op.COMPACT:
            arguments[0] = self.up(arguments[0])
        elif number == Op.TXN:
            compares, success, failure = arguments
            arguments = [
                [self._compare(compare) for compare in compares],
                [self.operation(step) for step in success],
                [self.operation(step) for step in failure],
            ]
        return [number, *arguments]

    def _compare(self, compare: list[Any]) -> list[Any]:
        result, target, key, operand, *range_end = compare
        if target in (CompareTarget.CREATE, CompareTarget.MOD):
            operand = self.up(operand)
        return [result, target, key, operand, *range_end]

    def reply(self, operation: int, reply: list[Any]) -> list[Any]:
        """A reply item with the model's revisions."""
        sequence, revision, *rest = reply
        if revision < 0:
            return [sequence, revision, rest[0], self.down(rest[1])]
        return [sequence, self.down(revision), self._result(operation, rest[0])]

    def kv(self, kv: list[Any] | None) -> list[Any] | None:
        """A kv with the model's revisions."""
        return kv and [kv[0], kv[1], self.down(kv[2]), self.down(kv[3]), *kv[4:]]

    def event(self, event: list[Any]) -> list[Any]:
        """An event with the model's revisions."""
        return [event[0], self.kv(event[1]), self.kv(event[2])]

    def _result(self, operation: int, result: Any) -> Any:
        if operation == Op.RANGE:
            return [[self.kv(kv) for kv in result[0]], *result[1:]]
        if operation == Op.PUT:
            return self.kv(result)
        if operation == Op.DELETE:
            return [result[0], [self.kv(kv) for kv in result[1]]]
        if operation == Op.TXN:
            return [result[0], [[each[0], self.down(each[1]), self._result(each[0], each[2])] for each in result[1]]]
        if operation == Op.LEASE_LIST:
            return [sorted(result[0])]  # etcd's order, by the time left, depends on the clock
        return result


def emptied(raw: RawClient) -> Offset:
    """Makes the server's store empty; returns how its revisions relate to those of a new model."""
    for member, alarm in raw.ask_one(int(Op.ALARM), int(AlarmAction.GET), 0, 0)[2]:
        raw.ask_one(int(Op.ALARM), int(AlarmAction.DEACTIVATE), member, alarm)
    for lease in raw.ask_one(int(Op.LEASE_LIST))[2][0]:
        raw.ask_one(int(Op.LEASE_REVOKE), lease)
    raw.ask_one(int(Op.PUT), b"\0", b"")  # so that there is a new revision, above the last compaction
    base = raw.ask_one(int(Op.DELETE), b"\0", 0, FROM_KEY)[1]
    assert raw.ask_one(int(Op.COMPACT), base - 1)[1] > 0
    return Offset(base - 1)


def tamed(operation: list[Any]) -> list[Any]:
    """The operation, with what depends on the clock or on chance taken out."""
    if operation[0] == Op.LEASE_GRANT:
        return [operation[0], operation[1] or 5, max(operation[2], LEAST_TTL_S)]
    return operation


class Trio:
    """A model, a bare state machine and a live server, all empty, at the model's revision 1, compacted at 0.

    Args:
        raw: a connection to the server, which nobody else uses meanwhile.
        directory: for the bare state machine.
    """

    def __init__(self, raw: RawClient, directory: Path) -> None:
        self.raw = raw
        self.offset = emptied(raw)
        self.model = KvModel(MAX_TXN_OPS)
        self.machine = Harness(directory)
        compaction = [int(Op.COMPACT), 0]
        self.model.step([1, *compaction])
        self.machine.write(compaction)
        self._waiting: list[list[Any]] = []

    def issue(self, operation: list[Any], *, alone: bool = True) -> None:
        """Sends an operation; a write may travel with the next ones in one message, and is compared with them."""
        operation = tamed(operation)
        together = operation[0] in (Op.PUT, Op.DELETE, Op.COMPACT) or (
            operation[0] == Op.TXN and is_write([1, *operation])
        )
        if not together:
            self.flush()
        self._waiting.append(operation)
        if alone or not together:
            self.flush()

    def flush(self) -> None:
        """Sends what waits, and compares."""
        operations, self._waiting = self._waiting, []
        if not operations:
            return
        replies = self.raw.ask(*(self.offset.operation(operation) for operation in operations))
        for operation, reply in zip(operations, replies, strict=True):
            expected = travelled(self.model.step([1, *operation])[0])
            assert [1, *self.offset.reply(operation[0], reply)[1:]] == expected, operation
            assert self._of_machine(operation) == expected, operation

    def _of_machine(self, operation: list[Any]) -> list[Any]:
        request = [1, *operation]
        try:
            check_request(request, Limits(max_txn_ops=MAX_TXN_OPS))
        except OarlockError as error:
            return pack_error(1, error)
        reply = self.machine.write(operation)[0] if is_write(request) else self.machine.read(request)
        return [*reply[:2], [sorted(reply[2][0])]] if operation[0] == Op.LEASE_LIST and reply[1] > 0 else reply

    def close(self) -> None:
        """Ends the bare state machine."""
        self.machine.close()

"""What the recipes that run inside the server share: requests, errors, and how many calls may wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from oarlock.gateway.grpc.status import Status
from oarlock.gateway.service import Backend, is_error
from oarlock.wire.errors import Code, OverloadedError
from oarlock.wire.operations import CompareResult, CompareTarget, Op, RangeFlag, SortOrder, SortTarget, prefix_end

MAX_CALLS: Final = 10_000
"""Calls of one service under way on one worker, most of them waiting: each takes some 4 kB, and its stream more."""
OWN_LEASE_TTL_S: Final = 60
"""Of the lease that a caller without one gets (etcd: the default of a session). Nobody keeps it alive."""


class Room:
    """Counts the calls of a service that are under way.

    Args:
        most_calls: that may be.
    """

    def __init__(self, most_calls: int = MAX_CALLS) -> None:
        self.calls = 0
        self._most_calls = most_calls

    def enter(self) -> None:
        """One more.

        Raises:
            OverloadedError: there are as many as may be.
        """
        if self.calls >= self._most_calls:
            raise OverloadedError(f"{OverloadedError.text}: {self._most_calls} calls wait on this worker")
        self.calls += 1

    def leave(self) -> None:
        """One less."""
        self.calls -= 1


def plain_error(text: str) -> Status:
    """The status with which these services tell every error (etcd: its client inside the server drops the codes)."""
    return Status(Code.UNKNOWN, text)


def first_below(prefix: bytes) -> list[Any]:
    """The range that finds the oldest key that begins with ``prefix``."""
    flags = int(RangeFlag.NO_COUNT)
    return [int(Op.RANGE), prefix, flags, prefix_end(prefix), 1, 0, int(SortOrder.ASCEND), int(SortTarget.CREATE)]


def while_created_at(key: bytes, create_revision: int, operation: list[Any]) -> list[Any]:
    """The transaction that does ``operation`` if ``key`` is still the one that was created at that revision."""
    return [int(Op.TXN), [created_at(key, create_revision)], [operation], []]


def created_at(key: bytes, create_revision: int) -> list[Any]:
    """The comparison that ``key`` was created at that revision; 0 for a key that is not there."""
    return [int(CompareResult.EQUAL), int(CompareTarget.CREATE), key, create_revision]


def ensure_lease(backend: Backend, lease: int, go_on: Callable[[int], None], give_up: Callable[[str], None]) -> None:
    """Calls ``go_on`` with ``lease``, or with a new one in place of 0, or else ``give_up`` with the error's text."""
    if lease:
        go_on(lease)
        return

    def granted(item: Any) -> None:
        if is_error(item):
            give_up(item[2])
        else:
            go_on(item[2][0])

    backend.submit([int(Op.LEASE_GRANT), 0, OWN_LEASE_TTL_S], granted)

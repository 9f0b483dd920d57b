"""Reads that may be long, as computations in slices, by operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oarlock.storage.replica import ReadView
from oarlock.wire.operations import Op
from oarlock.workers.alarms import Alarms
from oarlock.workers.history import history_steps
from oarlock.workers.ranges import range_steps
from oarlock.workers.steps import CHUNK_ROWS, Steps
from oarlock.workers.transactions import transaction_steps

MAX_RESULT_BYTES = 32 << 20
"""Of a result that is not paged: half of the longest frame."""


def steps_of(view: ReadView, request: list[Any], *, encoded: bool = False) -> Steps[Any]:
    """The computation that answers ``request``, a read that ``check_request`` let pass, from ``view``.

    Args:
        view: of the replica.
        request: a read that ``check_request`` let pass.
        encoded: see ``range_steps``.
    """
    if encoded and request[1] == Op.RANGE:
        return range_steps(view, request[2:], max_bytes=MAX_RESULT_BYTES, encoded=True)
    return _STEPS[request[1]](view, request[2:])


def _range(view: ReadView, arguments: list[Any]) -> Steps[list[Any]]:
    return range_steps(view, arguments, max_bytes=MAX_RESULT_BYTES)


def _lease_list(view: ReadView, arguments: list[Any]) -> Steps[list[Any]]:
    ids = []
    for lease_id, _ in view.leases():
        ids.append(lease_id)
        if len(ids) % 256 == 0:
            yield 256
    return [ids]


def _alarms(view: ReadView, arguments: list[Any]) -> Steps[list[Any]]:
    yield 1
    return Alarms(view).of_kind(arguments[2])


def _hash_kv(view: ReadView, arguments: list[Any]) -> Steps[list[Any]]:
    hashing = view.hash_kv(arguments[0] if arguments else 0)
    while not hashing.step(CHUNK_ROWS):
        yield CHUNK_ROWS
    return [hashing.hash, hashing.compact_revision, hashing.hash_revision]


_STEPS: dict[int, Callable[[ReadView, list[Any]], Steps[Any]]] = {
    Op.RANGE: _range,
    Op.TXN: transaction_steps,
    Op.WATCH_HISTORY: history_steps,
    Op.LEASE_LIST: _lease_list,
    Op.ALARM: _alarms,
    Op.HASH_KV: _hash_kv,
}

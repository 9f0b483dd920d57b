"""Histories of a live server: performs actions with Oarlock's clients and records what came of them.

A thread of a test, and a task::

    record(recorder, number, client, Put(b"a", b"1"))
    await record_async(recorder, number, aio_client, Put(b"a", b"1"))
"""

from __future__ import annotations

from typing import Any

from oarlock import results, transactions
from oarlock.results import DeleteResult, KeyValue, PutResult, RangeResult
from oarlock.results import Event as ClientEvent
from oarlock.wire.errors import OarlockError, RequestError

from .records import Answer, Recorder
from .store import Action, Compare, Delete, Event, Get, Put, Result, Simple, Stored, Transaction, TransactionResult

COMPARABLES = {
    "value": transactions.value,
    "version": transactions.version,
    "create_revision": transactions.create_revision,
    "mod_revision": transactions.mod_revision,
}


def record(recorder: Recorder, number: int, client: Any, action: Action) -> Answer | None:
    """Performs ``action`` with a sync client; an error is recorded, not raised.

    Returns:
        The answer, or None where the outcome is unknown or the server refused.
    """
    call = recorder.begin(number, action)
    try:
        result = send(client, action)
    except RequestError:
        call.refused()
        return None
    except OarlockError:
        return None
    call.answered(answer(result))
    return call.answer


async def record_async(recorder: Recorder, number: int, client: Any, action: Action) -> Answer | None:
    """``record`` with an asyncio client."""
    call = recorder.begin(number, action)
    try:
        result = await send(client, action)
    except RequestError:
        call.refused()
        return None
    except OarlockError:
        return None
    call.answered(answer(result))
    return call.answer


def send(client: Any, action: Action) -> Any:
    """The request of ``action``: the result of a sync client, or what an asyncio client gives to await."""
    if isinstance(action, Transaction):
        return client.transaction(
            compare=[_comparison(compare) for compare in action.compares],
            success=[_operation(part) for part in action.success],
            failure=[_operation(part) for part in action.failure],
        )
    if isinstance(action, Put):
        return client.put(action.key, action.value)
    if isinstance(action, Delete):
        return client.delete(action.key)
    return client.range(action.key, serializable=action.serializable)


def answer(result: Any) -> Answer:
    """What a client's typed result says, in the terms of the store."""
    if isinstance(result, results.TransactionResult):
        parts = tuple(_simple_result(part) for part in result.responses)
        return Answer(result.header.revision, TransactionResult(result.succeeded, parts))
    return Answer(result.header.revision, _simple_result(result))


def event_of(event: ClientEvent) -> Event:
    """A client's watch event, in the terms of the store."""
    return Event(event.mod_revision, event.key, None if event.is_delete else _stored(event.kv))


def _simple_result(result: Any) -> Result:
    if isinstance(result, RangeResult):
        return _stored(result.kvs[0]) if result.kvs else None
    if isinstance(result, DeleteResult):
        return result.deleted
    assert isinstance(result, PutResult)
    return None


def _stored(kv: KeyValue) -> Stored:
    return Stored(kv.value, kv.create_revision, kv.mod_revision, kv.version)


def _comparison(compare: Compare) -> Any:
    comparable: Any = COMPARABLES[compare.target](compare.key)
    match compare.relation:
        case "==":
            return comparable == compare.operand
        case "!=":
            return comparable != compare.operand
        case "<":
            return comparable < compare.operand
        case _:
            return comparable > compare.operand


def _operation(action: Simple) -> Any:
    if isinstance(action, Put):
        return transactions.ops.put(action.key, action.value)
    if isinstance(action, Get):
        return transactions.ops.get(action.key)
    return transactions.ops.delete(action.key)

"""WATCH_HISTORY: the events of a range that a watcher has missed, in whole revisions, as many as fit in an answer."""

from __future__ import annotations

from typing import Any, Final

from oarlock.storage.replica.read import ReadView
from oarlock.wire.errors import CompactedError
from oarlock.wire.operations import FROM_KEY, Event, EventType, KeyValue, WatchFlag
from oarlock.workers.ranges import interval
from oarlock.workers.steps import CHUNK_ROWS, Steps

MAX_HISTORY_BYTES: Final = 16 * 1024 * 1024
"""An answer is cut after so much, whatever the request allows: a quarter of the longest frame, since one revision more
may follow the cut."""

EVENT_OVERHEAD_BYTES: Final = 48
"""Of an event on the wire beside its keys and values, about."""

_PUT: Final = int(EventType.PUT)
_FILTERS: Final = ((_PUT, int(WatchFlag.NO_PUT)), (int(EventType.DELETE), int(WatchFlag.NO_DELETE)))


def history_steps(view: ReadView, arguments: list[Any]) -> Steps[list[Any]]:
    """Computes the result of a WATCH_HISTORY.

    Args:
        view: of the replica.
        arguments: as ``check_request`` let them pass.

    Returns:
        ``[events, next_revision]``: all events from the start revision on, in order, up to the first revision that
        begins after ``max_bytes`` are full; that one is the next revision. If there is none, the next revision is
        the one after the view's, or the start revision where that is later.

    Raises:
        CompactedError: the start revision is below the compaction's (which can still be read); ``detail`` is it.
    """
    key, flags, range_end, revision, _, max_bytes = arguments
    if revision < 0:
        raise CompactedError
    if revision < view.compact_revision:
        raise CompactedError(detail=view.compact_revision)
    start, end = interval(key or FROM_KEY, range_end)
    unwanted = {kind for kind, flag in _FILTERS if flags & flag}
    previous = bool(flags & WatchFlag.PREV_KV)
    budget = min(max_bytes, MAX_HISTORY_BYTES)
    events: list[Event] = []
    while revision <= view.revision and budget > 0:
        page, revision = view.history_page(
            start, end, revision, view.revision, max_bytes=budget, max_events=CHUNK_ROWS, previous=previous
        )
        for event in page:
            if event[0] not in unwanted:
                events.append(_without_forerunner(event))
                budget -= _size(event[1]) + (_size(event[2]) if event[2] else 0)
        yield CHUNK_ROWS
    return [events, revision]


def _without_forerunner(event: Event) -> Event:
    """A creation has no previous kv, even if its transaction deleted the key before (etcd: IsCreate)."""
    kind, kv, _ = event
    return (kind, kv, None) if kind == _PUT and kv[2] == kv[3] else event


def _size(kv: KeyValue) -> int:
    return len(kv[0]) + len(kv[1]) + EVENT_OVERHEAD_BYTES

"""Ranges: what a RANGE request answers, read from one view of the replica.

The order of work is etcd's (``server/etcdserver/txn``, executeRange): fetch in key order, drop what the bounds on
revisions exclude, sort, cut to the limit, strip the values. Two of its quirks are kept: the limit cuts the fetch (to
one more than the limit) whenever the order is NONE, even if another sort target then sorts what was fetched; and
``count`` counts the interval, whatever limit and bounds say. Equal sort keys keep the order of their keys, either way
round.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any, Final

from oarlock.storage.replica.read import ReadView
from oarlock.wire.errors import ResultTooLargeError
from oarlock.wire.operations import CUT, FROM_KEY, KeyValue, RangeFlag, SortOrder, SortTarget
from oarlock.workers.operation_counts import OPERATIONS
from oarlock.workers.pages import EncodedPage, KvPage, Page, bytes_of
from oarlock.workers.steps import Steps

PAGE_BYTES: Final = 1 << 20
"""Of a PAGED result: about ten milliseconds of reading and packing, and what may wait for a client that does not
read."""
MOST_ROWS: Final = 1 << 62
"""What a limit may be and still be counted beyond: as good as none."""

_DEFAULTS: Final = (b"", 0, b"", 0, 0, 0, 0, 0, 0, 0, 0, 0)
_SERIALIZABLE: Final = int(RangeFlag.SERIALIZABLE)
_KEYS_ONLY: Final = int(RangeFlag.KEYS_ONLY)
_COUNT_ONLY: Final = int(RangeFlag.COUNT_ONLY)
_NO_COUNT: Final = int(RangeFlag.NO_COUNT)
_PAGED: Final = int(RangeFlag.PAGED)
_NO_VALUE: Final = _KEYS_ONLY | _COUNT_ONLY
_SORT_FIELDS: Final = {
    int(SortTarget.KEY): itemgetter(0),
    int(SortTarget.VERSION): itemgetter(4),
    int(SortTarget.CREATE): itemgetter(2),
    int(SortTarget.MOD): itemgetter(3),
    int(SortTarget.VALUE): itemgetter(1),
}


def interval(key: bytes, range_end: bytes) -> tuple[bytes, bytes | None]:
    """The interval of etcd's (key, range_end) as (start, end): end is exclusive, None for no end.

    >>> interval(b"a", b""), interval(b"a", b"c"), interval(b"a", FROM_KEY), interval(FROM_KEY, FROM_KEY)
    ((b'a', b'a\\x00'), (b'a', b'c'), (b'a', None), (b'', None))
    """
    if not range_end:
        return key, key + b"\0"
    if range_end == FROM_KEY:
        return (b"" if key == FROM_KEY else key), None
    return key, range_end


def get(view: ReadView, request: list[Any]) -> list[Any] | None:
    """Answers a RANGE of one key without options at once.

    Args:
        view: of the replica.
        request: a RANGE that ``check_request`` let pass.

    Returns:
        The reply item; None if this is not a request of that kind.

    Raises:
        CompactedError, FutureRevisionError: by the revision asked for.
    """
    length = len(request)
    revision = 0
    if length > 3:
        if request[3] & _NO_VALUE:
            return None
        if length > 4:
            if request[4] or any(request[9:13]):
                return None
            revision = request[6] if length > 6 else 0
    OPERATIONS.ranges += 1
    found = view.get(request[2], revision if revision > 0 else 0)
    if found is None:
        return [request[0], view.revision, [(), False, 0]]
    return [request[0], view.revision, [(found,), False, 1]]


def range_steps(
    view: ReadView,
    arguments: list[Any],
    *,
    max_bytes: int | None = None,
    page_bytes: int = PAGE_BYTES,
    encoded: bool = False,
) -> Steps[list[Any]]:
    """Computes the result of a RANGE.

    Args:
        view: of the replica; in a write transaction its own writes are seen.
        arguments: as ``check_request`` let them pass.
        max_bytes: of keys and values in the result; None inside a transaction, which may not fail half-way.
        page_bytes: of keys and values in one part of a PAGED result.
        encoded: whether the parts of a PAGED result are wanted as ``EncodedRows``, where it comes in parts.

    Returns:
        ``[kvs, more, count]``; ``more`` is ``CUT`` where a PAGED result holds only the first part of the answer.

    Raises:
        FutureRevisionError: the revision is above the store's.
        CompactedError: it is below the compaction's.
        ResultTooLargeError: the result is longer than ``max_bytes``, and cannot be paged.
    """
    OPERATIONS.ranges += 1
    padded: list[Any] = [*arguments, *_DEFAULTS[len(arguments) :]]
    key, flags, range_end, limit, revision, order, target, *bounds = padded
    start, end = interval(key, range_end)
    revision = max(revision, 0)
    limit = min(limit, MOST_ROWS)
    if flags & _COUNT_ONLY:
        return [(), False, (yield from _count(view, start, end, revision))]
    keys_only = bool(flags & _KEYS_ONLY)
    filtered = any(bounds[:4])
    in_key_order = order != SortOrder.DESCEND and target == SortTarget.KEY
    if flags & _PAGED and in_key_order and not filtered:
        page = EncodedPage() if encoded else KvPage()
        counted = not flags & _NO_COUNT
        return (yield from _page(page, view, start, end, revision, keys_only, limit, counted, page_bytes))
    cuts = limit > 0 and not filtered and (order == SortOrder.NONE or in_key_order)
    most = limit + 1 if cuts else None
    kvs = yield from _fetch(view, start, end, revision, keys_only and target != SortTarget.VALUE, most, max_bytes)
    count = len(kvs)
    if count == most and not flags & _NO_COUNT:
        count = yield from _count_on(view, start, end, revision, count, kvs[-1][0])
    if filtered:
        kvs = _within_bounds(kvs, *bounds[:4])
    if order or target:
        kvs.sort(key=_SORT_FIELDS[target], reverse=order == SortOrder.DESCEND)
    more = 0 < limit < len(kvs)
    if more:
        del kvs[limit:]
    if keys_only and target == SortTarget.VALUE:
        kvs = [(kv[0], b"", *kv[2:]) for kv in kvs]
    return [kvs, more, len(kvs) if flags & _NO_COUNT else count]


def _page(
    page: Page,
    view: ReadView,
    start: bytes,
    end: bytes | None,
    revision: int,
    keys_only: bool,
    limit: int,
    counted: bool,
    page_bytes: int,
) -> Steps[list[Any]]:
    """The first ``page_bytes`` of an interval in key order: the caller goes on behind the last key, at this
    revision."""
    more: int | bool = False
    for taken in page.gather(view, start, end, revision, keys_only, limit if limit > 0 else None):
        yield taken
        if page.size_bytes >= page_bytes and page.count != limit:
            more = CUT  # perhaps to find nothing more: a look ahead would read a chunk in vain on each page
            break
    count = page.count
    if more or count == limit > 0:
        if counted:
            count = yield from _count_on(view, start, end, revision, count, page.last_key)
            more = more or count > limit
        elif not more:
            more = any(view.count_chunks(page.last_key + b"\0", end, revision=revision))
    return [page.rows, more, count]


def _fetch(
    view: ReadView,
    start: bytes,
    end: bytes | None,
    revision: int,
    keys_only: bool,
    most: int | None,
    max_bytes: int | None,
) -> Steps[list[KeyValue]]:
    """The kvs of an interval in key order, at most ``most`` of them."""
    if end == start + b"\0" and not keys_only:
        found = view.get(start, revision)
        return [] if found is None else [found]
    kvs: list[KeyValue] = []
    size_bytes = 0
    for chunk in view.scan_chunks(start, end, revision=revision, keys_only=keys_only, most=most):
        kvs += chunk
        if max_bytes is not None:
            size_bytes += bytes_of(chunk)
            if size_bytes > max_bytes:
                raise ResultTooLargeError
        yield len(chunk)
    return kvs


def _count_on(
    view: ReadView, start: bytes, end: bytes | None, revision: int, first: int, last_key: bytes
) -> Steps[int]:
    """How many keys an interval has, whose ``first`` ones up to ``last_key`` are known."""
    if not start and end is None:
        return (yield from _count(view, start, end, revision))
    return first + (yield from _count(view, last_key + b"\0", end, revision))


def _count(view: ReadView, start: bytes, end: bytes | None, revision: int) -> Steps[int]:
    """How many keys an interval has."""
    total = 0
    for found in view.count_chunks(start, end, revision=revision):
        total += found
        yield found
    return total


def _within_bounds(kvs: list[KeyValue], min_mod: int, max_mod: int, min_create: int, max_create: int) -> list[KeyValue]:
    """Keeps the kvs within the bounds, which are inclusive; 0 is no bound."""
    if max_mod:
        kvs = [kv for kv in kvs if kv[3] <= max_mod]
    if min_mod:
        kvs = [kv for kv in kvs if kv[3] >= min_mod]
    if max_create:
        kvs = [kv for kv in kvs if kv[2] <= max_create]
    if min_create:
        kvs = [kv for kv in kvs if kv[2] >= min_create]
    return kvs

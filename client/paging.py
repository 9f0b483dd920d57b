"""Long ranges, page by page: the server cuts an answer that grows long, and the session asks on for the rest.

What the caller gets is one answer, of one revision: that of the first page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from oarlock.results import Header, KeyValue, RangeResult
from oarlock.wire.operations import CUT, RangeFlag

MAX_RESTARTS: Final = 3
"""Of a range that a compaction has overtaken between two pages."""

_KEY, _FLAGS, _RANGE_END, _LIMIT, _REVISION, _MIN_REVISION = 0, 1, 2, 3, 4, 11
_ARGUMENTS: Final = 12


class NextPage(NamedTuple):
    """The range goes on with these arguments."""

    arguments: tuple[Any, ...]


class Pages:
    """Decodes the pages of one range, and says how it goes on.

    Args:
        arguments: all twelve of the RANGE, in wire order, without the flag PAGED.
        decode: makes kvs of what travelled.
    """

    def __init__(self, arguments: tuple[Any, ...], decode: Callable[[Any], list[KeyValue]]) -> None:
        if len(arguments) != _ARGUMENTS:
            raise ValueError(f"a range has {_ARGUMENTS} arguments, not {len(arguments)}")
        self._arguments = arguments
        self._decode = decode
        self._restarts = 0
        self._header: Header | None = None
        self._kvs: list[KeyValue] = []
        self._count = 0

    @property
    def first(self) -> tuple[Any, ...]:
        """The arguments of the first page."""
        return (self._arguments[_KEY], self._arguments[_FLAGS] | RangeFlag.PAGED, *self._arguments[_RANGE_END:])

    def __call__(self, header: Header, result: list[Any]) -> RangeResult | NextPage:
        """Takes a page."""
        kvs, more, count = result
        self._kvs += self._decode(kvs)
        if self._header is None:
            self._header, self._count = header, count
        if more == CUT:
            return NextPage(self._next(kvs[-1][0], self._header.revision))
        return RangeResult(self._header, self._kvs, bool(more), self._count)

    def restart(self) -> NextPage | None:
        """A compaction has overtaken the revision of the pages so far: from the beginning, at a newer one.

        Returns:
            None where the caller asked for that very revision, or where it has happened too often.
        """
        if self._header is None or self._arguments[_REVISION] > 0 or self._restarts >= MAX_RESTARTS:
            return None
        self._restarts += 1
        self._header, self._kvs = None, []
        return NextPage(self.first)

    def _next(self, last_key: bytes, revision: int) -> tuple[Any, ...]:
        arguments = list(self._arguments)
        arguments[_KEY] = last_key + b"\0"
        # At a revision that is given, any replica that has reached it answers alike, without asking the quorum again.
        arguments[_FLAGS] |= RangeFlag.PAGED | RangeFlag.NO_COUNT | RangeFlag.SERIALIZABLE
        arguments[_REVISION] = self._arguments[_REVISION] if self._arguments[_REVISION] > 0 else revision
        arguments[_MIN_REVISION] = revision
        if self._arguments[_LIMIT]:
            arguments[_LIMIT] = self._arguments[_LIMIT] - len(self._kvs)
        return tuple(arguments)

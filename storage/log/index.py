"""Where each entry of the log stands, and its term, in memory."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from struct import Struct
from typing import Final, NamedTuple

from oarlock.storage.log.errors import LogCompactedError, LogOrderError, LogUnavailableError
from oarlock.storage.log.layout import Position

_DUMP: Final = Struct("=QQQQQ")  # start index and term, last index, how many records and runs
_RECORD_COLUMNS: Final = 4


class Place(NamedTuple):
    """A record that holds entries: which of them count, and where the record stands.

    Attributes:
        first_index: the index of the record's first entry.
        until_index: the first index that a later record supersedes, or the index after the log's last.
        segment: the number of the segment.
        offset: where in the segment the record begins.
        end: where it ends.
    """

    first_index: int
    until_index: int
    segment: int
    offset: int
    end: int


class EntryIndex:
    """The positions of all records that hold live entries, and the runs of equal terms.

    Invariants:
    1. The live entries are ``start.index + 1`` to ``last_index``, without a gap; there may be none.
    2. ``_firsts`` rises strictly; the record at place i holds the live entries from ``_firsts[i]`` up to ``_firsts[i
       + 1]``.
    3. ``_run_firsts`` and ``_run_terms`` rise strictly: a run begins where the term changes.

    A worked example: three entries of term 1 in one record, one of term 2 in the next, then a new leader of term 3
    replaces entries 3 and 4 by one:

        _firsts     [1, 4]  ->  [1, 3]      the first record still holds entry 3, but only 1 and 2 count
        _run_firsts [1, 4]  ->  [1, 3]
        _run_terms  [1, 2]  ->  [1, 3]
    """

    def __init__(self, start: Position) -> None:
        self.start = start
        self.last_index = start.index
        self._firsts = array("Q")
        self._segments = array("Q")
        self._offsets = array("Q")
        self._ends = array("Q")
        self._run_firsts = array("Q")
        self._run_terms = array("Q")

    @property
    def first_index(self) -> int:
        """The index of the first live entry; one more than ``last_index`` if there is none."""
        return self.start.index + 1

    @property
    def last_term(self) -> int:
        """The term of the last entry, or that of the start."""
        return self._run_terms[-1] if self._run_terms else self.start.term

    def check_append(self, first_index: int, terms: Sequence[int], truncate_from: int) -> None:
        """Checks that ``truncate`` and then ``append`` with these arguments keep the invariants.

        Raises:
            LogOrderError: they do not; names the value and the rule.
        """
        last, last_term = self.last_index, self.last_term
        if truncate_from:
            if not self.start.index < truncate_from <= last + 1:
                raise LogOrderError(
                    f"cannot drop the entries from index {truncate_from} on: the log holds {self.first_index} to {last}"
                )
            last = truncate_from - 1
            last_term = self.term(last)
        if not terms:
            return
        if first_index != last + 1:
            raise LogOrderError(f"entry {first_index} cannot follow entry {last}: indexes rise by one")
        for term in terms:
            if term < last_term:
                raise LogOrderError(f"an entry of term {term} cannot follow one of term {last_term}: terms never fall")
            last_term = term

    def append(self, first_index: int, terms: Sequence[int], segment: int, offset: int, end: int) -> None:
        """Adds a record of entries from ``first_index`` on, one for each of ``terms``."""
        self._firsts.append(first_index)
        self._segments.append(segment)
        self._offsets.append(offset)
        self._ends.append(end)
        last_term = self._run_terms[-1] if self._run_terms else -1  # no term: the first entry begins a run
        for index, term in enumerate(terms, first_index):
            if term != last_term:
                self._run_firsts.append(index)
                self._run_terms.append(term)
                last_term = term
        self.last_index = first_index + len(terms) - 1

    def truncate(self, index: int) -> None:
        """Drops the entries from ``index`` on."""
        keep = bisect_left(self._firsts, index)
        for column in (self._firsts, self._segments, self._offsets, self._ends):
            del column[keep:]
        keep = bisect_left(self._run_firsts, index)
        del self._run_firsts[keep:]
        del self._run_terms[keep:]
        self.last_index = index - 1

    def drop_prefix(self, start: Position) -> None:
        """Drops the entries up to ``start.index``, which is at most ``last_index``."""
        dead = max(0, bisect_right(self._firsts, start.index + 1) - 1)
        if start.index == self.last_index:
            dead = len(self._firsts)
        for column in (self._firsts, self._segments, self._offsets, self._ends):
            del column[:dead]
        if start.index == self.last_index:
            dead = len(self._run_firsts)
        else:
            dead = max(0, bisect_right(self._run_firsts, start.index + 1) - 1)
        del self._run_firsts[:dead]
        del self._run_terms[:dead]
        self.start = start

    def dump(self) -> bytes:
        """All of it as bytes, for ``load`` on the same machine."""
        head = _DUMP.pack(*self.start, self.last_index, len(self._firsts), len(self._run_firsts))
        return b"".join([head, *(column.tobytes() for column in self._columns())])

    @classmethod
    def load(cls, data: bytes) -> EntryIndex:
        """Makes an index of ``dump``'s bytes.

        Raises:
            struct.error, ValueError: they are not.
        """
        start_index, start_term, last_index, records, runs = _DUMP.unpack_from(data)
        index = cls(Position(start_index, start_term))
        index.last_index = last_index
        at = _DUMP.size
        for number, column in enumerate(index._columns()):
            length = (records if number < _RECORD_COLUMNS else runs) * column.itemsize
            column.frombytes(data[at : at + length])
            at += length
        if at != len(data):
            raise ValueError(f"{len(data)} bytes of an index that has {at}")
        return index

    def _columns(self) -> tuple[array[int], ...]:
        return (self._firsts, self._segments, self._offsets, self._ends, self._run_firsts, self._run_terms)

    def term(self, index: int) -> int:
        """The term of the entry at ``index``; that of ``start`` is known too.

        Raises:
            LogCompactedError: ``index`` lies before the start.
            LogUnavailableError: ``index`` lies after the last entry.
        """
        if index == self.start.index:
            return self.start.term
        self.check_range(index, index + 1)
        return self._run_terms[bisect_right(self._run_firsts, index) - 1]

    def check_range(self, low: int, high: int) -> None:
        """Checks that the entries from ``low`` up to, without, ``high`` are there.

        Raises:
            LogCompactedError: ``low`` lies before the first entry.
            LogUnavailableError: ``high`` lies more than one after the last entry.
        """
        if low < self.first_index:
            message = f"{LogCompactedError.text}: asked for {low}, the first is {self.first_index}"
            raise LogCompactedError(message, detail=self.first_index)
        if high > self.last_index + 1:
            message = f"{LogUnavailableError.text}: asked for {high - 1}, the last is {self.last_index}"
            raise LogUnavailableError(message, detail=self.last_index)

    def places(self, low: int, high: int, max_bytes: int) -> list[Place]:
        """The records with the entries from ``low`` up to ``high``, ending with the one that crosses ``max_bytes``."""
        found = []
        size = 0
        at = bisect_right(self._firsts, low) - 1
        count = len(self._firsts)
        while at < count and self._firsts[at] < high and size < max_bytes:
            until = self._firsts[at + 1] if at + 1 < count else self.last_index + 1
            offset, end = self._offsets[at], self._ends[at]
            found.append(Place(self._firsts[at], until, self._segments[at], offset, end))
            size += end - offset
            at += 1
        return found

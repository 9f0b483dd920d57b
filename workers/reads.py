"""Answers reads from the replica: at once where that is short, in slices where it may be long."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from oarlock.gateway.service import EncodedRows
from oarlock.storage.replica import ReadView, Replica, ReplicaFailedError
from oarlock.wire.errors import InternalError, OarlockError, OverloadedError, TimeoutError
from oarlock.wire.frames import pack_error
from oarlock.wire.logs import get_logger
from oarlock.wire.operations import CUT, Op, RangeFlag
from oarlock.workers import ranges
from oarlock.workers.kept_views import KeptViews
from oarlock.workers.pages import bytes_of
from oarlock.workers.queries import steps_of
from oarlock.workers.steps import Cursor

log = get_logger(__name__)

SLICE_ROWS: Final = 1024
"""Rows read before a long read gives way to others: about a millisecond."""
MAX_RUNNING: Final = 64
"""Long reads under way; each holds an LMDB read transaction and what it has gathered."""
MAX_WAITING_FOR_REVISION: Final = 10_000
"""Reads that wait for a ``min_revision``."""

_RANGE: Final = int(Op.RANGE)
_REVISION_AT: Final = 6
_MIN_REVISION_AT: Final = 13
"""The places of ``revision`` and ``min_revision`` in a RANGE."""
_NEXT_PAGE: Final = int(RangeFlag.PAGED | RangeFlag.NO_COUNT)
"""What is asked of all pages but the first."""


class Caller(Protocol):
    """Whoever is to be answered: a connection of any front door."""

    def answer(self, item: Any) -> None:
        """Takes a reply item."""

    def answer_long(self, item: Any, size_bytes: int) -> None:
        """Takes a reply item that may be long: about ``size_bytes``."""

    @property
    def takes_encoded_rows(self) -> bool:
        """Whether the rows of a PAGED list are wanted as ``EncodedRows``."""


class Read:
    """A read on its way."""

    # No NamedTuple: those are made by the interpreter, also where the rest is compiled.
    __slots__ = ("caller", "deadline_s", "request")

    def __init__(self, caller: Caller, request: list[Any], deadline_s: float) -> None:
        self.caller = caller
        self.request = request
        self.deadline_s = deadline_s


class _Running(NamedTuple):
    read: Read
    view: ReadView
    cursor: Cursor[Any]


class Reads:
    """Runs reads. Not thread-safe.

    Args:
        replica: called for the replica of the moment: it may be replaced.
        wake: called when there is a slice to run; the owner then calls ``run_slice`` in another turn.
    """

    def __init__(self, replica: Callable[[], Replica], wake: Callable[[], None]) -> None:
        self._replica = replica
        self._wake = wake
        self._view: ReadView | None = None
        self._running: deque[_Running] = deque()
        self._kept = KeptViews()
        self._waiting: list[tuple[int, Read]] = []

    @property
    def under_way(self) -> int:
        """How many long reads have slices to be run."""
        return len(self._running)

    def start(self, read: Read) -> None:
        """Answers a read now if it is short; begins it otherwise."""
        request = read.request
        try:
            is_range = request[1] == _RANGE
            if not is_range or len(request) > _MIN_REVISION_AT:
                revision = _min_revision(request)
                if revision > self._replica().meta.revision:
                    self._wait_for(revision, read)
                    return
            if is_range:
                item = ranges.get(self._view or self._shared_view(), request)
                if item is not None:
                    found = item[2][0]
                    read.caller.answer_long(item, len(found[0][1]) if found else 0)
                    return
            self._begin(read)
        except ReplicaFailedError:
            raise  # what was applied is lost here: the worker ends, and its clients ask another
        except OarlockError as problem:
            read.caller.answer(pack_error(request[0], problem))
        except Exception:
            # A mistake of ours. One request must not cost all clients of this worker their connection.
            log.exception("a read could not be handled")
            read.caller.answer(pack_error(request[0], InternalError()))

    def run_slice(self) -> None:
        """Gives the long read whose turn it is one slice."""
        if self._running:
            self._advance(self._running.popleft(), SLICE_ROWS)

    def replica_changed(self) -> None:
        """The replica has more than before: later reads see it, and those that waited for its revision go on."""
        self.end_turn()
        if not self._waiting:
            return
        revision = self._replica().meta.revision
        ready = [read for wanted, read in self._waiting if wanted <= revision]
        if ready:
            self._waiting = [(wanted, read) for wanted, read in self._waiting if wanted > revision]
            for read in ready:
                self.start(read)

    def end_turn(self) -> None:
        """Closes the view that the short reads of a turn share, so that it pins no pages."""
        if self._view is not None:
            self._view.close()
            self._view = None

    def give_up_overdue(self, now_s: float) -> None:
        """Answers those that have waited for a revision until their deadline; ends views that nobody came back for."""
        self._kept.close_old(now_s)
        overdue = [read for _, read in self._waiting if read.deadline_s <= now_s]
        if overdue:
            self._waiting = [(wanted, read) for wanted, read in self._waiting if read.deadline_s > now_s]
            for read in overdue:
                read.caller.answer(pack_error(read.request[0], TimeoutError()))

    def abandon_views(self) -> None:
        """The replica is about to be replaced: long reads begin anew on the next one."""
        self.end_turn()
        self._kept.close_all()
        running, self._running = self._running, deque()
        for each in running:
            each.cursor.close()
            each.view.close()
            self._waiting.append((0, each.read))

    def _shared_view(self) -> ReadView:
        if self._view is None:
            self._view = self._replica().read()
        return self._view

    def _wait_for(self, revision: int, read: Read) -> None:
        if len(self._waiting) >= MAX_WAITING_FOR_REVISION:
            raise OverloadedError
        self._waiting.append((revision, read))

    def _begin(self, read: Read) -> None:
        if len(self._running) >= MAX_RUNNING:
            raise OverloadedError
        kept = self._kept_view(read.request)
        view = kept or self._replica().read()
        running = _Running(read, view, Cursor(steps_of(view, read.request, encoded=read.caller.takes_encoded_rows)))
        if kept is None:
            self._advance(running, SLICE_ROWS)
        else:  # it goes on with what has had its turn
            self._running.append(running)
            self._wake()

    def _kept_view(self, request: list[Any]) -> ReadView | None:
        """The view of the page before, if this asks for a further page."""
        is_further = request[1] == _RANGE and len(request) > _REVISION_AT and request[3] & _NEXT_PAGE == _NEXT_PAGE
        return self._kept.take(request[_REVISION_AT]) if is_further else None

    def _advance(self, running: _Running, rows: int) -> None:
        request = running.read.request
        try:
            if not running.cursor.step(rows):
                self._running.append(running)
                self._wake()
                return
            item = [request[0], running.view.revision, running.cursor.result]
            result = running.cursor.result
            size_bytes = long_bytes(result) if request[1] != _RANGE else _bytes_of_rows(result[0])
        except OarlockError as problem:
            running.view.close()
            running.read.caller.answer(pack_error(request[0], problem))
            return
        if request[1] == _RANGE and running.cursor.result[1] == CUT:
            self._kept.keep(running.view)
        else:
            running.view.close()
        running.read.caller.answer_long(item, size_bytes)


def _bytes_of_rows(rows: Any) -> int:
    return len(rows.body) if type(rows) is EncodedRows else bytes_of(rows)


def long_bytes(result: Any) -> int:
    """About how many bytes of keys and values a result holds, however it nests them."""
    if type(result) is bytes:
        return len(result)
    return sum(map(long_bytes, result)) if type(result) in (list, tuple) else 0


def _min_revision(request: list[Any]) -> int:
    """The revision that the replica must have reached for this read, 0 for any."""
    operation = request[1]
    if operation == _RANGE:
        return request[_MIN_REVISION_AT] if len(request) > _MIN_REVISION_AT else 0
    if operation == Op.WATCH_HISTORY:
        return int(request[6])
    return 0

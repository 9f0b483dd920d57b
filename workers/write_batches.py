"""Writes that are on their way to the coordinator: collected in a turn, packed once, answered when they are applied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from oarlock.wire.entries import EntryKind
from oarlock.wire.errors import TimeoutError
from oarlock.wire.frames import pack, pack_error, unpack
from oarlock.wire.operations import Op
from oarlock.workers.proposals import Batch, Proposals
from oarlock.workers.reads import Caller

KIND_OF: Final = {Op.LEASE_GRANT: EntryKind.LEASE_GRANT, Op.LEASE_REVOKE: EntryKind.LEASE_REVOKE}
"""Operations that the coordinator must see, by the kind of the entries that carry them; all others go in a BATCH."""
MAX_BATCH_REQUESTS: Final = 4096
"""Requests in one entry: some fifty milliseconds of applying, so that reads and watchers get their turn in between."""
MAX_BATCH_BYTES: Final = 4 * 1024 * 1024
"""Keys and values in one entry, about: far below the longest frame, and what a slow disk takes at once."""


class Source:
    """What the writes of one message have in common (see ``oarlock.wire.frames``)."""

    __slots__ = ("caller", "client_id", "deadline_s", "floor", "since")

    def __init__(self, caller: Caller, client_id: int, floor: int, since: int, deadline_s: float) -> None:
        self.caller = caller
        self.client_id = client_id
        self.floor = floor
        self.since = since
        self.deadline_s = deadline_s


class _Forming:
    """The batch of one kind that forms."""

    __slots__ = ("deadline_s", "groups", "requests", "routes", "size_bytes")

    def __init__(self) -> None:
        self.groups: list[Any] = []
        self.routes: list[Caller] = []
        self.requests = 0
        self.size_bytes = 0
        self.deadline_s = 0.0


class WriteBatches:
    """Collects writes and numbers the batches they become.

    Invariant: what was added and not yet taken by ``flush`` is in exactly one forming batch, and counts in
    ``waiting_bytes``.

    Args:
        proposals: keeps what ``flush`` gives until it is committed.
    """

    def __init__(self, proposals: Proposals) -> None:
        self._proposals = proposals
        self.waiting_bytes = 0
        self._forming: dict[int, _Forming] = {}
        self._full: list[tuple[int, _Forming]] = []

    def add(self, source: Source, requests: list[Any], kind: int, size_bytes: int) -> None:
        """Adds the writes of one message that are of one kind."""
        forming = self._forming.get(kind)
        if forming is None:
            forming = self._forming[kind] = _Forming()
        forming.groups.append((source.client_id, source.floor, source.since, requests))
        forming.routes.append(source.caller)
        forming.requests += len(requests)
        forming.size_bytes += size_bytes
        self.waiting_bytes += size_bytes
        if source.deadline_s > forming.deadline_s:
            forming.deadline_s = source.deadline_s
        if forming.requests >= MAX_BATCH_REQUESTS or forming.size_bytes >= MAX_BATCH_BYTES:
            self._full.append((kind, self._forming.pop(kind)))

    def flush(self, now_s: float) -> list[Batch]:
        """Everything added since the last time, as numbered batches, to be proposed in this order."""
        if not self._forming and not self._full:
            return []
        ready, self._full = [*self._full, *self._forming.items()], []
        self._forming = {}
        self.waiting_bytes = 0
        return [
            self._proposals.add(kind, pack(forming.groups), forming.requests, forming.routes, forming.deadline_s, now_s)
            for kind, forming in ready
        ]


def answer(batch: Batch, replies: Sequence[Sequence[Any]]) -> None:
    """Gives each caller of an applied batch its replies; nobody waits where they were told that it took too long."""
    if not batch.routes:
        return
    for caller, items in zip(batch.routes, replies, strict=True):
        for item in items:
            caller.answer(item)


def answer_all(batch: Batch, problem: Exception) -> None:
    """Tells every caller of a batch that its requests failed here."""
    if not batch.routes:
        return
    for caller, group in zip(batch.routes, unpack(batch.payload), strict=True):
        for request in group[3]:
            caller.answer(pack_error(request[0], problem))


def give_up_overdue(proposals: Proposals, now_s: float) -> None:
    """Tells callers whose time is over; their batches stay outstanding, and may still be applied."""
    for batch in proposals.overdue(now_s):
        answer_all(batch, TimeoutError())
        batch.routes = ()

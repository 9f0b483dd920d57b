"""What became of each client's writes: so that a write that is sent again is answered again, and not applied again.

The rule is in ``wire.frames``. A client numbers its writes; ``floor`` is the lowest number it still waits for, and
``since`` is 0 when writes are sent for the first time, else a position that the client had seen before that. So:

- below the client's floor: nobody waits, the write is not applied, its outcome counts as unknown;
- remembered: the remembered outcome is the answer, the write is not applied;
- ``since`` before the *horizon*, the position up to which outcomes have been forgotten: refused, as unknown;
- anything else is applied, and its outcome remembered.

Outcomes are remembered for the last ``OUTCOME_WINDOW`` positions, and for no more than ``MAX_OUTCOME_BYTES``; the
horizon follows. In memory there is only what is not below its client's floor, in the table all of it, a record an
entry::

    b"O" + position after the entry -> [position of the record before, [[client, floor, [sequence, outcome, …]], …]]

An *outcome* is an int for a put without a result (its revision: a few bytes), the packed reply of anything else, or a
negative int (minus the revision) where the reply was too large to remember.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from struct import Struct
from typing import Any, Final

import msgpack

from oarlock.storage.replica.read import ReadView
from oarlock.storage.replica.write import WriteView
from oarlock.wire.errors import OutcomeUnknownError
from oarlock.wire.frames import pack_error

OUTCOME_WINDOW: Final = 1_000_000
"""Positions for which outcomes are remembered: at 50,000 writes a second, a client may be cut off for 20 seconds."""

MAX_OUTCOME_BYTES: Final = 64 * 1024 * 1024
"""Of records in the table. With the window it bounds the memory too: at most a million outcomes, 64 MiB of replies, and
one client a record, even if no client ever raises its floor; in practice what clients wait for just now."""

MAX_REPLY_BYTES: Final = 1024
"""A larger reply is not remembered, only that the write was applied: replies are many, repeated requests few."""

OLDEST_AT_ONCE: Final = 64
"""Records to forget are read so many at a time."""

TABLE: Final = "sessions"
_KEY: Final = Struct(">cQ")
_PREFIX: Final = b"O"
_END: Final = b"P"

Outcome = int | bytes


class Client:
    """One client's outcomes.

    Invariants:
    1. ``known`` holds no sequence below ``floor``; ``floor`` never falls.
    2. ``last_position`` is the key of the newest record that names the client; it is forgotten with that record.
    """

    __slots__ = ("floor", "known", "last_position")

    def __init__(self) -> None:
        self.floor = 1
        self.known: dict[int, Outcome] = {}
        self.last_position = 0

    def raise_floor(self, floor: int) -> None:
        """Forgets what is below ``floor``: at the cost of what it forgets, mostly one sequence."""
        if floor <= self.floor:
            return
        if floor - self.floor <= len(self.known):
            for sequence in range(self.floor, floor):
                self.known.pop(sequence, None)
        else:
            self.known = {sequence: outcome for sequence, outcome in self.known.items() if sequence >= floor}
        self.floor = floor


class ClientOutcomes:
    """The outcomes of all clients, as one replica remembers them: a function of the log alone.

    Invariants:
    1. What is in memory is what ``load`` would make of the table.
    2. Every outcome of a position above ``horizon`` and within the window is remembered, unless below a floor.

    Args:
        view: from which to load the table.
        window: positions to remember.
        max_bytes: of records to remember.
    """

    def __init__(self, view: ReadView, *, window: int = OUTCOME_WINDOW, max_bytes: int = MAX_OUTCOME_BYTES) -> None:
        self.horizon = 0
        self._window = window
        self._max_bytes = max_bytes
        self._clients: dict[int, Client] = {}
        self._bytes = 0
        self._newest = 0
        self._oldest: deque[tuple[bytes, bytes]] = deque()
        self._oldest_position: int | None = None
        # From the newest to the oldest: so a client's floor is known from the first record on, and of nearly all that
        # clients have been told and forgotten since nothing is remembered in between.
        keys = [key for key, _ in view.scan_records(TABLE, _PREFIX, _END)]
        for key in reversed(keys):
            self._load(_KEY.unpack(key)[1], view.get_record(TABLE, key) or b"")

    def _load(self, position: int, record: bytes) -> None:
        self.horizon, groups = msgpack.unpackb(record)
        self._oldest_position = position
        for client_id, floor, pairs in groups:
            client = self.client(client_id, floor)
            sequences = pairs[::2]
            if max(sequences, default=0) >= client.floor:
                client.known.update(
                    (sequence, outcome)
                    for sequence, outcome in zip(sequences, pairs[1::2], strict=True)
                    if sequence >= client.floor and sequence not in client.known
                )
            client.last_position = max(client.last_position, position)
        self._newest = max(self._newest, position)
        self._bytes += len(record)

    def client(self, client_id: int, floor: int) -> Client:
        """The client, with its floor raised."""
        client = self._clients.get(client_id)
        if client is None:
            client = self._clients[client_id] = Client()
        client.raise_floor(floor)
        return client

    def is_too_old(self, since: int, position: int) -> bool:
        """Whether writes that are sent again with ``since`` may have been forgotten, at ``position``."""
        return 0 < since < max(self.horizon, position - self._window)

    def is_new(self, client_id: int, floor: int, since: int, sequence: int, position: int) -> bool:
        """Whether a write would be applied that an entry after ``position`` brings: it is neither too old, nor known,
        nor below the client's floor. Nothing is noted. See ``wire.frames`` for what else the arguments are."""
        if not client_id:
            return True
        if self.is_too_old(since, position):
            return False
        client = self._clients.get(client_id)
        if client is not None:
            if sequence in client.known:
                return False
            floor = max(floor, client.floor)
        return not 0 < sequence < floor

    def remember(self, view: WriteView, position: int, groups: list[list[Any]]) -> None:
        """Ends an entry: notes what it added, and forgets what is too far back.

        Args:
            view: the write transaction.
            position: after the entry.
            groups: ``[client_id, floor, [sequence, outcome, ...]]``; the outcomes are in the clients already.
        """
        if groups:
            record = msgpack.packb([self._newest, groups])
            view.put_record(TABLE, _KEY.pack(_PREFIX, position), record)
            for client_id, _, _ in groups:
                self._clients[client_id].last_position = position
            self._newest = position
            self._bytes += len(record)
            if self._oldest_position is None:
                self._oldest_position = position
        while self._oldest_position is not None and (
            self._oldest_position <= position - self._window
            or (self._bytes > self._max_bytes and self._oldest_position < self._newest)
        ):
            self._forget_oldest(view)

    def _forget_oldest(self, view: WriteView) -> None:
        key, record = self._take_oldest(view)
        position = _KEY.unpack(key)[1]
        for client_id, _, pairs in msgpack.unpackb(record)[1]:
            client = self._clients.get(client_id)
            if client is None:
                continue
            if client.last_position == position:
                del self._clients[client_id]
            else:
                for sequence in pairs[::2]:
                    client.known.pop(sequence, None)
        view.delete_record(TABLE, key)
        self._bytes -= len(record)
        self.horizon = position
        if self._oldest_position is None:  # by the window: `position - window` is the horizon from now on
            self.horizon = self._newest = 0

    def _take_oldest(self, view: WriteView) -> tuple[bytes, bytes]:
        """Removes the oldest record from the queue, and looks which one is the oldest then."""
        if not self._oldest:
            self._refill(view, _PREFIX)
        taken = self._oldest.popleft()
        if not self._oldest:
            self._refill(view, taken[0] + b"\0")
        self._oldest_position = _KEY.unpack(self._oldest[0][0])[1] if self._oldest else None
        return taken

    def _refill(self, view: WriteView, start: bytes) -> None:
        self._oldest.extend(islice(view.scan_records(TABLE, start, _END), OLDEST_AT_ONCE))


def reply_of(sequence: int, outcome: Outcome) -> list[Any]:
    """The reply item that a remembered outcome stands for."""
    if isinstance(outcome, bytes):
        return [sequence, *msgpack.unpackb(outcome, strict_map_key=False)]
    if outcome > 0:
        return [sequence, outcome, None]
    return pack_error(
        sequence,
        OutcomeUnknownError(f"{OutcomeUnknownError.text}: applied at revision {-outcome}, its reply is not kept"),
    )


def outcome_of(reply: list[Any]) -> Outcome:
    """What to remember of a reply item."""
    if len(reply) == 3:
        if reply[2] is None:
            return int(reply[1])
        if not _is_small(reply[2], [MAX_REPLY_BYTES]):
            return -int(reply[1])
    packed: bytes = msgpack.packb(reply[1:])
    return packed


def _is_small(value: Any, budget: list[int]) -> bool:
    """Whether a result fits in the budget, without packing one that is huge."""
    budget[0] -= len(value) if isinstance(value, bytes) else 1
    if budget[0] < 0:
        return False
    return not isinstance(value, (list, tuple)) or all(_is_small(item, budget) for item in value)

"""The state machine: committed entries in, effects on the replica and replies out.

A replica is a function of the log. Everything here that decides about an effect depends on the entries alone: no
clock, no configuration, no size of a file. So every worker of every member comes to the same state, and has the same
answer for a write, whichever of them is asked.

An entry that cannot be decoded, or a request in it that no worker should have let pass, has no effect on any replica,
and is logged: the alternative would be that all workers of all members die of it again and again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Final, NamedTuple

import msgpack

from oarlock.storage.replica import Replica, ReplicaFullError
from oarlock.storage.replica.read import ReadView
from oarlock.storage.replica.replica import MAX_GROWTHS
from oarlock.storage.replica.write import WriteView
from oarlock.wire.entries import Entry, EntryKind
from oarlock.wire.errors import ProtocolError, ServerError
from oarlock.wire.ledger import ProposalLedger
from oarlock.wire.logs import get_logger
from oarlock.wire.members import Attributes, Members
from oarlock.wire.operations import Event
from oarlock.workers.alarms import Alarms
from oarlock.workers.batch_run import BatchRun, Reply, lone_put
from oarlock.workers.outcomes import MAX_OUTCOME_BYTES, OUTCOME_WINDOW, ClientOutcomes

_log = get_logger(__name__)

LEDGER_TABLE: Final = "sessions"
MEMBERS_TABLE: Final = "members"
_MEMBERS_KEY: Final = b"members"
_LEDGER_KEY: Final = Struct(">cQ")
_LEDGER_LINE: Final = Struct(">QQ")
_LEDGER_PREFIX: Final = b"L"
_LEDGER_END: Final = b"M"


class EntryOrderError(ServerError):
    """The entry is not the one after the last that was applied: the driver's mistake, nothing was applied."""

    text = "oarlock: log entries out of order"


class Applied(NamedTuple):
    """What became of one entry.

    Attributes:
        index, incarnation, batch: the entry's.
        admitted: False for a batch that was passed over, because its incarnation's ledger expects another one.
        replies: for each group of an admitted entry of this worker's own incarnation the reply items, in order, as they
            travel; None for any other entry.
        compacted: whether the entry moved the compact revision, so that there is space to regain.
        physical: (group, place) of replies of ours that must wait until that space is regained.
    """

    index: int  # type: ignore[assignment]  # shadows tuple.index, which nobody wants of this
    incarnation: int
    batch: int
    admitted: bool
    replies: list[list[Reply]] | None
    compacted: bool = False
    physical: tuple[tuple[int, int], ...] = ()


_OF_MEMBERS: Final = (EntryKind.MEMBERSHIP, EntryKind.MEMBER_ATTRIBUTES)


class StateMachine:
    """Applies committed entries to one replica.

    Invariants:
    1. Ledger, outcomes and alarms in memory are those of the replica's last write.
    2. Entries that the replica has not committed yet are kept, to be applied again where its map is found full then.
    3. An entry is applied once, in order: its index is the replica's applied index plus one.

    Args:
        replica: to apply to; owned by the caller, written by nobody else.
        own_incarnation: of this worker: replies are made for its entries only. 0 for none.
        outcome_window, max_outcome_bytes: see ``outcomes``; the same in all replicas of a cluster.

    Attributes:
        with_previous: whether watchers want to know what a key was before a put.
        changes: the events of the last ``apply_entries``, in order, each with its previous kv, for watchers; without
            ``with_previous`` those of puts may lack it.
        alarms: the active alarms.
        unsettled_bytes: of the payloads of the entries that are not committed yet.
    """

    def __init__(
        self,
        replica: Replica,
        own_incarnation: int = 0,
        *,
        outcome_window: int = OUTCOME_WINDOW,
        max_outcome_bytes: int = MAX_OUTCOME_BYTES,
    ) -> None:
        self.replica = replica
        self.own_incarnation = own_incarnation
        self.with_previous = True
        self._initial_members: Mapping[int, Attributes] = {}
        self._members: Members | None = None  # None: to be read from the replica
        self.changes: list[Event] = []
        self._outcome_bounds = (outcome_window, max_outcome_bytes)
        self._unsettled: list[Entry] = []
        self.unsettled_bytes = 0
        replica.write_again = self._apply_again
        self._load()

    @property
    def initial_members(self) -> Mapping[int, Attributes]:
        """The members as of the beginning of the log; to be set before the first entry about members."""
        return self._initial_members

    @initial_members.setter
    def initial_members(self, initial: Mapping[int, Attributes]) -> None:
        self._initial_members = initial
        self._members = None

    @property
    def members(self) -> Members:
        """The members as of the last write, also while the next one is under way."""
        if self._members is None:
            with self.replica.read() as view:
                self._members = load_members(view, self._initial_members)
        return self._members

    def _load(self) -> None:
        """Takes what is kept in memory from the replica."""
        self._members = None
        with self.replica.read() as view:
            window, max_bytes = self._outcome_bounds
            self.alarms = Alarms(view)
            self._ledger = load_ledger(view)
            self._outcomes = ClientOutcomes(view, window=window, max_bytes=max_bytes)

    def apply_entries(self, entries: Sequence[Entry]) -> list[Applied]:
        """Applies entries, all of them or none. The replica commits them when it is read next, or told to settle.

        Entries are durable in the log before they come here, and have the same effects whenever they are applied: what
        others are told of them holds, whatever becomes of the transaction.

        Args:
            entries: in log order, the first being the one after the replica's applied index.

        Returns:
            What became of each.

        Raises:
            EntryOrderError: an index is not the next one.
            ReplicaFailedError, DamageError: the replica cannot be written or read; it is as of its last commit.
        """
        self._check_order(entries)
        if self.replica.is_settled:
            self._unsettled = []
            self.unsettled_bytes = 0
        for _ in range(MAX_GROWTHS):
            try:
                applied = self._apply_all(entries)
                break
            except ReplicaFullError:
                self._load()
            except BaseException:
                self._load()
                raise
        else:
            raise ReplicaFullError
        for entry in entries:
            self._unsettled.append(entry)
            self.unsettled_bytes += len(entry.payload)
            if entry.kind in _OF_MEMBERS:
                self._members = None
        return applied

    def foresee(self, entry: Entry) -> list[list[Reply]] | None:
        """The replies of an entry if it is applied next, where they follow from what is known already.

        That is so for one put that asks for nothing but its revision: only what is in memory could refuse it. Its
        caller may be answered as soon as the entry is committed, and need not wait until it is applied. It holds until
        another entry is applied.

        Args:
            entry: of this worker, which has checked its requests.

        Returns:
            What ``Applied.replies`` will be; None where only applying tells.
        """
        meta, incarnation = self.replica.meta, entry.incarnation
        if self.alarms.active or entry.kind != EntryKind.BATCH or entry.index != meta.applied_index + 1:
            return None
        if not self._ledger.would_admit(incarnation, entry.batch, entry.index):
            return None
        put = lone_put(entry.payload)
        if put is None or not self._outcomes.is_new(*put, meta.position):
            return None
        return [[[put.sequence, meta.revision + 1, None]]]

    def _apply_again(self) -> None:
        self._load()
        self._apply_all(())

    def _apply_all(self, entries: Sequence[Entry]) -> list[Applied]:
        with self.replica.write_on() as view:
            view.with_previous = self.with_previous
            for entry in self._missing_from(view):
                self._apply_entry(view, entry)
                view.changes = []  # who was to be told has been
            applied = [self._apply_entry(view, entry) for entry in entries]
            self.changes = view.changes
        return applied

    def _missing_from(self, view: WriteView) -> list[Entry]:
        """What was applied before, and undone when the map was found full."""
        kept = self._unsettled
        return kept if kept and kept[-1].index > view.applied_index else []

    def _check_order(self, entries: Sequence[Entry]) -> None:
        applied_index = self.replica.meta.applied_index
        for expected, entry in enumerate(entries, applied_index + 1):
            if entry.index != expected:
                raise EntryOrderError(f"{EntryOrderError.text}: {entry.index} in place of {expected}")

    def _apply_entry(self, view: WriteView, entry: Entry) -> Applied:
        index, term, kind, incarnation, batch, _ = entry
        position = view.position
        admitted = not incarnation or self._admit(view, incarnation, batch, index)
        replies: list[list[Reply]] | None = None
        compacted = False
        physical: tuple[tuple[int, int], ...] = ()
        if admitted and kind in _OF_MEMBERS:
            self._follow_members(view, entry)
        elif admitted and kind != EntryKind.EMPTY:
            batch_run = BatchRun(self.alarms, self._outcomes, view, entry, incarnation == self.own_incarnation != 0)
            batch_run.run()
            position = batch_run.position
            self._outcomes.remember(view, position, batch_run.notes)
            replies, compacted, physical = batch_run.replies, batch_run.compacted, tuple(batch_run.physical)
        view.end_entry(index, term, position)
        return Applied(index, incarnation, batch, admitted, replies, compacted, physical)

    def _follow_members(self, view: WriteView, entry: Entry) -> None:
        members = load_members(view, self._initial_members)
        try:
            if entry.kind == EntryKind.MEMBERSHIP:
                members.apply_membership(entry.payload)
            else:
                members.apply_attributes(entry.payload)
        except ProtocolError as problem:
            _log.error("an entry cannot be decoded and has no effect", index=entry.index, problem=problem.message)
            return
        view.put_record(MEMBERS_TABLE, _MEMBERS_KEY, msgpack.packb(members.to_value()))

    def _admit(self, view: WriteView, incarnation: int, batch: int, index: int) -> bool:
        if not self._ledger.admit(incarnation, batch, index):
            return False
        view.put_record(LEDGER_TABLE, _LEDGER_KEY.pack(_LEDGER_PREFIX, incarnation), _LEDGER_LINE.pack(batch, index))
        for gone in self._ledger.forget(index):
            view.delete_record(LEDGER_TABLE, _LEDGER_KEY.pack(_LEDGER_PREFIX, gone))
        return True


def load_members(view: ReadView, initial: Mapping[int, Attributes]) -> Members:
    """The members as the replica keeps them; until anything is known of them, the initial ones."""
    record = view.get_record(MEMBERS_TABLE, _MEMBERS_KEY)
    return Members(initial) if record is None else Members.from_value(msgpack.unpackb(record))


def load_ledger(view: ReadView) -> ProposalLedger:
    """The ledger of proposals as the replica keeps it."""
    return ProposalLedger.from_value(
        [
            [_LEDGER_KEY.unpack(key)[1], *_LEDGER_LINE.unpack(line)]
            for key, line in view.scan_records(LEDGER_TABLE, _LEDGER_PREFIX, _LEDGER_END)
        ]
    )

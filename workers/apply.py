"""The state machine: committed entries in, effects on the replica and replies out.

A replica is a function of the log. Everything here that decides about an effect depends on the entries alone: no
clock, no configuration, no size of a file. So every worker of every member comes to the same state, and has the same
answer for a write, whichever of them is asked.

The payload of BATCH, LEASE_GRANT and LEASE_REVOKE entries is msgpack ``[[client_id, floor, since, [request, …]], …]``:
*groups*, each the writes of one client message (``wire.frames``), a request as in ``wire.operations``. Ids of leases
were chosen before they were proposed.

An entry that cannot be decoded, or a request in it that no worker should have let pass, has no effect on any replica,
and is logged: the alternative would be that all workers of all members die of it again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from struct import Struct
from typing import Any, Final, NamedTuple

import msgpack

from oarlock.storage.replica import Replica, ReplicaFullError
from oarlock.storage.replica.read import ReadView
from oarlock.storage.replica.replica import MAX_GROWTHS
from oarlock.storage.replica.write import WriteView
from oarlock.wire.entries import Entry, EntryKind
from oarlock.wire.errors import CorruptError, OutcomeUnknownError, ProtocolError, RequestError, ServerError
from oarlock.wire.frames import pack_error
from oarlock.wire.ledger import ProposalLedger
from oarlock.wire.logs import get_logger
from oarlock.wire.members import Attributes, Members
from oarlock.wire.operations import Event, EventType, Op
from oarlock.workers import writes
from oarlock.workers.alarms import Alarms
from oarlock.workers.operation_counts import OPERATIONS
from oarlock.workers.outcomes import MAX_OUTCOME_BYTES, OUTCOME_WINDOW, Client, ClientOutcomes, outcome_of, reply_of
from oarlock.workers.steps import run
from oarlock.workers.transactions import transaction_steps
from oarlock.workers.validation import UINT64_MAX, UNLIMITED, check_request

_log = get_logger(__name__)

LEDGER_TABLE: Final = "sessions"
MEMBERS_TABLE: Final = "members"
_MEMBERS_KEY: Final = b"members"
_LEDGER_KEY: Final = Struct(">cQ")
_LEDGER_LINE: Final = Struct(">QQ")
_LEDGER_PREFIX: Final = b"L"
_LEDGER_END: Final = b"M"

_PUT: Final = int(Op.PUT)
_PLAIN_PUT_LENGTH: Final = 4

Reply = list[Any]


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
            batch_run = _BatchRun(self.alarms, self._outcomes, view, entry, incarnation == self.own_incarnation != 0)
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


class _BatchRun:
    """The run through one entry of groups.

    Attributes:
        position: of the replica, counting every request of the groups so far, applied or refused.
        notes: for ``ClientOutcomes.remember``.
        replies, compacted, physical: as in ``Applied``.
    """

    def __init__(
        self, alarms: Alarms, outcomes: ClientOutcomes, view: WriteView, entry: Entry, wants_replies: bool
    ) -> None:
        self._alarms = alarms
        self._outcomes = outcomes
        self._view = view
        self._entry = entry
        self._allowed = _ALLOWED[entry.kind]
        self.position = view.position
        self.notes: list[list[Any]] = []
        self.replies: list[list[Reply]] | None = [] if wants_replies else None
        self.compacted = False
        self.physical: list[tuple[int, int]] = []

    def run(self) -> None:
        """Applies all groups; none of them if the payload cannot be decoded."""
        try:
            groups = decode_groups(self._entry.payload)
        except ProtocolError as error:
            _log.error("an entry cannot be decoded and has no effect", index=self._entry.index, problem=error.message)
            return
        for client_id, floor, since, requests in groups:
            if client_id and self._outcomes.is_too_old(since, self.position):
                replies = [pack_error(_sequence_of(request), OutcomeUnknownError()) for request in requests]
            elif client_id and requests:
                replies = self._apply_of_client(self._outcomes.client(client_id, floor), client_id, requests)
            else:
                replies = [self._apply(request, self.replies is not None) for request in requests]
            self.position += len(requests)
            if self.replies is not None:
                self._note_physical(requests, replies)
                self.replies.append(replies)

    def _apply_of_client(self, client: Client, client_id: int, requests: list[Any]) -> list[Reply]:
        """Applies what the client has not sent before; the rest is answered from memory."""
        replies: list[Reply] = []
        pairs: list[Any] = []
        for request in requests:
            sequence = _sequence_of(request)
            known = client.known.get(sequence)
            if known is not None:
                replies.append(reply_of(sequence, known))
            elif 0 < sequence < client.floor:
                replies.append(pack_error(sequence, OutcomeUnknownError()))
            else:
                reply = self._apply(request, True)
                replies.append(reply)
                if sequence > 0:
                    client.known[sequence] = outcome = reply[1] if reply[-1] is None else outcome_of(reply)
                    pairs += (sequence, outcome)
        self.notes.append([client_id, client.floor, pairs])
        return replies

    def _apply(self, request: Any, with_reads: bool) -> Reply:
        """Applies one request; returns its reply item. What is refused has no effect."""
        view = self._view
        try:
            check_request(request, UNLIMITED)
            operation = request[1]
            if operation not in self._allowed:
                raise ProtocolError(f"{ProtocolError.text}: operation {operation} in an entry of another kind")
            if self._alarms.active:
                self._alarms.check(operation, request[2:])
            if operation == _PUT and len(request) == _PLAIN_PUT_LENGTH:
                view.put(request[2], request[3], 0)
                OPERATIONS.puts += 1
                OPERATIONS.put_bytes += len(request[2]) + len(request[3])
                return [request[0], view.finish_operation(), None]
            result = _HANDLERS[operation](self, request[2:], with_reads)
            return [request[0], view.finish_operation(), result]
        except (RequestError, CorruptError) as error:
            if isinstance(error, ProtocolError):
                _log.error("a request cannot be applied", index=self._entry.index, problem=error.message)
            return pack_error(_sequence_of(request), error)

    def _transaction(self, arguments: list[Any], with_reads: bool) -> list[Any]:
        changes = self._view.changes
        before = len(changes)
        result = run(transaction_steps(self._view, arguments, with_reads=with_reads))
        if len(changes) > before + 1:
            settle_previous(changes, before)
        return result

    def _compact(self, arguments: list[Any], _with_reads: bool) -> None:
        writes.compact(self._view, arguments)
        self.compacted = True

    def _alarm(self, arguments: list[Any], _with_reads: bool) -> list[list[int]]:
        return self._alarms.change(self._view, arguments)

    def _note_physical(self, requests: list[Any], replies: list[Reply]) -> None:
        if self.compacted:
            group = len(self.replies or ())
            for place, (request, reply) in enumerate(zip(requests, replies, strict=True)):
                if reply[1] > 0 and request[1:2] == [Op.COMPACT] and request[3:4] == [True]:
                    self.physical.append((group, place))


Handler = Callable[[_BatchRun, list[Any], bool], Any]

_HANDLERS: Final[dict[int, Handler]] = {
    int(Op.PUT): lambda batch, arguments, _: writes.put(batch._view, arguments),
    int(Op.DELETE): lambda batch, arguments, _: writes.delete_range(batch._view, arguments),
    int(Op.TXN): _BatchRun._transaction,
    int(Op.COMPACT): _BatchRun._compact,
    int(Op.ALARM): _BatchRun._alarm,
    int(Op.LEASE_GRANT): lambda batch, arguments, _: writes.grant_lease(batch._view, arguments),
    int(Op.LEASE_REVOKE): lambda batch, arguments, _: writes.revoke_lease(batch._view, arguments),
}
_ALLOWED: Final[dict[int, frozenset[int]]] = {
    int(EntryKind.BATCH): frozenset({int(op) for op in (Op.PUT, Op.DELETE, Op.TXN, Op.COMPACT, Op.ALARM)}),
    int(EntryKind.LEASE_GRANT): frozenset({int(Op.LEASE_GRANT)}),
    int(EntryKind.LEASE_REVOKE): frozenset({int(Op.LEASE_REVOKE)}),
}
"""The coordinator's lessor reads lease entries, so a lease must not come in an entry of another kind."""


def decode_groups(payload: bytes) -> list[list[Any]]:
    """The groups of an entry's payload. Their requests are not looked at.

    Raises:
        ProtocolError: the payload is not of that shape.
    """
    try:
        groups = msgpack.unpackb(payload, strict_map_key=False)
    except (ValueError, TypeError, RecursionError) as problem:
        raise ProtocolError(f"{ProtocolError.text}: not msgpack: {problem}") from None
    if type(groups) is not list:
        raise ProtocolError(f"{ProtocolError.text}: a payload is an array of groups")
    for group in groups:
        if type(group) is not list or len(group) != 4 or type(group[3]) is not list:
            raise ProtocolError(f"{ProtocolError.text}: a group is [client, floor, since, requests]")
        if any(type(number) is not int or not 0 <= number <= UINT64_MAX for number in group[:3]):
            raise ProtocolError(f"{ProtocolError.text}: client, floor and since are 0 to 2**64-1")
    return groups


def _sequence_of(request: Any) -> int:
    """The sequence of a request of any shape; 0, which is never remembered, where there is none."""
    sequence = request[0] if type(request) is list and request else 0
    return sequence if type(sequence) is int and sequence > 0 else 0


def settle_previous(changes: list[Event], first: int) -> None:
    """Makes the previous kvs of one transaction's changes, from ``first`` on, those of the revision before.

    They differ where a transaction writes a key twice: a watcher gets what the key was before the transaction (etcd:
    the kv at ``mod_revision - 1``), not what it was in between.
    """
    before: dict[bytes, Any] = {}
    for place in range(first, len(changes)):
        kind, kv, previous = changes[place]
        if kv[0] not in before:
            before[kv[0]] = previous
            continue
        is_creation = kind == EventType.PUT and kv[2] == kv[3]
        changes[place] = (kind, kv, None if is_creation else before[kv[0]])

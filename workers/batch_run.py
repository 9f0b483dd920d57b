"""The run through the writes of one entry: each is applied, refused, or answered from memory; nothing stops the run.

The payload of BATCH, LEASE_GRANT and LEASE_REVOKE entries is msgpack ``[[client_id, floor, since, [request, …]], …]``:
*groups*, each the writes of one client message (``wire.frames``), a request as in ``wire.operations``. Ids of leases
were chosen before they were proposed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgpack

from oarlock.storage.replica.write import WriteView
from oarlock.wire.entries import Entry, EntryKind
from oarlock.wire.errors import CorruptError, OutcomeUnknownError, ProtocolError, RequestError
from oarlock.wire.frames import pack_error
from oarlock.wire.logs import get_logger
from oarlock.wire.operations import Event, EventType, Op
from oarlock.workers import writes
from oarlock.workers.alarms import Alarms
from oarlock.workers.operation_counts import OPERATIONS
from oarlock.workers.outcomes import Client, ClientOutcomes, outcome_of, reply_of
from oarlock.workers.steps import run
from oarlock.workers.transactions import transaction_steps
from oarlock.workers.validation import UINT64_MAX, UNLIMITED, check_request

_log = get_logger(__name__)

_PUT: Final = int(Op.PUT)
_PLAIN_PUT_LENGTH: Final = 4

Reply = list[Any]


class BatchRun:
    """The run through one entry of groups.

    Attributes:
        position: of the replica, counting every request of the groups so far, applied or refused.
        notes: for ``ClientOutcomes.remember``.
        replies, compacted, physical: as in ``apply.Applied``.
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
                replies = [self._refuse(request) for request in requests]
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
                replies.append(self._refuse(request))
            else:
                reply = self._apply(request, True)
                replies.append(reply)
                if sequence > 0:
                    client.known[sequence] = outcome = reply[1] if reply[-1] is None else outcome_of(reply)
                    pairs += (sequence, outcome)
        self.notes.append([client_id, client.floor, pairs])
        return replies

    def _refuse(self, request: Any) -> Reply:
        """Answers a request that may have been applied before, whatever became of it then.

        It is not applied now, unless it is a revoke: the coordinator, which does not know outcomes, takes the lease for
        ended, so one that went on would have no deadline.
        """
        if self._entry.kind == EntryKind.LEASE_REVOKE:
            self._apply(request, False)
        return pack_error(_sequence_of(request), OutcomeUnknownError())

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


Handler = Callable[[BatchRun, list[Any], bool], Any]

_HANDLERS: Final[dict[int, Handler]] = {
    int(Op.PUT): lambda batch, arguments, _: writes.put(batch._view, arguments),
    int(Op.DELETE): lambda batch, arguments, _: writes.delete_range(batch._view, arguments),
    int(Op.TXN): BatchRun._transaction,
    int(Op.COMPACT): BatchRun._compact,
    int(Op.ALARM): BatchRun._alarm,
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


class LonePut(NamedTuple):
    """What a client says of a put that it sends alone; see ``wire.frames``."""

    client_id: int
    floor: int
    since: int
    sequence: int


def lone_put(payload: bytes) -> LonePut | None:
    """Of an entry that is one put, which asks for nothing but its revision; None for any other.

    Args:
        payload: groups whose requests have been checked.

    Raises:
        ProtocolError: as ``decode_groups``.
    """
    groups = decode_groups(payload)
    if len(groups) != 1 or len(groups[0][3]) != 1:
        return None
    client_id, floor, since, (request,) = groups[0]
    if len(request) != _PLAIN_PUT_LENGTH or request[1] != _PUT:
        return None
    return LonePut(client_id, floor, since, request[0])


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

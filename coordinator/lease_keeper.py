"""Leases in the coordinator: what committed entries say of them, keepalives, and revokes of those that ended."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from oarlock.coordinator.lessor import EXPIRING, Lessor
from oarlock.wire.entries import Entry, EntryKind, Proposal
from oarlock.wire.errors import ProtocolError
from oarlock.wire.frames import pack, unpack
from oarlock.wire.ledger import ProposalLedger
from oarlock.wire.operations import Op

MAX_REVOKES_AN_ENTRY: Final = 500
"""Leases revoked by one entry (etcd scans as many at a time): a mass expiry must not become one huge transaction."""
REVOKE_RETRY_S: Final = 2.0
"""A proposed revoke that is not committed by then is proposed again."""

MAX_REMEMBERED_REQUESTS: Final = 100_000
"""Grants and revokes of clients that are known again when they are repeated: more than are made within any client's
patience, and some 20 MB."""

Waiter = tuple[bytes, int]
"""(identity of a worker, its context): who asked."""


class LeaseKeeper:
    """Follows the committed entries, and answers for the leases while this member leads.

    Its own revokes are proposals like a worker's, under a random incarnation that is drawn anew whenever this member
    becomes leader, so that a revoke lost with a leadership leaves no hole in the numbers.

    Args:
        lessor: the leases and their deadlines.
        ledger: which proposals count, at the same log position as ``lessor``.
        new_incarnation: draws a random 63-bit id.
    """

    def __init__(self, lessor: Lessor, ledger: ProposalLedger, new_incarnation: Callable[[], int]) -> None:
        self._lessor = lessor
        self._ledger = ledger
        self._new_incarnation = new_incarnation
        self._incarnation = new_incarnation()
        self._batch = 0
        self._parked: defaultdict[int, list[Waiter]] = defaultdict(list)
        self._revoking: dict[int, float] = {}
        self._carried_out: OrderedDict[tuple[int, int], None] = OrderedDict()

    def load(self, leases: Iterable[tuple[int, int]], ledger: ProposalLedger) -> None:
        """Takes leases and ledger of a snapshot in place of all others; only while not leading."""
        self._lessor.load(leases)
        self._ledger = ledger

    def lead(self, now_s: float, extend_s: float) -> None:
        """This member leads, and has committed an entry of its term: full time for every lease.

        Not earlier: a revoke that the leader before has proposed may still be committed until then, and would end a
        lease whose keeper was told in between that it lives on.
        """
        self._incarnation = self._new_incarnation()
        self._batch = 0
        self._revoking.clear()
        self._lessor.lead(now_s, extend_s)

    def stop_leading(self) -> list[tuple[Waiter, int]]:
        """Another member leads. Returns the (waiter, lease) whose keepalive nobody will answer here any more."""
        self._lessor.stop_leading()
        self._revoking.clear()
        abandoned = [(waiter, lease_id) for lease_id, waiters in self._parked.items() for waiter in waiters]
        self._parked.clear()
        return abandoned

    @property
    def leads(self) -> bool:
        """Whether this member answers for the leases."""
        return self._lessor.leads

    @property
    def count(self) -> int:
        """Leases that exist."""
        return len(self._lessor)

    def committed(self, entries: Iterable[Entry], now_s: float) -> list[tuple[Waiter, int]]:
        """Follows committed entries in order.

        Returns:
            (waiter, lease) of the keepalives that waited for the end of a lease, which has come: answer TTL 0.
        """
        ended: list[tuple[Waiter, int]] = []
        for entry in entries:
            if not entry.incarnation or not self._ledger.admit(entry.incarnation, entry.batch, entry.index):
                continue
            if entry.kind == EntryKind.LEASE_GRANT:
                for lease_id, ttl_s in self._new_requests(entry.payload, Op.LEASE_GRANT):
                    self._lessor.grant(lease_id, ttl_s, now_s)
            elif entry.kind == EntryKind.LEASE_REVOKE:
                for (lease_id,) in self._new_requests(entry.payload, Op.LEASE_REVOKE):
                    self._lessor.revoke(lease_id)
                    self._revoking.pop(lease_id, None)
                    ended.extend((waiter, lease_id) for waiter in self._parked.pop(lease_id, ()))
        return ended

    def _new_requests(self, payload: bytes, operation: Op) -> list[list[Any]]:
        """The arguments of requests that the state machine carries out: not those that a client has sent again.

        Without that, a grant that is repeated after its lease has ended would leave a lease here that nobody has, and
        a repeated revoke would end the next lease of that id.
        """
        found = []
        for client_id, sequence, arguments in _requests(payload, operation):
            if client_id:
                if (client_id, sequence) in self._carried_out:
                    continue
                self._carried_out[client_id, sequence] = None
                if len(self._carried_out) > MAX_REMEMBERED_REQUESTS:
                    self._carried_out.popitem(last=False)
            found.append(arguments)
        return found

    def keep_alive(self, waiter: Waiter, lease_ids: Sequence[int], now_s: float) -> list[tuple[int, int]]:
        """Renews leases.

        Returns:
            (lease, TTL in seconds; 0: no such lease) for all but those that are ending: their answer comes from
            ``committed``, after the keys are gone.
        """
        answers = []
        for lease_id in lease_ids:
            ttl_s = self._lessor.keep_alive(lease_id, now_s)
            if ttl_s == EXPIRING:
                self._parked[lease_id].append(waiter)
            else:
                answers.append((lease_id, ttl_s))
        return answers

    def time_to_live(self, lease_ids: Sequence[int], now_s: float) -> list[tuple[int, int, int]]:
        """(lease, seconds left, granted TTL) each; -1 and 0 where there is no such lease."""
        return [(lease_id, *self._lessor.time_to_live(lease_id, now_s)) for lease_id in lease_ids]

    def forget_waiter(self, identity: bytes) -> None:
        """A worker is gone: nobody waits for its keepalives."""
        for lease_id, waiters in list(self._parked.items()):
            kept = [waiter for waiter in waiters if waiter[0] != identity]
            if kept:
                self._parked[lease_id] = kept
            else:
                del self._parked[lease_id]

    def revokes_due(self, now_s: float) -> Proposal | None:
        """The revoke of leases whose time is over, to be proposed now; None where there is none."""
        overdue = [lease_id for lease_id, since_s in self._revoking.items() if now_s - since_s > REVOKE_RETRY_S]
        self.not_proposed(overdue)
        lease_ids = self._lessor.expired(now_s, MAX_REVOKES_AN_ENTRY)
        if not lease_ids:
            return None
        self._revoking.update(dict.fromkeys(lease_ids, now_s))
        self._batch += 1
        requests = [[number, int(Op.LEASE_REVOKE), lease_id] for number, lease_id in enumerate(lease_ids, 1)]
        return Proposal(EntryKind.LEASE_REVOKE, self._incarnation, self._batch, pack([[0, 0, 0, requests]]))

    def refused(self) -> None:
        """The proposal that ``revokes_due`` gave last was not taken: its leases come up again, under a new
        incarnation."""
        self._incarnation = self._new_incarnation()
        self._batch = 0
        self.not_proposed(list(self._revoking))

    def not_proposed(self, lease_ids: Sequence[int]) -> None:
        """Takes back that these leases are being revoked."""
        for lease_id in lease_ids:
            self._revoking.pop(lease_id, None)
        self._lessor.unexpire(lease_ids)


def _requests(payload: bytes, operation: Op) -> list[tuple[int, int, list[Any]]]:
    """(client, sequence, arguments) of every request of ``operation`` in an entry's payload; a payload nobody can read
    has none."""
    try:
        return [
            (client_id, request[0], request[2:])
            for client_id, _, _, requests in unpack(payload)
            for request in requests
            if request[1] == operation
        ]
    except (ProtocolError, TypeError, ValueError, IndexError):
        return []

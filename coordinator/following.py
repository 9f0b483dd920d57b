"""The members as the log says: followed by the registry and the links, and published by each of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from oarlock.coordinator.lease_keeper import LeaseKeeper
from oarlock.coordinator.member_requests import MemberRequests
from oarlock.coordinator.peer_requests import RemovedError
from oarlock.coordinator.peers import Peers
from oarlock.coordinator.raft import Membership, MembershipChange, Raft
from oarlock.coordinator.raft.membership import decode_membership
from oarlock.storage.snapshots import SnapshotMetadata
from oarlock.wire.entries import Entry, EntryKind, Proposal
from oarlock.wire.errors import OarlockError, ProtocolError
from oarlock.wire.ledger import ProposalLedger
from oarlock.wire.logs import get_logger
from oarlock.wire.members import Attributes, Members, decode_attributes, encode_published

log = get_logger(__name__)

PUBLISH_AGAIN_S: Final = 3.0
"""What a member publishes of itself and does not see committed by then, it publishes again."""
LEAVE_AFTER_S: Final = 1.0
"""A member that was removed stays for so long, so that the others hear from it that its removal is committed."""


class Following:
    """Keeps ``Members`` and the links up to date.

    A member's address is needed before the entry that brings it is committed: its own word may be what commits it. So
    the links also follow entries of the log that are not committed yet.

    Args:
        members: the registry, as of the snapshot that the log begins with.
        requests: holds the same registry; told when it is replaced.
        peers: the links.
        member_id: of this member.
        own: what this member publishes of itself.
        read_snapshot: the metadata of the received snapshot at an index.
    """

    def __init__(
        self,
        members: Members,
        requests: MemberRequests,
        peers: Peers,
        member_id: int,
        own: Attributes,
        initial: Mapping[int, Attributes],
        read_snapshot: Callable[[int], SnapshotMetadata],
    ) -> None:
        self.members = members
        self._requests = requests
        self._peers = peers
        self._member_id = member_id
        self._own = own
        self._initial = initial
        self._read_snapshot = read_snapshot
        self._uncommitted: dict[int, tuple[str, ...]] = {}
        self._published_s = float("-inf")
        self._removed_s: float | None = None
        self.membership: Membership | None = None

    def membership_changed(self, membership: Membership, entries: Iterable[Entry]) -> None:
        """The core uses another membership, or the first one.

        Args:
            membership: it.
            entries: those that are new in the log; at a start the membership entries in it, committed or not.
        """
        self.membership = membership
        for entry in entries:
            if entry.kind == EntryKind.MEMBERSHIP:
                change = decode_membership(entry.payload).change
                if change.context:
                    self._uncommitted[change.member] = decode_attributes(change.context).peer_urls
        self._connect()

    def _connect(self) -> None:
        urls = {member: attributes.peer_urls for member, attributes in self.members.attributes.items()}
        for member in self.membership.everyone if self.membership is not None else ():
            if member in self._uncommitted:
                urls[member] = self._uncommitted[member]
        self._peers.follow(urls)

    def committed(self, entries: Sequence[Entry], now_s: float) -> list[MembershipChange]:
        """Follows committed entries; returns the membership changes among them."""
        changes: list[MembershipChange] = []
        for entry in entries:
            if entry.kind < EntryKind.MEMBERSHIP:
                continue
            try:
                if entry.kind == EntryKind.MEMBERSHIP:
                    self.members.apply_membership(entry.payload)
                    changes.append(decode_membership(entry.payload).change)
                else:
                    self.members.apply_attributes(entry.payload)
            except ProtocolError as problem:
                log.error("an entry cannot be decoded and has no effect", index=entry.index, problem=problem.message)
                continue
            self._after_change(now_s)
        for change in changes:
            self._uncommitted.pop(change.member, None)
        return changes

    def _after_change(self, now_s: float) -> None:
        self._connect()
        if self._member_id in self.members.removed and self._removed_s is None:
            log.warning("this member was removed from the cluster, and stops")
            self._removed_s = now_s

    def begin_from_snapshot(self, index: int, leases: LeaseKeeper) -> None:
        """A snapshot replaces the log: members and leases are as it says."""
        metadata = self._read_snapshot(index)
        leases.load(
            [(lease_id, ttl_s) for lease_id, ttl_s in metadata.leases], ProposalLedger.from_value(metadata.ledger)
        )
        self.members = self._requests.members = members_of(metadata, self._initial)
        self._uncommitted.clear()
        self._connect()

    def publish_own(self, raft: Raft, now_s: float) -> None:
        """Publishes this member's attributes where the registry has others; to be called about once a second."""
        known = self.members.attributes.get(self._member_id)
        if known is None or now_s - self._published_s < PUBLISH_AGAIN_S:
            return
        # The peer URLs are what the cluster was told: only `member update` changes them.
        own = self._own._replace(peer_urls=known.peer_urls or self._own.peer_urls)
        if known == own:
            return
        try:
            raft.propose([Proposal(EntryKind.MEMBER_ATTRIBUTES, 0, 0, encode_published(self._member_id, own))])
            self._published_s = now_s
        except OarlockError:
            return  # no leader yet: the next second will do

    def stop_if_removed(self, now_s: float) -> None:
        """Ends a member that was removed.

        Raises:
            RemovedError: it was, and the others had time to hear of it.
        """
        if self._removed_s is not None and now_s - self._removed_s >= LEAVE_AFTER_S:
            raise RemovedError(
                f"{RemovedError.text}: its data is of no use any more; to come back, it must be added again, and start "
                "with an empty directory"
            )


def members_of(metadata: SnapshotMetadata, initial: Mapping[int, Attributes]) -> Members:
    """The members as of a snapshot; one that was made before anything was known of them has the initial ones."""
    return Members(initial) if metadata.members is None else Members.from_value(metadata.members)

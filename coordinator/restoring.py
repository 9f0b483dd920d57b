"""What a coordinator begins with: the Raft core, the members, the leases, as log and newest snapshot have them."""

from __future__ import annotations

import random
import secrets
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from oarlock.coordinator.following import members_of
from oarlock.coordinator.identity import LocalIdentity
from oarlock.coordinator.lease_keeper import LeaseKeeper
from oarlock.coordinator.lessor import Lessor
from oarlock.coordinator.log_storage import DurableLog
from oarlock.coordinator.raft import HardState, Membership, Raft, RaftConfig, SnapshotMeta
from oarlock.coordinator.standing import Standing
from oarlock.storage.log import Log
from oarlock.storage.snapshots import SnapshotMetadata
from oarlock.wire.identifiers import new_id
from oarlock.wire.ledger import ProposalLedger
from oarlock.wire.members import Members

TICKS_A_HEARTBEAT: Final = 4
"""Raft's clock is finer than its heartbeats, so that members that lose their leader together campaign one after the
other, and soon: with a heartbeat of 100 ms after 50 ms, 100 ms, and so on."""
SUSPICION_TICKS: Final = 2


class Core(NamedTuple):
    """What decides, before it is connected to anything."""

    raft: Raft
    storage: DurableLog
    members: Members
    standing: Standing
    leases: LeaseKeeper


def restore(
    settings: Mapping[str, Any], identity: LocalIdentity, entry_log: Log, newest: SnapshotMetadata | None
) -> Core:
    """The core as of log and snapshot.

    Args:
        settings: of the server.
        identity: this member's.
        entry_log: the open log.
        newest: what the newest usable snapshot is of, None where there is none.

    Raises:
        OarlockError: log and snapshot do not fit together.
    """
    members = members_of(newest, identity.initial) if newest is not None else Members(identity.initial)
    storage = DurableLog(entry_log, snapshot_meta(newest, members))
    raft = _raft(settings, identity, entry_log, storage)
    standing = Standing(
        identity.cluster_id, identity.member_id, raft.term, 0, leading=False, commit_index=raft.commit_index
    )
    return Core(raft, storage, members, standing, _leases(newest))


def snapshot_meta(snapshot: SnapshotMetadata | None, members: Members) -> SnapshotMeta:
    """What the core knows of a snapshot; without one, of the beginning of the log."""
    membership = Membership(members.voters, members.learners)
    if snapshot is None:
        return SnapshotMeta(0, 0, membership)
    return SnapshotMeta(snapshot.index, snapshot.term, membership)


def _leases(newest: SnapshotMetadata | None) -> LeaseKeeper:
    lessor = Lessor()
    if newest is None:
        return LeaseKeeper(lessor, ProposalLedger(), new_id)
    lessor.load((lease_id, ttl_s) for lease_id, ttl_s in newest.leases)
    return LeaseKeeper(lessor, ProposalLedger.from_value(newest.ledger), new_id)


def _raft(settings: Mapping[str, Any], identity: LocalIdentity, entry_log: Log, storage: DurableLog) -> Raft:
    ticks = max(2, round(settings["election_timeout_ms"] * TICKS_A_HEARTBEAT / settings["heartbeat_interval_ms"]))
    config = RaftConfig(
        identity.member_id,
        election_ticks=max(ticks, TICKS_A_HEARTBEAT + 1),
        heartbeat_ticks=TICKS_A_HEARTBEAT,
        suspicion_ticks=SUSPICION_TICKS,
        strict_reconfiguration=settings["strict_reconfig_check"],
    )
    return Raft(config, storage, HardState(*entry_log.hard_state), random.Random(secrets.randbits(64)))

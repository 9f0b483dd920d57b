"""The Raft core: consensus without I/O and without a clock. See ``docs/raft.md``."""

from __future__ import annotations

from oarlock.coordinator.raft.config import RaftConfig
from oarlock.coordinator.raft.core import Raft
from oarlock.coordinator.raft.log_storage import LogStorage
from oarlock.coordinator.raft.membership import ChangeKind, Membership, MembershipChange
from oarlock.coordinator.raft.messages import Message, SnapshotMeta
from oarlock.coordinator.raft.ready import ConfirmedRead, HardState, Ready, Role, SoftState
from oarlock.coordinator.raft.status import MemberStatus, Status

__all__ = [
    "ChangeKind",
    "ConfirmedRead",
    "HardState",
    "LogStorage",
    "MemberStatus",
    "Membership",
    "MembershipChange",
    "Message",
    "Raft",
    "RaftConfig",
    "Ready",
    "Role",
    "SnapshotMeta",
    "SoftState",
    "Status",
]

"""The settings of one Raft member: time in ticks, and the bound of everything that could grow."""

from __future__ import annotations

from dataclasses import dataclass

from oarlock.wire.errors import ConfigurationError

MAX_MEMBER_ID = 2**64 - 1


@dataclass(frozen=True, slots=True)
class RaftConfig:
    """What a member of a Raft group is told once and for all.

    Invariants (checked when the object is made):
    1. ``member_id`` is between 1 and 2^64 - 1; 0 stands for "nobody" everywhere in this package.
    2. ``election_ticks`` is greater than ``heartbeat_ticks``, which is at least 1.
    3. Every bound is at least 1.

    Attributes:
        member_id: who we are.
        election_ticks: a follower that hears nothing for this long, up to just under twice as long, campaigns.
        heartbeat_ticks: a leader sends heartbeats this often.
        max_inflight_messages: appends sent to one follower and not yet answered. A pipe of this depth hides the round
            trip; more would only wait in the follower's queue.
        max_inflight_bytes: the same in bytes, so that a follower on a slow link cannot make the leader buffer more.
        max_message_bytes: entries in one append. Small enough that a heartbeat behind it is not late.
        max_uncommitted_bytes: entries that are in memory because they are not yet both durable here and committed;
            proposals above it are refused, and a follower whose disk lags leaves an append above it unanswered.
        max_committed_bytes: committed entries handed out in one ``Ready``, so that one turn of the driver stays short.
        max_pending_reads: read-index questions that wait for an answer at this member.
        suspicion_ticks: how far apart members campaign that all see the connection to their leader break.
        strict_reconfiguration: refuse membership changes that would leave fewer live voters than the new quorum needs
            (etcd: strict-reconfig-check).
        pre_vote: ask whether an election could be won before disturbing anybody (Raft thesis, section 9.6).
        check_quorum: a leader that hears from no quorum steps down, and voters that hear from a leader ignore
            candidates (Raft thesis, sections 6.2 and 4.2.3).
    """

    member_id: int
    election_ticks: int = 10
    heartbeat_ticks: int = 1
    max_inflight_messages: int = 256
    max_inflight_bytes: int = 16 << 20
    max_message_bytes: int = 1 << 20
    max_uncommitted_bytes: int = 64 << 20
    max_committed_bytes: int = 4 << 20
    max_pending_reads: int = 4096
    suspicion_ticks: int = 1
    strict_reconfiguration: bool = True
    pre_vote: bool = True
    check_quorum: bool = True

    def __post_init__(self) -> None:
        """Checks the invariants.

        Raises:
            ConfigurationError: a value breaks one; the message names setting, value and rule.
        """
        if not 1 <= self.member_id <= MAX_MEMBER_ID:
            raise ConfigurationError(f"raft: member_id = {self.member_id}: must be between 1 and 2^64 - 1")
        if self.heartbeat_ticks < 1:
            raise ConfigurationError(f"raft: heartbeat_ticks = {self.heartbeat_ticks}: must be at least 1")
        if self.election_ticks <= self.heartbeat_ticks:
            raise ConfigurationError(
                f"raft: election_ticks = {self.election_ticks}: must be greater than "
                f"heartbeat_ticks = {self.heartbeat_ticks}"
            )
        for name in (
            "max_inflight_messages",
            "max_inflight_bytes",
            "max_message_bytes",
            "max_uncommitted_bytes",
            "max_committed_bytes",
            "max_pending_reads",
            "suspicion_ticks",
        ):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"raft: {name} = {getattr(self, name)}: must be at least 1")

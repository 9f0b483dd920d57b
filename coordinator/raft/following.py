"""The follower's side: appends, heartbeats and snapshots from the leader (Raft paper, figure 2 and section 7)."""

from __future__ import annotations

from collections.abc import Sequence

from oarlock.coordinator.raft.log_view import sum_bytes
from oarlock.coordinator.raft.membership import MembershipEntry, decode_membership
from oarlock.coordinator.raft.messages import (
    Append,
    AppendAccepted,
    AppendRejected,
    Heartbeat,
    HeartbeatResponse,
    InstallSnapshot,
)
from oarlock.coordinator.raft.replication import last_index_not_above
from oarlock.coordinator.raft.state import RaftState
from oarlock.wire.entries import Entry, EntryKind
from oarlock.wire.errors import CorruptError, ProtocolError


def on_append(state: RaftState, message: Append) -> None:
    """Takes the leader's entries if they fit, or says where they might.

    Raises:
        ProtocolError: the entries do not follow ``prev_index``, or one of kind MEMBERSHIP cannot be read.
        CorruptError: they contradict a committed entry.
    """
    state.elapsed = 0
    log = state.log
    if message.entries and message.entries[0].index != message.prev_index + 1:
        raise ProtocolError(f"{ProtocolError.text}: entry {message.entries[0].index} behind entry {message.prev_index}")
    if message.prev_index < log.commit and message.prev_index + len(message.entries) <= log.commit:
        # Overtaken by what we know to be committed. Up to there our logs are the same.
        _accept(state, message.sender, log.commit)
        return
    if message.prev_index >= log.commit and log.term(message.prev_index) != message.prev_term:
        _reject(state, message)
        return
    if _take_entries(state, message.entries):
        last = message.prev_index + len(message.entries)
        log.commit = max(log.commit, min(message.commit, last))
        _accept(state, message.sender, last)


def _accept(state: RaftState, leader: int, match: int) -> None:
    state.after_persist.append(AppendAccepted(state.member_id, leader, state.term, match))


def _reject(state: RaftState, message: Append) -> None:
    """Skips our entries whose term is above the leader's at ``prev_index``: they cannot be in its log before it."""
    if message.prev_index == state.log.commit:
        raise CorruptError(
            f"{CorruptError.text}: the leader's entry {message.prev_index} of term {message.prev_term} "
            f"contradicts a committed one of term {state.log.term(message.prev_index)}"
        )
    hint = last_index_not_above(state, message.prev_index, message.prev_term)
    hint = max(hint, state.log.commit)
    state.messages.append(
        AppendRejected(state.member_id, message.sender, state.term, message.prev_index, hint, state.log.term(hint) or 0)
    )


def _take_entries(state: RaftState, entries: Sequence[Entry]) -> bool:
    """Adds what is new; returns False if there is no room, where the leader's next try must do.

    Only a disk that lags makes us refuse: it will catch up. Entries that wait for nothing but their commitment may wait
    for these: a tail as full as may be, and then a new leader, who can commit it only along with an entry of its own.
    """
    fresh = _without_known(state, entries)
    if not fresh:
        return True
    log = state.log
    if log.stable < log.last_index and log.tail_bytes + sum_bytes(fresh) > state.config.max_uncommitted_bytes:
        return False
    changes = _membership_entries(fresh)
    log.splice(fresh)
    state.membership.truncate(fresh[0].index)
    for index, change in changes:
        state.membership.append(index, change.membership)
    return True


def _without_known(state: RaftState, entries: Sequence[Entry]) -> Sequence[Entry]:
    """Leaves out the entries in front that our log has already, with the same term."""
    log = state.log
    if not entries or entries[0].index > log.last_index:
        return entries
    for count, entry in enumerate(entries):
        known = log.term(entry.index)
        compacted = known is None and entry.index <= log.commit
        if known != entry.term and not compacted:
            return entries[count:]
    return ()


def _membership_entries(entries: Sequence[Entry]) -> list[tuple[int, MembershipEntry]]:
    return [(entry.index, decode_membership(entry.payload)) for entry in entries if entry.kind == EntryKind.MEMBERSHIP]


def on_heartbeat(state: RaftState, message: Heartbeat) -> None:
    """The leader is alive, and knows that we have everything up to ``commit``."""
    state.elapsed = 0
    state.log.commit = max(state.log.commit, min(message.commit, state.log.last_index))
    state.messages.append(HeartbeatResponse(state.member_id, message.sender, state.term, message.read_round))


def on_install_snapshot(state: RaftState, message: InstallSnapshot) -> None:
    """A snapshot is complete. Takes it if it is ahead of us, and says what we have then."""
    state.elapsed = 0
    log = state.log
    snapshot = message.snapshot
    if snapshot.index > log.commit:
        if log.term(snapshot.index) == snapshot.term:
            # Our log has all that the snapshot holds: knowing that it is committed is enough.
            log.commit = snapshot.index
        else:
            log.restore(snapshot)
            state.membership.reset(snapshot.index, snapshot.membership)
    _accept(state, message.sender, log.commit)

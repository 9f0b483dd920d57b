"""The leader's side of log replication, and commitment (Raft paper, sections 5.3 and 5.4.2)."""

from __future__ import annotations

from collections.abc import Sequence

from oarlock.coordinator.raft.log_view import ENTRY_OVERHEAD_BYTES, sum_bytes
from oarlock.coordinator.raft.messages import (
    Append,
    AppendAccepted,
    AppendRejected,
    Heartbeat,
    HeartbeatResponse,
    TimeoutNow,
)
from oarlock.coordinator.raft.progress import Progress, ProgressState
from oarlock.coordinator.raft.quorum import agreed
from oarlock.coordinator.raft.reading import answer_reads
from oarlock.coordinator.raft.roles import become_follower
from oarlock.coordinator.raft.state import RaftState
from oarlock.wire.entries import Entry, Proposal
from oarlock.wire.errors import ProtocolError


def append_proposals(state: RaftState, proposals: Sequence[Proposal]) -> int:
    """Makes entries of proposals, in order, and adds them to the log; returns the index of the last one."""
    term = state.term
    index = state.log.last_index
    size_bytes = 0
    entries = []
    for kind, incarnation, batch, payload in proposals:
        index += 1
        size_bytes += len(payload) + ENTRY_OVERHEAD_BYTES
        entries.append(Entry(index, term, kind, incarnation, batch, payload))
    state.log.append(entries, size_bytes)
    state.broadcast = True
    return index


def flush_appends(state: RaftState) -> None:
    """Sends every follower what it can take: new entries, or the news that some are committed."""
    state.broadcast = False
    for member, progress in state.progress.items():
        if member == state.member_id:
            continue
        _send_append(state, member, progress, even_empty=progress.needs_commit(state.log.commit))
        while _send_append(state, member, progress, even_empty=False):
            pass


def _send_append(state: RaftState, member: int, progress: Progress, *, even_empty: bool) -> bool:
    """Sends one append if the member can take it; returns whether it did."""
    log = state.log
    if not progress.can_send:
        return False
    previous = progress.next - 1
    if previous == log.last_index and not even_empty and progress.state is ProgressState.REPLICATE:
        return False
    previous_term = log.term(previous)
    if previous_term is None:
        _need_snapshot(state, member, progress)
        return False
    entries: Sequence[Entry] = ()
    if not progress.inflight.full:
        entries = log.entries(progress.next, log.last_index + 1, state.config.max_message_bytes)
    if not entries and not even_empty:
        return False
    state.messages.append(Append(state.member_id, member, state.term, previous, previous_term, log.commit, entries))
    progress.sent(len(entries), sum_bytes(entries), log.commit)
    return True


def _need_snapshot(state: RaftState, member: int, progress: Progress) -> None:
    # A member that is not there would only make us produce snapshots for nobody.
    if state.is_active(progress):
        progress.become_snapshot()
        state.snapshots_needed.append(member)


def broadcast_heartbeat(state: RaftState) -> None:
    """Tells every member that we lead; opens the next read round if there are questions."""
    state.heartbeat_elapsed = 0
    read_round = state.reads.next_round()
    for member, progress in state.progress.items():
        if member == state.member_id:
            progress.read_round = read_round
        else:
            commit = min(progress.match, state.log.commit)
            state.messages.append(Heartbeat(state.member_id, member, state.term, commit, read_round))
    answer_reads(state)


def on_append_accepted(state: RaftState, message: AppendAccepted) -> None:
    """A follower has more of our log, durably.

    Raises:
        ProtocolError: it claims entries that we never had.
    """
    progress = state.progress.get(message.sender)
    if progress is None:
        return
    if message.match > state.log.last_index:
        raise ProtocolError(
            f"{ProtocolError.text}: member {message.sender} accepted entry {message.match}: "
            f"the log ends at {state.log.last_index}"
        )
    progress.active_tick = state.now
    if not progress.accepted(message.match):
        return
    if progress.state is ProgressState.REPLICATE:
        progress.inflight.free_to(message.match)
    elif progress.state is ProgressState.PROBE or progress.match + 1 >= state.log.first_index:
        progress.become_replicate()
    state.broadcast = True
    advance_commit(state)
    if state.is_leader:
        hand_over_if_ready(state)


def on_append_rejected(state: RaftState, message: AppendRejected) -> None:
    """The logs differ: finds the next place to try, skipping whole terms.

    The follower's hint says: my entry ``hint`` is of ``hint_term``, and nothing of mine above it can match. Where our
    term at some index is above ``hint_term``, its entry there (of ``hint_term`` at most, since terms never fall) must
    differ. So we go down to our last entry whose term is ``hint_term`` or less::

        index      1 2 3 4 5 6 7 8 9
        leader     1 3 3 3 5 5 5 5 5     probe behind 9: the hint is 6, of term 2
        follower   1 1 1 1 2 2           our terms at 6 to 2 are above 2: the next probe is behind 1, and fits
    """
    progress = state.progress.get(message.sender)
    if progress is None:
        return
    progress.active_tick = state.now
    hint = last_index_not_above(state, message.hint, message.hint_term)
    if progress.rejected(message.rejected, hint):
        _send_append(state, message.sender, progress, even_empty=True)


def last_index_not_above(state: RaftState, index: int, term: int) -> int:
    """The last entry at or before ``index`` whose term is at most ``term``, or the last one whose term is unknown."""
    index = min(index, state.log.last_index)
    while index > 0:
        ours = state.log.term(index)
        if ours is None or ours <= term:
            break
        index -= 1
    return index


def on_heartbeat_response(state: RaftState, message: HeartbeatResponse) -> None:
    """The member is there: lets a paused flow go on, and counts the answer for reads.

    An append that was lost shows here: what is in flight and not answered gets a probe behind it, which the member
    refuses if it lacks something.
    """
    progress = state.progress.get(message.sender)
    if progress is None:
        return
    progress.active_tick = state.now
    progress.paused = False
    if progress.match < state.log.last_index or progress.state is ProgressState.PROBE:
        _send_append(state, message.sender, progress, even_empty=True)
    if message.read_round > progress.read_round:
        progress.read_round = min(message.read_round, state.reads.round)
        answer_reads(state)


def advance_commit(state: RaftState) -> None:
    """Commits what a quorum has durably, if it is of our term (Raft paper, section 5.4.2 and figure 8).

    Entries of earlier terms are committed only along with one of ours. The first of ours is ``term_start``, so that is
    a comparison of indexes.
    """
    log = state.log
    index = agreed([state.progress[voter].match for voter in state.membership.current.voters])
    if index <= log.commit or index < state.term_start:
        return
    first_in_term = log.commit < state.term_start
    change_committed = log.commit < state.membership.last_change <= index
    log.commit = index
    state.broadcast = True
    if first_in_term:
        state.reads.release(index)
    if change_committed:
        _on_membership_committed(state)


def _on_membership_committed(state: RaftState) -> None:
    """Tells everybody, those who leave included, and lets go of the latter. A leader that leaves steps down."""
    flush_appends(state)
    members = state.membership.current
    if state.member_id not in members.voters:
        best = max(members.voters, key=lambda voter: state.progress[voter].match)
        state.messages.append(TimeoutNow(state.member_id, best, state.term))
        become_follower(state, state.term, 0)
        return
    for member in [member for member in state.progress if member not in members.everyone]:
        del state.progress[member]


def hand_over_if_ready(state: RaftState) -> None:
    """Sends TimeoutNow to the member that shall lead, once it has our whole log."""
    target = state.transferee
    if target and state.progress[target].match == state.log.last_index:
        state.messages.append(TimeoutNow(state.member_id, target, state.term))

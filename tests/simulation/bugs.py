"""Known bugs, planted by a patch in place of the right code, to see that the simulation finds them.

Each is a context manager. Nothing in the product knows of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any
from unittest import mock

from oarlock.coordinator.commit_marks import CommitMarks
from oarlock.coordinator.raft import HardState, core, following, reading, replication, ticking
from oarlock.coordinator.raft.log_view import LogView
from oarlock.coordinator.raft.membership import MembershipHistory
from oarlock.coordinator.raft.messages import Append, AppendAccepted, ReadResponse, VoteRequest, VoteResponse
from oarlock.coordinator.raft.quorum import agreed
from oarlock.coordinator.raft.ready import ConfirmedRead
from oarlock.coordinator.raft.state import RaftState
from oarlock.wire.commit_word import CommitWord
from oarlock.wire.entries import Entry
from oarlock.wire.ledger import ProposalLedger
from oarlock.workers.apply import StateMachine
from oarlock.workers.commit_stream import CommitStream
from oarlock.workers.read_index import ReadRounds

from . import coordinator as sim_coordinator


def commits_an_old_term_by_counting() -> AbstractContextManager[Any]:
    """Raft paper, figure 8: what a majority has is not committed if it is of an older term."""

    def advance_commit(state: RaftState) -> None:
        log = state.log
        index = agreed([state.progress[voter].match for voter in state.membership.current.voters])
        if index > log.commit:
            first_in_term = log.commit < state.term_start <= index
            change_committed = log.commit < state.membership.last_change <= index
            log.commit = index
            state.broadcast = True
            if first_in_term:
                state.reads.release(index)
            if change_committed:
                replication._on_membership_committed(state)

    return mock.patch.object(replication, "advance_commit", advance_commit)


def does_not_persist_a_vote() -> AbstractContextManager[Any]:
    """A member that starts again may vote a second time in a term."""
    right = core.Raft._take_hard_state

    def take_hard_state(raft: core.Raft) -> HardState | None:
        hard = right(raft)
        return None if hard is None else HardState(hard.term, 0)

    return mock.patch.object(core.Raft, "_take_hard_state", take_hard_state)


def votes_without_a_look_at_the_last_term() -> AbstractContextManager[Any]:
    """A longer log wins, though its end is of an older term (Raft paper, 5.4.1)."""

    def is_up_to_date(log: LogView, last_index: int, last_term: int) -> bool:
        return last_index >= log.last_index

    return mock.patch.object(LogView, "is_up_to_date", is_up_to_date)


def loses_the_hard_state() -> AbstractContextManager[Any]:
    """Term and vote are written, and not read at a start."""
    return mock.patch.object(sim_coordinator, "HardState", return_value=HardState(0, 0))


def makes_snapshots_past_a_membership_change() -> AbstractContextManager[Any]:
    """A snapshot carries the newest membership in the log, and not the one as of its index."""
    return mock.patch.object(MembershipHistory, "at", lambda history, index: history.current)


def acknowledges_an_append_before_the_sync() -> AbstractContextManager[Any]:
    """What a follower has accepted can be lost by a crash."""

    def accept(state: RaftState, leader: int, match: int) -> None:
        state.messages.append(AppendAccepted(state.member_id, leader, state.term, match))

    return mock.patch.object(following, "_accept", accept)


def answers_a_vote_before_the_sync() -> AbstractContextManager[Any]:
    """A vote can be lost by a crash."""

    def on_vote_request(state: RaftState, message: VoteRequest) -> None:
        free = state.vote == message.sender or (state.vote == 0 and state.leader == 0)
        granted = free and state.log.is_up_to_date(message.last_index, message.last_term)
        if granted:
            state.vote = message.sender
            state.elapsed = 0
        state.messages.append(VoteResponse(state.member_id, message.sender, state.term, granted))

    return _handling(VoteRequest, on_vote_request)


@contextmanager
def _handling(kind: type, handler: Callable[..., None]) -> Iterator[None]:
    """Lets every role that handles messages of a kind do so by ``handler``."""
    with ExitStack() as stack:
        for handlers in core._HANDLERS.values():
            if kind in handlers:
                stack.enter_context(mock.patch.dict(handlers, {kind: handler}))
        yield


def reads_without_a_heartbeat_quorum() -> AbstractContextManager[Any]:
    """A leader that was replaced, and does not know it, answers reads."""

    def take(state: RaftState, context: bytes, origin: int) -> None:
        index = state.log.commit
        if origin == state.member_id:
            state.reads_confirmed.append(ConfirmedRead(context, index))
        else:
            state.messages.append(ReadResponse(state.member_id, origin, state.term, context, index))

    return mock.patch.object(reading, "_take", take)


def is_alone_among_others() -> AbstractContextManager[Any]:
    """Workers of every member look its commit index up, though others commit without it."""

    def lone_commit_index(state: RaftState) -> int:
        return state.log.commit

    return mock.patch.object(reading, "lone_commit_index", lone_commit_index)


def marks_what_only_it_has_written() -> AbstractContextManager[Any]:
    """A member lets its workers take an entry for committed as soon as it is durable here, also among others."""

    def written(marks: CommitMarks, entries: Sequence[Entry]) -> None:
        if entries:
            marks._mark(entries[-1])

    return mock.patch.object(CommitMarks, "written", written)


def takes_its_own_entry_for_committed() -> AbstractContextManager[Any]:
    """A worker applies what it has proposed, and answers, without a look whether it was committed."""
    return mock.patch.object(CommitWord, "look_for", return_value=True)


def reads_before_a_commit_in_its_term() -> AbstractContextManager[Any]:
    """A new leader does not know what is committed before it has committed something (Raft paper, section 8)."""

    def take(state: RaftState, context: bytes, origin: int) -> None:
        state.reads.ask(context, origin, state.log.commit)

    return mock.patch.object(reading, "_take", take)


def applies_twice_what_was_proposed_twice() -> AbstractContextManager[Any]:
    """The ledger lets everything pass."""
    right = ProposalLedger.admit

    def admit(ledger: ProposalLedger, incarnation: int, batch: int, index: int) -> bool:
        right(ledger, incarnation, batch, index)
        return True

    return mock.patch.object(ProposalLedger, "admit", admit)


def truncates_on_every_append() -> AbstractContextManager[Any]:
    """A late append of the same leader cuts off what came after it, committed or not."""

    def splice(log: LogView, entries: Sequence[Entry]) -> None:
        first = entries[0].index
        if first <= log.last_index:
            log._truncate(first)
            log.commit = min(log.commit, entries[-1].index)
            log.given = min(log.given, log.commit)
        log.append(entries, sum(len(entry.payload) + 64 for entry in entries))

    def on_append(state: RaftState, message: Append) -> None:
        state.elapsed = 0
        log = state.log
        if log.term(message.prev_index) != message.prev_term:
            following._reject(state, message)
        elif following._take_entries(state, message.entries):
            last = message.prev_index + len(message.entries)
            log.commit = max(log.commit, min(message.commit, last))
            following._accept(state, message.sender, last)

    @contextmanager
    def planted() -> Iterator[None]:
        with (
            mock.patch.object(LogView, "splice", splice),
            mock.patch.object(following, "_without_known", lambda state, entries: entries),
            _handling(Append, on_append),
        ):
            yield

    return planted()


def keeps_leading_without_a_quorum() -> AbstractContextManager[Any]:
    """A leader that is cut off goes on, and answers keepalives for leases that another one lets end."""
    return mock.patch.object(ticking, "_hears_quorum", return_value=True)


def applies_what_comes_after_a_gap() -> AbstractContextManager[Any]:
    """A worker that missed a published message does not notice."""

    def arrived(stream: CommitStream, commit_index: int, entries: Sequence[Entry]) -> Sequence[Entry]:
        stream.known_commit_index = max(stream.known_commit_index, commit_index)
        fresh = [entry for entry in entries if entry.index >= stream.next_index]
        if fresh:
            stream.next_index = fresh[-1].index + 1
        return fresh

    @contextmanager
    def planted() -> Iterator[None]:
        with (
            mock.patch.object(CommitStream, "arrived", arrived),
            mock.patch.object(StateMachine, "_check_order", return_value=None),
        ):
            yield

    return planted()


def asks_for_a_read_index_again_under_its_old_number() -> AbstractContextManager[Any]:
    """An answer that was under way confirms reads that came after it was made."""
    right = ReadRounds.question

    def question(rounds: ReadRounds, now_s: float) -> int | None:
        again = bool(rounds._asked)
        number = right(rounds, now_s)
        if number is not None and again:
            rounds._number = number = number - 1
        return number

    return mock.patch.object(ReadRounds, "question", question)


BUGS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    bug.__name__: bug
    for bug in (
        commits_an_old_term_by_counting,
        does_not_persist_a_vote,
        votes_without_a_look_at_the_last_term,
        loses_the_hard_state,
        makes_snapshots_past_a_membership_change,
        acknowledges_an_append_before_the_sync,
        answers_a_vote_before_the_sync,
        reads_without_a_heartbeat_quorum,
        is_alone_among_others,
        takes_its_own_entry_for_committed,
        marks_what_only_it_has_written,
        reads_before_a_commit_in_its_term,
        applies_twice_what_was_proposed_twice,
        truncates_on_every_append,
        keeps_leading_without_a_quorum,
        applies_what_comes_after_a_gap,
        asks_for_a_read_index_again_under_its_old_number,
    )
}

"""What a leader makes of a member's answers."""

from __future__ import annotations

import pytest

from oarlock.coordinator.raft.progress import Inflight, Progress, ProgressState


def progress(match: int = 0, next_index: int = 1, *, replicating: bool = False) -> Progress:
    one = Progress(next_index, Inflight(2, 100), tick=0)
    one.match = match
    if replicating:
        one.become_replicate()
        one.next = next_index
    one.validate()
    return one


def test_a_probe_is_one_message_at_a_time() -> None:
    one = progress()
    one.sent(3, 30, 0)
    assert not one.can_send
    assert one.next == 1, "what a probe carries is not known to be taken"


def test_an_answer_that_brings_nothing_new_still_ends_a_probe() -> None:
    assert progress(5, 6).accepted(5)
    assert not progress(5, 6, replicating=True).accepted(5)


def test_replicating_sends_ahead_until_the_pipe_is_full() -> None:
    one = progress(0, 1, replicating=True)
    one.sent(2, 10, 0)
    assert one.can_send
    one.sent(1, 10, 0)
    assert not one.can_send
    assert one.next == 4
    assert one.accepted(2)
    one.inflight.free_to(2)
    assert one.can_send
    one.validate()


def test_bytes_fill_the_pipe_as_well() -> None:
    one = progress(0, 1, replicating=True)
    one.sent(1, 100, 0)
    assert one.inflight.full
    assert not one.can_send


@pytest.mark.parametrize(
    ("match", "next_index", "rejected", "hint", "result"),
    [(0, 10, 9, 4, 5), (0, 10, 9, 9, 9), (3, 10, 9, 0, 4), (0, 10, 7, 4, None), (0, 2, 1, 0, 1)],
    ids=["by the hint", "at least one back", "never before the match", "overtaken", "to the start"],
)
def test_a_rejected_probe_goes_back(match: int, next_index: int, rejected: int, hint: int, result: int | None) -> None:
    one = progress(match, next_index)
    one.sent(1, 1, 0)
    assert one.rejected(rejected, hint) is (result is not None)
    assert one.next == (result if result is not None else next_index)
    one.validate()


def test_a_rejection_in_the_stream_makes_a_probe_behind_the_match() -> None:
    one = progress(3, 9, replicating=True)
    assert one.rejected(8, 5)
    assert (one.state, one.next) == (ProgressState.PROBE, 4)
    assert not progress(3, 9, replicating=True).rejected(3, 1), "overtaken"


def test_a_snapshot_holds_everything_back_and_is_followed_by_a_probe_behind_it() -> None:
    one = progress(3, 9, replicating=True)
    one.sent(1, 1, 0)
    one.become_snapshot()
    one.validate()
    assert not one.can_send
    assert not one.rejected(8, 5)
    one.become_probe(20)
    assert one.next == 20


def test_a_commit_index_is_told_once() -> None:
    one = progress(0, 1, replicating=True)
    one.sent(4, 1, 0)
    assert one.needs_commit(2)
    one.sent(0, 0, 2)
    assert not one.needs_commit(2)
    one.sent(0, 0, 9)
    assert not one.needs_commit(10), "everything sent is known to be committed there"

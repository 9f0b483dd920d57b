from __future__ import annotations

import pytest

from oarlock.wire.errors import OverloadedError
from oarlock.workers.read_index import RETRY_S, ReadRounds


@pytest.fixture
def rounds() -> ReadRounds:
    return ReadRounds()


def test_reads_that_wait_share_one_question(rounds: ReadRounds) -> None:
    rounds.join("a")
    rounds.join("b")
    number = rounds.question(0.0)
    assert number == 1
    assert rounds.question(0.0) is None
    assert rounds.answered(1, 7, applied_index=7) == ["a", "b"]


def test_the_next_round_forms_while_one_is_under_way(rounds: ReadRounds) -> None:
    rounds.join("a")
    rounds.question(0.0)
    rounds.join("late")
    assert rounds.question(0.1) is None
    assert rounds.answered(1, 7, applied_index=7) == ["a"]
    assert rounds.question(0.1) == 2
    assert rounds.answered(2, 7, applied_index=7) == ["late"]


def test_an_unanswered_question_is_asked_under_a_new_number(rounds: ReadRounds) -> None:
    rounds.join("a")
    rounds.question(0.0)
    assert rounds.question(RETRY_S) == 2
    assert rounds.answered(1, 7, applied_index=7) == []
    assert rounds.answered(2, 7, applied_index=7) == ["a"]


def test_a_late_answer_does_not_confirm_a_read_that_joined_the_repeated_question(rounds: ReadRounds) -> None:
    rounds.join("early")
    rounds.question(0.0)
    rounds.join("late")
    rounds.question(RETRY_S)
    assert rounds.answered(1, 3, applied_index=9) == []


def test_reads_wait_until_the_replica_has_applied_the_index(rounds: ReadRounds) -> None:
    for name, index in (("a", 9), ("b", 8)):
        rounds.join(name)
        number = rounds.question(0.0)
        assert number is not None
        assert rounds.answered(number, index, applied_index=7) == []
    assert rounds.applied(7) == []
    assert rounds.applied(8) == ["b"]
    assert rounds.applied(9) == ["a"]
    assert len(rounds) == 0


def test_a_lost_coordinator_is_asked_anew_at_once(rounds: ReadRounds) -> None:
    rounds.join("a")
    rounds.question(0.0)
    rounds.coordinator_changed()
    assert rounds.question(0.0) == 2


def test_overdue_reads_are_taken_out_wherever_they_are(rounds: ReadRounds) -> None:
    rounds.join("confirmed")
    rounds.question(0.0)
    rounds.answered(1, 9, applied_index=0)
    rounds.join("asked")
    rounds.question(0.0)
    rounds.join("forming")
    assert sorted(rounds.discard(lambda read: read != "asked")) == ["confirmed", "forming"]
    assert len(rounds) == 1


def test_too_many_reads_are_refused() -> None:
    rounds = ReadRounds(max_forming=1)
    rounds.join("a")
    with pytest.raises(OverloadedError):
        rounds.join("b")

"""Questions that the leader answers, through changes of leaders."""

from __future__ import annotations

import pytest

from oarlock.coordinator.forwarding import ASK_AGAIN_S, FORGET_S, MAX_WAITING, Forwarding
from oarlock.wire.errors import OverloadedError
from oarlock.wire.internal import Internal

KEEPALIVE = [int(Internal.KEEPALIVE), 5, [71, 72]]
MEMBERS = [int(Internal.MEMBERS), 6, "remove", [1]]


def test_a_question_is_put_once_and_answered_under_its_own_number() -> None:
    forwarding = Forwarding()
    token = forwarding.add(b"worker", KEEPALIVE, 0.0)
    assert list(forwarding.to_send(0.0)) == [(token, [Internal.KEEPALIVE, token, [71, 72]])]
    assert list(forwarding.to_send(0.1)) == []
    assert forwarding.answered([Internal.KEEPALIVE, token, [[71, 60]]]) == (b"worker", [4, 5, [[71, 60]]])
    assert forwarding.answered([Internal.KEEPALIVE, token, [[72, 0]]]) == (b"worker", [4, 5, [[72, 0]]])
    assert forwarding.answered([Internal.KEEPALIVE, token, [[72, 0]]]) is None


def test_an_error_ends_a_question() -> None:
    forwarding = Forwarding()
    token = forwarding.add(b"worker", KEEPALIVE, 0.0)
    assert forwarding.answered([Internal.KEEPALIVE, token, -14, "no", 0]) == (b"worker", [4, 5, -14, "no", 0])
    assert len(forwarding) == 0


def test_what_may_be_asked_twice_is_asked_again_and_put_to_the_next_leader() -> None:
    forwarding = Forwarding()
    forwarding.add(b"worker", KEEPALIVE, 0.0)
    forwarding.add(b"worker", MEMBERS, 0.0)
    assert len(list(forwarding.to_send(0.0))) == 2
    assert [message[0] for _, message in forwarding.to_send(ASK_AGAIN_S)] == [Internal.KEEPALIVE]
    assert [question.message for question in forwarding.leader_changed()] == [MEMBERS]
    assert len(list(forwarding.to_send(ASK_AGAIN_S))) == 1


def test_a_change_that_was_never_sent_waits_for_a_leader() -> None:
    forwarding = Forwarding()
    forwarding.add(b"worker", MEMBERS, 0.0)
    assert forwarding.leader_changed() == []
    assert len(list(forwarding.to_send(1.0))) == 1


def test_questions_are_bounded_and_forgotten() -> None:
    forwarding = Forwarding()
    for _ in range(MAX_WAITING):
        forwarding.add(b"worker", KEEPALIVE, 0.0)
    with pytest.raises(OverloadedError):
        forwarding.add(b"worker", KEEPALIVE, 0.0)
    forwarding.forget_old(FORGET_S)
    assert len(forwarding) == 0


def test_a_worker_that_is_gone_waits_for_nothing() -> None:
    forwarding = Forwarding()
    forwarding.add(b"worker", KEEPALIVE, 0.0)
    forwarding.add(b"other", KEEPALIVE, 0.0)
    forwarding.forget_worker(b"worker")
    assert [question.worker for question in forwarding.take_all()] == [b"other"]

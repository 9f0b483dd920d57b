"""When a lease is renewed, and when it is lost."""

from __future__ import annotations

from oarlock.renewal import Renewal


def test_it_is_renewed_at_a_third_of_its_time() -> None:
    renewal = Renewal(9, asked_at=100)
    assert (renewal.renew_at, renewal.expires_at) == (103, 109)
    renewal.answered(9, asked_at=103)
    assert (renewal.renew_at, renewal.expires_at) == (106, 112)


def test_it_is_lost_when_the_server_does_not_know_it() -> None:
    renewal = Renewal(9, asked_at=100)
    renewal.answered(0, asked_at=103)
    assert renewal.lost


def test_it_is_lost_when_no_answer_came_within_its_time() -> None:
    renewal = Renewal(9, asked_at=100)
    now = 103.0
    while not renewal.lost:
        assert now < 109
        renewal.failed(now)
        now = renewal.renew_at
        renewal.check(now)
    assert now == 109


def test_a_late_answer_does_not_bring_it_back() -> None:
    renewal = Renewal(9, asked_at=100)
    renewal.check(109)
    renewal.answered(9, asked_at=108)
    assert renewal.lost


def test_a_try_does_not_last_longer_than_the_lease() -> None:
    renewal = Renewal(9, asked_at=100)
    assert renewal.attempt_timeout_s(103) == 3
    assert renewal.attempt_timeout_s(108) == 1

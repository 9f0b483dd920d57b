"""The supervisor's patience, without a clock."""

from __future__ import annotations

from oarlock.host.watchdog import SILENCE_S, STARTING_S, Watchdog


def asked_every_second(watchdog: Watchdog, first_s: int, last_s: int) -> int | None:
    """The first second at which the child counts as hung, if any."""
    return next((now_s for now_s in range(first_s, last_s + 1) if watchdog.expired(now_s)), None)


def test_a_child_that_reports_is_well() -> None:
    watchdog = Watchdog(0.0)
    for now_s in range(1000):
        watchdog.heard(now_s)
        assert not watchdog.expired(now_s)


def test_silence_expires() -> None:
    watchdog = Watchdog(0.0)
    watchdog.heard(10.0)
    assert asked_every_second(watchdog, 0, 1000) == 10 + SILENCE_S + 1


def test_a_starting_child_gets_more_time() -> None:
    assert asked_every_second(Watchdog(0.0), 0, 1000) == STARTING_S + 1


def test_time_in_which_nobody_watched_does_not_count() -> None:
    watchdog = Watchdog(0.0)
    watchdog.heard(0.0)
    assert not watchdog.expired(1.0)
    assert not watchdog.expired(1000.0)
    assert asked_every_second(watchdog, 1001, 2000) is not None

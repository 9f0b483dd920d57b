"""Clients are sent elsewhere when no leader has been heard of for long."""

from __future__ import annotations

from oarlock.workers.leader_absence import ABSENT_S, REPEAT_S, LeaderAbsence


def test_clients_are_told_again_and_again_while_there_is_no_leader() -> None:
    absence = LeaderAbsence(10.0)
    assert not absence.due(10.0 + ABSENT_S / 2)
    assert absence.due(10.0 + ABSENT_S)
    assert not absence.due(10.0 + ABSENT_S)
    assert absence.due(10.0 + ABSENT_S + REPEAT_S)


def test_nobody_is_told_while_a_leader_is_heard_of() -> None:
    absence = LeaderAbsence(10.0)
    absence.heard(11.0)
    assert not absence.due(10.0 + ABSENT_S)
    assert absence.due(11.0 + ABSENT_S)

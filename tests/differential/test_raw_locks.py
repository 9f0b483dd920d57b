"""Locks and elections, alone and contended, at etcd and at Oarlock: the same keys, in the same turn."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.differential import alike
from tests.differential.calls import ANSWER_S, Outcome, Stream, request
from tests.differential.pair import FROM_FIRST_KEY, Pair

FIRST, SECOND, THIRD = 11, 12, 13


@pytest.fixture
def leased(pair: Pair) -> Pair:
    """Both, with three leases."""
    pair.begin()
    for lease in (FIRST, SECOND, THIRD):
        pair.same("Lease/LeaseGrant", ID=lease, TTL=600)
    return pair


def test_a_free_lock_is_taken_alike(leased: Pair) -> None:
    leased.same("Lock/Lock", name=b"l", lease=FIRST)
    leased.same("Lock/Lock", name=b"l", lease=FIRST)
    leased.same("Lock/Lock", name=b"", lease=FIRST)
    leased.same("Lock/Lock", name=b"l", lease=99)
    leased.same("KV/Range", **FROM_FIRST_KEY)
    leased.same("Lock/Unlock", key=b"l/b")
    leased.same("Lock/Unlock", key=b"l/b")
    leased.same("Lock/Unlock", key=b"")
    leased.same("KV/Range", **FROM_FIRST_KEY)


def test_a_lock_goes_from_hand_to_hand_alike(leased: Pair) -> None:
    leased.same("Lock/Lock", name=b"l", lease=FIRST)
    with ThreadPoolExecutor(4) as waiting:
        second = _begin(leased, waiting, "Lock/Lock", name=b"l", lease=SECOND)
        leased.until_keys(b"l/", 2)
        third = _begin(leased, waiting, "Lock/Lock", name=b"l", lease=THIRD)
        leased.until_keys(b"l/", 3)
        leased.same("Lock/Unlock", key=b"l/b")
        _hold_alike(leased, second)
        leased.same("Lease/LeaseRevoke", ID=SECOND)
        _hold_alike(leased, third)
    leased.same("KV/Range", **FROM_FIRST_KEY)


def test_a_waiter_whose_lease_ends_is_told_alike(leased: Pair) -> None:
    leased.same("Lock/Lock", name=b"l", lease=FIRST)
    with ThreadPoolExecutor(2) as waiting:
        second = _begin(leased, waiting, "Lock/Lock", name=b"l", lease=SECOND)
        leased.until_keys(b"l/", 2)
        leased.same("Lease/LeaseRevoke", ID=SECOND)
        leased.same("Lock/Unlock", key=b"l/b")
        _hold_alike(leased, second)


def test_an_election_is_held_alike(leased: Pair) -> None:
    leased.same("Election/Leader", name=b"e")
    leased.same("Election/Campaign", name=b"e", lease=FIRST, value=b"one")
    leased.same("Election/Leader", name=b"e")
    leased.same("Election/Campaign", name=b"e", lease=FIRST, value=b"other")
    leased.same("Election/Campaign", name=b"", lease=FIRST, value=b"nameless")
    leased.same("Election/Campaign", name=b"e", lease=99, value=b"unknown")
    leader = {"name": b"e", "key": b"e/b", "rev": _created(leased, b"e/b"), "lease": FIRST}
    leased.same("Election/Proclaim", leader=leader, value=b"two")
    leased.same("Election/Leader", name=b"e")
    for wrong in ({"rev": 1}, {"key": b"e/nobody"}, {"lease": SECOND}, {"name": b"x"}):
        leased.same("Election/Proclaim", leader=leader | wrong, value=b"three")
        leased.same("KV/Range", **FROM_FIRST_KEY)
    leased.same("Election/Proclaim", value=b"nobody's")
    leased.same("Election/Resign", leader=leader | {"rev": 1})
    leased.same("Election/Leader", name=b"e")
    leased.same("Election/Resign")
    leased.same("Election/Resign", leader=leader)
    leased.same("Election/Resign", leader=leader)
    leased.same("Election/Leader", name=b"e")
    leased.same("KV/Range", **FROM_FIRST_KEY)


def test_candidates_follow_each_other_alike(leased: Pair) -> None:
    leased.same("Election/Campaign", name=b"e", lease=FIRST, value=b"one")
    with ThreadPoolExecutor(2) as waiting:
        second = _begin(leased, waiting, "Election/Campaign", name=b"e", lease=SECOND, value=b"two")
        leased.until_keys(b"e/", 2)
        leased.same("Election/Leader", name=b"e")
        leased.same("Lease/LeaseRevoke", ID=FIRST)
        _hold_alike(leased, second)
    leased.same("Election/Leader", name=b"e")


def test_an_election_is_observed_alike(leased: Pair) -> None:
    observe = request("Election/Observe", name=b"e")
    observers = [side.caller.observe("Election/Observe", observe) for side in leased.sides]
    try:
        leased.same("Election/Campaign", name=b"e", lease=FIRST, value=b"one")
        _hear_alike(leased, observers)
        leader = {"name": b"e", "key": b"e/b", "rev": _created(leased, b"e/b"), "lease": FIRST}
        leased.same("Election/Proclaim", leader=leader, value=b"two")
        _hear_alike(leased, observers)
        leased.same("Election/Resign", leader=leader)
        leased.same("Election/Campaign", name=b"e", lease=SECOND, value=b"three")
        _hear_alike(leased, observers)
    finally:
        for observer in observers:
            observer.cancel()


def _begin(pair: Pair, waiting: ThreadPoolExecutor, method: str, **fields: Any) -> list[Any]:
    return [waiting.submit(side.caller.call, method, request(method, **fields)) for side in pair.sides]


def _hold_alike(pair: Pair, calls: list[Any]) -> None:
    """Holds that calls that waited have ended alike."""
    ended: list[Outcome] = [call.result(ANSWER_S) for call in calls]
    expected, got = (alike.outcome(each, side.ids) for each, side in zip(ended, pair.sides, strict=True))
    assert got == expected


def _hear_alike(pair: Pair, observers: list[Stream]) -> None:
    """Holds that both are told the same next."""
    heard = [alike.message(observer.receive(), side.ids) for observer, side in zip(observers, pair.sides, strict=True)]
    assert heard[0] == heard[1]


def _created(pair: Pair, key: bytes) -> int:
    answer = pair.same("KV/Range", key=key).answers[0]
    return int(answer.kvs[0].create_revision)  # type: ignore[attr-defined]

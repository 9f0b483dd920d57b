from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oarlock.coordinator.lessor import EXPIRING, MOST_DEAD_ENTRIES, Lessor


@pytest.fixture
def lessor() -> Lessor:
    leading = Lessor()
    leading.lead(0.0, 0.0)
    return leading


def test_a_lease_never_ends_early(lessor: Lessor) -> None:
    lessor.grant(7, 10, 0.0)
    assert lessor.expired(9.99, 10) == []
    assert lessor.expired(10.0, 10) == [7]


def test_a_renewal_gives_the_full_time_again(lessor: Lessor) -> None:
    lessor.grant(7, 10, 0.0)
    assert lessor.keep_alive(7, 9.0) == 10
    assert lessor.expired(18.9, 10) == []
    assert lessor.expired(19.0, 10) == [7]


def test_what_is_over_is_handed_out_once_and_never_renewed(lessor: Lessor) -> None:
    lessor.grant(7, 10, 0.0)
    assert lessor.expired(10.0, 10) == [7]
    assert lessor.expired(11.0, 10) == []
    assert lessor.keep_alive(7, 11.0) == EXPIRING


def test_leases_that_come_and_go_leave_nothing_behind(lessor: Lessor) -> None:
    lessor.grant(1, 10, 0.0)
    for lease in range(2, 10 * MOST_DEAD_ENTRIES):
        lessor.grant(lease, 1_000_000, 0.0)
        lessor.revoke(lease)
    assert len(lessor._heap) <= 2 * MOST_DEAD_ENTRIES
    lessor.validate()
    assert lessor.expired(10.0, 10) == [1]


def test_a_lease_that_is_expiring_is_not_handed_out_again_when_others_go(lessor: Lessor) -> None:
    lessor.grant(1, 10, 0.0)
    assert lessor.expired(10.0, 10) == [1]
    for lease in range(2, 10 * MOST_DEAD_ENTRIES):
        lessor.grant(lease, 1_000_000, 0.0)
        lessor.revoke(lease)
    assert lessor.expired(20.0, 10) == []
    lessor.unexpire([1])
    assert lessor.expired(20.0, 10) == [1]


def test_a_revoke_that_was_not_taken_is_handed_out_again(lessor: Lessor) -> None:
    lessor.grant(7, 10, 0.0)
    lessor.expired(10.0, 10)
    lessor.unexpire([7])
    assert lessor.expired(11.0, 10) == [7]


def test_an_unknown_lease_has_no_time(lessor: Lessor) -> None:
    assert lessor.keep_alive(1, 0.0) == 0
    assert lessor.time_to_live(1, 0.0) == (-1, 0)


def test_a_second_grant_of_the_same_lease_changes_nothing(lessor: Lessor) -> None:
    lessor.grant(7, 10, 0.0)
    lessor.grant(7, 1000, 5.0)
    assert lessor.time_to_live(7, 4.5) == (5, 10)


def test_a_new_leader_gives_every_lease_its_full_time(lessor: Lessor) -> None:
    lessor.grant(7, 10, 0.0)
    lessor.stop_leading()
    assert lessor.expired(100.0, 10) == []
    lessor.lead(100.0, 1.0)
    assert lessor.expired(110.9, 10) == []
    assert lessor.expired(111.0, 10) == [7]


def test_a_scan_hands_out_no_more_than_asked(lessor: Lessor) -> None:
    for lease_id in range(1, 6):
        lessor.grant(lease_id, 10, 0.0)
    assert len(lessor.expired(10.0, 3)) == 3
    assert len(lessor.expired(10.0, 3)) == 2


def test_leases_of_a_snapshot_replace_all_others(lessor: Lessor) -> None:
    lessor.grant(7, 10, 0.0)
    lessor.load([(8, 20)])
    assert list(lessor.items()) == [(8, 20)]
    lessor.validate()


calls = st.tuples(
    st.sampled_from(["grant", "revoke", "keep_alive", "expired", "unexpire", "lead", "stop"]),
    st.integers(1, 5),
    st.integers(1, 20),
    st.floats(0, 3),
)


@example([("grant", 1, 1, 0.0), ("lead", 1, 1, 0.0), ("expired", 1, 1, 2.0), ("unexpire", 1, 1, 0.0)])
@given(st.lists(calls, max_size=60))
def test_the_invariants_hold_and_no_lease_ends_early(history: list[tuple[str, int, int, float]]) -> None:
    lessor, now_s, leading = Lessor(), 0.0, False
    earliest: dict[int, float] = {}
    ttls: dict[int, int] = {}
    for call, lease_id, ttl_s, pause_s in history:
        now_s += pause_s
        if call == "grant":
            lessor.grant(lease_id, ttl_s, now_s)
            if lease_id not in ttls:
                ttls[lease_id], earliest[lease_id] = ttl_s, now_s + ttl_s
        elif call == "revoke":
            lessor.revoke(lease_id)
            ttls.pop(lease_id, None)
        elif call == "keep_alive":
            if lessor.keep_alive(lease_id, now_s) > 0:
                earliest[lease_id] = now_s + ttls[lease_id]
        elif call == "unexpire":
            lessor.unexpire([lease_id])
        elif call == "lead":
            lessor.lead(now_s, 0.0)
            leading = True
            earliest = {each: now_s + ttl for each, ttl in ttls.items()}
        elif call == "stop":
            lessor.stop_leading()
            leading = False
        else:
            for ended in lessor.expired(now_s, 3):
                assert leading
                assert now_s >= earliest[ended]
        lessor.validate()
        assert set(dict(lessor.items())) == set(ttls)

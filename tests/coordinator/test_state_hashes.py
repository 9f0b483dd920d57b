"""Who is wrong, when replicas differ."""

from __future__ import annotations

from oarlock.coordinator.state_hashes import MAX_INDEXES, StateHashes, Verdict

THREE = (1, 2, 3)


def test_equal_hashes_are_no_news() -> None:
    hashes = StateHashes()
    assert [hashes.report(member, b"", 7, b"x", THREE) for member in THREE] == [None, None, None]


def test_the_odd_one_of_three_is_named_once() -> None:
    hashes = StateHashes()
    assert hashes.report(1, b"", 7, b"x", THREE) is None
    assert hashes.report(2, b"", 7, b"y", THREE) is None
    assert hashes.report(3, b"", 7, b"x", THREE) == Verdict(7, (2,))
    assert hashes.report(3, b"", 7, b"x", THREE) is None


def test_where_no_majority_agrees_nobody_is_named() -> None:
    hashes = StateHashes()
    verdicts = [hashes.report(member, b"", 7, bytes([member]), THREE) for member in THREE]
    assert verdicts == [None, None, Verdict(7, ())]


def test_workers_of_one_member_that_differ_name_it() -> None:
    hashes = StateHashes()
    assert hashes.report(1, b"a", 7, b"x", (1,)) is None
    assert hashes.report(1, b"b", 7, b"y", (1,)) == Verdict(7, (1,))


def test_one_wrong_worker_makes_its_member_the_odd_one() -> None:
    hashes = StateHashes()
    hashes.report(1, b"a", 7, b"x", THREE)
    hashes.report(1, b"b", 7, b"y", THREE)
    hashes.report(2, b"", 7, b"x", THREE)
    assert hashes.report(3, b"", 7, b"x", THREE) == Verdict(7, (1,))


def test_old_indexes_are_forgotten() -> None:
    hashes = StateHashes()
    for index in range(MAX_INDEXES + 1):
        hashes.report(1, b"", index, b"x", (1,))
    assert hashes.report(1, b"other", 0, b"y", (1,)) is None
    assert hashes.report(1, b"other", MAX_INDEXES, b"y", (1,)) == Verdict(MAX_INDEXES, (1,))

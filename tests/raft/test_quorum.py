"""The arithmetic of majorities against the definition, by brute force."""

from __future__ import annotations

from itertools import combinations, product

from hypothesis import given
from hypothesis import strategies as st

from oarlock.coordinator.raft.quorum import VoteResult, agreed, majority, vote_result


@given(st.lists(st.integers(0, 20), min_size=1, max_size=9))
def test_agreed_is_the_best_value_that_some_majority_shares(values: list[int]) -> None:
    majorities = combinations(values, majority(len(values)))
    assert agreed(values) == max(min(group) for group in majorities)


def test_nobody_agrees_to_nothing() -> None:
    assert agreed([]) == 0


@given(st.integers(1, 50))
def test_two_majorities_overlap_and_no_smaller_groups_must(count: int) -> None:
    assert 2 * majority(count) > count
    assert 2 * (majority(count) - 1) <= count


@given(st.sets(st.integers(1, 9), max_size=7), st.dictionaries(st.integers(1, 9), st.booleans()))
def test_vote_is_decided_when_no_completion_changes_it(voters: set[int], votes: dict[int, bool]) -> None:
    silent = sorted(voters - votes.keys())
    outcomes = set()
    for answers in product([False, True], repeat=len(silent)):
        final = {**votes, **dict(zip(silent, answers, strict=True))}
        outcomes.add(sum(final[voter] for voter in voters) > len(voters) / 2)
    expected = VoteResult.PENDING if len(outcomes) == 2 else VoteResult.WON if outcomes == {True} else VoteResult.LOST
    assert vote_result(voters, votes) is expected

"""The arithmetic of majorities. Commit index, read rounds and votes are all counted here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum


class VoteResult(Enum):
    """How an election stands."""

    PENDING = "pending"
    WON = "won"
    LOST = "lost"


def majority(count: int) -> int:
    """How many of ``count`` voters are more than half of them."""
    return count // 2 + 1


def agreed(values: Sequence[int]) -> int:
    """The highest value that a majority has reached.

    With the matches 7, 5, 9 of three voters the answer is 7: two voters have index 7, only one has 9. With four voters
    at 7, 5, 9, 5 it is 5, since three must have it.

    Args:
        values: one number a voter, such as the last index known to be durable there.

    Returns:
        The highest number that at least ``majority(len(values))`` voters reach; 0 where there is no voter, since
        nobody agreed to anything.
    """
    count = len(values)
    if count == 1:
        return values[0]
    if count == 0:
        return 0
    return sorted(values)[(count - 1) // 2]


def vote_result(voters: Iterable[int], votes: Mapping[int, bool]) -> VoteResult:
    """How an election among ``voters`` stands.

    Args:
        voters: the members whose votes count.
        votes: what was answered so far; answers of others than ``voters`` are ignored.

    Returns:
        ``WON`` or ``LOST`` once no further answer can change it; no voters at all is ``LOST``.
    """
    granted = refused = count = 0
    for voter in voters:
        count += 1
        vote = votes.get(voter)
        if vote is True:
            granted += 1
        elif vote is False:
            refused += 1
    needed = majority(count)
    if granted >= needed:
        return VoteResult.WON
    if count - refused < needed:
        return VoteResult.LOST
    return VoteResult.PENDING

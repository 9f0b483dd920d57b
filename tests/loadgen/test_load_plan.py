"""Load plans: keys, values and due times, without a network."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oarlock.loadgen.plan import KeySpace, due_times, values


def test_sequential_keys_start_again_after_the_last() -> None:
    assert list(islice(KeySpace(3, 8).keys(), 4)) == [b"bench/00", b"bench/01", b"bench/02", b"bench/00"]


def test_random_keys_repeat_with_the_seed_and_stay_in_the_space() -> None:
    space = KeySpace(10, 8, random=True, seed=5)
    drawn = list(islice(space.keys(), 200))
    assert drawn == list(islice(space.keys(), 200))
    assert set(drawn) == {space.key(number) for number in range(10)}
    assert drawn != list(islice(KeySpace(10, 8, random=True, seed=6).keys(), 200))


@given(st.integers(1, 10**6), st.integers(0, 30), st.binary(max_size=5), st.data())
def test_keys_have_their_size_and_differ(count: int, spare: int, prefix: bytes, data: st.DataObject) -> None:
    space = KeySpace(count, len(prefix) + len(str(count)) + spare, prefix)
    one, other = (data.draw(st.integers(0, count - 1)) for _ in range(2))
    assert len(space.key(one)) == space.size
    assert (space.key(one) == space.key(other)) == (one == other)
    assert next(space.keys()) == space.key(0)


@pytest.mark.parametrize(("count", "size"), [(0, 10), (101, 8), (1, 10**6)])
def test_a_key_space_that_cannot_be_is_refused(count: int, size: int) -> None:
    with pytest.raises(ValueError, match=str(count)):
        KeySpace(count, size)


def test_values_have_their_size_and_change() -> None:
    drawn = list(islice(values(256), 20))
    assert {len(value) for value in drawn} == {256}
    assert len(set(drawn)) == 16


def test_an_open_load_is_due_at_its_rate() -> None:
    assert list(islice(due_times(4), 5)) == [0, 0.25, 0.5, 0.75, 1]


def test_a_closed_load_is_always_due() -> None:
    assert list(islice(due_times(0), 3)) == [0, 0, 0]


def test_negative_figures_are_refused() -> None:
    with pytest.raises(ValueError, match="-1"):
        due_times(-1)
    with pytest.raises(ValueError, match="-2"):
        next(values(-2))


def test_by_zipf_each_key_comes_as_often_as_its_rank_says() -> None:
    drawn = list(islice(KeySpace(100, 10, zipf=1.0, seed=1).numbers(), 20_000))
    total = sum(1 / rank for rank in range(1, 101))
    for rank in (1, 2, 10):
        assert drawn.count(rank - 1) / len(drawn) == pytest.approx(1 / rank / total, rel=0.15)
    assert set(drawn) <= set(range(100))


def test_shares_of_keys_in_turn_are_all_of_them() -> None:
    spaces = [KeySpace(7, 8, share=share, shares=3) for share in range(3)]
    drawn = [list(islice(space.numbers(), 7)) for space in spaces]
    assert drawn[1] == [1, 4, 0, 3, 6, 2, 5]
    assert {number for numbers in drawn for number in numbers[:3]} == set(range(7))


def test_an_open_load_may_begin_later() -> None:
    assert list(islice(due_times(4, 0.125), 3)) == [0.125, 0.375, 0.625]


def test_an_exponent_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="-1"):
        KeySpace(10, 10, zipf=-1.0)

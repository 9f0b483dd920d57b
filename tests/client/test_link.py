"""How long an endpoint may take to greet."""

from __future__ import annotations

import pytest

from oarlock.link import Link, first_round_s


def patience_s(link: Link) -> float:
    """Of the next attempt, which then fails."""
    link.opened(100.0)
    given_s = link.give_up_at - 100.0
    link.lost(100.0, "did not greet in time")
    return given_s


def test_the_first_tries_are_short_and_grow_to_the_time_out() -> None:
    link = Link(("a:1",), 2.0, lambda: 0.0)
    assert [patience_s(link) for _ in range(4)] == [0.5, 1.0, 2.0, 2.0]


def test_every_endpoint_has_a_short_try_before_any_has_a_longer_one() -> None:
    link = Link(("a:1", "b:1"), 2.0, lambda: 0.0)
    assert [patience_s(link) for _ in range(5)] == [0.5, 0.5, 1.0, 1.0, 2.0]


def test_no_try_is_longer_than_the_time_out() -> None:
    assert patience_s(Link(("a:1",), 0.25, lambda: 0.0)) == 0.25


@pytest.mark.parametrize(("timeout_s", "total_s"), [(0.1, 0.1), (2.0, 3.5), (3.0, 0.5 + 1 + 2 + 3)])
def test_a_first_round_gives_every_endpoint_the_whole_time_out_once(timeout_s: float, total_s: float) -> None:
    assert first_round_s(1, timeout_s) == total_s
    assert first_round_s(3, timeout_s) == 3 * total_s

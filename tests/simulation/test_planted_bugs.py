"""The net catches: each of these known bugs is found within the seeds that run with every change."""

from __future__ import annotations

import pytest

from .bugs import BUGS
from .cluster import simulate
from .test_simulation import CI_SEEDS

FIRST_TRIED: dict[str, int] = {
    "asks_for_a_read_index_again_under_its_old_number": 37,
    "keeps_leading_without_a_quorum": 118,
}
"""Seeds that have found a bug: tried first, to save time. Where the product has changed, the search goes on from there
through all of them."""


@pytest.mark.parametrize("name", BUGS)
def test_bug_is_found(name: str) -> None:
    first = FIRST_TRIED.get(name, 0)
    with BUGS[name]():
        for seed in [*range(first, CI_SEEDS), *range(first)]:
            try:
                simulate(seed)
            except Exception:
                return
    pytest.fail(f"{name}: not found by seeds 0 to {CI_SEEDS - 1}")

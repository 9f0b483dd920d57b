"""The net catches: each of these known bugs is found within the seeds that run with every change."""

from __future__ import annotations

import pytest

from tests.interpreted import run_interpreted

from .bugs import BUGS

FIRST_TRIED: dict[str, int] = {
    "asks_for_a_read_index_again_under_its_old_number": 1191,
    "keeps_leading_without_a_quorum": 118,
}
"""Seeds that have found a bug: tried first, to save time. Where the product has changed, the search goes on from there
through all of them."""
TIMEOUT_S = 110


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", BUGS)
def test_bug_is_found(name: str) -> None:
    found = run_interpreted("tests.simulation.bug_hunt", name, str(FIRST_TRIED.get(name, 0)), timeout_s=TIMEOUT_S)
    assert found.splitlines()[-1].isdigit()

"""The net catches: each of these known bugs is found within the seeds that run with every change."""

from __future__ import annotations

import pytest

from tests.interpreted import run_interpreted

from .bugs import BUGS

TIMEOUT_S = 110


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", BUGS)
def test_bug_is_found(name: str) -> None:
    found = run_interpreted("tests.simulation.bug_hunt", name, timeout_s=TIMEOUT_S)
    assert found.splitlines()[-1].isdigit()

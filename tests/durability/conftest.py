"""Seeds: fixed where every run must be alike, new ones for the long campaigns, any one on demand."""

from __future__ import annotations

import os
import secrets

import pytest


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of a campaign; printed, so that a failure says how to repeat it."""
    given = os.environ.get("OARLOCK_TEST_SEED")
    is_long = request.node.get_closest_marker("soak") is not None
    seed = int(given) if given else secrets.randbits(32) if is_long else 2024
    print(f"to repeat: OARLOCK_TEST_SEED={seed}")
    return seed


@pytest.fixture(scope="session")
def soak_kills() -> int:
    """How many kills a long campaign has."""
    return int(os.environ.get("OARLOCK_SOAK_KILLS", "300"))

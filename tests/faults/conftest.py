"""Seeds, as the durability campaigns have them."""

from __future__ import annotations

import os

import pytest

from tests.durability.conftest import seed

__all__ = ["seed"]


@pytest.fixture(scope="session")
def soak_faults() -> int:
    """How many faults a long campaign has."""
    return int(os.environ.get("OARLOCK_SOAK_FAULTS", "60"))

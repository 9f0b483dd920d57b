from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workers.harness import Harness


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    """A state machine over an empty replica."""
    made = Harness(tmp_path / "replica")
    yield made
    made.close()

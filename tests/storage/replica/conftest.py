from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from replica_cases import open_replica

from oarlock.storage.replica import Replica


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[Replica]:
    """An empty replica; after the test its tables must agree with each other."""
    from replica_cases import scrub

    opened = open_replica(tmp_path / "replica")
    yield opened
    scrub(opened)
    opened.close()

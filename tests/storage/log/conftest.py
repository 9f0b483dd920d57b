"""An empty disk in memory, and an empty log on it."""

from __future__ import annotations

import pytest
from log_cases import DIRECTORY, IDENTITY, SMALL

from oarlock.storage.log import Log
from oarlock.storage.memory_disk import MemoryDisk


@pytest.fixture
def disk() -> MemoryDisk:
    return MemoryDisk()


@pytest.fixture
def log(disk: MemoryDisk) -> Log:
    """An empty log of small segments without a cache."""
    return Log.create(DIRECTORY, disk, IDENTITY, SMALL)

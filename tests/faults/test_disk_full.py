"""A member whose disk is full cannot take part: its processes end, and are started again until there is room.

The others go on, and lead.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from .campaign import Campaign
from .faults import FillDisk
from .hosts import Hosts, with_hosts

DISK_BYTES = 48 << 20
FAULTS = 2

needs_root = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="a file system of its own for each member needs root"
)


@needs_root
@pytest.mark.slow
def test_a_full_disk_costs_its_member_and_nothing_else(tmp_path: Path, seed: int) -> None:
    def test(cluster: Hosts) -> None:
        asyncio.run(Campaign(cluster, seed, [FillDisk]).run(FAULTS))

    with_hosts(test, tmp_path, disk_bytes=DISK_BYTES)

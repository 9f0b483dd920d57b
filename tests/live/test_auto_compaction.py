"""History goes by itself where a server is told so."""

from __future__ import annotations

from pathlib import Path

import pytest

import oarlock
from oarlock.wire.errors import CompactedError
from tests.server import running, wait_until


@pytest.mark.slow
def test_old_revisions_go_when_their_time_is_over(tmp_path: Path) -> None:
    with (
        running(tmp_path, workers=2, arguments=("--auto-compaction-retention", "2s")) as server,
        oarlock.connect(server.native_endpoint, timeout_s=20.0) as client,
    ):
        first = client.put("a", "1").header.revision
        client.put("a", "2")

        def is_gone() -> bool:
            try:
                client.get("a", revision=first)
            except CompactedError:
                return True
            return False

        wait_until(is_gone, 40.0, "the first revision to be compacted")
        assert client.get("a").value == b"2"

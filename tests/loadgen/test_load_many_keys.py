"""``oarlock bench many-keys``: on a server of its own, which is gone afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from oarlock.loadgen import commands
from oarlock.loadgen.many_keys import Extent

SECONDS = ("count", "list_keys_only", "list", "compaction", "snapshot", "restart", "restart_after_kill")
SIZES = ("memory_empty", "memory", "memory_after_restart", "database", "database_in_use", "disk", "snapshot")


@pytest.mark.slow
def test_many_keys_are_loaded_listed_compacted_and_there_after_restarts(tmp_path: Path) -> None:
    arguments = ["many-keys", "--keys", "2500", "--list", "300", "--processes", "2", "--directory", str(tmp_path)]
    result = CliRunner().invoke(commands.bench, [*arguments, "--serve", "--workers 1", "-w", "json"])
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert (data["requests"], data["errors"], data["settings"]["listed_keys"]) == (2500, {}, 300)
    assert all(data[f"{name}_seconds"] > 0 for name in SECONDS)
    assert (data["pages"], data["page_ms"]["max"] > 0) == (3, True)
    assert all(data[f"{name}_mib"] > 0 for name in SIZES)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_start_is_one_line(tmp_path: Path) -> None:
    arguments = ["many-keys", "--keys", "10", "--directory", str(tmp_path), "--serve", "--no-such-option"]
    result = CliRunner().invoke(commands.bench, arguments)
    assert result.exit_code == 1
    assert "the server did not start" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("keys", "listed"), [(10, 11), (10, 0), (0, 0)])
def test_lists_of_more_keys_than_there_are_cannot_be(keys: int, listed: int) -> None:
    with pytest.raises(ValueError, match=f"not {listed}"):
        Extent(keys, 32, 256, listed, 1)

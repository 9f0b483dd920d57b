"""The measurement of failovers: a leader that is killed, and one that is stopped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from oarlock.loadgen.failover import Failure, main, summary


def test_the_summary_is_a_distribution_for_each_kind() -> None:
    failures = [Failure("kill", number % 2, number / 10, 0.5, 1.0) for number in range(11)]
    figures = summary([*failures, Failure("stop", 0, 0.1, 0.1, 0.1)])
    assert figures["kill"]["times"] == 11
    assert figures["kill"]["failed_puts"] == 5
    assert figures["kill"]["gap_s"] == {"least": 0.0, "median": 0.5, "p90": 0.9, "most": 1.0}
    assert figures["stop"]["times"] == 1


@pytest.mark.slow
def test_a_kill_and_a_stop_are_measured_and_nothing_fails(tmp_path: Path) -> None:
    output = tmp_path / "failover.json"
    done = CliRunner().invoke(main, ["--kills", "1", "--stops", "1", "--clients", "2", "--output", str(output)])
    assert done.exit_code == 0, done.output
    assert "| kill | 1 | 0 |" in done.output
    found = json.loads(output.read_text())
    assert [each["failed_puts"] for each in found["failures"]] == [0, 0]
    assert (found["lost"], found["doubled"]) == (0, 0)

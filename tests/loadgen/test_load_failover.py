"""``oarlock bench failover``: a leader that is killed, and one that is stopped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from oarlock.loadgen import commands
from oarlock.loadgen.failover import Failure, summary


def test_the_summary_is_a_distribution_for_each_kind() -> None:
    failures = [Failure("kill", number % 2, number / 10, 0.5, 1.0) for number in range(11)]
    figures = summary([*failures, Failure("stop", 0, 0.1, 0.1, 0.1)])
    assert figures["kill"]["times"] == 11
    assert figures["kill"]["failed_puts"] == 5
    assert figures["kill"]["gap_s"] == {"least": 0.0, "median": 0.5, "p90": 0.9, "most": 1.0}
    assert figures["stop"]["times"] == 1


@pytest.mark.slow
def test_a_kill_and_a_stop_are_measured_and_nothing_is_lost(tmp_path: Path) -> None:
    arguments = ["failover", "--kills", "1", "--stops", "1", "--clients", "2", "--directory", str(tmp_path)]
    done = CliRunner().invoke(commands.bench, [*arguments, "-w", "json"])
    assert done.exit_code == 0, done.output
    data = json.loads(done.stdout)
    assert (data["lost_puts"], data["doubled_puts"], data["errors"]) == (0, 0, {})
    for kind in ("kill", "stop"):
        assert (data[kind]["times"], data[kind]["failed_puts"]) == (1, 0)
        assert data[kind]["gap_s"]["most"] > 0
    assert sum(row["requests"] for row in data["timeline"]) == data["series"]["put"]["requests"] > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["--kills", "0"], ["--kills", "-1", "--stops", "3"], ["--clients", "0"]])
def test_a_failover_of_nothing_is_refused(arguments: list[str]) -> None:
    result = CliRunner().invoke(commands.bench, ["failover", *arguments])
    assert result.exit_code == 2
    assert "at least" in result.output

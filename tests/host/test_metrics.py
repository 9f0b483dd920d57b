"""Metrics of several processes, added up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from oarlock.host import metrics
from oarlock.wire import metrics as declarations
from oarlock.wire import process
from oarlock.wire.exposition import exposition

PROGRAM = """
from oarlock.wire import metrics
metrics.counter("oarlock_things_total", "Things.").inc(2)
metrics.gauge("oarlock_level", "Level.").set(5)
metrics.gauge("oarlock_own", "Own.", combine="liveall").set(7)
metrics.histogram("oarlock_wait_seconds", "Wait.", buckets=[0.1, 1]).observe(0.5)
"""


def run(directory: Path, name: str) -> None:
    environment = {**os.environ, process.METRICS_DIRECTORY: str(directory), process.PROCESS_NAME: name}
    subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=True)


def lines(directory: Path) -> list[str]:
    return exposition(directory)[0].decode().splitlines()


def test_processes_are_added_up_and_a_restart_goes_on(tmp_path: Path) -> None:
    directory = tmp_path / "metrics"
    metrics.prepare(directory)
    for name in ("worker-0", "worker-1", "worker-1"):
        run(directory, name)
    found = lines(directory)
    assert "oarlock_things_total 6.0" in found
    assert "oarlock_level 10.0" in found
    assert 'oarlock_own{pid="worker-1"} 7.0' in found
    assert 'oarlock_wait_seconds_bucket{le="1.0"} 3.0' in found
    files = sorted(path.name for path in directory.iterdir() if path.name.startswith("counter"))
    assert files == ["counter_worker-0.db", "counter_worker-1.db"]


def test_a_dead_process_leaves_its_counters_only(tmp_path: Path) -> None:
    directory = tmp_path / "metrics"
    metrics.prepare(directory)
    run(directory, "worker-0")
    metrics.forget_process(directory, "worker-0")
    found = lines(directory)
    assert "oarlock_things_total 2.0" in found
    assert not [line for line in found if line.startswith(("oarlock_level", "oarlock_own"))]


def test_an_earlier_server_is_forgotten(tmp_path: Path) -> None:
    directory = tmp_path / "metrics"
    metrics.prepare(directory)
    run(directory, "worker-0")
    metrics.prepare(directory)
    assert lines(directory) == []


def test_foreign_names_are_refused() -> None:
    with pytest.raises(ValueError, match="begins with one of oarlock_"):
        declarations.counter("things_total", "Things.")

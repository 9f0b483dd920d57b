"""A replica that is gone, damaged or not to be trusted is rebuilt; what was acknowledged is there again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import oarlock
from tests.histories.store import Stored
from tests.server import Server, running

from .damage import HARMS
from .verdict import check_replicas, reach_every_worker, replica_directory

WRITES = 40
VALUE = b"v" * 2000
"""Large enough for a replica of many pages."""


def fill(server: Server) -> dict[bytes, Stored]:
    """Writes something; returns what the store must hold then."""
    with oarlock.connect(server.native_endpoint, timeout_s=30) as client:
        for number in range(WRITES):
            client.put(f"key-{number % 20:02}", VALUE + b"%d" % number)
        return {kv.key: Stored(kv.value, kv.create_revision, kv.mod_revision, kv.version) for kv in client.get_all()}


def check_served(server: Server, expected: dict[bytes, Stored]) -> None:
    """All workers answer, one of them with everything; then all replicas are compared on disk."""
    reach_every_worker(server)
    with oarlock.connect(server.native_endpoint, timeout_s=30) as client:
        assert {kv.key: kv.value for kv in client.get_all()} == {key: kv.value for key, kv in expected.items()}
    assert server.stop() == 0
    check_replicas(server, expected, WRITES + 1)


@pytest.mark.slow
def test_harmed_replicas_are_rebuilt(tmp_path: Path) -> None:
    """One start, with a worker for each kind of harm."""
    with running(tmp_path, workers=1) as server:
        expected = fill(server)
    for number in range(1, len(HARMS)):
        shutil.copytree(server.data_dir / "workers" / "0", server.data_dir / "workers" / str(number))
    for number, harm in enumerate(HARMS.values()):
        harm(replica_directory(server, number))
    with running(tmp_path, workers=len(HARMS)) as server:
        events = [json.loads(line) for line in server.log_text().splitlines()]
        rebuilt = {event["process"] for event in events if event["event"] == "replica is rebuilt"}
        assert rebuilt == {f"worker-{number}" for number in range(len(HARMS))}
        check_served(server, expected)


@pytest.mark.slow
def test_replicas_that_are_all_gone_are_rebuilt(server: Server) -> None:
    expected = fill(server)
    assert server.stop() == 0
    shutil.rmtree(server.data_dir / "workers")
    server.start()
    check_served(server, expected)


AHEAD = 50
"""Writes that are lost with the log: more than a start appends to it before the workers say how far they are."""


@pytest.mark.slow
def test_a_replica_that_is_ahead_of_the_log_is_rebuilt(server: Server, tmp_path: Path) -> None:
    expected = fill(server)
    server.kill()
    shutil.copytree(server.data_dir / "log", tmp_path / "log")
    server.start()
    with oarlock.connect(server.native_endpoint) as client:
        for number in range(AHEAD):
            client.put(f"later/{number}", "lost with the log that a person put back")
    server.kill()
    shutil.rmtree(server.data_dir / "log")
    shutil.copytree(tmp_path / "log", server.data_dir / "log")
    server.start()
    assert "ahead of the log" in server.log_text()
    check_served(server, expected)


@pytest.mark.slow
def test_the_replica_of_another_store_is_rebuilt(server: Server, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with running(tmp_path / "other", workers=1) as other:
        with oarlock.connect(other.native_endpoint) as client:
            client.put("alien", "must not be seen here")
        other.stop()
    expected = fill(server)
    server.kill()
    shutil.rmtree(server.data_dir / "workers" / "0")
    shutil.copytree(replica_directory(other, 0).parent, server.data_dir / "workers" / "0")
    server.start()
    check_served(server, expected)

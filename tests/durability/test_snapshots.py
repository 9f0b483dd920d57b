"""Snapshots are taken under load and cut the log; a server begins from them, and says so where it cannot."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import oarlock
from oarlock.coordinator.snapshotting import Snapshotting
from oarlock.storage.disk import RealDisk
from oarlock.storage.log import Log
from oarlock.storage.replica import Replica
from oarlock.storage.snapshots import SnapshotMetadata, list_snapshots, snapshot_name, write_snapshot
from tests.histories.store import Stored
from tests.server import Server, running

from .damage import flip_bit, log_identity
from .load import Load
from .verdict import boot_id, check_replicas, judge, reach_every_worker

SNAPSHOT_COUNT = 100
KEEP_ENTRIES = 200
FLAGS = ("--snapshot-count", str(SNAPSHOT_COUNT), "--snapshot-catchup-entries", str(KEEP_ENTRIES))


class Grown(NamedTuple):
    """The data of a server that stopped after it had cut its log, and what was in its store."""

    data_dir: Path
    state: dict[bytes, Stored]
    revision: int


async def _grow(server: Server, seed: int) -> Grown:
    load = Load(server.native_endpoint, seed)
    try:
        await load.start()
        while server.log_text().count('"snapshot taken"') < 3:
            await load.wait_answers(100)
        server.kill()  # the rest of the load goes on after a start from snapshot and log
        server.start()
        await load.wait_answers(200)
        story = await judge(server, load)
    finally:
        await load.close()
    return Grown(server.data_dir, story.state, story.revision)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grown]:
    """Takes a while, so all tests of the module begin with a copy of it."""
    with running(tmp_path_factory.mktemp("grown"), arguments=FLAGS) as server:
        yield asyncio.run(_grow(server, 7))


@pytest.fixture
def data_dir(grown: Grown, tmp_path: Path) -> Path:
    """A copy for the test's own server in ``tmp_path``."""
    return Path(shutil.copytree(grown.data_dir, tmp_path / "data", ignore=shutil.ignore_patterns("run")))


def events(server: Server) -> list[str]:
    """What the server has logged, in short."""
    return [json.loads(line)["event"] for line in server.log_text().splitlines() if line.startswith("{")]


def check_all_there(server: Server, grown: Grown) -> None:
    """The server serves, and its replicas hold what was written."""
    reach_every_worker(server)
    assert server.stop() == 0
    check_replicas(server, grown.state, grown.revision)


@pytest.mark.slow
def test_snapshots_cut_the_log(grown: Grown, data_dir: Path) -> None:
    log = Log.open(data_dir / "log", RealDisk(), log_identity(data_dir))
    first_index = log.first_index()
    log.close()
    snapshots = list_snapshots(data_dir / "snapshots")
    assert len(snapshots) == 2
    assert 1 < first_index <= snapshots[-1].last_index + 1


@pytest.mark.slow
def test_replicas_are_rebuilt_from_snapshot_and_log(grown: Grown, data_dir: Path, tmp_path: Path) -> None:
    shutil.rmtree(data_dir / "workers")
    with running(tmp_path, arguments=FLAGS) as server:
        assert events(server).count("replica begins from a snapshot") == 2
        check_all_there(server, grown)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["body", "trailer"])
def test_the_snapshot_before_a_damaged_one_is_used(grown: Grown, data_dir: Path, tmp_path: Path, place: str) -> None:
    shutil.rmtree(data_dir / "workers")
    newest = list_snapshots(data_dir / "snapshots")[0].path
    flip_bit(newest, 8192 if place == "body" else newest.stat().st_size - 50)
    with running(tmp_path, arguments=FLAGS) as server:
        assert "snapshot is damaged" in events(server)
        check_all_there(server, grown)


@pytest.mark.slow
def test_a_snapshot_of_another_cluster_is_passed_over(grown: Grown, data_dir: Path, tmp_path: Path) -> None:
    shutil.rmtree(data_dir / "workers")
    newest = list_snapshots(data_dir / "snapshots")[0]
    alien = Replica.open(tmp_path / "alien", boot_id=boot_id())
    alien.copy_to(tmp_path / "body")
    alien.close()
    path = data_dir / "snapshots" / snapshot_name(newest.last_index + 1, newest.term)
    write_snapshot(path, metadata_at(newest.last_index + 1), tmp_path / "body")
    with running(tmp_path, arguments=FLAGS) as server:
        check_all_there(server, grown)


@pytest.mark.slow
def test_a_server_whose_snapshots_are_all_gone_says_so(grown: Grown, data_dir: Path, tmp_path: Path) -> None:
    shutil.rmtree(data_dir / "snapshots")
    with pytest.raises(AssertionError, match=r"the server stopped with [1-9]"), running(tmp_path, arguments=FLAGS):
        pass
    problems = [line for line in (tmp_path / "server.log").read_text().splitlines() if "coordinator stops" in line]
    assert len(problems) == 1
    assert str(data_dir / "snapshots") in problems[0]


@pytest.mark.slow
def test_a_worker_that_no_snapshot_helps_says_so_and_the_others_serve(
    grown: Grown, data_dir: Path, tmp_path: Path
) -> None:
    shutil.rmtree(data_dir / "workers" / "0")
    for snapshot in list_snapshots(data_dir / "snapshots"):
        flip_bit(snapshot.path, 8192)
    with running(tmp_path, arguments=FLAGS) as server:
        assert "replica is damaged" in events(server)
        with oarlock.connect(server.native_endpoint, timeout_s=30) as client:
            assert client.get_all(count_only=True).count == len(grown.state)


@pytest.mark.parametrize(("first", "second", "droppable"), [(None, 9000, 0), (2000, 9000, 2000), (8000, 9000, 5000)])
def test_the_log_keeps_what_either_snapshot_needs_to_go_on(
    tmp_path: Path, first: int | None, second: int, droppable: int
) -> None:
    (tmp_path / "body").write_bytes(b"a replica")
    for index in (first, second):
        if index is not None:
            write_snapshot(tmp_path / snapshot_name(index, 1), metadata_at(index), tmp_path / "body")
    assert Snapshotting(tmp_path, 1000, 4000, second).droppable_index() == droppable


def metadata_at(index: int) -> SnapshotMetadata:
    """Of a snapshot of nothing."""
    return SnapshotMetadata(
        index=index,
        term=1,
        cluster_id=1,
        members=None,
        revision=1,
        compact_revision=0,
        state_hash=bytes(16),
        leases=[],
        ledger=[],
        created_ms=0,
    )

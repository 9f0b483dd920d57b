"""A log that was cut off opens without what was never acknowledged; one that is damaged is refused, by name."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import oarlock
from oarlock.storage.disk import RealDisk
from oarlock.storage.log import Log
from oarlock.storage.log.layout import HEADER_BYTES
from oarlock.wire.errors import DamageError
from tests.server import running, wait_until

from .damage import flip_bit, log_identity, log_paths

WRITES = 6


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[int]]]:
    """The data of a server that was killed after a few writes, and the log's size after each of them."""
    with running(tmp_path_factory.mktemp("killed"), workers=1) as server:
        sizes = []
        with oarlock.connect(server.native_endpoint) as client:
            # A member writes its own addresses into the log when it has started: not between two writes here. (Its name
            # is known from the beginning, where it begins a cluster.)
            wait_until(lambda: all(member.native_urls for member in client.member_list()), 30.0, "published addresses")
            for number in range(WRITES):
                client.put("key", f"value {number}")
                sizes.append(len(log_bytes(server.data_dir)))
        server.kill()
        yield server.data_dir, sizes


def log_bytes(data_dir: Path) -> bytes:
    """The log without the zeroes that are allocated ahead of it; its last record ends with text."""
    return log_paths(data_dir)[-1].read_bytes().rstrip(b"\0")


def copy_with_log(data_dir: Path, target: Path, log: bytes) -> Path:
    """A data directory of its own with this content of the log; returns the path of the segment."""
    (target / "log").mkdir(parents=True, exist_ok=True)
    shutil.copy(data_dir / "identity.json", target)
    segment = target / "log" / log_paths(data_dir)[-1].name
    segment.write_bytes(log)
    return segment


def last_index(data_dir: Path) -> int:
    """Opens the log as the coordinator does; returns the index of its last entry."""
    log = Log.open(data_dir / "log", RealDisk(), log_identity(data_dir))
    try:
        return log.last_index()
    finally:
        log.close()


@pytest.mark.parametrize("allocated_bytes", [0, 4096])
def test_a_log_cut_at_any_byte_of_its_last_records_opens_with_all_before(
    killed: tuple[Path, list[int]], tmp_path: Path, allocated_bytes: int
) -> None:
    data_dir, sizes = killed
    whole = log_bytes(data_dir)
    copy_with_log(data_dir, tmp_path / "whole", whole)
    newest = last_index(tmp_path / "whole")
    for cut in range(sizes[-3], sizes[-1]):
        copy_with_log(data_dir, tmp_path / "cut", whole[:cut] + bytes(allocated_bytes))
        assert last_index(tmp_path / "cut") == newest - (2 if cut < sizes[-2] else 1), f"cut at {cut}"
        shutil.rmtree(tmp_path / "cut")


@pytest.mark.slow
@pytest.mark.parametrize("missing_bytes", [1, 20])
def test_a_server_opens_a_log_that_was_cut_off(
    killed: tuple[Path, list[int]], tmp_path: Path, missing_bytes: int
) -> None:
    data_dir, _ = killed
    copy_with_log(data_dir, tmp_path / "data", log_bytes(data_dir)[:-missing_bytes])
    with running(tmp_path, workers=1) as server:
        with oarlock.connect(server.native_endpoint) as client:
            found = client.get("key")
            assert found is not None
            assert (found.value, found.version) == (f"value {WRITES - 2}".encode(), WRITES - 1)
            assert client.put("key", "goes on").header.revision == found.mod_revision + 1
        assert "cut off" in server.log_text()


@pytest.mark.slow
def test_a_server_refuses_a_log_with_a_flipped_bit_and_says_where(
    killed: tuple[Path, list[int]], tmp_path: Path
) -> None:
    data_dir, sizes = killed
    segment = copy_with_log(data_dir, tmp_path / "data", log_bytes(data_dir))
    flip_bit(segment, sizes[1] - 3)
    before = segment.read_bytes()
    with pytest.raises(AssertionError, match=r"the server stopped with [1-9]"), running(tmp_path, workers=1):
        pass
    problems = [line for line in (tmp_path / "server.log").read_text().splitlines() if "coordinator stops" in line]
    assert len(problems) == 1
    assert str(segment) in problems[0]
    assert f"damaged at byte {sizes[0]}" in problems[0]
    assert segment.read_bytes() == before


def test_no_flipped_bit_in_the_middle_goes_unnoticed(killed: tuple[Path, list[int]], tmp_path: Path) -> None:
    data_dir, sizes = killed
    whole = log_bytes(data_dir)
    for offset in range(HEADER_BYTES, sizes[-2], 7):
        segment = copy_with_log(data_dir, tmp_path / "copy", whole)
        flip_bit(segment, offset)
        with pytest.raises(DamageError, match=segment.name):
            last_index(tmp_path / "copy")

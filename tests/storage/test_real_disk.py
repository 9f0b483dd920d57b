"""The real disk: whole writes, and one owner a directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from oarlock.storage.disk import LOCK_NAME, DataDirectoryInUseError, RealDisk


def test_more_parts_than_one_call_takes_are_written_in_order(tmp_path: Path) -> None:
    file = RealDisk().create(tmp_path / "x")
    parts = [b"%d," % number for number in range(3000)]
    file.write(parts, 5)
    assert file.read(5, 1 << 20) == b"".join(parts)
    assert file.read(0, 5) == bytes(5)
    file.close()


def test_short_write_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(descriptor: int, parts: list[bytes], offset: int) -> int:
        return os.pwrite(descriptor, b"".join(parts)[:3], offset)

    monkeypatch.setattr("oarlock.storage.disk.os.pwritev", short)
    file = RealDisk().create(tmp_path / "x")
    file.write([b"abcd", b"", b"efgh"], 2)
    assert file.read(0, 100) == b"\0\0abcdefgh"
    file.close()


def test_allocated_space_reads_as_zero_and_can_be_cut(tmp_path: Path) -> None:
    file = RealDisk().create(tmp_path / "x")
    file.write([b"abc"], 0)
    file.allocate(10_000)
    assert (file.size(), file.read(0, 5)) == (10_000, b"abc\0\0")
    file.truncate(2)
    assert file.read(0, 100) == b"ab"
    file.close()


def test_directories_are_made_with_their_parents(tmp_path: Path) -> None:
    disk = RealDisk()
    disk.make_directory(tmp_path / "a" / "b")
    disk.make_directory(tmp_path / "a" / "b")
    assert disk.list(tmp_path / "a") == ["b"]
    assert disk.list(tmp_path / "missing") == []


def test_locked_directory_is_refused_by_name_and_process(tmp_path: Path) -> None:
    disk = RealDisk()
    lock = disk.lock(tmp_path)
    with pytest.raises(DataDirectoryInUseError, match=f"{tmp_path} is in use by process {os.getpid()}") as error:
        disk.lock(tmp_path)
    assert (error.value.directory, error.value.process_id) == (str(tmp_path), os.getpid())
    lock.release()
    lock.release()
    disk.lock(tmp_path).release()


def test_lock_of_a_dead_process_is_free(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys; from oarlock.storage.disk import RealDisk;"
        "RealDisk().lock(pathlib.Path(sys.argv[1])); print(os.getpid(), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        holder = int(child.stdout.readline())
        with pytest.raises(DataDirectoryInUseError, match=f"process {holder}"):
            RealDisk().lock(tmp_path)
        child.kill()
    RealDisk().lock(tmp_path).release()
    assert (tmp_path / LOCK_NAME).exists()

"""When a start may leave the check of all pages out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from replica_cases import BOOT, open_replica, put

from oarlock.storage.replica import Replica
from oarlock.storage.replica.last_write import NOTE_FILE, is_as_left
from oarlock.wire.errors import DamageError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The file of a replica that was closed cleanly."""
    replica = open_replica(tmp_path / "r")
    for number in range(20):
        put(replica, b"key-%d" % number, b"value" * 100)
    replica.close()
    return tmp_path / "r" / "data.mdb"


def harm(data: Path, times_ns: tuple[int, int] | None = None) -> None:
    """Writes garbage into the middle; with ``times_ns`` the file says of its content that it is no younger."""
    with data.open("r+b") as file:
        file.seek(data.stat().st_size // 2 // 4096 * 4096)
        file.write(b"\xff" * 4096)
    if times_ns is not None:
        os.utime(data, ns=times_ns)


def test_a_file_that_was_closed_is_as_it_was_left(data: Path) -> None:
    assert is_as_left(data)
    open_replica(data.parent).close()
    assert is_as_left(data)


def test_a_file_whose_process_was_killed_is_as_it_was_left(tmp_path: Path) -> None:
    command = (
        "import os, pathlib, sys\n"
        "from oarlock.storage.replica import Replica\n"
        "replica = Replica.open(pathlib.Path(sys.argv[1]), boot_id=sys.argv[2])\n"
        "with replica.write() as view:\n"
        "    view.put(b'a', b'1', 0)\n"
        "    view.finish_operation()\n"
        "    view.end_entry(1, 1, 1)\n"
        "os._exit(9)\n"
    )
    arguments = [sys.executable, "-c", command, str(tmp_path / "r"), BOOT]
    assert subprocess.run(arguments, timeout=60, check=False).returncode == 9
    assert is_as_left(tmp_path / "r" / "data.mdb")
    open_replica(tmp_path / "r").close()


def test_a_write_right_after_the_close_is_noticed(data: Path) -> None:
    harm(data)
    assert not is_as_left(data)
    with pytest.raises(DamageError):
        open_replica(data.parent)


def test_a_write_that_put_the_time_back_is_noticed(data: Path) -> None:
    before = data.stat()
    harm(data, (before.st_atime_ns, before.st_mtime_ns))
    assert not is_as_left(data)


def test_a_copy_put_in_its_place_is_checked(data: Path) -> None:
    shutil.copy2(data, data.with_name("copy"))
    data.with_name("copy").replace(data)
    assert not is_as_left(data)
    open_replica(data.parent).close()
    assert is_as_left(data)


@pytest.mark.parametrize("note", [None, b"", b"\0" * 40])
def test_without_a_good_note_the_pages_are_checked(data: Path, note: bytes | None) -> None:
    path = data.parent / NOTE_FILE
    path.unlink() if note is None else path.write_bytes(note)
    assert not is_as_left(data)
    open_replica(data.parent).close()
    assert is_as_left(data)


def test_a_copy_is_trusted_by_who_made_it_just_now_and_else_checked(data: Path, tmp_path: Path) -> None:
    replica = open_replica(data.parent)
    for name, just_copied in (("mine", True), ("another's", False)):
        target = tmp_path / name
        target.mkdir()
        replica.copy_to(target / "data.mdb")
        Replica.adopt(target, boot_id=BOOT, just_copied=just_copied)
        assert is_as_left(target / "data.mdb") == just_copied
        open_replica(target).close()
    replica.close()

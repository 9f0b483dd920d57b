"""The mark beside a replica's file that says whether the file can be trusted.

Writes to a replica are not forced to disk. After a crash of the process the kernel still has them; after a crash of
the machine it has not, and the file may be a mixture of old and new pages. So before the first write the mark says
"in use since boot X", durably, and after the last, once the file was forced to disk, "clean".
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from .errors import ReplicaUntrustedError

MARK_FILE = "mark.json"
_FORMAT = 1


def write_mark(directory: Path, *, boot_id: str, clean: bool) -> None:
    """Replaces the mark, durably.

    Args:
        directory: the replica's directory.
        boot_id: identifies the machine's current boot (Linux: ``/proc/sys/kernel/random/boot_id``).
        clean: whether the file is complete on disk.

    Raises:
        OSError: the file system refused.
    """
    temporary = directory / (MARK_FILE + ".new")
    with temporary.open("w", encoding="ascii") as file:
        json.dump({"format": _FORMAT, "boot_id": boot_id, "clean": clean}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(directory / MARK_FILE)
    sync_directory(directory)


def remove_mark(directory: Path) -> None:
    """Removes the mark, durably: the file is not to be trusted any more.

    Raises:
        OSError: the file system refused.
    """
    (directory / MARK_FILE).unlink(missing_ok=True)
    sync_directory(directory)


def check_mark(directory: Path, *, boot_id: str) -> None:
    """Says nothing if the replica's file can be trusted in this boot.

    Raises:
        ReplicaUntrustedError: there is no mark, it is not readable, or the machine crashed with the replica in use.
    """
    path = directory / MARK_FILE
    try:
        mark = json.loads(path.read_text(encoding="ascii"))
        known, clean, marked_boot = mark["format"] == _FORMAT, mark["clean"], mark["boot_id"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReplicaUntrustedError(f"{ReplicaUntrustedError.text}: {path}: {error!r}") from None
    if not known:
        raise ReplicaUntrustedError(f"{ReplicaUntrustedError.text}: {path}: format {mark['format']!r} is not {_FORMAT}")
    if clean is not True and marked_boot != boot_id:
        raise ReplicaUntrustedError(f"{ReplicaUntrustedError.text}: the machine went down while {directory} was in use")


def sync_directory(directory: Path) -> None:
    """Forces the names in a directory to disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

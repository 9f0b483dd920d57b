"""A note beside a replica's file: what the file system said of the file after the replica's last commit.

A replica that opens a file on which the note is right finds it as a replica has left it, and need not look at every
page for damage. Anything else that writes to the file (a tool, a person, a copy put back) changes what the file system
says of it, and the pages are checked. A note that is missing or cut costs that check, and no more.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import Final

from oarlock.storage.disk import Fingerprint, fingerprint, seal

from .mark import sync_directory

NOTE_FILE: Final = "last_write"
_FORMAT: Final = b"oarlast1"
_NOTE: Final = Struct("<8sQQqq")


class LastWrite:
    """The note on one file while a replica has it open. Its owner ends it with ``close``.

    Args:
        file: the data file.

    Raises:
        OSError: the file system refused.
    """

    def __init__(self, file: Path) -> None:
        self._file = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._note = os.open(file.parent / NOTE_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except BaseException:
            os.close(self._file)
            raise

    def update(self) -> None:
        """To be called after every commit: 2 µs. Where it fails, the next start has all pages to check."""
        with suppress(OSError):
            os.pwrite(self._note, _encode(fingerprint(self._file)), 0)

    def seal(self) -> None:
        """After the last commit, the file being forced to disk: so that even a write right after it is noticed.

        Raises:
            OSError: the file system refused.
        """
        os.pwrite(self._note, _encode(seal(self._file)), 0)
        os.fsync(self._note)

    def close(self) -> None:
        """Gives the descriptors back."""
        os.close(self._file)
        os.close(self._note)


def seal_file(file: Path) -> None:
    """Makes the note on a file that is complete, and nobody has open.

    Raises:
        OSError: the file system refused.
    """
    note = LastWrite(file)
    try:
        note.seal()
    finally:
        note.close()
    sync_directory(file.parent)


def is_as_left(file: Path) -> bool:
    """Whether the file is as the replica that had it last has left it. If in doubt it is not."""
    try:
        noted = (file.parent / NOTE_FILE).read_bytes()
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return noted == _encode(fingerprint(descriptor))
        finally:
            os.close(descriptor)
    except OSError:
        return False


def _encode(found: Fingerprint) -> bytes:
    return _NOTE.pack(_FORMAT, *found)

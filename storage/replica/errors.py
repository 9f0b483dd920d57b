"""What can go wrong with a replica, apart from damage (``oarlock.wire.errors.DamageError``)."""

from __future__ import annotations

import struct
from pathlib import Path

import lmdb

from oarlock.wire.errors import DamageError, OarlockError, OverloadedError, ServerError


class ReplicaUntrustedError(ServerError):
    """The files may lack writes that were never forced to disk: rebuild the replica from a snapshot and the log."""

    text = "oarlock: the replica on disk cannot be trusted"


class ReplicaFullError(ServerError):
    """The memory map was full. The write transaction was undone and the map has grown: apply the same entries again."""

    text = "oarlock: the replica's map was full"


class ReplicaFailedError(ServerError):
    """The storage engine or the file system refused (disk full, I/O error); a write transaction was undone."""

    text = "oarlock: the replica's storage failed"


class ReadExpiredError(ServerError):
    """A read transaction was open for so long that it kept space from being used again. Start the read again."""

    text = "oarlock: the read took too long and was ended"


class LayoutError(ValueError):
    """A record that no version of this code has written. It never leaves the package: ``engine_error`` translates."""


_DAMAGE = (
    LayoutError,
    struct.error,
    lmdb.CorruptedError,
    lmdb.InvalidError,
    lmdb.PageNotFoundError,
    lmdb.PanicError,
    lmdb.VersionMismatchError,
)


def engine_error(error: Exception, path: Path) -> OarlockError:
    """Our error for one of LMDB's, or for a record that cannot be decoded.

    Args:
        error: what LMDB, ``struct`` or ``layout`` raised.
        path: the replica's file.

    Returns:
        ``DamageError`` where it means damage, ``OverloadedError`` where too many reads are open, else
        ``ReplicaFailedError``.
    """
    if isinstance(error, _DAMAGE):
        return DamageError(path, 0, str(error))
    if isinstance(error, lmdb.ReadersFullError):
        return OverloadedError(f"{OverloadedError.text}: too many reads are open")
    return ReplicaFailedError(f"{ReplicaFailedError.text}: {path}: {error}")

"""Snapshot files: made whole or not at all, verified before they are used.

A file that is being made has a name that ends in ``.part``. Only when all of it is on the disk does it get its own
name, so a file under its own name is complete unless the disk has damaged it. Three ways lead there:
``write_snapshot`` copies a body, ``seal_snapshot`` completes a part file into which LMDB wrote the body,
``adopt_snapshot`` checks one that was received.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, NamedTuple

from oarlock.storage.snapshot_layout import (
    DIGEST_BYTES,
    MAX_METADATA_BYTES,
    TRAILER_BYTES,
    SnapshotMetadata,
    Trailer,
    check_metadata,
    decode_metadata,
    decode_trailer,
    describe,
    encode_metadata,
)
from oarlock.wire.errors import ConfigurationError, DamageError

__all__ = [
    "SnapshotFile",
    "SnapshotMetadata",
    "adopt_snapshot",
    "extract_body",
    "list_snapshots",
    "part_path",
    "prune",
    "read_metadata",
    "remove_parts",
    "seal_snapshot",
    "snapshot_name",
    "verify",
    "write_snapshot",
]

PART_SUFFIX = ".part"

_NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.snapshot")
_CHUNK_BYTES = 1 << 20
"""Read, hashed and written at once: long enough that hashing and writing run without the interpreter's lock."""


class SnapshotFile(NamedTuple):
    """A snapshot in a directory, as its name says."""

    path: Path
    last_index: int
    term: int


def snapshot_name(index: int, term: int) -> str:
    """The file name of the snapshot at this position; names sort by index, then term."""
    return f"{index:016x}-{term:016x}.snapshot"


def part_path(path: Path) -> Path:
    """Where the file that will be ``path`` is made."""
    return path.with_name(path.name + PART_SUFFIX)


def list_snapshots(directory: Path) -> list[SnapshotFile]:
    """The complete snapshots in the directory, newest first; none if there is no such directory."""
    if not directory.is_dir():
        return []
    matches = [match for name in os.listdir(directory) if (match := _NAME.fullmatch(name))]
    found = [SnapshotFile(directory / match[0], int(match[1], 16), int(match[2], 16)) for match in matches]
    return sorted(found, key=lambda each: (each.last_index, each.term), reverse=True)


def remove_parts(directory: Path) -> list[Path]:
    """Removes what crashes have left unfinished; for the start, when nothing is being made.

    Returns:
        The files removed.

    Raises:
        OSError: one could not be removed.
    """
    parts = sorted(directory.glob("*" + PART_SUFFIX)) if directory.is_dir() else []
    for path in parts:
        path.unlink(missing_ok=True)
    return parts


def prune(directory: Path, keep: int) -> list[Path]:
    """Removes all but the newest ``keep`` snapshots.

    Returns:
        The files removed.

    Raises:
        ConfigurationError: ``keep`` is below 1: the newest one is needed.
        OSError: one could not be removed.
    """
    if keep < 1:
        raise ConfigurationError(f"cannot keep {keep} snapshots: at least 1 is needed")
    old = [each.path for each in list_snapshots(directory)[keep:]]
    for path in old:
        path.unlink(missing_ok=True)
    return old


def write_snapshot(path: Path, metadata: SnapshotMetadata, body_path: Path) -> None:
    """Makes a snapshot of a body that is in a file of its own; on the disk when this returns.

    Args:
        path: the snapshot.
        metadata: what it is of.
        body_path: the body; it is copied and stays.

    Raises:
        ConfigurationError: the metadata cannot be written.
        OSError: the disk refused; nothing is left of the snapshot.
    """
    packed = encode_metadata(metadata)
    with _made_from_part(path) as part, open(body_path, "rb") as source, open(part, "wb") as target:
        digest, length = sha256(), 0
        for chunk in _chunks(source, None):
            digest.update(chunk)
            target.write(chunk)
            length += len(chunk)
        _end(target, digest.update, digest.digest, packed, length)


def seal_snapshot(path: Path, metadata: SnapshotMetadata) -> None:
    """Makes a snapshot of the body that ``part_path(path)`` holds, without copying it; on the disk when this returns.

    Raises:
        ConfigurationError: the metadata cannot be written.
        OSError: the disk refused; nothing is left of the snapshot.
    """
    packed = encode_metadata(metadata)
    with _made_from_part(path) as part, open(part, "r+b") as target:
        digest, length = sha256(), 0
        for chunk in _chunks(target, None):
            digest.update(chunk)
            length += len(chunk)
        target.seek(0, os.SEEK_END)
        _end(target, digest.update, digest.digest, packed, length)


def adopt_snapshot(path: Path) -> SnapshotMetadata:
    """Gives the complete snapshot that ``part_path(path)`` holds its name, after verifying it; on the disk on return.

    Raises:
        DamageError: it is not what was sent; it has been removed.
        ConfigurationError: it is of a later format; it has been removed.
        OSError: the disk refused; it has been removed.
    """
    with _made_from_part(path) as part, open(part, "rb") as file:
        metadata = _verify(file, part, lambda chunk: None)
        os.fsync(file.fileno())
    return metadata


def read_metadata(path: Path) -> SnapshotMetadata:
    """Reads what the snapshot is of, without reading its body.

    Raises:
        DamageError: metadata or trailer are damaged.
        ConfigurationError: the file is of a later format.
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        _, packed, trailer = _read_end(file, path)
    return decode_metadata(packed, path, trailer.body_length)


def verify(path: Path) -> SnapshotMetadata:
    """Reads the whole file and checks it.

    Raises:
        DamageError: some byte of it is not what was written.
        ConfigurationError: the file is of a later format.
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        return _verify(file, path, lambda chunk: None)


def extract_body(path: Path, destination: Path) -> SnapshotMetadata:
    """Copies the body into a file of its own, which has its name only if all of the snapshot was right.

    The copy is not synced: it becomes a replica, which is rebuilt after a crash of the machine anyway.

    Raises:
        DamageError: some byte of the snapshot is not what was written.
        ConfigurationError: the file is of a later format.
        OSError: a file cannot be read or written.
    """
    part = part_path(destination)
    try:
        with open(path, "rb") as source, open(part, "wb") as target:
            metadata = _verify(source, path, target.write)
        os.rename(part, destination)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return metadata


@contextmanager
def _made_from_part(path: Path) -> Iterator[Path]:
    """Yields the part file to complete and sync; then it has its name, durably, or after an error it is gone."""
    part = part_path(path)
    try:
        yield part
        os.rename(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _end(
    target: BinaryIO, update: Callable[[bytes], object], digest: Callable[[], bytes], packed: bytes, length: int
) -> None:
    """Adds to the body, whose bytes ``update`` has seen, what follows it, and syncs."""
    rest = packed + describe(packed, length)
    update(rest)
    target.write(rest + digest())
    target.flush()
    os.fsync(target.fileno())


def _chunks(file: BinaryIO, length: int | None) -> Iterator[bytes]:
    """The next ``length`` bytes of the file, or all that follow, in pieces."""
    while length is None or length > 0:
        chunk = file.read(_CHUNK_BYTES if length is None else min(length, _CHUNK_BYTES))
        if not chunk:
            return
        if length is not None:
            length -= len(chunk)
        yield chunk


def _read_end(file: BinaryIO, path: Path) -> tuple[bytes, bytes, Trailer]:
    """The trailer's bytes, the metadata's bytes, and the trailer, checked."""
    size = os.fstat(file.fileno()).st_size
    file.seek(max(0, size - TRAILER_BYTES))
    trailer_bytes = file.read(TRAILER_BYTES)
    trailer = decode_trailer(trailer_bytes, path, size)
    if trailer.metadata_length > MAX_METADATA_BYTES:
        raise DamageError(path, trailer.body_length, f"metadata of {trailer.metadata_length} bytes")
    file.seek(trailer.body_length)
    packed = file.read(trailer.metadata_length)
    check_metadata(packed, trailer, trailer_bytes, path)
    return trailer_bytes, packed, trailer


def _verify(file: BinaryIO, path: Path, take: Callable[[bytes], object]) -> SnapshotMetadata:
    """Reads the file to its end, hands the body to ``take`` piece by piece, and checks everything."""
    trailer_bytes, packed, trailer = _read_end(file, path)
    metadata = decode_metadata(packed, path, trailer.body_length)
    digest = sha256()
    file.seek(0)
    for chunk in _chunks(file, trailer.body_length):
        digest.update(chunk)
        take(chunk)
    digest.update(packed + trailer_bytes[:-DIGEST_BYTES])
    if digest.digest() != trailer.digest:
        raise DamageError(path, 0, f"the body of {trailer.body_length} bytes fails its checksum")
    return metadata


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""The bytes of a snapshot file, and nothing else.

    body | metadata | magic 8 | format 2 | zero 2 | metadata length 4 | body length 8 | sha256 of the metadata and those
    24 bytes 32 | sha256 of everything before 32

The body comes first and what describes it last, so that LMDB writes its compacted copy straight into the file, and the
metadata can be read from the copy itself before it is added. Integers are unsigned and little-endian; the metadata is a
msgpack map. SHA-256 because processors have instructions for it: 1.7 GB/s where BLAKE2b does 0.9.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from struct import Struct
from typing import Any, NamedTuple

import msgpack

from oarlock.wire.errors import ConfigurationError, DamageError

FORMAT = 1
"""The version of this layout."""

MAGIC = b"OarSnap\n"

MAX_METADATA_BYTES = 256 << 20
"""Longest metadata: a million leases and as many proposal numbers take a fifth of it."""

_DESCRIPTION = Struct("<8sHHIQ")
DIGEST_BYTES = 32
TRAILER_BYTES = _DESCRIPTION.size + 2 * DIGEST_BYTES


@dataclass(frozen=True)
class SnapshotMetadata:
    """What a snapshot is of. Values typed ``Any`` are the owner's: whatever msgpack carries, tuples come back as lists.

    Attributes:
        index: the log index of the last entry that the body contains.
        term: that entry's term.
        cluster_id: the cluster, below 2^64.
        members: the members as of ``index``.
        revision: the store's revision.
        compact_revision: the revision up to which history is compacted.
        state_hash: the chain over the effects of all entries.
        leases: the leases.
        ledger: the last batch number of each worker incarnation.
        created_ms: when it was made, in ms of Unix time; for people only.

    Invariant: the numbers are integers from 0 to 2^64 - 1.
    """

    index: int
    term: int
    cluster_id: int
    members: Any
    revision: int
    compact_revision: int
    state_hash: bytes
    leases: Any
    ledger: Any
    created_ms: int


_NAMES = frozenset(field.name for field in fields(SnapshotMetadata))
_NUMBERS = ("index", "term", "cluster_id", "revision", "compact_revision", "created_ms")


class Trailer(NamedTuple):
    """The last bytes of a file: how long its parts are, and their checksums."""

    metadata_length: int
    body_length: int
    metadata_digest: bytes
    digest: bytes


def encode_metadata(metadata: SnapshotMetadata) -> bytes:
    """The metadata as a msgpack map.

    Raises:
        ConfigurationError: a number or hash in it is not one, or it is too long; names the value.
    """
    problem = _problem(asdict(metadata))
    if problem:
        raise ConfigurationError(f"snapshot metadata: {problem}")
    packed: bytes = msgpack.packb({field.name: getattr(metadata, field.name) for field in fields(metadata)})
    if len(packed) > MAX_METADATA_BYTES:
        raise ConfigurationError(f"snapshot metadata of {len(packed)} bytes: at most {MAX_METADATA_BYTES} are allowed")
    return packed


def decode_metadata(data: bytes, path: object, offset: int) -> SnapshotMetadata:
    """Reads metadata.

    Raises:
        DamageError: the bytes are not metadata; names ``path`` and ``offset``.
    """
    try:
        values = msgpack.unpackb(data, strict_map_key=False)
    except (ValueError, RecursionError, msgpack.exceptions.UnpackException) as error:
        raise DamageError(path, offset, f"the metadata is not msgpack: {error}") from None
    if not isinstance(values, dict) or values.keys() != _NAMES:
        raise DamageError(path, offset, "the metadata does not have the fields of a snapshot")
    problem = _problem(values)
    if problem:
        raise DamageError(path, offset, f"the metadata is wrong: {problem}")
    return SnapshotMetadata(**values)


def _problem(values: dict[str, Any]) -> str | None:
    for name in _NUMBERS:
        value = values[name]
        if type(value) is not int or not 0 <= value < 1 << 64:
            return f"{name} is {value!r}, not a number from 0 to 2^64 - 1"
    if not isinstance(values["state_hash"], bytes):
        return f"state_hash is {values['state_hash']!r}, not bytes"
    return None


def describe(metadata: bytes, body_length: int) -> bytes:
    """The trailer without its last checksum, which covers these bytes too."""
    description = _DESCRIPTION.pack(MAGIC, FORMAT, 0, len(metadata), body_length)
    return description + sha256(metadata + description).digest()


def decode_trailer(data: bytes, path: object, size: int) -> Trailer:
    """Reads the last ``TRAILER_BYTES`` of a file.

    Args:
        data: those bytes, or all if the file is shorter.
        path: the file, for the error.
        size: the file's size in bytes.

    Raises:
        DamageError: they are not a trailer, or not that of a file of this size.
        ConfigurationError: the file is of a later format.
    """
    offset = max(0, size - TRAILER_BYTES)
    if len(data) != TRAILER_BYTES or data[: len(MAGIC)] != MAGIC:
        raise DamageError(path, offset, "the file does not end as a snapshot ends: it is cut short, or no snapshot")
    _, version, _, metadata_length, body_length = _DESCRIPTION.unpack_from(data)
    if version != FORMAT:
        raise ConfigurationError(f"{path}: snapshot format {version}, but this version of Oarlock reads {FORMAT}")
    if body_length + metadata_length + TRAILER_BYTES != size:
        expected = body_length + metadata_length + TRAILER_BYTES
        raise DamageError(path, offset, f"the file has {size} bytes, but its trailer says {expected}")
    digests = data[_DESCRIPTION.size :]
    return Trailer(metadata_length, body_length, digests[:DIGEST_BYTES], digests[DIGEST_BYTES:])


def check_metadata(data: bytes, trailer: Trailer, trailer_bytes: bytes, path: object) -> None:
    """Checks the metadata and the lengths against their checksum.

    Raises:
        DamageError: they fail it.
    """
    if sha256(data + trailer_bytes[: _DESCRIPTION.size]).digest() != trailer.metadata_digest:
        raise DamageError(path, trailer.body_length, "the metadata fails its checksum")

"""Subscription frames: what a watcher over the socket asks for, and what it is told (``oarlock.wire.frames``)."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgpack

from oarlock.wire.errors import OarlockError, ProtocolError, WatcherRangeEmptyError
from oarlock.wire.frames import TOKEN_BYTES, unpack
from oarlock.wire.operations import FROM_KEY, WatchFlag

ALL_FLAGS: Final = int(WatchFlag.PREV_KV | WatchFlag.NO_PUT | WatchFlag.NO_DELETE)


class Subscribe(NamedTuple):
    """Subscribe the connection that sent the request to these topics, then publish ``answer``."""

    topics: tuple[bytes, ...]
    answer: bytes


def accept(token: bytes, topic: bytes, revision: int) -> Subscribe:
    """Everything after ``revision`` will be published under ``topic``."""
    return Subscribe((token, topic), token + msgpack.packb((0, topic, revision)))


def refuse(token: bytes, problem: OarlockError) -> Subscribe:
    """Nothing will be, because of ``problem``."""
    return Subscribe((token,), token + msgpack.packb((int(problem.code), problem.message, problem.detail)))


def token_of(request: bytes) -> bytes | None:
    """The token of a request of which perhaps nothing else can be read."""
    try:
        token = unpack(request)[0]
    except (ProtocolError, TypeError, IndexError, KeyError):
        return None
    return token if isinstance(token, bytes) and len(token) == TOKEN_BYTES else None


def decode(request: bytes) -> tuple[bytes, bytes, bytes, int]:
    """Token, key, range end and flags of a request; the key of an empty one is the first of all.

    Raises:
        ProtocolError: it is something else.
    """
    fields: Any = unpack(request)
    if not (isinstance(fields, list) and len(fields) == 4):
        raise ProtocolError(f"{ProtocolError.text}: a watch request is [token, key, range_end, flags]")
    token, key, range_end, flags = fields
    if not (isinstance(token, bytes) and len(token) == TOKEN_BYTES):
        raise ProtocolError(f"{ProtocolError.text}: a watch token has {TOKEN_BYTES} bytes")
    if not (isinstance(key, bytes) and isinstance(range_end, bytes)):
        raise ProtocolError(f"{ProtocolError.text}: key and range_end of a watch are bytes")
    if not (type(flags) is int and 0 <= flags <= ALL_FLAGS):
        raise ProtocolError(f"{ProtocolError.text}: flags of a watch are between 0 and {ALL_FLAGS}, not {flags!r}")
    return token, key or FROM_KEY, range_end, flags


def check_range(key: bytes, range_end: bytes) -> None:
    """etcd refuses a watch of an empty range (mvcc, Watch).

    Raises:
        WatcherRangeEmptyError: no key is in it.
    """
    if range_end and range_end != FROM_KEY and key >= range_end:
        raise WatcherRangeEmptyError

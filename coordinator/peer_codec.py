"""What members send to each other: one frame a message, a msgpack array.

``[cluster_id, sender, to, kind, payload]``; ``to`` is 0 where the sender does not know whom it will reach.

===============  ============================================================================================
kind             payload
===============  ============================================================================================
RAFT             a message of the Raft core (``raft.message_codec``)
BOOTSTRAP        [peer_urls]: a member that is to join asks who it is
BOOTSTRAP_INFO   [member_id or 0, initial members, members]: the answer; ``members`` as [id, name, peer_urls] each
REFUSED          [reason, text]: a frame was not taken, see ``Refusal``; never answered itself
QUESTION         [kind, token, ...]: a worker's question that only the leader answers, as in ``wire.internal``
ANSWER           [kind, token, ...]: the answer, likewise
STATE_HASH       [index, hash]: what a replica became
SNAPSHOT_OFFER   [digest, index, term, size_bytes, raft_term]
SNAPSHOT_WANT    [digest, offset]: everything before ``offset`` is there; go on from it
SNAPSHOT_CHUNK   [digest, offset, data]
SNAPSHOT_DONE    [digest, ok]
CORRUPT          [index]: the receiver's replicas are not what the others' are
PROPOSE_AGAIN    [pause_ms]: the leader could not take proposals that were passed on to it
PING             [number]: how long is the way to you and back?
PONG             [number]: the answer, with the same number
===============  ============================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final, NamedTuple

from oarlock.wire.errors import ProtocolError
from oarlock.wire.frames import pack, unpack

_MAX_NUMBER: Final = 2**64 - 1
MAX_URLS: Final = 16
"""URLs of one member; more is nobody's configuration."""


class PeerKind(IntEnum):
    """Kinds of frames. Part of the protocol between members: append new ones, never renumber."""

    RAFT = 0
    BOOTSTRAP = 1
    BOOTSTRAP_INFO = 2
    REFUSED = 3
    QUESTION = 4
    ANSWER = 5
    STATE_HASH = 6
    SNAPSHOT_OFFER = 7
    SNAPSHOT_WANT = 8
    SNAPSHOT_CHUNK = 9
    SNAPSHOT_DONE = 10
    CORRUPT = 11
    PROPOSE_AGAIN = 12
    PING = 13
    PONG = 14


class Refusal(IntEnum):
    """Why a frame was not taken."""

    OTHER_CLUSTER = 1
    REMOVED = 2
    OTHER_MEMBER = 3


class PeerFrame(NamedTuple):
    """One frame, its payload checked as far as ``decode`` says."""

    cluster_id: int
    sender: int
    to: int
    kind: int
    payload: Any


def encode(cluster_id: int, sender: int, to: int, kind: PeerKind, payload: Any) -> bytes:
    """A frame's bytes. ``payload`` is anything that msgpack packs."""
    frame: bytes = pack((cluster_id, sender, to, int(kind), payload))
    return frame


def decode(data: bytes) -> PeerFrame:
    """The inverse of ``encode``. Checks everything but what is inside of Raft messages, questions and answers.

    Raises:
        ProtocolError: not a frame of ours; says what is wrong with it.
    """
    value = unpack(data)
    if type(value) is not list or len(value) != 5:
        raise _malformed("not [cluster, sender, to, kind, payload]")
    for number in value[:3]:  # before it becomes a frame, whose fields have their types for certain
        _number(number)
    kind, payload = value[3:]
    checks = _SHAPES.get(kind) if type(kind) is int else None
    if checks is None:
        raise _malformed(f"unknown kind {kind!r}")
    if type(payload) is not list:
        raise _malformed("the payload is not a list")
    if kind in _OPEN:
        if len(payload) < 2:
            raise _malformed(f"{PeerKind(kind).name} with {len(payload)} fields")
    elif len(payload) != len(checks):
        raise _malformed(f"{PeerKind(kind).name} with {len(payload)} fields, not {len(checks)}")
    for check, field in zip(checks, payload, strict=False):
        check(field)
    return PeerFrame(*value)


def _malformed(problem: str) -> ProtocolError:
    return ProtocolError(f"{ProtocolError.text}: peer frame: {problem}")


def _number(field: Any) -> None:
    if type(field) is not int or not 0 <= field <= _MAX_NUMBER:
        raise _malformed(f"{field!r} is no number from 0 to 2^64 - 1")


def _bytes(field: Any) -> None:
    if type(field) is not bytes:
        raise _malformed(f"{field!r} is no byte string")


def _text(field: Any) -> None:
    if type(field) is not str:
        raise _malformed(f"{field!r} is no text")


def _flag(field: Any) -> None:
    if type(field) is not bool:
        raise _malformed(f"{field!r} is neither true nor false")


def _urls(field: Any) -> None:
    if type(field) is not list or len(field) > MAX_URLS or not all(type(url) is str for url in field):
        raise _malformed(f"{field!r} is no list of at most {MAX_URLS} URLs")


def _member_list(field: Any) -> None:
    if type(field) is not list:
        raise _malformed("members are a list")
    for member in field:
        if type(member) is not list or len(member) != 3:
            raise _malformed("a member is [id, name, peer_urls]")
        for check, value in zip((_number, _text, _urls), member, strict=True):
            check(value)


_Check = Callable[[Any], None]

_OPEN: Final = frozenset({PeerKind.RAFT, PeerKind.QUESTION, PeerKind.ANSWER})
"""Kinds whose payload may be longer than what is checked here; whoever takes them apart checks the rest."""
_SHAPES: Final[dict[int, tuple[_Check, ...]]] = {
    PeerKind.RAFT: (_number,),
    PeerKind.BOOTSTRAP: (_urls,),
    PeerKind.BOOTSTRAP_INFO: (_number, _member_list, _member_list),
    PeerKind.REFUSED: (_number, _text),
    PeerKind.QUESTION: (_number, _number),
    PeerKind.ANSWER: (_number, _number),
    PeerKind.STATE_HASH: (_number, _bytes),
    PeerKind.SNAPSHOT_OFFER: (_bytes, _number, _number, _number, _number),
    PeerKind.SNAPSHOT_WANT: (_bytes, _number),
    PeerKind.SNAPSHOT_CHUNK: (_bytes, _number, _bytes),
    PeerKind.SNAPSHOT_DONE: (_bytes, _flag),
    PeerKind.CORRUPT: (_number,),
    PeerKind.PROPOSE_AGAIN: (_number,),
    PeerKind.PING: (_number,),
    PeerKind.PONG: (_number,),
}

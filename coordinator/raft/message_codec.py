"""Messages as tuples of msgpack-able values: ``(kind, *fields)``.

The kind is the position in ``_SHAPES``. It is part of the protocol between members: append new kinds at the end, never
reorder.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from oarlock.coordinator.raft import messages as m
from oarlock.coordinator.raft.errors import InvariantError
from oarlock.coordinator.raft.membership import Membership
from oarlock.wire.entries import Entry, Proposal
from oarlock.wire.errors import ProtocolError

_MAX_NUMBER = 2**64 - 1


def to_wire(message: m.Message) -> tuple[Any, ...]:
    """A message as a flat tuple; entries, proposals and snapshots in it are tuples again.

    Args:
        message: any message of :mod:`oarlock.coordinator.raft.messages`.

    Returns:
        ``(kind, sender, to, term, ...)``, ready for msgpack.
    """
    return (_KINDS[type(message)], *message)


def from_wire(value: object) -> m.Message:
    """The inverse of :func:`to_wire`. Checks everything: the bytes come from the network.

    Args:
        value: what msgpack unpacked; lists and tuples are the same.

    Returns:
        The message.

    Raises:
        ProtocolError: unknown kind, wrong number of fields, or a field of the wrong type or range.
    """
    if not isinstance(value, list | tuple) or not value:
        raise _malformed("not a list")
    kind = value[0]
    if type(kind) is not int or not 0 <= kind < len(_SHAPES):
        raise _malformed(f"unknown kind {kind!r}")
    cls, decoders = _SHAPES[kind]
    if len(value) != 1 + len(decoders):
        raise _malformed(f"{cls.__name__} has {len(decoders)} fields, not {len(value) - 1}")
    message: m.Message = cls(*[decode(field) for decode, field in zip(decoders, value[1:], strict=True)])
    return message


def _malformed(problem: str) -> ProtocolError:
    return ProtocolError(f"{ProtocolError.text}: raft message: {problem}")


def _number(field: Any) -> int:
    if type(field) is not int or not 0 <= field <= _MAX_NUMBER:
        raise _malformed(f"{field!r} is no number between 0 and 2^64 - 1")
    return field


def _flag(field: Any) -> bool:
    if type(field) is not bool:
        raise _malformed(f"{field!r} is neither true nor false")
    return field


def _bytes(field: Any) -> bytes:
    if type(field) is not bytes:
        raise _malformed(f"{field!r} is no byte string")
    return field


def _list(field: Any) -> list[Any] | tuple[Any, ...]:
    if not isinstance(field, list | tuple):
        raise _malformed(f"{field!r} is no list")
    return field


def _numbers(field: Any) -> tuple[int, ...]:
    return tuple(_number(one) for one in _list(field))


def _entry(field: Any) -> Entry:
    fields = _list(field)
    if len(fields) != 6:
        raise _malformed("an entry has 6 fields")
    for number in fields[:5]:
        _number(number)
    _bytes(fields[5])
    return Entry(*fields)


def _entries(field: Any) -> list[Entry]:
    entries = [_entry(one) for one in _list(field)]
    for before, after in pairwise(entries):
        if after.index != before.index + 1 or after.term < before.term:
            raise _malformed(f"entry {after.index} of term {after.term} after {before.index} of term {before.term}")
    return entries


def _proposals(field: Any) -> list[Proposal]:
    proposals = []
    for one in _list(field):
        fields = _list(one)
        if len(fields) != 4:
            raise _malformed("a proposal has 4 fields")
        for number in fields[:3]:
            _number(number)
        _bytes(fields[3])
        proposals.append(Proposal(*fields))
    return proposals


def _snapshot(field: Any) -> m.SnapshotMeta:
    if len(_list(field)) != 3 or len(_list(field[2])) != 2:
        raise _malformed("a snapshot has an index, a term, and voters and learners")
    membership = Membership(_numbers(field[2][0]), _numbers(field[2][1]))
    try:
        membership.validate()
    except InvariantError as error:
        raise _malformed(error.message) from error
    return m.SnapshotMeta(_number(field[0]), _number(field[1]), membership)


_HEAD = (_number, _number, _number)  # sender, to, term

_SHAPES: tuple[tuple[Any, tuple[Callable[[Any], Any], ...]], ...] = (
    (m.PreVoteRequest, (*_HEAD, _number, _number)),
    (m.PreVoteResponse, (*_HEAD, _flag)),
    (m.VoteRequest, (*_HEAD, _number, _number, _flag)),
    (m.VoteResponse, (*_HEAD, _flag)),
    (m.Append, (*_HEAD, _number, _number, _number, _entries)),
    (m.AppendAccepted, (*_HEAD, _number)),
    (m.AppendRejected, (*_HEAD, _number, _number, _number)),
    (m.Heartbeat, (*_HEAD, _number, _number)),
    (m.HeartbeatResponse, (*_HEAD, _number)),
    (m.InstallSnapshot, (*_HEAD, _snapshot)),
    (m.TimeoutNow, _HEAD),
    (m.TransferRequest, (*_HEAD, _number)),
    (m.ForwardedProposals, (*_HEAD, _proposals)),
    (m.ReadRequest, (*_HEAD, _bytes)),
    (m.ReadResponse, (*_HEAD, _bytes, _number)),
    (m.TermNotice, _HEAD),
)

_KINDS: dict[type, int] = {cls: kind for kind, (cls, _) in enumerate(_SHAPES)}

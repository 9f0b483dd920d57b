"""Log entries: what the Raft log holds and what the coordinator publishes."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class EntryKind(IntEnum):
    """What an entry is, as far as the coordinator must know.

    The coordinator decodes lease, membership and attribute entries; everything else is opaque bytes to it.
    """

    EMPTY = 0
    """The entry with which a new leader commits what its predecessors left (Raft paper, section 8)."""
    BATCH = 1
    """The writes that one worker collected; opaque to the coordinator."""
    LEASE_GRANT = 2
    LEASE_REVOKE = 3
    MEMBERSHIP = 4
    MEMBER_ATTRIBUTES = 5
    """What a member tells of itself: msgpack ``[member_id, name, peer_urls, native_urls, client_urls]``; see
    ``wire.members``."""


class Entry(NamedTuple):
    """One position of the Raft log.

    Invariants:
    1. ``index`` starts at 1 and grows by one from entry to entry; ``term`` never falls.
    2. ``incarnation`` and ``batch`` are both 0 for entries that no worker proposed, and both positive otherwise.
    """

    index: int  # type: ignore[assignment]  # shadows tuple.index, which nobody wants of an entry
    term: int
    kind: int
    incarnation: int
    batch: int
    payload: bytes


class Proposal(NamedTuple):
    """An entry before the leader gives it a place: the ``batch``-th proposal of the process ``incarnation``."""

    kind: int
    incarnation: int
    batch: int
    payload: bytes

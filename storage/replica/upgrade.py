"""Gives the events of a replica of format 1 their forerunners: what it had in place of them was a table of all events.

That table, ``history``, had for each event of a stored key, in order, the event's id and a byte: 1 for a tombstone. ::

    a -> 2.0 put, 3.0 put, 5.0 tombstone, 7.0 put       3.0 has the forerunner 2.0, and 5.0 has 3.0; 2.0 and 7.0 none
    b -> 4.0 put, of version 3                          COMPACTED: what was before it is gone
"""

from __future__ import annotations

from typing import Final

import lmdb

from .errors import LayoutError
from .layout import CHECKSUM, DELETE, EVENT_ID, EVENT_ID_BYTES, NO_EVENT, event_kv, event_record, is_signpost

HISTORY: Final = b"history"

COMPACTED: Final = EVENT_ID.pack(1, 0)
"""Stands for a forerunner that a compaction removed: nothing ever happened at revision 1, and nobody asks for it."""


def give_forerunners(
    transaction: lmdb.Transaction[bytes], history: lmdb._Database, events: lmdb._Database, signposts: lmdb._Database
) -> None:
    """Rewrites ``events``, and fills ``signposts``, as ``layout`` says.

    Args:
        transaction: a write transaction.
        history: of format 1.
        events: of format 1: records without their forerunners, with the body's CRC-32 as it is.
        signposts: empty.

    Raises:
        LayoutError: ``history`` names an event that is not there, or a record is cut off.
    """
    key, forerunner = b"", NO_EVENT
    for stored, line in transaction.cursor(history):
        event_id = line[:EVENT_ID_BYTES]
        event = transaction.get(event_id, None, events)
        if event is None:
            raise LayoutError(f"table events lacks {EVENT_ID.unpack(event_id)}")
        if stored != key:
            key, forerunner = stored, NO_EVENT
        kind, kv = event_kv(event_id, NO_EVENT + event)
        makes_its_key = kind != DELETE and kv[4] == 1
        if not makes_its_key and forerunner == NO_EVENT:
            forerunner = COMPACTED
        (body_crc32,) = CHECKSUM.unpack_from(event)
        record = event_record(NO_EVENT if makes_its_key else forerunner, event[CHECKSUM.size :], body_crc32)
        transaction.put(event_id, record, db=events)
        if is_signpost(kind, kv[4], len(kv[1])):
            transaction.put(stored, event_id, db=signposts)
        forerunner = NO_EVENT if kind == DELETE else event_id

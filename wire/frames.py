"""Messages between client and worker: the envelope around requests and replies, and the watch channel.

A client's DEALER sends one frame a message, a worker's ROUTER answers likewise. Both are msgpack arrays:

- request message: ``[client_id, floor, since, timeout_ms, requests]``
- reply message: ``[raft_term, position, replies]``

``client_id`` is random and lives as long as the client object. Sequence numbers start at 1 and are never used twice
by one client. ``floor`` is the lowest sequence number that the client still waits for: what the replicated state
remembers of the client's writes below it may be forgotten. ``position`` counts the writes that the replica had
applied. ``since`` is 0 when the requests are sent for the first time; when they are sent again, on another connection
or to another endpoint, it is the highest ``position`` that the client had seen before it sent the first of them for
the first time. A write whose ``since`` is too far back for the outcomes that are remembered is refused
(OutcomeUnknownError), not applied. So a write is applied at most once however often it is sent.

A reply is ``[sequence, revision, result]``, or ``[sequence, -code, message, detail]`` for an error (``code`` > 0).
Sequence 0 answers no request: a message could not be taken apart at all, or the server has had no leader for a while
(NoLeaderError), so that a client of several members had better ask another one.

The watch channel is XSUB to XPUB. To watch, a client sends the frame ``b"\\x01" + msgpack([token, key, range_end,
flags])``; to stop, the same with ``b"\\x00"``. A token is ``TOKEN_BYTES`` random bytes. The worker publishes frames
that begin with a topic of ``TOKEN_BYTES`` bytes, followed by msgpack:

- topic = token: the answer, ``[0, group_topic, revision]``, or ``[code, message, detail]`` for an error; again after
  every reconnection. All events after ``revision`` will be published under ``group_topic``.
- topic = group_topic: ``[previous_revision, revision, events]``: all events of the group with previous_revision <
  mod_revision <= revision, whole revisions only, in order. No events: progress. A watcher whose own revision is below
  previous_revision has missed something, and asks for it (WATCH_HISTORY).
"""

from __future__ import annotations

from typing import Any, Final

import msgpack

from oarlock.wire.errors import ProtocolError

TOKEN_BYTES: Final = 16
MAX_FRAME_BYTES: Final = 64 * 1024 * 1024
"""No message on any of our sockets is longer; ZeroMQ closes a connection that announces more (ZMQ_MAXMSGSIZE)."""

_packer = msgpack.Packer(use_bin_type=True, autoreset=True)
pack = _packer.pack
"""Packs a value to msgpack bytes. Not to be called from two threads at once without the GIL (it has no yield
inside)."""


def unpack(frame: bytes | memoryview) -> Any:
    """Unpacks one msgpack value that must fill ``frame``.

    Strings arrive as ``str``, binary as ``bytes``, arrays as ``list``. The keys of maps must be one of the first two:
    their hashes are secret, where numbers could be chosen to collide and hold up whoever unpacks them.

    Raises:
        ProtocolError: the bytes are not one msgpack value, or nest too deep.
    """
    try:
        return msgpack.unpackb(frame, raw=False, strict_map_key=True, use_list=True)
    except (ValueError, TypeError, RecursionError) as problem:  # msgpack's own errors are ValueErrors
        raise ProtocolError(f"{ProtocolError.text}: not msgpack: {type(problem).__name__}") from None


def pack_error(sequence: int, error: Any) -> list[Any]:
    """The reply item that carries ``error`` (an OarlockError) to the request ``sequence``."""
    return [sequence, -int(error.code), error.message, error.detail]

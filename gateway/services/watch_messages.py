"""Watch responses as bytes. Events are encoded once a batch; what a watch adds to them is its id.

A protobuf message may have its fields in any order, and messages are merged by appending one to the other. So a
response is ``header + events + watch id``, and only the last part differs between watchers; for the id 0, which the
first watch of a stream has, it is empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, Final

from oarlock.gateway.service import Backend, LiveBatch, SharedMessages
from oarlock.gateway.services.key_values import encoded
from oarlock.gateway.varints import varint
from oarlock.wire.operations import Event, event_bytes

MAX_REVISIONS_A_RESPONSE: Final = 1_000
"""Of history (etcd, ``watchBatchMaxRevs``)."""
SHARED_IDS: Final = 16
"""Watch ids whose messages are kept for other streams: most streams have few watches, and those with thousands would
fill memory with messages that nobody else wants."""

_EVENT_TAG: Final = b"\x5a"
_WATCH_ID_TAG: Final = b"\x10"
_IS_FRAGMENT: Final = b"\x38\x01"
_IS_DELETION: Final = b"\x08\x01"


def watch_id_field(watch_id: int) -> bytes:
    """Field 2 of a response."""
    return _WATCH_ID_TAG + varint(watch_id) if watch_id else b""


def event_field(event: Event) -> bytes:
    """One element of field 11 of a response."""
    kind, kv, previous = event
    body = encoded((kv,), field=2)
    if kind:
        body = _IS_DELETION + body
    if previous is not None:
        body += encoded((previous,), field=3)
    return _EVENT_TAG + varint(len(body)) + body


def by_revision(events: Iterable[Event]) -> Iterator[tuple[int, list[bytes]]]:
    """Revisions with the fields of their events, in order."""
    for revision, same in groupby(events, key=_revision):
        yield revision, [event_field(event) for event in same]


def _revision(event: Event) -> int:
    return event[1][3]


class EncodedBatch:
    """A live batch as responses: one a revision, whose header has that revision (etcd likewise); or, of a gathered
    batch, one with the last of them.

    Attributes:
        first_revision: of its events, 0 without any.
        longest_bytes: of one response, but for the watch id.
    """

    __slots__ = ("_backend", "_bodies", "_is_gathered", "_shared", "first_revision", "longest_bytes")

    def __init__(self, backend: Backend, events: Sequence[Event], *, is_gathered: bool) -> None:
        self._backend = backend
        self._bodies = [(revision, b"".join(fields)) for revision, fields in by_revision(events)]
        self._is_gathered = is_gathered
        self._shared: dict[int, SharedMessages] = {}
        self.first_revision = self._bodies[0][0] if self._bodies else 0
        self.longest_bytes = 0
        if self._bodies:
            sizes = [len(body) for _, body in self._bodies]
            header = backend.header_field(self._bodies[-1][0])  # of the highest revision: none is longer
            self.longest_bytes = len(header) + (sum(sizes) if is_gathered else max(sizes))

    def messages(self, watch_id: int, first_revision: int) -> SharedMessages:
        """The responses to one watch, from ``first_revision`` on."""
        if first_revision > self.first_revision:
            return self._messages(watch_id, [each for each in self._bodies if each[0] >= first_revision])
        messages = self._shared.get(watch_id)
        if messages is None:
            messages = self._messages(watch_id, self._bodies)
            if 0 <= watch_id < SHARED_IDS:
                self._shared[watch_id] = messages
        return messages

    def _messages(self, watch_id: int, bodies: Sequence[tuple[int, bytes]]) -> SharedMessages:
        suffix = watch_id_field(watch_id)
        header_field = self._backend.header_field
        if self._is_gathered and bodies:
            events = b"".join([body for _, body in bodies])
            return SharedMessages([header_field(bodies[-1][0]) + events + suffix])
        return SharedMessages([header_field(revision) + body + suffix for revision, body in bodies])


def encoded_batch(backend: Backend, batch: LiveBatch, most_bytes: int) -> EncodedBatch | None:
    """``batch`` encoded: now, or before by another watcher of its group. None if it is too long:
    several revisions with more than ``most_bytes`` in keys and values."""
    known = batch.encoded
    if known is None:
        is_too_long = _is_too_long(batch.events, most_bytes)
        known = False if is_too_long else EncodedBatch(backend, batch.events, is_gathered=batch.is_gathered)
        batch.encoded = known
    return known or None


def _is_too_long(events: Sequence[Event], most_bytes: int) -> bool:
    if len(events) < 2 or _revision(events[0]) == _revision(events[-1]):
        return False  # what is one revision stays one
    return sum(map(event_bytes, events)) > most_bytes


def live_fragments(backend: Backend, events: Iterable[Event], watch_id: int, most_bytes: int) -> list[bytes]:
    """The responses to a watch that wants long ones in pieces."""
    suffix = watch_id_field(watch_id)
    pieces: list[bytes] = []
    for revision, fields in by_revision(events):
        pieces += fragments(backend.header_field(revision), fields, suffix, most_bytes)
    return pieces


def history_responses(header: bytes, events: Iterable[Event], watch_id: int, most_bytes: int | None) -> Iterator[bytes]:
    """Responses with what a watch has missed, many revisions each, none of them split but into fragments.

    Args:
        header: with the revision of the store.
        events: whole revisions.
        most_bytes: of a response to a watch that wants long ones in pieces, else None.
    """
    suffix = watch_id_field(watch_id)
    fields: list[bytes] = []
    revisions = 0
    for _, more in by_revision(events):
        if revisions == MAX_REVISIONS_A_RESPONSE:
            yield from _pieces(header, fields, suffix, most_bytes)
            fields, revisions = [], 0
        fields += more
        revisions += 1
    if fields:
        yield from _pieces(header, fields, suffix, most_bytes)


def _pieces(header: bytes, fields: Sequence[bytes], suffix: bytes, most_bytes: int | None) -> list[bytes]:
    if most_bytes is None:
        return [b"".join((header, *fields, suffix))]
    return fragments(header, fields, suffix, most_bytes)


class History:
    """What watches of one group have missed from one revision on, for all that missed just that.

    Attributes:
        next_revision: the first of which it has no events.
        is_empty: whether there was nothing that they want.
    """

    __slots__ = ("_events", "_header", "_shared", "is_empty", "next_revision")

    def __init__(self, backend: Backend, item: Any) -> None:
        """Takes the reply item of a WATCH_HISTORY that carries no error."""
        self._events, self.next_revision = item[2]
        self._header = backend.header_field(item[1])
        self._shared: dict[tuple[int, int | None], SharedMessages] = {}
        self.is_empty = not self._events

    def messages(self, watch_id: int, most_bytes: int | None) -> SharedMessages:
        """The responses to one watch, as ``history_responses`` makes them."""
        messages = self._shared.get((watch_id, most_bytes))
        if messages is None:
            messages = SharedMessages(list(history_responses(self._header, self._events, watch_id, most_bytes)))
            if 0 <= watch_id < SHARED_IDS:
                self._shared[watch_id, most_bytes] = messages
        return messages


def fragments(header: bytes, fields: Sequence[bytes], suffix: bytes, most_bytes: int) -> list[bytes]:
    """One response, or several below ``most_bytes`` each of which all but the last say that they are a fragment.

    A single event is never split, however long (etcd, ``sendFragments``).
    """
    overhead = len(header) + len(suffix)
    if overhead + sum(map(len, fields)) < most_bytes:
        return [b"".join((header, *fields, suffix))]
    pieces: list[list[bytes]] = [[]]
    size = overhead
    for field in fields:
        if pieces[-1] and size + len(field) >= most_bytes:
            pieces.append([])
            size = overhead
        pieces[-1].append(field)
        size += len(field)
    last = len(pieces) - 1
    return [b"".join((header, *piece, suffix, b"" if at == last else _IS_FRAGMENT)) for at, piece in enumerate(pieces)]

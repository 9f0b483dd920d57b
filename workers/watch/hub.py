"""The watch hub: who watches what, and what is published to whom. No sockets here: frames in, frames out.

Watchers of the same range with the same flags form a group, which has a topic of its own. Each change is packed once a
group, however many watch; the XPUB socket multiplies it. How watchers join what is live to history is told in
``oarlock.wire.frames``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

import msgpack

from oarlock.wire.errors import (
    LearnerRefusesError,
    OarlockError,
    OverloadedError,
    ProtocolError,
    WatcherRangeEmptyError,
)
from oarlock.wire.frames import TOKEN_BYTES, unpack
from oarlock.wire.operations import FROM_KEY, Event, EventType, WatchFlag
from oarlock.workers.watch.ranges import RangeIndex

MAX_WATCHERS: Final = 1_000_000
"""Watchers of one worker: about 600 bytes each, so that they cannot take the machine's memory."""
FIRST_PROGRESS_S: Final = 1.0
"""How long after a group's last message it gets a progress message, by which a watcher notices that one was lost."""
MAX_PROGRESS_S: Final = 512.0
"""The pause between progress messages doubles up to this, so that many idle groups cost next to nothing."""
MAX_PROGRESS_FRAMES: Final = 2_000
"""Progress messages at once: if all idle groups of one client got theirs together, they would overflow its queue like
the events whose loss they are to tell of."""
ALL_FLAGS: Final = int(WatchFlag.PREV_KV | WatchFlag.NO_PUT | WatchFlag.NO_DELETE)


class Subscribe(NamedTuple):
    """Subscribe the connection that sent the request to these topics, then publish ``answer``."""

    topics: tuple[bytes, ...]
    answer: bytes


class Group:
    """Watchers of one range with one set of flags.

    Invariant: ``revision`` is that of the last message published under ``topic`` (or of the store when the group was
    made), and never falls.
    """

    __slots__ = ("events", "flags", "key", "pause_s", "progress_due_s", "range_end", "revision", "topic", "watchers")

    def __init__(self, key: bytes, range_end: bytes, flags: int, topic: bytes, revision: int) -> None:
        self.key = key
        self.range_end = range_end
        self.flags = flags
        self.topic = topic
        self.revision = revision
        self.watchers = 0
        self.events: list[Event] = []
        self.pause_s = FIRST_PROGRESS_S
        self.progress_due_s = 0.0


class WatchHub:
    """All groups of one worker.

    Invariants:
    1. A group has at least one watcher; ``_watchers`` maps every token to its group.
    2. No events wait in a group between calls.

    Args:
        new_topic: gives ``TOKEN_BYTES`` bytes that were no topic before, of this worker or of another.
    """

    def __init__(self, new_topic: Callable[[], bytes]) -> None:
        self._new_topic = new_topic
        self._groups: dict[tuple[bytes, bytes, int], Group] = {}
        self._index: RangeIndex[Group] = RangeIndex()
        self._watchers: dict[bytes, Group] = {}
        self._due: dict[float, set[Group]] = {}

    @property
    def watcher_count(self) -> int:
        """Watchers, of all groups."""
        return len(self._watchers)

    @property
    def group_count(self) -> int:
        """Groups: different ranges and flags."""
        return len(self._groups)

    def subscribe(self, request: bytes, revision: int, *, is_learner: bool = False) -> Subscribe | None:
        """Takes a subscription frame without its first byte.

        Args:
            request: what the client sent.
            revision: of the replica now; everything later will be published.
            is_learner: refuse it: a learner serves no watches (etcd likewise).

        Returns:
            What to subscribe and to publish; None where not even the token can be read, so that nobody can be told.
        """
        try:
            token, key, range_end, flags = _decode(request)
        except ProtocolError as problem:
            known = _token_of(request)
            return None if known is None else _refuse(known, problem)
        try:
            _check_range(key, range_end)
            if is_learner:
                raise LearnerRefusesError
            if len(self._watchers) >= MAX_WATCHERS and token not in self._watchers:
                raise OverloadedError(f"{OverloadedError.text}: {MAX_WATCHERS} watchers on this worker")
        except OarlockError as problem:
            return _refuse(token, problem)
        group = self._join(token, key, range_end, flags, revision)
        return Subscribe((token, group.topic), token + msgpack.packb((0, group.topic, revision)))

    def unsubscribe(self, request: bytes) -> tuple[bytes, ...]:
        """Takes the frame that ends a subscription, without its first byte; also sent when a connection is lost.

        Returns:
            The topics from which the connection, if it still stands, is to be unsubscribed: its token, not the group's,
            which another watcher on the same connection may share.
        """
        token = _token_of(request)
        group = self._watchers.pop(token, None) if token is not None else None
        if token is None or group is None:
            return ()
        self._leave(group)
        return (token,)

    def changes(self, changes: Iterable[Event], revision: int, now_s: float) -> list[bytes]:
        """What to publish for the changes of one drain of the commit stream.

        Args:
            changes: (type, kv, previous kv) in order, whole revisions.
            revision: of the store after them.
            now_s: monotonic time.

        Returns:
            One frame for each group that watches any of them.
        """
        if not self._groups:
            return []
        touched: list[Group] = []
        matching = self._index.matching
        for change in changes:
            for group in matching(change[1][0]):
                if not group.events:
                    touched.append(group)
                group.events.append(change)
        return [frame for group in touched if (frame := self._flush(group, revision, now_s)) is not None]

    def skipped_to(self, revision: int, now_s: float) -> None:
        """The replica was replaced by one at ``revision``: what happened before that was not published, and the next
        message of each group says so, so that its watchers ask for it. It comes soon, also where nothing changes."""
        for group in self._groups.values():
            group.revision = max(group.revision, revision)
            group.pause_s = FIRST_PROGRESS_S
            self._schedule(group, now_s)

    def progress(self, revision: int, now_s: float) -> list[bytes]:
        """Progress messages for the groups whose last message is long enough ago; to be called about once a second.

        At most ``MAX_PROGRESS_FRAMES`` a call; the rest is due with the next one.
        """
        frames: list[bytes] = []
        for due_s in sorted(due_s for due_s in self._due if due_s <= now_s):
            groups = self._due[due_s]
            while groups and len(frames) < MAX_PROGRESS_FRAMES:
                group = groups.pop()
                if group.progress_due_s == due_s and group.watchers:
                    frames.append(_message(group, revision, ()))
                    group.pause_s = min(group.pause_s * 2, MAX_PROGRESS_S)
                    self._schedule(group, now_s)
            if not groups:
                del self._due[due_s]
        return frames

    def validate(self) -> None:
        """Checks the invariants. Raises AssertionError where one does not hold."""
        assert len(self._index) == len(self._groups)
        assert sum(group.watchers for group in self._groups.values()) == len(self._watchers)
        for group in self._groups.values():
            assert group.watchers > 0
            assert not group.events

    def _join(self, token: bytes, key: bytes, range_end: bytes, flags: int, revision: int) -> Group:
        name = (key, range_end, flags)
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = Group(key, range_end, flags, self._new_topic(), revision)
            self._index.add(key, range_end, group)
        if (before := self._watchers.get(token)) is not group:
            group.watchers += 1
            self._watchers[token] = group
            if before is not None:
                self._leave(before)
        return group

    def _leave(self, group: Group) -> None:
        group.watchers -= 1
        if not group.watchers:
            del self._groups[group.key, group.range_end, group.flags]
            self._index.remove(group.key, group.range_end, group)

    def _flush(self, group: Group, revision: int, now_s: float) -> bytes | None:
        events, group.events = group.events, []
        if group.flags:
            events = [_flagged(event, group.flags) for event in events if not _filtered(event, group.flags)]
            if not events:
                return None  # the next message names the revision of the last one that was sent: no gap
        else:
            events = [(kind, kv, None) for kind, kv, _ in events]
        group.pause_s = FIRST_PROGRESS_S
        self._schedule(group, now_s)
        return _message(group, revision, events)

    def _schedule(self, group: Group, now_s: float) -> None:
        # Whole seconds, so that the groups of one second share a slot; a later message just moves the group on.
        group.progress_due_s = float(int(now_s + group.pause_s) + 1)
        self._due.setdefault(group.progress_due_s, set()).add(group)


def _message(group: Group, revision: int, events: Iterable[Event]) -> bytes:
    previous, group.revision = group.revision, revision
    frame: bytes = group.topic + msgpack.packb((previous, revision, tuple(events)))
    return frame


def _filtered(event: Event, flags: int) -> bool:
    return bool(flags & (WatchFlag.NO_DELETE if event[0] == EventType.DELETE else WatchFlag.NO_PUT))


def _flagged(event: Event, flags: int) -> Event:
    return event if flags & WatchFlag.PREV_KV else (event[0], event[1], None)


def _refuse(token: bytes, problem: OarlockError) -> Subscribe:
    return Subscribe((token,), token + msgpack.packb((int(problem.code), problem.message, problem.detail)))


def _token_of(request: bytes) -> bytes | None:
    """The token of a request of which perhaps nothing else can be read."""
    try:
        token = unpack(request)[0]
    except (ProtocolError, TypeError, IndexError, KeyError):
        return None
    return token if isinstance(token, bytes) and len(token) == TOKEN_BYTES else None


def _decode(request: bytes) -> tuple[bytes, bytes, bytes, int]:
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


def _check_range(key: bytes, range_end: bytes) -> None:
    """etcd refuses a watch of an empty range (mvcc, Watch)."""
    if range_end and range_end != FROM_KEY and key >= range_end:
        raise WatcherRangeEmptyError

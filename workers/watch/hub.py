"""The watch hub: who watches what, and what is published to whom. No sockets here: frames in, frames out.

Watchers of the same range with the same flags form a group, which has a topic of its own. Each change is packed once a
group, however many watch; the XPUB socket multiplies it. How watchers join what is live to history is told in
``oarlock.wire.frames``. Watchers in this process, the etcd front door's, belong to the same groups: they are handed the
events as they are, and nothing is packed where nobody listens over the socket. Where many of them watch one range, what
follows upon each other is gathered for a moment: ``oarlock.workers.watch.gathering``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgpack

from oarlock.gateway.service import LiveBatch
from oarlock.wire.errors import LearnerRefusesError, OarlockError, OverloadedError, ProtocolError
from oarlock.wire.operations import FROM_KEY, Event
from oarlock.workers.watch.gathering import LARGE_GROUP, Delivery, Gathering
from oarlock.workers.watch.groups import FIRST_PROGRESS_S, Group, LocalSubscription, hand_out
from oarlock.workers.watch.ranges import RangeIndex
from oarlock.workers.watch.subscriptions import Subscribe, accept, check_range, decode, refuse, token_of

MAX_WATCHERS: Final = 1_000_000
"""Watchers of one worker: about 600 bytes each, so that they cannot take the machine's memory."""
MAX_PROGRESS_S: Final = 512.0
"""The pause between progress messages doubles up to this, so that many idle groups cost next to nothing."""
MAX_PROGRESS_FRAMES: Final = 2_000
"""Progress messages at once: if all idle groups of one client got theirs together, they would overflow its queue like
the events whose loss they are to tell of."""


class WatchHub:
    """All groups of one worker.

    Invariants:
    1. A group has at least one watcher; ``_watchers`` maps every token to its group, ``_locals`` counts the others, and
       ``_groups_with_previous`` the groups that want what a key was before.
    2. No events wait in a group between calls, but those that ``Gathering`` holds back.

    Args:
        new_topic: gives ``TOKEN_BYTES`` bytes that were no topic before, of this worker or of another.
        max_watchers: of this worker.
        max_progress_frames: progress messages at once.
        large_group: how many watchers in this process make a group large, see ``Gathering``.
    """

    def __init__(
        self,
        new_topic: Callable[[], bytes],
        *,
        max_watchers: int = MAX_WATCHERS,
        max_progress_frames: int = MAX_PROGRESS_FRAMES,
        large_group: int = LARGE_GROUP,
    ) -> None:
        self._max_watchers = max_watchers
        self._max_progress_frames = max_progress_frames
        self._new_topic = new_topic
        self._groups: dict[tuple[bytes, bytes, int], Group] = {}
        self._index: RangeIndex[Group] = RangeIndex()
        self._watchers: dict[bytes, Group] = {}
        self._locals = 0
        self._groups_with_previous = 0
        self._due: dict[float, set[Group]] = {}
        self._gathering = Gathering(large_group)

    @property
    def watcher_count(self) -> int:
        """Watchers, of all groups, over the socket and in this process."""
        return len(self._watchers) + self._locals

    @property
    def wants_previous(self) -> bool:
        """Whether anybody wants to know what a key was before it changed."""
        return self._groups_with_previous > 0

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
            token, key, range_end, flags = decode(request)
        except ProtocolError as problem:
            known = token_of(request)
            return None if known is None else refuse(known, problem)
        try:
            check_range(key, range_end)
            if is_learner:
                raise LearnerRefusesError
            if token not in self._watchers:
                self._admit()
        except OarlockError as refusal:
            return refuse(token, refusal)
        return accept(token, self._join(token, key, range_end, flags, revision).topic, revision)

    def unsubscribe(self, request: bytes) -> tuple[bytes, ...]:
        """Takes the frame that ends a subscription, without its first byte; also sent when a connection is lost.

        Returns:
            The topics from which the connection, if it still stands, is to be unsubscribed: its token, not the group's,
            which another watcher on the same connection may share.
        """
        token = token_of(request)
        group = self._watchers.pop(token, None) if token is not None else None
        if token is None or group is None:
            return ()
        group.watchers -= 1
        self._leave(group)
        return (token,)

    def subscribe_local(
        self, key: bytes, range_end: bytes, flags: int, revision: int, deliver: Callable[[LiveBatch], None]
    ) -> LocalSubscription:
        """Adds a watcher in this process.

        Args:
            key, range_end: what it watches, in etcd's notation; an empty key is the first of all.
            flags: ``WatchFlag``s.
            revision: of the replica now; everything later will be delivered.
            deliver: called once a drain, or several, that bring the group something, and when the replica was
                replaced: whoever is behind the batch's ``previous_revision`` has missed something. It may subscribe and
                unsubscribe.

        Returns:
            The subscription; whoever asked for it closes it.

        Raises:
            WatcherRangeEmptyError: no key is in the range.
            OverloadedError: the worker has as many watchers as it takes.
        """
        key = key or FROM_KEY
        check_range(key, range_end)
        self._admit()
        group = self._group(key, range_end, flags, revision)
        subscription = LocalSubscription(group, revision, deliver, self._leave_local)
        group.subscribers[subscription] = None
        self._locals += 1
        return subscription

    def changes(self, changes: Iterable[Event], revision: int, now_s: float) -> list[bytes]:
        """What to publish for the changes of one drain of the commit stream.

        Args:
            changes: (type, kv, previous kv) in order, whole revisions.
            revision: of the store after them.
            now_s: monotonic time.

        Returns:
            One frame for each group that watches any of them over the socket; watchers in this process have been told,
            or will be by ``hand_out_due``.
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
        frames: list[bytes] = []
        deliveries: list[Delivery] = []
        for group in touched:
            events = group.take_events()
            if not events:
                continue  # the next message names the revision of the last one that was sent: no gap
            if group.watchers:
                frames.append(_packed(group, group.advance(revision, events)))
                group.pause_s = FIRST_PROGRESS_S
                self._schedule(group, now_s)
            if group.subscribers:
                deliveries += self._gathering.changed(group, revision, events, now_s)
        hand_out_all(deliveries)  # when all is in order: they may come and go meanwhile
        return frames

    @property
    def hand_out_due_s(self) -> float | None:
        """When ``hand_out_due`` is to be called, on the clock of ``changes``; None where nothing waits."""
        return self._gathering.due_s

    def hand_out_due(self, now_s: float) -> None:
        """Tells watchers in this process what was gathered for them, and waited for long enough."""
        hand_out_all(self._gathering.take_due(now_s))

    def catch_up(self, now_s: float) -> None:
        """Tells watchers in this process all that they have not been told yet: to be called before they are told that
        they have everything up to a revision."""
        hand_out_all(self._gathering.take_all(now_s))

    def skipped_to(self, revision: int, now_s: float) -> None:
        """The replica was replaced by one at ``revision``: what happened before that was not published.

        The next message of each group says so, so that its watchers ask for what they missed. It comes soon, also
        where nothing changes; watchers in this process are told now.
        """
        self.catch_up(now_s)
        deliveries: list[Delivery] = []
        for group in self._groups.values():
            group.revision = max(group.revision, revision)
            group.told_revision = max(group.told_revision, revision)
            group.pause_s = FIRST_PROGRESS_S
            if group.watchers:
                self._schedule(group, now_s)
            if group.subscribers:
                deliveries.append((group.tell(group.told_revision, []), tuple(group.subscribers)))
        hand_out_all(deliveries)

    def progress(self, revision: int, now_s: float) -> list[bytes]:
        """Progress messages for the groups whose last message is long enough ago; to be called about once a second.

        At most ``max_progress_frames`` a call; the rest is due with the next one.
        """
        frames: list[bytes] = []
        for due_s in sorted(due_s for due_s in self._due if due_s <= now_s):
            groups = self._due[due_s]
            while groups and len(frames) < self._max_progress_frames:
                group = groups.pop()
                if group.progress_due_s == due_s and group.watchers:
                    frames.append(_packed(group, group.advance(revision, [])))
                    group.pause_s = min(group.pause_s * 2, MAX_PROGRESS_S)
                    self._schedule(group, now_s)
            if not groups:
                del self._due[due_s]
        return frames

    def validate(self) -> None:
        """Checks the invariants. Raises AssertionError where one does not hold."""
        assert len(self._index) == len(self._groups)
        assert sum(group.watchers for group in self._groups.values()) == len(self._watchers)
        assert sum(len(group.subscribers) for group in self._groups.values()) == self._locals
        assert sum(group.wants_previous for group in self._groups.values()) == self._groups_with_previous
        for group in self._groups.values():
            assert not group.is_empty
            assert not group.events
        self._gathering.validate()

    def _admit(self) -> None:
        if self.watcher_count >= self._max_watchers:
            raise OverloadedError(f"{OverloadedError.text}: {self._max_watchers} watchers on this worker")

    def _group(self, key: bytes, range_end: bytes, flags: int, revision: int) -> Group:
        name = (key, range_end, flags)
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = Group(key, range_end, flags, self._new_topic(), revision)
            self._index.add(key, range_end, group)
            self._groups_with_previous += group.wants_previous
        return group

    def _join(self, token: bytes, key: bytes, range_end: bytes, flags: int, revision: int) -> Group:
        group = self._group(key, range_end, flags, revision)
        if (before := self._watchers.get(token)) is not group:
            group.watchers += 1
            self._watchers[token] = group
            if before is not None:
                before.watchers -= 1
                self._leave(before)
        return group

    def _leave_local(self, subscription: LocalSubscription) -> None:
        del subscription.group.subscribers[subscription]
        self._locals -= 1
        self._leave(subscription.group)

    def _leave(self, group: Group) -> None:
        """A watcher has left the group, perhaps the last one."""
        if group.is_empty:
            del self._groups[group.key, group.range_end, group.flags]
            self._index.remove(group.key, group.range_end, group)
            self._groups_with_previous -= group.wants_previous

    def _schedule(self, group: Group, now_s: float) -> None:
        # Whole seconds, so that the groups of one second share a slot; a later message just moves the group on.
        group.progress_due_s = float(int(now_s + group.pause_s) + 1)
        self._due.setdefault(group.progress_due_s, set()).add(group)


def hand_out_all(deliveries: Iterable[Delivery]) -> None:
    """Tells each batch to those whom it is for."""
    for batch, subscribers in deliveries:
        hand_out(batch, subscribers)


def _packed(group: Group, batch: LiveBatch) -> bytes:
    frame: bytes = group.topic + msgpack.packb((batch.previous_revision, batch.revision, batch.events))
    return frame

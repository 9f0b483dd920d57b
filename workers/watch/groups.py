"""Groups of watchers: those of one range with the same flags, over the socket and in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from oarlock.gateway.service import LiveBatch
from oarlock.wire.logs import get_logger
from oarlock.wire.operations import Event, EventType, WatchFlag

log = get_logger(__name__)

FIRST_PROGRESS_S: Final = 1.0
"""How long after a group's last message it gets a progress message, by which a watcher notices that one was lost."""


class LocalSubscription:
    """A watcher in this process (``oarlock.gateway.service.Subscription``).

    Attributes:
        revision: of the store when it was made: everything later is delivered, nothing earlier.
        deliver: takes a batch; does nothing once the subscription is closed.
    """

    __slots__ = ("_leave", "deliver", "group", "revision")

    def __init__(
        self,
        group: Group,
        revision: int,
        deliver: Callable[[LiveBatch], None],
        leave: Callable[[LocalSubscription], None],
    ) -> None:
        self.group = group
        self.revision = revision
        self.deliver = deliver
        self._leave = leave

    def close(self) -> None:
        """Ends it, also in the middle of a delivery. It is no error to do it twice."""
        if self.deliver is not _deliver_nowhere:
            self.deliver = _deliver_nowhere
            self._leave(self)


def _deliver_nowhere(batch: LiveBatch) -> None:
    pass


class Group:
    """Watchers of one range with one set of flags.

    Invariant: ``revision`` is that of the last message over the socket, ``told_revision`` of the last one in this
    process, or that of the store when the group was made.

    Attributes:
        topic: under which messages are published.
        watchers: how many there are over the socket.
        subscribers: those in this process, in the order in which they came.
        events: what waits for the end of the drain.
        gathered, gathered_bytes, gathered_revision: what waits for the end of a pause, see ``Gathering``.
        quiet_until_s: when the pause ends.
        pause_s, progress_due_s: between the last message and the next one without events, and when that is due.
    """

    __slots__ = (
        "events",
        "flags",
        "gathered",
        "gathered_bytes",
        "gathered_revision",
        "key",
        "pause_s",
        "progress_due_s",
        "quiet_until_s",
        "range_end",
        "revision",
        "subscribers",
        "told_revision",
        "topic",
        "watchers",
    )

    def __init__(self, key: bytes, range_end: bytes, flags: int, topic: bytes, revision: int) -> None:
        self.key = key
        self.range_end = range_end
        self.flags = flags
        self.topic = topic
        self.revision = self.told_revision = revision
        self.watchers = 0
        self.subscribers: dict[LocalSubscription, None] = {}
        self.events: list[Event] = []
        self.gathered: list[Event] = []
        self.gathered_bytes = self.gathered_revision = 0
        self.quiet_until_s = 0.0
        self.pause_s = FIRST_PROGRESS_S
        self.progress_due_s = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether nobody watches."""
        return not (self.watchers or self.subscribers)

    @property
    def wants_previous(self) -> bool:
        """Whether its events tell what the key was before."""
        return bool(self.flags & WatchFlag.PREV_KV)

    def take_events(self) -> list[Event]:
        """What waits, as the group's flags want it."""
        events, self.events = self.events, []
        flags = self.flags
        if not flags:
            return [(kind, kv, None) for kind, kv, _ in events]
        return [_flagged(event, flags) for event in events if not _filtered(event, flags)]

    def advance(self, revision: int, events: list[Event]) -> LiveBatch:
        """The next message of the group over the socket."""
        previous, self.revision = self.revision, revision
        return LiveBatch(previous, revision, events)

    def tell(self, revision: int, events: list[Event]) -> LiveBatch:
        """The next message of the group in this process."""
        previous, self.told_revision = self.told_revision, revision
        return LiveBatch(previous, revision, events)


def hand_out(batch: LiveBatch, subscribers: Iterable[LocalSubscription]) -> None:
    """Delivers ``batch``. Whoever fails to take it finds a gap before the next one, and the others get theirs."""
    for subscriber in subscribers:
        try:
            subscriber.deliver(batch)
        except Exception:
            # A mistake of ours. One watcher must not cost all clients of this worker their connection.
            log.exception("a watcher could not be told")


def _filtered(event: Event, flags: int) -> bool:
    return bool(flags & (WatchFlag.NO_DELETE if event[0] == EventType.DELETE else WatchFlag.NO_PUT))


def _flagged(event: Event, flags: int) -> Event:
    return event if flags & WatchFlag.PREV_KV else (event[0], event[1], None)

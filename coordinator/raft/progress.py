"""What a leader knows of one member's log, and how fast it may send to it."""

from __future__ import annotations

from collections import deque
from enum import Enum

from oarlock.coordinator.raft.errors import InvariantError


class ProgressState(Enum):
    """How the leader sends to a member."""

    PROBE = "probe"
    """Where the logs agree is not known: one append at a time, a further one after each answer or heartbeat."""
    REPLICATE = "replicate"
    """Appends follow each other without waiting, up to the bounds in flight."""
    SNAPSHOT = "snapshot"
    """The entries that it needs are gone: nothing is sent until the driver reports on the snapshot."""


class Inflight:
    """Appends that were sent and not yet answered, oldest first.

    Invariants:
    1. Last indexes rise strictly.
    2. ``bytes`` is the sum of the sizes.
    3. One append more than the bounds allow is never added: ``full`` is asked first. (Bytes may pass the bound by
       the last message, so that a message larger than the bound can be sent at all.)
    """

    __slots__ = ("_max_bytes", "_max_messages", "_sent", "bytes")

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._sent: deque[tuple[int, int]] = deque()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._sent)

    @property
    def full(self) -> bool:
        """Whether a bound is reached."""
        return len(self._sent) >= self._max_messages or self.bytes >= self._max_bytes

    def add(self, last_index: int, size_bytes: int) -> None:
        """An append whose last entry is ``last_index`` is under way."""
        self._sent.append((last_index, size_bytes))
        self.bytes += size_bytes

    def free_to(self, index: int) -> None:
        """Everything up to ``index`` was answered."""
        while self._sent and self._sent[0][0] <= index:
            self.bytes -= self._sent.popleft()[1]

    def clear(self) -> None:
        """Whatever was under way is not waited for any more."""
        self._sent.clear()
        self.bytes = 0

    def validate(self) -> None:
        """Raises InvariantError if an invariant of the type is broken."""
        indexes = [index for index, _ in self._sent]
        if indexes != sorted(set(indexes)):
            raise InvariantError(f"in flight out of order: {indexes}")
        if self.bytes != sum(size for _, size in self._sent):
            raise InvariantError(f"in flight: {self.bytes} bytes counted wrongly")
        if len(indexes) > self._max_messages:
            raise InvariantError(f"in flight: {len(indexes)} messages, allowed {self._max_messages}")


class Progress:
    """One member as its leader sees it (Raft paper, figure 2: nextIndex and matchIndex).

    Invariants:
    1. ``match < next``: what is known to be there is not sent again.
    2. Nothing is in flight but in state REPLICATE.
    3. ``next`` is at most one past the leader's last entry (checked by the core, which knows the log).

    Attributes:
        match: up to here the member's log is known to be the leader's, durably. For the leader itself: its own
            durable log.
        next: the first entry that the next append carries.
        paused: no append until an answer or a heartbeat's answer comes.
        sent_commit: the highest commit index that was sent in an append.
        read_round: the last read-index round that the member answered.
        active_tick: when the member was last heard of, in ticks of the leader.
    """

    __slots__ = ("active_tick", "inflight", "match", "next", "paused", "read_round", "sent_commit", "state")

    def __init__(self, next_index: int, inflight: Inflight, tick: int) -> None:
        self.match = 0
        self.next = next_index
        self.state = ProgressState.PROBE
        self.paused = False
        self.sent_commit = 0
        self.read_round = 0
        self.active_tick = tick
        self.inflight = inflight

    def become_probe(self, next_index: int = 0) -> None:
        """Finds out again where the logs agree, beginning at ``next_index`` or just behind ``match``."""
        self._enter(ProgressState.PROBE)
        self.next = max(self.match + 1, next_index)
        self.sent_commit = min(self.sent_commit, self.next - 1)

    def become_replicate(self) -> None:
        """The logs agree up to ``match``: sends ahead from there."""
        self._enter(ProgressState.REPLICATE)
        self.next = self.match + 1

    def become_snapshot(self) -> None:
        """Sends nothing until the driver has reported on the snapshot."""
        self._enter(ProgressState.SNAPSHOT)

    def _enter(self, state: ProgressState) -> None:
        self.state = state
        self.paused = False
        self.inflight.clear()

    @property
    def can_send(self) -> bool:
        """Whether an append may leave now, with or without entries."""
        return not self.paused and self.state is not ProgressState.SNAPSHOT

    def needs_commit(self, commit: int) -> bool:
        """Whether telling ``commit`` now could move the member's commit index.

        It cannot pass the last entry sent, so telling once that everything sent is committed is enough.
        """
        return commit > self.sent_commit and self.sent_commit < self.next - 1

    def sent(self, count: int, size_bytes: int, commit: int) -> None:
        """An append with ``count`` entries of ``size_bytes`` and with ``commit`` has been made."""
        self.sent_commit = max(self.sent_commit, commit)
        if self.state is ProgressState.PROBE:
            self.paused = True
            return
        if count:
            self.next += count
            self.inflight.add(self.next - 1, size_bytes)
        self.paused = self.inflight.full

    def accepted(self, match: int) -> bool:
        """The member has everything up to ``match``.

        Returns:
            Whether that is news: more is known, or a probe has found its place.
        """
        found = self.state is ProgressState.PROBE and match == self.match
        if match > self.match:
            self.match = match
            self.next = max(self.next, match + 1)
            self.paused = False
            found = True
        return found

    def rejected(self, rejected: int, hint: int) -> bool:
        """The member refused an append behind ``rejected``; the logs may agree at ``hint``.

        Returns:
            False for an answer that later ones have overtaken.
        """
        if self.state is ProgressState.SNAPSHOT:
            return False
        if self.state is ProgressState.REPLICATE:
            if rejected <= self.match:
                return False
            self.become_probe()
            return True
        if rejected != self.next - 1:
            return False
        self.next = max(min(rejected, hint + 1), self.match + 1)
        self.sent_commit = min(self.sent_commit, self.next - 1)
        self.paused = False
        return True

    def validate(self) -> None:
        """Raises InvariantError if an invariant of the type is broken."""
        if not 0 <= self.match < self.next:
            raise InvariantError(f"progress: match {self.match}, next {self.next}")
        if self.state is not ProgressState.REPLICATE and len(self.inflight):
            raise InvariantError(f"progress: {len(self.inflight)} messages in flight in state {self.state.value}")
        self.inflight.validate()

"""A disk and a member for tests: the driver's contract of ``Ready``, carried out without threads or time."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

from oarlock.coordinator.raft import HardState, Membership, Message, Raft, RaftConfig, Ready
from oarlock.coordinator.raft.memory_storage import MemoryStorage


class SimDisk:
    """A disk whose writes become durable in order, when the test says so.

    Attributes:
        storage: the durable log.
        hard_state: the durable term and vote.
        waiting: writes that were submitted and are not durable.
    """

    def __init__(self, membership: Membership) -> None:
        self.storage = MemoryStorage(membership)
        self.hard_state = HardState(0, 0)
        self.waiting: deque[Ready] = deque()

    def submit(self, ready: Ready) -> None:
        """Takes a write."""
        self.waiting.append(ready)

    def sync(self, count: int | None = None) -> int:
        """Makes the oldest ``count`` writes (all by default) durable; returns the number of the last, or 0."""
        number = 0
        for _ in range(len(self.waiting) if count is None else min(count, len(self.waiting))):
            ready = self.waiting.popleft()
            self._carry_out(ready, len(ready.entries), hard_state=True)
            number = ready.write
        return number

    def _carry_out(self, ready: Ready, entry_count: int, *, hard_state: bool) -> None:
        if ready.snapshot is not None:
            self.storage.install(ready.snapshot)
        if ready.truncate_from is not None:
            assert ready.entries
            assert ready.truncate_from == ready.entries[0].index
        elif ready.entries:
            assert ready.entries[0].index == self.storage.last_index() + 1, "an unannounced truncation"
        self.storage.append(ready.entries[:entry_count])
        if hard_state and ready.hard_state is not None:
            self.hard_state = ready.hard_state

    def crash(self, rng: random.Random) -> None:
        """Loses what is not durable, but for a random part that had reached the disk: whole writes, then a torn one."""
        self.sync(rng.randint(0, len(self.waiting)))
        if self.waiting and rng.random() < 0.5:
            torn = self.waiting.popleft()
            self._carry_out(torn, rng.randint(0, len(torn.entries)), hard_state=rng.random() < 0.5)
        self.waiting.clear()


class SimMember:
    """A member with its disk: takes what the core wants done, and holds messages back until they may leave.

    Attributes:
        outgoing: messages that may leave.
        observe: called with every ``Ready``, before anything of it is carried out.
    """

    def __init__(self, config: RaftConfig, disk: SimDisk, rng: random.Random) -> None:
        self.config = config
        self.member_id = config.member_id
        self.disk = disk
        self.rng = rng
        self.outgoing: list[Message] = []
        self.observe: Callable[[SimMember, Ready], None] = lambda member, ready: None
        self._held: deque[tuple[int, list[Message]]] = deque()
        self.start()

    def start(self) -> None:
        """Starts from what the disk holds."""
        self.raft = Raft(self.config, self.disk.storage, self.disk.hard_state, self.rng)
        self.raft.validate()

    def crash(self, rng: random.Random) -> None:
        """Loses everything that is in memory."""
        self.disk.crash(rng)
        self.outgoing.clear()
        self._held.clear()

    def take_ready(self) -> Ready | None:
        """Takes one ``Ready``, submits its write, and lets go what may leave at once."""
        self.raft.validate()
        ready = self.raft.ready()
        if ready is None:
            return None
        self.observe(self, ready)
        self.outgoing.extend(ready.messages)
        if ready.needs_write:
            self.disk.submit(ready)
            self._held.append((ready.write, list(ready.messages_after_persist)))
        else:
            assert not ready.messages_after_persist
        return ready

    def persist(self, count: int | None = None) -> bool:
        """Makes writes durable, tells the core, and lets go what waited for them; returns whether there were any."""
        number = self.disk.sync(count)
        if not number:
            return False
        self.raft.persisted(number)
        while self._held and self._held[0][0] <= number:
            self.outgoing.extend(self._held.popleft()[1])
        return True

    def take_outgoing(self) -> list[Message]:
        """Takes the messages that may leave."""
        outgoing, self.outgoing = self.outgoing, []
        return outgoing

    def compact(self, index: int) -> None:
        """Takes a snapshot at ``index`` and drops what it holds from the log."""
        self.disk.storage.compact(index, self.raft.membership_at(index))
        self.raft.compacted()

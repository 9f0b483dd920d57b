"""A worker: one process that serves clients from its own replica and sends their writes through the coordinator.

Everything happens in callbacks of one event loop. What arrives on a socket is drained; what follows from it is
collected, and leaves once, at the end of the loop's turn (``_flush``): one proposal for all writes, one question for
all linearizable reads, one reply frame for each connection.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from oarlock.wire.commit_word import CommitWord
from oarlock.wire.errors import CorruptError, NoLeaderError
from oarlock.wire.frames import pack_error
from oarlock.wire.internal import Internal
from oarlock.wire.logs import get_logger
from oarlock.wire.operations import Alarm
from oarlock.workers.applying import Applying
from oarlock.workers.auto_compaction import AutoCompaction
from oarlock.workers.catching_up import CatchingUp
from oarlock.workers.coordinator_link import CoordinatorLink
from oarlock.workers.doors import Doors
from oarlock.workers.etcd_backend import EtcdBackend
from oarlock.workers.etcd_door import EtcdDoor
from oarlock.workers.knocking import Knocking
from oarlock.workers.leader_absence import LeaderAbsence
from oarlock.workers.long_answers import LongAnswers
from oarlock.workers.long_turns import LongTurns
from oarlock.workers.native_door import MAX_MESSAGES_A_TURN, NativeDoor
from oarlock.workers.own_commit import OwnCommit
from oarlock.workers.reads import Reads
from oarlock.workers.replica_keeper import ReplicaKeeper
from oarlock.workers.requests import Requests
from oarlock.workers.spinning import Spinning
from oarlock.workers.under_way import UnderWay
from oarlock.workers.upkeep import Upkeep
from oarlock.workers.watch.hub import WatchHub
from oarlock.workers.watch.port import WatchPort
from oarlock.workers.worker_counts import WorkerCounts

log = get_logger(__name__)

HOUSEKEEPING_S: Final = 0.1
"""How often deadlines, retries and fetches are looked at: what nobody notices in a time-out of seconds."""


class Worker:
    """Ties the parts together; decides only when each has its turn.

    Args:
        number: of this worker, from 0.
        loop: the event loop that runs it.
        keeper: owns the replica.
        link: to the coordinator.
        commit_word: what it tells of commits while its member is alone.
        hub: knows who watches what.
        new_id: draws a random positive 63-bit id.
        make_requests: makes what sorts requests.
        make_doors: makes the native door, the watch port, and etcd's door if there is one, of what etcd's services ask,
            of what is to be called when the latter has something to write, of the line for its long answers, and of
            what is to be told when bytes come; called once the replica has caught up.
        request_timeout_s: how long requests of etcd's clients may take.
        on_ready: called once clients are served.
        compaction: says when history is compacted without anybody asking; None where it is not, or where another
            worker of this member sees to it.
    """

    def __init__(
        self,
        number: int,
        loop: asyncio.AbstractEventLoop,
        keeper: ReplicaKeeper,
        link: CoordinatorLink,
        commit_word: CommitWord,
        hub: WatchHub,
        new_id: Callable[[], int],
        make_requests: Callable[..., Requests],
        make_doors: Callable[
            [EtcdBackend, Callable[[], None], LongAnswers, Knocking], tuple[NativeDoor, WatchPort, EtcdDoor | None]
        ],
        request_timeout_s: float,
        on_ready: Callable[[], None],
        compaction: AutoCompaction | None = None,
    ) -> None:
        self._loop = loop
        self._keeper = keeper
        self._link = link
        self._hub = hub
        self._on_ready = on_ready
        self._etcd = etcd = EtcdBackend(keeper, hub, loop, request_timeout_s, self._schedule_flush)
        self._absence = LeaderAbsence(time.monotonic())
        self._reads = reads = Reads(lambda: keeper.replica, lambda: self._long_turns.wake())
        long_answers = LongAnswers(lambda: self._long_turns.wake())
        self._long_turns = LongTurns(loop, (reads, long_answers), self._schedule_flush)
        self._knocking = Knocking(link.knock)
        self._doors = Doors(
            loop,
            keeper,
            lambda: make_doors(etcd, self._schedule_flush, long_answers, self._knocking),
            self._schedule_flush,
        )
        self._under_way = under_way = UnderWay(link, keeper, commit_word, self._reads, new_id)
        self._requests = make_requests(
            under_way.batches, under_way.rounds, under_way.questions, self._reads, under_way.proposals, keeper
        )
        self._counts = WorkerCounts()
        self._applying = Applying(
            loop, keeper, link, under_way, self._requests, self._reads, hub, self._doors, self._counts
        )
        self._catching_up = CatchingUp(number, keeper, link, under_way, self._reads, hub, self._applying)
        self._upkeep = Upkeep(loop, keeper, self._requests, compaction, self._schedule_flush)
        self._own_commit = OwnCommit(commit_word, keeper.foresee, under_way.proposals, self._catching_up.stream)
        self._spinning = Spinning(loop.call_soon, self._look)
        self._leader = (0, 0)
        self._flush_scheduled = False
        self._held_back = False

    # Life

    def start(self) -> None:
        """Begins: says hello to the coordinator, and serves once the replica has caught up."""
        self._link.start(self._on_message, self._flush, self._catching_up.greet)
        self._loop.call_soon(self._housekeeping)

    def drain(self) -> None:
        """Takes no more requests; what is under way goes on. ``is_idle`` tells when it is done."""
        self._doors.drain()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way for a client."""
        return self._under_way.is_idle and not self._long_turns.is_busy

    def close(self, *, clean: bool) -> None:
        """Ends: closes sockets and the replica.

        Args:
            clean: everything is as it should be: what is still to be sent is sent, and the replica is forced to disk.
        """
        if clean:
            self._flush()
        self._reads.abandon_views()
        self._doors.close()
        self._link.close()
        self._keeper.close(clean=clean)

    async def wait_closed(self) -> None:
        """Waits until what ``close`` has ended is gone; its loop must not be closed before."""
        await self._doors.wait_closed()

    def was_busy(self) -> bool:
        """Whether anything was applied or asked since the last look."""
        return self._counts.was_busy()

    # What arrives

    def _on_message(self, message: list[Any]) -> None:
        self._flush_scheduled = True  # the link calls it behind its messages
        self._spinning.wake(time.monotonic())
        kind = message[0]
        if kind == Internal.COMMITTED:
            self._on_committed(message)
        elif kind == Internal.CORRUPT:
            self._keeper.distrust()
            raise CorruptError(f"{CorruptError.text}: this member's replicas differ from the other members'")
        elif kind == Internal.READ_INDEX:
            self._under_way.read_index_answered(message)
        elif kind == Internal.FETCH:
            self._catching_up.fetched(message)
            self._open_when_due()
        elif kind == Internal.HELLO:
            self._catching_up.greeted(message)
            if not self._doors.is_open:
                self._absence.heard(time.monotonic())  # it may have taken long to start, and is to have time to elect
        elif kind == Internal.PROPOSE:
            pause_s = message[4] / 1000
            self._under_way.proposals.refused(time.monotonic(), pause_s)
            self._loop.call_later(pause_s, self._under_way.propose_again)
        elif kind == Internal.SNAPSHOT:
            self._keeper.make_snapshot(Path(message[1]), self._loop, self._link.snapshot_made)
        else:
            self._under_way.questions.answered(message)

    def _on_committed(self, message: list[Any]) -> None:
        _, coordinator, raft_term, leader, commit_index, entries = message
        self._doors.raft_term = self._etcd.raft_term = raft_term
        self._etcd.has_leader = leader != 0
        if leader:
            self._absence.heard(time.monotonic())
        if self._catching_up.follows(coordinator):
            self._applying.apply(self._catching_up.stream.arrived(commit_index, entries))
            if (raft_term, leader) != self._leader:
                self._leader = (raft_term, leader)
                if leader:
                    self._under_way.leader_changed()
            self._open_when_due()

    def _open_when_due(self) -> None:
        """Serves, once the replica has caught up, unless this member was found to differ from the others.

        It may have stopped before its replicas were made anew. So they are now, and serve when the alarm is disarmed.
        Clients are not let in to be told that there is no leader: etcd's own give up their watches then. If it takes
        longer than an election, they are, since some only read.
        """
        if self._doors.is_open or not self._catching_up.stream.has_caught_up:
            return
        if not self._etcd.has_leader and not self._absence.lasts(time.monotonic()):
            return
        if not self._keeper.is_distrusted:
            self._held_back = False
            self._doors.open(self._on_arrival, self._on_ready)
            return
        if not self._held_back:
            self._held_back = True
            log.critical("not serving: this member was found to differ from the others, until the alarm is disarmed")
        if not self._keeper.is_rebuilt:
            self._catching_up.start_anew()

    def _on_arrival(self) -> None:
        self._spinning.wake(time.monotonic())  # now, so that it does not yield before the requests get their turn
        self._loop.call_soon(self._take_requests)

    def _take_requests(self) -> None:
        now_s = time.monotonic()
        count = 0
        for _ in range(MAX_MESSAGES_A_TURN):
            message = self._doors.receive()
            if message is None:
                break
            count += len(message.requests)
            self._requests.take(message, now_s)
        else:
            self._loop.call_soon(self._take_requests)
        self._flush()
        self._counts.requests += count
        if count:
            self._counts.is_busy = True
            self._long_turns.asked(count)

    # The end of a turn

    def _schedule_flush(self) -> None:
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._spinning.wake(time.monotonic())
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = True  # what is answered from here on leaves at the end of this
        now_s = time.monotonic()
        self._spinning.wake(now_s)
        if (message := self._etcd.take()) is not None:
            self._counts.is_busy = True
            self._long_turns.asked(len(message.requests))
            self._requests.take(message, now_s)
        proposed = self._under_way.flush(now_s, is_brisk=self._spinning.is_brisk)
        self._catching_up.fetch_missing(now_s)
        self._reads.end_turn()
        self._flush_scheduled = False
        if self._etcd.has_requests:
            self._schedule_flush()
        self._doors.flush(self._keeper.meta.position)
        self._doors.look_for_subscriptions()
        if proposed and self._under_way.is_greeted:
            self._own_commit.proposed(proposed, self._leader[0])
        self._spinning.rest()

    def _look(self) -> bool:
        """Takes our own entry if it is committed, without its message; says whether there was one."""
        own = self._own_commit.seen()
        if own is None:
            return False
        self._flush_scheduled = True
        self._spinning.wake(time.monotonic())
        self._knocking.is_due = own.is_lone and self._under_way.is_alone
        self._applying.answer_foreseen(own)
        self._applying.apply(self._catching_up.stream.arrived(own.entry.index, (own.entry,)))
        self._flush()
        return True

    # Time

    def _housekeeping(self) -> None:
        self._loop.call_later(HOUSEKEEPING_S, self._housekeeping)
        now_s = time.monotonic()
        self._under_way.look_after(now_s)
        self._reads.give_up_overdue(now_s)
        self._open_when_due()
        if self._doors.is_open and self._absence.due(now_s):
            self._etcd.has_leader = False  # nor is a member healthy that reads, but whose coordinator stands still
            self._doors.answer_everyone(pack_error(0, NoLeaderError()))
        self._upkeep.begin_removing()
        self._schedule_flush()

    @property
    def alarms(self) -> list[str]:
        """The names of the active alarms, of whichever member, as a health page shows them."""
        return sorted({Alarm(kind).name for _, kind in self._keeper.alarms})

    def every_second(self, now_s: float) -> None:
        """Progress of watches, a report at rest, upkeep and metrics; to be called about once a second."""
        if self._doors.is_open:
            self._doors.publish(self._hub.progress(self._keeper.meta.revision, now_s))
        if self._under_way.is_greeted and not self._catching_up.stream.is_behind:
            self._applying.report()
        self._upkeep.every_second(now_s, leader=self._leader[1])
        self._counts.tell(self._hub.watcher_count, self._keeper.meta.revision, self._keeper.replica.size_bytes())
        self._schedule_flush()

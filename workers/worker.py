"""A worker: one process that serves clients from its own replica and sends their writes through the coordinator.

Everything happens in callbacks of one event loop. What arrives on a socket is drained; what follows from it is
collected, and leaves once, at the end of the loop's turn (``_flush``): one proposal for all writes, one question for
all linearizable reads, one reply frame for each connection.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from oarlock.wire import metrics
from oarlock.wire.commit_word import ASK, CommitWord
from oarlock.wire.errors import CorruptError, DamageError, LeaderChangedError, NoLeaderError, TimeoutError
from oarlock.wire.frames import pack_error
from oarlock.wire.internal import Internal
from oarlock.wire.ledger import LEDGER_WINDOW_ENTRIES
from oarlock.wire.logs import get_logger
from oarlock.wire.members import initial_from_value
from oarlock.wire.operations import Alarm
from oarlock.wire.sockets import descriptor
from oarlock.workers import write_batches
from oarlock.workers.apply import Applied
from oarlock.workers.auto_compaction import AutoCompaction
from oarlock.workers.commit_stream import CommitStream
from oarlock.workers.coordinator_link import CoordinatorLink
from oarlock.workers.etcd_backend import EtcdBackend
from oarlock.workers.etcd_door import EtcdDoor
from oarlock.workers.leader_absence import LeaderAbsence
from oarlock.workers.native_door import MAX_MESSAGES_A_TURN, NativeDoor
from oarlock.workers.proposals import Proposals
from oarlock.workers.questions import Questions
from oarlock.workers.read_index import ReadRounds
from oarlock.workers.reads import Reads
from oarlock.workers.replica_keeper import ReplicaKeeper
from oarlock.workers.requests import Requests
from oarlock.workers.spinning import Spinning
from oarlock.workers.watch.hub import WatchHub
from oarlock.workers.watch.port import WatchPort
from oarlock.workers.worker_counts import WorkerCounts
from oarlock.workers.write_batches import WriteBatches

log = get_logger(__name__)

HOUSEKEEPING_S: Final = 0.1
"""How often deadlines, retries and fetches are looked at: what nobody notices in a time-out of seconds."""
MAX_ENTRIES_A_TURN: Final = 256
"""Entries applied in one transaction; others get their turn in between."""
SETTLE_AFTER_S: Final = 0.01
"""What was applied is committed to the replica so much later, unless somebody reads before: writes that come one by
one share a commit, which costs as much as a write does."""
MAX_UNSETTLED_BYTES: Final = 1 << 19
"""Of entries that are applied and not committed: what takes some milliseconds to commit."""
REPORT_EVERY_ENTRIES: Final = 1024
"""State hashes are compared at indexes that are multiples of this, where all workers report, and at rest."""
COMPACTION_PAUSE_S: Final = 0.002
"""Between two slices of compaction, which take about as long: half of the time is left to everything else."""

_watchers = metrics.gauge("oarlock_watchers", "Watchers.")
_revision = metrics.gauge("oarlock_revision", "The revision that the replica is at.", combine="livemax")
_db_size = metrics.gauge("oarlock_db_size_bytes", "Size of the replica's file.", combine="livemax")


class Worker:
    """Ties the parts together; decides only their order.

    Order that matters: committed entries are applied before the reads that their index confirms, and before watchers
    are told, so that nobody sees an event before it can be read.

    Args:
        number: of this worker, from 0.
        loop: the event loop that runs it.
        keeper: owns the replica.
        link: to the coordinator.
        commit_word: what it tells of commits while its member is alone.
        new_id: draws a random positive 63-bit id.
        make_requests: makes what sorts requests.
        open_doors: makes the native door, the watch port, and etcd's door if there is one, of what etcd's services ask
            and of what is to be called when the latter has something to write; called once the replica has caught up.
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
        open_doors: Callable[[EtcdBackend, Callable[[], None]], tuple[NativeDoor, WatchPort, EtcdDoor | None]],
        request_timeout_s: float,
        on_ready: Callable[[], None],
        compaction: AutoCompaction | None = None,
    ) -> None:
        self._number = number
        self._loop = loop
        self._keeper = keeper
        self._link = link
        self._commit_word = commit_word
        self._hub = hub
        self._open_doors = open_doors
        self._on_ready = on_ready
        self._compaction = compaction
        self._door: NativeDoor | None = None
        self._watch_port: WatchPort | None = None
        self._etcd_door: EtcdDoor | None = None
        self._start: asyncio.Task[None] | None = None
        self._etcd = EtcdBackend(keeper, hub, loop, request_timeout_s, self._schedule_flush)
        self._stream = CommitStream(keeper.meta.applied_index)
        self._proposals = Proposals(new_id)
        self._batches = WriteBatches(self._proposals)
        self._rounds = ReadRounds()
        self._questions = Questions(link)
        self._absence = LeaderAbsence(time.monotonic())
        self._reads = Reads(lambda: keeper.replica, self._schedule_slices)
        self._requests = make_requests(
            self._batches, self._rounds, self._questions, self._reads, self._proposals, keeper
        )
        self._counts = WorkerCounts()
        self._spinning = Spinning(loop.call_soon)
        self._coordinator = 0
        self._greeted = False
        self._term = 0
        self._leader = (0, 0)
        self._flush_scheduled = False
        self._settle_scheduled = False
        self._slices_scheduled = False
        self._reported_index = -1
        self._draining = False
        self._held_back = False
        self._compacting = False
        self._busy = False

    # Life

    def start(self) -> None:
        """Begins: says hello to the coordinator, and serves once the replica has caught up."""
        self._link.start(self._on_message, self._flush, self._hello)
        self._loop.call_soon(self._housekeeping)

    def drain(self) -> None:
        """Takes no more requests; what is under way goes on. ``is_idle`` tells when it is done."""
        self._draining = True
        if self._door is not None:
            self._door.drain()
        if self._etcd_door is not None:
            self._etcd_door.drain()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way for a client."""
        return not (len(self._proposals) or len(self._rounds) or self._reads.is_busy)

    def close(self, *, clean: bool) -> None:
        """Ends: closes sockets and the replica.

        Args:
            clean: everything is as it should be: what is still to be sent is sent, and the replica is forced to disk.
        """
        if clean:
            self._flush()
        self._reads.abandon_views()
        if self._start is not None:
            self._start.cancel()
        if self._watch_port is not None:
            self._loop.remove_reader(descriptor(self._watch_port.socket))
        for owned in (self._door, self._watch_port, self._etcd_door, self._link):
            if owned is not None:
                owned.close()
        self._watch_port = None  # the loop goes on until connections are closed, and has turns of ours to take
        self._keeper.close(clean=clean)

    async def wait_closed(self) -> None:
        """Waits until what ``close`` has ended is gone; its loop must not be closed before."""
        if self._etcd_door is not None:
            await self._etcd_door.wait_closed()

    @property
    def was_busy(self) -> bool:
        """Whether anything was applied or asked since the last look."""
        busy, self._busy = self._busy, False
        return busy

    # What arrives

    def _on_message(self, message: list[Any]) -> None:
        self._flush_scheduled = True  # the link calls it behind its messages
        self._spinning.wake(time.monotonic())
        kind = message[0]
        if kind == Internal.COMMITTED:
            _, coordinator, self._term, leader, commit_index, entries = message
            self._etcd.raft_term, self._etcd.has_leader = self._term, leader != 0
            if leader:
                self._absence.heard(time.monotonic())
            if self._greeted and coordinator == self._coordinator:
                self._apply(self._stream.arrived(commit_index, entries))
                if (self._term, leader) != self._leader:
                    self._follow_leader(leader)
                if self._held_back:
                    self._open_when_due()
        elif kind == Internal.CORRUPT:
            self._keeper.distrust()
            raise CorruptError(f"{CorruptError.text}: this member's replicas differ from the other members'")
        elif kind == Internal.READ_INDEX:
            self._on_read_index(message)
        elif kind == Internal.FETCH:
            self._on_fetched(message)
        elif kind == Internal.HELLO:
            self._on_hello(message)
        elif kind == Internal.PROPOSE:
            pause_s = message[4] / 1000
            self._proposals.refused(time.monotonic(), pause_s)
            self._loop.call_later(pause_s, self._propose_again)
        elif kind == Internal.SNAPSHOT:
            self._keeper.make_snapshot(Path(message[1]), self._loop, self._link.snapshot_made)
        else:
            self._questions.answered(message)

    def _follow_leader(self, leader: int) -> None:
        """A new leader may not have what the old one took, and owes no answer to what the old one was asked."""
        self._leader = (self._term, leader)
        if leader:
            self._proposals.coordinator_changed(time.monotonic())
            self._rounds.coordinator_changed()
            self._propose_again()

    def _on_requests(self) -> None:
        assert self._door is not None
        now_s = time.monotonic()
        count = 0
        for _ in range(MAX_MESSAGES_A_TURN):
            message = self._door.receive()
            if message is None:
                break
            count += len(message.requests)
            self._requests.take(message, now_s)
        else:
            self._loop.call_soon(self._on_requests)
        self._flush()
        self._busy |= count > 0
        self._counts.requests += count

    def _on_subscriptions(self) -> None:
        if self._watch_port is None:
            return
        if self._watch_port.drain(self._keeper.meta.revision, is_learner=self._keeper.is_learner):
            self._loop.call_soon(self._on_subscriptions)
        self._schedule_flush()

    # The coordinator

    def _hello(self) -> None:
        self._greeted = False
        self._link.hello(self._number, self._proposals.incarnation, self._keeper.meta.applied_index)

    def _on_hello(self, message: list[Any]) -> None:
        _, coordinator, cluster_id, member_id, _, last_index, _, initial = message
        if coordinator != self._coordinator and self._coordinator:
            log.info("coordinator is another process", coordinator=f"{coordinator:x}")
            self._questions.coordinator_changed()
        self._coordinator = coordinator
        self._greeted = True
        if self._keeper.belongs_elsewhere(cluster_id, last_index):
            self._replace_replica()
        self._keeper.identify(cluster_id, member_id, initial_from_value(initial))
        self._stream.restart(self._keeper.meta.applied_index)
        self._proposals.coordinator_changed(time.monotonic())
        self._rounds.coordinator_changed()
        self._link.fetch(self._stream.next_index)

    def _on_read_index(self, message: list[Any]) -> None:
        if message[2] < 0:
            self._rounds.failed(message[1], time.monotonic())
            return
        self._confirm(message[1], message[2])

    def _confirm(self, number: int, index: int) -> None:
        for read in self._rounds.answered(number, index, self._keeper.meta.applied_index):
            self._reads.start(read)

    def _on_fetched(self, message: list[Any]) -> None:
        _, commit_index, entries, snapshot = message
        self._stream.fetched()
        if snapshot is not None:
            missing_index = self._stream.next_index
            self._replace_replica()
            if self._stream.next_index <= missing_index:
                raise DamageError(
                    snapshot, 0, f"no snapshot is usable, and entry {missing_index} is no longer in the log"
                )
            self._link.fetch(self._stream.next_index)
            return
        for begin in range(0, len(entries), MAX_ENTRIES_A_TURN):
            self._apply(self._stream.arrived(commit_index, entries[begin : begin + MAX_ENTRIES_A_TURN]))
        self._stream.arrived(commit_index, ())
        self._open_when_due()

    def _replace_replica(self) -> None:
        self._reads.abandon_views()
        self._keeper.rebuild()
        self._stream.restart(self._keeper.meta.applied_index)
        for batch in self._proposals.replica_replaced(self._keeper.meta.applied_index):
            write_batches.answer_all(batch, LeaderChangedError())  # clients ask again
        self._reads.replica_changed()
        self._hub.skipped_to(self._keeper.meta.revision, time.monotonic())

    def _open_when_due(self) -> None:
        """Serves, once the replica has caught up, unless this member was found to differ from the others.

        It may have stopped before its replicas were made anew. So they are now, and serve when the alarm is disarmed.
        """
        if self._door is not None or self._stream.is_behind:
            return
        if not self._keeper.is_distrusted:
            self._held_back = False
            self._open()
            return
        if not self._held_back:
            self._held_back = True
            log.critical("not serving: this member was found to differ from the others, until the alarm is disarmed")
        if not self._keeper.is_rebuilt:
            self._replace_replica()
            self._link.fetch(self._stream.next_index)

    def _open(self) -> None:
        self._door, self._watch_port, self._etcd_door = self._open_doors(self._etcd, self._schedule_flush)
        self._loop.add_reader(descriptor(self._watch_port.socket), self._on_subscriptions)
        self._loop.call_soon(self._on_subscriptions)
        self._start = self._loop.create_task(self._start_doors(self._door, self._etcd_door))

    async def _start_doors(self, door: NativeDoor, etcd_door: EtcdDoor | None) -> None:
        await door.start(self._on_requests)
        if etcd_door is not None:
            await etcd_door.start()
        self._on_ready()

    # Applying

    def _apply(self, entries: Sequence[Any]) -> None:
        if not entries:
            return
        self._busy = True
        begin_s = time.monotonic()
        applied = self._keeper.apply(entries, self._proposals.incarnation, with_previous=self._hub.wants_previous)
        meta = self._keeper.meta
        self._answer(applied.entries, meta.position)
        self._reads.replica_changed()
        for read in self._rounds.applied(meta.applied_index):
            self._reads.start(read)
        if self._door is not None:
            self._flush_doors(meta.position)  # before anything that no caller waits for
        now_s = time.monotonic()
        if applied.changes and self._watch_port is not None:
            self._watch_port.publish(self._hub.changes(applied.changes, meta.revision, now_s))
            self._counts.events += len(applied.changes)
        if meta.applied_index % REPORT_EVERY_ENTRIES == 0:
            self._report()
        if self._door is not None and self._keeper.is_distrusted:
            # After a start the alarm may come when the doors are open: what was committed is learned by and by.
            raise CorruptError(f"{CorruptError.text}: this member was found to differ from the others")
        self._counts.entries += len(entries)
        self._counts.applied_s.append(now_s - begin_s)
        if self._keeper.unsettled_bytes >= MAX_UNSETTLED_BYTES:
            self._keeper.settle()
        elif not self._settle_scheduled:
            self._settle_scheduled = True
            self._loop.call_later(SETTLE_AFTER_S, self._settle)

    def _settle(self) -> None:
        self._settle_scheduled = False
        self._keeper.settle()

    def _answer(self, applied: Sequence[Applied], position: int) -> None:
        """Tells our clients what became of their writes. The replica need not have committed them: the log has them,
        and whoever reads finds them."""
        own = self._proposals.incarnation
        for each in applied:
            if each.incarnation == own:
                batch = self._proposals.committed(each.batch, each.index, admitted=each.admitted)
                if batch is not None:
                    self._requests.answer(batch, each)
        if self._door is not None:
            self._flush_doors(position)

    def _report(self) -> None:
        meta = self._keeper.meta
        if meta.applied_index != self._reported_index:
            self._reported_index = meta.applied_index
            self._link.report(meta.applied_index, meta.state_hash)

    # The end of a turn

    def _schedule_flush(self) -> None:
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = True  # what is answered from here on leaves at the end of this
        now_s = time.monotonic()
        self._spinning.wake(now_s)
        if (message := self._etcd.take()) is not None:
            self._busy = True
            self._requests.take(message, now_s)
        batches = self._batches.flush(now_s)
        if batches:
            self._link.propose(self._proposals.incarnation, batches)
        self._ask_read_index(now_s)
        self._questions.flush()
        if self._stream.is_behind and self._coordinator:
            first_index = self._stream.fetch_due(now_s)
            if first_index is not None:
                self._link.fetch(first_index)
        self._reads.end_turn()
        self._flush_scheduled = False
        if self._etcd.has_requests:
            self._schedule_flush()
        if self._door is not None:
            self._flush_doors(self._keeper.meta.position)
        if self._watch_port is not None and self._watch_port.has_more():
            self._loop.call_soon(self._on_subscriptions)
        self._spinning.rest()

    def _ask_read_index(self, now_s: float) -> None:
        """Gets the reads that wait an index, where it is time to: looks it up, or else asks for it."""
        number = self._rounds.question(now_s)
        if number is None:
            return
        index = self._commit_word.look() if self._greeted else ASK
        if index == ASK:
            self._link.ask_read_index(number)
        else:
            self._confirm(number, index)

    def _flush_doors(self, position: int) -> None:
        assert self._door is not None
        self._door.flush(self._term, position)
        if self._etcd_door is not None:
            self._etcd_door.flush()

    # Time

    def _schedule_slices(self) -> None:
        if not self._slices_scheduled:
            self._slices_scheduled = True
            self._loop.call_soon(self._run_slices)

    def _run_slices(self) -> None:
        self._slices_scheduled = False
        self._reads.run_slices()
        self._schedule_flush()

    def _housekeeping(self) -> None:
        self._loop.call_later(HOUSEKEEPING_S, self._housekeeping)
        now_s = time.monotonic()
        self._propose_again()
        if self._greeted:
            self._proposals.renew_if_idle(self._keeper.meta.applied_index, LEDGER_WINDOW_ENTRIES)
        write_batches.give_up_overdue(self._proposals, now_s)
        self._questions.give_up_overdue(now_s)
        if self._door is not None and self._absence.due(now_s):
            self._etcd.has_leader = False  # nor is a member healthy that reads, but whose coordinator stands still
            self._door.answer_everyone(pack_error(0, NoLeaderError()))
        self._reads.give_up_overdue(now_s)
        for read in self._rounds.discard(lambda read: read.deadline_s <= now_s):
            read.caller.answer(pack_error(read.request[0], TimeoutError()))
        self._tidy(now_s)
        self._schedule_flush()

    def _propose_again(self) -> None:
        """Proposes what is to be proposed again, if its time has come."""
        again = self._proposals.due_again(time.monotonic()) if self._greeted else ()
        if again:
            self._link.propose(self._proposals.incarnation, again)

    def _tidy(self, now_s: float) -> None:
        """Regains space, a slice at a time; more often while somebody waits for it."""
        if self._keeper.is_compacting and not self._compacting:
            self._compacting = True
            self._loop.call_soon(self._compact)

    def _compact(self) -> None:
        if self._keeper.compact_slice():
            self._compacting = False
            self._requests.compaction_done()
            self._schedule_flush()
        else:
            self._loop.call_later(COMPACTION_PAUSE_S, self._compact)

    @property
    def alarms(self) -> list[str]:
        """The names of the active alarms, of whichever member, as a health page shows them."""
        return sorted({Alarm(kind).name for _, kind in self._keeper.alarms})

    def every_second(self, now_s: float) -> None:
        """Progress of watches, a report at rest, and gauges; to be called about once a second."""
        if self._watch_port is not None:
            self._watch_port.publish(self._hub.progress(self._keeper.meta.revision, now_s))
        if self._greeted and not self._stream.is_behind:
            self._report()
        if self._requests.measure_space():
            self._schedule_flush()
        if self._compaction is not None:
            revision = self._compaction.step(now_s, self._keeper.meta.revision)
            is_leading = self._leader[1] != 0 and self._leader[1] == self._keeper.identity[1]
            if revision is not None and is_leading and self._requests.compact_to(revision):
                self._schedule_flush()
        self._keeper.scrub_slice()
        self._counts.tell()
        _watchers.set(self._hub.watcher_count)
        _revision.set(self._keeper.meta.revision)
        _db_size.set(self._keeper.replica.size_bytes())
        self._schedule_flush()

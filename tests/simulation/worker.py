"""A simulated worker: the composition of the real one, around a real replica, driven without an event loop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from oarlock.wire.commit_word import ASK
from oarlock.wire.errors import LeaderChangedError, TimeoutError
from oarlock.wire.frames import pack, pack_error, unpack
from oarlock.wire.internal import Internal
from oarlock.wire.ledger import LEDGER_WINDOW_ENTRIES
from oarlock.workers import write_batches
from oarlock.workers.apply import Applied
from oarlock.workers.commit_stream import CommitStream
from oarlock.workers.coordinator_link import CoordinatorLink
from oarlock.workers.native_door import Message
from oarlock.workers.own_commit import OwnCommit
from oarlock.workers.proposals import Batch, Proposals
from oarlock.workers.questions import Questions
from oarlock.workers.quota import Quota
from oarlock.workers.read_index import ReadRounds
from oarlock.workers.reads import Reads
from oarlock.workers.replica_keeper import ReplicaKeeper
from oarlock.workers.requests import Requests
from oarlock.workers.validation import Limits
from oarlock.workers.watch.hub import WatchHub
from oarlock.workers.write_batches import WriteBatches

from .world import SimProcess

if TYPE_CHECKING:
    from .connection import Connection
    from .host import SimHost

HOUSEKEEPING_S: Final = 0.1
MAP_BYTES: Final = 1 << 20
MAX_ENTRIES_A_TURN: Final = 8
"""Small, so that the state is compared often."""
GREETING: Final = {"version": "simulated", "protocol": 1, "incarnation": 0, "watch_endpoint": "", "workers": 1}


class SimLink:
    """What ``CoordinatorLink`` sends, over the simulated sockets."""

    def __init__(self, worker: SimWorker) -> None:
        self._send = worker.host.ask
        self._worker = worker

    def hello(self, number: int, incarnation: int, applied_index: int) -> None:
        self._send(self._worker, [Internal.HELLO, number, incarnation, applied_index])

    def propose(self, incarnation: int, batches: Sequence[Batch], taken_index: int, *, is_looked_for: bool) -> None:
        parts = [(batch.number, batch.kind, batch.payload) for batch in batches]
        self._send(self._worker, [Internal.PROPOSE, incarnation, parts, taken_index, is_looked_for])

    def ask_read_index(self, number: int) -> None:
        self._send(self._worker, [Internal.READ_INDEX, number])

    def fetch(self, first_index: int) -> None:
        self._send(self._worker, [Internal.FETCH, first_index])

    def keep_alive(self, number: int, lease_ids: Sequence[int]) -> None:
        self._send(self._worker, [Internal.KEEPALIVE, number, list(lease_ids)])

    def time_to_live(self, number: int, lease_ids: Sequence[int]) -> None:
        self._send(self._worker, [Internal.TIME_TO_LIVE, number, list(lease_ids)])

    def snapshot_made(self, path: str | None, problem: str) -> None:
        self._send(self._worker, [Internal.SNAPSHOT, path, problem])


class _Loop:
    """As much of an event loop as a snapshot needs: its thread is waited for at once, so that nothing is left to
    chance."""

    def __init__(self) -> None:
        self.result: tuple[Any, ...] = ()

    def call_soon_threadsafe(self, done: Any, *result: Any) -> None:
        self.result = result


class SimWorker(SimProcess):
    """One worker process, from its start to its end.

    Attributes:
        serving: clients are let in.
        watchers: who gets frames of which topic.
    """

    def __init__(self, host: SimHost, number: int) -> None:
        super().__init__(host.world)
        self.host: SimHost = host
        self.number = number
        self.identity = b"%d/%d/%d" % (host.number, number, self.world.new_id())
        directory = host.directory / f"worker{number}"
        self.keeper = ReplicaKeeper(directory, host.snapshots, boot_id=host.boot_id, map_bytes=MAP_BYTES)
        self.keeper.open(discard=False)
        host.cluster.judge.replica_opened(self)
        self.serving = False
        self.connections: dict[Connection, None] = {}
        self.watchers: dict[bytes, list[Connection]] = {}
        self._link = SimLink(self)
        self._stream = CommitStream(self.keeper.meta.applied_index)
        self.proposals = Proposals(self.world.new_id)
        self._batches = WriteBatches(self.proposals)
        self._rounds = ReadRounds()
        link = cast(CoordinatorLink, self._link)
        self._questions = Questions(link)
        self._reads = Reads(lambda: self.keeper.replica, lambda: None)
        self.hub = WatchHub(lambda: self.world.rng.randbytes(16))
        self._requests = Requests(
            self._batches,
            self._rounds,
            self._questions,
            self._reads,
            self.proposals,
            self.keeper,
            limits=Limits(),
            quota=Quota(1 << 40),
            hello=GREETING,
        )
        self._own_commit = OwnCommit(host.commit_word, self.keeper.foresee, self.proposals, self._stream)
        self._coordinator = 0
        self._greeted = False
        self._term = 0
        self._leader = (0, 0)
        self._progress_s = 0.0
        self._hello()
        self.every(lambda: HOUSEKEEPING_S, self._housekeeping)

    # --- the coordinator

    def _hello(self) -> None:
        self._greeted = False
        self._link.hello(self.number, self.proposals.incarnation, self.keeper.meta.applied_index)

    def on_link_lost(self) -> None:
        """The coordinator's end of the connection is gone."""
        self._hello()

    def on_committed(self, message: list[Any]) -> None:
        """Takes a published message."""
        coordinator, self._term, leader, commit_index, entries = message
        if coordinator != self._coordinator:
            if self._greeted:
                self._hello()
            return
        self._apply(self._stream.arrived(commit_index, entries))
        if (self._term, leader) != self._leader:
            self._leader = (self._term, leader)
            if leader:
                self.proposals.coordinator_changed(self.world.now_s)
                self._rounds.coordinator_changed()

    def on_answer(self, message: list[Any]) -> None:
        """Takes an answer of the coordinator."""
        kind = message[0]
        if kind == Internal.READ_INDEX:
            self._on_read_index(message)
        elif kind == Internal.FETCH:
            self._on_fetched(message)
        elif kind == Internal.HELLO:
            self._on_hello(message)
        elif kind == Internal.PROPOSE:
            self.proposals.refused(self.world.now_s, message[4] / 1000)
        elif kind == Internal.SNAPSHOT:
            self._make_snapshot(Path(message[1]))
        else:
            self._questions.answered(message)

    def _on_hello(self, message: list[Any]) -> None:
        _, coordinator, cluster_id, member_id, _, last_index, _ = message
        if coordinator != self._coordinator and self._coordinator:
            self._questions.coordinator_changed()
        self._coordinator = coordinator
        self._greeted = True
        if self.keeper.belongs_elsewhere(cluster_id, last_index):
            self._replace_replica()
        self.keeper.identify(cluster_id, member_id, self.host.cluster.attributes)
        self._stream.restart(self.keeper.meta.applied_index)
        self.proposals.coordinator_changed(self.world.now_s)
        self._rounds.coordinator_changed()
        self._link.fetch(self._stream.next_index)

    def _on_read_index(self, message: list[Any]) -> None:
        if message[2] < 0:
            self._rounds.failed(message[1], self.world.now_s)
            return
        self._confirm(message[1], message[2])

    def _confirm(self, number: int, index: int) -> None:
        for read in self._rounds.answered(number, index, self.keeper.meta.applied_index):
            self._reads.start(read)

    def _on_fetched(self, message: list[Any]) -> None:
        _, commit_index, entries, snapshot = message
        self._stream.fetched()
        if snapshot is not None:
            self._replace_replica()
            self._link.fetch(self._stream.next_index)
            return
        self._apply(self._stream.arrived(commit_index, entries))
        self._stream.arrived(commit_index, ())
        if not self.serving and not self._stream.is_behind:
            self.serving = True

    def _replace_replica(self) -> None:
        self._reads.abandon_views()
        self.keeper.rebuild()
        self.host.cluster.judge.replica_opened(self)
        self._stream.restart(self.keeper.meta.applied_index)
        for batch in self.proposals.replica_replaced(self.keeper.meta.applied_index):
            write_batches.answer_all(batch, LeaderChangedError())
        self._reads.replica_changed()
        self.hub.skipped_to(self.keeper.meta.revision, self.world.now_s)

    def _make_snapshot(self, directory: Path) -> None:
        loop = _Loop()
        self.keeper.make_snapshot(directory, cast(Any, loop), self._link.snapshot_made)
        self.keeper._wait_for_snapshot()
        if loop.result:
            self._link.snapshot_made(*loop.result)

    # --- applying

    def _apply(self, entries: Sequence[Any]) -> list[Applied]:
        applied = []
        for begin in range(0, len(entries), MAX_ENTRIES_A_TURN):
            applied += self._apply_some(entries[begin : begin + MAX_ENTRIES_A_TURN])
        return applied

    def _answer(self, applied: Sequence[Applied]) -> None:
        own = self.proposals.incarnation
        for each in applied:
            if each.incarnation == own:
                batch = self.proposals.committed(each.batch, each.index, admitted=each.admitted)
                if batch is not None:
                    self._requests.answer(batch, each)

    def _apply_some(self, entries: Sequence[Any]) -> Sequence[Applied]:
        applied = self.keeper.apply(entries, self.proposals.incarnation)
        self.host.cluster.judge.replica_applied(self, entries, applied)
        self._answer(applied.entries)
        meta = self.keeper.meta
        if applied.changes:
            self._publish(self.hub.changes(applied.changes, meta.revision, self.world.now_s))
        self._reads.replica_changed()
        for read in self._rounds.applied(meta.applied_index):
            self._reads.start(read)
        return applied.entries

    def _publish(self, frames: list[bytes]) -> None:
        for frame in sorted(frames):  # the hub keeps groups in sets, whose order differs from run to run
            for connection in self.watchers.get(frame[:16], ()):
                connection.push(frame)

    # --- clients

    def on_message(self, connection: Connection, frame: bytes) -> None:
        """Takes a request message of a client."""
        client_id, floor, since, timeout_ms, requests = unpack(frame)
        message = Message(cast(Any, connection), client_id, floor, since, timeout_ms, requests)
        self._requests.take(message, self.world.now_s)

    def subscribe(self, connection: Connection, request: bytes) -> None:
        """Takes a watch request of a client."""
        subscription = self.hub.subscribe(request, self.keeper.meta.revision)
        assert subscription is not None
        for topic in subscription.topics:
            self.watchers.setdefault(topic, []).append(connection)
        connection.push(subscription.answer, lossy=False)

    def left(self, connection: Connection) -> None:
        """A client's connection is gone."""
        self.connections.pop(connection, None)
        for topic, watching in list(self.watchers.items()):
            if connection in watching:
                watching.remove(connection)
                self.hub.unsubscribe(pack([topic]))
            if not watching:
                del self.watchers[topic]

    # --- the end of a turn, and time

    def end_turn(self) -> None:
        """What was collected leaves."""
        now_s = self.world.now_s
        for _ in range(100):
            if not self._reads.under_way:
                break
            self._reads.run_slice()
        batches = self._batches.flush(now_s)
        if batches:
            self._propose(batches, is_looked_for=self._greeted and len(self.proposals) == 1)
            if self._greeted:
                self._own_commit.proposed(batches, self._term)
        self._look()
        self._ask_read_index(now_s)
        self._questions.flush()
        if self._stream.is_behind and self._coordinator:
            first_index = self._stream.fetch_due(now_s)
            if first_index is not None:
                self._link.fetch(first_index)
        self._reads.end_turn()
        for connection in list(self.connections):
            if connection.items:
                items, connection.items = connection.items, []
                connection.reply(pack([self._term, self.keeper.meta.position, items]))

    def _propose(self, batches: Sequence[Batch], *, is_looked_for: bool) -> None:
        taken_index = self.keeper.meta.applied_index
        self._link.propose(self.proposals.incarnation, batches, taken_index, is_looked_for=is_looked_for)

    def _look(self) -> None:
        """As the real one does while it spins: whenever anything else has happened, that is."""
        own = self._own_commit.seen()
        if own is None:
            return
        entry, replies, _ = own
        self.world.note("a worker sees its own entry committed", entry.index)
        if replies is not None:
            self._answer((Applied(entry.index, entry.incarnation, entry.batch, True, replies),))
        applied = self._apply(self._stream.arrived(entry.index, (entry,)))
        assert replies is None or applied[0].replies == replies

    def _ask_read_index(self, now_s: float) -> None:
        number = self._rounds.question(now_s)
        if number is None:
            return
        index = self.host.commit_word.look() if self._greeted else ASK
        if index == ASK:
            self._link.ask_read_index(number)
        else:
            self.world.note("a read asks nobody")
            self.host.cluster.judge.index_looked_up(self, index)
            self._confirm(number, index)

    def _housekeeping(self) -> None:
        now_s = self.world.now_s
        if not self._greeted:
            self._hello()
        else:
            again = self.proposals.due_again(now_s)
            if again:
                self._propose(again, is_looked_for=False)
            self.proposals.renew_if_idle(self.keeper.meta.applied_index, LEDGER_WINDOW_ENTRIES)
        write_batches.give_up_overdue(self.proposals, now_s)
        self._questions.give_up_overdue(now_s)
        self._reads.give_up_overdue(now_s)
        for read in self._rounds.discard(lambda read: read.deadline_s <= now_s):
            read.caller.answer(pack_error(read.request[0], TimeoutError()))
        if self.keeper.is_compacting and self.keeper.compact_slice():
            self._requests.compaction_done()
        if now_s - self._progress_s >= 1.0:
            self._progress_s = now_s
            self._publish(self.hub.progress(self.keeper.meta.revision, now_s))

    def describe(self) -> str:
        """How far it is, for a person."""
        applied, known = self.keeper.meta.applied_index, self._stream.known_commit_index
        return f"applied {applied} of {known}, serving {self.serving}, {len(self.proposals)} proposals"

    def stop(self) -> None:
        """The process is gone; its replica stays as the page cache has it."""
        self.alive = False
        for connection in list(self.connections):
            connection.reset()
        self._reads.abandon_views()
        self.keeper.close(clean=False)

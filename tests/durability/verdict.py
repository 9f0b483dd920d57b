"""The judgement: what clients were told, what watchers saw, and what replicas hold must be one story."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import zmq

import oarlock
from oarlock.storage.replica import Meta, Replica
from oarlock.wire.frames import pack, unpack
from oarlock.wire.operations import PROTOCOL_VERSION, Op
from tests.histories.records import Operation
from tests.histories.revisions import check_revisions
from tests.histories.store import Event, Stored, apply_events
from tests.histories.watches import check_watch
from tests.server import START_TIMEOUT_S, Server, wait_until

from .load import Load, Watcher

GREETING_TIMEOUT_MS = 10_000


class Story(NamedTuple):
    """What has been found to fit together."""

    history: list[Operation]
    log: list[Event]

    @property
    def revision(self) -> int:
        """At the end."""
        return self.log[-1].revision

    @property
    def state(self) -> dict[bytes, Stored]:
        """What the store holds at the end."""
        state: dict[bytes, Stored] = {}
        apply_events(state, self.log)
        return state


async def judge(server: Server, load: Load, *others: Watcher) -> Story:
    """Ends the load, checks everything, and stops the server.

    Args:
        server: which must be whole.
        load: all that was ever written to it.
        others: further watchers, to be checked as well.

    Raises:
        ViolationError: no correct store answers like that.
        AssertionError: a call failed, or replicas differ.
    """
    history = await load.finish()
    assert not load.failures, f"{len(load.failures)} calls failed, the first: {load.failures[0]}"
    last = await last_revision(server)
    log = await history_of(server, last)
    check_revisions(history, log)
    for watcher in (load.watcher, *others):
        check_watch(await watcher.seen_until(last), log)
    await load.close()
    reach_every_worker(server)
    assert server.stop() == 0
    story = Story(history, log)
    check_replicas(server, story.state, last)
    return story


async def last_revision(server: Server) -> int:
    """The revision that the last write made: a linearizable read sees it."""
    async with await oarlock.aio.connect(server.native_endpoint, timeout_s=30) as client:
        result = await client.range(b"x")
        return result.header.revision


async def history_of(server: Server, last: int) -> list[Event]:
    """All events from the first revision to ``last``, as a new watcher is told them."""
    watcher = await Watcher().start(server.native_endpoint)
    try:
        return list((await watcher.seen_until(last)).events)
    finally:
        await watcher.close()


def reach_every_worker(server: Server) -> None:
    """Has a linearizable read answered by each worker: each has then applied everything that was acknowledged."""
    reached: set[int] = set()
    context = zmq.Context()

    def reach() -> bool:  # the kernel spreads connections over the workers that there are
        reached.add(_greet_and_read(context, server.native_endpoint, len(reached) + 1))
        return len(reached) >= server.workers

    try:
        wait_until(reach, START_TIMEOUT_S, "an answer of every worker")
    finally:
        context.term()


def check_replicas(server: Server, expected: dict[bytes, Stored], revision: int) -> list[Meta]:
    """Compares the replicas of a stopped server with each other and with what should be there."""
    metas = []
    for number in range(server.workers):
        replica = Replica.open(replica_directory(server, number), boot_id=boot_id())
        try:
            metas.append(replica.meta)
            with replica.read() as view:
                held = {kv[0]: Stored(kv[1], kv[2], kv[3], kv[4]) for kv in view.scan(b"", None)}
        finally:
            replica.close()
        assert held == expected, f"worker {number} holds something else"
    assert all(meta == metas[0] for meta in metas), metas
    assert metas[0].revision == revision
    return metas


def replica_directory(server: Server, number: int) -> Path:
    """Where a worker keeps its replica."""
    return server.data_dir / "workers" / str(number) / "replica"


def boot_id() -> str:
    """Of this machine's current boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _greet_and_read(context: zmq.Context[zmq.Socket[bytes]], endpoint: str, client_id: int) -> int:
    """The incarnation of the worker that a new connection meets, after a linearizable read there."""
    with context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RCVTIMEO, GREETING_TIMEOUT_MS)
        socket.connect(f"tcp://{endpoint}")
        requests = [[1, int(Op.HELLO), PROTOCOL_VERSION, "test"], [2, int(Op.RANGE), b"x"]]
        socket.send(pack([client_id, 1, 0, GREETING_TIMEOUT_MS, requests]))
        replies: dict[int, list[object]] = {}
        while len(replies) < len(requests):
            replies.update({reply[0]: reply for reply in unpack(socket.recv())[2]})
        greeting = replies[1][2]
        assert isinstance(greeting, dict)
        return int(greeting["incarnation"])

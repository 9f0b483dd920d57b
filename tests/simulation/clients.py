"""Simulated clients: the real client's session, driven without sockets.

Every answer goes to the judge.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from oarlock.link import LinkState
from oarlock.pending import Completion
from oarlock.session import Session
from oarlock.settings import Settings
from oarlock.wire.errors import (
    InternalError,
    LeaderChangedError,
    LearnerRefusesError,
    OarlockError,
    OutcomeUnknownError,
    RequestError,
    StoppedError,
    TimeoutError,
)
from oarlock.wire.operations import FROM_KEY, CompareResult, CompareTarget, Op, RangeFlag

from .connection import TRIP_S, Connection
from .watch import SimWatch

if TYPE_CHECKING:
    from .cluster import SimCluster

KEYS: Final = [b"a", b"b", b"c", b"d"]
TIMEOUT_S: Final = 4.0
POLL_S: Final = 0.05
KEEP_ALIVE_RATE: Final = 0.2
UNCERTAIN: Final = (OutcomeUnknownError, TimeoutError, LeaderChangedError, StoppedError)


def is_of_the_store(error: OarlockError) -> bool:
    """Whether an error says what the store held, and not that somebody would not serve."""
    return isinstance(error, RequestError) and not isinstance(error, LearnerRefusesError)


class Operation:
    """One request under way.

    Attributes:
        name: how the judge knows a write; None for what is no write.
        floor: the highest revision that had been acknowledged to anybody when it began.
        check: takes revision and result of a success.
    """

    __slots__ = ("asked_s", "check", "floor", "name")

    def __init__(self, name: Any, floor: int, asked_s: float, check: Callable[[Operation, int, Any], None]) -> None:
        self.name = name
        self.floor = floor
        self.asked_s = asked_s
        self.check = check


class SimClient:
    """A client with the real session.

    Attributes:
        busy: it makes new requests by itself.
        failures: operations that failed.
    """

    def __init__(self, cluster: SimCluster, number: int) -> None:
        self.cluster = cluster
        self.world = cluster.world
        self.judge = cluster.judge
        self.number = number
        self.client_id = self.world.new_id()
        endpoints = tuple(str(host.number) for host in cluster.hosts)
        self._session = Session(Settings(endpoints, TIMEOUT_S, 1.0, "simulated"), self.client_id, self.world.rng.random)
        self.connection: Connection | None = None
        self.busy = True
        self.failures: list[OarlockError] = []
        self.successes = 0
        self._open = 0
        self._keeping = 0
        self._values = 0
        self._seen: dict[bytes, int] = {}
        self._leases: dict[int, int] = {}
        self._kept: set[int] = set()
        self._watch = SimWatch(self) if number % 2 == 0 else None
        self._poll()

    # --- the connection

    def _poll(self) -> None:
        self.world.after(POLL_S, self._poll)
        now_s = self.world.now_s
        self._complete(self._session.tick(now_s))
        profile = self.cluster.profile
        if self.busy and self._open < profile.max_open and self.world.rng.random() < profile.request_rate:
            self._random_request()
        if self.busy and not self._keeping and self.world.rng.random() < KEEP_ALIVE_RATE:
            self._keep_alive()
        self._pump()

    def _pump(self) -> None:
        session = self._session
        if session.link.state is LinkState.DOWN and self.connection is not None:
            self.connection.close()
            self.connection = None
        if session.link.should_open(self.world.now_s):
            session.opened(self.world.now_s)
            self._connect()
        if self.connection is not None:
            frames, failed = session.outgoing(self.world.now_s)
            assert not failed
            for frame in frames:
                self.connection.send(frame)

    def _connect(self) -> None:
        worker = self.cluster.worker_at(int(self._session.link.endpoint))
        if worker is None:
            return
        connection = self.connection = Connection(self, worker)
        self.world.after(self.world.rng.random() * TRIP_S, lambda: self._connected(connection))

    def _connected(self, connection: Connection) -> None:
        if connection is self.connection:
            self._session.connected(self.world.now_s)
            self._pump()

    def on_frame(self, connection: Connection, frame: bytes) -> None:
        """A message came."""
        if connection is not self.connection:
            return
        was_ready = self._session.link.state is LinkState.READY
        self._complete(self._session.receive(frame, self.world.now_s))
        if self._watch is not None and not was_ready and self._session.link.state is LinkState.READY:
            self._watch.join(connection)
        self._pump()

    def on_push(self, connection: Connection, frame: bytes) -> None:
        """A watch message came."""
        if connection is self.connection and self._watch is not None:
            self._watch.on_push(frame)
            self._pump()

    def on_reset(self, connection: Connection) -> None:
        """The connection broke."""
        if connection is self.connection:
            self._session.lost(self.world.now_s, "reset")
            self._pump()

    # --- requests

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way but what the watch does."""
        return not self._open and not self._keeping

    @property
    def watch(self) -> SimWatch | None:
        """Its watch, if it has one."""
        return self._watch

    @property
    def seen_revision(self) -> int:
        """The highest revision it was told."""
        return self._session.revision

    def ask(
        self,
        operation: Op,
        arguments: tuple[Any, ...],
        check: Callable[[Operation, int, Any], None],
        *,
        writes: bool = False,
    ) -> None:
        """Puts a request in."""
        name = (self.client_id, self._session._last_number + 1) if writes else None
        waiter = Operation(name, self.judge.acknowledged, self.world.now_s, check)
        self._open += 1
        deadline_s = self.world.now_s + TIMEOUT_S
        self._session.request(operation, arguments, lambda header, raw: (header.revision, raw), waiter, deadline_s)

    def pull(self, arguments: tuple[Any, ...], done: Callable[[Any, OarlockError | None], None]) -> None:
        """Asks for history on behalf of the watch."""
        deadline_s = self.world.now_s + TIMEOUT_S
        self._session.request(Op.WATCH_HISTORY, arguments, None, done, deadline_s)

    def _complete(self, completions: list[Completion]) -> None:
        for waiter, result, error in completions:
            assert not isinstance(error, InternalError), "a request could not be handled"
            if not isinstance(waiter, Operation):
                waiter(result, error)
                continue
            self._open -= 1
            if error is None:
                self.successes += 1
                waiter.check(waiter, *result)
            else:
                self._failed(waiter, error)

    def _failed(self, operation: Operation, error: OarlockError) -> None:
        self.world.note("client", self.number, "failed", error.text)
        if not (operation.name is not None and is_of_the_store(error)):
            self.failures.append(error)
        if operation.name is not None and not isinstance(error, UNCERTAIN):
            self.judge.write_refused(operation.name, error.message, by_store=is_of_the_store(error))

    def _written(self, operation: Operation, revision: int, result: Any) -> None:
        self.world.note("client", self.number, "wrote", operation.name[1], revision)
        self.judge.write_answered(operation.name, operation.floor, revision, result)

    def _random_request(self) -> None:
        rng = self.world.rng
        requests = [
            (6, self.put),
            (2, self._delete),
            (4, self._compare_and_swap),
            (6, self.get),
            (2, self._get_all),
            (2, self._get_serializable),
            (4, self._grant),
            (1, self._revoke),
            (self.cluster.profile.compactions, self._compact),
        ]
        rng.choices([request for _, request in requests], [weight for weight, _ in requests])[0]()

    def _value(self) -> bytes:
        self._values += 1
        return b"%d.%d" % (self.number, self._values)

    def put(self) -> None:
        """Puts a random key, perhaps with a lease."""
        rng = self.world.rng
        lease = rng.choice([0, 0, *self._leases])
        self.ask(Op.PUT, (rng.choice(KEYS), self._value(), lease, rng.randint(0, 1)), self._written, writes=True)

    def _delete(self) -> None:
        self.ask(Op.DELETE, (self.world.rng.choice(KEYS), 1), self._written, writes=True)

    def _compare_and_swap(self) -> None:
        key = self.world.rng.choice(KEYS)
        compare = [int(CompareResult.EQUAL), int(CompareTarget.MOD), key, self._seen.get(key, 0)]
        success = [[int(Op.PUT), key, self._value()], [int(Op.PUT), b"last", key]]
        arguments = ([compare], success, [[int(Op.RANGE), key]])
        self.ask(Op.TXN, arguments, self._written, writes=True)

    def get(self) -> None:
        """A linearizable read of a random key."""
        key = self.world.rng.choice(KEYS)
        self._read(key, b"", fresh=True)

    def _get_all(self) -> None:
        self._read(FROM_KEY, FROM_KEY, fresh=True)

    def _get_serializable(self) -> None:
        self._read(self.world.rng.choice(KEYS), b"", fresh=False)

    def _read(self, key: bytes, end: bytes, *, fresh: bool) -> None:
        def check(operation: Operation, revision: int, result: Any) -> None:
            self.judge.read_answered(key, end, operation.floor, revision, result, fresh=fresh)
            if not end:
                self._seen[key] = result[0][0][3] if result[0] else 0

        self.ask(Op.RANGE, (key, 0 if fresh else int(RangeFlag.SERIALIZABLE), end), check)

    def _grant(self) -> None:
        lease_id, ttl_s = self.world.new_id(), self.world.rng.randint(2, 3)

        def check(operation: Operation, revision: int, result: Any) -> None:
            self._written(operation, revision, result)
            self._leases[lease_id] = ttl_s
            self.judge.lease_promised(lease_id, operation.asked_s, ttl_s)
            self._kept.add(lease_id)

        self.ask(Op.LEASE_GRANT, (lease_id, ttl_s), check, writes=True)

    def _keep_alive(self) -> None:
        """Renews a lease, beside all other requests, as clients do."""
        if not self._kept:
            return
        lease_id = self.world.rng.choice(sorted(self._kept))
        asked_s = self.world.now_s
        self._keeping += 1

        def done(result: Any, error: OarlockError | None) -> None:
            self._keeping -= 1
            if error is None and result:
                self.judge.lease_promised(lease_id, asked_s, result)
            elif error is None:
                self._kept.discard(lease_id)

        self._session.request(Op.LEASE_KEEPALIVE, (lease_id,), None, done, asked_s + 1.0)

    def _revoke(self) -> None:
        if self._kept:
            lease_id = self.world.rng.choice(sorted(self._kept))
            self._kept.discard(lease_id)
            self.ask(Op.LEASE_REVOKE, (lease_id,), self._written, writes=True)

    def _compact(self) -> None:
        revision = self.seen_revision - self.world.rng.randint(0, 30)
        if revision > 1:
            self.ask(Op.COMPACT, (revision,), self._written, writes=True)

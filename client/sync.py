"""The synchronous client: ``with oarlock.connect("127.0.0.1:2378") as client: ...``; any thread may use it.

The thread that asks does its own sending and receiving: there is no hop through another thread (see sync_driver).
Watches and lease renewals run on one background thread, started with the first of them.
"""

from __future__ import annotations

import atexit
import os
import time
import weakref
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Final, TypeVar, Unpack

from oarlock import calls
from oarlock.arguments import check_int, check_timeout, to_bytes
from oarlock.background import Background
from oarlock.calls import RangeOptions
from oarlock.link import first_round_s
from oarlock.results import (
    AlarmMember,
    CompactResult,
    DeleteResult,
    HashKv,
    Header,
    KeyValue,
    LeaseKeepAliveResult,
    LeaseTimeToLive,
    PutResult,
    RangeResult,
    Status,
    TransactionResult,
    WatchResponse,
)
from oarlock.settings import Settings, make_settings
from oarlock.sync_driver import Driver
from oarlock.sync_lease import Lease
from oarlock.sync_members import MemberMethods
from oarlock.sync_watch import Watch
from oarlock.transactions import Compare, Operation, transaction
from oarlock.wire.errors import OarlockError
from oarlock.wire.operations import Alarm, AlarmAction, prefix_end

T = TypeVar("T")

__all__ = ["Client", "Lease", "Watch", "connect"]


def connect(
    *endpoints: str | Iterable[str],
    timeout_s: float = 5.0,
    connect_timeout_s: float = 2.0,
    name: str | None = None,
) -> Client:
    """A client of the server at ``endpoints``, once it has answered.

    Args:
        endpoints: "host:port" of native ports, as arguments or as a list; default "127.0.0.1:2378". One is used at a
            time, the next when it does not answer.
        timeout_s: how long a request may take, where it does not say otherwise.
        connect_timeout_s: how long an endpoint has to greet before it is given up. The first tries are shorter (half a
            second, a second, ...); here, each endpoint is given all of it once.
        name: how the server should call this client in its logs; default: program and process id.

    Raises:
        ArgumentError: an endpoint or a number that cannot be.
        ConnectionFailedError: nobody greeted in time.
    """
    client = Client(make_settings(endpoints, timeout_s, connect_timeout_s, name))
    try:
        client.wait_connected()
    except BaseException:
        client.close()
        raise
    return client


class Client(MemberMethods):
    """A connection to an Oarlock cluster, for any number of threads. Made by ``connect``; closed by its owner.

    Every method takes ``timeout_s`` where it differs from the client's. What all of them may raise: ArgumentError and
    TypeError for arguments that cannot be, any RequestError that the server answers, NoLeaderError, OverloadedError and
    other ServerErrors that lasted until the deadline, TimeoutError for a read without an answer, OutcomeUnknownError (a
    TimeoutError, too) for a write without one, ConnectionFailedError where nobody could be reached, ClosedError.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings: Final = settings
        self._driver: Final = Driver(settings)
        self._background: Final = Background(settings, self._driver)
        _open_clients.add(self)

    # ---- life

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def wait_connected(self) -> None:
        """Waits for the greeting of an endpoint, each being tried once.

        Raises:
            ConnectionFailedError: none greeted in time.
        """
        self._driver.wait_ready(first_round_s(len(self._settings.endpoints), self._settings.connect_timeout_s))

    def close(self) -> None:
        """Fails what is pending with ClosedError, ends watches and lease renewals, and joins the background thread.

        May be repeated, and called from any thread.
        """
        _open_clients.discard(self)
        self._background.close()
        self._driver.close()

    @property
    def revision(self) -> int:
        """The highest revision seen in any reply: ``min_revision`` for another client that is to see as much."""
        return self._driver.revision

    @property
    def endpoint(self) -> str:
        """The endpoint in use, or being tried."""
        return self._driver.endpoint

    def submit(self, op: int, *arguments: Any, timeout_s: float | None = None) -> Any:
        """Sends one request of wire/operations.py as it stands; returns its result as it travelled.

        The cheapest way, for load generators and tools: nothing is checked or decoded.
        """
        return self._driver.execute(op, arguments, None, self._timeout(timeout_s))

    def call(self, call: calls.Call[T], timeout_s: float | None = None) -> T:
        """Sends a request of oarlock.calls, whose ``decode`` gets the reply's header too: some methods leave it out."""
        op, arguments, decode = call
        return self._driver.execute(op, arguments, decode, self._timeout(timeout_s))

    def _timeout(self, timeout_s: float | None) -> float:
        return self._settings.timeout_s if timeout_s is None else check_timeout("timeout_s", timeout_s)

    # ---- keys

    def put(
        self,
        key: str | bytes,
        value: str | bytes = b"",
        *,
        lease: int | Lease = 0,
        prev_kv: bool = False,
        ignore_value: bool = False,
        ignore_lease: bool = False,
        timeout_s: float | None = None,
    ) -> PutResult:
        """Writes ``value`` under ``key``, always as a new revision.

        Args:
            key: not empty.
            value: may be empty.
            lease: the key goes when this lease does; 0 takes it off the lease it has.
            prev_kv: return what the key was before.
            ignore_value: keep the value (``value`` must be empty), and change only the lease.
            ignore_lease: keep the lease (``lease`` must be 0).
            timeout_s: see the class.

        Raises:
            EmptyKeyError, ValueProvidedError, LeaseProvidedError: against the rules above.
            LeaseNotFoundError: there is no such lease.
            KeyNotFoundError: nothing to keep of an absent key.
            NoSpaceError: the store is full.
        """
        lease_id = lease.id if isinstance(lease, Lease) else lease
        return self.call(
            calls.put(
                key, value, lease=lease_id, prev_kv=prev_kv, ignore_value=ignore_value, ignore_lease=ignore_lease
            ),
            timeout_s,
        )

    def get(
        self,
        key: str | bytes,
        *,
        revision: int = 0,
        serializable: bool = False,
        min_revision: int = 0,
        timeout_s: float | None = None,
    ) -> KeyValue | None:
        """The key, or None where there is none. Options: see RangeOptions.

        Raises:
            CompactedError: ``revision`` is older than the last compaction.
            FutureRevisionError: ``revision`` is not there yet.
        """
        call = calls.get(key, revision=revision, serializable=serializable, min_revision=min_revision)
        return self.call(call, timeout_s)

    def range(
        self,
        key: str | bytes,
        range_end: str | bytes = b"",
        *,
        timeout_s: float | None = None,
        **options: Unpack[RangeOptions],
    ) -> RangeResult:
        """The keys of [key, range_end), with etcd's reading of ``range_end``: empty is one key, "\\0" all from key.

        Raises: as ``get``.
        """
        return self.call(calls.range_(key, range_end, **options), timeout_s)

    def get_range(
        self,
        start: str | bytes,
        end: str | bytes,
        *,
        timeout_s: float | None = None,
        **options: Unpack[RangeOptions],
    ) -> RangeResult:
        """The keys from ``start`` on and before ``end``."""
        return self.call(calls.range_(start, end, **options), timeout_s)

    def get_prefix(
        self, prefix: str | bytes, *, timeout_s: float | None = None, **options: Unpack[RangeOptions]
    ) -> RangeResult:
        """The keys that begin with ``prefix``."""
        return self.call(calls.get_prefix(prefix, **options), timeout_s)

    def get_from(
        self, key: str | bytes, *, timeout_s: float | None = None, **options: Unpack[RangeOptions]
    ) -> RangeResult:
        """The keys from ``key`` on."""
        return self.call(calls.get_from(key, **options), timeout_s)

    def get_all(self, *, timeout_s: float | None = None, **options: Unpack[RangeOptions]) -> RangeResult:
        """All keys."""
        return self.call(calls.get_all(**options), timeout_s)

    def count_prefix(
        self, prefix: str | bytes, *, timeout_s: float | None = None, **options: Unpack[RangeOptions]
    ) -> int:
        """How many keys begin with ``prefix``."""
        return self.call(calls.count_prefix(prefix, **options), timeout_s)

    def delete(self, key: str | bytes, *, prev_kv: bool = False, timeout_s: float | None = None) -> DeleteResult:
        """Deletes one key; ``deleted`` is 0 where there is none, and then there is no new revision."""
        return self.call(calls.delete(key, prev_kv=prev_kv), timeout_s)

    def delete_range(
        self, start: str | bytes, end: str | bytes, *, prev_kv: bool = False, timeout_s: float | None = None
    ) -> DeleteResult:
        """Deletes the keys from ``start`` on and before ``end``, in one revision."""
        return self.call(calls.delete(start, end, prev_kv=prev_kv), timeout_s)

    def delete_prefix(
        self, prefix: str | bytes, *, prev_kv: bool = False, timeout_s: float | None = None
    ) -> DeleteResult:
        """Deletes the keys that begin with ``prefix``, in one revision."""
        return self.call(calls.delete_prefix(prefix, prev_kv=prev_kv), timeout_s)

    def transaction(
        self,
        compare: Iterable[Compare] = (),
        success: Iterable[Operation] = (),
        failure: Iterable[Operation] = (),
        *,
        timeout_s: float | None = None,
    ) -> TransactionResult:
        """Runs ``success`` if all of ``compare`` holds, else ``failure``, as one revision. See oarlock.transactions.

        Raises:
            TooManyOperationsError, DuplicateKeyError: etcd's rules for transactions.
        """
        return self.call(transaction(list(compare), list(success), list(failure)), timeout_s)

    # ---- watches

    def watch(
        self,
        key: str | bytes,
        *,
        range_end: str | bytes | None = None,
        start_revision: int = 0,
        prev_kv: bool = False,
        no_put: bool = False,
        no_delete: bool = False,
        progress_notify: bool = False,
        timeout_s: float | None = None,
    ) -> Watch:
        """A watch of a key, or of [key, range_end), that has begun when this returns: an iterator of events.

        ``with client.watch("k") as watch: for event in watch: ...``

        Args:
            key: where the range begins.
            range_end: where it ends, as in ``range``; None for the one key.
            start_revision: deliver all events from this revision on, past or future; 0: what comes after now.
            prev_kv: events carry what the key was before.
            no_put, no_delete: leave such events out.
            progress_notify: ``responses()`` also yields progress.
            timeout_s: how long the beginning may take.

        Raises (here, or where it is iterated):
            CompactedError: ``start_revision`` has been compacted; also later, if the watch fell behind a compaction.
            WatcherRangeEmptyError: ``range_end`` is not above ``key``.
        """
        options = {"prev_kv": prev_kv, "no_put": no_put, "no_delete": no_delete, "progress_notify": progress_notify}
        return Watch(
            self._background,
            to_bytes("key", key),
            to_bytes("range_end", range_end or b""),
            check_int("start_revision", start_revision),
            self._timeout(timeout_s),
            options,
        )

    def watch_prefix(self, prefix: str | bytes, **options: Any) -> Watch:
        """A watch of the keys that begin with ``prefix``. Options: those of ``watch``."""
        start = to_bytes("prefix", prefix)
        return self.watch(start or b"\0", range_end=prefix_end(start), **options)

    def add_watch_callback(
        self,
        key: str | bytes,
        callback: Callable[[WatchResponse], object],
        *,
        on_error: Callable[[OarlockError], object] | None = None,
        **options: Any,
    ) -> Watch:
        """A watch whose responses go to ``callback``, on the background thread; options: see ``watch``.

        An error ends it, and goes to ``on_error``, or else to ``callback`` as ``WatchResponse.error``.
        """
        watch = self.watch(key, **options)
        watch.deliver_to(callback, on_error)
        return watch

    # ---- leases

    def lease(
        self, ttl_s: int, *, lease_id: int = 0, keep_alive: bool = False, timeout_s: float | None = None
    ) -> Lease:
        """Grants a lease.

        Args:
            ttl_s: seconds it lives without a renewal; the server may give more (2 s at least).
            lease_id: its id; 0 lets the server choose.
            keep_alive: renew it by itself until it is revoked or closed.
            timeout_s: see the class.

        Raises:
            LeaseExistsError: ``lease_id`` is in use.
            LeaseTtlTooLargeError: ``ttl_s`` is above 9,000,000,000.
        """
        asked_at = time.monotonic()
        granted = self.call(calls.lease_grant(ttl_s, lease_id), timeout_s)
        lease = Lease(self, self._background, granted.id, granted.ttl_s, asked_at)
        if keep_alive:
            lease.keep_alive()
        return lease

    def revoke_lease(self, lease_id: int, *, timeout_s: float | None = None) -> Header:
        """Ends a lease and deletes its keys, in one revision.

        Raises:
            LeaseNotFoundError: there is no such lease.
        """
        return self.call(calls.lease_revoke(lease_id), timeout_s)

    def refresh_lease(self, lease_id: int, *, timeout_s: float | None = None) -> LeaseKeepAliveResult:
        """Renews a lease once; ``ttl_s`` of the result is 0 where there is no such lease (etcd likewise)."""
        return self.call(calls.lease_keep_alive(lease_id), timeout_s)

    def lease_time_to_live(
        self, lease_id: int, keys: bool = False, *, timeout_s: float | None = None
    ) -> LeaseTimeToLive:
        """What is left of a lease, and its keys where asked for; ``ttl_s`` is -1 where there is no such lease."""
        return self.call(calls.lease_time_to_live(lease_id, keys), timeout_s)

    def leases(self, *, timeout_s: float | None = None) -> list[int]:
        """The ids of all leases."""
        return self.call(calls.lease_list(), timeout_s)

    # ---- maintenance

    def compact(self, revision: int, physical: bool = False, *, timeout_s: float | None = None) -> CompactResult:
        """Forgets what no read at ``revision`` or later can see.

        Args:
            revision: the oldest that stays readable.
            physical: answer only when the space is free.
            timeout_s: see the class.

        Raises:
            CompactedError: it already is compacted.
            FutureRevisionError: it is not there yet.
        """
        return self.call(calls.compact(revision, physical), timeout_s)

    def status(self, endpoint: str | None = None, *, timeout_s: float | None = None) -> Status:
        """The state of the member in use, or of the one at ``endpoint``."""
        if endpoint is None:
            return self.call(calls.status(), timeout_s)
        timeout_s = self._timeout(timeout_s)
        with connect(endpoint, timeout_s=timeout_s, connect_timeout_s=timeout_s) as client:
            return client.status(timeout_s=timeout_s)

    def hash_kv(self, revision: int = 0, *, timeout_s: float | None = None) -> HashKv:
        """The hash of the store at ``revision`` (0: now), to compare members with."""
        return self.call(calls.hash_kv(revision), timeout_s)

    def alarms(self, *, timeout_s: float | None = None) -> list[AlarmMember]:
        """The alarms that are raised."""
        return self.call(calls.alarm(AlarmAction.GET), timeout_s)

    def disarm_alarm(
        self, alarm: Alarm | int = Alarm.NONE, member_id: int = 0, *, timeout_s: float | None = None
    ) -> list[AlarmMember]:
        """Takes back an alarm of a member, and returns what was taken back. Without arguments: all that are raised,
        one after the other (etcd's clientv3.AlarmDisarm)."""
        if alarm or member_id:
            return self.call(calls.alarm(AlarmAction.DEACTIVATE, member_id, alarm), timeout_s)
        raised = self.alarms(timeout_s=timeout_s)
        return [each for member, kind in raised for each in self.disarm_alarm(kind, member, timeout_s=timeout_s)]

    def defragment(self, *, timeout_s: float | None = None) -> None:
        """Gives unused space of the member in use back to the file system."""
        return self.call(calls.defragment(), timeout_s)


_open_clients: Final[weakref.WeakSet[Client]] = weakref.WeakSet()
_owner_pid: Final = os.getpid()


@atexit.register
def _close_all() -> None:
    """Ends background threads before the interpreter takes their modules apart. A forked child has none of its own."""
    if os.getpid() == _owner_pid:
        for client in list(_open_clients):
            client.close()

"""A worker's process: puts the parts together, and runs the loop until it is told to stop."""

from __future__ import annotations

import asyncio
import functools
import gc
import itertools
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import uvloop
import zmq

from oarlock.gateway.http2.keepalive import KeepalivePolicy
from oarlock.wire import commit_word, logs, process, scheduling
from oarlock.wire.errors import ConfigurationError, CorruptError, DamageError, OarlockError
from oarlock.wire.frames import TOKEN_BYTES
from oarlock.wire.identifiers import new_id
from oarlock.wire.operations import PROTOCOL_VERSION
from oarlock.wire.version import VERSION
from oarlock.workers.auto_compaction import auto_compaction
from oarlock.workers.coordinator_link import CoordinatorLink
from oarlock.workers.etcd_backend import EtcdBackend
from oarlock.workers.etcd_door import MESSAGE_OVERHEAD_BYTES, DoorSettings, EtcdDoor, Http1Port
from oarlock.workers.etcd_metrics import EtcdMetrics
from oarlock.workers.grpc_counts import GrpcCounts
from oarlock.workers.knocking import Knocking
from oarlock.workers.late_http1 import LateHttp1
from oarlock.workers.long_answers import LongAnswers
from oarlock.workers.native_door import NativeDoor
from oarlock.workers.quota import Quota
from oarlock.workers.replica_keeper import ReplicaKeeper
from oarlock.workers.requests import Requests
from oarlock.workers.validation import Limits
from oarlock.workers.watch.hub import WatchHub
from oarlock.workers.watch.port import WatchPort
from oarlock.workers.worker import Worker

log = logs.get_logger(__name__)

DRAIN_TIMEOUT_S: Final = 3.0
"""How long requests under way may take to end at a stop."""
DRAIN_LOOK_S: Final = 0.02
TOPIC_NUMBER_BYTES: Final = 8
REQUEST_TIMEOUT_S: Final = 5.0
"""Requests of etcd's clients are given up after this and two election time-outs, as etcd does."""
FULL_COLLECTION_EVERY: Final = 300
"""Seconds between full garbage collections of an idle worker: with many watchers that takes a tenth of a second."""
BUSY_COLLECTION_EVERY: Final = 10
BUSY_FULL_COLLECTION_EVERY: Final = 600
"""Of a busy one: between collections of garbage older than a second, and of all. A worker may be busy for months;
what makes much garbage that refers to itself (connections, calls) takes itself apart, and the rest is little."""
MAP_BYTES: Final = 1 << 30
"""The first size of a replica's map: address space, not memory; it grows by itself."""


def main() -> int:
    """Runs a worker; returns the exit code of the process."""
    scheduling.take_short_turns()
    process.die_with_parent()
    process.raise_descriptor_limit()
    number = process.worker_number()
    process.set_process_title(f"oarlock: worker {number}")
    settings = process.child_settings()
    logs.configure(process.process_name(), level=settings["log_level"], format=settings["log_format"])
    try:
        uvloop.run(_run(number, settings))
    except (DamageError, CorruptError) as problem:
        log.error("replica is damaged", problem=problem.message)
        return process.EXIT_REBUILD
    except ConfigurationError as problem:
        log.critical("worker stops", problem=problem.message)
        process.notify_fatal(problem.message)
        return process.EXIT_FATAL
    return 0


async def _run(number: int, settings: dict[str, Any]) -> None:
    loop = asyncio.get_running_loop()
    data_dir = Path(settings["data_dir"])
    directory = data_dir / "workers" / str(number)
    keeper = ReplicaKeeper(directory, data_dir / "snapshots", boot_id=_boot_id(), map_bytes=MAP_BYTES)
    keeper.open(discard=process.rebuild_requested())
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
    hub = WatchHub(_topics(secrets.token_bytes(TOKEN_BYTES - TOPIC_NUMBER_BYTES)).__next__)
    stop = asyncio.Event()
    failure: list[BaseException] = []

    def fail(_: asyncio.AbstractEventLoop, about: dict[str, Any]) -> None:
        # An exception in a callback would leave the worker half alive: end it, and let the supervisor start it again.
        failure.append(about.get("exception") or OarlockError(str(about.get("message"))))
        stop.set()

    loop.set_exception_handler(fail)
    etcd_metrics = EtcdMetrics(number, keeper, hub, settings["quota_backend_bytes"])
    worker = Worker(
        number,
        loop,
        keeper,
        CoordinatorLink(loop, data_dir),
        commit_word.inherited(writable=False),
        hub,
        new_id,
        functools.partial(
            Requests,
            limits=Limits(settings["max_txn_ops"], settings["max_request_bytes"]),
            quota=Quota(settings["quota_backend_bytes"]),
            hello=_greeting(settings),
        ),
        lambda backend, schedule_flush, long_answers, knocking: (
            NativeDoor(settings["listen_native_urls"], settings["max_request_bytes"]),
            WatchPort(context, settings["listen_watch_urls"], hub),
            _etcd_door(settings, keeper, backend, schedule_flush, long_answers, knocking, etcd_metrics)
            if settings["listen_client_urls"]
            else None,
        ),
        REQUEST_TIMEOUT_S + 2 * settings["election_timeout_ms"] / 1000,
        _ready,
        None if number else auto_compaction(settings["auto_compaction_mode"], settings["auto_compaction_retention"]),
    )
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.set)
    worker.start()
    ticker = loop.create_task(_every_second(worker, keeper, etcd_metrics))
    await stop.wait()
    process.notify_stopping()
    worker.drain()
    deadline_s = time.monotonic() + DRAIN_TIMEOUT_S
    while not failure and not worker.is_idle and time.monotonic() < deadline_s:
        await asyncio.sleep(DRAIN_LOOK_S)
    ticker.cancel()
    worker.close(clean=not failure)
    await worker.wait_closed()
    context.term()
    if failure:
        raise failure[0]


def _etcd_door(
    settings: dict[str, Any],
    keeper: ReplicaKeeper,
    backend: EtcdBackend,
    schedule_flush: Callable[[], None],
    long_answers: LongAnswers,
    knocking: Knocking,
    etcd_metrics: EtcdMetrics,
) -> EtcdDoor:
    # protobuf takes time and memory: only a worker that serves etcd's clients pays.
    from oarlock.gateway.services import all_methods

    keepalive = KeepalivePolicy(
        min_time_s=settings["grpc_keepalive_min_time_s"],
        interval_s=settings["grpc_keepalive_interval_s"],
        timeout_s=settings["grpc_keepalive_timeout_s"],
    )
    door_settings = DoorSettings(
        settings["listen_client_urls"],
        settings["max_request_bytes"],
        settings["max_concurrent_streams"],
        keepalive,
        settings["cert_file"],
        settings["key_file"],
        settings["trusted_ca_file"],
        settings["client_cert_auth"],
    )
    methods = all_methods(
        backend,
        progress_interval_s=settings["watch_progress_notify_interval_s"],
        max_request_bytes=settings["max_request_bytes"],
    )
    counts = etcd_metrics.grpc = GrpcCounts(methods)

    def make_http1() -> Http1Port:
        from oarlock.gateway.http1 import Http1, Http1Settings
        from oarlock.workers.http_facts import HttpFacts

        http1_settings = Http1Settings(
            frozenset(settings["cors"]),
            frozenset(settings["host_whitelist"]),
            settings["enable_grpc_gateway"],
            settings["max_request_bytes"] + MESSAGE_OVERHEAD_BYTES,
        )
        gc.freeze()  # what was imported for it, as at the start
        return Http1(methods, backend, HttpFacts(backend, keeper), http1_settings, counts.by_path.__getitem__)

    http1 = LateHttp1(make_http1, ("oarlock.gateway.http1", "oarlock.workers.http_facts"))
    return EtcdDoor(door_settings, backend, methods, http1, schedule_flush, long_answers, knocking, counts)


async def _every_second(worker: Worker, keeper: ReplicaKeeper, etcd_metrics: EtcdMetrics) -> None:
    """What is due now and then, and the garbage: collected when it disturbs least, since nothing else collects it."""
    for second in itertools.count(1):
        await asyncio.sleep(process.ALIVE_INTERVAL_S)
        process.notify_alive(alarms=worker.alarms)
        worker.every_second(time.monotonic())
        etcd_metrics.every_second()
        is_busy = worker.was_busy()
        keeper.let_go(is_idle=not is_busy)
        gc.collect(_oldest_generation(second, is_busy))


def _oldest_generation(second: int, is_busy: bool) -> int:
    """Up to which generation garbage is collected in this second."""
    if second % (BUSY_FULL_COLLECTION_EVERY if is_busy else FULL_COLLECTION_EVERY) == 0:
        return 2
    return 0 if is_busy and second % BUSY_COLLECTION_EVERY else 1


def _ready() -> None:
    gc.collect()
    gc.freeze()
    gc.disable()
    process.notify_ready()
    log.info("serving")


def _topics(prefix: bytes) -> Iterator[bytes]:
    """Topics that no other worker, nor this one after a restart, gives out. Those of one worker have their first
    bytes in common, which ZeroMQ then stores once."""
    for number in itertools.count():
        yield prefix + number.to_bytes(TOPIC_NUMBER_BYTES, "big")


def _greeting(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": VERSION,
        "protocol": PROTOCOL_VERSION,
        "incarnation": new_id(),
        "watch_endpoint": next(iter(settings["listen_watch_urls"]), ""),
        "max_request_bytes": settings["max_request_bytes"],
        "max_txn_ops": settings["max_txn_ops"],
        "workers": settings["workers"],
    }


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()

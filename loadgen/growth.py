"""How throughput and latency change as something grows: keys, clients, watchers, the size of values, workers.

Each sweep starts its own servers, and yields a point after the other: (how many, the figures of each load by its name).
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from oarlock.loadgen.crew import run_job
from oarlock.loadgen.job import Job
from oarlock.loadgen.outcome import Outcome
from oarlock.loadgen.own_etcd import QUOTA_BYTES
from oarlock.loadgen.own_server import OwnServer, own_server
from oarlock.loadgen.plan import KeySpace
from oarlock.loadgen.runner import Load
from oarlock.loadgen.watch_storm import DELIVERY
from oarlock.loadgen.watchers import completeness_of
from oarlock.loadgen.workloads import DEFAULT_KEY_BYTES, DEFAULT_KEYS, DEFAULT_VALUE_BYTES, KEY_PREFIX, fill

PUTS: Final = "puts"
READS: Final = "linearizable reads"
STALE_READS: Final = "serializable reads"
STORM: Final = "deliveries, as many as can be"
PACED: Final = "deliveries, paced"

IN_FLIGHT: Final = 1_000
"""Requests in all where the point is not how many clients there are: what a server can do."""
CONNECTIONS: Final = 4
MANY_CONNECTIONS: Final = 16
"""With more workers: they come to workers at random, and each should have some."""
BYTES_IN_FLIGHT: Final = 8 << 20
"""Of values: large ones wait in queues of the system and not of the server, and time out there."""
FEW_KEYS: Final = 64
"""For large values, so that what is read is in memory on any machine."""
STORM_DELIVERIES: Final = 200_000
STORM_PUTS: Final = range(20, 5_001)
"""Least and most: a storm is over in seconds with one watcher, and with ten thousand. The least are in flight."""
PACED_DELIVERIES: Final = 20_000
"""A second: well below what can be, so that the path is measured and no queue."""
PACED_PUTS: Final = 500.0
"""A second, at most: with few watchers."""
WATCHING_CONNECTIONS: Final = 100
TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Cell:
    """One load at one point.

    Attributes:
        rate: answers or deliveries a second.
        p50_ms, p99_ms: their latencies.
        generator_us: processor time of the load generator for each, in microseconds: with many clients it may be what
            bounds the rate.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    generator_us: float


Cells: TypeAlias = dict[str, Cell]
Points: TypeAlias = AsyncIterator[tuple[int, Cells]]


async def by_keys(directory: Path, seconds: float, points: tuple[int, ...]) -> Points:
    """Puts and reads of so many keys in random order, each of which is there."""
    async with _server(directory) as server:
        for count in points:
            filled = await fill((server.endpoint,), KeySpace(count, DEFAULT_KEY_BYTES, KEY_PREFIX), DEFAULT_VALUE_BYTES)
            if filled.errors:
                raise RuntimeError(f"{count:,} keys could not be put: {dict(filled.errors)}")
            yield count, await _puts_and_reads(_full(server, seconds), {"key_space_size": count})


async def by_clients(directory: Path, seconds: float, points: tuple[int, ...]) -> Points:
    """So many clients, each with a connection and one request in flight."""
    async with _filled(directory, {}) as server:
        for clients in points:
            load = Load((server.endpoint,), clients, 1, duration_s=seconds, timeout_s=TIMEOUT_S)
            yield clients, await _puts_and_reads(load, {})


async def by_watchers(directory: Path, seconds: float, points: tuple[int, ...]) -> Points:
    """So many watchers of one key: as fast as deliveries go, and how long one takes while there is room."""
    async with _server(directory) as server:
        for watchers in points:
            clients = min(watchers, WATCHING_CONNECTIONS)
            puts = min(max(STORM_DELIVERIES // watchers, STORM_PUTS[0]), STORM_PUTS[-1])
            storm = Load((server.endpoint,), clients, STORM_PUTS[0], puts, seconds, timeout_s=TIMEOUT_S)
            rate = min(PACED_PUTS, PACED_DELIVERIES / watchers)
            paced = Load((server.endpoint,), clients, IN_FLIGHT, duration_s=seconds, rate=rate, timeout_s=TIMEOUT_S)
            yield watchers, {STORM: await _watched(storm, watchers), PACED: await _watched(paced, watchers)}


async def by_value_size(directory: Path, seconds: float, points: tuple[int, ...]) -> Points:
    """Values of so many bytes, each size on a server of its own."""
    for size in points:
        options = {"key_space_size": FEW_KEYS, "value_size": size}
        async with _filled(directory, options) as server:
            clients = min(CONNECTIONS, max(1, BYTES_IN_FLIGHT // size))
            in_flight = max(1, min(IN_FLIGHT, BYTES_IN_FLIGHT // size) // clients)
            load = Load((server.endpoint,), clients, in_flight, duration_s=seconds, timeout_s=TIMEOUT_S)
            yield size, await _puts_and_reads(load, options)


async def by_workers(directory: Path, seconds: float, points: tuple[int, ...]) -> Points:
    """A server with so many workers, each time a new one."""
    for workers in points:
        async with _filled(directory, {}, "--workers", str(workers)) as server:
            load = _full(server, seconds, MANY_CONNECTIONS)
            cells = await _puts_and_reads(load, {})
            yield workers, cells | {STALE_READS: await _read(load, {}, serializable=True)}


@dataclass(frozen=True, slots=True)
class Sweep:
    """One thing that grows.

    Attributes:
        unit: what is counted.
        points: how many.
        measure: (a directory for the data, seconds of each load, points) to points.
    """

    unit: str
    points: tuple[int, ...]
    measure: Callable[[Path, float, tuple[int, ...]], Points]


SWEEPS: Final = {
    "keys": Sweep("keys", (1_000, 10_000, 100_000, 1_000_000), by_keys),
    "clients": Sweep("clients", (1, 10, 100, 300, 1_000), by_clients),
    "watchers": Sweep("watchers of one key", (1, 10, 100, 1_000, 10_000), by_watchers),
    "value-size": Sweep("bytes of a value", (16, 256, 4 << 10, 64 << 10, 256 << 10, 1 << 20), by_value_size),
    "workers": Sweep("workers", (1, 2, 3, 4), by_workers),
}
"""By name; in this order they run, and stand in the page."""


@asynccontextmanager
async def _server(directory: Path, *arguments: str) -> AsyncIterator[OwnServer]:
    """A server whose data is gone with it."""
    with tempfile.TemporaryDirectory(dir=directory) as place:
        quota = ("--quota-backend-bytes", str(QUOTA_BYTES))
        async with own_server(Path(place), [*quota, *arguments]) as server:
            yield server


@asynccontextmanager
async def _filled(directory: Path, options: dict[str, Any], *arguments: str) -> AsyncIterator[OwnServer]:
    """A server with every key of the key space of ``options``."""
    async with _server(directory, *arguments) as server:
        count = options.get("key_space_size", DEFAULT_KEYS)
        size = options.get("value_size", DEFAULT_VALUE_BYTES)
        in_flight = max(1, min(IN_FLIGHT, BYTES_IN_FLIGHT // size))
        load = Load((server.endpoint,), 1, in_flight, total=count, timeout_s=TIMEOUT_S)
        _cell(await run_job(Job("put", load, options)), "put")
        yield server


def _full(server: OwnServer, seconds: float, connections: int = CONNECTIONS) -> Load:
    return Load((server.endpoint,), connections, IN_FLIGHT // connections, duration_s=seconds, timeout_s=TIMEOUT_S)


async def _puts_and_reads(load: Load, options: dict[str, Any]) -> Cells:
    puts = await run_job(Job("put", load, options | {"distribution": "uniform"}))
    return {PUTS: _cell(puts, "put"), READS: await _read(load, options)}


async def _read(load: Load, options: dict[str, Any], *, serializable: bool = False) -> Cell:
    own = options | {"distribution": "uniform", "reads": {"serializable": serializable}}
    return _cell(await run_job(Job("range", load, own)), "range")


async def _watched(load: Load, watchers: int) -> Cell:
    outcome = await run_job(Job("watch-storm", load, {"watchers": watchers}))
    if not (completeness := completeness_of(outcome.counts)).is_whole:
        raise RuntimeError(f"{watchers:,} watchers did not see all, once and in order: {completeness}")
    return _cell(outcome, DELIVERY)


def _cell(outcome: Outcome, series: str) -> Cell:
    """The figures of one series.

    Raises:
        RuntimeError: requests failed, so that they are not what they say.
    """
    figures = outcome.figures(series)
    if figures.errors:
        raise RuntimeError(f"{series}: requests failed: {dict(figures.errors)}")
    p50_ms, p99_ms = (figures.latencies.percentile(percent) / 1e6 for percent in (50, 99))
    return Cell(figures.rate, p50_ms, p99_ms, outcome.cpu_s * 1e6 / max(1, figures.latencies.count))

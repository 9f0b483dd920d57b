"""The standard measurements of a server: each a function from a running server to rows of a table."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, TypeAlias

import oarlock
from oarlock import aio
from oarlock.loadgen.driver import Figures
from oarlock.loadgen.histogram import Histogram
from oarlock.loadgen.own_server import OwnServer
from oarlock.loadgen.plan import KeySpace
from oarlock.loadgen.report import latency_ms
from oarlock.loadgen.runner import Load
from oarlock.loadgen.workloads import Reads, fill, run_puts, run_reads

VALUE_BYTES: Final = 256
IN_FLIGHT: Final = 1_000
CLIENTS: Final = 4
"""Connections that share the requests in flight, so that every worker has some."""
SETTLE_S: Final = 2.0
"""A pause before the idle measurement, for what a start or a load leaves to be done."""
PROBES_A_SECOND: Final = 200
PARKING_TIMEOUT_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything: the standard, or a tenth of it to try the suite out."""

    seconds: float = 10.0
    alone: int = 3_000
    keys: int = 100_000
    watchers: int = 200_000
    idle_s: float = 10.0

    @classmethod
    def quick(cls) -> Scale:
        """A tenth."""
        return cls(1.0, 300, 10_000, 20_000, 1.0)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. ``target`` is what it should be, in words; ``detail`` whatever else was measured with it."""

    name: str
    value: float
    unit: str
    target: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


Measurement: TypeAlias = Callable[[OwnServer, Scale], Awaitable[list[Row]]]

_SPACE: Final = KeySpace(10_000, 32, b"bench/")
_RANDOM: Final = KeySpace(10_000, 32, b"bench/", random=True)
_LISTED: Final = b"list/"


def _full(server: OwnServer, scale: Scale) -> Load:
    return Load((server.endpoint,), clients=CLIENTS, in_flight=IN_FLIGHT // CLIENTS, duration_s=scale.seconds)


def _alone(server: OwnServer, scale: Scale) -> Load:
    return Load((server.endpoint,), total=scale.alone)


def _rate(name: str, figures: Figures, target: str = "") -> Row:
    return Row(name, figures.rate, "requests/s", target, _detail(name, figures))


def _median(name: str, figures: Figures, target: str = "") -> Row:
    return Row(name, figures.latencies.percentile(50) / 1e6, "ms", target, _detail(name, figures))


def _detail(name: str, figures: Figures) -> dict[str, Any]:
    """The percentiles.

    Raises:
        RuntimeError: requests failed, so that the figures are not what the row says.
    """
    if figures.errors:
        raise RuntimeError(f"{name}: requests failed: {dict(figures.errors)}")
    return {
        "requests": figures.sent,
        "latency_ms": latency_ms(figures.latencies),
        "generator_cpu_us_a_request": round(figures.generator_us, 2),
    }


async def idle(server: OwnServer, scale: Scale) -> list[Row]:
    """Processor time and memory of all processes of a server that has nothing to do."""
    await asyncio.sleep(SETTLE_S)
    before, start = server.usage(), time.perf_counter()
    await asyncio.sleep(scale.idle_s)
    after, elapsed_s = server.usage(), time.perf_counter() - start
    detail = {"processes": after.processes}
    return [
        Row("idle: processor", (after.cpu_s - before.cpu_s) / elapsed_s * 100, "% of a core", "< 2", detail),
        Row("idle: memory (Pss)", after.pss_bytes / 2**20, "MiB", "< 150", detail),
    ]


async def alone(server: OwnServer, scale: Scale) -> list[Row]:
    """One client with one request in flight."""
    put = await run_puts(_alone(server, scale), _SPACE, VALUE_BYTES)
    linearizable = await run_reads(_alone(server, scale), _SPACE, Reads())
    serializable = await run_reads(_alone(server, scale), _SPACE, Reads(serializable=True))
    return [
        _median("one client: put, median", put, "<= 0.45"),
        _median("one client: linearizable read, median", linearizable, "<= 0.15"),
        _median("one client: serializable read, median", serializable, "<= 0.15"),
        *await asyncio.to_thread(_alone_synchronous, server, scale),
    ]


def _alone_synchronous(server: OwnServer, scale: Scale) -> list[Row]:
    """The same with the synchronous client, which has no event loop to go through."""
    value = bytes(VALUE_BYTES)
    with oarlock.connect(server.endpoint) as client:
        loads: dict[str, Callable[[bytes], object]] = {
            "put": lambda key: client.put(key, value),
            "linearizable read": client.get,
            "serializable read": lambda key: client.get(key, serializable=True),
        }
        rows = []
        for name, call in loads.items():
            latencies = Histogram()
            for key in islice(_SPACE.keys(), scale.alone):
                start_ns = time.perf_counter_ns()
                call(key)
                latencies.record(time.perf_counter_ns() - start_ns)
            detail = {"latency_ms": latency_ms(latencies)}
            target = "<= 0.45" if name == "put" else "<= 0.15"
            title = f"one synchronous client: {name}, median"
            rows.append(Row(title, latencies.percentile(50) / 1e6, "ms", target, detail))
    return rows


async def throughput(server: OwnServer, scale: Scale) -> list[Row]:
    """1,000 requests in flight: durable puts of 256 bytes, and reads of these keys."""
    await fill((server.endpoint,), _SPACE, VALUE_BYTES)
    await _check_filled(server)
    load = _full(server, scale)
    put = await run_puts(load, _RANDOM, VALUE_BYTES)
    serializable = await run_reads(load, _RANDOM, Reads(serializable=True))
    linearizable = await run_reads(load, _RANDOM, Reads())
    return [
        _rate("1,000 in flight: durable puts", put, ">= 30,000"),
        _rate("1,000 in flight: serializable reads", serializable, ">= 60,000"),
        _rate("1,000 in flight: linearizable reads", linearizable, ">= 45,000"),
    ]


async def _check_filled(server: OwnServer) -> None:
    """A rate of reads that find nothing would be worth nothing."""
    async with await aio.connect(server.endpoint) as client:
        count = await client.count_prefix(_SPACE.prefix)
        kv = await client.get(_SPACE.key(_SPACE.count - 1))
    if count != _SPACE.count or kv is None or len(kv.value) != VALUE_BYTES:
        raise RuntimeError(f"{count} keys were filled instead of {_SPACE.count}, the last one with {kv}")


async def many_keys(server: OwnServer, scale: Scale) -> list[Row]:
    """Loads and lists many keys, while another client goes on reading one."""
    keys = KeySpace(scale.keys, 32, _LISTED)
    async with _probe(server) as probe_load:
        start = time.perf_counter()
        loaded = await fill((server.endpoint,), keys, VALUE_BYTES)
        load_s = time.perf_counter() - start
    async with _probe(server) as probe_list, await aio.connect(server.endpoint, timeout_s=60.0) as client:
        start = time.perf_counter()
        listed = await client.get_prefix(_LISTED)
        list_s = time.perf_counter() - start
    if len(listed) != scale.keys or loaded.errors:
        raise RuntimeError(f"{len(listed)} of {scale.keys} keys were listed; errors while loading: {loaded.errors}")
    return [
        Row(f"{scale.keys:,} keys: load", load_s, "s", "< 5", {"latency_ms": latency_ms(loaded.latencies)}),
        Row(f"{scale.keys:,} keys: list", list_s, "s", "< 1"),
        Row("longest read of another client during the load", max(probe_load), "ms"),
        Row("longest read of another client during the list", max(probe_list), "ms"),
    ]


@asynccontextmanager
async def _probe(server: OwnServer) -> AsyncIterator[list[float]]:
    """A program of its own that reads one key at a steady rate; the longest wait, in ms, is there at the end."""
    waits: list[float] = []
    command = [sys.executable, "-m", "oarlock.loadgen.probe", server.endpoint, str(PROBES_A_SECOND)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        await _line(process)
        yield waits
        assert process.stdin is not None
        process.stdin.close()
        waits.append(float(await _line(process)))
    finally:
        process.kill()
        process.wait()


async def watchers(server: OwnServer, scale: Scale) -> list[Row]:
    """Puts to one key before and while many watches of other keys are open."""
    load, other = _full(server, scale), KeySpace(1, 32, b"other/")
    before = await run_puts(load, other, VALUE_BYTES)
    before_alone = await run_puts(_alone(server, scale), other, VALUE_BYTES)
    start = time.perf_counter()
    command = [sys.executable, "-m", "oarlock.loadgen.parked", server.watch_url, str(scale.watchers)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        begun = int(await asyncio.wait_for(_line(process), PARKING_TIMEOUT_S))
        open_s = time.perf_counter() - start
        await asyncio.sleep(SETTLE_S)
        during = await run_puts(load, other, VALUE_BYTES)
        during_alone = await run_puts(_alone(server, scale), other, VALUE_BYTES)
        memory = server.usage().pss_bytes
    finally:
        process.kill()
        process.wait()
    return [
        _rate("puts of one key, 1,000 in flight, no watchers", before),
        Row(f"{begun:,} watchers of other keys: opened in", open_s, "s"),
        _rate("puts of one key, 1,000 in flight, with them", during, "as without"),
        _median("one client: put, median, no watchers", before_alone),
        _median("one client: put, median, with them", during_alone, "as without"),
        Row("memory (Pss) with them", memory / 2**20, "MiB"),
    ]


async def _line(process: subprocess.Popen[bytes]) -> str:
    """The next line that ``process`` prints.

    Raises:
        RuntimeError: it ended instead.
    """
    assert process.stdout is not None
    line = await asyncio.get_running_loop().run_in_executor(None, process.stdout.readline)
    if not line:
        raise RuntimeError(f"{process.args!r} ended early")
    return line.decode().strip()


STANDARD: Final[dict[str, Measurement]] = {
    "idle": idle,
    "alone": alone,
    "throughput": throughput,
    "many-keys": many_keys,
    "watchers": watchers,
}
"""In the order in which they run: the idle server comes first, while it is new."""

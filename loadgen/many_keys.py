"""What many keys cost a server of one's own: to load, to list, in memory and on the disk, after a restart.

The server starts empty, with the default settings, and is ended afterwards. Every step checks that the keys are there:
a list that is quick because it is short would be worth nothing.
"""

from __future__ import annotations

import asyncio
import http.client
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from oarlock import aio
from oarlock.loadgen.crew import run_job
from oarlock.loadgen.histogram import Histogram
from oarlock.loadgen.job import Job
from oarlock.loadgen.outcome import Outcome
from oarlock.loadgen.plan import KeySpace
from oarlock.loadgen.report import latency_ms
from oarlock.loadgen.runner import Load, Progress, no_progress
from oarlock.loadgen.subject import MIB, Subject
from oarlock.loadgen.workloads import FILL_IN_FLIGHT
from oarlock.wire.operations import prefix_end

T = TypeVar("T")

PREFIX: Final = b"many/"
PAGE_KEYS: Final = 1_000
PAGES: Final = 100
"""Of a million keys every tenth: an answer has the number of all keys behind it, too, and takes a while."""
REWRITTEN: Final = 10
"""Every tenth as many keys as there are is written once more, so that a compaction has something to do."""
SETTLE_S: Final = 1.0
"""Before memory is read: what the step before leaves to be done."""
TIMEOUT_S: Final = 300.0
"""Of each request: some walk over all keys."""
READ_BYTES: Final = 1 << 20
_BLOCK_BYTES: Final = 512
"""The unit of st_blocks: what a file takes, and not how long it says it is."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of everything.

    Attributes:
        keys: how many.
        key_size, value_size: bytes of each.
        listed: keys in the lists that are one request; at most ``keys``.
        processes: that load them.

    Raises:
        ValueError: so many keys cannot be, or not be listed.
    """

    keys: int
    key_size: int
    value_size: int
    listed: int
    processes: int

    def __post_init__(self) -> None:
        if not 1 <= self.listed <= self.keys:
            raise ValueError(f"the keys of a list must be 1 to {self.keys}, not {self.listed}")
        _ = self.space

    @property
    def space(self) -> KeySpace:
        """The keys."""
        return KeySpace(self.keys, self.key_size, PREFIX)

    def load(self, endpoint: str, total: int) -> Load:
        """Puts of so many keys."""
        return Load((endpoint,), self.processes, FILL_IN_FLIGHT // self.processes, total, timeout_s=TIMEOUT_S)


async def measure(
    directory: Path, extent: Extent, arguments: Sequence[str] = (), progress: Progress = no_progress
) -> tuple[Outcome, dict[str, Any]]:
    """Takes all figures on a server that keeps its data below ``directory``.

    Args:
        directory: must exist.
        extent: how much.
        arguments: further arguments of ``oarlock serve``.
        progress: of the load.

    Returns:
        What came of the load, and the figures by name, with units.

    Raises:
        OarlockError: a request failed.
        RuntimeError: the server did not start, or did not have what it should.
    """
    subject = Subject(directory, arguments)
    try:
        await subject.start()
        figures: dict[str, Any] = {"memory_empty_mib": subject.memory_mib()}
        loaded = await _put(subject, extent, extent.keys, progress)
        async with await aio.connect(subject.endpoint, timeout_s=TIMEOUT_S) as client:
            figures |= await _lists(client, extent)
            figures |= await _sizes(subject, client)
            figures |= await _compaction(subject, client, extent)
        figures |= await _snapshot(subject, extent)
        figures |= await _restarts(subject, extent)
    finally:
        await subject.stop()
    return loaded, figures


async def _put(subject: Subject, extent: Extent, total: int, progress: Progress = no_progress) -> Outcome:
    """Puts the first ``total`` keys."""
    options = {"key_space_size": extent.keys, "key_size": extent.key_size, "key_prefix": PREFIX}
    job = Job("put", extent.load(subject.endpoint, total), options | {"value_size": extent.value_size})
    outcome = await run_job(job, extent.processes, progress)
    if failed := outcome.figures().errors:
        raise RuntimeError(f"not all keys could be put: {dict(failed)}")
    return outcome


async def _lists(client: aio.Client, extent: Extent) -> dict[str, Any]:
    """The number of all; a list of some, without and with values; pages."""
    count, count_s = await _timed(client.count_prefix(PREFIX))
    _check(count, extent.keys, "counted")
    end = extent.space.key(extent.listed) if extent.listed < extent.keys else prefix_end(PREFIX)
    names, names_s = await _timed(client.get_range(PREFIX, end, keys_only=True))
    _check(len(names), extent.listed, "listed")
    listed, listed_s = await _timed(client.get_range(PREFIX, end))
    _check(sum(len(kv.value) == extent.value_size for kv in listed), extent.listed, "listed with their values")
    return {
        "count_seconds": count_s,
        "list_keys_only_seconds": names_s,
        "list_seconds": listed_s,
        **await _pages(client, extent),
    }


async def _pages(client: aio.Client, extent: Extent) -> dict[str, Any]:
    """Some of the pages that all keys make, from the first to the last."""
    latencies = Histogram()
    for number in range(0, extent.keys, max(PAGE_KEYS, extent.keys // PAGES)):
        first = extent.space.key(number)
        page, seconds = await _timed(client.get_range(first, prefix_end(PREFIX), limit=PAGE_KEYS))
        latencies.record(int(seconds * 1e9))
        _check(len(page), min(PAGE_KEYS, extent.keys - number), "on a page")
    return {"pages": latencies.count, "page_ms": latency_ms(latencies)}


async def _sizes(subject: Subject, client: aio.Client) -> dict[str, Any]:
    """Memory, the database, and all that is on the disk: log and snapshots, too."""
    await asyncio.sleep(SETTLE_S)
    status = await client.status()
    files = [path.stat() for path in subject.directory.rglob("*") if path.is_file()]
    return {
        "memory_mib": subject.memory_mib(),
        "database_mib": round(status.db_size / MIB, 1),
        "database_in_use_mib": round(status.db_size_in_use / MIB, 1),
        "disk_mib": round(sum(file.st_blocks * _BLOCK_BYTES for file in files) / MIB, 1),
    }


async def _compaction(subject: Subject, client: aio.Client, extent: Extent) -> dict[str, Any]:
    """Writes some keys once more, and forgets what they were before."""
    await _put(subject, extent, max(extent.processes, extent.keys // REWRITTEN))
    revision = (await client.get_range(PREFIX, prefix_end(PREFIX), limit=1)).header.revision
    _, seconds = await _timed(client.compact(revision, physical=True))
    return {"compaction_seconds": seconds}


async def _snapshot(subject: Subject, extent: Extent) -> dict[str, Any]:
    """A snapshot of all, as etcd's clients fetch it, here over HTTP as JSON."""
    sent_bytes, seconds = await _timed(asyncio.to_thread(_fetch_snapshot, subject.http_port))
    snapshot_bytes = sent_bytes * 3 // 4  # base64, with names that count for little
    if snapshot_bytes < extent.keys * extent.value_size:
        raise RuntimeError(f"a snapshot of {snapshot_bytes} bytes cannot have all keys")
    return {"snapshot_seconds": seconds, "snapshot_mib": round(snapshot_bytes / MIB, 1)}


def _fetch_snapshot(port: int) -> int:
    """How many bytes came."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("POST", "/v3/maintenance/snapshot", b"{}", {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise RuntimeError(f"no snapshot: {response.status} {response.reason}")
        return sum(len(part) for part in iter(lambda: response.read(READ_BYTES), b""))
    finally:
        connection.close()


async def _restarts(subject: Subject, extent: Extent) -> dict[str, Any]:
    """From the start of the process to the first linearizable read, after a stop and after a kill."""
    await subject.stop()
    _, after_stop_s = await _timed(_start_again(subject, extent))
    await asyncio.sleep(SETTLE_S)
    memory_mib = subject.memory_mib()
    subject.kill()
    _, after_kill_s = await _timed(_start_again(subject, extent))
    return {
        "restart_seconds": after_stop_s,
        "restart_after_kill_seconds": after_kill_s,
        "memory_after_restart_mib": memory_mib,
    }


async def _start_again(subject: Subject, extent: Extent) -> None:
    await subject.start()
    async with await aio.connect(subject.endpoint, timeout_s=TIMEOUT_S) as client:
        if await client.get(extent.space.key(extent.keys - 1)) is None:
            raise RuntimeError("after a restart, not all keys were there")


async def _timed(work: Awaitable[T]) -> tuple[T, float]:
    """What ``work`` gives, and how long it took, in seconds."""
    begin_s = time.perf_counter()
    result = await work
    return result, round(time.perf_counter() - begin_s, 6)


def _check(count: int, expected: int, what: str) -> None:
    if count != expected:
        raise RuntimeError(f"{count} keys were {what}, not {expected}")

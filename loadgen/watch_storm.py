"""Storms of watch events: many watchers of a few keys, or of many, and writers who press.

Every process writes and watches its share. The options: ``watchers``; ``keys``, of which watcher n watches number n
modulo ``keys``, and which are written in turn; ``key_prefix``, ``key_size`` and ``value_size``, in bytes.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import Future
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import repeat
from typing import Any, Final

from oarlock.aio import Client, Watch
from oarlock.loadgen.driver import Issue
from oarlock.loadgen.job import Hooks, Job, workload
from oarlock.loadgen.local_server import server_cpu_us, server_processes
from oarlock.loadgen.outcome import Outcome
from oarlock.loadgen.plan import KeySpace
from oarlock.loadgen.runner import PROGRESS_S, clients_of, drive
from oarlock.loadgen.timeline import Sampler, Timeline
from oarlock.loadgen.watchers import FAREWELL, WatcherTally, stamped
from oarlock.loadgen.workloads import DEFAULT_KEY_BYTES, DEFAULT_VALUE_BYTES, FILL_IN_FLIGHT, KEY_PREFIX
from oarlock.results import WatchResponse
from oarlock.wire.operations import Op

DEFAULT_WATCHERS: Final = 100
MAX_WATCHERS: Final = 1_000_000
"""Each takes some kilobytes here: ten million would not fit anywhere."""
DELIVERY: Final = "delivery"
"""The series of what watchers got; that of the writes is ``put``."""
WRITING_US: Final = "writing_us"
"""The count of how long the processes wrote, each for itself: deliveries may go on for longer."""
SERVER_CPU_US: Final = "server_cpu_us"
"""The count of processor time that the servers used meanwhile; absent where they are not on this machine."""
DRAIN_S: Final = 10.0
"""So long after the last delivery, what has not come counts as missing."""
OPENING: Final = 1_000
"""Watches that are being opened at a time by one client."""
OPEN_TIMEOUT_S: Final = 60.0
"""How long a watch may take to begin, while thousands begin with it."""


@workload("watch-latency")
@workload("watch-storm")
async def watch_storm(job: Job, hooks: Hooks) -> Outcome:
    """Opens the watches, spread over the clients, then writes over one client more.

    The time line is of the deliveries. ``completeness_of`` the counts says whether all came.

    Raises:
        ConnectionFailedError: no endpoint answers.
        OarlockError: a watch could not begin.
        ValueError: a figure is out of its range.
    """
    load, keys, options = job.own_load, storm_keys(job), job.options
    watchers, value_size = options.get("watchers", DEFAULT_WATCHERS), options.get("value_size", DEFAULT_VALUE_BYTES)
    if not 1 <= watchers <= MAX_WATCHERS:
        raise ValueError(f"watchers must be 1 to {MAX_WATCHERS}, not {watchers}")
    stamped(1, value_size)  # refuses before anything is opened
    tally = WatcherTally(job.numbers(watchers), keys.count, job.shares, time.perf_counter_ns)
    async with clients_of(load) as clients, clients_of(replace(load, clients=1)) as (writer,):
        numbers = job.numbers(watchers)
        await asyncio.gather(
            *(_open(client, numbers[nth :: len(clients)], keys, tally) for nth, client in enumerate(clients))
        )
        storm = _Storm(job, hooks, keys, tally)
        await hooks.start()
        return await storm.run(writer, value_size, min(watchers, keys.count))


def storm_keys(job: Job) -> KeySpace:
    """The keys that are watched and written.

    Raises:
        ValueError: options out of their range.
    """
    size, prefix = job.options.get("key_size", DEFAULT_KEY_BYTES), job.options.get("key_prefix", KEY_PREFIX)
    return KeySpace(job.options.get("keys", 1), size, prefix, share=job.share, shares=job.shares)


class _Storm:
    """Writes, and what comes of it, from the start on."""

    def __init__(self, job: Job, hooks: Hooks, keys: KeySpace, tally: WatcherTally) -> None:
        self._job = job
        self._hooks = hooks
        self._keys = keys
        self._tally = tally
        self._timeline = Timeline()
        self._sampler = Sampler(self._timeline, tally.series)
        # One process looks at the servers for all.
        self._servers = server_processes(job.load.endpoints) if job.share == 0 else []

    async def run(self, writer: Client, value_size: int, watched: int) -> Outcome:
        """Writes, waits for the deliveries, and tells all; ``watched`` keys have watchers."""
        cpu_us, begin_ns, begin_cpu_s = server_cpu_us(self._servers), time.perf_counter_ns(), time.process_time()
        issue = put_issue(writer, self._keys, value_size, self._tally)
        requests = zip(self._keys.numbers(), strict=False)
        outcome = await drive(self._job.own_load, [issue], requests, self._progress, self._hooks.stop, repeat("put"))
        await self._say_farewell(writer, watched)
        await self._drain(begin_ns)
        outcome.cpu_s = time.process_time() - begin_cpu_s
        outcome.counts.update(self._tally.counts() | {WRITING_US: round(outcome.seconds * 1e6)})
        if self._servers:
            outcome.counts[SERVER_CPU_US] = server_cpu_us(self._servers) - cpu_us
        outcome.seconds = max(outcome.seconds, (self._tally.last_ns - begin_ns) / 1e9)
        outcome.series[DELIVERY] = self._tally.series
        outcome.timeline = self._timeline
        return outcome

    def _progress(self, ended: int, elapsed_s: float) -> None:
        self._sampler.sample(elapsed_s)
        self._hooks.progress(ended, elapsed_s)

    async def _say_farewell(self, writer: Client, watched: int) -> None:
        """Puts one to every watched key. Where that fails, the watchers are waited for in vain, and not for ever."""
        for first in range(0, watched, FILL_IN_FLIGHT):
            some = range(first, min(watched, first + FILL_IN_FLIGHT))
            await asyncio.gather(
                *(writer.put(self._keys.key(number), FAREWELL) for number in some), return_exceptions=True
            )

    async def _drain(self, begin_ns: int) -> None:
        """Waits until all deliveries that are due came, or none has for ``DRAIN_S``."""
        drained_ns = time.perf_counter_ns()
        while not self._tally.is_over:
            now_ns = time.perf_counter_ns()
            if now_ns - max(drained_ns, self._tally.last_ns) > DRAIN_S * 1e9:
                break
            await asyncio.sleep(PROGRESS_S)
            self._sampler.sample((time.perf_counter_ns() - begin_ns) / 1e9)
        self._sampler.sample((time.perf_counter_ns() - begin_ns) / 1e9)


async def _open(client: Client, numbers: range, keys: KeySpace, tally: WatcherTally) -> None:
    """Opens the watches with these numbers, ``OPENING`` at a time, and waits until they have begun."""
    for first in range(0, len(numbers), OPENING):
        await asyncio.gather(
            *(
                _begun(
                    client.add_watch_callback(
                        keys.key(number % keys.count), deliver_to(tally, number), timeout_s=OPEN_TIMEOUT_S
                    )
                )
                for number in numbers[first : first + OPENING]
            )
        )


async def _begun(watch: Watch) -> None:
    await watch


def deliver_to(tally: WatcherTally, number: int) -> Callable[[WatchResponse], None]:
    """A callback for the watch of watcher ``number``."""

    def deliver(response: WatchResponse) -> None:
        for event in response.events:
            tally.delivered(number, event.kv.mod_revision, event.kv.value)
        if response.error is not None:
            tally.lost(number, type(response.error).__name__)

    return deliver


def put_issue(client: Client, keys: KeySpace, value_size: int, tally: WatcherTally) -> Issue:
    """Puts a stamped value to the key with a number, and tells the tally."""

    def acknowledged(number: int, future: Future[Any]) -> None:
        if not future.cancelled() and future.exception() is None:
            tally.acknowledged(number)

    def issue(number: int) -> Future[Any]:
        future = client.submit(int(Op.PUT), keys.key(number), stamped(time.perf_counter_ns(), value_size))
        tally.attempted(number)
        future.add_done_callback(partial(acknowledged, number))
        return future

    return issue

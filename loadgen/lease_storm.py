"""Storms of leases: granted, kept alive, and let go.

The options: ``leases``, of which each process has its share; ``first_id``, the id of the first, those of the others
follow; ``ttl_s``; ``key_prefix``. The load is that of the keepalives: its total, or duration, and its rate.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import Future
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import cycle, repeat
from typing import Any, Final

from oarlock.aio import Client
from oarlock.loadgen.driver import Issue, Pending
from oarlock.loadgen.job import Hooks, Job, workload
from oarlock.loadgen.lease_expiries import LeaseExpiries
from oarlock.loadgen.outcome import Outcome
from oarlock.loadgen.runner import PROGRESS_S, Load, clients_of, drive
from oarlock.loadgen.timeline import Sampler, Timeline
from oarlock.results import WatchResponse
from oarlock.wire.errors import LeaseNotFoundError, OarlockError
from oarlock.wire.operations import Op, prefix_end

KEY_PREFIX: Final = b"bench/lease/"
GRANT: Final = "grant"
KEEPALIVE: Final = "keepalive"
EXPIRY: Final = "expiry"
"""The series; the latencies of the last are how late leases ended."""
ENDED: Final = "keepalives_of_ended_leases"
"""The count of keepalives that were too late."""


def duration_count(series: str) -> str:
    """The name of the count of how long the processes took for this series, each for itself, in microseconds."""
    return f"{series}_us"


@workload("lease-storm")
async def lease_storm(job: Job, hooks: Hooks) -> Outcome:
    """Grants all leases, renews them in turn, gives each a key, renews each once more, and waits until all have ended.

    See ``LeaseExpiries.counts`` for the counts of what became of them.

    Raises:
        OarlockError: no endpoint answers, or the leases' keys cannot be put or watched.
        ValueError: a figure is out of its range.
    """
    leases = job.options["leases"]
    if leases < job.shares:
        raise ValueError(f"{job.shares} processes need {job.shares} leases at least, not {leases}")
    prefix = b"%b%d/" % (job.options.get("key_prefix", KEY_PREFIX), job.share)
    async with clients_of(job.own_load) as clients:
        storm = _Storm(job, hooks, clients)
        await clients[0].add_watch_callback(
            prefix, storm.ended_under(prefix), range_end=prefix_end(prefix), no_put=True
        )
        await hooks.start()
        await storm.grant()
        await storm.keep_alive()
        await storm.attach(prefix)
        await storm.let_go()
        return storm.outcome()


class _Storm:
    """One process's leases, and what came of them so far.

    Args:
        job: see ``lease_storm``.
        hooks: of the process.
        clients: those of the job's own load.
    """

    def __init__(self, job: Job, hooks: Hooks, clients: Sequence[Client]) -> None:
        self._ids = [job.options["first_id"] + number for number in job.numbers(job.options["leases"])]
        self._ttl_s = job.options["ttl_s"]
        self._load = job.own_load
        self._all_once = replace(self._load, total=len(self._ids), duration_s=None, rate=0.0)
        self._hooks = hooks
        self._clients = clients
        self._expiries = LeaseExpiries(self._ttl_s, time.perf_counter_ns)
        self._outcome = Outcome()
        self._begin_s, self._begin_cpu_s = time.perf_counter(), time.process_time()

    async def grant(self) -> None:
        """Grants every lease."""
        issues = [partial(client.submit, int(Op.LEASE_GRANT)) for client in self._clients]
        await self._drive(GRANT, self._all_once, issues, zip(self._ids, repeat(self._ttl_s), strict=False))

    async def keep_alive(self) -> None:
        """Renews the leases in turn, as the load says."""
        counts = self._outcome.counts

        def answered(lease_id: int, ttl_s: int | None) -> None:
            counts[ENDED] += ttl_s == 0

        issues = [_keepalive_issue(client, answered) for client in self._clients]
        await self._drive(KEEPALIVE, self._load, issues, zip(cycle(self._ids), strict=False))

    async def attach(self, prefix: bytes) -> None:
        """Gives every lease a key, which goes with it.

        Raises:
            OarlockError: that could not be, though the lease was still there.
        """
        issues = [partial(client.submit, int(Op.PUT)) for client in self._clients]
        requests = ((prefix + b"%d" % lease_id, b"", lease_id) for lease_id in self._ids)
        failed = (await drive(self._all_once, issues, requests, stop=self._hooks.stop)).figures().errors
        del failed[LeaseNotFoundError.__name__]
        if failed:
            raise OarlockError(f"not all leases could be given a key: {dict(failed)}")

    async def let_go(self) -> None:
        """Renews every lease a last time, and waits for its end."""
        expiries = self._expiries
        timeline = Timeline()
        sampler = Sampler(timeline, expiries.series)

        def sample() -> None:
            elapsed_s = time.perf_counter() - self._begin_s
            sampler.sample(elapsed_s)
            self._hooks.progress(expiries.series.sent, elapsed_s)

        issues = [_last_keepalive_issue(client, expiries) for client in self._clients]
        await drive(self._all_once, issues, zip(self._ids, strict=False), stop=self._hooks.stop)
        while (wait_s := expiries.wait_s) is not None and not self._hooks.stop.done():
            await asyncio.wait([self._hooks.stop], timeout=min(wait_s, PROGRESS_S))
            sample()
        sample()
        self._outcome.timeline.merge(timeline)
        self._outcome.series[EXPIRY] = expiries.series
        self._outcome.counts.update(expiries.counts() | {duration_count(EXPIRY): round(expiries.seconds * 1e6)})

    async def _drive(self, name: str, load: Load, issues: Sequence[Issue], requests: Iterator[tuple[Any, ...]]) -> None:
        """Sends these requests, and adds what came of them."""
        begin_s = time.perf_counter() - self._begin_s
        driven = await drive(load, issues, requests, self._hooks.progress, self._hooks.stop, repeat(name))
        self._outcome.series |= driven.series
        self._outcome.timeline.merge(driven.timeline, begin_s)
        self._outcome.counts[duration_count(name)] = round(driven.seconds * 1e6)

    def outcome(self) -> Outcome:
        """All of it."""
        self._outcome.seconds = time.perf_counter() - self._begin_s
        self._outcome.cpu_s = time.process_time() - self._begin_cpu_s
        return self._outcome

    def ended_under(self, prefix: bytes) -> Callable[[WatchResponse], None]:
        """A callback for the watch of the deletions below ``prefix``."""

        def ended(response: WatchResponse) -> None:
            for event in response.events:
                self._expiries.gone(int(event.key[len(prefix) :]))

        return ended


def _last_keepalive_issue(client: Client, expiries: LeaseExpiries) -> Issue:
    send = _keepalive_issue(client, expiries.renewed)

    def issue(lease_id: int) -> Pending:
        expiries.renewing(lease_id)
        return send(lease_id)

    return issue


def _keepalive_issue(client: Client, answered: Callable[[int, int | None], None]) -> Issue:
    """Renews the lease with an id. ``answered`` is told (id, TTL in seconds, 0 where it had ended, None: it failed)."""

    def tell(lease_id: int, future: Future[Any]) -> None:
        failed = future.cancelled() or future.exception() is not None
        answered(lease_id, None if failed else future.result())

    def issue(lease_id: int) -> Future[Any]:
        future = client.submit(int(Op.LEASE_KEEPALIVE), lease_id)
        future.add_done_callback(partial(tell, lease_id))
        return future

    return issue

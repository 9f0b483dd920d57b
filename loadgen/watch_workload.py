"""The standard load of watches: many watchers, a stream of writes, and a tally of what arrived."""

from __future__ import annotations

import asyncio
import time
from asyncio import Future
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from oarlock import aio
from oarlock.loadgen.driver import Figures, Issue
from oarlock.loadgen.histogram import Histogram
from oarlock.loadgen.plan import KeySpace
from oarlock.loadgen.runner import PROGRESS_S, Load, Progress, clients_of, no_progress, press
from oarlock.loadgen.watchers import Completeness, WatcherTally, stamped
from oarlock.results import WatchResponse
from oarlock.wire.operations import Op

DRAIN_S: Final = 10.0
"""How long the last deliveries may take after the last write was acknowledged, before they count as missing."""
OPENING: Final = 1_000
"""Watches that are being opened at a time by one client."""
OPEN_TIMEOUT_S: Final = 60.0
"""How long a watch may take to begin, while thousands begin with it."""


@dataclass(frozen=True, slots=True)
class Deliveries:
    """What the watchers got.

    Attributes:
        seconds: from the first write to the last delivery.
        latencies: from the sending of each write to its delivery.
        completeness: see there.
        lost_watches: watches that ended with an error, by its kind.
    """

    seconds: float
    latencies: Histogram
    completeness: Completeness
    lost_watches: dict[str, int]

    @property
    def rate(self) -> float:
        """Deliveries a second."""
        return self.latencies.count / self.seconds if self.seconds > 0 else 0.0


async def run_watches(
    load: Load, keys: KeySpace, watchers: int, value_size: int, progress: Progress = no_progress
) -> tuple[Figures, Deliveries]:
    """Opens ``watchers`` watches of the keys of ``keys``, spread over the clients of ``load``, then writes these keys.

    The writes go over one client more. Watcher n watches key n % ``keys.count``.

    Raises:
        ConnectionFailedError: no endpoint answers.
        OarlockError: a watch could not begin.
        ValueError: a figure is out of its range.
    """
    tally = WatcherTally(watchers, keys.count, time.perf_counter_ns)
    stamped(0, value_size)  # refuses before anything is opened
    lost: dict[str, int] = {}
    async with clients_of(load) as clients, clients_of(replace(load, clients=1)) as writers:
        await asyncio.gather(
            *(
                _open(client, range(first, watchers, len(clients)), keys, tally, lost)
                for first, client in enumerate(clients)
            )
        )
        begin_ns = time.perf_counter_ns()
        issue = _put_issue(writers[0], keys, value_size, tally)
        figures = await press(load, [issue], zip(keys.numbers(), strict=False), progress)
        await _drained(tally)
        seconds = max(0, tally.last_ns - begin_ns) / 1e9
        return figures, Deliveries(seconds, tally.latencies, tally.completeness(), dict(lost))


async def _open(client: aio.Client, numbers: range, keys: KeySpace, tally: WatcherTally, lost: dict[str, int]) -> None:
    """Opens the watches with these numbers, ``OPENING`` at a time, and waits until they have begun."""
    for first in range(0, len(numbers), OPENING):
        await asyncio.gather(
            *(
                _begun(
                    client.add_watch_callback(
                        keys.key(number % keys.count), _deliver_to(tally, number, lost), timeout_s=OPEN_TIMEOUT_S
                    )
                )
                for number in numbers[first : first + OPENING]
            )
        )


async def _begun(watch: aio.Watch) -> None:
    await watch


def _deliver_to(tally: WatcherTally, number: int, lost: dict[str, int]) -> Callable[[WatchResponse], None]:
    def deliver(response: WatchResponse) -> None:
        for event in response.events:
            tally.delivered(number, event.kv.mod_revision, event.kv.value)
        if response.error is not None:
            kind = type(response.error).__name__
            lost[kind] = lost.get(kind, 0) + 1

    return deliver


def _put_issue(client: aio.Client, keys: KeySpace, value_size: int, tally: WatcherTally) -> Issue:
    """Puts a stamped value to the key with a number, and tells the tally."""

    def acknowledged(number: int, future: Future[Any]) -> None:
        if future.exception() is None:
            tally.acknowledged(number)

    def issue(number: int) -> Future[Any]:
        future = client.submit(int(Op.PUT), keys.key(number), stamped(time.perf_counter_ns(), value_size))
        tally.attempted(number)
        future.add_done_callback(partial(acknowledged, number))
        return future

    return issue


async def _drained(tally: WatcherTally) -> None:
    """Waits until all deliveries that are due came, or ``DRAIN_S`` are over."""
    for _ in range(int(DRAIN_S / PROGRESS_S)):
        if tally.is_complete:
            return
        await asyncio.sleep(PROGRESS_S)

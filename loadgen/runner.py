"""Runs a load on the event loop: clients, clock, timer and end of a driver."""

from __future__ import annotations

import asyncio
import gc
import time
from asyncio import Future
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Final, TypeVar

import uvloop

from oarlock import aio
from oarlock.loadgen.driver import Driver, Issue
from oarlock.loadgen.outcome import REQUESTS, Figures, Outcome
from oarlock.loadgen.plan import due_times
from oarlock.loadgen.timeline import Sampler
from oarlock.loadgen.timer import Timer

T = TypeVar("T")

PROGRESS_S: Final = 0.25
"""How often progress is told, and lanes that could not send try again. Four times a second costs nothing."""
MAX_CLIENTS: Final = 1_000
"""Each is a connection with a socket of its own; more belong into more processes."""
MAX_CONNECT_S: Final = 10.0
"""How long an endpoint may take to greet, if requests may take longer: a worker that lets go of ten thousand watches
greets nobody for seconds."""
GARBAGE_THRESHOLD: Final = 50_000
"""Objects between young collections under load: futures and tuples die by reference count, and few others are made."""

Progress = Callable[[int, float], None]
"""Told (requests ended, seconds since the start) now and then."""


def no_progress(ended: int, elapsed_s: float) -> None:
    """For loads that nobody watches."""


@dataclass(frozen=True, slots=True)
class Load:
    """How hard to press.

    Attributes:
        endpoints: "host:port" of native ports.
        clients: connections, each with its own client object.
        in_flight: requests in flight at most for each client.
        total: requests in all; None: until ``duration_s`` is over.
        duration_s: seconds after which no more is sent; None: until ``total``.
        rate: requests a second of all clients together (an open load); 0: as fast as answers come (a closed load).
        timeout_s: how long one request may take.
        first_due_s: when the first request of an open load is due: shares of one load take turns.

    Raises:
        ValueError: neither ``total`` nor ``duration_s``, or figures out of their range.
    """

    endpoints: tuple[str, ...] = ()
    clients: int = 1
    in_flight: int = 1
    total: int | None = None
    duration_s: float | None = None
    rate: float = 0.0
    timeout_s: float = 5.0
    first_due_s: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.clients <= MAX_CLIENTS:
            raise ValueError(f"clients must be 1 to {MAX_CLIENTS}, not {self.clients}")
        if self.total is None and self.duration_s is None:
            raise ValueError("a load needs a total or a duration to end")
        if self.duration_s is not None and self.duration_s <= 0:
            raise ValueError(f"the duration must be more than 0 seconds, not {self.duration_s}")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs ``main`` on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


@asynccontextmanager
async def clients_of(load: Load) -> AsyncIterator[list[aio.Client]]:
    """The clients of ``load``, connected; closed at the end.

    Raises:
        ConnectionFailedError: no endpoint answers.
    """
    async with AsyncExitStack() as stack:
        connect_timeout_s = min(load.timeout_s, MAX_CONNECT_S)
        clients = []
        for _ in range(load.clients):
            client = await aio.connect(
                *load.endpoints, timeout_s=load.timeout_s, connect_timeout_s=connect_timeout_s, name="oarlock bench"
            )
            clients.append(await stack.enter_async_context(client))
        yield clients


async def press(
    load: Load,
    issues: list[Issue],
    requests: Iterator[tuple[Any, ...]],
    progress: Progress = no_progress,
    stop: Future[Any] | None = None,
) -> Figures:
    """As ``drive``, for one kind of request: tells the figures alone."""
    return (await drive(load, issues, requests, progress, stop)).figures()


async def drive(
    load: Load,
    issues: Sequence[Issue],
    requests: Iterator[tuple[Any, ...]],
    progress: Progress = no_progress,
    stop: Future[Any] | None = None,
    kinds: Iterable[str] = repeat(REQUESTS),
) -> Outcome:
    """Sends ``requests`` over ``issues`` as ``load`` says, or until ``stop`` is done, and waits for the last of them.

    Every request ends, at the latest by its time-out, and so does this.

    Args:
        load: how hard to press; its clients are those of ``issues``.
        issues: how to send over each client.
        requests: the arguments of each request.
        progress: told a few times a second.
        stop: done when no more is to be sent.
        kinds: of which kind each request is: names of the outcome's series.

    Raises:
        ValueError: a figure is out of its range.
    """
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    driver = Driver(
        issues,
        requests,
        due_times(load.rate, load.first_due_s),
        in_flight=load.in_flight,
        total=load.total,
        clock=time.perf_counter_ns,
        finished=over.set,
        kinds=kinds,
    )
    outcome = Outcome(series=driver.series)
    samplers = _Samplers(outcome)
    with _little_garbage(), _paced(driver, load.rate), _ended_by(driver, load.duration_s, stop):
        start_s, start_cpu_s = loop.time(), time.process_time()
        driver.start()
        while not over.is_set():
            await _wait(over, PROGRESS_S)
            driver.advance()
            samplers.sample(loop.time() - start_s)
            progress(driver.ended, loop.time() - start_s)
        outcome.cpu_s = time.process_time() - start_cpu_s
    outcome.seconds = driver.seconds
    return outcome


class _Samplers:
    """Keeps an outcome's timeline up to date with its series, which come as their first requests do."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._samplers: dict[str, Sampler] = {}
        self._last_s = 0.0

    def sample(self, elapsed_s: float) -> None:
        for name, series in self._outcome.series.items():
            if name not in self._samplers:
                self._samplers[name] = Sampler(self._outcome.timeline, series, self._last_s)
            self._samplers[name].sample(elapsed_s)
        self._last_s = elapsed_s


@contextmanager
def _ended_by(driver: Driver, duration_s: float | None, stop: Future[Any] | None) -> Iterator[None]:
    """Stops the driver when the time is over, or ``stop`` is done."""
    timer = asyncio.get_running_loop().call_later(duration_s, driver.stop) if duration_s is not None else None

    def end(_: Future[Any]) -> None:
        driver.stop()

    if stop is not None:
        stop.add_done_callback(end)
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()
        if stop is not None:
            stop.remove_done_callback(end)


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        pass


@contextmanager
def _paced(driver: Driver, rate: float) -> Iterator[None]:
    """Wakes the driver of an open load whenever a request is due; a closed one is driven by the answers."""
    if not rate:
        yield
        return

    def ring() -> None:
        driver.advance()
        timer.set(driver.wake_s if driver.wake_s is not None else 1 / rate)

    timer = Timer(asyncio.get_running_loop(), ring)
    timer.set(0)
    try:
        yield
    finally:
        timer.close()


@contextmanager
def _little_garbage() -> Iterator[None]:
    """Keeps the garbage collector from walking what is there already, and from running often."""
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()

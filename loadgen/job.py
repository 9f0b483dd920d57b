"""A job: one process's share of a load, and the workloads that know how to do one.

A workload is a coroutine function ``run(job, hooks)``, registered by name with ``@workload("name")`` in one of
``WORKLOAD_MODULES``. It connects, fills, opens what it needs, then awaits ``hooks.start()``, where all processes wait
for each other, and begins to measure. Every process of a load runs the same workload with the same options, and takes
its share: clients, requests and rate by ``job.own_load``, and keys, watchers or leases by ``job.numbers`` or
``job.share_of``.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from typing import Any, Final, TypeAlias

from oarlock.loadgen.outcome import Outcome
from oarlock.loadgen.runner import Load, Progress, no_progress

WORKLOAD_MODULES: Final = (
    "oarlock.loadgen.lease_storm",
    "oarlock.loadgen.watch_storm",
    "oarlock.loadgen.workloads",
    "oarlock.loadgen.workloads_connect",
    "oarlock.loadgen.workloads_mixed",
)
"""Where workloads are registered; read when one is looked up."""


@dataclass(frozen=True, slots=True)
class Job:
    """One process's part of a load.

    Attributes:
        workload: its registered name.
        load: the whole load, of all processes together; ``own_load`` is this process's part.
        options: what else the workload wants to know: plain values, and bytes.
        share: which process this is, from 0.
        shares: how many there are.
        seed: of whatever is left to chance; ``own_seed`` differs from process to process.

    Raises:
        ValueError: a share that cannot be, or less clients or requests than processes.
    """

    workload: str
    load: Load
    options: dict[str, Any] = field(default_factory=dict)
    share: int = 0
    shares: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.share < self.shares:
            raise ValueError(f"share {self.share} of {self.shares} cannot be")
        if self.load.clients < self.shares:
            raise ValueError(f"{self.shares} processes need {self.shares} clients at least, not {self.load.clients}")
        if self.load.total is not None and self.load.total < self.shares:
            raise ValueError(f"{self.shares} processes need {self.shares} requests at least, not {self.load.total}")

    @property
    def own_load(self) -> Load:
        """This process's part: clients, total and rate are shared out; the requests of open loads take turns."""
        rate, total = self.load.rate, self.load.total
        return replace(
            self.load,
            clients=self.share_of(self.load.clients),
            total=None if total is None else self.share_of(total),
            rate=rate / self.shares,
            first_due_s=self.share / rate if rate else 0.0,
        )

    @property
    def own_seed(self) -> int:
        """Another one for each process, the same in every run."""
        return self.seed * self.shares + self.share

    def share_of(self, count: int) -> int:
        """How many of ``count`` things are this process's."""
        return len(self.numbers(count))

    def numbers(self, count: int) -> range:
        """Which of the numbers 0 to ``count`` - 1 are this process's: every ``shares``th."""
        return range(self.share, count, self.shares)

    def for_share(self, share: int, shares: int) -> Job:
        """The same load's job for another process."""
        return replace(self, share=share, shares=shares)

    def to_wire(self) -> dict[str, Any]:
        """Plain values, ready for msgpack."""
        return asdict(self)

    @classmethod
    def from_wire(cls, values: dict[str, Any]) -> Job:
        """What ``to_wire`` gave, through msgpack."""
        load = values["load"]
        return cls(**(values | {"load": Load(**(load | {"endpoints": tuple(load["endpoints"])}))}))


async def begin_at_once() -> None:
    """The barrier of a load with one process."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a workload gets from the process that it runs in.

    Attributes:
        stop: done when the load is to end early: what is in flight is awaited, and the outcome told.
        start: to be awaited once, when all is ready: comes back when all processes are.
        progress: to be told (requests ended, seconds since the start) now and then.
    """

    stop: Future[None]
    start: Callable[[], Awaitable[None]] = begin_at_once
    progress: Progress = no_progress


Workload: TypeAlias = Callable[[Job, Hooks], Awaitable[Outcome]]
"""Runs one process's share of a load. Raises OarlockError (no server, ...) or ValueError (options that cannot be)."""
WORKLOADS: Final[dict[str, Workload]] = {}
"""Every registered workload, by name. Complete once ``find_workload`` was called."""


def workload(name: str) -> Callable[[Workload], Workload]:
    """Registers the decorated coroutine function under ``name``."""

    def register(run: Workload) -> Workload:
        WORKLOADS[name] = run
        return run

    return register


def find_workload(name: str) -> Workload:
    """The workload called ``name``.

    Raises:
        ValueError: there is none.
    """
    for module in WORKLOAD_MODULES:
        import_module(module)
    if name not in WORKLOADS:
        raise ValueError(f"there is no workload {name!r}, but {', '.join(sorted(WORKLOADS))}")
    return WORKLOADS[name]

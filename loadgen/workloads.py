"""The standard loads of keys: puts and reads.

The workloads share these options: ``key_size`` and ``key_space_size`` (see KeySpace), ``distribution`` (``sequential``,
``uniform`` or ``zipf``) with ``zipf_exponent``, ``key_prefix``, and ``value_size``, in bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import Final

from oarlock.aio import Client
from oarlock.loadgen.driver import Issue
from oarlock.loadgen.job import Hooks, Job, workload
from oarlock.loadgen.outcome import Figures, Outcome
from oarlock.loadgen.plan import KeySpace, values
from oarlock.loadgen.runner import Load, Progress, clients_of, drive, no_progress, press
from oarlock.wire.operations import Op, RangeFlag, prefix_end

DISTRIBUTIONS: Final = ("sequential", "uniform", "zipf")
"""How keys follow each other."""
DEFAULT_ZIPF_EXPONENT: Final = 0.99
"""That of YCSB (Cooper et al., 2010), which others have chosen since."""
DEFAULT_KEYS: Final = 10_000
DEFAULT_KEY_BYTES: Final = 32
DEFAULT_VALUE_BYTES: Final = 256
KEY_PREFIX: Final = b"bench/"
FILL_IN_FLIGHT = 1_000
"""Puts in flight while a key space is filled."""


@dataclass(frozen=True, slots=True)
class Reads:
    """What each read asks for.

    Attributes:
        serializable: from the replica that is at hand, perhaps behind; else linearizable.
        key: where to begin; None: the keys of the key space, one after the other.
        range_end: etcd's; empty for one key.
        limit: keys in an answer at most; 0 for all.
        count_only: the number of keys alone.
    """

    serializable: bool = False
    key: bytes | None = None
    range_end: bytes = b""
    limit: int = 0
    count_only: bool = False

    @classmethod
    def of_prefix(cls, prefix: bytes, *, serializable: bool = False, limit: int = 0, count_only: bool = False) -> Reads:
        """Reads of all keys that begin with ``prefix``."""
        return cls(serializable, prefix or b"\0", prefix_end(prefix), limit, count_only)

    def requests(self, keys: KeySpace) -> Iterator[tuple[bytes | int, ...]]:
        """The arguments of RANGE, without end."""
        flags = self.serializable * RangeFlag.SERIALIZABLE | self.count_only * RangeFlag.COUNT_ONLY
        parts: list[bytes | int] = [int(flags), self.range_end, self.limit]
        while parts and not parts[-1]:
            parts.pop()
        first = keys.keys() if self.key is None else repeat(self.key)
        return zip(first, *map(repeat, parts), strict=False)


def key_space(job: Job) -> KeySpace:
    """The keys that this process's share of a load is about.

    Raises:
        ValueError: options out of their range.
    """
    options = job.options
    distribution = options.get("distribution", "sequential")
    if distribution not in DISTRIBUTIONS:
        raise ValueError(f"a distribution is one of {', '.join(DISTRIBUTIONS)}, not {distribution!r}")
    exponent = options.get("zipf_exponent", DEFAULT_ZIPF_EXPONENT) if distribution == "zipf" else 0.0
    if distribution == "zipf" and exponent <= 0:
        raise ValueError(f"zipf takes an exponent above 0, not {exponent:g}")
    return KeySpace(
        options.get("key_space_size", DEFAULT_KEYS),
        options.get("key_size", DEFAULT_KEY_BYTES),
        options.get("key_prefix", KEY_PREFIX),
        random=distribution == "uniform",
        seed=job.own_seed,
        zipf=exponent,
        share=job.share,
        shares=job.shares,
    )


@workload("put")
async def put(job: Job, hooks: Hooks) -> Outcome:
    """Puts values of ``value_size`` bytes. Raises as ``run_puts``."""
    load = job.own_load
    requests = zip(key_space(job).keys(), values(job.options.get("value_size", DEFAULT_VALUE_BYTES)), strict=False)
    async with clients_of(load) as clients:
        await hooks.start()
        issues = [put_issue(client) for client in clients]
        return await drive(load, issues, requests, hooks.progress, hooks.stop, repeat("put"))


@workload("range")
async def range_(job: Job, hooks: Hooks) -> Outcome:
    """Reads what the option ``reads`` says: the fields of ``Reads`` by name. Raises as ``run_reads``."""
    load = job.own_load
    requests = Reads(**job.options.get("reads", {})).requests(key_space(job))
    async with clients_of(load) as clients:
        await hooks.start()
        issues = [range_issue(client) for client in clients]
        return await drive(load, issues, requests, hooks.progress, hooks.stop, repeat("range"))


def put_issue(client: Client) -> Issue:
    """Sends (key, value) as a put."""
    return partial(client.submit, int(Op.PUT))


def range_issue(client: Client) -> Issue:
    """Sends the arguments of a RANGE."""
    return partial(client.submit, int(Op.RANGE))


async def run_puts(load: Load, keys: KeySpace, value_size: int, progress: Progress = no_progress) -> Figures:
    """Puts values of ``value_size`` bytes to ``keys``.

    Raises:
        ConnectionFailedError: no endpoint answers.
        ValueError: a figure is out of its range.
    """
    requests = zip(keys.keys(), values(value_size), strict=False)
    async with clients_of(load) as clients:
        return await press(load, [put_issue(client) for client in clients], requests, progress)


async def run_reads(load: Load, keys: KeySpace, reads: Reads, progress: Progress = no_progress) -> Figures:
    """Reads what ``reads`` says.

    Raises:
        ConnectionFailedError: no endpoint answers.
        ValueError: a figure is out of its range.
    """
    async with clients_of(load) as clients:
        return await press(load, [range_issue(client) for client in clients], reads.requests(keys), progress)


async def fill(
    endpoints: tuple[str, ...], keys: KeySpace, value_size: int, progress: Progress = no_progress
) -> Figures:
    """Puts every key of ``keys`` once."""
    every = KeySpace(keys.count, keys.size, keys.prefix)
    load = Load(endpoints, in_flight=FILL_IN_FLIGHT, total=keys.count)
    return await run_puts(load, every, value_size, progress)

"""The standard loads of keys: puts and reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import repeat

from oarlock.aio import Client
from oarlock.loadgen.driver import Figures, Issue
from oarlock.loadgen.plan import KeySpace, values
from oarlock.loadgen.runner import Load, Progress, clients_of, no_progress, press
from oarlock.wire.operations import Op, RangeFlag, prefix_end

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

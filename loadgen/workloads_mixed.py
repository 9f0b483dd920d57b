"""Loads of more than one kind of request: reads among puts, and compare-and-swap under contention."""

from __future__ import annotations

import asyncio
from asyncio import Task
from collections import Counter
from collections.abc import Iterator
from itertools import repeat
from random import Random
from typing import Any, Final

from oarlock.aio import Client
from oarlock.loadgen.job import Hooks, Job, workload
from oarlock.loadgen.outcome import Outcome
from oarlock.loadgen.plan import values
from oarlock.loadgen.runner import clients_of, drive
from oarlock.loadgen.workloads import DEFAULT_VALUE_BYTES, key_space
from oarlock.wire.errors import OarlockError
from oarlock.wire.operations import CompareResult, CompareTarget, Op, RangeFlag

DEFAULT_READ_SHARE: Final = 0.9
"""Nine reads to a write: what coordination stores mostly see."""
DEFAULT_MAX_TRIES: Final = 100
"""Of one swap: one that loses so often in a row shows that the keys are too few, and gives up."""


class ContentionError(OarlockError):
    """A swap lost to others as often as it may."""

    text = "the key was changed by others every time"


def reads_and_puts(seed: int, read_share: float) -> Iterator[str]:
    """``range`` or ``put``, without end, at random; the same from the same seed.

    Args:
        seed: of the order.
        read_share: how many of all are reads, 0 to 1.

    Raises:
        ValueError: the share is none.
    """
    if not 0 <= read_share <= 1:
        raise ValueError(f"the share of reads is 0 to 1, not {read_share:g}")
    chance = Random(seed).random
    return ("range" if chance() < read_share else "put" for _ in repeat(None))


@workload("mixed")
async def mixed(job: Job, hooks: Hooks) -> Outcome:
    """Reads and puts single keys: ``read_share`` of all are reads, ``serializable`` or not.

    Raises:
        ConnectionFailedError: no endpoint answers.
        ValueError: a figure is out of its range.
    """
    load, read_share = job.own_load, job.options.get("read_share", DEFAULT_READ_SHARE)
    kinds, same_kinds = (reads_and_puts(job.own_seed, read_share) for _ in range(2))
    requests = _mixed_requests(same_kinds, job)
    async with clients_of(load) as clients:
        await hooks.start()
        issues = [client.submit for client in clients]
        return await drive(load, issues, requests, hooks.progress, hooks.stop, kinds)


def _mixed_requests(kinds: Iterator[str], job: Job) -> Iterator[tuple[Any, ...]]:
    """Operation and arguments of each of ``kinds``."""
    flags = [int(RangeFlag.SERIALIZABLE)] if job.options.get("serializable", False) else []
    keys = key_space(job).keys()
    some = values(job.options.get("value_size", DEFAULT_VALUE_BYTES), job.own_seed)
    return (
        (int(Op.RANGE), next(keys), *flags) if kind == "range" else (int(Op.PUT), next(keys), next(some))
        for kind in kinds
    )


@workload("txn")
async def txn(job: Job, hooks: Hooks) -> Outcome:
    """Swaps values: reads a key, then writes it if it is still at that revision, and tries again until it was.

    A request is a whole swap, from the read to the transaction that succeeded. Of single transactions, the counts tell:
    ``successes``, ``failures`` (another was faster), ``retries``. A swap gives up after ``max_tries`` of them
    (ContentionError).

    Raises:
        ConnectionFailedError: no endpoint answers.
        ValueError: a figure is out of its range.
    """
    load, max_tries = job.own_load, job.options.get("max_tries", DEFAULT_MAX_TRIES)
    if max_tries < 1:
        raise ValueError(f"a swap takes at least 1 try, not {max_tries}")
    some = values(job.options.get("value_size", DEFAULT_VALUE_BYTES), job.own_seed)
    requests = zip(key_space(job).keys(), some, strict=False)
    async with clients_of(load) as clients:
        await hooks.start()
        swaps = [_Swaps(client, max_tries) for client in clients]
        issues = [each.issue for each in swaps]
        outcome = await drive(load, issues, requests, hooks.progress, hooks.stop, repeat("swap"))
        for each in swaps:
            outcome.counts.update(each.counts)
        return outcome


class _Swaps:
    """The swaps of one client. Each is a task; all have ended when the driver's load has."""

    def __init__(self, client: Client, max_tries: int) -> None:
        self._client = client
        self._max_tries = max_tries
        self.counts = Counter(successes=0, failures=0, retries=0)

    def issue(self, key: bytes, value: bytes) -> Task[None]:
        return asyncio.get_running_loop().create_task(self._swap(key, value))

    async def _swap(self, key: bytes, value: bytes) -> None:
        found = await self._client.submit(int(Op.RANGE), key)
        for tries in range(1, self._max_tries + 1):
            succeeded, responses = await self._client.submit(int(Op.TXN), *_swap_arguments(key, value, found))
            if succeeded:
                self.counts["successes"] += 1
                return
            self.counts["failures"] += 1
            self.counts["retries"] += tries < self._max_tries
            found = responses[0][2]
        raise ContentionError


def _swap_arguments(key: bytes, value: bytes, found: list[Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """TXN's: puts the key if it is as it was ``found`` (a RANGE's result), and else reads it again."""
    kvs = found[0]
    revision = kvs[0][3] if kvs else 0
    compare = [int(CompareResult.EQUAL), int(CompareTarget.MOD), key, revision]
    return [compare], [[int(Op.PUT), key, value]], [[int(Op.RANGE), key]]

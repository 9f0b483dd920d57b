"""Many keys in Oarlock and in etcd: the memory that they take, and how long a restart with them lasts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, Protocol

from oarlock.loadgen.compare_lists import CONNECTIONS, FILL_IN_FLIGHT, KEY_BYTES, VALUE_BYTES
from oarlock.loadgen.comparison import OURS, THEIRS, Comparison, Contender, Sample, Task, compare
from oarlock.loadgen.etcd_client import build_etcd_load, load_flags, run_etcd_load
from oarlock.loadgen.measurements import Row
from oarlock.loadgen.own_etcd import QUOTA_BYTES, OwnEtcd, own_etcd
from oarlock.loadgen.own_server import OwnServer, Place, answering, cpu_s_of, launch, stop, tree_of, usage_of
from oarlock.loadgen.plan import KeySpace
from oarlock.loadgen.workloads import fill

PREFIX: Final = b"many/"
SETTLE_S: Final = 2.0
"""Before memory is read: what the last puts leave to be done."""
FILL_S: Final = 900.0
MIB: Final = 1 << 20


class RestartSide(Contender, Protocol):
    """A system that can be ended and started again on its data. A load on it is a restart."""

    async def start(self) -> None:
        """Starts it, and waits until it answers. Raises RuntimeError where it does not."""

    async def end(self) -> None:
        """Ends it in order, if it runs."""

    async def fill(self, keys: int) -> None:
        """Puts so many keys. Raises RuntimeError where one fails."""

    def memory_bytes(self) -> int:
        """What its processes hold, with shared pages divided among those who share them."""


class OurRestarts:
    """A member of Oarlock, its data below ``directory``."""

    def __init__(self, directory: Path, arguments: tuple[str, ...]) -> None:
        self._place = Place.below(directory)
        self._arguments = ("--quota-backend-bytes", str(QUOTA_BYTES), *arguments)
        self._server: OwnServer | None = None

    async def start(self) -> None:
        """See ``RestartSide``."""
        self._server = launch(self._place, self._arguments)
        await answering(self._server)

    async def end(self) -> None:
        """See ``RestartSide``."""
        if self._server is not None:
            await stop(self._server.process)

    async def fill(self, keys: int) -> None:
        """See ``RestartSide``."""
        figures = await fill((self._place.endpoint,), KeySpace(keys, KEY_BYTES, PREFIX), VALUE_BYTES)
        if figures.errors:
            raise RuntimeError(f"not all keys could be put: {dict(figures.errors)}")

    def memory_bytes(self) -> int:
        """See ``RestartSide``."""
        return usage_of(self._server.process.pid).pss_bytes if self._server is not None else 0

    def cpu_s(self) -> float:
        """See ``Contender``; of the processes that run now."""
        return cpu_s_of(tree_of(self._server.process.pid)) if self._server is not None else 0.0

    async def press(self, task: Task, seconds: float) -> Sample:
        """See ``Contender``: one restart, however long it takes."""
        return await _restart(self)


class TheirRestarts:
    """A member of etcd, its data below ``directory``."""

    def __init__(self, directory: Path, program: Path) -> None:
        self._directory = directory
        self._program = program
        self._running = AsyncExitStack()
        self._etcd: OwnEtcd | None = None

    async def start(self) -> None:
        """See ``RestartSide``."""
        self._etcd = await self._running.enter_async_context(own_etcd(self._directory, 1, self._program))

    async def end(self) -> None:
        """See ``RestartSide``."""
        await self._running.aclose()

    async def fill(self, keys: int) -> None:
        """See ``RestartSide``."""
        assert self._etcd is not None
        flags = load_flags(
            endpoints=self._etcd.endpoints[0],
            prefix=PREFIX.decode(),
            keys=keys,
            key_bytes=KEY_BYTES,
            value_bytes=VALUE_BYTES,
            connections=CONNECTIONS,
            in_flight=FILL_IN_FLIGHT,
            total=keys,
        )
        await run_etcd_load(build_etcd_load(Path("build/etcd_load")), FILL_S, *flags)

    def memory_bytes(self) -> int:
        """See ``RestartSide``."""
        return usage_of(self._etcd.members[0].process.pid).pss_bytes if self._etcd is not None else 0

    def cpu_s(self) -> float:
        """See ``Contender``; of the process that runs now."""
        return self._etcd.cpu_s() if self._etcd is not None else 0.0

    async def press(self, task: Task, seconds: float) -> Sample:
        """See ``Contender``: one restart, however long it takes."""
        return await _restart(self)


async def compare_keys(
    directory: Path, arguments: tuple[str, ...], etcd: Path | None, keys: int, rounds: int, tell: Callable[[str], None]
) -> tuple[list[Row], list[Comparison]]:
    """Fills both with ``keys`` keys, looks at their memory, and restarts them in turn.

    Args:
        directory: for their data; must exist.
        arguments: further arguments of ``oarlock serve``.
        etcd: the program; None leaves etcd out.
        keys: how many.
        rounds: restarts of each.
        tell: told how far it is.

    Raises:
        RuntimeError: one of them did not start, or a request failed.
        OarlockError: the server did not answer.
    """
    sides: dict[str, RestartSide] = {OURS: OurRestarts(directory, arguments)}
    if etcd is not None:
        sides[THEIRS] = TheirRestarts(directory, etcd)
    rows: list[Row] = []
    try:
        for name, side in sides.items():
            tell(f"{name}: {keys:,} keys")
            await side.start()
            await side.fill(keys)
            await asyncio.sleep(SETTLE_S)
            rows.append(Row(f"{name}: memory (Pss) with {keys:,} keys", side.memory_bytes() / MIB, "MiB"))
        restarts = await compare(dict(sides), [Task(f"restart with {keys:,} keys", 1)], rounds, 1.0, tell)
        for name, side in sides.items():
            await asyncio.sleep(SETTLE_S)
            rows.append(Row(f"{name}: memory (Pss) after a restart with them", side.memory_bytes() / MIB, "MiB"))
    finally:
        for side in sides.values():
            await side.end()
    return rows, restarts


async def _restart(side: RestartSide) -> Sample:
    """How long a start takes, as the latency of a request, and what it costs. The end before it does not count."""
    await side.end()
    begin_s = time.perf_counter()
    await side.start()
    taken_s = time.perf_counter() - begin_s
    return Sample(1 / taken_s, taken_s * 1e3, taken_s * 1e3, 0.0, servers_us=side.cpu_s() * 1e6)

"""Long lists through the etcd front door against etcd's: how long one takes, and what writers notice of them.

The same Go program around etcd's client lists and puts on both sides.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from oarlock.loadgen.comparison import OURS, THEIRS, Contender, Sample, Task
from oarlock.loadgen.etcd_client import build_etcd_load, load_flags, run_etcd_load
from oarlock.loadgen.own_etcd import own_etcd
from oarlock.loadgen.own_server import cpu_s_of, free_ports, own_server, tree_of

LISTED: Final = 100_000
KEY_BYTES: Final = 32
VALUE_BYTES: Final = 256
LISTED_PREFIX: Final = "list/"
PUT_PREFIX: Final = "put/"
PUT_KEYS: Final = 1_000
FILL_S: Final = 120.0
FILL_IN_FLIGHT: Final = 100
TIMEOUT: Final = "60s"
"""Of one request, as the Go program takes it: a list on a busy machine takes seconds."""
CONNECTIONS: Final = 10
LISTERS: Final = (1, 4, 16)
"""Clients that list during puts, each with a connection of its own."""


def list_tasks(listed: int) -> tuple[Task, ...]:
    """Lists of ``listed`` keys, one after the other; and puts during such lists."""
    what = f"list of {listed:,} keys"
    alone = (
        Task(f"{what}, keys only", 1, is_put=False, connections=1, listed=listed, keys_only=True),
        Task(f"{what}, with values", 1, is_put=False, connections=1, listed=listed),
    )
    meanwhile = (
        Task(
            f"puts by 100 clients, during lists by {listers}",
            100,
            connections=CONNECTIONS,
            listed=listed,
            listers=listers,
        )
        for listers in LISTERS
    )
    return (*alone, *meanwhile)


class ListSide:
    """A server with etcd's API, whose keys are listed.

    Args:
        program: see ``etcd_client``.
        endpoint: host:port of its client port.
        cpu_s: tells the processor time of all its processes, in seconds.
    """

    def __init__(self, program: Path, endpoint: str, cpu_s: Callable[[], float]) -> None:
        self._program = program
        self._endpoint = endpoint
        self.cpu_s = cpu_s

    async def fill(self, listed: int) -> None:
        """Puts every key that is listed. Raises RuntimeError where one fails."""
        flags = self._flags(LISTED_PREFIX, listed, CONNECTIONS, FILL_IN_FLIGHT)
        await run_etcd_load(self._program, FILL_S, "-total", str(listed), *flags)

    async def press(self, task: Task, seconds: float) -> Sample:
        """See ``Contender``."""
        lists = run_etcd_load(self._program, seconds, *self._list_flags(task))
        if not task.is_put:
            return _sample(await lists)
        flags = self._flags(PUT_PREFIX, PUT_KEYS, task.connections or 1, task.in_flight)
        puts = run_etcd_load(self._program, seconds, "-random", *flags)
        return _sample((await asyncio.gather(puts, lists))[0])

    def _list_flags(self, task: Task) -> list[str]:
        flags = ["-operation", "list", *(["-keys-only"] if task.keys_only else [])]
        return [*flags, *self._flags(LISTED_PREFIX, task.listed, task.listers, task.listers)]

    def _flags(self, prefix: str, keys: int, connections: int, in_flight: int) -> list[str]:
        return load_flags(
            endpoints=self._endpoint,
            prefix=prefix,
            keys=keys,
            key_bytes=KEY_BYTES,
            value_bytes=VALUE_BYTES,
            connections=connections,
            in_flight=in_flight,
            timeout=TIMEOUT,
        )


def _sample(figures: dict[str, Any]) -> Sample:
    latencies = figures["latency_ms"]
    return Sample(
        figures["requests_per_second"], latencies["p50"], latencies["p99"], figures["generator_cpu_us_a_request"]
    )


@asynccontextmanager
async def list_sides(
    directory: Path, arguments: Sequence[str], etcd: Path | None, listed: int
) -> AsyncIterator[dict[str, Contender]]:
    """Both systems, running, with the keys that are listed.

    Args:
        directory: for their data; must exist.
        arguments: further arguments of ``oarlock serve``.
        etcd: the program; None leaves etcd out.
        listed: keys.

    Raises:
        RuntimeError: one of them did not start, or the load cannot be built.
    """
    program = build_etcd_load(Path("build/etcd_load"))
    sides: dict[str, ListSide] = {}
    async with AsyncExitStack() as stack:
        endpoint = f"127.0.0.1:{free_ports(1)[0]}"
        door = ["--listen-client-urls", f"http://{endpoint}", *arguments]
        server = await stack.enter_async_context(own_server(directory, door))
        sides[OURS] = ListSide(program, endpoint, lambda: cpu_s_of(tree_of(server.process.pid)))
        if etcd is not None:
            theirs = await stack.enter_async_context(own_etcd(directory, 1, etcd))
            sides[THEIRS] = ListSide(program, theirs.endpoints[0], theirs.cpu_s)
        for side in sides.values():
            await side.fill(listed)
        yield dict(sides)

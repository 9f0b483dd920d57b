"""Oarlock and etcd as two sides of a comparison, each driven by its own client library in the way that suits it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from oarlock import aio
from oarlock.loadgen.comparison import OURS, THEIRS, Contender, Sample, Task
from oarlock.loadgen.driver import Figures
from oarlock.loadgen.etcd_client import build_etcd_load, load_flags, run_etcd_load
from oarlock.loadgen.own_cluster import OwnCluster, own_cluster
from oarlock.loadgen.own_etcd import OwnEtcd, own_etcd
from oarlock.loadgen.own_server import cpu_s_of, tree_of
from oarlock.loadgen.plan import KeySpace, values
from oarlock.loadgen.runner import Load, clients_of, press
from oarlock.loadgen.workloads import Reads, fill, put_issue, range_issue

VALUE_BYTES: Final = 256
SPACE: Final = KeySpace(10_000, 32, b"bench/", random=True)
CONNECTIONS: Final = 4
"""Few, for both: a client of ours puts what is issued together into one message, and etcd writes at once what is there
for a connection. With 100, as in its published benchmarks, etcd takes half as much processor time again for a put."""
FILL_S: Final = 30.0
FILL_IN_FLIGHT: Final = 100


class OurSide:
    """A cluster of Oarlock under load, its keys filled.

    Args:
        leader: the native endpoint of the leader.
    """

    def __init__(self, cluster: OwnCluster, leader: str) -> None:
        self._cluster = cluster
        self._leader = leader

    def cpu_s(self) -> float:
        """Processor time of all members, in seconds."""
        running = [member.process for member in self._cluster.members if member.process is not None]
        return sum(cpu_s_of(tree_of(process.pid)) for process in running)

    async def press(self, task: Task, seconds: float) -> Sample:
        """See ``Contender``."""
        endpoints = (self._leader,) if task.leader_only else tuple(self._cluster.endpoints)
        connections = connections_for(task, CONNECTIONS, len(endpoints))
        load = Load(endpoints, clients=connections, in_flight=-(-task.in_flight // connections), duration_s=seconds)
        async with _clients(load) as clients:
            if task.is_put:
                requests: Any = zip(SPACE.keys(), values(VALUE_BYTES), strict=False)
                figures = await press(load, [put_issue(client) for client in clients], requests)
            else:
                requests = Reads(serializable=task.serializable).requests(SPACE)
                figures = await press(load, [range_issue(client) for client in clients], requests)
        return _sample(task, figures)


class TheirSide:
    """An etcd under load, its keys filled.

    Args:
        load_program: see ``etcd_client``.
        connections: which the requests in flight share.
    """

    def __init__(self, etcd: OwnEtcd, load_program: Path, connections: int = CONNECTIONS) -> None:
        self._etcd = etcd
        self._load_program = load_program
        self._connections = connections

    def cpu_s(self) -> float:
        """Processor time of all members, in seconds."""
        return self._etcd.cpu_s()

    async def press(self, task: Task, seconds: float) -> Sample:
        """See ``Contender``."""
        endpoints = (self._etcd.leader(),) if task.leader_only else self._etcd.endpoints
        connections = connections_for(task, self._connections, len(endpoints))
        flags = ["-connections", str(connections), "-in-flight", str(task.in_flight), "-random"]
        flags += ["-operation", "put" if task.is_put else "range", *(["-serializable"] if task.serializable else [])]
        figures = await run_etcd_load(self._load_program, seconds, *flags, *_key_flags(endpoints))
        latencies = figures["latency_ms"]
        return Sample(
            figures["requests_per_second"], latencies["p50"], latencies["p99"], figures["generator_cpu_us_a_request"]
        )

    async def fill(self) -> None:
        """Puts every key once. Raises RuntimeError where one fails."""
        flags = ["-total", str(SPACE.count), "-in-flight", str(FILL_IN_FLIGHT), *_key_flags(self._etcd.endpoints)]
        await run_etcd_load(self._load_program, FILL_S, *flags)


def connections_for(task: Task, usual: int, members: int) -> int:
    """How many connections a task takes: no more than requests in flight, and otherwise as many to every member.

    Example: 4 usual connections to 3 members are 6, and one request in flight takes 1.
    """
    return min(task.in_flight, -(-usual // members) * members)


@asynccontextmanager
async def _clients(load: Load) -> AsyncIterator[list[aio.Client]]:
    """The clients of ``load``, but each with one endpoint, in turn: a client of several would choose one itself."""
    async with AsyncExitStack() as stack:
        clients = []
        for number in range(load.clients):
            endpoint = load.endpoints[number % len(load.endpoints)]
            clients += await stack.enter_async_context(clients_of(Load((endpoint,), duration_s=load.duration_s)))
        yield clients


def _sample(task: Task, figures: Figures) -> Sample:
    if figures.errors:
        raise RuntimeError(f"oarlock: {task.name}: requests failed: {dict(figures.errors)}")
    p50_ms, p99_ms = (figures.latencies.percentile(percent) / 1e6 for percent in (50, 99))
    return Sample(figures.rate, p50_ms, p99_ms, figures.generator_us)


def _key_flags(endpoints: Sequence[str]) -> list[str]:
    return load_flags(
        endpoints=",".join(endpoints),
        keys=SPACE.count,
        key_bytes=SPACE.size,
        value_bytes=VALUE_BYTES,
        prefix=SPACE.prefix.decode(),
    )


@asynccontextmanager
async def both_sides(
    directory: Path, members: int, arguments: Sequence[str], etcd: Path | None, connections: int = CONNECTIONS
) -> AsyncIterator[dict[str, Contender]]:
    """Both systems, running and filled, with as many members each.

    Args:
        directory: for their data; must exist.
        arguments: further arguments of ``oarlock serve``.
        etcd: the program; None leaves etcd out.
        connections: of the load on etcd.

    Raises:
        RuntimeError: one of them did not start, or the load on etcd cannot be built.
    """
    contenders: dict[str, Contender] = {}
    async with AsyncExitStack() as stack:
        if etcd is not None:
            program = build_etcd_load(Path("build/etcd_load"))
            server = await stack.enter_async_context(own_etcd(directory, members, etcd))
            theirs = TheirSide(server, program, connections)
            await theirs.fill()
            contenders[THEIRS] = theirs
        cluster = await stack.enter_async_context(own_cluster(directory, members, arguments))
        leader = (await cluster.leader()).endpoint
        await fill((leader,), SPACE, VALUE_BYTES)
        yield {OURS: OurSide(cluster, leader), **contenders}

"""The etcd front door of Oarlock against etcd, by etcd's own ``benchmark``: ``make bench-etcd``.

Both have one member, its data in the same directory, and are pressed in turn by the same program with the same
arguments: puts and both kinds of reads by 1, 100 and 1,000 clients, who share 1, 10 or 100 connections, transactions,
and watches. With ``--tls`` the connections are those of a system in production.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from oarlock.loadgen.certificate import make_certificate
from oarlock.loadgen.compare_suite import Settings, comparison_options, in_a_directory, settings_of, tell
from oarlock.loadgen.comparison import OURS, THEIRS, Comparison, Contender, Sample, Task, compare
from oarlock.loadgen.etcd_benchmark import EtcdBenchmark, benchmark_version, build_benchmark
from oarlock.loadgen.figures import document, save
from oarlock.loadgen.idle_door import idle_rows
from oarlock.loadgen.measurements import Row
from oarlock.loadgen.own_etcd import own_etcd
from oarlock.loadgen.own_server import cpu_s_of, free_ports, own_server, tree_of, usage_of

CLIENTS: Final = ((1, 1), (100, 1), (100, 10), (100, 100), (1000, 1), (1000, 10), (1000, 100))
"""Clients, each with one request in flight, and the connections that they share."""
TLS_CLIENTS: Final = ((1, 1), (100, 10), (1000, 10))
"""Those of them that are measured over TLS."""
WATCHERS: Final = 900
WATCH_CONNECTIONS: Final = 10
FIRST_REQUESTS: Final = 1000
"""By as many requests is it found out how many fill the time; for fewer the tool tells no 99th percentile."""
IDLE_LOOK_S: Final = 10.0
"""How long the processor time of idle clients is looked at."""
FIRST_PUTS: Final = 20
"""The same of a watched key."""

TASKS: Final = (
    *(
        Task(
            f"{what}, {clients:,} client{'s' * (clients > 1)} on {connections}",
            clients,
            is_put,
            serializable,
            connections=connections,
        )
        for what, is_put, serializable in (
            ("puts", True, False),
            ("linearizable reads", False, False),
            ("serializable reads", False, True),
        )
        for clients, connections in CLIENTS
    ),
    Task("transactions of one put, 1 client on 1", 1, connections=1, puts_each=1),
    Task("transactions of one put, 100 clients on 10", 100, connections=10, puts_each=1),
    Task("transactions of ten puts, 100 clients on 10", 100, connections=10, puts_each=10),
    Task(
        f"events of one key to {WATCHERS} streams on {WATCH_CONNECTIONS}",
        WATCH_CONNECTIONS,
        connections=WATCH_CONNECTIONS,
        watchers=WATCHERS,
    ),
)


TLS_TASKS: Final = tuple(
    task for task in TASKS if not task.watchers and (task.in_flight, task.connections) in TLS_CLIENTS
)


class DoorSide:
    """A server with etcd's front door under the load of etcd's tool.

    Args:
        benchmark: aimed at it.
        cpu_s: tells the processor time of all its processes, in seconds.
    """

    def __init__(self, benchmark: EtcdBenchmark, cpu_s: Callable[[], float]) -> None:
        self._benchmark = benchmark
        self.cpu_s = cpu_s
        self._rates: dict[str, float] = {}

    @property
    def endpoint(self) -> str:
        """Host:port that is pressed."""
        return self._benchmark.endpoint

    async def press(self, task: Task, seconds: float) -> Sample:
        """See ``Contender``. The tool takes a number of requests, so the first load of a task finds out how many."""
        each = max(1, task.watchers)
        if task.name not in self._rates:
            first = FIRST_PUTS if task.watchers else max(FIRST_REQUESTS, 2 * task.in_flight)
            self._rates[task.name] = (await self._benchmark.press(task, first, seconds)).rate
        total = max(FIRST_PUTS if task.watchers else FIRST_REQUESTS, int(self._rates[task.name] * seconds / each))
        before_s = self.cpu_s()
        sample = await self._benchmark.press(task, total, seconds)
        self._rates[task.name] = sample.rate
        return replace(sample, servers_us=(self.cpu_s() - before_s) / (total * each) * 1e6)


@asynccontextmanager
async def door_sides(
    directory: Path, arguments: Sequence[str], etcd: Path | None, *, over_tls: bool = False
) -> AsyncIterator[dict[str, Contender]]:
    """Both systems, running, with what reads ask for.

    Args:
        directory: for their data; must exist.
        arguments: further arguments of ``oarlock serve``.
        etcd: the program; None leaves etcd out.
        over_tls: whether clients speak TLS, with a certificate of the moment.

    Raises:
        RuntimeError: one of them did not start, or the tool cannot be built.
    """
    certificate = make_certificate(directory) if over_tls else None
    authority = certificate.certificate if certificate is not None else None
    program = build_benchmark(Path("build/etcd_benchmark"))
    contenders: dict[str, Contender] = {}
    async with AsyncExitStack() as stack:
        endpoint = f"127.0.0.1:{free_ports(1)[0]}"
        door = ["--listen-client-urls", f"http://{endpoint}"]
        if certificate is not None:
            door = ["--listen-client-urls", f"https://{endpoint}", *certificate.arguments]
        server = await stack.enter_async_context(own_server(directory, [*door, *arguments]))
        benchmark = EtcdBenchmark(program, endpoint, authority)
        await benchmark.fill()
        contenders[OURS] = DoorSide(benchmark, lambda: cpu_s_of(tree_of(server.process.pid)))
        if etcd is not None:
            theirs = await stack.enter_async_context(own_etcd(directory, 1, etcd, certificate))
            member = theirs.members[0]
            benchmark = EtcdBenchmark(program, member.tls_endpoint or member.endpoint, authority)
            await benchmark.fill()
            contenders[THEIRS] = DoorSide(benchmark, theirs.cpu_s)
        yield contenders


async def idle_clients(directory: Path, arguments: Sequence[str], etcd: Path | None, count: int) -> list[Row]:
    """What ``count`` connections and watches cost that do nothing, on servers that serve nobody else.

    Args:
        directory: for their data; must exist.
        arguments, etcd: as in ``door_sides``.
        count: of each.

    Raises:
        RuntimeError: a server did not start, or refused a client.
    """
    tell(f"idle: {count:,} connections and watches")
    with tempfile.TemporaryDirectory(dir=directory) as place:
        endpoint = f"127.0.0.1:{free_ports(1)[0]}"
        door = ["--listen-client-urls", f"http://{endpoint}"]
        async with own_server(Path(place), [*door, *arguments]) as server:
            rows = await idle_rows(OURS, endpoint, server.usage, count, IDLE_LOOK_S)
        if etcd is not None:
            async with own_etcd(Path(place), 1, etcd) as theirs:
                pid = theirs.members[0].process.pid
                rows += await idle_rows(THEIRS, theirs.endpoints[0], lambda: usage_of(pid), count, IDLE_LOOK_S)
    return rows


def chosen(words: Sequence[str], tasks: Sequence[Task] = TASKS) -> list[Task]:
    """Those of ``tasks`` whose name has each of ``words``.

    Raises:
        RuntimeError: there is none.
    """
    found = [task for task in tasks if all(word in task.name for word in words)]
    if not found:
        raise RuntimeError(f"no load has {' and '.join(words)} in its name")
    return found


@click.command()
@click.argument("words", nargs=-1)
@click.option("--idle", default=10_000, show_default=True, type=click.IntRange(0), help="Idle clients; 0: none.")
@click.option("--tls", is_flag=True, help="Some of the loads, over TLS.")
@comparison_options(rounds=3, seconds=2.0, serve="", output="build/etcd", connections=None)
def main(words: tuple[str, ...], idle: int, tls: bool, directory: Path | None, output: str, **options: Any) -> None:
    """Compare the etcd front door with etcd, by its own tool: all loads and idle clients, or the loads with all WORDS
    in their names, or "idle" clients alone."""

    async def work(place: Path) -> dict[str, Any]:
        settings: Settings = settings_of(options)
        machine = settings.machine(place) | {"benchmark": f"etcd's own, {benchmark_version()}"}
        rows: list[Row] = []
        if idle and not tls and words in ((), ("idle",)):
            rows = await idle_clients(place, settings.serve, settings.etcd, idle)
        compared: list[Comparison] = []
        if words != ("idle",):
            tasks = chosen(words, TLS_TASKS if tls else TASKS)
            async with door_sides(place, settings.serve, settings.etcd, over_tls=tls) as contenders:
                compared = await compare(contenders, tasks, settings.rounds, settings.seconds, tell)
        return document("etcd-tls" if tls else "etcd", machine, rows, compared)

    click.echo(save(in_a_directory(work, directory), Path(output)))


if __name__ == "__main__":
    main()

"""The parts of ``oarlock bench compare``: each starts both systems, and compares them in turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from oarlock.loadgen import cluster_suite, compare_suite, door_suite
from oarlock.loadgen.compare_keys import compare_keys
from oarlock.loadgen.compare_lists import list_sides, list_tasks
from oarlock.loadgen.compare_suite import Settings, compared, tell
from oarlock.loadgen.comparison import OURS, THEIRS, Comparison, Task, compare
from oarlock.loadgen.door_suite import door_sides
from oarlock.loadgen.figures import document
from oarlock.loadgen.goals import MEMORY, standing
from oarlock.loadgen.measurements import Row

CLIENTS_A_CONNECTION: Final = 10
"""On the etcd front door, where there are more than ten clients."""


@dataclass(frozen=True, slots=True)
class Comparing:
    """What all parts want to know.

    Attributes:
        directory: for data; must exist.
        settings: see there.
        keys: of the part ``keys``.
        listed: keys of each list of the part ``lists``.
    """

    directory: Path
    settings: Settings
    keys: int
    listed: int


Found: TypeAlias = tuple[list[Row], list[Comparison]]
"""Rows that are no comparison of loads, and comparisons."""


async def native(comparing: Comparing) -> Found:
    """Oarlock's own door and client against etcd and its Go client."""
    return [], await compared(comparing.directory, 1, compare_suite.TASKS, comparing.settings)


async def grpc(comparing: Comparing) -> Found:
    """The etcd front door against etcd, by etcd's own tool."""
    loads = [task for task in door_suite.TASKS if not task.watchers]
    return [], await _door(comparing, [task for task in loads if task.connections == _connections(task.in_flight)])


async def watches(comparing: Comparing) -> Found:
    """Events of one key to 900 streams of the etcd front door against etcd, by etcd's own tool."""
    return [], await _door(comparing, [task for task in door_suite.TASKS if task.watchers])


async def lists(comparing: Comparing) -> Found:
    """Long lists through the etcd front door against etcd, by etcd's Go client."""
    settings = comparing.settings
    sides = list_sides(comparing.directory, settings.serve, settings.etcd, comparing.listed)
    async with sides as contenders:
        tasks = list_tasks(comparing.listed)
        return [], await compare(contenders, tasks, settings.rounds, settings.seconds, tell)


async def keys(comparing: Comparing) -> Found:
    """Memory and restarts with many keys."""
    settings = comparing.settings
    rows, restarts = await compare_keys(
        comparing.directory, settings.serve, settings.etcd, comparing.keys, settings.rounds, tell
    )
    memory = {name: row.value for name in (OURS, THEIRS) for row in rows if row.name.startswith(f"{name}: memory")}
    if len(memory) == 2:  # of each the later one, after a restart
        ratio = memory[OURS] / memory[THEIRS]
        rows.append(Row("memory after a restart", ratio, "× etcd's", MEMORY.words))
    return [replace(row, name=f"keys: {row.name}") for row in rows], restarts


async def cluster(comparing: Comparing) -> Found:
    """Three members against three."""
    return [], await compared(comparing.directory, cluster_suite.MEMBERS, cluster_suite.TASKS[:1], comparing.settings)


PARTS: Final[dict[str, Callable[[Comparing], Awaitable[Found]]]] = {
    "native": native,
    "grpc": grpc,
    "watches": watches,
    "lists": lists,
    "keys": keys,
    "cluster": cluster,
}
"""By name, in the order in which they run."""


async def compare_parts(names: tuple[str, ...], comparing: Comparing) -> dict[str, Any]:
    """Runs the parts ``names``, each in a directory of its own, and tells all as a document (see ``figures``).

    Raises:
        RuntimeError: a system did not start, or a request failed.
        OarlockError: the server did not answer.
    """
    machine = comparing.settings.machine(comparing.directory)
    rows: list[Row] = []
    comparisons: list[Comparison] = []
    for name in names:
        place = comparing.directory / name
        place.mkdir()
        more, found = await PARTS[name](replace(comparing, directory=place))
        rows += [*more, *standing(name, found)]
        comparisons += [replace(each, task=replace(each.task, name=f"{name}: {each.task.name}")) for each in found]
    return document("parts", machine, rows, comparisons)


async def _door(comparing: Comparing, tasks: list[Task]) -> list[Comparison]:
    settings = comparing.settings
    async with door_sides(comparing.directory, settings.serve, settings.etcd) as contenders:
        return await compare(contenders, tasks, settings.rounds, settings.seconds, tell)


def _connections(clients: int) -> int:
    return max(1, clients // CLIENTS_A_CONNECTION)

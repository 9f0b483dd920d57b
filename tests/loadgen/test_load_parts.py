"""``oarlock bench compare``: its parts, and how what they find stands to the goals."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from oarlock.aio import connect
from oarlock.loadgen import cluster_suite, commands, compare_suite, door_suite
from oarlock.loadgen.compare_keys import OurRestarts, TheirRestarts, compare_keys
from oarlock.loadgen.compare_lists import ListSide, list_tasks
from oarlock.loadgen.comparison import OURS, THEIRS, Comparison, Sample, Task
from oarlock.loadgen.goals import GOALS, standing
from oarlock.loadgen.own_etcd import find_etcd

RESTART = Task("restart with 3 keys", 1)


def compared(name: str, ours: Sample, theirs: Sample) -> Comparison:
    return Comparison(Task(name, 1), {OURS: [ours], THEIRS: [theirs]})


def test_every_goal_is_about_a_load() -> None:
    loads = {
        "native": compare_suite.TASKS,
        "grpc": door_suite.TASKS,
        "watches": door_suite.TASKS,
        "cluster": cluster_suite.TASKS,
        "lists": list_tasks(5),
        "keys": (RESTART,),
    }
    for goal in GOALS:
        assert [task for task in loads[goal.part] if task.name.startswith(goal.task)], goal


def test_a_figure_stands_beside_its_goal() -> None:
    watched = compared("events of one key to 900 streams", Sample(300, 0, 0, 1, 2), Sample(100, 0, 0, 1, 8))
    rows = standing("watches", [watched, compared("something else", Sample(1, 1, 1, 1), Sample(1, 1, 1, 1))])
    assert [(row.value, row.target) for row in rows] == [(3.0, ">= 1.5, better 3"), (0.25, "<= 0.3, better 0.1")]
    assert not standing("native", [watched])


def test_without_etcd_nothing_stands_beside_a_goal() -> None:
    assert not standing("watches", [Comparison(Task("events of one key", 1), {OURS: [Sample(1, 1, 1, 1)]})])


def test_puts_are_measured_while_lists_go_on(tmp_path: Path) -> None:
    program = tmp_path / "load"
    program.write_text(
        f"""#!/bin/sh
echo "$*" >> {tmp_path}/calls
case "$*" in *list*list/*) rate=3;; *) rate=500;; esac
echo '{{"errors": {{}}, "requests_per_second": '$rate', "latency_ms": {{"p50": 1, "p99": 2}},
"generator_cpu_us_a_request": 4}}'
"""
    )
    program.chmod(0o755)
    side = ListSide(program, "here:1", lambda: 0.0)
    keys_only, _, *_, puts = list_tasks(7)
    assert asyncio.run(side.press(puts, 0.1)) == Sample(500, 1, 2, 4)
    assert asyncio.run(side.press(keys_only, 0.1)).rate == 3
    calls = (tmp_path / "calls").read_text().splitlines()
    assert sorted("-operation list" in call for call in calls) == [False, True, True]
    assert "-keys-only" in calls[-1]
    assert "-keys 7 " in calls[-1]
    assert sum(f"-in-flight {puts.listers} " in call for call in calls) == 1


def test_our_keys_survive_the_restart_that_is_measured(tmp_path: Path) -> None:
    async def work() -> None:
        side = OurRestarts(tmp_path, ("--workers", "1"))
        try:
            await side.start()
            await side.fill(3)
            assert side.memory_bytes() > 0
            sample = await side.press(RESTART, 1.0)
            assert sample.p50_ms == pytest.approx(1e3 / sample.rate)
            assert sample.servers_us > 0
            async with await connect(side._place.endpoint) as client:
                assert await client.count_prefix(b"many/") == 3
        finally:
            await side.end()
        assert side.memory_bytes() == 0

    asyncio.run(work())


def test_etcd_restarts_on_its_data(tmp_path: Path) -> None:
    async def work() -> None:
        side = TheirRestarts(tmp_path, find_etcd())
        try:
            await side.start()
            assert (await side.press(RESTART, 1.0)).servers_us > 0
            assert side.memory_bytes() > 0
        finally:
            await side.end()

    asyncio.run(work())
    assert (tmp_path / "e0" / "member").is_dir()


def test_keys_alone_are_compared_with_nobody(tmp_path: Path) -> None:
    said: list[str] = []
    rows, restarts = asyncio.run(compare_keys(tmp_path, ("--workers", "1"), None, 10, 1, said.append))
    assert [row.value > 0 for row in rows] == [True, True]
    assert [len(samples) for samples in restarts[0].samples.values()] == [1]


def test_the_command_tells_and_keeps_what_it_found(tmp_path: Path) -> None:
    arguments = ["compare", "native", "--no-etcd", "--quick", "--serve", "--workers 1", "-w", "json"]
    arguments += ["--directory", str(tmp_path), "--output", str(tmp_path / "found")]
    result = CliRunner().invoke(commands.bench, arguments)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told == json.loads((tmp_path / "found.json").read_text())
    names = [comparison["task"]["name"] for comparison in told["comparisons"]]
    assert names == [f"native: {task.name}" for task in compare_suite.TASKS]
    assert [path.suffix for path in sorted(tmp_path.iterdir())] == [".json", ".md"]


def test_an_etcd_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    arguments = ["compare", "native", "--etcd", str(tmp_path / "none"), "--output", str(tmp_path / "found")]
    result = CliRunner().invoke(commands.bench, arguments)
    assert result.exit_code == 1
    assert result.output.startswith("Error: there is no etcd at")

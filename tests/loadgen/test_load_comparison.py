"""Comparisons: whose turn it is, what the ratio is of, and how it is shown."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys

import pytest

from oarlock.loadgen.comparison import OURS, THEIRS, Comparison, Contender, Sample, Task, compare
from oarlock.loadgen.contenders import connections_for
from oarlock.loadgen.figures import document, markdown

PUTS = Task("puts", 1000)
READS = Task("reads", 1000, is_put=False)


class Scripted:
    """A contender with a given rate, which uses a second of processor time a load, and notes its turns."""

    def __init__(self, name: str, rates: list[float], turns: list[tuple[str, str]]) -> None:
        self._name = name
        self._rates = iter(rates)
        self._turns = turns
        self._cpu_s = 0.0

    def cpu_s(self) -> float:
        return self._cpu_s

    async def press(self, task: Task, seconds: float) -> Sample:
        self._turns.append((self._name, task.name))
        self._cpu_s += 1.0
        return Sample(next(self._rates), 1.0, 2.0, 3.0)


def run(ours: list[float], theirs: list[float], tasks: list[Task], rounds: int) -> tuple[list[Comparison], list[str]]:
    turns: list[tuple[str, str]] = []
    contenders: dict[str, Contender] = {OURS: Scripted(OURS, ours, turns), THEIRS: Scripted(THEIRS, theirs, turns)}
    result = asyncio.run(compare(contenders, tasks, rounds, 2.0, lambda line: None))
    return result, [f"{name}: {task}" for name, task in turns]


def test_systems_take_turns_and_who_begins_changes() -> None:
    _, turns = run([1.0] * 4, [1.0] * 4, [PUTS, READS], 2)
    assert turns == [
        *("oarlock: puts", "etcd: puts", "oarlock: reads", "etcd: reads"),
        *("etcd: puts", "oarlock: puts", "etcd: reads", "oarlock: reads"),
    ]


def test_a_ratio_is_of_neighbours_in_time() -> None:
    comparisons, _ = run([100.0, 300.0, 80.0], [50.0, 100.0, 80.0], [PUTS], 3)
    assert comparisons[0].ratios() == [2.0, 3.0, 1.0]
    assert comparisons[0].as_data()["ratio"] == {"median": 2.0, "lowest": 1.0, "highest": 3.0}


def test_processor_time_is_of_the_system_under_load() -> None:
    comparisons, _ = run([100.0], [50.0], [PUTS], 1)
    sample = comparisons[0].samples[OURS][0]
    assert sample.servers_us == pytest.approx(1 / 200 * 1e6)
    assert sample.bystander_percent == 0


def test_one_system_alone_has_no_ratio() -> None:
    alone = Comparison(PUTS, {OURS: [Sample(1.0, 1.0, 1.0, 1.0)]})
    assert alone.ratios() == []
    assert "ratio" not in alone.as_data()


def test_latencies_that_were_not_taken_have_no_ratio() -> None:
    events = Comparison(PUTS, {name: [Sample(10.0, 0.0, 0.0, 1.0)] for name in (OURS, THEIRS)})
    assert events.as_data()["ratio"]["median"] == 1.0
    assert "p50_ratio" not in events.as_data()
    line = markdown(document("etcd", {}, [], [events])).splitlines()[3]
    assert line == "| puts | oarlock | 10 |  |  |  | 1 | 1.00 (1.00 to 1.00) |  |  |"


def test_a_comparison_without_rounds_is_refused() -> None:
    with pytest.raises(ValueError, match="not 0"):
        run([], [], [PUTS], 0)


def test_the_table_has_a_line_for_each_system() -> None:
    comparisons, _ = run([30000.0, 30000.0], [15000.0, 10000.0], [PUTS], 2)
    table = markdown(document("cluster", {"cores": 2}, [], comparisons)).splitlines()
    ours, theirs = (next(line for line in table if f"| {name} |" in line) for name in (OURS, THEIRS))
    assert ours.startswith("| puts | oarlock | 30,000 | 1 | 2 |")
    assert ours.endswith("| 2.50 (2.00 to 3.00) | 1.00 (1.00 to 1.00) | 1.00 (1.00 to 1.00) |")
    assert theirs.startswith("|  | etcd | 12,500 |")


@pytest.mark.parametrize(
    ("in_flight", "usual", "members", "expected"), [(1000, 4, 1, 4), (1000, 4, 3, 6), (1, 100, 3, 1)]
)
def test_every_member_has_as_many_connections(in_flight: int, usual: int, members: int, expected: int) -> None:
    assert connections_for(Task("", in_flight), usual, members) == expected


COMPARING = """
import asyncio
from oarlock.loadgen.compare_suite import in_a_directory

async def work(place):
    try:
        print(place, flush=True)
        await asyncio.sleep(60)
    finally:
        print("its servers are stopped", flush=True)

in_a_directory(work, None)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_comparison_that_is_ended_ends_what_it_started(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", COMPARING], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
    assert (said, process.returncode) == ("its servers are stopped\n", 128 + signal.SIGTERM)

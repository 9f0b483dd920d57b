"""Three members on this machine: ``make bench-cluster``, or ``python -m oarlock.loadgen.cluster_suite``.

Puts against a three-member etcd, in turn, and how long a member that missed many writes takes to catch up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from oarlock.loadgen.catch_up import catch_up
from oarlock.loadgen.compare_suite import compared, comparison_options, in_a_directory, settings_of, tell
from oarlock.loadgen.comparison import OURS, Comparison, Task
from oarlock.loadgen.figures import document, save
from oarlock.loadgen.measurements import Row

MEMBERS: Final = 3
MISSED: Final = 100_000
TASKS: Final = (
    Task("puts to the leader, 1,000 in flight", 1000, leader_only=True),
    Task("puts to all members, 1,000 in flight", 1000),
    Task("puts to the leader, 1 in flight", 1, leader_only=True),
)
TARGET: Final = ">= 15,000"
_PARTS: Final = ("compare", "catch-up")


def _rows(comparisons: list[Comparison]) -> list[Row]:
    """The rate that has a target, as a row of its own."""
    best = comparisons[0].as_data()["systems"][OURS]["rate"]
    return [Row(f"three members: durable {TASKS[0].name}", best, "requests/s", TARGET)]


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(_PARTS))
@comparison_options(rounds=5, seconds=3.0, serve="", output="build/cluster")
def main(parts: tuple[str, ...], directory: Path | None, output: str, **options: Any) -> None:
    """Compare three members of Oarlock with three of etcd, and let one catch up: both PARTS, or the one named."""
    chosen = parts or _PARTS

    async def work(place: Path) -> dict[str, Any]:
        settings = settings_of(options)
        machine = settings.machine(place)
        comparisons, rows = [], []
        if "compare" in chosen:
            comparisons = await compared(place, MEMBERS, TASKS, settings)
            rows += _rows(comparisons)
        if "catch-up" in chosen:
            tell("measuring: catch-up")
            alone = place / "catch-up"
            alone.mkdir()
            rows += await catch_up(alone, MISSED // 10 if options["quick"] else MISSED, settings.serve)
        return document("cluster", machine, rows, comparisons)

    click.echo(save(in_a_directory(work, directory), Path(output)))


if __name__ == "__main__":
    main()

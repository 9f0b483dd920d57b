"""Measures how Oarlock grows: ``make growth``, or ``python -m oarlock.loadgen.growth_suite``.

It writes a JSON file, of which ``growth_page`` makes tables and pictures of docs/performance.md.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from oarlock.loadgen.compare_suite import in_a_directory, tell
from oarlock.loadgen.growth import SWEEPS
from oarlock.loadgen.machine import describe
from oarlock.wire.process import raise_descriptor_limit


async def measure(directory: Path, names: Sequence[str], seconds: float, points: int | None = None) -> dict[str, Any]:
    """Takes the sweeps ``names``.

    Args:
        directory: for the data; must exist.
        names: of ``SWEEPS``.
        seconds: of each load.
        points: of each sweep at most, the smallest; None: all.

    Returns:
        {"machine": {...}, "sweeps": {name: {"unit": ..., "points": [{"at": ..., "loads": {name: figures}}]}}}

    Raises:
        RuntimeError: a server did not start, or a request failed.
        OarlockError: a server did not answer.
    """
    machine = describe(directory) | {"seconds": f"{seconds:g} of each load"}
    sweeps: dict[str, Any] = {}
    for name in names:
        sweep = SWEEPS[name]
        measured = []
        async for at, cells in sweep.measure(directory, seconds, sweep.points[:points]):
            measured.append({"at": at, "loads": {load: asdict(cell) for load, cell in cells.items()}})
            said = ", ".join(f"{load} {cell.rate:,.0f}/s, 99 % {cell.p99_ms:.3g} ms" for load, cell in cells.items())
            tell(f"{at:,} {sweep.unit}: {said}")
        sweeps[name] = {"unit": sweep.unit, "points": measured}
    return {"machine": machine, "sweeps": sweeps}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(SWEEPS)))
@click.option("--seconds", default=4.0, show_default=True, help="Of each load.")
@click.option("--points", type=click.IntRange(2), help="Of each sweep at most, the smallest; to try it out.")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False, exists=True), help="For the data.")
@click.option("--output", default="build/growth.json", show_default=True, type=click.Path(path_type=Path))
def main(names: tuple[str, ...], seconds: float, points: int | None, directory: Path | None, output: Path) -> None:
    """Take the sweeps NAMES, all of them by default, on servers that are started for it."""
    raise_descriptor_limit()
    figures = in_a_directory(lambda place: measure(place, names or tuple(SWEEPS), seconds, points), directory)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()

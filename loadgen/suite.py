"""The standard set of measurements on a server of its own: ``make bench``, or ``python -m oarlock.loadgen.suite``.

It prints a Markdown table, and writes that and a JSON file with every percentile, of which ``write_page`` makes a part
of docs/performance.md.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from oarlock.loadgen.figures import document, save
from oarlock.loadgen.machine import describe
from oarlock.loadgen.measurements import STANDARD, Row, Scale
from oarlock.loadgen.own_server import own_server
from oarlock.loadgen.runner import run
from oarlock.wire.errors import OarlockError


async def measure(
    directory: Path, names: Sequence[str], scale: Scale, arguments: Sequence[str]
) -> tuple[dict[str, Any], list[Row]]:
    """Describes the machine, then starts a server below ``directory`` and takes the named measurements.

    Raises:
        RuntimeError: the server did not start, or a measurement failed.
        OarlockError: the server did not answer.
    """
    machine = describe(directory)
    machine["serve_arguments"] = " ".join(arguments) or "none"
    rows: list[Row] = []
    async with own_server(directory, arguments) as server:
        for name in names:
            click.echo(f"measuring: {name}", err=True)
            rows.extend(await STANDARD[name](server, scale))
    return machine, rows


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(STANDARD)))
@click.option("--quick", is_flag=True, help="A tenth of everything, to try it out.")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False, exists=True), help="For the data.")
@click.option(
    "--output", default="build/bench", help="Files to write: this path with .md and .json.", show_default=True
)
@click.option("--serve", "serve", default="", help="Further arguments of oarlock serve, as one text.")
def main(names: tuple[str, ...], quick: bool, directory: Path | None, output: str, serve: str) -> None:
    """Take the measurements NAMES (all of them by default) of a server that is started for it."""
    scale = Scale.quick() if quick else Scale()
    try:
        with tempfile.TemporaryDirectory(prefix="oarlock-bench-", dir=directory) as place:
            machine, rows = run(measure(Path(place), names or tuple(STANDARD), scale, serve.split()))
        machine["scale"] = "a tenth, to try it out" if quick else "standard"
    except (OarlockError, RuntimeError) as problem:
        click.echo(f"Error: {problem}", err=True)
        sys.exit(1)
    click.echo(save(document("single", machine, rows), Path(output)))


if __name__ == "__main__":
    main()

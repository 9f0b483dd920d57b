"""``oarlock bench compare``: Oarlock and etcd under the same work, in turn, in one run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import click

from oarlock.loadgen.compare_lists import LISTED
from oarlock.loadgen.compare_parts import PARTS, Comparing, compare_parts
from oarlock.loadgen.compare_suite import comparison_options, in_a_directory, settings_of
from oarlock.loadgen.figures import save

KEYS: Final = 1_000_000
QUICKER: Final = 100
"""So many times fewer keys where it is only tried out."""


@click.command("compare")
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)))
@click.option("--keys", default=KEYS, show_default=True, type=click.IntRange(1), help="Of the part keys.")
@click.option("--listed", default=LISTED, show_default=True, type=click.IntRange(1), help="Keys of each long list.")
@click.option("-w", "--write-out", type=click.Choice(["table", "json"]), default="table", show_default=True)
@comparison_options(rounds=3, seconds=2.5, serve="", output="build/parts")
def compare_command(
    parts: tuple[str, ...],
    keys: int,
    listed: int,
    write_out: str,
    directory: Path | None,
    output: str,
    **options: Any,
) -> None:
    """Compare Oarlock with etcd: both are started here, with their default settings, on the same disk, every put
    durable in both, and pressed in turn.

    \b
    native   puts and reads: our client on our port, etcd's Go client on etcd's
    grpc     puts and reads by etcd's own benchmark program, on both
    watches  events of one key to 900 streams, by the same
    lists    long lists, and puts meanwhile, by etcd's Go client on both
    keys     memory and restart with many keys
    cluster  puts with three members each

    Without PARTS, all of them; that takes some ten minutes, and Go. Ratios are our figure divided by etcd's, round by
    round: median, lowest and highest. "client" is the processor time of the tool that presses, for each request.
    """
    if options["quick"]:
        keys, listed = max(1, keys // QUICKER), max(1, listed // QUICKER)

    async def work(place: Path) -> dict[str, Any]:
        return await compare_parts(parts or tuple(PARTS), Comparing(place, settings_of(options), keys, listed))

    figures = in_a_directory(work, directory)
    text = save(figures, Path(output))
    click.echo(json.dumps(figures, indent=2) if write_out == "json" else text)


COMMANDS: Final = (compare_command,)
"""For the group."""

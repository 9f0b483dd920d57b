"""``oarlock bench``: measurements that start servers of their own, because they end them, too."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from oarlock.loadgen import runner
from oarlock.loadgen.commands_common import (
    bar,
    output_options,
    spoken_errors,
    tell,
    together,
    value_size_option,
)
from oarlock.loadgen.failover import measure as measure_failover
from oarlock.loadgen.failover import summary
from oarlock.loadgen.many_keys import Extent, measure
from oarlock.loadgen.report import Report
from oarlock.loadgen.workloads import DEFAULT_KEY_BYTES

DEFAULT_KEYS: Final = 100_000
DEFAULT_LISTED: Final = 100_000
DEFAULT_KILLS: Final = 10

server_options = together(
    click.option(
        "--directory",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        help="For their data, in a directory that is made there and removed.  [default: the system's for such]",
    ),
    click.option("--serve", default="", help="Further arguments of oarlock serve, as one text."),
)
"""Servers of the measurement's own."""


@click.command("many-keys")
@click.option("--keys", default=DEFAULT_KEYS, show_default=True, help="How many.")
@click.option("--key-size", default=DEFAULT_KEY_BYTES, show_default=True, help="Bytes of a key.")
@value_size_option
@click.option("--list", "listed", type=int, help=f"Keys of the lists.  [default: {DEFAULT_LISTED}, or all if fewer]")
@click.option("--processes", default=1, show_default=True, help="Processes that load them.")
@server_options
@output_options
def many_keys(
    keys: int, key_size: int, value_size: int, listed: int | None, processes: int, directory: Path | None, serve: str
) -> None:
    """Load a server of its own with keys; list them, compact, take a snapshot, start again; memory and disk."""
    with spoken_errors(), place_below(directory) as place:
        extent = Extent(keys, key_size, value_size, min(keys, DEFAULT_LISTED) if listed is None else listed, processes)
        with bar("many-keys", extent.load("", keys)) as progress:
            loaded, figures = runner.run(measure(place, extent, serve.split(), progress))
    settings: dict[str, Any] = {"keys": keys, "key_size_bytes": key_size, "value_size_bytes": value_size}
    settings |= {"listed_keys": extent.listed, "processes": processes, "serve": serve}
    tell(Report("many-keys", settings, loaded.figures(), extra=figures, outcome=loaded))


@click.command()
@click.option("--kills", default=DEFAULT_KILLS, show_default=True, help="How often the leader is killed.")
@click.option("--stops", default=0, show_default=True, help="How often it is stopped in order, after that.")
@click.option("--members", default=3, show_default=True, help="Of the cluster.")
@click.option("--clients", default=8, show_default=True, help="That put, one put at a time each.")
@server_options
@output_options
def failover(kills: int, stops: int, members: int, clients: int, directory: Path | None, serve: str) -> None:
    """Kill the leader of a cluster of its own, under load, and measure what clients notice.

    Exits with 1 where an acknowledged put is lost, or one was applied twice.
    """
    with spoken_errors(), place_below(directory) as place:
        if min(kills, stops) < 0 or not kills + stops or members < 1 or clients < 1:
            raise ValueError("a failover takes a kill or a stop, a member and a client at least")
        kinds = ["kill"] * kills + ["stop"] * stops
        noticed = runner.run(measure_failover(place, kinds, members, clients, serve.split(), _say))
    settings = {"members": members, "clients": clients, "kills": kills, "stops": stops, "serve": serve}
    extra = summary(noticed.failures) | {"lost_puts": noticed.lost, "doubled_puts": noticed.doubled}
    tell(Report("failover", settings, noticed.outcome.figures(), extra=extra, outcome=noticed.outcome))
    if noticed.lost or noticed.doubled:
        raise SystemExit(1)


def _say(line: str) -> None:
    click.echo(line, err=True)


@contextmanager
def place_below(directory: Path | None) -> Iterator[Path]:
    """A directory that is there for the block alone; a server that did not do as it should is one line."""
    with tempfile.TemporaryDirectory(prefix="oarlock-bench-", dir=directory) as place:
        try:
            yield Path(place)
        except RuntimeError as problem:
            raise click.ClickException(str(problem)) from None


COMMANDS: Final = (many_keys, failover)
"""For the group."""

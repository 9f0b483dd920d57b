"""One member of Oarlock against one of etcd: ``make bench-compare``, or ``python -m oarlock.loadgen.compare_suite``.

Puts and both kinds of reads, with one and with 1,000 requests in flight, in turn on both, on this machine.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from oarlock.loadgen.comparison import Comparison, Task, compare
from oarlock.loadgen.contenders import CONNECTIONS, both_sides
from oarlock.loadgen.etcd_client import client_version
from oarlock.loadgen.figures import document, save
from oarlock.loadgen.machine import describe
from oarlock.loadgen.own_etcd import etcd_version, find_etcd
from oarlock.loadgen.runner import run
from oarlock.wire.errors import OarlockError

T = TypeVar("T")
Command = Callable[..., Any]

ENDED: Final = 128 + signal.SIGTERM
"""As a shell reports it."""

TASKS: Final = tuple(
    Task(f"{what}, {in_flight:,} in flight", in_flight, is_put, serializable)
    for in_flight in (1, 1000)
    for what, is_put, serializable in (
        ("puts", True, False),
        ("linearizable reads", False, False),
        ("serializable reads", False, True),
    )
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a comparison is asked for.

    Attributes:
        rounds, seconds: see ``compare``.
        etcd: the program; None leaves etcd out.
        connections: of the load on etcd.
        serve: further arguments of ``oarlock serve``.
    """

    rounds: int
    seconds: float
    etcd: Path | None
    connections: int
    serve: tuple[str, ...]

    def machine(self, directory: Path) -> dict[str, Any]:
        """The machine, and what is compared on it."""
        machine = describe(directory) | {"serve_arguments": " ".join(self.serve) or "none"}
        if self.etcd is not None:
            machine["etcd"] = f"{etcd_version(self.etcd)}, its Go client {client_version()}"
        return machine | {"rounds": f"{self.rounds} of {self.seconds:g} s each"}


def comparison_options(
    *, rounds: int, seconds: float, serve: str, output: str, connections: int | None = CONNECTIONS
) -> Callable[[Command], Command]:
    """The options that all comparisons have, with these defaults; no option for connections where they are None."""
    options = [
        click.option("--quick", is_flag=True, help="One short round, to try it out."),
        click.option("--rounds", default=rounds, show_default=True, type=click.IntRange(1), help="How often."),
        click.option("--seconds", default=seconds, show_default=True, help="Of each load in a round."),
        click.option("--etcd", type=click.Path(path_type=Path, dir_okay=False), help="The etcd program."),
        click.option("--no-etcd", is_flag=True, help="Oarlock alone."),
        click.option(
            "--directory", type=click.Path(path_type=Path, file_okay=False, exists=True), help="For the data."
        ),
        click.option("--output", default=output, show_default=True, help="Files to write: with .md and .json."),
        click.option(
            "--serve", default=serve, show_default=True, help="Further arguments of oarlock serve, as one text."
        ),
    ]
    if connections is not None:
        options.append(
            click.option("--etcd-connections", default=connections, show_default=True, help="Of the load on etcd.")
        )

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def settings_of(options: dict[str, Any]) -> Settings:
    """The settings that the options of ``comparison_options`` stand for.

    Raises:
        RuntimeError: there is no etcd.
    """
    return Settings(
        1 if options["quick"] else options["rounds"],
        0.5 if options["quick"] else options["seconds"],
        None if options["no_etcd"] else find_etcd(options["etcd"]),
        options.get("etcd_connections", CONNECTIONS),
        tuple(options["serve"].split()),
    )


async def compared(directory: Path, members: int, tasks: Sequence[Task], settings: Settings) -> list[Comparison]:
    """Starts both systems below ``directory``, and compares them.

    Raises:
        RuntimeError: one did not start, or a request failed.
        OarlockError: the server did not answer.
    """
    sides = both_sides(directory, members, settings.serve, settings.etcd, settings.connections)
    async with sides as contenders:
        return await compare(contenders, tasks, settings.rounds, settings.seconds, tell)


def tell(line: str) -> None:
    """Says how far it is, on standard error."""
    click.echo(line, err=True)


def in_a_directory(work: Callable[[Path], Coroutine[Any, Any, T]], above: Path | None) -> T:
    """Runs ``work`` with a temporary directory; ends the program with one line where that fails.

    Whoever ends it before, by a signal or its terminal, ends the servers that it has started: they have sessions of
    their own, and nobody else would.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="oarlock-bench-", dir=above) as place:
            return run(_until_told(work(Path(place))))
    except asyncio.CancelledError:
        sys.exit(ENDED)
    except (OarlockError, RuntimeError) as problem:
        click.echo(f"Error: {problem}", err=True)
        sys.exit(1)


async def _until_told(work: Coroutine[Any, Any, T]) -> T:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await work


@click.command()
@comparison_options(rounds=3, seconds=2.5, serve="", output="build/compare")
def main(directory: Path | None, output: str, **options: Any) -> None:
    """Compare one member of Oarlock with one of etcd."""

    async def work(place: Path) -> dict[str, Any]:
        settings = settings_of(options)
        machine = settings.machine(place)
        return document("compare", machine, [], await compared(place, 1, TASKS, settings))

    click.echo(save(in_a_directory(work, directory), Path(output)))


if __name__ == "__main__":
    main()

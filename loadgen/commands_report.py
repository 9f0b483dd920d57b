"""The option ``--report`` of ``oarlock bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

import click

from oarlock.loadgen.html_report import Charted, write_report
from oarlock.loadgen.machine import describe_host
from oarlock.loadgen.pictures import check_pictures

_PATH: Final = "oarlock.loadgen.report"


class Chartable(Protocol):
    """Results that a report can be made of."""

    def charted(self) -> Charted:
        """What it shows."""


def _keep(context: click.Context, option: click.Parameter, value: Path | None) -> None:
    """Refused before the load, and not after it, where it could not be made."""
    if value is not None:
        try:
            check_pictures()
        except ValueError as problem:
            raise click.UsageError(str(problem)) from None
        if not value.absolute().parent.is_dir():
            raise click.UsageError(f"there is no directory {value.parent} for the report")
    context.meta[_PATH] = value


report_option = click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    metavar="FILE.html",
    help="Write curves and time lines there, too; takes matplotlib.",
    expose_value=False,
    callback=_keep,
)


def report(results: Chartable) -> None:
    """Writes the report that the running command was asked for, if it was."""
    path: Path | None = click.get_current_context().meta[_PATH]
    if path is not None:
        write_report(results.charted(), describe_host(), path)
        click.echo(f"report: {path}", err=True)

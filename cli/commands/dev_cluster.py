"""``oarlock dev-cluster``: a whole cluster in one terminal."""

from __future__ import annotations

from pathlib import Path

import click

from oarlock.cli.groups import client_command
from oarlock.host.dev_plan import DEFAULT_BASE_PORT, MOST_MEMBERS


@client_command(
    "dev-cluster",
    [
        click.Option(
            ["--members"], type=click.IntRange(1, MOST_MEMBERS), default=3, metavar="N",
            help="How many members.", show_default=True,
        ),
        click.Option(
            ["--data-dir"], type=click.Path(path_type=Path, file_okay=False), metavar="PATH",
            help="Where the data go, and stay; by default they are temporary.",
        ),
        click.Option(
            ["--base-port"], type=click.IntRange(0, 65535), default=DEFAULT_BASE_PORT, metavar="N",
            help="Native port of the first member; the others follow in steps of 10, each with its other ports around "
            "it. 0 takes any free ports.", show_default=True,
        ),
        click.Option(
            ["--workers"], type=click.IntRange(1, 256), default=1, metavar="N",
            help="Worker processes of each member.", show_default=True,
        ),
        click.Option(
            ["--log-level"], type=click.Choice(["debug", "info", "warning", "error"]), default="info",
            metavar="LEVEL", help="Least level that members log.", show_default=True,
        ),
    ],
)  # fmt: skip
@click.pass_context
def dev_cluster(
    context: click.Context,
    invocation: object,
    members: int,
    data_dir: Path | None,
    base_port: int,
    workers: int,
    log_level: str,
) -> None:
    """Run a whole cluster on this machine, in one terminal.

    Every line of a member's log has its name in front. Keys make members fail: a digit chooses one, then s stops it
    (it hands over leadership first), f freezes it as if its machine hung, t thaws it, k kills it as a power cut would,
    and r starts it again. q or Ctrl-C ends everything; nothing is left behind.
    """
    from oarlock.host.dev_cluster import Options, run

    context.exit(run(Options(members, data_dir, base_port, workers, log_level)))

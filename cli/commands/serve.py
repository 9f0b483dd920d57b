"""``oarlock serve``: the server, in the foreground."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click

from oarlock.host import config
from oarlock.host.settings import SETTINGS


def _setting_options(command: Callable[..., None]) -> Callable[..., None]:
    """One option a setting. Text only: the settings have one parser, whatever source a value is from."""
    for setting in reversed(SETTINGS):
        option = click.option(
            f"--{setting.flag}",
            setting.field,
            metavar="TEXT",
            help=f"{setting.help}  [default: {setting.default or 'none'}; env: {setting.variable}]",
        )
        command = option(command)
    return command


@click.command("serve", short_help="Run a server.")
@click.option("--config-file", metavar="PATH", help=f"TOML file of settings.  [env: {config.CONFIG_FILE_VARIABLE}]")
@_setting_options
@click.pass_context
def serve(context: click.Context, /, config_file: str | None, **given: Any) -> None:
    """Run a server in the foreground until SIGTERM or Ctrl-C; a second one does not wait.

    A setting comes from its flag, else from its environment variable, else from the TOML file, else its default. Keys
    of the file are the flags without the dashes in front: workers = 2.
    """
    flags = {setting.flag: given[setting.field] for setting in SETTINGS}
    settings = config.load(flags, os.environ, config_file)
    from oarlock.host.supervisor import run  # when the settings are good: it takes a while

    context.exit(run(settings))

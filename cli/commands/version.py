"""``oarlock version``."""

from __future__ import annotations

from oarlock.cli.groups import client_command
from oarlock.cli.invocation import Invocation, write

API_VERSION = "3.5"
"""The etcd API whose commands and output these are."""


@client_command("version")
def version(invocation: Invocation) -> None:
    """Print the version."""
    import oarlock

    write(f"oarlock version: {oarlock.__version__}\nAPI version: {API_VERSION}\n".encode())

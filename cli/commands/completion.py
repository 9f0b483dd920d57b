"""``oarlock completion``."""

from __future__ import annotations

import click

from oarlock.cli.errors import BadArgumentsError
from oarlock.cli.groups import client_command
from oarlock.cli.invocation import Invocation, write

SHELLS = ("bash", "zsh", "fish")


@client_command("completion", [click.Argument(["shell"], required=False, metavar="|".join(SHELLS))])
@click.pass_context
def completion(ctx: click.Context, invocation: Invocation, shell: str | None) -> None:
    """Print a shell's completion script.

    For the shell you are in: source <(oarlock completion bash)
    """
    from click.shell_completion import get_completion_class

    from oarlock.cli.main import COMPLETION_VARIABLE, PROGRAM

    found = get_completion_class(shell) if shell in SHELLS and shell is not None else None
    if found is None:
        raise BadArgumentsError(f"completion needs the name of a shell, one of {', '.join(SHELLS)}")
    write((found(ctx.find_root().command, {}, PROGRAM, COMPLETION_VARIABLE).source() + "\n").encode())

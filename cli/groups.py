"""Command classes: unambiguous prefixes, global flags at every level, modules imported when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click

from oarlock.cli.errors import FlagError
from oarlock.cli.gotext import quote
from oarlock.cli.options import global_options, normalise, with_parameters

GLOBAL_FLAGS_NOTE = "Global flags (see `oarlock --help`) may stand anywhere on the line."


class ClientCommand(click.Command):
    """A command that takes the global flags beside its own."""

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        attributes.setdefault("epilog", GLOBAL_FLAGS_NOTE)
        super().__init__(*arguments, **attributes)
        self.params.extend(global_options(top=False))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, normalise(self.params, args))


class PrefixGroup(click.Group):
    """A group whose commands may be abbreviated, as long as it is clear which one is meant."""

    command_class = ClientCommand

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.params.extend(global_options(top=False))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help())
            ctx.exit(0)
        return super().parse_args(ctx, normalise(self.params, args))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = self._full_name(ctx, args[0])
        return name, self.get_command(ctx, name) if name else None, args[1:]

    def _full_name(self, ctx: click.Context, given: str) -> str | None:
        names = self.list_commands(ctx)
        matches = [given] if given in names else [name for name in names if name.startswith(given)]
        if len(matches) == 1:
            return matches[0]
        if ctx.resilient_parsing:  # a shell asks for completions, and wants no errors
            return None
        if matches:
            raise FlagError(f"ambiguous command {quote(given)} for {quote(ctx.command_path)}: {', '.join(matches)}")
        raise FlagError(f"unknown command {quote(given)} for {quote(ctx.command_path)}")


@dataclass(frozen=True, slots=True)
class Lazy:
    """A command that is imported when it is used.

    Attributes:
        name: what the user types.
        target: ``module:attribute`` of the click command.
        help: the first sentence of its help, so that the overview need not import it (a test compares them).
    """

    name: str
    target: str
    help: str

    def load(self) -> click.Command:
        """Imports the command.

        Raises:
            ImportError: its module is not installed.
        """
        module, attribute = self.target.split(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command), f"{self.target} is not a command"
        return command


class LazyGroup(PrefixGroup):
    """The top level: its commands are named in a table and imported one by one."""

    def __init__(self, name: str, table: Sequence[Lazy], **attributes: Any) -> None:
        super().__init__(name, **attributes)
        self.table = {entry.name: entry for entry in table}
        self.params[-len(global_options(top=True)) :] = global_options(top=True)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self.table.get(cmd_name)
        return entry.load() if entry else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(entry.name, entry.help) for entry in self.table.values()])


def client_command(
    name: str,
    parameters: Sequence[click.Parameter] = (),
    group: click.Group | None = None,
    command_class: type[ClientCommand] = ClientCommand,
) -> Callable[[Callable[..., Any]], ClientCommand]:
    """Makes a client command of a function that takes the Invocation and the parameters.

    Args:
        name: what the user types.
        parameters: its own flags and arguments; the global ones are added.
        group: the group that it belongs to, none for the top level.
        command_class: what becomes of it.
    """

    def decorate(function: Callable[..., Any]) -> ClientCommand:
        command = click.command(name, cls=command_class)(with_parameters(parameters)(click.pass_obj(function)))
        if group is not None:
            group.add_command(command)
        return command

    return decorate

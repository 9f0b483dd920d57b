"""Flags as etcdctl's parser (spf13/pflag) takes them, on top of click, and the global ones of every command.

What click does otherwise: a truth value may be given (``--prefix=false``), numbers may be hexadecimal, durations are
Go's, and the global flags may stand before or after the verb.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from oarlock.cli.errors import BadFeatureError, FlagError
from oarlock.cli.gotext import parse_bool, parse_duration_s, parse_int, quote
from oarlock.cli.invocation import DEFAULT_ENDPOINT, Invocation
from oarlock.cli.output import PRINTERS

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])

if TYPE_CHECKING:
    ParamType = click.ParamType[Any]  # generic for type checkers, and not in every click at run time
else:
    ParamType = click.ParamType


class GoValue(ParamType):
    """A flag's value, read by one of Go's parsers."""

    def __init__(self, name: str, parse: Callable[[str], object]) -> None:
        self.name = name
        self.parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self.parse(value)
        except ValueError as problem:
            names = ", ".join(param.opts) if param else self.name
            raise FlagError(f"invalid argument {quote(value)} for {quote(names)} flag: {problem}") from None


def _positive_duration_s(text: str) -> float:
    seconds = parse_duration_s(text)
    if seconds <= 0:
        raise ValueError("must be more than 0")
    return seconds


BOOL = GoValue("bool", parse_bool)
INT = GoValue("int", lambda text: parse_int(text, 0))
DURATION = GoValue("duration", _positive_duration_s)


class Bytes(ParamType):
    """An argument as the bytes that the shell passed, UTF-8 or not."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        return os.fsencode(value)


class Format(ParamType):
    name = "format"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in PRINTERS:
            raise BadFeatureError(
                f"unsupported output format {quote(str(value))}: must be one of {', '.join(PRINTERS)}"
            )
        return str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(name) for name in PRINTERS if name.startswith(incomplete)]


class Flag(click.Option):
    """A truth value: ``--prefix``, ``--prefix=true`` and ``--prefix=false``."""

    def __init__(self, declarations: Sequence[str], **attributes: Any) -> None:
        super().__init__(declarations, is_flag=False, type=BOOL, default=False, metavar="", **attributes)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        return None if record is None else (record[0].rstrip(), record[1])


def flag(*declarations: str, help: str) -> click.Option:
    return Flag(declarations, help=help)


def number(*declarations: str, help: str) -> click.Option:
    return click.Option(declarations, type=INT, default=0, metavar="N", help=help)


def text(*declarations: str, metavar: str, help: str, default: str = "") -> click.Option:
    return click.Option(declarations, default=default, metavar=metavar, help=help)


def words(metavar: str) -> click.Argument:
    """All positional arguments, as bytes; how many there may be is for the command to say, in etcdctl's words."""
    return click.Argument(["words"], nargs=-1, type=Bytes(), metavar=metavar)


def with_parameters(parameters: Sequence[click.Parameter]) -> Callable[[AnyFunction], AnyFunction]:
    """Gives a function shared parameters before click makes a command of it (what ``click.option`` does for one)."""

    def decorate(function: AnyFunction) -> AnyFunction:
        existing = getattr(function, "__click_params__", [])
        function.__click_params__ = [*existing, *reversed(parameters)]  # type: ignore[attr-defined]
        return function

    return decorate


def normalise(parameters: Sequence[click.Parameter], arguments: Sequence[str]) -> list[str]:
    """Spells truth flags and ``-w=json`` so that click reads them: every flag with a value, up to ``--``.

    >>> normalise([flag("--prefix", help="")], ["a", "--prefix", "--", "--prefix"])
    ['a', '--prefix=true', '--', '--prefix']
    """
    truth = {name: option.opts[-1] for option in parameters if isinstance(option, Flag) for name in option.opts}
    shorts = {name for option in parameters for name in option.opts if len(name) == 2}
    result: list[str] = []
    for position, argument in enumerate(arguments):
        if argument == "--":
            return [*result, *arguments[position:]]
        if argument in truth:
            argument = f"{truth[argument]}=true"
        elif argument[2:3] == "=" and argument[:2] in shorts:
            argument = argument[:2] + argument[3:]
        result.append(argument)
    return result


def _store(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Keeps a global flag: from the top level always, from a deeper one if it was given there."""
    if ctx.parent is None or ctx.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE:
        setattr(ctx.ensure_object(Invocation).settings, str(param.name), value)


def _store_endpoints(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> None:
    endpoints = tuple(part.strip() for value in values for part in value.split(",") if part.strip())
    if values and not endpoints:
        raise FlagError("--endpoints must name at least one endpoint")
    _store(ctx, param, endpoints)


def global_options(*, top: bool) -> list[click.Option]:
    """The flags that every client command takes; only those of the top level read the environment and show in help."""

    def common(name: str) -> dict[str, Any]:
        variable = f"OARLOCK_{name.upper().replace('-', '_')}"
        return {
            "expose_value": False,
            "callback": _store_endpoints if name == "endpoints" else _store,
            "hidden": not top,
            "envvar": variable if top else None,
            "show_envvar": True,
            "show_default": name not in ("hex", "debug"),
        }

    return [
        click.Option(
            ["--endpoints"], multiple=True, metavar="HOST:PORT,…", default=(DEFAULT_ENDPOINT,),
            help="Where the cluster listens; several are tried in turn.", **common("endpoints"),
        ),
        click.Option(
            ["-w", "--write-out"], type=Format(), metavar="|".join(PRINTERS), default="simple",
            help="The output format.", **common("write-out"),
        ),
        Flag(["--hex"], help="Print keys and values as \\xNN bytes (simple format).", **common("hex")),
        click.Option(
            ["--dial-timeout", "dial_timeout_s"], type=DURATION, metavar="DURATION", default="2s",
            help="How long to wait for a connection.", **common("dial-timeout"),
        ),
        click.Option(
            ["--command-timeout", "command_timeout_s"], type=DURATION, metavar="DURATION", default="5s",
            help="How long to wait for the answer to a short command.", **common("command-timeout"),
        ),
        Flag(["--debug"], help="Show a traceback when something fails.", **common("debug")),
    ]  # fmt: skip

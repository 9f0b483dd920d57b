"""What ends a command: one line for a person, and etcdctl's exit code for a script."""

from __future__ import annotations

from typing import ClassVar, Final

import click

from oarlock import OarlockError

OK: Final = 0
FAILED: Final = 1
INTERRUPTED_BY_USER: Final = 130
"""128 + SIGINT, as a shell reports it."""
BROKEN_PIPE: Final = 141
"""128 + SIGPIPE: whoever read our output went away."""


class CommandError(OarlockError):
    """The root of what a command refuses or cannot do; ``exit_code`` is the process's (etcdctl, error.go)."""

    exit_code: ClassVar[int] = FAILED
    text = "command failed"


class FlagError(CommandError):
    """An unknown flag, a flag without its value, or a value that the flag cannot take."""


class BadConnectionError(CommandError):
    exit_code = 2


class InvalidInputError(CommandError):
    """A line of a transaction or of an interactive watch that cannot be understood."""

    exit_code = 3


class BadFeatureError(CommandError):
    """An output format, order, sort target or consistency that there is not."""

    exit_code = 4


class WatchCanceledError(CommandError):
    exit_code = 5
    text = "watch is canceled by the server"


class BadArgumentsError(CommandError):
    """Too few or too many arguments, or arguments and flags that exclude each other."""

    exit_code = 128


class ReportedError(CommandError):
    """The problem is on standard error already: only the exit code is left to give."""


def from_usage_error(error: click.UsageError) -> CommandError:
    """A click error in the words of etcdctl's flag parser (spf13/pflag)."""
    if isinstance(error, click.NoSuchOption):
        return FlagError(unknown_flag(error.option_name))
    if isinstance(error, click.BadOptionUsage):
        return FlagError(f"flag needs an argument: {error.option_name}")
    if isinstance(error, click.MissingParameter):
        return BadArgumentsError(error.format_message())
    return FlagError(error.format_message())


def unknown_flag(name: str) -> str:
    if name.startswith("--"):
        return f"unknown flag: {name}"
    return f"unknown shorthand flag: '{name.lstrip('-')[:1]}' in {name}"

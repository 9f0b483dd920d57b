"""A command with flags inside a line of text: the same flags as on the command line, without the global ones."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import click

from oarlock.cli.errors import InvalidInputError, from_usage_error
from oarlock.cli.options import normalise, words


def parse_line_command(
    name: str, flags: Sequence[click.Parameter], arguments: Sequence[bytes]
) -> tuple[tuple[bytes, ...], dict[str, Any]]:
    """Parts a command's arguments into positional words and flags.

    Args:
        name: for messages.
        flags: what it takes.
        arguments: all that follows the command's name.

    Returns:
        The positional words, and the flags by name.

    Raises:
        FlagError: an unknown flag, or a value that it cannot take.
        InvalidInputError: a word that no flag parser can hold.
    """
    parameters = [*flags, words("WORDS")]
    command = click.Command(name, params=parameters, add_help_option=False)
    texts = [os.fsdecode(argument) for argument in arguments]
    try:
        values = command.make_context(name, normalise(parameters, texts)).params
    except click.UsageError as problem:
        raise from_usage_error(problem) from None
    except UnicodeError:
        raise InvalidInputError(f"{name}: an argument is not valid text") from None
    return values.pop("words"), values

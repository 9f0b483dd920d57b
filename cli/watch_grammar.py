"""The lines of an interactive watch, and the words of a plain one. No I/O.

::

    watch [--prefix] [--rev N] [--prev-kv] KEY [RANGE_END] [-- COMMAND...]
    progress

The key may also come from the environment (OARLOCK_WATCH_KEY and OARLOCK_WATCH_RANGE_END), and then not from the line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from oarlock.cli.errors import BadArgumentsError, InvalidInputError
from oarlock.cli.line_commands import parse_line_command
from oarlock.cli.requests import WATCH_FLAGS, WatchRequest
from oarlock.cli.words import split_words

KEY_VARIABLE: Final = "OARLOCK_WATCH_KEY"
RANGE_END_VARIABLE: Final = "OARLOCK_WATCH_RANGE_END"

Word = TypeVar("Word", str, bytes)


class IgnoredLineError(InvalidInputError):
    """A line that is no watch: said so, and the next one is read."""


@dataclass(frozen=True, slots=True)
class ProgressLine:
    """Asks how far the watches have got."""


def split_command(words: Sequence[Word]) -> tuple[list[Word], list[Word]]:
    """Parts ``KEY -- COMMAND...`` at the first ``--``.

    Raises:
        BadArgumentsError: nothing follows it.
    """
    for position, word in enumerate(words):
        if word in ("--", b"--"):
            if position + 1 == len(words):
                raise BadArgumentsError("bad number of arguments (found separator --, but no commands)")
            return list(words[:position]), list(words[position + 1 :])
    return list(words), []


def with_environment_key(words: Sequence[bytes], environment: Mapping[bytes, bytes]) -> list[bytes]:
    """The key and range of the command line, or else those of the environment.

    Raises:
        BadArgumentsError: both, or a range without a key.
    """
    key = environment.get(KEY_VARIABLE.encode())
    range_end = environment.get(RANGE_END_VARIABLE.encode())
    if not key:
        if range_end:
            raise BadArgumentsError(f"{RANGE_END_VARIABLE} is set, but {KEY_VARIABLE} is not")
        return list(words)
    if words:
        raise BadArgumentsError("bad number of arguments (found conflicting environment key)")
    return [key, range_end] if range_end else [key]


def parse_watch_line(line: bytes, environment: Mapping[bytes, bytes]) -> WatchRequest | ProgressLine:
    """Reads one line.

    Args:
        line: with or without its newline.
        environment: the process's, for the key.

    Raises:
        IgnoredLineError: another command, no key, or a range together with --prefix; the next line may be better.
        CommandError: anything else that cannot be; it ends the command (as in etcdctl).
    """
    shown = line.strip().decode(errors="replace")
    try:
        words = split_words(line)
    except InvalidInputError as problem:
        raise IgnoredLineError(f"Invalid command {shown} ({problem.message})") from None
    if words == [b"progress"]:
        return ProgressLine()
    if not words or words[0] != b"watch":
        raise IgnoredLineError(f"Invalid command {shown} (watch and progress supported)")
    own, command = split_command(words[1:])
    positional, flags = parse_line_command("watch", WATCH_FLAGS, own)
    chosen = with_environment_key(positional, environment)
    try:
        return WatchRequest.parse(chosen, command, **flags)
    except BadArgumentsError as problem:
        raise IgnoredLineError(f"Invalid command {shown} ({problem.message})") from None

"""The text of a transaction: three blocks of lines, each ended by an empty one. No I/O.

::

    mod("door") > "0"            compares; all must hold
                                 (an empty line)
    put door open --prev-kv      requests for the case that they do
                                 (an empty line)
    get door                     requests for the case that they do not
                                 (an empty line)

A compare is ``TARGET("KEY") OPERATOR "VALUE"``. Targets: ``ver``/``version``, ``c``/``create``, ``m``/``mod``,
``val``/``value``, ``lease`` (a hexadecimal value). Operators: ``=``, ``!=``, ``<``, ``>``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from oarlock.cli.errors import InvalidInputError
from oarlock.cli.gotext import parse_int
from oarlock.cli.line_commands import parse_line_command
from oarlock.cli.requests import (
    DELETE_FLAGS,
    GET_FLAGS,
    PUT_FLAGS,
    DeleteRequest,
    GetRequest,
    PutRequest,
)
from oarlock.cli.words import split_words, unquoted

PROMPTS: Final = ("compares:", "success requests (get, put, del):", "failure requests (get, put, del):")

_COMPARE: Final = re.compile(
    rb'(?P<target>\w+)\(\s*"(?P<key>(?:[^"\\]|\\.)*)"\s*\)\s*(?P<operator>[^\s"]*)\s+"(?P<value>(?:[^"\\]|\\.)*)"'
)
_TARGETS: Final = {
    "ver": "version", "version": "version", "c": "create", "create": "create", "m": "mod", "mod": "mod",
    "val": "value", "value": "value", "lease": "lease",
}  # fmt: skip
_OPERATORS: Final = ("=", "!=", "<", ">")
_REQUESTS: Final[dict[bytes, tuple[Any, Callable[..., Any]]]] = {
    b"put": (PUT_FLAGS, PutRequest.parse),
    b"get": (GET_FLAGS, GetRequest.parse),
    b"del": (DELETE_FLAGS, DeleteRequest.parse),
}


@dataclass(frozen=True, slots=True)
class CompareLine:
    """One condition: ``operand`` is bytes for the target "value", else a number."""

    target: str
    key: bytes
    operator: str
    operand: bytes | int


RequestLine = PutRequest | GetRequest | DeleteRequest


@dataclass(slots=True)
class TxnText:
    """A transaction's text, fed line by line. Done after the third empty line; what follows is not looked at."""

    compares: list[CompareLine] = field(default_factory=list)
    success: list[RequestLine] = field(default_factory=list)
    failure: list[RequestLine] = field(default_factory=list)
    block: int = 0

    @property
    def done(self) -> bool:
        return self.block == len(PROMPTS)

    @property
    def prompt(self) -> str:
        """What to ask the user for next."""
        return PROMPTS[self.block]

    def feed(self, line: bytes) -> None:
        """Takes the next line.

        Raises:
            CommandError: the line cannot be understood, or asks for something that cannot be.
        """
        stripped = line.strip()
        if not stripped:
            self.block += 1
        elif self.block == 0:
            self.compares.append(parse_compare(stripped))
        else:
            (self.success if self.block == 1 else self.failure).append(parse_request(stripped))


def parse_compare(line: bytes) -> CompareLine:
    """Reads ``TARGET("KEY") OPERATOR "VALUE"``.

    Raises:
        InvalidInputError: it is not that.
    """
    shown = line.decode(errors="replace")
    match = _COMPARE.fullmatch(line)
    if match is None:
        raise InvalidInputError(f'malformed comparison: {shown} (must be TARGET("KEY") OPERATOR "VALUE")')
    target, operator = match["target"].decode(errors="replace"), match["operator"].decode(errors="replace")
    if target not in _TARGETS:
        raise InvalidInputError(f"malformed comparison: {shown} (unknown target {target})")
    if operator not in _OPERATORS:
        raise InvalidInputError(f"malformed comparison: {shown} (unknown operator {operator or 'none'})")
    operand = _operand(_TARGETS[target], unquoted(match["value"]), shown)
    return CompareLine(_TARGETS[target], unquoted(match["key"]), operator, operand)


def _operand(target: str, value: bytes, line: str) -> bytes | int:
    if target == "value":
        return value
    try:
        return parse_int(value.decode(errors="replace"), 16 if target == "lease" else 10)
    except ValueError as problem:
        raise InvalidInputError(f"invalid txn compare request: {line} ({problem})") from None


def parse_request(line: bytes) -> RequestLine:
    """Reads ``put``, ``get`` or ``del`` with its arguments and flags.

    Raises:
        InvalidInputError: another command, or quotes that do not match.
        CommandError: what the command itself refuses.
    """
    words = split_words(line)
    if len(words) < 2 or words[0] not in _REQUESTS:
        raise InvalidInputError(f"invalid txn request: {line.decode(errors='replace')}")
    flags, parse = _REQUESTS[words[0]]
    arguments, options = parse_line_command(words[0].decode(), flags, words[1:])
    request: RequestLine = parse(arguments, **options)
    return request

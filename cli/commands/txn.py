"""``oarlock txn``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from oarlock.cli.errors import BadArgumentsError, InvalidInputError
from oarlock.cli.groups import client_command
from oarlock.cli.invocation import Invocation, write
from oarlock.cli.options import flag, words
from oarlock.cli.txn_grammar import CompareLine, TxnText

if TYPE_CHECKING:
    from oarlock import Compare


@client_command("txn", [flag("-i", "--interactive", help="Ask for each block of lines."), words("")])
def txn(invocation: Invocation, words: tuple[bytes, ...], interactive: bool) -> None:
    """Run compares and operations in one transaction.

    \b
    Reads three blocks of lines from standard input, each ended by an empty line:
      1. compares, all of which must hold:  TARGET("KEY") OPERATOR "VALUE"
         TARGET is version, create, mod, value or lease; OPERATOR is =, !=, < or >
      2. put, get and del commands for the case that they hold
      3. put, get and del commands for the case that they do not

    Words are quoted as 'literal' or "with \\n escapes".
    """
    if words:
        raise BadArgumentsError("txn command does not accept argument")
    printer = invocation.printer("transaction")
    text = read_text(interactive)
    with invocation.client() as client:
        result = client.transaction(
            [builder(compare) for compare in text.compares],
            [request.operation() for request in text.success],
            [request.operation() for request in text.failure],
        )
    printer.transaction(result)


def read_text(interactive: bool) -> TxnText:
    """The transaction that standard input holds.

    Raises:
        InvalidInputError: it ends too early.
        CommandError: one of its lines cannot be.
    """
    text = TxnText()
    shown = -1
    while not text.done:
        if interactive and shown != text.block:
            write(f"{text.prompt}\n".encode())
            shown = text.block
        line = sys.stdin.buffer.readline()
        if not line.endswith(b"\n"):
            raise InvalidInputError(
                "unexpected EOF: a transaction is three blocks of lines, each ended by an empty line"
            )
        text.feed(line)
    return text


def builder(compare: CompareLine) -> Compare:
    """The client's form of a condition."""
    import oarlock

    targets = {
        "version": oarlock.version,
        "create": oarlock.create_revision,
        "mod": oarlock.mod_revision,
        "value": oarlock.value,
        "lease": oarlock.lease_of,
    }
    stored, operand = targets[compare.target](compare.key), compare.operand
    if compare.operator == "=":
        return stored == operand
    if compare.operator == "!=":
        return stored != operand
    return stored < operand if compare.operator == "<" else stored > operand

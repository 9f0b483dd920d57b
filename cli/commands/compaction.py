"""``oarlock compaction`` (also ``oarlock compact``, since commands may be abbreviated)."""

from __future__ import annotations

from oarlock.cli.errors import BadArgumentsError, FlagError
from oarlock.cli.gotext import parse_int
from oarlock.cli.groups import client_command
from oarlock.cli.invocation import Invocation, write
from oarlock.cli.options import flag, words


@client_command(
    "compaction",
    [flag("--physical", help="Wait until the old revisions are gone from the disk."), words("REVISION")],
)
def compaction(invocation: Invocation, words: tuple[bytes, ...], physical: bool) -> None:
    """Compact the history of the store.

    Revisions before REVISION can no longer be read or watched afterwards.
    """
    if len(words) != 1:
        raise BadArgumentsError("compaction command needs 1 argument")
    try:
        revision = parse_int(words[0].decode(errors="replace"))
    except ValueError as problem:
        raise FlagError(str(problem)) from None
    with invocation.client() as client:
        client.compact(revision, physical)
    write(f"compacted revision {revision}\n".encode())

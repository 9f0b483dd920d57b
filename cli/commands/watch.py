"""``oarlock watch``."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from oarlock.cli.errors import BadArgumentsError, InvalidInputError
from oarlock.cli.groups import ClientCommand, client_command
from oarlock.cli.invocation import Invocation
from oarlock.cli.options import flag, words
from oarlock.cli.requests import WATCH_FLAGS, WatchRequest
from oarlock.cli.watch_grammar import (
    IgnoredLineError,
    ProgressLine,
    parse_watch_line,
    split_command,
    with_environment_key,
)
from oarlock.cli.watching import LineWatches, watch_to_the_end

_COMMAND_KEY = "oarlock.watch.command"


class WatchCommand(ClientCommand):
    """Keeps what follows ``--`` apart: click would mix it with the words before."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own, command = split_command(args)
        ctx.meta[_COMMAND_KEY] = [os.fsencode(word) for word in command]
        return super().parse_args(ctx, own)


@client_command(
    "watch",
    [
        flag("-i", "--interactive", help="Read what to watch from standard input, line by line."),
        *WATCH_FLAGS,
        flag("--progress-notify", help="Print progress notifications of the server."),
        words("[KEY] [RANGE_END] [-- COMMAND...]"),
    ],
    command_class=WatchCommand,
)
@click.pass_context
def watch(
    ctx: click.Context,
    /,
    invocation: Invocation,
    words: tuple[bytes, ...],
    interactive: bool,
    progress_notify: bool,
    **flags: Any,
) -> None:
    """Watch the events of a key, a range or a prefix.

    COMMAND runs once for each event, with ETCD_WATCH_REVISION, ETCD_WATCH_EVENT_TYPE, ETCD_WATCH_KEY and
    ETCD_WATCH_VALUE in its environment (the last three as quoted strings). KEY and RANGE_END may also come from
    OARLOCK_WATCH_KEY and OARLOCK_WATCH_RANGE_END.

    \b
    With -i, each line of standard input is one of
      watch [--prefix] [--rev N] [--prev-kv] KEY [RANGE_END] [-- COMMAND...]
      progress
    """
    if interactive:
        if words or ctx.meta[_COMMAND_KEY]:
            raise BadArgumentsError("watch -i takes no arguments: what to watch comes from standard input")
        watch_lines(invocation)
        return
    chosen = with_environment_key(words, os.environb)
    request = WatchRequest.parse(chosen, ctx.meta[_COMMAND_KEY], progress_notify=progress_notify, **flags)
    watch_to_the_end(invocation, request)


def watch_lines(invocation: Invocation) -> None:
    """Starts a watch for each line of standard input, until it ends.

    Raises:
        InvalidInputError: it ended (as in etcdctl, exit code 3).
        CommandError: a line that cannot be.
    """
    printer = invocation.printer("watch")
    with invocation.client() as client, LineWatches(client, printer) as watches:
        while (line := sys.stdin.buffer.readline()).endswith(b"\n"):
            try:
                request = parse_watch_line(line, os.environb)
            except IgnoredLineError as problem:
                print(problem.message, file=sys.stderr, flush=True)
                continue
            if isinstance(request, ProgressLine):
                watches.print_progress()
            else:
                watches.start(request)
    raise InvalidInputError("error reading watch request line: EOF")

"""The ``oarlock`` command: the table of its commands, and the one place where errors become exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from oarlock import ConnectionFailedError, OarlockError
from oarlock.cli import errors
from oarlock.cli.groups import Lazy, LazyGroup
from oarlock.cli.invocation import Invocation

PROGRAM: Final = "oarlock"
COMPLETION_VARIABLE: Final = "_OARLOCK_COMPLETE"

_HERE: Final = "oarlock.cli.commands"
COMMANDS: Final = (
    Lazy("serve", f"{_HERE}.serve:serve", "Run a server."),
    Lazy("dev-cluster", f"{_HERE}.dev_cluster:dev_cluster", "Run a whole cluster on this machine, in one terminal."),
    Lazy("put", f"{_HERE}.put:put", "Put the given key into the store."),
    Lazy("get", f"{_HERE}.get:get", "Get the key or a range of keys."),
    Lazy("del", f"{_HERE}.delete:delete", "Remove the key or a range of keys."),
    Lazy("txn", f"{_HERE}.txn:txn", "Run compares and operations in one transaction."),
    Lazy("watch", f"{_HERE}.watch:watch", "Watch the events of a key, a range or a prefix."),
    Lazy("compaction", f"{_HERE}.compaction:compaction", "Compact the history of the store."),
    Lazy("lease", f"{_HERE}.lease:lease", "Grant, revoke, renew and show leases."),
    Lazy("endpoint", f"{_HERE}.endpoint:endpoint", "Ask each endpoint for its status, health or hash."),
    Lazy("member", f"{_HERE}.member:member", "List, add, remove, update and promote members."),
    Lazy("move-leader", f"{_HERE}.move_leader:move_leader", "Hand leadership over to another member."),
    Lazy("alarm", f"{_HERE}.alarm:alarm", "List and disarm alarms."),
    Lazy("bench", "oarlock.loadgen.commands:bench", "Measure throughput and latency of a cluster."),
    Lazy("version", f"{_HERE}.version:version", "Print the version."),
    Lazy("completion", f"{_HERE}.completion:completion", "Print a shell's completion script."),
)

command = LazyGroup(
    PROGRAM,
    COMMANDS,
    help="A consistent, replicated, versioned key-value store: its server and its client.\n\n"
    "The client commands take etcdctl's verbs, flags and output. Commands may be abbreviated.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def main(arguments: Sequence[str] | None = None, invocation: Invocation | None = None) -> int:
    """Runs one command.

    Args:
        arguments: the words after the program's name; those of the process by default.
        invocation: what the command works with; a fresh one by default.

    Returns:
        The exit code of the process.
    """
    invocation = invocation or Invocation()
    if instruction := os.environ.get(COMPLETION_VARIABLE):
        from click.shell_completion import shell_complete

        return shell_complete(command, {}, PROGRAM, COMPLETION_VARIABLE, instruction)
    try:
        return _run(list(sys.argv[1:] if arguments is None else arguments), invocation)
    except BrokenPipeError:
        _discard_output()
        return errors.BROKEN_PIPE
    except (KeyboardInterrupt, click.Abort):
        return errors.INTERRUPTED_BY_USER
    except Exception as problem:
        if invocation.settings.debug:
            import traceback

            traceback.print_exc()
        return _report(problem)


def _run(arguments: list[str], invocation: Invocation) -> int:
    try:
        with command.make_context(PROGRAM, arguments, obj=invocation) as ctx:
            command.invoke(ctx)
    except click.exceptions.Exit as end:
        return end.exit_code
    return errors.OK


def _report(problem: Exception) -> int:
    """Says in one line what went wrong, and gives the exit code for it."""
    if isinstance(problem, click.UsageError):
        problem = errors.from_usage_error(problem)
    if not isinstance(problem, errors.ReportedError):
        print(f"Error: {_one_line(problem)}", file=sys.stderr)
    if isinstance(problem, errors.CommandError):
        return problem.exit_code
    return errors.BadConnectionError.exit_code if isinstance(problem, ConnectionFailedError) else errors.FAILED


def _one_line(problem: Exception) -> str:
    message = problem.message if isinstance(problem, (OarlockError, click.ClickException)) else str(problem)
    if not isinstance(problem, (OarlockError, OSError, click.ClickException)):
        message = f"{type(problem).__name__}: {message} (a bug; --debug shows where)"
    return " ".join(message.split())


def _discard_output() -> None:
    """Lets nothing more be written where nobody reads: Python flushes standard output once more when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())

"""Running watches: printing their events, and running a command for each."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING

from oarlock.cli.errors import CommandError, WatchCanceledError
from oarlock.cli.gotext import quote
from oarlock.cli.invocation import Invocation
from oarlock.cli.requests import WatchRequest

if TYPE_CHECKING:
    from oarlock import Client, Event, OarlockError, Watch, WatchResponse
    from oarlock.cli.output.printer import Printer


def watch_to_the_end(invocation: Invocation, request: WatchRequest) -> None:
    """Prints the events of a watch until it ends, which only an error or a signal makes it do.

    Raises:
        WatchCanceledError: the server ended it.
        CommandError: the command to run for each event failed.
        OarlockError: no connection.
    """
    printer = invocation.printer("watch")
    with invocation.client() as client:
        from oarlock import OarlockError, WatchResponse
        from oarlock.results import Header

        try:
            with _open(client, request) as watch:
                for response in watch.responses():
                    handle(response, request, printer)
        except CommandError:
            raise
        except OarlockError as problem:
            if printer.format == "json":
                printer.watch(WatchResponse(Header(0, 0, 0, 0), [], problem))
            _say_canceled(problem)
            raise WatchCanceledError from problem


def _open(client: Client, request: WatchRequest) -> Watch:
    return client.watch(
        request.key,
        range_end=request.range_end or None,
        start_revision=request.start_revision,
        prev_kv=request.prev_kv,
        progress_notify=request.progress_notify,
    )


def _say_canceled(problem: OarlockError) -> None:
    print(f"watch was canceled ({problem.message})", file=sys.stderr, flush=True)


def handle(response: WatchResponse, request: WatchRequest, printer: Printer) -> None:
    """Prints a response, and runs the command for each of its events.

    Raises:
        CommandError: the command failed.
    """
    printer.watch(response)
    if request.command:
        for event in response.events:
            run_command(request.command, event, response.header.revision)


def run_command(command: tuple[bytes, ...], event: Event, revision: int) -> None:
    """Runs a command for an event, in the foreground, its output going where ours does.

    Raises:
        CommandError: it cannot be run, or ended with another status than 0.
    """
    environment = {
        **os.environb,
        b"ETCD_WATCH_REVISION": str(revision).encode(),
        b"ETCD_WATCH_EVENT_TYPE": quote(event.type.name).encode(),
        b"ETCD_WATCH_KEY": quote(event.kv.key).encode(),
        b"ETCD_WATCH_VALUE": quote(event.kv.value).encode(),
    }
    shown = f"command [{' '.join(quote(word) for word in command)}] error"
    try:
        status = subprocess.run(command, env=environment, check=False).returncode
    except (OSError, ValueError) as problem:
        raise CommandError(f"{shown} ({problem})") from problem
    if status:
        raise CommandError(f"{shown} ({f'exit status {status}' if status > 0 else f'signal {-status}'})")


class LineWatches:
    """The watches of an interactive one, which run while the next line is read.

    Responses come on the client's thread: a slow command holds up the other watches of this program, but loses no
    event, since a watch that falls behind pulls what it missed.
    """

    def __init__(self, client: Client, printer: Printer) -> None:
        self._client = client
        self._printer = printer
        self._printing = threading.Lock()
        self._watches: list[Watch] = []

    def __enter__(self) -> LineWatches:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        for watch in self._watches:
            watch.cancel()

    def start(self, request: WatchRequest) -> None:
        """Starts another watch; why it cannot start, or why it ended, is said on standard error."""
        from oarlock import OarlockError

        def deliver(response: WatchResponse) -> None:
            if response.error is not None:
                _say_canceled(response.error)
            elif response.events:
                self._deliver(response, request)

        try:
            watch = self._client.add_watch_callback(
                request.key,
                deliver,
                range_end=request.range_end or None,
                start_revision=request.start_revision,
                prev_kv=request.prev_kv,
                progress_notify=True,  # not to print it, but to know it when it is asked for
            )
        except OarlockError as problem:
            _say_canceled(problem)
        else:
            self._watches.append(watch)

    def _deliver(self, response: WatchResponse, request: WatchRequest) -> None:
        try:
            with self._printing:
                handle(response, request, self._printer)
        except (CommandError, BrokenPipeError) as problem:  # nothing may escape into the client's thread
            print(f"Error: {problem}", file=sys.stderr, flush=True)

    def print_progress(self) -> None:
        """Prints the revision up to which every watch has delivered everything; nothing without a watch."""
        from oarlock import WatchResponse
        from oarlock.results import Header

        if self._watches:
            revision = min(watch.revision for watch in self._watches)
            with self._printing:
                self._printer.watch(WatchResponse(Header(0, 0, revision, 0), []))

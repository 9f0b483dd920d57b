"""Starting one child process: what it inherits, and what the supervisor keeps of it.

The other half of this hand-over, the child's, is ``oarlock.wire.process``.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from oarlock.host.settings import Settings
from oarlock.wire import commit_word, process

_NOT_INHERITED: Final = frozenset({"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID"})
"""What systemd tells the supervisor alone."""


class Program(NamedTuple):
    """What to run for one child.

    ``name`` is unique in a server and names the process in logs and metrics. ``worker_number`` counts from 0, and is
    None for the coordinator.
    """

    name: str
    arguments: tuple[str, ...]
    worker_number: int | None = None

    @property
    def is_worker(self) -> bool:
        """Whether this is a worker rather than the coordinator."""
        return self.worker_number is not None


def programs(settings: Settings) -> list[Program]:
    """The processes of a server: the coordinator first, then the workers."""
    # -P: a module in the current directory must not shadow one of ours
    child = (sys.executable, "-P", "-m", "oarlock.host.child")
    coordinator = Program("coordinator", (*child, "oarlock.coordinator.process"))
    workers = [
        Program(f"worker-{number}", (*child, "oarlock.workers.process"), number) for number in range(settings.workers)
    ]
    return [coordinator, *workers]


class Surroundings(NamedTuple):
    """What all children of a server share.

    ``descriptors`` are inherited by every child: the data directory's lock, which thereby stays taken until the last
    of them is gone, whatever became of the supervisor. So is ``commit_word``, the memory of
    ``oarlock.wire.commit_word``, where there is one.
    """

    settings: Settings
    metrics: Path
    descriptors: Sequence[int] = ()
    commit_word: int | None = None


class Child:
    """One running child: its process, a descriptor that becomes readable when it ends, and its reports.

    Owned by whoever started it, who must `close` it after it has ended.
    """

    def __init__(self, popen: subprocess.Popen[bytes], reports: socket.socket) -> None:
        self._popen = popen
        self.reports = reports
        self.pidfd = os.pidfd_open(popen.pid)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    def exit_code(self) -> int | None:
        """The exit code, or the negative number of the signal that ended it; None while it runs. Reaps it."""
        return self._popen.poll()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal; to a child that has ended, nothing."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def read_reports(self) -> list[dict[str, Any]]:
        """The reports that have come since the last call, without waiting; malformed ones are left out."""
        reports: list[dict[str, Any]] = []
        while packet := self._read_packet():
            with contextlib.suppress(ValueError):
                report = json.loads(packet)
                if isinstance(report, dict):
                    reports.append(report)
        return reports

    def _read_packet(self) -> bytes:
        try:
            return self.reports.recv(process.MAX_REPORT_BYTES)
        except (BlockingIOError, ConnectionResetError):
            return b""

    def close(self) -> None:
        """Gives the descriptors back."""
        self.reports.close()
        os.close(self.pidfd)


def spawn(program: Program, surroundings: Surroundings, *, rebuild: bool = False) -> Child:
    """Starts a child by fork and exec.

    It gets a session of its own, so that Ctrl-C on a terminal reaches the supervisor alone, which then stops the
    children in order.

    Args:
        rebuild: tell a worker to discard its replica.

    Raises:
        OSError: the operating system could not start it.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    theirs.setblocking(False)
    with theirs:
        try:
            popen = subprocess.Popen(
                program.arguments,
                env=_environment(program, surroundings, theirs.fileno(), rebuild),
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), *_inherited(surroundings)),
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
    return Child(popen, ours)


def _inherited(surroundings: Surroundings) -> Sequence[int]:
    word = surroundings.commit_word
    return surroundings.descriptors if word is None else (*surroundings.descriptors, word)


def _environment(program: Program, surroundings: Surroundings, parent_fd: int, rebuild: bool) -> dict[str, str]:
    environment = without_ours(os.environ)
    environment[process.SETTINGS] = surroundings.settings.to_json()
    environment[process.PROCESS_NAME] = program.name
    environment[process.PARENT_FD] = str(parent_fd)
    environment[process.PARENT_PID] = str(os.getpid())
    environment[process.REBUILD_REPLICA] = "1" if rebuild and program.is_worker else "0"
    environment[process.METRICS_DIRECTORY] = str(surroundings.metrics)
    environment[commit_word.COMMIT_WORD_FD] = "" if surroundings.commit_word is None else str(surroundings.commit_word)
    if program.worker_number is not None:
        environment[process.WORKER_NUMBER] = str(program.worker_number)
    return environment


def without_ours(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a child: without what a service manager has told this process alone."""
    return {name: value for name, value in environment.items() if name not in _NOT_INHERITED}

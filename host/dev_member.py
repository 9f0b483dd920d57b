"""One member of a development cluster: its processes, and what a person does to them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Final

import psutil

from oarlock.host.settings import Settings
from oarlock.host.spawn import without_ours
from oarlock.wire import process

STOP_PATIENCE_S: Final = 15.0
"""A server stops by itself within 11 s; then it is killed."""
MAX_LINE_BYTES: Final = 1 << 20
"""The longest line of a log that is passed on whole."""
_PROGRAM: Final = (sys.executable, "-P", "-m", "oarlock.host.dev_child")


class DevMember:
    """Starts and ends one member, and passes on what it says. Owned by the cluster, which must `stop` it.

    Invariant: there is a process exactly while ``running``; the task that reads its output ends after it, by itself.

    Args:
        settings: of the member; the same at every start.
        said: called with every line that it writes.
        ended: called with a few words when it has ended without having been told to.
    """

    def __init__(self, settings: Settings, said: Callable[[str], None], ended: Callable[[str], None]) -> None:
        self.name = settings.name
        self._settings = settings
        self._said = said
        self._ended = ended
        self._process: asyncio.subprocess.Process | None = None
        self._reports: socket.socket | None = None
        self._reading: asyncio.Task[None] | None = None
        self._told = False

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended; also while it is frozen."""
        return self._process is not None

    async def start(self) -> None:
        """Starts it, unless it runs."""
        if self._process is not None:
            return
        self._told = False
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            environment = {
                **without_ours(os.environ),
                process.SETTINGS: self._settings.to_json(),
                process.PARENT_FD: str(theirs.fileno()),
                process.PARENT_PID: str(os.getpid()),
            }
            self._process = await asyncio.create_subprocess_exec(
                *_PROGRAM,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C is for us, who then stop the members in order
                limit=MAX_LINE_BYTES,
            )
        self._reports = ours  # its closing would tell the member that we are gone
        self._reading = asyncio.create_task(self._read(self._process))

    async def _read(self, child: asyncio.subprocess.Process) -> None:
        assert child.stdout is not None
        while True:
            try:
                line = await child.stdout.readline()
            except ValueError:  # longer than the limit, and dropped
                continue
            if not line:
                break
            self._said(line.decode(errors="replace").rstrip("\n"))
        code = await child.wait()
        self._process = None
        if self._reports is not None:
            self._reports.close()
        if not self._told:
            self._ended(f"killed by signal {-code}" if code < 0 else f"exit code {code}")

    async def stop(self, patience_s: float = STOP_PATIENCE_S) -> None:
        """Asks it to stop, as a service manager would; kills it if it does not."""
        self._told = True
        if self._process is None or self._reading is None:
            return
        self._signal(signal.SIGTERM, whole=False)
        self.thaw()
        try:
            await asyncio.wait_for(asyncio.shield(self._reading), patience_s)
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """Kills all its processes at once, as a power cut would; returns when they are gone."""
        self._told = True
        if self._process is not None and self._reading is not None:
            self._signal(signal.SIGKILL)
            await self._reading  # ends when the last process that holds the pipe is gone

    def freeze(self) -> None:
        """Stops all its processes where they stand, as a machine does that hangs."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets frozen processes go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals, *, whole: bool = True) -> None:
        if self._process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            supervisor = psutil.Process(self._process.pid)
            children = supervisor.children(recursive=True) if whole else []
            for each in (supervisor, *children):
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.send_signal(number)

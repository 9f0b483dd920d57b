"""A server of one's own: started on free ports with its data in a given directory, measured, and ended."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from oarlock import aio
from oarlock.wire.errors import OarlockError

START_S: Final = 30.0
"""How long a server may take from its start to its first answer."""
STOP_S: Final = 15.0
"""How long it may take to stop before it is killed."""
POLL_S: Final = 0.05
"""How often is looked whether something has come about."""
LOOK_S: Final = 0.01
"""How often is looked whether a server answers: starts are measured by it."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What all processes of a server use.

    Attributes:
        cpu_s: processor time since their start, in seconds.
        pss_bytes: memory, with shared pages divided among those who share them.
        processes: how many there are.
    """

    cpu_s: float
    pss_bytes: int
    processes: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is: the folder for its data and what it says, and its ports on 127.0.0.1. Outlives the server."""

    directory: Path
    native_port: int
    watch_port: int
    peer_port: int

    @classmethod
    def below(cls, directory: Path) -> Place:
        """With ports that are free at this moment; ``directory`` must exist."""
        return cls(directory, *free_ports(3))

    @property
    def endpoint(self) -> str:
        """Where clients connect."""
        return f"127.0.0.1:{self.native_port}"

    @property
    def watch_url(self) -> str:
        """Where watches connect."""
        return f"tcp://127.0.0.1:{self.watch_port}"

    @property
    def peer_url(self) -> str:
        """Where other members connect."""
        return f"tcp://127.0.0.1:{self.peer_port}"

    @property
    def said(self) -> Path:
        """What the server wrote to its standard outputs."""
        return self.directory / "server.log"


@dataclass(frozen=True, slots=True)
class OwnServer:
    """A running server. ``endpoint`` is its native port, ``watch_url`` where watches connect."""

    process: subprocess.Popen[bytes]
    place: Place

    @property
    def endpoint(self) -> str:
        """Where clients connect."""
        return self.place.endpoint

    @property
    def watch_url(self) -> str:
        """Where watches connect."""
        return self.place.watch_url

    def usage(self) -> Usage:
        """What the server uses at this moment."""
        return usage_of(self.process.pid)


def usage_of(pid: int) -> Usage:
    """What a process, and all that it started, use at this moment."""
    processes = tree_of(pid)
    pss_bytes = 0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            pss_bytes += process.memory_full_info().pss
    return Usage(cpu_s_of(processes), pss_bytes, len(processes))


def tree_of(pid: int) -> list[psutil.Process]:
    """A process and all that it started; nothing where it has ended."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_s_of(processes: Iterable[psutil.Process]) -> float:
    """Processor time, user and system, that they have used since their start, in seconds."""
    total_s = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total_s += times.user + times.system
    return total_s


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@asynccontextmanager
async def own_server(directory: Path, arguments: Iterable[str] = ()) -> AsyncIterator[OwnServer]:
    """Starts a server that keeps its data, and what it says, below ``directory``; ends it afterwards.

    Args:
        directory: must exist.
        arguments: further arguments of ``oarlock serve``.

    Raises:
        RuntimeError: it ended, or gave no answer within ``START_S``; with the end of what it said.
    """
    server = launch(Place.below(directory), arguments)
    try:
        await answering(server)
        yield server
    finally:
        await stop(server.process)


def launch(place: Place, arguments: Iterable[str] = ()) -> OwnServer:
    """Starts a server at ``place``, and does not wait for it. The caller ends it with ``stop``."""
    command = [sys.executable, "-m", "oarlock.cli.main", "serve", "--data-dir", str(place.directory / "data")]
    command += ["--listen-native-urls", f"tcp://{place.endpoint}", "--listen-watch-urls", place.watch_url]
    command += ["--listen-peer-urls", place.peer_url, "--listen-client-urls", "", "--listen-metrics-urls", ""]
    command += arguments
    with place.said.open("ab") as log:
        return OwnServer(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log), place)


async def answering(server: OwnServer) -> None:
    """Waits until ``server`` answers and knows who leads.

    Raises:
        RuntimeError: it ended, or gave no answer within ``START_S``; with the end of what it said.
    """
    deadline = asyncio.get_running_loop().time() + START_S
    problem = "no answer"
    while asyncio.get_running_loop().time() < deadline:
        if server.process.poll() is not None:
            problem = f"it ended with {server.process.returncode}"
            break
        try:
            await _reach(server.endpoint)
            async with await aio.connect(server.endpoint, connect_timeout_s=1.0) as client:
                if (await client.status()).leader:
                    return
                problem = "no leader"
        except OSError:
            pass  # a client of ours would wait longer and longer before it tries again
        except OarlockError as error:
            problem = error.message
        await asyncio.sleep(LOOK_S)
    raise RuntimeError(f"the server did not start: {problem}\n{last_words(server.place.said)}")


async def _reach(endpoint: str) -> None:
    """Raises OSError where nobody listens."""
    host, _, port = endpoint.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.close()


def last_words(said: Path) -> str:
    """The end of what a process wrote."""
    return said.read_text(errors="replace")[-2000:]


async def stop(process: subprocess.Popen[bytes]) -> None:
    """Asks for an orderly stop, then kills; the children die with the supervisor."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
    for _ in range(int(STOP_S / POLL_S)):
        if process.poll() is not None:
            return
        await asyncio.sleep(POLL_S)
    process.kill()
    process.wait()

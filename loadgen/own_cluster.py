"""A cluster of one's own on this machine, whose members can be killed and stopped while it is measured."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

from oarlock import aio
from oarlock.loadgen.own_server import free_ports
from oarlock.wire.errors import OarlockError

START_S: Final = 60.0
"""How long a member may take from its start until it answers."""
END_S: Final = 20.0
"""How long it may take to stop."""
_POLL_S: Final = 0.05
_ASK_S: Final = 1.0


class Member:
    """One member: its command, and its process while it runs."""

    def __init__(self, name: str, directory: Path, ports: Sequence[int]) -> None:
        native, watch, peer = ports
        self.name = name
        self.endpoint = f"127.0.0.1:{native}"
        self.peer_url = f"tcp://127.0.0.1:{peer}"
        self.member_id = 0
        self._directory = directory
        self._command = [sys.executable, "-m", "oarlock.cli.main", "serve", "--name", name]
        self._command += ["--data-dir", str(directory / name), "--listen-native-urls", f"tcp://{self.endpoint}"]
        self._command += ["--listen-watch-urls", f"tcp://127.0.0.1:{watch}", "--listen-peer-urls", self.peer_url]
        self._command += ["--listen-client-urls", "", "--listen-metrics-urls", "", "--workers", "1"]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, arguments: Sequence[str]) -> None:
        """Starts it; ``answering`` waits for it."""
        with (self._directory / f"{self.name}.log").open("ab") as log:
            command = [*self._command, *arguments]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    async def answering(self) -> None:
        """Waits until it answers linearizable reads, and learns its id.

        Raises:
            RuntimeError: it does not, within ``START_S``; with the end of what it said.
        """
        problem = "it does not run"
        try:
            async with asyncio.timeout(START_S):
                while self.process is not None and self.process.poll() is None:
                    try:
                        async with await aio.connect(self.endpoint, connect_timeout_s=_ASK_S) as client:
                            self.member_id = (await client.range(b"x")).header.member_id
                            return
                    except OarlockError as error:
                        problem = error.message
                        await asyncio.sleep(_POLL_S)
        except TimeoutError:
            pass
        said = (self._directory / f"{self.name}.log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{self.name} did not start: {problem}\n{said}")

    def kill(self) -> None:
        """Kills all its processes at once."""
        assert self.process is not None
        with suppress(psutil.NoSuchProcess):
            supervisor = psutil.Process(self.process.pid)
            for each in [supervisor, *supervisor.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    each.kill()

    async def stop(self) -> None:
        """Stops it in order."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        await self.ended()

    async def ended(self) -> None:
        """Waits for its end; kills it where that takes longer than ``END_S``."""
        assert self.process is not None
        try:
            await asyncio.to_thread(self.process.wait, END_S)
        except subprocess.TimeoutExpired:
            self.kill()
            await asyncio.to_thread(self.process.wait)


class OwnCluster:
    """Members that run. Made by ``own_cluster``."""

    def __init__(self, members: Sequence[Member], arguments: Sequence[str]) -> None:
        self.members = members
        self._arguments = arguments

    @property
    def endpoints(self) -> list[str]:
        """The native ones."""
        return [member.endpoint for member in self.members]

    def launch(self, *members: Member) -> None:
        """Starts members, and does not wait for them."""
        for member in members:
            member.start(self._arguments)

    async def start(self, *members: Member) -> None:
        """Starts members at the same time, and waits until they answer."""
        self.launch(*members)
        await asyncio.gather(*(member.answering() for member in members))

    async def leader(self) -> Member:
        """Who leads, as a member says whose term is the highest. All must run.

        Raises:
            RuntimeError: nobody said so within ``START_S``.
        """
        for _ in range(int(START_S / _POLL_S)):
            statuses = await asyncio.gather(*map(_status, self.endpoints))
            for _, leader in sorted((each for each in statuses if each is not None), reverse=True):
                for member in self.members:
                    if member.member_id == leader:
                        return member
            await asyncio.sleep(_POLL_S)
        raise RuntimeError("the cluster has no leader")


async def _status(endpoint: str) -> tuple[int, int] | None:
    """(term, leader) as one member says, None where it says nothing."""
    try:
        async with await aio.connect(endpoint, timeout_s=_ASK_S, connect_timeout_s=_ASK_S) as client:
            status = await client.status()
            return status.header.raft_term, status.leader
    except OarlockError:
        return None


@asynccontextmanager
async def own_cluster(directory: Path, members: int, arguments: Sequence[str] = ()) -> AsyncIterator[OwnCluster]:
    """Starts a cluster that keeps its data, and what it says, below ``directory``; ends it afterwards.

    Args:
        directory: must exist.
        members: how many.
        arguments: further arguments of each ``oarlock serve``.

    Raises:
        RuntimeError: a member did not start.
    """
    ports = free_ports(3 * members)
    all_members = [Member(f"m{n + 1}", directory, ports[3 * n : 3 * n + 3]) for n in range(members)]
    initial = ",".join(f"{member.name}={member.peer_url}" for member in all_members)
    cluster = OwnCluster(all_members, ["--initial-cluster", initial, *arguments])
    try:
        await cluster.start(*all_members)
        yield cluster
    finally:
        for member in all_members:
            if member.process is not None:
                member.kill()
                member.process.wait()

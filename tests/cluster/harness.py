"""Whole clusters of real servers on loopback, for tests.

    with ClusterOfServers(tmp_path).running() as cluster:
        leader = cluster.wait_for_leader()
        cluster.kill(leader)

Every server is a ``tests.server.Server`` on ports of its own; ``cluster.endpoints`` are the native ones.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import oarlock
from tests.server import Place, Server, wait_until

LEADER_TIMEOUT_S = 30.0


class ClusterOfServers:
    """Members m0, m1, ..., which can be killed, stopped, frozen, cut off, and started again on their data.

    Args:
        directory: for everything; each member has a folder in it.
        members: how many there are at the beginning.
        workers: of each.
        arguments: further flags for all.
        place: where the member of a number runs; on loopback by default.
    """

    def __init__(
        self,
        directory: Path,
        members: int = 3,
        *,
        workers: int = 1,
        arguments: tuple[str, ...] = (),
        place: Callable[[int], Place] = lambda number: Place(),
    ) -> None:
        self._place = place
        self.directory = directory
        self._workers = workers
        self._arguments = arguments
        self.servers: list[Server] = []
        for number in range(members):
            self.servers.append(self._make(number))
        initial = ",".join(f"m{number}={server.peer_url}" for number, server in enumerate(self.servers))
        for server in self.servers:
            server.arguments += ("--initial-cluster", initial)

    def _make(self, number: int, arguments: tuple[str, ...] = ()) -> Server:
        directory = self.directory / f"m{number}"
        directory.mkdir(parents=True)
        faults = self.faults_path(number)
        server = Server(
            directory,
            workers=self._workers,
            arguments=("--name", f"m{number}", *self._arguments, *arguments),
            place=self._place(number),
        )
        server.extra_env = {"OARLOCK_TEST_PEER_FAULTS": str(faults)}
        return server

    def faults_path(self, number: int) -> Path:
        """The file that says what is wrong with the links of a member; see ``oarlock.coordinator.peer_faults``."""
        return self.directory / f"m{number}" / "faults.json"

    @property
    def endpoints(self) -> list[str]:
        """The native endpoints, in the order of the members."""
        return [server.native_endpoint for server in self.servers]

    def start(self, numbers: Sequence[int] | None = None) -> None:
        """Starts members, all of them by default, at the same time, and waits until they serve."""
        problems: list[BaseException] = []

        def start(number: int) -> None:
            try:
                self.servers[number].start()
            except BaseException as problem:
                problems.append(problem)

        chosen = range(len(self.servers)) if numbers is None else numbers
        threads = [threading.Thread(target=start, args=(number,)) for number in chosen]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if problems:
            raise problems[0]

    def add_server(self, *arguments: str) -> int:
        """Prepares one more member, which is not started; returns its number."""
        self.servers.append(self._make(len(self.servers), arguments))
        return len(self.servers) - 1

    @contextlib.contextmanager
    def running(self) -> Iterator[ClusterOfServers]:
        """All members run for the length of the context."""
        try:
            self.start()
            yield self
        finally:
            self.close()

    def client(self, number: int | None = None, **options: float) -> oarlock.Client:
        """A client of all members, or of one."""
        endpoints = self.endpoints if number is None else [self.endpoints[number]]
        return oarlock.connect(*endpoints, **options)

    def leader(self) -> int | None:
        """The number of the member that the others say leads; None while nobody says so."""
        ids = {self.member_id(number): number for number in range(len(self.servers)) if self.is_running(number)}
        for number in ids.values():
            with contextlib.suppress(oarlock.OarlockError), self.client(number, timeout_s=1.0) as client:
                leader = client.status().leader
                if leader in ids:
                    return ids[leader]
        return None

    def wait_for_leader(self, other_than: int | None = None) -> int:
        """Waits until some member leads; returns its number."""
        found: list[int] = []

        def look() -> bool:
            leader = self.leader()
            if leader is not None and leader != other_than:
                found.append(leader)
            return bool(found)

        wait_until(look, LEADER_TIMEOUT_S, "a leader")
        return found[0]

    def member_id(self, number: int) -> int:
        """The id of a member, from its data."""
        identity = json.loads((self.servers[number].data_dir / "identity.json").read_text())
        return int(identity["member_id"], 16)

    def is_running(self, number: int) -> bool:
        """Whether a member's supervisor runs."""
        return self.servers[number].is_running

    def kill(self, number: int) -> None:
        """Kills every process of a member at once."""
        self.servers[number].kill()

    def freeze(self, number: int) -> None:
        """Stops every process of a member as SIGSTOP does."""
        for process in self.servers[number].processes():
            process.send_signal(signal.SIGSTOP)

    def thaw(self, number: int) -> None:
        """Lets a frozen member go on."""
        for process in self.servers[number].processes():
            process.send_signal(signal.SIGCONT)

    def partition(self, *groups: Sequence[int]) -> None:
        """Cuts all links between members of different groups; who is in no group is alone."""
        group_of = {number: place for place, group in enumerate(groups) for number in group}
        for number in range(len(self.servers)):
            own = group_of.get(number, -1 - number)
            cut = [
                server.peer_url
                for other, server in enumerate(self.servers)
                if other != number and group_of.get(other, -1 - other) != own
            ]
            self.faults(number, drop_to=cut, drop_from=cut)

    def heal(self) -> None:
        """Mends all links."""
        for number in range(len(self.servers)):
            self.faults_path(number).unlink(missing_ok=True)

    def faults(self, number: int, **faults: object) -> None:
        """Sets what is wrong with a member's links."""
        path = self.faults_path(number)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(faults))
        os.replace(part, path)

    def close(self) -> None:
        """Ends everything."""
        for server in self.servers:
            server.close()

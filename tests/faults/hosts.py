"""A cluster with links that can be cut, in namespaces where the machine allows it."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import oarlock
from tests.cluster.harness import LEADER_TIMEOUT_S, ClusterOfServers
from tests.server import wait_until

from . import namespaces
from .links import Links
from .namespaces import HostNetwork

T = TypeVar("T")


class Hosts(ClusterOfServers):
    """A cluster with ``links``, and, where asked for, little room on disk.

    Args:
        directory, members, workers, arguments: see ClusterOfServers.
        network: where the members are; None: on loopback.
        disk_bytes: the room that each member has for its data, on a file system of its own; None: all there is.
    """

    def __init__(
        self,
        directory: Path,
        members: int = 3,
        *,
        workers: int = 1,
        arguments: tuple[str, ...] = (),
        network: HostNetwork | None = None,
        disk_bytes: int | None = None,
    ) -> None:
        place = {} if network is None else {"place": network.place}
        super().__init__(directory, members, workers=workers, arguments=arguments, **place)
        self.links = Links(self, network)
        self.has_small_disks = disk_bytes is not None
        if disk_bytes is not None:
            for server in self.servers:
                server.data_dir.mkdir()
                option = f"size={disk_bytes}"
                subprocess.run(["mount", "-t", "tmpfs", "-o", option, "tmpfs", str(server.data_dir)], check=True)

    @property
    def everyone(self) -> range:
        """The numbers of all members."""
        return range(len(self.servers))

    def leading(self) -> int | None:
        """The number of the member that leads: what a member of the highest term says; None where nobody knows."""
        ids = {self.member_id(number): number for number in self.everyone if self.is_running(number)}
        found: list[tuple[int, int]] = []
        for number in ids.values():
            with contextlib.suppress(oarlock.OarlockError), self.client(number, timeout_s=1.0) as client:
                status = client.status()
                if status.leader in ids:
                    found.append((status.header.raft_term, ids[status.leader]))
        return max(found)[1] if found else None

    def wait_until_whole(self) -> int:
        """Waits until every member serves linearizable reads; returns who leads."""
        for number in self.everyone:
            # A member may be between two attempts to start, after some that failed: the client waits as for an answer.
            with self.client(number, timeout_s=LEADER_TIMEOUT_S, connect_timeout_s=LEADER_TIMEOUT_S) as client:
                client.get(b"is it whole?")
        leaders: list[int] = []

        def look() -> bool:
            leader = self.leading()
            leaders.extend([] if leader is None else [leader])
            return bool(leaders)

        wait_until(look, LEADER_TIMEOUT_S, "a leader")
        return leaders[0]

    def close(self) -> None:
        """Ends everything."""
        super().close()
        if self.has_small_disks:
            for server in self.servers:
                subprocess.run(["umount", "--lazy", str(server.data_dir)], check=True)


def with_hosts(
    test: Callable[[Hosts], T],
    directory: Path,
    members: int = 3,
    *,
    workers: int = 1,
    arguments: tuple[str, ...] = (),
    disk_bytes: int | None = None,
) -> T:
    """Runs ``test`` with a running cluster, among its hosts: in the hub of a network, or as usual on loopback."""

    with _network(members) as network:
        cluster = Hosts(
            directory, members, workers=workers, arguments=arguments, network=network, disk_bytes=disk_bytes
        )

        def run() -> T:
            cluster.start()
            cluster.wait_until_whole()
            return test(cluster)

        try:
            return run() if network is None else network.hub.inside(run)
        finally:  # here, since a time-out of the test interrupts this thread, not the one inside
            cluster.close()


@contextlib.contextmanager
def _network(hosts: int) -> Iterator[HostNetwork | None]:
    if not namespaces.available():
        yield None
        return
    network = HostNetwork(hosts)
    try:
        yield network
    finally:
        network.close()

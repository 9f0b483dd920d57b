"""The two servers that must not differ: a real etcd and an Oarlock, and what is known of each."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from oarlock.loadgen.own_etcd import find_etcd
from tests.differential.calls import Caller
from tests.server import ReservedPort

NAME = "default"
"""Of the one member, at both."""
READY_S = 60.0
STOP_S = 30.0


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two.

    Attributes:
        name: for a person: "etcd" or "oarlock".
        endpoint: host and port for clients.
        ids: what its ids and addresses stand for, wherever they appear; text and numbers.
        caller: for calls of gRPC.
        member_id, peer_urls: of its only member.
    """

    name: str
    endpoint: str
    ids: dict[str | int, str]
    caller: Caller
    member_id: int
    peer_urls: tuple[str, ...]

    def close(self) -> None:
        """Ends the connections."""
        self.caller.close()


def side_of(name: str, endpoint: str) -> Side:
    """The server at ``endpoint``, once it answers."""
    caller = Caller(endpoint, READY_S)
    members = caller.members()
    header, member = members.header, members.members[0]
    ids: dict[str | int, str] = {endpoint: "<endpoint>", header.cluster_id: "<cluster>", header.member_id: "<member>"}
    ids |= {f"{header.cluster_id:x}": "<cluster>", f"{header.member_id:x}": "<member>"}
    ids |= dict.fromkeys(member.peerURLs, "<peer url>")
    return Side(name, endpoint, ids, caller, header.member_id, tuple(member.peerURLs))


@contextlib.contextmanager
def running_etcd(directory: Path) -> Iterator[str]:
    """A real etcd of one member, for the length of the context; yields its endpoint."""
    ports = ReservedPort(), ReservedPort()
    client, peer = (f"http://127.0.0.1:{port.number}" for port in ports)
    flags = {
        "name": NAME,
        "data-dir": str(directory / "data"),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"{NAME}={peer}",
        "socket-reuse-port": "true",
        "unsafe-no-fsync": "true",
        "log-level": "error",
    }
    command = [str(find_etcd()), *(f"--{name}={value}" for name, value in flags.items())]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield client.removeprefix("http://")
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_S)
        for port in ports:
            port.release()

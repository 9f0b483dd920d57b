"""What the parts of a coordinator know together, and how they answer whoever asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from oarlock.coordinator.peer_codec import PeerKind
from oarlock.coordinator.peers import Peers
from oarlock.coordinator.worker_port import WorkerPort
from oarlock.wire.errors import OarlockError

_REMOTE_MARK: Final = b"M"
_REMOTE_BYTES: Final = 9
"""The mark and a member id: a byte more than the name of a worker has (``WorkerPort``)."""


@dataclass(slots=True)
class Standing:
    """This member's place in the cluster, as far as the last effects of the Raft core have said.

    Invariant: ``leading`` is ``leader == member_id``; ``leader`` is 0 while none is known.
    """

    cluster_id: int
    member_id: int
    term: int
    leader: int
    leading: bool
    commit_index: int


def remote(member: int) -> bytes:
    """The asker that is another member: its questions come from its workers, through its coordinator."""
    return _REMOTE_MARK + member.to_bytes(8, "big")


def member_of(asker: bytes) -> int:
    """The member that an asker is; 0 for a worker of this host."""
    is_remote = len(asker) == _REMOTE_BYTES and asker[:1] == _REMOTE_MARK
    return int.from_bytes(asker[1:], "big") if is_remote else 0


class Answers:
    """Sends answers to askers: workers of this host, or members that pass on a question.

    Args:
        port: to the workers.
        peers: to the members.
    """

    def __init__(self, port: WorkerPort, peers: Peers) -> None:
        self._port = port
        self._peers = peers

    def send(self, asker: bytes, message: list[Any]) -> None:
        """Sends ``[kind, number, ...]``; it may get lost, and whoever asked asks again."""
        member = member_of(asker)
        if member:
            self._peers.send(member, PeerKind.ANSWER, message)
        else:
            self._port.send(asker, message)

    def refuse(self, asker: bytes, kind: int, number: int, problem: OarlockError) -> None:
        """Sends an error as the answer."""
        self.send(asker, [int(kind), number, -int(problem.code), problem.message, problem.detail])

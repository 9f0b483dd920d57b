"""State hashes between workers and members: a difference raises the CORRUPT alarm, and who is wrong stops serving."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oarlock.coordinator.member_requests import MemberRequests
from oarlock.coordinator.peer_codec import PeerKind
from oarlock.coordinator.peers import Peers
from oarlock.coordinator.raft import Raft
from oarlock.coordinator.standing import Standing
from oarlock.coordinator.state_hashes import StateHashes, Verdict
from oarlock.wire.entries import EntryKind, Proposal
from oarlock.wire.errors import OarlockError
from oarlock.wire.frames import pack
from oarlock.wire.logs import get_logger
from oarlock.wire.operations import Alarm, AlarmAction, Op

log = get_logger(__name__)


class HashExchange:
    """Tells the other members what this one's workers report, and judges what all report.

    Every member judges for itself, and tells those that it finds wrong; the leader proposes the alarm.

    Args:
        raft: takes the alarm's proposal.
        peers: the links.
        members: knows who belongs to the cluster.
        standing: this member's.
        stop_serving: called when this member's replicas are not what the others' are.
    """

    def __init__(
        self,
        raft: Raft,
        peers: Peers,
        members: MemberRequests,
        standing: Standing,
        stop_serving: Callable[[], None],
    ) -> None:
        self._raft = raft
        self._peers = peers
        self._members = members
        self._standing = standing
        self._stop_serving = stop_serving
        self._hashes = StateHashes()

    @property
    def handlers(self) -> dict[int, Callable[[int, list[Any], float], None]]:
        """By kind of frame."""
        return {PeerKind.STATE_HASH: self._on_hash, PeerKind.CORRUPT: self._on_corrupt}

    def report(self, worker: bytes, index: int, state_hash: bytes, now_s: float) -> None:
        """A worker of this host reports."""
        for member in self._peers.followed:
            self._peers.send(member, PeerKind.STATE_HASH, [index, state_hash])
        self._judge(self._standing.member_id, worker, index, state_hash)

    def _on_hash(self, sender: int, payload: list[Any], now_s: float) -> None:
        # The workers of one host agree, or that host says so itself: one report of each member at an index is enough.
        self._judge(sender, b"", *payload)

    def _judge(self, member: int, worker: bytes, index: int, state_hash: bytes) -> None:
        everyone = tuple(self._members.members.attributes)
        verdict = self._hashes.report(member, worker, index, state_hash, everyone)
        if verdict is None:
            return
        log.critical("replicas differ", index=verdict.index, members=[f"{each:x}" for each in verdict.members])
        self._raise_alarm(verdict)
        for each in verdict.members:
            if each == self._standing.member_id:
                self._stop_serving()
            else:
                self._peers.send(each, PeerKind.CORRUPT, [verdict.index])

    def _raise_alarm(self, verdict: Verdict) -> None:
        """Proposes the alarm, of member 0 where nobody can say who is wrong (etcd does the same)."""
        if not self._standing.leading:
            return
        requests = [
            [number, int(Op.ALARM), int(AlarmAction.ACTIVATE), member, int(Alarm.CORRUPT)]
            for number, member in enumerate(verdict.members or (0,), 1)
        ]
        try:
            self._raft.propose([Proposal(EntryKind.BATCH, 0, 0, pack([[0, 0, 0, requests]]))])
        except OarlockError as problem:
            log.error("the alarm could not be raised", problem=problem.message)

    def _on_corrupt(self, sender: int, payload: list[Any], now_s: float) -> None:
        log.critical("another member finds the replicas of this one wrong", member=f"{sender:x}", index=payload[0])
        self._stop_serving()

"""What other members send: Raft messages to the core, questions to whoever answers them, the rest to its own place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from oarlock.coordinator import bootstrap
from oarlock.coordinator.forwarding import Forwarding
from oarlock.coordinator.identity import LocalIdentity
from oarlock.coordinator.peer_codec import PeerFrame, PeerKind, Refusal
from oarlock.coordinator.peers import Lane, Peers, Received
from oarlock.coordinator.raft import Message, Raft
from oarlock.coordinator.raft.message_codec import from_wire, to_wire
from oarlock.coordinator.raft.messages import Append, ForwardedProposals
from oarlock.coordinator.standing import Answers, Standing, remote
from oarlock.coordinator.worker_requests import WorkerRequests
from oarlock.wire.errors import ConfigurationError, CorruptError, OarlockError, ProtocolError
from oarlock.wire.logs import get_logger
from oarlock.wire.members import Members

log = get_logger(__name__)

LOG_AGAIN_S: Final = 10.0
"""The same complaint about the same member is logged at most so often."""

FORWARDED_PAUSE_MS: Final = 200
"""After which a follower proposes again what the leader could not take: longer than for a worker of its own, for what
comes again is all that the follower's workers have under way."""
MAX_PAUSE_MS: Final = 2_000
"""No leader makes a follower wait longer: after this time its workers propose again by themselves."""

_BULK: Final = (Append, ForwardedProposals)


class RemovedError(ConfigurationError):
    """This member is no member any more."""

    text = "oarlock: this member was removed from the cluster"


class PeerRequests:
    """Takes frames by kind, and sends Raft's messages.

    Args:
        raft: the core.
        peers: the links.
        workers: answers questions that other members pass on.
        forwarding: takes answers to questions that we passed on.
        members: who belongs to the cluster, as far as is committed.
        identity: this member's.
        standing: this member's.
        answers: hands answers on to workers.
        handlers: of kinds that others care for: (sender, payload, now in s).
    """

    def __init__(
        self,
        raft: Raft,
        peers: Peers,
        workers: WorkerRequests,
        forwarding: Forwarding,
        members: Callable[[], Members],
        identity: LocalIdentity,
        standing: Standing,
        answers: Answers,
        handlers: Mapping[int, Callable[[int, list[Any], float], None]],
    ) -> None:
        self._raft = raft
        self._peers = peers
        self._workers = workers
        self._forwarding = forwarding
        self._members = members
        self._identity = identity
        self._standing = standing
        self._answers = answers
        self._logged_s: dict[tuple[int, int], float] = {}
        self._elsewhere: set[int] = set()
        self._met: set[int] = set()
        self._handlers: dict[int, Callable[[int, list[Any], float], None]] = {
            PeerKind.RAFT: self._step,
            PeerKind.QUESTION: self._question,
            PeerKind.ANSWER: self._answer,
            PeerKind.PROPOSE_AGAIN: self._propose_again,
            **handlers,
        }

    def send(self, message: Message) -> None:
        """Sends a message of the core. One that is lost is what Raft is built for; lost proposals are told workers."""
        bulk = isinstance(message, _BULK)
        sent = self._peers.send(message.to, PeerKind.RAFT, to_wire(message), Lane.BULK if bulk else Lane.FAST)
        if not sent and isinstance(message, ForwardedProposals):
            self._workers.resend_proposals()

    def refuse_proposals(self, members: Sequence[int]) -> None:
        """We lead, and could not take what these members passed on: without a word they would wait for it."""
        for member in members:
            self._peers.send(member, PeerKind.PROPOSE_AGAIN, [FORWARDED_PAUSE_MS])

    def forward(self, now_s: float) -> None:
        """Passes questions of our workers on to the leader, where there is one."""
        if len(self._forwarding) and self._standing.leader and not self._standing.leading:
            for _, question in self._forwarding.to_send(now_s):
                self._peers.send(self._standing.leader, PeerKind.QUESTION, question)

    def take(self, received: Received, now_s: float) -> None:
        """Handles one frame. What a peer got wrong is logged and dropped.

        Raises:
            CorruptError: a promise of Raft is broken.
        """
        frame = received.frame
        if frame.kind == PeerKind.BOOTSTRAP:
            info = bootstrap.answer(self._members(), self._identity.initial, frame.payload[0])
            self._peers.reply(received.connection, 0, PeerKind.BOOTSTRAP_INFO, info)
            return
        if frame.sender in self._members().removed:
            text = f"member {frame.sender:x} was removed from cluster {frame.cluster_id:x}"
            self._peers.reply(received.connection, frame.sender, PeerKind.REFUSED, [int(Refusal.REMOVED), text])
            return
        self._met.add(frame.sender)
        handler = self._handlers.get(frame.kind)
        try:
            if handler is not None:
                handler(frame.sender, frame.payload, now_s)
        except CorruptError:
            raise
        except (OarlockError, TypeError, ValueError, LookupError) as problem:
            # A malformed frame must never end the process; our own mistakes show in tests, which fail on this line.
            self._complain(frame.sender, frame.kind, now_s, f"frame of kind {frame.kind} failed: {problem!r}")

    def refused(self, member: int, frame: PeerFrame, now_s: float) -> None:
        """Somebody at the URL of ``member`` did not take our frames.

        Raises:
            RemovedError: because we were removed.
            ConfigurationError: because the cluster is another one, as all who answer say; nobody knows us.
        """
        reason, text = frame.payload
        if reason == Refusal.REMOVED and frame.cluster_id == self._identity.cluster_id:
            raise RemovedError(
                f"{RemovedError.text}: its data is of no use any more; to come back, it must be added "
                "again, and start with an empty directory"
            )
        self._complain(member, reason, now_s, f"our frames are refused: {text}")
        if reason == Refusal.OTHER_CLUSTER and not self._met and not self._standing.commit_index:
            self._elsewhere.add(member)
            others = len(self._peers.followed)
            if len(self._elsewhere) * 2 > others:
                raise ConfigurationError(
                    f"the members at our peer URLs are of cluster {frame.cluster_id:x}, and this one is of cluster "
                    f"{self._identity.cluster_id:x}: --initial-cluster and --initial-cluster-token must be the same on "
                    "all of them; correct them, and start with an empty directory"
                )

    def _complain(self, member: int, about: int, now_s: float, problem: str) -> None:
        if now_s - self._logged_s.get((member, about), float("-inf")) >= LOG_AGAIN_S:
            self._logged_s[member, about] = now_s
            log.warning("member misunderstood", member=f"{member:x}", problem=problem)

    def _step(self, sender: int, payload: list[Any], now_s: float) -> None:
        message = from_wire(payload)
        if message.sender != sender:
            raise ProtocolError(f"{ProtocolError.text}: message of member {message.sender:x} from {sender:x}")
        self._raft.step(message)

    def _propose_again(self, sender: int, payload: list[Any], now_s: float) -> None:
        self._workers.resend_proposals(min(payload[0], MAX_PAUSE_MS))

    def _question(self, sender: int, payload: list[Any], now_s: float) -> None:
        self._workers.take_remote(remote(sender), payload, now_s)

    def _answer(self, sender: int, payload: list[Any], now_s: float) -> None:
        answer = self._forwarding.answered(payload)
        if answer is not None:
            self._answers.send(*answer)

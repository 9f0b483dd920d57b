"""The messages that members exchange, one type a kind (Raft paper, figure 2, and thesis, chapters 3, 4, 6 and 9).

Every message names its sender, the member it is for, and the term its sender had when it was made; a pre-vote request,
and a pre-vote that is granted, name the term that the candidate would start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from oarlock.coordinator.raft.membership import Membership
from oarlock.wire.entries import Entry, Proposal


class SnapshotMeta(NamedTuple):
    """What the core knows of a snapshot: the last entry that it contains, and the members as of that entry."""

    index: int  # type: ignore[assignment]  # a tuple's method of that name is not used
    term: int
    membership: Membership


class PreVoteRequest(NamedTuple):
    """Would you vote for me in ``term``? Nothing changes by the question or the answer."""

    sender: int
    to: int
    term: int
    last_index: int
    last_term: int


class PreVoteResponse(NamedTuple):
    """``term`` is that of the request if granted, else the term of the one who refuses."""

    sender: int
    to: int
    term: int
    granted: bool


class VoteRequest(NamedTuple):
    """``transfer``: the leader itself asked the candidate to campaign, so leases do not protect it."""

    sender: int
    to: int
    term: int
    last_index: int
    last_term: int
    transfer: bool


class VoteResponse(NamedTuple):
    sender: int
    to: int
    term: int
    granted: bool


class Append(NamedTuple):
    """Entries that follow the entry ``prev_index`` of ``prev_term``; none at all to probe or to tell ``commit``."""

    sender: int
    to: int
    term: int
    prev_index: int
    prev_term: int
    commit: int
    entries: Sequence[Entry]


class AppendAccepted(NamedTuple):
    """The sender's log equals the leader's up to ``match``, durably."""

    sender: int
    to: int
    term: int
    match: int


class AppendRejected(NamedTuple):
    """The sender has no entry ``rejected`` of the term asked for.

    ``hint`` is the highest index, below or at ``rejected``, where the logs may still agree, and ``hint_term`` its term
    at the sender.
    """

    sender: int
    to: int
    term: int
    rejected: int
    hint: int
    hint_term: int


class Heartbeat(NamedTuple):
    """The leader is alive. ``read_round`` numbers the read-index rounds of its term."""

    sender: int
    to: int
    term: int
    commit: int
    read_round: int


class HeartbeatResponse(NamedTuple):
    """Answers at once, without waiting for the disk: it promises nothing that a restart could break."""

    sender: int
    to: int
    term: int
    read_round: int


class InstallSnapshot(NamedTuple):
    """A whole snapshot has arrived. Drivers send the content by their own means and step this when it is complete."""

    sender: int
    to: int
    term: int
    snapshot: SnapshotMeta


class TimeoutNow(NamedTuple):
    """The leader hands over: campaign at once (Raft thesis, section 3.10)."""

    sender: int
    to: int
    term: int


class TransferRequest(NamedTuple):
    """A follower passes on the wish that ``target`` should lead."""

    sender: int
    to: int
    term: int
    target: int


class ForwardedProposals(NamedTuple):
    """Proposals made at a follower, on their way to the leader. May be lost: the proposer proposes again."""

    sender: int
    to: int
    term: int
    proposals: Sequence[Proposal]


class ReadRequest(NamedTuple):
    """A read-index question of a follower."""

    sender: int
    to: int
    term: int
    context: bytes


class ReadResponse(NamedTuple):
    """The read with ``context`` may be answered once ``index`` is applied."""

    sender: int
    to: int
    term: int
    context: bytes
    index: int  # type: ignore[assignment]  # a tuple's method of that name is not used


class TermNotice(NamedTuple):
    """Tells a leader of an older term that ``term`` has begun, where silence would leave both sides stuck."""

    sender: int
    to: int
    term: int


Message: TypeAlias = (
    PreVoteRequest
    | PreVoteResponse
    | VoteRequest
    | VoteResponse
    | Append
    | AppendAccepted
    | AppendRejected
    | Heartbeat
    | HeartbeatResponse
    | InstallSnapshot
    | TimeoutNow
    | TransferRequest
    | ForwardedProposals
    | ReadRequest
    | ReadResponse
    | TermNotice
)

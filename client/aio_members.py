"""The members of the cluster, for the asyncio client."""

from __future__ import annotations

from abc import ABC, abstractmethod
from asyncio import Future
from collections.abc import Iterable
from typing import TypeVar

from oarlock import calls
from oarlock.results import Header, MemberAddResult, MemberList

T = TypeVar("T")


class MemberMethods(ABC):
    """The methods about the members of the cluster. Part of ``oarlock.aio.Client``."""

    @abstractmethod
    def call(self, call: calls.Call[T], timeout_s: float | None = None) -> Future[T]:
        """See ``oarlock.aio.Client``."""

    def member_list(self, linearizable: bool = True, *, timeout_s: float | None = None) -> Future[MemberList]:
        """The members.

        Args:
            linearizable: as of now, for which a quorum must be there; False: as the member in use knows them.
            timeout_s: see the client.
        """
        return self.call(calls.member_list(linearizable), timeout_s)

    def member_add(
        self,
        peer_urls: str | Iterable[str],
        *,
        name: str = "",
        learner: bool = False,
        timeout_s: float | None = None,
    ) -> Future[MemberAddResult]:
        """Adds a member, which can then be started (``--initial-cluster-state existing``).

        Args:
            peer_urls: where the others will reach it, ``http://host:port`` or ``tcp://host:port`` each.
            name: for the server's log; a member tells its name itself when it starts.
            learner: it gets all data, but does not vote until it is promoted.
            timeout_s: see the client.

        Raises:
            BadPeerUrlsError, PeerUrlExistsError, TooManyLearnersError: etcd's rules.
            NotEnoughStartedMembersError, UnhealthyClusterError: it would endanger the quorum (strict-reconfig-check).
        """
        return self.call(calls.member_add(peer_urls, name, learner), timeout_s)

    def member_remove(self, member_id: int, *, timeout_s: float | None = None) -> Future[MemberList]:
        """Removes a member, for ever; returns those that stay.

        Raises:
            MemberNotFoundError: there is none of this id.
            NotEnoughStartedMembersError, UnhealthyClusterError: it would endanger the quorum (strict-reconfig-check).
        """
        return self.call(calls.member_remove(member_id), timeout_s)

    def member_update(
        self, member_id: int, peer_urls: str | Iterable[str], *, timeout_s: float | None = None
    ) -> Future[MemberList]:
        """Changes where the others reach a member.

        Raises:
            MemberNotFoundError: there is none of this id.
            BadPeerUrlsError, PeerUrlExistsError: etcd's rules.
        """
        return self.call(calls.member_update(member_id, peer_urls), timeout_s)

    def member_promote(self, member_id: int, *, timeout_s: float | None = None) -> Future[MemberList]:
        """Makes a voter of a learner.

        Raises:
            MemberNotFoundError: there is none of this id.
            MemberNotLearnerError: it votes already.
            LearnerNotReadyError: it has not caught up yet.
            NotEnoughStartedMembersError: it would endanger the quorum (strict-reconfig-check).
        """
        return self.call(calls.member_promote(member_id), timeout_s)

    def move_leader(self, member_id: int, *, timeout_s: float | None = None) -> Future[Header]:
        """Hands leadership over to a member. The client must be connected to the leader.

        Raises:
            NotLeaderError: the member in use does not lead.
            BadTransfereeError: there is no voter of this id.
        """
        return self.call(calls.move_leader(member_id), timeout_s)

"""The operator of a simulated cluster: replaces members whose disk is damaged, takes members in and lets others go.

Each task is a generator that asks, looks whether it has come about, and yields until the next look.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Final

from oarlock.coordinator.raft import ChangeKind, Membership, MembershipChange

if TYPE_CHECKING:
    from .cluster import SimCluster
    from .host import SimHost

LOOK_S: Final = 0.2

Task = Generator[None, None, None]


class Operator:
    """Does one thing after the other.

    Attributes:
        is_replacing: a damaged member is not replaced yet: its cluster can bear no further damage.
    """

    def __init__(self, cluster: SimCluster) -> None:
        self.cluster = cluster
        self._task: Task | None = None
        self._next_id = 100
        self._look()

    @property
    def is_busy(self) -> bool:
        """Whether something is to be done."""
        return self._task is not None or any(host.damage for host in self.cluster.hosts)

    @property
    def is_replacing(self) -> bool:
        """Whether a damaged member is not replaced yet."""
        return self.is_busy or any(host.is_suspect for host in self.cluster.hosts)

    def _look(self) -> None:
        self.cluster.world.after(LOOK_S, self._look)
        if self._task is None:
            damaged = [host for host in self.cluster.hosts if host.damage]
            if damaged:
                self._task = self._replace(damaged[0])
        if self._task is not None:
            try:
                next(self._task)
            except StopIteration:
                self._task = None

    def join(self) -> None:
        """Takes a member in on a spare machine, if there is one and nothing else to do."""
        spares = [host for host in self.cluster.hosts if not host.member_id]
        if spares and not self.is_busy:
            self._task = self._join(spares[0])

    def leave(self, host: SimHost) -> None:
        """Lets a member go, if enough others are left and nothing else is to be done."""
        if host.member_id and not self.is_busy and len(self._members.voters) > self.cluster.profile.min_voters:
            self._task = self._leave(host)

    @property
    def _members(self) -> Membership:
        judge = self.cluster.judge
        return judge.members_at(judge.last_committed)

    def _ask(self, kind: ChangeKind, member_id: int) -> None:
        leader = self.cluster.leader()
        if leader is not None and leader.change_membership(MembershipChange(kind, member_id)):
            self.cluster.world.note("operator asks for", kind.name, member_id)

    def _replace(self, host: SimHost) -> Task:
        yield from self._leave(host)
        yield from self._join(host)

    def _leave(self, host: SimHost) -> Task:
        member_id = host.member_id
        while member_id in self._members.everyone:
            self._ask(ChangeKind.REMOVE, member_id)
            yield
        for _ in range(self.cluster.world.rng.randint(0, 10)):
            yield  # it may not know yet, and disturb the others
        host.retire()

    def _join(self, host: SimHost) -> Task:
        self._next_id += 1
        member_id = self._next_id
        while member_id not in self._members.everyone:
            self._ask(ChangeKind.ADD_LEARNER, member_id)
            yield
        host.become(member_id)
        while member_id not in self._members.voters:
            if host.damage:
                return  # to be replaced like any other
            self._ask(ChangeKind.PROMOTE, member_id)
            yield

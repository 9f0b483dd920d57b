"""A whole cluster in one function call: members, disks, a network and a clock that only the test moves."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

from oarlock.coordinator.raft import ChangeKind, Membership, MembershipChange, RaftConfig, Role
from oarlock.coordinator.raft.messages import InstallSnapshot
from oarlock.wire.entries import EntryKind, Proposal
from oarlock.wire.errors import OarlockError

from .checks import SafetyChecker
from .network import SimNetwork
from .simulation import SimDisk, SimMember


class SimCluster:
    """Members that exchange messages over a faulty network; everything follows from the seed.

    Args:
        seed: decides about everything that looks random.
        voters: how many members vote at first; they are numbered from 1.
        spares: further members that run, and belong to nobody until a membership change takes them in.
        settings: for every ``RaftConfig``.
    """

    def __init__(self, seed: int, voters: int, spares: int = 0, **settings: Any) -> None:
        self.rng = random.Random(seed)
        self.network = SimNetwork(self.rng)
        self.checker = SafetyChecker()
        self.now = 0
        self.disk_stalls = 0.0
        self.crashed: set[int] = set()
        self._questions = 0
        self._batch = 0
        first = Membership(tuple(range(1, voters + 1)))
        self.members: dict[int, SimMember] = {}
        for member_id in range(1, voters + spares + 1):
            disk = SimDisk(first if member_id <= voters else Membership())
            member = SimMember(RaftConfig(member_id, **settings), disk, self.rng)
            member.observe = self.checker.observe
            self.checker.restarted(member)
            self.members[member_id] = member

    @property
    def running(self) -> list[SimMember]:
        """The members that are not crashed."""
        return [member for member in self.members.values() if member.member_id not in self.crashed]

    def instant(self) -> None:
        """One tick: messages arrive, disks finish, everybody carries out what its core wants."""
        self.now += 1
        for message, arrives in list(self.network.arriving(self.now)):
            arrives = arrives and message.to not in self.crashed
            if arrives:
                self.members[message.to].raft.step(message)
                self._settle(self.members[message.to])
            if isinstance(message, InstallSnapshot) and message.sender not in self.crashed:
                self.members[message.sender].raft.report_snapshot(message.to, arrives)
        for member in self.running:
            member.raft.tick()
            if self.rng.random() >= self.disk_stalls:
                member.persist(self.rng.randint(1, 3) if self.disk_stalls else None)
            self._settle(member)

    def _settle(self, member: SimMember) -> None:
        while (ready := member.take_ready()) is not None:
            for target in ready.snapshots_needed:
                self._send_snapshot(member, target)
        for message in member.take_outgoing():
            self.network.send(message, self.now)

    def _send_snapshot(self, member: SimMember, target: int) -> None:
        snapshot = member.disk.storage.snapshot()
        message = InstallSnapshot(member.member_id, target, member.raft.term, snapshot)
        if not self.network.send(message, self.now):
            member.raft.report_snapshot(target, False)

    # What users and operators do; refusals are part of life.

    def propose(self, member: SimMember) -> None:
        """Proposes one to three entries at any member."""
        self._batch += 1
        proposals = [
            Proposal(EntryKind.BATCH, 1, self._batch, b"%d.%d" % (self._batch, part))
            for part in range(self.rng.randint(1, 3))
        ]
        with suppress(OarlockError):
            member.raft.propose(proposals)

    def read(self, member: SimMember) -> None:
        """Asks for a read index at any member."""
        self._questions += 1
        context = b"question %d" % self._questions
        with suppress(OarlockError):
            member.raft.read_index(context)
            self.checker.asked(context)

    def transfer(self, member: SimMember) -> None:
        """Asks any member to see to it that another one leads."""
        with suppress(OarlockError):
            member.raft.transfer_leadership(self.rng.choice(list(self.members)))

    def campaign(self, member: SimMember) -> None:
        """Lets any member try to lead."""
        member.raft.campaign()

    def change_membership(self, member: SimMember) -> None:
        """Asks any member for a random change."""
        change = MembershipChange(self.rng.choice(list(ChangeKind)), self.rng.choice(list(self.members)))
        with suppress(OarlockError):
            member.raft.change_membership(change)

    def compact(self, member: SimMember) -> None:
        """Drops a random part of what a member has given out, and has durably."""
        storage = member.disk.storage
        applied = min(self.checker.applied(member), storage.last_index())
        if not any(write.snapshot for write in member.disk.waiting) and applied > storage.snapshot().index:
            member.compact(self.rng.randint(storage.snapshot().index + 1, applied))

    def crash(self, member: SimMember) -> None:
        """Stops a member; what was not durable is lost."""
        self.crashed.add(member.member_id)
        member.crash(self.rng)

    def restart(self, member: SimMember) -> None:
        """Starts a crashed member again."""
        self.crashed.discard(member.member_id)
        member.start()
        self.checker.restarted(member)

    def end_faults(self) -> None:
        """Everybody is there again, and everything works."""
        self.network.heal()
        self.disk_stalls = 0.0
        for member_id in sorted(self.crashed):
            self.restart(self.members[member_id])

    def converged(self) -> bool:
        """Whether there is one leader, and all its members have given out its whole log."""
        leaders = [member for member in self.running if member.raft.status.role is Role.LEADER]
        if len(leaders) != 1:
            return False
        leader = leaders[0].raft.status
        return all(
            self.checker.applied(self.members[member]) == leader.last_index for member in leader.membership.everyone
        )

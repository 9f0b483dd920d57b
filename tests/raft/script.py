"""Scenarios as text: commands, and below them what came of it.

A file is a row of blocks, apart by an empty line::

    # What happens here, and why.
    campaign 1
    ----
    the output

A block may hold several commands; their output follows each other. ``RAFT_REWRITE=1`` writes the output anew: accept
only a difference that you can explain. Nothing is random: member ``n`` waits ``election_ticks + n - 1`` ticks before it
campaigns, messages arrive in the order in which they were sent, and disks work when told to.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from oarlock.coordinator.raft import ChangeKind, HardState, Membership, MembershipChange, Message, RaftConfig, Ready
from oarlock.coordinator.raft.messages import InstallSnapshot
from oarlock.wire.entries import Entry, EntryKind, Proposal
from oarlock.wire.errors import OarlockError

from .simulation import SimDisk, SimMember

_STABILIZE_ROUNDS = 100


class _FirstChoice(random.Random):
    """Draws the lowest number, plus a fixed one."""

    def __init__(self, extra: int) -> None:
        super().__init__(0)
        self._extra = extra

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        return start + self._extra


class Script:
    """Carries out the commands of one scenario file. The methods named ``do_…`` are the commands."""

    def __init__(self) -> None:
        self.members: dict[int, SimMember] = {}
        self._network: list[Message] = []
        self._cut: set[int] = set()
        self._output: list[str] = []
        self._batch = 0

    def run(self, line: str) -> list[str]:
        """Carries out one command and returns its lines of output."""
        self._output = []
        name, *words = line.split()
        options = dict(word.split("=", 1) for word in words if "=" in word)
        arguments = [word for word in words if "=" not in word]
        command: Callable[..., None] = getattr(self, "do_" + name.replace("-", "_"))
        try:
            command(*arguments, **options)
        except OarlockError as error:
            self._say(f"{type(error).__name__}: {error.message}")
        return self._output

    def _say(self, text: str) -> None:
        self._output.append(text)

    def _collect(self) -> None:
        for member in self.members.values():
            for message in member.take_outgoing():
                if message.sender in self._cut or message.to in self._cut:
                    continue
                self._network.append(message)

    # --- the cluster

    def do_cluster(self, voters: str, learners: str = "0", spares: str = "0", **settings: str) -> None:
        """``cluster 3 [learners=1] [spares=1] [setting=value …]``: members from 1 on, in this order."""
        voting = tuple(range(1, int(voters) + 1))
        learning = tuple(range(len(voting) + 1, len(voting) + int(learners) + 1))
        flags = {"true": True, "false": False}
        values: dict[str, Any] = {
            key: flags[value] if value in flags else int(value) for key, value in settings.items()
        }
        for member_id in range(1, len(voting) + len(learning) + int(spares) + 1):
            belongs = member_id in voting + learning
            disk = SimDisk(Membership(voting, learning) if belongs else Membership())
            self.members[member_id] = SimMember(RaftConfig(member_id, **values), disk, _FirstChoice(member_id - 1))

    def do_given(self, member: str, log: str = "", term: str = "0", vote: str = "0") -> None:
        """``given 1 log=1,1,2 term=2 vote=1``: what is on its disk, entries by their terms; it starts again."""
        disk = self.members[int(member)].disk
        terms = [int(one) for one in log.split(",") if one]
        disk.storage.append([Entry(index, of, EntryKind.BATCH, 1, index, b"") for index, of in enumerate(terms, 1)])
        disk.hard_state = HardState(int(term), int(vote))
        self.members[int(member)].start()

    def do_cut(self, *members: str) -> None:
        """``cut 3``: nothing reaches it or comes from it, what is on its way included."""
        self._cut = {int(member) for member in members}
        self._network = [one for one in self._network if one.sender not in self._cut and one.to not in self._cut]

    def do_heal(self) -> None:
        """Ends a cut."""
        self._cut = set()

    def do_crash(self, member: str) -> None:
        """It loses what its disk has not, and starts again from the disk."""
        one = self.members[int(member)]
        one.disk.waiting.clear()
        one.crash(_FirstChoice(0))
        one.start()

    def do_compact(self, member: str, index: str) -> None:
        """``compact 1 5``: it takes a snapshot at 5, and drops entries 1 to 5."""
        self.members[int(member)].compact(int(index))

    # --- calls into a core

    def do_campaign(self, member: str) -> None:
        self.members[int(member)].raft.campaign()

    def do_tick(self, members: str, count: str = "1") -> None:
        """``tick 1,2 5``: five ticks at each of them, or at ``all``."""
        chosen = self.members if members == "all" else [int(one) for one in members.split(",")]
        for member in chosen:
            for _ in range(int(count)):
                self.members[member].raft.tick()

    def do_propose(self, member: str, *payloads: str) -> None:
        """``propose 1 a b``: two entries in one call."""
        self._batch += 1
        proposals = [Proposal(EntryKind.BATCH, 1, self._batch, payload.encode()) for payload in payloads]
        self.members[int(member)].raft.propose(proposals)

    def do_read(self, member: str, context: str) -> None:
        self.members[int(member)].raft.read_index(context.encode())

    def do_transfer(self, member: str, target: str) -> None:
        self.members[int(member)].raft.transfer_leadership(int(target))

    def do_change(self, member: str, kind: str, target: str) -> None:
        """``change 1 add-learner 4``."""
        change = MembershipChange(ChangeKind[kind.upper().replace("-", "_")], int(target))
        self.members[int(member)].raft.change_membership(change)

    def do_unreachable(self, member: str, other: str) -> None:
        self.members[int(member)].raft.report_unreachable(int(other))

    def do_snapshot(self, member: str, other: str, outcome: str) -> None:
        """``snapshot 1 3 ok``: member 1's driver sends its snapshot to 3 (or, ``failed``, does not manage to)."""
        sender = self.members[int(member)]
        if outcome == "ok":
            message = InstallSnapshot(sender.member_id, int(other), sender.raft.term, sender.disk.storage.snapshot())
            self._say(describe(message))
            self.members[int(other)].raft.step(message)
        sender.raft.report_snapshot(int(other), outcome == "ok")

    # --- drivers, disks and the network

    def do_ready(self, member: str) -> None:
        """Takes what the core wants done; writes go to the disk's queue."""
        one = self.members[int(member)]
        while (ready := one.take_ready()) is not None:
            self._output.extend(describe_ready(ready))
        self._collect()

    def do_persist(self, member: str, count: str = "") -> None:
        """``persist 1 [2]``: all (or the oldest two) of its writes become durable."""
        self.members[int(member)].persist(int(count) if count else None)
        self._collect()

    def do_deliver(self, way: str) -> None:
        """``deliver 1->2``: hands over what is on that way; ``deliver all``: everything."""
        for message in self._take(way):
            self._say(describe(message))
            self.members[message.to].raft.step(message)

    def do_drop(self, way: str) -> None:
        """``drop 1->2``: loses what is on that way."""
        for message in self._take(way):
            self._say("lost " + describe(message))

    def _take(self, way: str) -> list[Message]:
        taken = [one for one in self._network if way in ("all", f"{one.sender}->{one.to}")]
        self._network = [one for one in self._network if one not in taken]
        return taken

    def do_stabilize(self, loudness: str = "loud") -> None:
        """Drivers, disks and network work until nothing is left to do; ``stabilize quietly`` says nothing."""
        for _ in range(_STABILIZE_ROUNDS):
            before = len(self._output)
            for member in self.members:
                self.do_ready_and_persist(str(member))
            self.do_deliver("all")
            if len(self._output) == before:
                break
        else:
            raise AssertionError("the cluster does not come to rest")
        if loudness == "quietly":
            self._output.clear()

    def do_ready_and_persist(self, member: str) -> None:
        """Both, until neither has anything left."""
        one = self.members[int(member)]
        said = len(self._output)
        self.do_ready(member)
        while one.persist():
            self.do_ready(member)
        self._collect()
        self._output[said:] = [f"{member}: {line}" for line in self._output[said:]]

    # --- questions

    def do_status(self, *members: str) -> None:
        """``status 1 2``, or of all."""
        for member in [int(one) for one in members] or list(self.members):
            status = self.members[member].raft.status
            self._say(
                f"{member}: {status.role.value} term={status.term} vote={status.vote} leader={status.leader} "
                f"commit={status.commit} last={status.last_index} durable={status.durable_index}"
            )

    def do_progress(self, member: str) -> None:
        """What a leader knows of the others."""
        for other in self.members[int(member)].raft.status.members:
            if other.member != int(member):
                paused = " paused" if other.paused else ""
                self._say(
                    f"{other.member}: {other.state} match={other.match} next={other.next} "
                    f"inflight={other.inflight}{paused}"
                )

    def do_log(self, *members: str) -> None:
        """The entries that a member has, durable or not, as index/term."""
        for member in members:
            log = self.members[int(member)].raft._state.log
            entries = [f"{index}/{log.term(index)}" for index in range(log.first_index, log.last_index + 1)]
            self._say(f"{member}: {' '.join(entries)}")

    def do_members(self, member: str) -> None:
        self._say(str(self.members[int(member)].raft.status.membership))


def describe_entry(entry: Entry) -> str:
    """``index/term`` and the payload, or the kind if it is not a batch."""
    content = entry.payload.decode() if entry.kind == EntryKind.BATCH else EntryKind(entry.kind).name
    return f"{entry.index}/{entry.term}:{content}"


def _describe_value(value: Any) -> str:
    if isinstance(value, Sequence) and value and isinstance(value[0], Entry):
        return "[" + " ".join(describe_entry(entry) for entry in value) + "]"
    if isinstance(value, list | tuple) and not value:
        return "[]"
    if isinstance(value, list) and isinstance(value[0], Proposal):
        return "[" + " ".join(proposal.payload.decode() for proposal in value) + "]"
    return value.decode() if isinstance(value, bytes) else str(value)


def describe(message: Message) -> str:
    """One line: way, kind, and all fields."""
    fields = message._asdict()
    way = f"{fields.pop('sender')}->{fields.pop('to')}"
    return " ".join(
        [way, type(message).__name__, *(f"{key}={_describe_value(value)}" for key, value in fields.items())]
    )


def describe_ready(ready: Ready) -> list[str]:
    """What a ``Ready`` asks for, a line each; messages are shown when they arrive."""
    lines = []
    if ready.soft_state is not None:
        lines.append(f"{ready.soft_state.role.value} term={ready.soft_state.term} leader={ready.soft_state.leader}")
    if ready.needs_write:
        parts = [f"write {ready.write}:"]
        if ready.hard_state is not None:
            parts.append(f"term={ready.hard_state.term} vote={ready.hard_state.vote}")
        if ready.snapshot is not None:
            parts.append(f"snapshot={ready.snapshot.index}/{ready.snapshot.term}")
        if ready.truncate_from is not None:
            parts.append(f"truncate_from={ready.truncate_from}")
        if ready.entries:
            parts.append(_describe_value(ready.entries))
        if ready.messages_after_persist:
            parts.append(f"then {len(ready.messages_after_persist)} messages")
        lines.append(" ".join(parts))
    if ready.committed:
        lines.append("committed " + _describe_value(ready.committed))
    lines += [f"read {read.context.decode()} at {read.index}" for read in ready.reads]
    lines += [f"read {context.decode()} failed" for context in ready.reads_failed]
    lines += [f"member {member} needs a snapshot" for member in ready.snapshots_needed]
    return lines

"""What one seed draws: the shape of the cluster, its settings, and how often what goes wrong."""

from __future__ import annotations

import random
from enum import StrEnum
from typing import Any, Final

from oarlock.storage.log import LogOptions

FAULTS: Final = {
    "kill_leader": 0.03,
    "power_off": 0.02,
    "kill_coordinator": 0.03,
    "kill_worker": 0.03,
    "pause_coordinator": 0.03,
    "pause_leader": 0.03,
    "pause_worker": 0.03,
    "isolate_leader": 0.04,
    "strand_leader": 0.05,
    "hand_over": 0.03,
    "split": 0.03,
    "cut_link": 0.1,
    "join_link": 0.1,
    "slow_link": 0.08,
    "slow_leader": 0.15,
    "slow_disk": 0.05,
    "fail_disk": 0.01,
    "jump_clock": 0.05,
    "flip_bit": 0.02,
    "transfer": 0.04,
    "suspect_leader": 0.04,
    "lose_client": 0.05,
    "join_member": 0.03,
    "leave_member": 0.03,
}
"""Each fault, and how likely it is in each tenth of a second where a seed has drawn it at its usual rate."""
ALWAYS: Final = ("join_link",)


class Course(StrEnum):
    """What a run is there for; each is the part of a test's name that finds it."""

    ANY = "keeps_its_promises"
    ALONE = "alone"
    """One member, which is joined by others and left by them, all the time."""
    SLOW_FOLLOWER = "slow_follower"
    """One of three members hears its leader late, and nothing else is wrong: all others go on, and what that member
    answers must not be what was true when it asked. Among other faults this is rare."""
    STRANDED_LEADER = "stranded_leader"
    """The leader of three members is cut off from the others and not from its clients, and nothing else is wrong."""


class Profile:
    """Drawn from the seed alone.

    Attributes:
        voters, spares: how many machines have members at first, and how many have none.
        min_voters: below so many, nobody is let go.
        workers: of each member.
        raft: settings of the core.
        log_options: of the log; small segments and caches make it rotate and read from the disk.
        snapshot_entries, keep_entries: when a snapshot is made, and how many entries before it are kept.
        publish_loss, push_loss: shares of messages from coordinator to worker, and from worker to watchers, that are
            dropped.
        sync_s: the longest that the sync of a healthy disk takes.
        request_rate: how eager clients are.
        max_open: requests that a client has open at once. Where it is many, requests go on to be made while a member
            answers none.
        compactions: how often they compact, against the 27 of all their other requests.
        faults: probability of each in a tenth of a second.
    """

    def __init__(self, rng: random.Random, course: Course) -> None:
        self.voters = rng.choice((3, 3, 3, 5))
        self.spares = rng.choice((0, 1, 1))
        self.workers = rng.choice((1, 1, 1, 2))
        self.clients = 3
        self.raft: dict[str, Any] = {
            "election_ticks": 5,
            "max_inflight_messages": rng.choice((1, 3, 256)),
            "max_message_bytes": rng.choice((1, 300, 1 << 20)),
            "max_committed_bytes": rng.choice((1, 500, 1 << 22)),
            "max_uncommitted_bytes": rng.choice((3_000, 1 << 26, 1 << 26)),
            "pre_vote": rng.random() < 0.8,
        }
        self.log_options = LogOptions(
            segment_bytes=rng.choice((1_000, 8_000, 1 << 26)),
            preallocate_bytes=rng.choice((0, 4_096)),
            cache_bytes=rng.choice((0, 500, 1 << 20)),
        )
        self.snapshot_entries = rng.choice((12, 40, 1 << 30))
        self.keep_entries = rng.choice((0, 3, 10))
        self.publish_loss = rng.choice((0.0, 0.02, 0.2))
        self.push_loss = rng.choice((0.0, 0.05, 0.3))
        self.request_rate = rng.uniform(0.15, 0.6)
        self.max_open = 3
        self.compactions = rng.choice((0.0, 0.3))
        self.loss = rng.choice((0.0, 0.0, 0.02, 0.15))
        self.duplication = rng.choice((0.0, 0.02, 0.15))
        self.jitter_s = rng.choice((0.0, 0.005, 0.05, 0.2))
        self.sync_s = rng.choice((0.001, 0.001, 0.03))
        self.clock_drift = rng.choice((0.0, 0.02))
        self.faults = {
            name: rate * rng.choice((0.5, 1.0, 3.0))
            for name, rate in FAULTS.items()
            if rng.random() < 0.35 or name in ALWAYS
        }
        self.min_voters = 3
        if course is Course.ALONE:
            self._be_alone()
        elif course is Course.SLOW_FOLLOWER:
            self._have_only("slow_leader", 0.5)
            self.max_open = 10
        elif course is Course.STRANDED_LEADER:
            self._have_only("strand_leader", 0.05)

    def _be_alone(self) -> None:
        """The disk of a lone member is the only one, and must not be damaged."""
        self.voters = self.min_voters = 1
        self.spares = 2
        self.faults |= {"join_member": 0.05, "leave_member": 0.2, "pause_leader": 0.1, "flip_bit": 0.0}

    def _have_only(self, fault: str, rate: float) -> None:
        """One fault in a cluster of three with much to do, which works without it."""
        self.voters, self.spares = 3, 0
        self.faults = {fault: rate}
        self.request_rate = 0.6
        self.loss, self.jitter_s, self.sync_s = 0.0, 0.005, 0.001
        self.raft |= {"max_inflight_messages": 256, "max_message_bytes": 1 << 20, "max_committed_bytes": 1 << 22}
        self.raft |= {"max_uncommitted_bytes": 1 << 26, "pre_vote": True}

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in vars(self).items())

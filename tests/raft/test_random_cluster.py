"""Whole clusters under random faults. ``RAFT_SEED=7`` runs one seed, ``RAFT_SEEDS=1000`` as many from 0 on."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from oarlock.coordinator.raft import Role

from .cluster import SimCluster

SEEDS_A_TEST = 10
INSTANTS = 200
CONVERGENCE_INSTANTS = 400
"""Some ten election time-outs: several split votes in a row, and then a catch-up by snapshot."""


def seed_groups() -> list[range]:
    if "RAFT_SEED" in os.environ:
        seed = int(os.environ["RAFT_SEED"])
        return [range(seed, seed + 1)]
    count = int(os.environ.get("RAFT_SEEDS", "34"))
    return [range(first, min(first + SEEDS_A_TEST, count)) for first in range(0, count, SEEDS_A_TEST)]


def disturb(cluster: SimCluster, *, changes: bool) -> None:
    """One instant's worth of users, operators and bad luck."""
    rng = cluster.rng
    actions: list[tuple[float, Callable[..., None]]] = [
        (0.5, cluster.propose),
        (0.2, cluster.read),
        (0.02, cluster.transfer),
        (0.02, cluster.campaign),
        (0.03, cluster.compact),
        (0.1 if changes else 0.0, cluster.change_membership),
    ]
    for probability, action in actions:
        if cluster.running and rng.random() < probability:
            action(rng.choice(cluster.running))
    for member in cluster.members.values():
        if member.member_id in cluster.crashed:
            if rng.random() < 0.1:
                cluster.restart(member)
        elif rng.random() < 0.01:
            cluster.crash(member)
    if rng.random() < 0.1:
        cluster.network.split(rng.sample(list(cluster.members), rng.randint(0, len(cluster.members) // 2)))


def run(seed: int, voters: int, *, spares: int = 0) -> SimCluster:
    cluster = SimCluster(
        seed,
        voters,
        spares,
        max_inflight_messages=3,
        max_message_bytes=400,
        # Without these a removed member that does not know it is a nuisance, as the Raft paper says (section 6).
        pre_vote=spares > 0 or seed % 4 != 0,
        check_quorum=spares > 0 or seed % 8 != 0,
    )
    network = cluster.network
    network.loss, network.duplication, network.max_delay = seed % 3 * 0.1, 0.1, 1 + seed % 5
    cluster.disk_stalls = seed % 2 * 0.7
    for _ in range(INSTANTS):
        disturb(cluster, changes=spares > 0)
        cluster.instant()
    cluster.end_faults()
    before = cluster.checker.last_committed
    for _ in range(CONVERGENCE_INSTANTS):
        cluster.instant()
        if cluster.converged():
            if cluster.checker.last_committed > before:
                return cluster
            cluster.propose(next(member for member in cluster.running if member.raft.status.role is Role.LEADER))
    raise AssertionError(f"no convergence, or nothing committed, within {CONVERGENCE_INSTANTS} instants")


def run_group(seeds: range, voters: int, *, spares: int = 0) -> None:
    for seed in seeds:
        try:
            run(seed, voters, spares=spares)
        except Exception as problem:
            raise AssertionError(f"{voters} voters, {spares} spares: RAFT_SEED={seed} fails") from problem


@pytest.mark.parametrize("seeds", seed_groups(), ids=str)
@pytest.mark.parametrize("voters", [3, 5])
def test_cluster_keeps_its_promises_under_faults(voters: int, seeds: range) -> None:
    run_group(seeds, voters)


@pytest.mark.parametrize("seeds", seed_groups(), ids=str)
def test_cluster_keeps_its_promises_while_members_come_and_go(seeds: range) -> None:
    run_group(seeds, 3, spares=2)


def test_a_seed_decides_about_everything() -> None:
    assert run(3, 3).checker.committed == run(3, 3).checker.committed

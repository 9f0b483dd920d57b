"""Whole clusters under faults, one a seed. ``SIM_SEED=7`` runs one alone, ``SIM_SEEDS=1000`` as many from 0 on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .cluster import simulate
from .profile import Course

CI_SEEDS = 300
ALONE_SEEDS = 50
SLOW_FOLLOWER_SEEDS = 30
STRANDED_LEADER_SEEDS = 30
SOAK_SEEDS = 3000
SEEDS_A_TEST = 10


def seed_groups(first: int, count: int) -> list[range]:
    if "SIM_SEED" in os.environ:
        seed = int(os.environ["SIM_SEED"])
        return [range(seed, seed + 1)] if first == 0 else []
    return [range(at, min(at + SEEDS_A_TEST, first + count)) for at in range(first, first + count, SEEDS_A_TEST)]


@pytest.mark.parametrize("seeds", seed_groups(0, int(os.environ.get("SIM_SEEDS", CI_SEEDS))), ids=str)
def test_cluster_keeps_its_promises(seeds: range) -> None:
    for seed in seeds:
        simulate(seed)


@pytest.mark.parametrize("seeds", seed_groups(0, int(os.environ.get("SIM_SEEDS", ALONE_SEEDS))), ids=str)
def test_a_member_alone_is_joined_and_left(seeds: range) -> None:
    for seed in seeds:
        simulate(seed, Course.ALONE)


@pytest.mark.parametrize("seeds", seed_groups(0, int(os.environ.get("SIM_SEEDS", SLOW_FOLLOWER_SEEDS))), ids=str)
def test_a_slow_follower_tells_nothing_old(seeds: range) -> None:
    for seed in seeds:
        simulate(seed, Course.SLOW_FOLLOWER)


@pytest.mark.parametrize("seeds", seed_groups(0, int(os.environ.get("SIM_SEEDS", STRANDED_LEADER_SEEDS))), ids=str)
def test_a_stranded_leader_promises_nothing(seeds: range) -> None:
    for seed in seeds:
        simulate(seed, Course.STRANDED_LEADER)


@pytest.mark.soak
@pytest.mark.parametrize("seeds", seed_groups(CI_SEEDS, SOAK_SEEDS), ids=str)
def test_cluster_keeps_its_promises_for_long(seeds: range) -> None:
    for seed in seeds:
        simulate(seed)


def digest_in_another_process(seed: int, hash_seed: int) -> str:
    program = f"from tests.simulation.cluster import simulate; print('digest', simulate({seed}).world.digest)"
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return ran.stdout.splitlines()[-1]


@pytest.mark.parametrize("seed", [1, 4])
def test_a_seed_decides_about_everything(seed: int) -> None:
    first = digest_in_another_process(seed, hash_seed=1)
    assert first.startswith("digest ")
    assert digest_in_another_process(seed, hash_seed=2) == first


def test_runs_do_what_they_are_there_for() -> None:
    """What faults leave of a cluster is still one that works, and changes leaders, members and snapshots."""
    clusters = [simulate(seed, Course.ALONE if seed >= 12 else Course.ANY) for seed in range(15)]
    assert sum(cluster.judge.last_committed for cluster in clusters) > 15 * 20
    assert sum(client.successes for cluster in clusters for client in cluster.clients) > 15 * 20
    text = "\n".join(line for cluster in clusters for line in cluster.milestones)
    changes = ("leads term", "installs snapshot", "refuses to start", "ADD_LEARNER", "PROMOTE", "REMOVE")
    for milestone in (*changes, "a read asks nobody", "sees its own entry", "is not told at once"):
        assert milestone in text, f"in no run: {milestone}"

"""Faults of all kinds in a row, drawn from a seed: no call fails, nothing is lost, doubled or out of order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from .campaign import Campaign
from .faults import FAULTS, Fault, FillDisk
from .hosts import Hosts, with_hosts

FLAGS = ("--snapshot-count", "500", "--snapshot-catchup-entries", "100")


def run_campaign(
    directory: Path, seed: int, members: int, faults: int, choices: Sequence[type[Fault]] = FAULTS
) -> None:
    def test(cluster: Hosts) -> None:
        asyncio.run(Campaign(cluster, seed, choices).run(faults))

    with_hosts(test, directory, members, arguments=FLAGS)


@pytest.mark.slow
def test_a_few_faults_of_three_members_break_no_promise(tmp_path: Path, seed: int) -> None:
    run_campaign(tmp_path, seed, 3, 4)


@pytest.mark.slow
def test_a_few_faults_of_five_members_break_no_promise(tmp_path: Path, seed: int) -> None:
    run_campaign(tmp_path, seed + 1, 5, 2)


@pytest.mark.soak
@pytest.mark.parametrize("members", [3, 5])
def test_many_faults_break_no_promise(tmp_path: Path, seed: int, members: int, soak_faults: int) -> None:
    run_campaign(tmp_path, seed, members, soak_faults)


@pytest.mark.soak
@pytest.mark.parametrize("fault", [each for each in FAULTS if each is not FillDisk])
def test_one_fault_again_and_again_breaks_no_promise(tmp_path: Path, seed: int, fault: type[Fault]) -> None:
    run_campaign(tmp_path, seed, 3, 8, [fault])

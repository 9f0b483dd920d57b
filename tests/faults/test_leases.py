"""Leases across leader changes: never early, full time again with a new leader, renewed by any member."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.server import wait_until

from .hosts import Hosts, with_hosts

TIMEOUT_S = 60.0
TTL_S = 12
USED_S = 3
"""How much of it is used when the leader dies: seconds are whole here, so that two of them are a clear difference."""


def lose_the_leader_of_a_lease(cluster: Hosts) -> None:
    leader = cluster.wait_until_whole()
    with cluster.client(timeout_s=TIMEOUT_S) as client, cluster.client(timeout_s=TIMEOUT_S) as watching:
        asked_s = time.monotonic()
        lease_id = client.lease(TTL_S).id
        client.put(b"k", b"", lease=lease_id)
        wait_until(lambda: client.lease_time_to_live(lease_id).ttl_s <= TTL_S - USED_S, TIMEOUT_S, "some time used")
        with watching.watch(b"k", no_put=True) as watch:
            used_s = time.monotonic() - asked_s
            cluster.kill(leader)
            killed_s = time.monotonic()
            left_s = client.lease_time_to_live(lease_id).ttl_s
            assert left_s + (time.monotonic() - killed_s) + 1 > TTL_S, "the new leader does not give the full time"
            assert used_s >= USED_S - 1
            next(iter(watch))
            assert time.monotonic() - killed_s >= TTL_S, "the lease ended early"
        assert client.lease_time_to_live(lease_id).ttl_s == -1


def renew_by_any_member(cluster: Hosts) -> None:
    leader = cluster.wait_until_whole()
    with cluster.client(timeout_s=TIMEOUT_S) as client:
        lease_id = client.lease(TTL_S).id
    for number in cluster.everyone:
        with cluster.client(number, timeout_s=TIMEOUT_S) as client:
            assert client.refresh_lease(lease_id).ttl_s == TTL_S
    follower = next(number for number in cluster.everyone if number != leader)
    with cluster.client(follower, timeout_s=TIMEOUT_S) as client:
        cluster.kill(leader)
        assert client.refresh_lease(lease_id).ttl_s == TTL_S
        assert client.lease_time_to_live(lease_id).granted_ttl_s == TTL_S


@pytest.mark.slow
def test_a_lease_has_its_full_time_again_with_a_new_leader_and_ends_then(tmp_path: Path) -> None:
    with_hosts(lose_the_leader_of_a_lease, tmp_path)


@pytest.mark.slow
def test_any_member_renews_leases_also_when_the_leader_has_just_died(tmp_path: Path) -> None:
    with_hosts(renew_by_any_member, tmp_path)

"""Two of three down: what needs a quorum ends in time, what does not goes on, and all goes on when they are back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import oarlock
from tests.server import wait_until

from .hosts import Hosts, with_hosts

PATIENCE_S = 4.0
"""Of calls that are to fail: a member has noticed by then that there is no quorum, but that is not what ends them."""
TIMEOUT_S = 60.0


def lose_the_quorum_and_find_it(cluster: Hosts) -> None:
    with cluster.client(0, timeout_s=TIMEOUT_S) as client, ThreadPoolExecutor(1) as pool:
        client.put(b"k", b"v")
        wait_until(lambda: client.get(b"k", serializable=True) is not None, TIMEOUT_S, "the put, everywhere")
        cluster.kill(1)
        cluster.kill(2)
        check_that_calls_end(cluster)
        kept = client.get(b"k", serializable=True)
        assert kept is not None
        assert kept.value == b"v"
        waiting = pool.submit(client.put, b"k", b"w")
        cluster.start([1])
        header = waiting.result(TIMEOUT_S).header
        cluster.start([2])
    with cluster.client(2, timeout_s=TIMEOUT_S) as back:
        found = back.get(b"k", serializable=True, min_revision=header.revision)
        assert found is not None
        assert found.value == b"w"
    cluster.wait_until_whole()


def check_that_calls_end(cluster: Hosts) -> None:
    """With etcd's time-out, for clients of the one member that is left, and of all."""
    with cluster.client(0) as one, cluster.client() as everyone, ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(client.put, b"refused", timeout_s=PATIENCE_S) for client in (one, everyone)]
        calls += [pool.submit(client.get, b"k", timeout_s=PATIENCE_S) for client in (one, everyone)]
        for call in calls:
            with pytest.raises(oarlock.TimeoutError):
                call.result(TIMEOUT_S)


def come_back_far_behind(cluster: Hosts) -> None:
    leader = cluster.wait_until_whole()
    behind, other = (number for number in cluster.everyone if number != leader)
    cluster.kill(behind)
    with cluster.client(leader, timeout_s=TIMEOUT_S) as client:
        for count in range(1_000_000):
            revision = client.put(b"%d" % (count % 50), b"v").header.revision
            if cluster.servers[leader].log_text().count("snapshot taken") >= 3:
                break
        cluster.kill(other)
        with pytest.raises(oarlock.TimeoutError):
            client.put(b"refused", b"", timeout_s=PATIENCE_S)
        cluster.start([behind])
        client.put(b"0", b"w")
    cluster.start([other])
    for number in cluster.everyone:
        with cluster.client(number, timeout_s=TIMEOUT_S) as client:
            assert len(client.get_all(serializable=True, min_revision=revision + 1).kvs) >= 50
    assert "replica begins from a snapshot" in cluster.servers[behind].log_text()


@pytest.mark.slow
def test_calls_end_in_time_without_a_quorum_and_go_on_with_one(tmp_path: Path) -> None:
    with_hosts(lose_the_quorum_and_find_it, tmp_path)


@pytest.mark.slow
def test_a_member_that_needs_a_snapshot_restores_the_quorum(tmp_path: Path) -> None:
    with_hosts(come_back_far_behind, tmp_path, arguments=("--snapshot-count", "40", "--snapshot-catchup-entries", "5"))

"""A member whose replica differs from the others' raises CORRUPT, is named, and serves nobody until it is restarted."""

from __future__ import annotations

from pathlib import Path

import lmdb
import pytest

import oarlock
from oarlock.storage.replica.layout import CURRENT
from tests.durability.verdict import replica_directory
from tests.server import Server, wait_until

from .hosts import Hosts, with_hosts

TIMEOUT_S = 30.0


def damage(server: Server, key: bytes) -> None:
    """Makes the replica of a stopped server believe that ``key`` was written once more."""
    environment = lmdb.open(str(replica_directory(server, 0)), max_dbs=32)
    try:
        table = environment.open_db(b"current", create=False)
        with environment.begin(write=True) as transaction:
            revision, sub, create, version, lease = CURRENT.unpack(transaction.get(key, db=table))
            transaction.put(key, CURRENT.pack(revision, sub, create, version + 1, lease), db=table)
    finally:
        environment.close()


def corrupt_one(cluster: Hosts) -> None:
    leader = cluster.wait_until_whole()
    wrong, right = (number for number in cluster.everyone if number != leader)
    with cluster.client(leader, timeout_s=TIMEOUT_S) as client:
        revision = client.put(b"k", b"v").header.revision
        with cluster.client(wrong, timeout_s=TIMEOUT_S) as other:
            other.get(b"k", serializable=True, min_revision=revision)
        assert cluster.servers[wrong].stop() == 0
        damage(cluster.servers[wrong], b"k")
        cluster.start([wrong])
        client.put(b"k", b"w")
        wait_until(lambda: bool(client.alarms()), TIMEOUT_S, "an alarm")
        assert [(alarm.member_id, alarm.alarm) for alarm in client.alarms()] == [
            (cluster.member_id(wrong), oarlock.Alarm.CORRUPT)
        ]
        with pytest.raises(oarlock.CorruptError):
            client.put(b"k", b"x")
    for number in (leader, right):
        with cluster.client(number, timeout_s=TIMEOUT_S) as client:
            kv = client.get(b"k")
            assert kv is not None
            assert kv.version == 2
    wait_until(lambda: not serves(cluster, wrong), TIMEOUT_S, "the end of service by the damaged member")
    named = [line for line in cluster.servers[leader].log_text().splitlines() if '"replicas differ"' in line]
    assert named
    assert all(f"{cluster.member_id(wrong):x}" in line for line in named)
    restore(cluster, wrong)


def restore(cluster: Hosts, wrong: int) -> None:
    """Started again, it rebuilds its replica; it serves, and the cluster takes writes, when the alarm is disarmed."""
    cluster.kill(wrong)
    with cluster.client(next(number for number in cluster.everyone if number != wrong), timeout_s=TIMEOUT_S) as client:
        client.disarm_alarm()
    cluster.start([wrong])
    with cluster.client(wrong, timeout_s=TIMEOUT_S) as client:
        revision = client.put(b"k", b"z").header.revision
    hashes = set()
    for number in cluster.everyone:
        with cluster.client(number, timeout_s=TIMEOUT_S) as client:
            client.get(b"k")
            hashes.add(client.hash_kv(revision).hash)
    assert len(hashes) == 1


def serves(cluster: Hosts, number: int) -> bool:
    try:
        with cluster.client(number, connect_timeout_s=0.5) as client:
            client.get(b"k", serializable=True, timeout_s=0.5)
    except oarlock.OarlockError:
        return False
    return True


@pytest.mark.slow
def test_a_damaged_replica_is_found_named_and_serves_nobody(tmp_path: Path) -> None:
    with_hosts(corrupt_one, tmp_path)

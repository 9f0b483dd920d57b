"""etcdctl: that of etcd 3.5, and that of Debian where it is installed. The differential tests compare every command."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from oarlock.loadgen.own_etcd import find_etcd
from tests.clients_etcd.servers import EtcdServer

PACKAGED = find_etcd().with_name("etcdctl")
DEBIAN = Path("/usr/bin/etcdctl")
COMMAND_S = 60.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize(
        "binary",
        [PACKAGED, pytest.param(DEBIAN, marks=pytest.mark.skipif(not DEBIAN.exists(), reason="not installed"))],
        ids=["3.5", "Debian's"],
    ),
]

Etcdctl = Callable[..., str]


@pytest.fixture
def etcdctl(binary: Path, etcd_server: EtcdServer) -> Etcdctl:
    """Runs one command against the server; what it printed."""
    env = {**os.environ, "ETCDCTL_API": "3", "ETCDCTL_ENDPOINTS": etcd_server.endpoint}

    def run(*arguments: str, given: str = "") -> str:
        done = subprocess.run(
            [binary, *arguments], input=given, env=env, capture_output=True, text=True, timeout=COMMAND_S, check=False
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    return run


def test_keys_are_put_listed_and_deleted(etcdctl: Etcdctl) -> None:
    assert etcdctl("put", "ctl/a", "1") == "OK\n"
    assert etcdctl("put", "ctl/b", "2") == "OK\n"
    assert etcdctl("get", "--prefix", "ctl/", "--order", "DESCEND") == "ctl/b\n2\nctl/a\n1\n"
    assert json.loads(etcdctl("get", "ctl/a", "-w", "json"))["count"] == 1
    assert etcdctl("del", "--prefix", "ctl/") == "2\n"


def test_a_transaction_takes_its_branch(etcdctl: Etcdctl) -> None:
    assert etcdctl("txn", given='create("ctl-txn") = "0"\n\nput ctl-txn new\n\nget ctl-txn\n\n') == "SUCCESS\n\nOK\n"
    again = etcdctl("txn", given='create("ctl-txn") = "0"\n\nput ctl-txn new\n\ndel ctl-txn\n\n')
    assert again == "FAILURE\n\n1\n"


def test_a_watch_runs_from_history(etcdctl: Etcdctl, binary: Path, etcd_server: EtcdServer) -> None:
    revision = json.loads(etcdctl("put", "ctl-watch", "1", "-w", "json"))["header"]["revision"]
    etcdctl("del", "ctl-watch")
    command = [binary, "--endpoints", etcd_server.endpoint, "watch", "ctl-watch", "--rev", str(revision)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "ETCDCTL_API": "3"}) as watch:
        assert watch.stdout is not None
        assert [watch.stdout.readline() for _ in range(5)] == ["PUT\n", "ctl-watch\n", "1\n", "DELETE\n", "ctl-watch\n"]
        watch.kill()


def test_leases_and_locks(etcdctl: Etcdctl) -> None:
    lease = etcdctl("lease", "grant", "100").split()[1]
    etcdctl("put", "ctl-lease", "1", "--lease", lease)
    assert "attached keys([ctl-lease])" in etcdctl("lease", "timetolive", lease, "--keys")
    assert etcdctl("lease", "keep-alive", "--once", lease) == f"lease {lease} keepalived with TTL(100)\n"
    assert etcdctl("lease", "revoke", lease) == f"lease {lease} revoked\n"
    assert etcdctl("get", "ctl-lease") == ""
    assert etcdctl("lock", "ctl-lock", "echo", "inside") == "inside\n"


def test_the_member_is_healthy_and_can_be_saved(etcdctl: Etcdctl, tmp_path: Path) -> None:
    (status,) = json.loads(etcdctl("endpoint", "status", "-w", "json"))
    assert status["Status"]["leader"] == status["Status"]["header"]["member_id"]
    (health,) = json.loads(etcdctl("endpoint", "health", "-w", "json"))
    assert health["health"] is True
    assert etcdctl("member", "list").count("started") == 1
    assert etcdctl("alarm", "list") == ""
    etcdctl("snapshot", "save", str(tmp_path / "copy"))
    assert (tmp_path / "copy").stat().st_size % 512 == 32

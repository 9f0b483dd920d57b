"""Patroni's own etcd code without PostgreSQL: what its nodes do to the store, by two of them. Argument: the port."""

from __future__ import annotations

import contextlib
import sys
import threading

from patroni.dcs import AbstractDCS, get_dcs
from patroni.exceptions import DCSError
from scenarios import PATIENCE_S, eventually, restart_server, run

PORT = int(sys.argv[1])


def node(name: str) -> AbstractDCS:
    """What one of Patroni's nodes knows of the store."""
    place = {"etcd3": {"host": f"127.0.0.1:{PORT}"}, "namespace": "/patroni-code/", "scope": "test", "name": name}
    return get_dcs({**place, "ttl": 300, "loop_wait": 1, "retry_timeout": 8})


def one_node_initializes() -> None:
    assert first.initialize(create_new=True, sysid="1")
    assert not second.initialize(create_new=True, sysid="2")
    for each in (first, second):
        assert each.touch_member({"conn_url": "postgres://127.0.0.1/", "role": "replica"})
    eventually(lambda: sorted(member.name for member in second.get_cluster().members) == ["first", "second"])
    assert second.get_cluster().initialize == "1"


def one_node_leads() -> None:
    assert first.attempt_to_acquire_leader()
    assert not second.attempt_to_acquire_leader()
    eventually(lambda: leader() == "first")
    assert first.update_leader(first.get_cluster(), last_lsn=100)
    eventually(lambda: second.get_cluster().status.last_lsn == 100)


def settings_change_by_comparison() -> None:
    assert first.set_config_value('{"ttl": 20}')
    eventually(lambda: second.get_cluster().config is not None)
    version = second.get_cluster().config.version
    assert second.set_config_value('{"ttl": 30}', version)
    assert not first.set_config_value('{"ttl": 40}', version)


def a_watch_wakes_the_others() -> None:
    second.event.clear()
    threading.Thread(target=first.update_leader, args=(first.get_cluster(), 150)).start()
    assert second.watch(None, PATIENCE_S)
    cluster = second.get_cluster()
    assert (cluster.status.last_lsn, cluster.leader and cluster.leader.name) == (150, "first")


def leadership_is_handed_over() -> None:
    assert first.manual_failover("first", "second")
    eventually(lambda: second.get_cluster().failover is not None)
    assert first.delete_leader(first.get_cluster().leader)
    eventually(lambda: leader() is None)
    assert second.attempt_to_acquire_leader()
    eventually(lambda: leader() == "second")


def leadership_survives_a_restart() -> None:
    restart_server()
    eventually(keeps_leading)
    eventually(lambda: leader() == "second")
    assert second.delete_cluster()


def keeps_leading() -> bool:
    """One turn of the second's loop: while the store is away, it tries again in the next."""
    with contextlib.suppress(DCSError):
        return second.update_leader(second.get_cluster(), last_lsn=200)
    return False


def leader() -> str | None:
    """Who leads, as the first node sees it."""
    found = first.get_cluster().leader
    return found.name if found else None


if __name__ == "__main__":
    first, second = node("first"), node("second")
    run(
        one_node_initializes,
        one_node_leads,
        settings_change_by_comparison,
        a_watch_wakes_the_others,
        leadership_is_handed_over,
        leadership_survives_a_restart,
    )

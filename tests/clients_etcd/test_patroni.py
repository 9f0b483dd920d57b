"""A real application: Patroni, which keeps a PostgreSQL cluster's leadership in etcd."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients_etcd.client_program import LAST_WORDS, python_program
from tests.clients_etcd.postgresql_node import USER, PostgresqlNode, as_a_user, postgresql_binaries
from tests.clients_etcd.servers import EtcdServer
from tests.server import wait_until

pytestmark = pytest.mark.slow

PATIENCE_S = 120.0
"""For PostgreSQL to be initialized, copied or promoted on a busy machine, and for a lease of 20 s to run out."""


def test_patroni_keeps_its_leader_in_the_store(etcd_server: EtcdServer) -> None:
    python_program("python_patroni", etcd_server)


@pytest.fixture
def nodes(etcd_server: EtcdServer) -> Iterator[tuple[PostgresqlNode, PostgresqlNode]]:
    """Two nodes that can be started; in a folder whose path is short enough for sockets."""
    enter, binaries = as_a_user(), postgresql_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed")
    if enter is None:
        pytest.skip("PostgreSQL refuses root, and setpriv cannot make us another user here")
    directory = Path(tempfile.mkdtemp(prefix="patroni-"))
    if enter:
        shutil.chown(directory, USER)
    first, second = (PostgresqlNode(name, directory, etcd_server, binaries, enter) for name in ("first", "second"))
    try:
        yield first, second
    finally:
        first.kill()
        second.kill()
        shutil.rmtree(directory)


def test_postgresql_fails_over(nodes: tuple[PostgresqlNode, PostgresqlNode], etcd_server: EtcdServer) -> None:
    first, second = nodes
    first.start()
    becomes(first, "primary")
    first.execute("CREATE TABLE written (number int PRIMARY KEY)")
    wait_for(first, lambda: first.writes(1), "a write")
    second.start()
    becomes(second, "replica")
    has_rows(second, [1])

    etcd_server.restart()
    wait_for(second, lambda: second.answers("primary") or first.switches_to(second), "a switchover")
    becomes(second, "primary")
    becomes(first, "replica")
    wait_for(second, lambda: second.writes(2), "a write")
    has_rows(first, [1, 2])

    second.kill()
    becomes(first, "primary")
    wait_for(first, lambda: first.writes(3), "a write")
    has_rows(first, [1, 2, 3])


def becomes(node: PostgresqlNode, role: str) -> None:
    """Waits until Patroni says so."""
    wait_for(node, lambda: node.answers(role), role)


def has_rows(node: PostgresqlNode, rows: list[int]) -> None:
    """Waits until they have been replicated."""
    wait_for(node, lambda: node.has_rows(rows), f"rows {rows}")


def wait_for(node: PostgresqlNode, condition: Callable[[], bool], what: str) -> None:
    """Waits for a condition; where it does not come true, the node's log says why."""
    try:
        wait_until(condition, PATIENCE_S, what)
    except AssertionError as problem:
        raise AssertionError(f"{node.name}: {problem}\n{node.log_text()[-LAST_WORDS:]}") from None

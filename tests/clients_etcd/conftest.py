"""Fixtures of the tests with etcd's clients. ``ETCD_CLIENTS_AGAINST=etcd`` runs them against a real etcd."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.clients_etcd.servers import EtcdServer, OarlockServer, RealEtcd


@pytest.fixture(scope="session")
def etcd_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """A server for all clients of one test process; each keeps to keys of its own."""
    kind = RealEtcd if os.environ.get("ETCD_CLIENTS_AGAINST") == "etcd" else OarlockServer
    server = kind(tmp_path_factory.mktemp("etcd"))
    try:
        server.start()
        yield server
    finally:
        server.close()

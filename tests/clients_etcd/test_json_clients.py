"""Clients of etcd's JSON API, which Python's OpenStack world talks."""

from __future__ import annotations

import pytest

from tests.clients_etcd.client_program import python_program
from tests.clients_etcd.servers import EtcdServer

pytestmark = pytest.mark.slow


def test_etcd3gw(etcd_server: EtcdServer) -> None:
    python_program("python_etcd3gw", etcd_server)


def test_tooz(etcd_server: EtcdServer) -> None:
    python_program("python_tooz", etcd_server)

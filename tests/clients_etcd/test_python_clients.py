"""Python's clients over gRPC."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.clients_etcd.client_program import python_program
from tests.clients_etcd.recipes import prepared, step
from tests.clients_etcd.servers import EtcdServer

pytestmark = pytest.mark.slow

OLD_CLIENT = ("etcd3==0.12.0", "protobuf==3.20.3", "six==1.17.0", "tenacity==6.3.1")
"""It was last changed in 2020: what it needs is older than what is maintained, so it has that of its own beside it."""


@pytest.fixture(scope="session")
def old_client() -> Path:
    def install(directory: Path) -> None:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        step([*pip, "--no-deps", "--target", str(directory), *OLD_CLIENT], directory)

    return prepared("python-etcd3", " ".join(OLD_CLIENT), install)


def test_etcd_sdk_python(etcd_server: EtcdServer) -> None:
    python_program("python_etcd3", etcd_server, "pyetcd")


def test_aetcd(etcd_server: EtcdServer) -> None:
    python_program("python_aetcd", etcd_server)


def test_python_etcd3(etcd_server: EtcdServer, old_client: Path) -> None:
    python_program("python_etcd3", etcd_server, "etcd3", env={"PYTHONPATH": str(old_client)})

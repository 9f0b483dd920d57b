"""etcd's own Go client, where Go is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from oarlock.loadgen.etcd_client import SOURCE
from tests.clients_etcd.client_program import PROGRAMS, run_program
from tests.clients_etcd.recipes import prepared, step
from tests.clients_etcd.servers import EtcdServer

GO = shutil.which("go")


@pytest.fixture(scope="session")
def go_program() -> Path:
    """The program, built with the modules of the load generator's: they are fetched and compiled once for both."""
    parts = [SOURCE / "go.mod", SOURCE / "go.sum", PROGRAMS / "go_clientv3" / "main.go"]

    def build(directory: Path) -> None:
        for part in parts:
            shutil.copy(part, directory)
        step([str(GO), "build", "-mod=mod", "-buildvcs=false", "-o", "client", "."], directory)

    return prepared("go", "".join(part.read_text() for part in parts), build) / "client"


@pytest.mark.slow
@pytest.mark.skipif(GO is None, reason="Go is not installed")
def test_go_clientv3(etcd_server: EtcdServer, go_program: Path) -> None:
    run_program([str(go_program), etcd_server.endpoint], etcd_server)

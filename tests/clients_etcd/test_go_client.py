"""etcd's own Go client, where Go is."""

from __future__ import annotations

import pytest

from tests.clients_etcd.client_program import PROGRAMS, run_program
from tests.clients_etcd.recipes import go_program, needs_go
from tests.clients_etcd.servers import EtcdServer


@pytest.mark.slow
@needs_go
def test_go_clientv3(etcd_server: EtcdServer) -> None:
    program = go_program("go", (PROGRAMS / "go_clientv3" / "main.go").read_text())
    run_program([str(program), etcd_server.endpoint], etcd_server)

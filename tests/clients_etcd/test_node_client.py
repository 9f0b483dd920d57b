"""Node's client, where Node is."""

from __future__ import annotations

import pytest

from tests.clients_etcd.client_program import PROGRAMS, run_program
from tests.clients_etcd.recipes import NODE, needs_node, node_modules
from tests.clients_etcd.servers import EtcdServer


@pytest.mark.slow
@needs_node
def test_npm_etcd3(etcd_server: EtcdServer) -> None:
    program = [str(NODE), str(PROGRAMS / "node_etcd3.js"), str(etcd_server.port)]
    run_program(program, etcd_server, env={"NODE_PATH": str(node_modules())})

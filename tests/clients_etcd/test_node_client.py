"""Node's client, where Node is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.clients_etcd.client_program import PROGRAMS, run_program
from tests.clients_etcd.recipes import prepared, step
from tests.clients_etcd.servers import EtcdServer

NODE, NPM = shutil.which("node"), shutil.which("npm")


@pytest.fixture(scope="session")
def node_modules() -> Path:
    package = PROGRAMS / "package.json"

    def install(directory: Path) -> None:
        shutil.copy(package, directory)
        step([str(NPM), "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"], directory)

    return prepared("node", package.read_text(), install) / "node_modules"


@pytest.mark.slow
@pytest.mark.skipif(NODE is None or NPM is None, reason="Node is not installed")
def test_npm_etcd3(etcd_server: EtcdServer, node_modules: Path) -> None:
    program = [str(NODE), str(PROGRAMS / "node_etcd3.js"), str(etcd_server.port)]
    run_program(program, etcd_server, env={"NODE_PATH": str(node_modules)})

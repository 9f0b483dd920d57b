"""docs/etcd-clients.md: its examples run as they stand, but for the server's address."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from oarlock.loadgen.own_etcd import find_etcd
from tests.clients_etcd.recipes import NODE, ROOT, go_program, needs_go, needs_node, node_modules
from tests.clients_etcd.servers import EtcdServer

PAGE = ROOT / "docs" / "etcd-clients.md"
EXAMPLES = re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(), re.DOTALL)
EXAMPLE_S = 60.0

pytestmark = pytest.mark.slow

GO_AROUND = """package main

import (
	"context"
	"fmt"
	"os"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

func main() {
	ctx := context.Background()
	%s
}
"""


def run(command: list[str], example: str, server: EtcdServer, env: dict[str, str]) -> str:
    """Runs an example that its interpreter reads from its input; what it printed."""
    text, environment = addressed(example, server), {**os.environ, **env}
    done = subprocess.run(
        command, input=text, env=environment, capture_output=True, text=True, timeout=EXAMPLE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def addressed(example: str, server: EtcdServer) -> str:
    """The example for the server at hand."""
    return example.replace("127.0.0.1:2379", server.endpoint).replace("2379", str(server.port))


def of_language(language: str) -> list[str]:
    """The page's examples in a language."""
    return [text for name, text in EXAMPLES if name == language]


@pytest.mark.parametrize("example", of_language("python"), ids=lambda text: re.split(r"\W+", text)[1])
def test_python_examples(example: str, etcd_server: EtcdServer) -> None:
    assert run([sys.executable, "-"], example, etcd_server, {})


@pytest.mark.parametrize("example", of_language("sh"))
def test_etcdctl_examples(example: str, etcd_server: EtcdServer) -> None:
    path = f"{find_etcd().parent}{os.pathsep}{os.environ['PATH']}"
    printed = run(["bash", "-e"], example, etcd_server, {"PATH": path})
    assert printed.startswith("OK\ngreeting\nhello\nonly one of us says this\n")


@pytest.mark.parametrize("example", of_language("js"))
@needs_node
def test_node_examples(example: str, etcd_server: EtcdServer) -> None:
    printed = run([str(NODE), "-"], example, etcd_server, {"NODE_PATH": str(node_modules())})
    assert "'jobs/1': 'done'" in printed


@pytest.mark.parametrize("example", of_language("go"))
@needs_go
def test_go_examples(example: str, etcd_server: EtcdServer) -> None:
    arguments = example.replace('"127.0.0.1:2379"', "os.Args[1]")
    program = go_program("go-example", GO_AROUND % arguments)
    printed = run([str(program), etcd_server.endpoint], "", etcd_server, {})
    assert printed == f"<nil> [{etcd_server.endpoint}]\n<nil> <nil>\n"

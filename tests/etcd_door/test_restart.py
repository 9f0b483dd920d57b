"""Clients that must have a leader are not turned away by whoever has only just been started."""

from __future__ import annotations

from pathlib import Path

from oarlock.gateway.proto import rpc_pb2
from tests.server import START_TIMEOUT_S, Server, has_ended, is_listening, running, wait_until

from .calls import door_of

REQUIRE_LEADER = (("hasleader", "true"),)


def first_put(server: Server, value: bytes) -> int:
    """Puts as soon as the server listens again; the revision."""
    wait_until(lambda: is_listening(server.client_endpoint), START_TIMEOUT_S, "a worker that listens")
    with door_of(server.client_endpoint) as door:
        put = rpc_pb2.PutRequest(key=b"k", value=value)
        return int(door.call("KV/Put", put, metadata=REQUIRE_LEADER, waits=True).header.revision)


def test_the_first_client_of_a_restarted_worker_has_a_leader(tmp_path: Path) -> None:
    with running(tmp_path, workers=1) as server:
        revision = first_put(server, b"0")
        for number in range(3):
            killed = server.part("worker 0")
            killed.kill()
            wait_until(lambda killed=killed: has_ended(killed), START_TIMEOUT_S, "the end of the worker")
            assert first_put(server, b"%d" % number) == revision + 1 + number


def test_the_first_client_of_a_restarted_server_has_a_leader(tmp_path: Path) -> None:
    with running(tmp_path, workers=1) as server:
        revision = first_put(server, b"0")
        server.kill()
        server.start()
        assert first_put(server, b"1") == revision + 1

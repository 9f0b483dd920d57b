"""A server that stops says so to its clients, and does not wait for those that stay."""

from __future__ import annotations

import threading
from pathlib import Path

import grpc

from oarlock.gateway.proto import rpc_pb2
from tests.server import running

from .calls import door_of


def test_a_stop_ends_open_calls_and_loses_no_write(tmp_path: Path) -> None:
    never = threading.Event()

    def requests() -> object:
        yield rpc_pb2.LeaseKeepAliveRequest(ID=1)
        never.wait(60)

    with running(tmp_path, workers=1) as server:
        with door_of(server.client_endpoint) as door:
            written = door.put(b"a", b"1").header.revision
            stream = door.both_ways("Lease/LeaseKeepAlive", requests())  # type: ignore[arg-type]
            assert next(stream).TTL == 0
            assert server.stop() == 0
            try:
                ended = next(stream)
                raise AssertionError(f"an answer after the end: {ended}")
            except (StopIteration, grpc.RpcError):
                pass
            never.set()
        server.start()
        with door_of(server.client_endpoint) as door:
            kv = door.range(b"a").kvs[0]
            assert (kv.value, kv.mod_revision) == (b"1", written)

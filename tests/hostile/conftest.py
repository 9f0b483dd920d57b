"""Fixtures for tests that mean harm: a server of its own for each test process, whose health is checked after each."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psutil
import pytest
import zmq

import oarlock
from tests.live.raw import raw_context
from tests.server import Server, running

FORBIDDEN = ("uncaught", "could not be handled", "Traceback", "child died", "is damaged")


@pytest.fixture(scope="session")
def attacked_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that takes all the attacks of a test process, one after the other; one worker, so that all hit it."""
    with running(tmp_path_factory.mktemp("attacked"), workers=1) as server:
        yield server


@pytest.fixture
def victim(attacked_server: Server) -> Iterator[Server]:
    """The server, which after the test must run in the same processes, with nothing bad in its log, and still serve."""
    log_before = len(attacked_server.log_text())
    processes = sorted(process.pid for process in attacked_server.processes())
    with oarlock.connect(attacked_server.native_endpoint, timeout_s=20.0) as neighbour:
        key = b"neighbour/%d" % os.getpid()
        with neighbour.watch(key) as watch:
            yield attacked_server
            revision = neighbour.put(key, "unhurt").header.revision
            assert next(watch).mod_revision == revision
            found = neighbour.get(key)
            assert found is not None
            assert found.mod_revision == revision
    assert sorted(process.pid for process in attacked_server.processes()) == processes
    log = attacked_server.log_text()[log_before:]
    assert not [word for word in FORBIDDEN if word in log], log[-3000:]


@pytest.fixture
def neighbour(victim: Server) -> Iterator[oarlock.Client]:
    """A client that means no harm, and must not notice any."""
    with oarlock.connect(victim.native_endpoint, timeout_s=20.0) as client:
        yield client


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    """A ZeroMQ context that ends with the test."""
    with raw_context() as own:
        yield own


def worker_rss_bytes(server: Server) -> int:
    """Resident memory of the worker."""
    return int(psutil.Process(server.part("worker 0").pid).memory_info().rss)

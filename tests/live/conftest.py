"""Fixtures for tests of a live server."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator

import pytest
import zmq

import oarlock
from tests.server import Server

from .raw import RawClient, RawWatcher, raw_context

_numbers = itertools.count()


@pytest.fixture
def client(shared_server: Server) -> Iterator[oarlock.Client]:
    """A client of the server that all tests of this process share."""
    with oarlock.connect(shared_server.native_endpoint, timeout_s=20.0) as connected:
        yield connected


@pytest.fixture
def prefix() -> bytes:
    """Keys of the test's own begin with this."""
    return b"%d/%d/" % (os.getpid(), next(_numbers))


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    """A ZeroMQ context that ends with the test."""
    with raw_context() as own:
        yield own


@pytest.fixture
def raw(context: zmq.Context[zmq.Socket[bytes]], shared_server: Server) -> RawClient:
    """A connection to the shared server, by hand."""
    return RawClient(context, shared_server.native_endpoint)


@pytest.fixture
def raw_watcher(context: zmq.Context[zmq.Socket[bytes]], shared_server: Server) -> Callable[[], RawWatcher]:
    """Makes watch connections to the shared server, by hand."""
    return lambda: RawWatcher(context, shared_server.watch_endpoint)

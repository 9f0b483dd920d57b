"""Fixtures for tests of the etcd door."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

from tests.server import Server

from .calls import Door, door_of

_numbers = itertools.count()


@pytest.fixture
def door(shared_server: Server) -> Iterator[Door]:
    """Calls to the server that all tests of this process share."""
    with door_of(shared_server.client_endpoint) as calls:
        yield calls


@pytest.fixture
def prefix() -> bytes:
    """Keys of the test's own begin with this."""
    return b"door/%d/%d/" % (os.getpid(), next(_numbers))

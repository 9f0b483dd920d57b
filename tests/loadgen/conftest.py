"""Servers for the tests that need one: the smallest there can be, and a real one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from oarlock.loadgen.own_server import OwnServer, Place, answering, launch, stop
from tests.loadgen.load_server import LoadServer


@pytest.fixture
def server() -> Iterator[LoadServer]:
    with LoadServer() as running:
        yield running


@pytest.fixture(scope="session")
def real_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    """One for all tests of a test process, which use keys of their own."""
    running = launch(Place.below(tmp_path_factory.mktemp("server")), ["--workers", "1"])
    try:
        asyncio.run(answering(running))
        yield running
    finally:
        asyncio.run(stop(running.process))
